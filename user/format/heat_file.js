// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A file's lines. As many elements as fit the window stand for all lines; what they
 * show changes with scrolling. Sources are parsed when their file is opened.
 */
const ROW = 20; // px
const ROWS_PRINTED_MAX = 3000;
const LINKS_MAX = 20; // of a line to its callers, or to what it calls
const SCREENS_AHEAD = 1;

const code = $("code"), lines = $("lines"), overview = $("overview");

/* Calls by the row that calls, and by the function that is called; made when the first file is opened. */
const calls = {
	made: false, from: new Map(), to: new Map(),
	make() {
		const add = (map, key, value) => map.has(key) ? map.get(key).push(value) : map.set(key, [value]);
		data.callRow.forEach((row, i) => {
			add(this.from, row, { id: data.callFunction[i], count: data.callCount[i] });
			add(this.to, data.callFunction[i], { id: row, count: data.callCount[i] });
		});
		for (const list of [...this.from.values(), ...this.to.values()])
			list.sort((a, b) => b.count - a.count);
		this.made = true;
	},
};

/* [name, base name, count] by row. */
const opcodes = new Map();
data.opRow.forEach((row, i) => {
	const [name, base] = data.opcodes[data.opName[i]];
	opcodes.set(row, [...opcodes.get(row) ?? [], { name, base, count: data.opCount[i] }]);
});

// ---------------------------------------------------------------- what is listed

function textOf(file) {
	if (file.source >= 0)
		file.text ??= JSON.parse($("source-" + file.source).textContent);
	return file.text ?? [];
}

/* Entries: { line, row (-1: no samples), text }, or null for a gap. */
function listLines(file, hotOnly) {
	const text = textOf(file), rows = new Map();
	for (let row = file.first; row < file.first + file.rows; row++)
		rows.set(data.rowLine[row], row);
	const known = [...rows.keys()];
	const all = hotOnly || !text.length ? known :
		[...(rows.has(0) ? [0] : []), ...text.keys().map((i) => i + 1), ...known.filter((line) => line > text.length)];
	const list = [];
	for (const line of all) {
		if (hotOnly && text.length && list.length && line !== list.at(-1)?.line + 1)
			list.push(null);
		list.push({ line, row: rows.get(line) ?? -1, text: text[line - 1] });
	}
	return list;
}

const valueOf = (entry, by) => entry && entry.row >= 0 ? (by === "self" ? data.rowSelf : data.rowTotal)[entry.row] : 0;
const heatOf = (entry) => view.most ? valueOf(entry, state.by) / view.most : 0;

// ---------------------------------------------------------------- drawing

const view = { list: [], most: 0, first: -1, last: -1, matches: new Set() };

function rowElement(at) {
	const entry = view.list[at], row = element("div", "", "row");
	row.style.top = at * ROW + "px";
	row.dataset.at = at;
	if (!entry) {
		row.classList.add("gap");
		row.append(element("span", "⋯", "no"));
		return row;
	}
	const heat = heatOf(entry), text = element("code", entry.text ?? "");
	row.append(element("span", entry.line || "?", "no"));
	for (const by of ["self", "total"]) {
		const value = valueOf(entry, by), cell = row.appendChild(element("span", value ? percent(value, data.total) : "", "cost"));
		if (value)
			cell.title = amount(value) + (by === "self" ? " in the line itself" : " with what it calls");
		if (by === state.by)
			cell.style.background = heatColor(heat);
	}
	if (entry.text === undefined && entry.row >= 0)
		text.append(element("span", (entry.line ? "" : "line not known, ") + "in " + functions[data.rowFunction[entry.row]].name, "soft"));
	if (heat)
		text.style.background = heatColor(heat, 0.35);
	row.classList.toggle("match", view.matches.has(at));
	row.classList.toggle("chosen", at === state.at);
	row.append(text);
	return row;
}

