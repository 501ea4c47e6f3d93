// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The flame graph's page: what is shown, and what the user does. */
const HINT = "Arrow keys move, Enter zooms, ? shows all keys.";

const state = {
	zoom: 0, focus: 0, hover: -1, inverted: false, flames: false, trail: [],
	threads: "", side: SIDE.NEW, scale: "shares", own: false, python: false,
};
let found = null; // by label: matches the search; null: no search
let shownDepths = 0; // rows of the zoomed view
let raw = readTree(), tree = arrange(raw, SIDE.NEW);
const whole = raw;
const made = new Map(); // what was made of the whole, by what was asked for

// ---------------------------------------------------------------- view

function zoomTo(node, keepTrail) {
	if (node === state.zoom)
		return;
	if (!keepTrail)
		state.trail.push(state.zoom);
	state.zoom = node;
	state.focus = node;
	measure();
	showPath();
	showMatches();
	reveal(node);
}

function reset() {
	state.trail = [];
	zoomTo(0, true);
}

function measure() {
	shownDepths = 0;
	for (let i = state.zoom; i < tree.end[state.zoom]; i++)
		shownDepths = Math.max(shownDepths, tree.depth[i]);
	room.style.height = (shownDepths + 1) * ROW + 20 + "px";
	redraw();
}

/* Scrolls so that a node's row is in view. */
function reveal(node) {
	const top = rowTop(tree.depth[node]), view = graph.clientHeight - ROW - 20;
	if (top < graph.scrollTop)
		graph.scrollTop = top;
	else if (top > graph.scrollTop + view)
		graph.scrollTop = top - view;
	redraw();
}

function focusOn(node) {
	canvas.focus({ preventScroll: true });
	state.focus = node;
	reveal(node);
	say(describe(node));
}

/* The node in the tree that is shown now with the same frames from the root as one of another tree, as far as there is one. */
function follow(from, node) {
	const path = [];
	for (; node > 0; node = from.parent[node])
		path.push(from.label[node]);
	let at = 0;
	while (path.length) {
		const label = path.pop(), next = someChild(at, (child) => tree.label[child] === label);
		if (next < 0)
			break;
		at = next;
	}
	return at;
}

/* The whole, or of it the chosen threads, without native frames, turned round. */
function rawTree() {
	const key = [state.threads, state.python, state.inverted].join(" ");
	const isNative = (label) => label >= 0 && (labels[label].kind === KIND.NATIVE || labels[label].kind === KIND.KERNEL);
	if (made.has(key))
		return made.get(key);
	let result = state.threads ? ofThreads(whole, state.threads.split(",").map(Number)) : whole;
	if (state.python)
		result = without(result, isNative);
	if (state.inverted)
		result = invertTree(result);
	made.set(key, result);
	return result;
}

/* Shows what the state says, at the same place if that is still there. */
function show(changes = {}) {
	const from = tree, turned = "inverted" in changes && changes.inverted !== state.inverted;
	Object.assign(state, changes);
	raw = rawTree();
	tree = arrange(raw, state.side);
	tree.scale = differs ? scaleOf(tree, state.scale) : 1;
	const zoom = turned ? 0 : follow(from, state.zoom), focus = turned ? 0 : follow(from, state.focus);
	Object.assign(state, { zoom, focus, hover: -1, trail: [] });
	for (const [id, on] of [["invert", state.inverted], ["flip", state.flames], ["own", state.own], ["python", state.python]])
		$(id).setAttribute("aria-pressed", on);
	fillLegend();
	measure();
	graph.scrollTop = state.flames ? graph.scrollHeight : 0;
	showPath();
	showMatches();
	say(tree.cut ? `The inverted view is cut after ${tree.cut} callers.` :
		tree.total[0] ? HINT : state.side === SIDE.GONE ? "No stack is gone." : "No samples were collected.");
}

// ---------------------------------------------------------------- threads

/* Processes and their threads, those with most samples first. */
function fillThreads() {
	const select = $("threads"), processes = new Map();
	data.threads.forEach(([pid, comm, tid, name], at) => {
		const process = processes.get(pid) ?? { title: `process ${pid} ${comm}`, threads: [], total: 0 };
		const total = data.counts[at].reduce((sum, n) => sum + n, 0);
		processes.set(pid, process);
		process.threads.push({ at, title: `thread ${tid} ${name}`, total });
		process.total += total;
	});
	const option = (into, value, { title, total }) =>
		into.append(Object.assign(element("option", `${title} · ${percent(total, tree.total[0])}`), { value }));
	const bySize = (a, b) => b.total - a.total;
	for (const process of [...processes.values()].sort(bySize)) {
		const group = processes.size > 1 ? select.appendChild(Object.assign(element("optgroup"), { label: process.title })) : select;
		if (processes.size > 1)
			option(group, process.threads.map(({ at }) => at).join(), { title: "all of " + process.title, total: process.total });
		process.threads.sort(bySize).forEach((thread) => option(group, thread.at, thread));
	}
	select.hidden = false;
	select.addEventListener("change", () => {
		show({ threads: select.value });
	});
}

