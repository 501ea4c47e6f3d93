// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The heat map's page: which view is shown, and what the user does. The address says where one is: #fFILE:LINE. */
const state = { file: null, at: -1, by: "self", hotOnly: false, pattern: null };

function show() {
	const [, id, line] = location.hash.match(/^#f(\d+)(?::(\d+))?$/) ?? [];
	const file = files[Number(id)] ?? null, changed = file !== state.file;
	if (changed) {
		$("search").value = "";
		state.pattern = null;
		$("matches").textContent = "";
	}
	const left = state.file;
	state.file = file;
	$("index").hidden = Boolean(file);
	$("file").hidden = $("where").hidden = !file;
	$("hot").hidden = !file;
	$("search").placeholder = file ? "Search lines (regular expression)" : "Search files, functions";
	fillLegend();
	if (file) {
		fillFile(line === undefined ? undefined : Number(line));
		code.focus({ preventScroll: true });
	} else if (changed || !$("index").firstChild) {
		fillIndex();
		if (left)
			$("index").querySelector(`a[href="#f${left.id}"]`)?.focus();
	}
	document.title = `${file ? file.name : data.meta.title} – keelback heat map`;
}

function search(text) {
	const pattern = patternOf(text);
	state.pattern = text ? pattern : null;
	if (!state.file) {
		fillIndex();
		return;
	}
	findMatches();
	drawLines(true);
	if (state.pattern && !view.matches.has(state.at))
		nextOf(1);
}

function setBy(by) {
	state.by = $("by").value = by;
	if (state.file)
		fillFile(view.list[state.at]?.line);
	else
		fillIndex();
}

function setHotOnly(hotOnly) {
	state.hotOnly = hotOnly;
	$("hot").setAttribute("aria-pressed", hotOnly);
	fillFile(view.list[state.at]?.line);
}

function leave() {
	$("search").value = "";
	search("");
	(state.file ? code : $("index")).focus();
}

const follow = (id) => {
	const link = $(id);
	if (!state.file || !link.getAttribute("href"))
		return false;
	location.hash = link.getAttribute("href");
	return true;
};

function listenToKeys() {
	const inFile = (action) => () => state.file ? action() : false;
	const move = (step) => () => state.file ? choose(state.at + step) : moveInIndex(step);
	const screen = () => Math.max(1, Math.floor(code.clientHeight / ROW) - 1);
	onKeys({
		"/": () => { $("search").focus(); $("search").select(); },
		ArrowUp: move(-1),
		ArrowDown: move(1),
		PageUp: inFile(() => choose(state.at - screen())),
		PageDown: inFile(() => choose(state.at + screen())),
		Home: inFile(() => choose(0)),
		End: inFile(() => choose(view.list.length - 1)),
		n: inFile(() => nextOf(1)),
		p: inFile(() => nextOf(-1)),
		h: inFile(nextHottest),
		c: inFile(() => $("detail").querySelector("a")?.focus()),
		"[": () => follow("before"),
		"]": () => follow("after"),
		s: () => setBy(state.by === "self" ? "total" : "self"),
		o: inFile(() => setHotOnly(!state.hotOnly)),
		d: () => $("theme").click(),
		"?": () => $("help").showModal(),
		Backspace: inFile(() => history.length > 1 ? history.back() : location.assign("#")),
		Escape: leave,
	}, { Escape: leave, Enter: () => { (state.file ? code : $("index").querySelector("td a"))?.focus(); } });
}

function listen() {
	window.addEventListener("hashchange", show);
	code.addEventListener("scroll", () => drawLines(false), { passive: true });
	lines.addEventListener("click", (event) => {
		const row = event.target.closest(".row");
		if (row && !getSelection().toString())
			choose(Number(row.dataset.at));
	});
	overview.addEventListener("click", (event) => {
		code.scrollTop = event.offsetY / overview.clientHeight * view.list.length * ROW - code.clientHeight / 2;
	});
	$("search").addEventListener("input", (event) => search(event.target.value));
	$("by").addEventListener("change", () => setBy($("by").value));
	$("hot").addEventListener("click", () => setHotOnly(!state.hotOnly));
	new ResizeObserver(() => {
		if (state.file) {
			drawLines(true);
			drawOverview();
		}
	}).observe(code);
	listenToKeys();
}

themed.push(() => {
	fillLegend();
	if (state.file) {
		drawLines(true);
		drawOverview();
	} else {
		fillIndex();
	}
});

showHeader("heat map", data.total);
if (data.leftOut.some(Boolean))
	$("facts").append(element("li", `${count(data.leftOut[0])} lines and ${count(data.leftOut[1])} calls too small to show`, "warn"));
show();
startTheme();
listen();