function drawLines(always) {
	const screen = Math.ceil(code.clientHeight / ROW), ahead = screen * SCREENS_AHEAD;
	const top = Math.floor(code.scrollTop / ROW);
	const first = printing ? 0 : Math.max(0, top - ahead);
	const last = printing ? Math.min(view.list.length, ROWS_PRINTED_MAX) : Math.min(view.list.length, top + screen + ahead);
	if (!always && top >= view.first && top + screen <= view.last)
		return;
	Object.assign(view, { first, last: last === view.list.length ? Infinity : last });
	lines.style.height = (printing ? last : view.list.length) * ROW + "px";
	lines.replaceChildren(...Array.from({ length: Math.max(0, last - first) }, (_, i) => rowElement(first + i)));
}

function drawOverview() {
	const scale = window.devicePixelRatio || 1, height = overview.clientHeight, width = overview.clientWidth;
	const context = overview.getContext("2d");
	overview.width = width * scale;
	overview.height = height * scale;
	context.scale(scale, scale);
	const step = Math.max(2, height / (view.list.length || 1));
	view.list.forEach((entry, at) => {
		const heat = heatOf(entry);
		if (!heat)
			return;
		context.fillStyle = heatColor(Math.max(heat, 0.05));
		context.fillRect(1, at / view.list.length * height, width - 1, step);
	});
}

// ---------------------------------------------------------------- the chosen line

const lineLink = (file, line) => `#f${file}${line ? ":" + line : ""}`;

function placeText(file, line) {
	const [directory, name] = pathParts(files[file].name);
	return file === state.file.id ? line ? "line " + count(line) : "" : directory + name + (line ? ":" + line : "");
}

function linkRow(table, text, small, target, value) {
	const row = table.insertRow(), cell = row.insertCell();
	if (target) {
		const link = cell.appendChild(element("a", text));
		link.href = target;
	} else {
		cell.textContent = text;
	}
	if (small)
		cell.append(element("small", small));
	row.append(element("td", percent(value, data.total)));
	row.lastChild.title = amount(value);
}

function addLinks(title, list, fill) {
	if (!list?.length)
		return;
	const table = element("table");
	list.slice(0, LINKS_MAX).forEach((entry) => fill(table, entry));
	$("detail").append(element("h3", title), table);
	if (list.length > LINKS_MAX)
		$("detail").append(element("p", `and ${count(list.length - LINKS_MAX)} more`));
}

function addOpcodes(row, own) {
	const list = opcodes.get(row);
	if (!list)
		return;
	const table = element("table"), special = list.reduce((sum, { name, base, count }) => sum + (name !== base ? count : 0), 0);
	for (const { name, base, count } of list) {
		const cells = table.insertRow(), cell = cells.insertCell();
		cell.append(name);
		if (name !== base)
			cell.append(element("small", "specialized from " + base));
		const share = cells.appendChild(element("td", percent(count, own)));
		share.title = amount(count);
	}
	$("detail").append(element("h3", "Instructions, of the line's own cost"), table);
	$("detail").append(element("p", special ? `${percent(special, own)} in specialized instructions` : "None of them is specialized."));
}

function showDetail() {
	const entry = view.list[state.at], detail = $("detail");
	detail.replaceChildren();
	if (!entry || entry.row < 0) {
		detail.append(element("p", entry ? `Line ${entry.line} was not seen running.` : "Choose a line."));
		return;
	}
	const row = entry.row, own = data.rowSelf[row], id = data.rowFunction[row], made = functions[id], table = element("table");
	for (const [name, value] of [["the line itself", own], ["with what it calls", data.rowTotal[row]]])
		table.insertRow().append(...[name, unit ? timeOf(value) : "", inTime ? "" : count(value), percent(value, data.total)].map((text) => element("td", text)));
	detail.append(element("h2", `${entry.line || "?"}: ${made.name}`), table);
	if (made.file >= 0 && made.line) {
		const link = element("a", `defined in line ${count(made.line)}`);
		link.href = lineLink(made.file, made.line);
		detail.append(element("p"));
		detail.lastChild.append(link);
	}
	addOpcodes(row, own);
	if (!calls.made)
		calls.make();
	addLinks("Calls", calls.from.get(row), (into, { id: called, count: value }) => {
		const { kind, name, file, line } = functions[called];
		const small = kind === KIND.PYTHON && file >= 0 ? placeText(file, line) : { [KIND.NATIVE]: "native code", [KIND.KERNEL]: "kernel" }[kind];
		linkRow(into, name, small, file >= 0 ? lineLink(file, line) : null, value);
	});
	addLinks(`${made.name} is called from`, calls.to.get(id), (into, { id: caller, count: value }) => {
		const file = fileOfRow(caller), line = data.rowLine[caller];
		linkRow(into, functions[data.rowFunction[caller]].name, placeText(file.id, line), lineLink(file.id, line), value);
	});
}