// ---------------------------------------------------------------- differences

function startDiff() {
	const select = (id, name, value) => {
		$(id).hidden = false;
		$(id).addEventListener("change", () => show({ [name]: value($(id).value) }));
	};
	select("side", "side", Number);
	select("scale", "scale", String);
	$("scale").hidden = !unit;
	$("own").hidden = false;
	$("own").addEventListener("click", () => show({ own: !state.own }));
	const [now, old] = tree.sides, list = $("facts-old");
	const gone = tree.sides[SIDE.GONE].total[0];
	$("side").options[SIDE.GONE].text = gone ? `Gone stacks: ${percent(gone, old.total[0])}` : "Gone stacks: none";
	document.title = `${data.meta.title} – keelback differences`;
	$("title").textContent = `${data.meta.title}, compared with ${data.baseline.meta.title}`;
	$("facts").replaceChildren();
	fillFacts($("facts"), data.meta, now.total[0], "new");
	fillFacts(list, data.baseline.meta, old.total[0], "old");
	list.hidden = false;
	$("ledger").querySelector("table").remove();
	const sums = [fillLedger(data, "New"), fillLedger(data.baseline, "Old")];
	$("ledger").querySelector("summary").textContent = `New: ${sums[0]}. Old: ${sums[1]}`;
	const notes = [["native", KIND.NATIVE], ["kernel", KIND.KERNEL]].filter(([, kind]) => {
		const has = (self) => self.some((value, i) => value && labels[whole.label[i]]?.kind === kind);
		return has(whole.selfs[SIDE.NEW]) !== has(whole.selfs[SIDE.OLD]);
	});
	for (const [name] of notes)
		$("facts").append(element("li", `only one of the two has ${name} frames`, "warn"));
}

// ---------------------------------------------------------------- events

function cycle(id) {
	const select = $(id);
	if (select.hidden)
		return false;
	select.selectedIndex = (select.selectedIndex + 1) % select.options.length;
	select.dispatchEvent(new Event("change"));
	return true;
}

function clear() {
	canvas.focus();
	$("search").value = "";
	search("");
	hideTip();
}

function listenToKeys() {
	const move = (event) => {
		const next = neighbour(event.key);
		canvas.focus({ preventScroll: true });
		if (next >= 0)
			focusOn(next);
	};
	onKeys({
		"/": () => { $("search").focus(); $("search").select(); },
		n: () => nextMatch(1),
		p: () => nextMatch(-1),
		"0": reset,
		Backspace: () => state.trail.length ? zoomTo(state.trail.pop(), true) : reset(),
		i: () => show({ inverted: !state.inverted }),
		f: () => show({ flames: !state.flames }),
		t: () => $("threads").hidden ? false : $("threads").focus(),
		v: () => cycle("side"),
		c: () => cycle("scale"),
		k: () => hasNative && show({ python: !state.python }),
		s: () => differs && show({ own: !state.own }),
		d: () => $("theme").click(),
		"?": () => $("help").showModal(),
		Enter: () => zoomTo(state.focus),
		Escape: clear,
		ArrowUp: move, ArrowDown: move, ArrowLeft: move, ArrowRight: move,
	}, { Escape: clear, Enter: () => { canvas.focus(); } });
}

function listen() {
	canvas.addEventListener("mousemove", showTip);
	canvas.addEventListener("mouseleave", hideTip);
	canvas.addEventListener("click", (event) => {
		const node = nodeAt(event.clientX, event.clientY);
		if (node < 0)
			return;
		hideTip();
		zoomTo(node);
		say(describe(node));
	});
	canvas.addEventListener("focus", redraw);
	canvas.addEventListener("blur", redraw);
	graph.addEventListener("scroll", redraw, { passive: true });
	$("search").addEventListener("input", (event) => search(event.target.value));
	$("reset").addEventListener("click", reset);
	$("invert").addEventListener("click", () => show({ inverted: !state.inverted }));
	$("python").addEventListener("click", () => show({ python: !state.python }));
	$("flip").addEventListener("click", () => show({ flames: !state.flames }));
	new ResizeObserver(redraw).observe(graph);
	listenToKeys();
}

showHeader("flame graph", tree.total[0]);
for (const item of document.querySelectorAll(differs ? ".not-diff" : ".only-diff"))
	item.hidden = true;
for (const item of document.querySelectorAll(".only-threads"))
	item.hidden = !data.threads;
const hasNative = labels.some(({ kind }) => kind === KIND.NATIVE || kind === KIND.KERNEL);
for (const item of [$("python"), ...document.querySelectorAll(".only-native")])
	item.hidden = !hasNative;
if (data.threads)
	fillThreads();
if (data.manyThreads)
	$("facts").append(element("li", "too many stacks to choose threads: use --threads", "warn"));
if (differs)
	startDiff();
startTheme();
listen();
show();
