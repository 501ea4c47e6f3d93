// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The files, grouped by where they come from, those that cost most first. */
const SHOWN_AT_ONCE = 200; // files of a group: more are shown when asked for
const KIND = { PYTHON: 0, MARKER: 1, NATIVE: 2, KERNEL: 3 }; // as enum kb_frame_kind

const files = data.files.map(([name, self, total, first, rows, source, note], id) => ({ id, name, self, total, first, rows, source, note }));
const functions = data.functions.map(([kind, name, file, line]) => ({ kind, name: name || "?", file, line }));

/* Where a file comes from, by its path alone: the interpreter that knows is not here. */
const GROUPS = [
	["Standard library", /^<frozen |\/(lib|lib64|Lib)\/python\d+(\.\d+)?t?\/(?!(site|dist)-packages\/)|\/python\d+\.zip\//],
	["Packages", /\/(site|dist)-packages\//],
	["No file", /^$|^[<[]/],
];
const groupOf = (name) => GROUPS.find(([, pattern]) => pattern.test(name))?.[0] ?? "Project";

/* The directory and the name, without what all files of a group have in common. */
function pathParts(name) {
	const short = name.replace(/^.*\/(?:lib|lib64|Lib)\/python[\d.]+t?\/(?:(?:site|dist)-packages\/)?|^.*\/(?:site|dist)-packages\//, "");
	const slash = short.lastIndexOf("/") + 1;
	return [short.slice(0, slash), short.slice(slash) || "?"];
}

function heatColor(heat, alpha = 1) {
	if (!heat)
		return "transparent";
	const size = Math.sqrt(Math.min(1, heat)), hue = 44 - 34 * size;
	return document.documentElement.dataset.theme === "dark" ? `hsl(${hue} ${60 + 15 * size}% ${20 + 20 * size}% / ${alpha})` :
		`hsl(${hue} 95% ${92 - 28 * size}% / ${alpha})`;
}

function fillLegend() {
	const item = element("li", "0"), scale = element("i", "", "scale");
	scale.style.background = `linear-gradient(to right, ${[0.001, 0.05, 0.2, 0.5, 1].map((heat) => heatColor(heat)).join()})`;
	item.append(scale, state.file ? "the hottest line of the file" : "all");
	$("legend").replaceChildren(item);
}

/* Names of the functions of a file that have samples. */
function namesIn(file) {
	file.names ??= [...new Set(data.rowFunction.slice(file.first, file.first + file.rows))].map((id) => functions[id].name);
	return file.names;
}

function matching(pattern) {
	return files.filter((file) => file.total && (!pattern || pattern.test(file.name) || namesIn(file).some((name) => pattern.test(name))));
}

const numberCell = (value) => {
	const cell = element("td", "", "number"), text = cell.appendChild(element("span", percent(value, data.total)));
	text.style.background = heatColor(value / data.total);
	cell.title = amount(value);
	return cell;
};

function fileRow(file) {
	const row = element("tr"), cell = element("td"), link = cell.appendChild(element("a"));
	const [directory, name] = pathParts(file.name);
	link.href = "#f" + file.id;
	link.title = file.name;
	link.append(element("i", directory), name);
	row.append(numberCell(file.self), numberCell(file.total), element("td", count(file.rows), "number"), cell);
	row.append(Object.assign(element("td", file.source < 0 ? "no source: " + file.note : file.note, "note"), { title: file.note }));
	return row;
}

function fillGroup(title, list) {
	const section = element("div"), table = element("table"), head = table.createTHead().insertRow();
	const self = list.reduce((sum, file) => sum + file.self, 0);
	const heading = element("h2", title);
	heading.append(element("span", `${count(list.length)} ${list.length === 1 ? "file" : "files"}, ${percent(self, data.total)}`));
	for (const [text, name] of [["own", "number"], ["with calls", "number"], ["lines", "number"], ["file", ""], ["", "note"]])
		head.append(element("th", text, name));
	const body = table.createTBody();
	body.append(...list.slice(0, SHOWN_AT_ONCE).map(fileRow));
	section.append(heading, table);
	if (list.length > SHOWN_AT_ONCE) {
		const more = section.appendChild(element("button", `Show ${count(list.length - SHOWN_AT_ONCE)} more`, "more"));
		more.addEventListener("click", () => {
			body.append(...list.slice(SHOWN_AT_ONCE).map(fileRow));
			more.remove();
		});
	}
	return section;
}

function fillIndex() {
	const found = matching(state.pattern).sort((a, b) => b[state.by] - a[state.by] || a.id - b.id), groups = new Map();
	for (const file of found) {
		const group = groupOf(file.name);
		groups.set(group, [...groups.get(group) ?? [], file]);
	}
	const order = ["Project", "Packages", "Standard library", "No file"].filter((name) => groups.has(name));
	$("index").replaceChildren(...order.map((name) => fillGroup(name, groups.get(name))));
	$("matches").textContent = state.pattern ? `${count(found.length)} of ${count(files.length)} files` : "";
	const outside = data.total - files.reduce((sum, file) => sum + file.self, 0);
	say((files.length ? "Arrow keys and Enter open a file, ? shows all keys." : "No line of Python was seen.") +
		(outside > 0 ? ` ${percent(outside, data.total)} is in no line of Python.` : ""));
}

/* Moves from file to file. */
function moveInIndex(step) {
	const links = [...$("index").querySelectorAll("td a")], at = links.indexOf(document.activeElement);
	const next = links[at < 0 ? (step > 0 ? 0 : links.length - 1) : Math.max(0, Math.min(links.length - 1, at + step))];
	next?.focus();
}