/* The file that a row belongs to: the last one that does not begin behind it. */
function fileOfRow(row) {
	let low = 0, high = files.length - 1;
	while (low < high) {
		const middle = (low + high + 1) >> 1;
		if (files[middle].first <= row)
			low = middle;
		else
			high = middle - 1;
	}
	return files[low];
}

// ---------------------------------------------------------------- moving

function scrollToLine(at) {
	const top = at * ROW, height = code.clientHeight - ROW; // without the columns' names
	if (top < code.scrollTop || top + ROW > code.scrollTop + height)
		code.scrollTop = Math.max(0, top - height / 3);
}

function choose(at, keepAddress) {
	if (!view.list.length)
		return;
	state.at = Math.max(0, Math.min(view.list.length - 1, at));
	scrollToLine(state.at);
	drawLines(true);
	showDetail();
	const entry = view.list[state.at];
	if (entry && !keepAddress)
		history.replaceState(null, "", lineLink(state.file.id, entry.line));
	if (entry)
		say(entry.row < 0 ? `Line ${entry.line}` : `Line ${entry.line || "?"}: ${percent(data.rowSelf[entry.row], data.total)} in itself, ` +
			`${percent(data.rowTotal[entry.row], data.total)} with what it calls`);
}

/* The next line that is hot, or matches when something is searched for. */
function nextOf(step) {
	const n = view.list.length, wanted = state.pattern ? (at) => view.matches.has(at) : (at) => valueOf(view.list[at], state.by) > 0;
	for (let i = 1; i <= n; i++) {
		const at = ((state.at + step * i) % n + n) % n;
		if (wanted(at))
			return choose(at);
	}
}

/* The hottest line; from one of the hottest, the next. */
function nextHottest() {
	const hot = [...view.list.keys()].filter((at) => valueOf(view.list[at], state.by) > 0)
		.sort((a, b) => valueOf(view.list[b], state.by) - valueOf(view.list[a], state.by) || a - b);
	if (hot.length)
		choose(hot[(hot.indexOf(state.at) + 1) % hot.length]);
}

function findMatches() {
	view.matches = new Set(state.pattern ? [...view.list.keys()].filter((at) => {
		const entry = view.list[at];
		return entry && (state.pattern.test(entry.text ?? "") || entry.row >= 0 && state.pattern.test(functions[data.rowFunction[entry.row]].name));
	}) : []);
	$("matches").textContent = state.pattern ? `${count(view.matches.size)} ${view.matches.size === 1 ? "line" : "lines"}` : "";
}

/* Lists the lines anew, for the same line if it is still there. */
function fillFile(line) {
	const file = state.file;
	view.list = listLines(file, state.hotOnly);
	view.most = view.list.reduce((most, entry) => Math.max(most, valueOf(entry, state.by)), 0);
	findMatches();
	$("name").textContent = file.name || "?";
	$("about").replaceChildren(`${percent(file.self, data.total)} in its lines, ${percent(file.total, data.total)} with what they call `);
	if (file.note)
		$("about").append(element("span", file.source < 0 ? "no source: " + file.note : file.note, "warn"));
	for (const [id, other] of [["before", file.id - 1], ["after", file.id + 1]]) {
		$(id).removeAttribute("href");
		if (files[other]?.total)
			$(id).href = "#f" + other;
	}
	lines.style.height = view.list.length * ROW + "px";
	let at = view.list.findIndex((entry) => entry?.line === line);
	if (at < 0)
		at = Math.max(0, view.list.findIndex((entry) => view.most && valueOf(entry, state.by) === view.most));
	state.at = -1;
	code.scrollTop = Math.max(0, at * ROW - code.clientHeight / 3);
	choose(at, true);
	drawOverview();
}
