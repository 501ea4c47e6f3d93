// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A tree is a set of typed arrays in preorder: node i's subtree is i … end[i] - 1,
 * and node 0 stands for everything. Frames are drawn on a canvas as large as the
 * window, not as the graph: drawing visits only what is wide enough and in view,
 * so its cost does not depend on how much was sampled.
 *
 * Names come from the profiled program. They reach the page as text nodes and
 * canvas text only, never as markup.
 */
"use strict";
(() => {
const ROW = 20; // px
const FRAME_WIDTH_MIN = 0.5; // px, narrower frames and what is below them are not drawn
const TEXT_WIDTH_MIN = 26; // px, narrower frames have no text
const INVERT_STEPS_MAX = 4e6; // stacks times levels: about a second
const INVERT_LEVELS_MIN = 30;
const PRINT_HEIGHT_MAX = 8000; // px, canvases have a limit
const PATH_ITEMS_MAX = 12;
const HINT = "Arrow keys move, Enter zooms, ? shows all keys.";
const KIND = { FRAME: 0, MARKER: 1, PROCESS: 2, THREAD: 3 };

const $ = (id) => document.getElementById(id);
const data = JSON.parse($("data").textContent);
const canvas = $("canvas"), graph = $("graph"), room = $("room"), tip = $("tip");
const context = canvas.getContext("2d");
const count = (n) => n.toLocaleString("en-US");
const percent = (part, whole) => {
	const value = whole > 0 ? part / whole * 100 : 0;
	return value.toFixed(value > 0 && value < 0.995 ? 2 : 1) + " %";
};
const element = (tag, text = "", className = "") =>
	Object.assign(document.createElement(tag), { textContent: text, className });

// ---------------------------------------------------------------- trees

const newTree = (n) => ({
	n, cut: 0, // cut: levels after which an inverted tree ends
	label: new Int32Array(n).fill(-1), parent: new Int32Array(n).fill(-1),
	depth: new Int32Array(n), end: new Int32Array(n),
	self: new Float64Array(n), total: new Float64Array(n), start: new Float64Array(n),
});

/* Fills end, total and start, in samples from the left edge, from parent and self. */
function finish(tree) {
	const next = new Float64Array(tree.n);
	for (let i = tree.n - 1; i >= 0; i--) {
		const parent = tree.parent[i];
		tree.end[i] = Math.max(tree.end[i], i + 1);
		tree.total[i] += tree.self[i];
		if (parent >= 0) {
			tree.total[parent] += tree.total[i];
			tree.end[parent] = Math.max(tree.end[parent], tree.end[i]);
		}
	}
	for (let i = 1; i < tree.n; i++) {
		const parent = tree.parent[i];
		tree.depth[i] = tree.depth[parent] + 1;
		tree.start[i] = tree.start[parent] + next[parent];
		next[parent] += tree.total[i];
	}
	return tree;
}

/* data.up[i]: how many levels above its predecessor's child level a node stands. */
function readTree() {
	const n = data.label.length, tree = newTree(n + 1), stack = [0];
	for (let i = 0; i < n; i++) {
		stack.length -= data.up[i];
		tree.label[i + 1] = data.label[i];
		tree.self[i + 1] = data.self[i];
		tree.parent[i + 1] = stack[stack.length - 1];
		stack.push(i + 1);
	}
	return finish(tree);
}

/*
 * Turns stacks round: what was executing is next to the root, its callers follow.
 * An entry stands for the stacks in leaves, seen from the ancestors in at.
 */
function invertTree(from) {
	const leaves = [];
	for (let i = 1; i < from.n; i++)
		if (from.self[i] > 0)
			leaves.push(i);
	const levels = Math.max(INVERT_LEVELS_MIN, Math.floor(INVERT_STEPS_MAX / (leaves.length || 1)));
	const made = { label: [], parent: [], self: [] };
	let cut = 0;
	const group = (entry) => {
		const groups = new Map();
		entry.at.forEach((node, k) => {
			if (node <= 0) {
				made.self[entry.node] += from.self[entry.leaves[k]];
				return;
			}
			const label = from.label[node], into = groups.get(label) ??
				{ label, parent: entry.node, depth: entry.depth + 1, at: [], leaves: [], total: 0 };
			groups.set(label, into);
			into.at.push(from.parent[node]);
			into.leaves.push(entry.leaves[k]);
			into.total += from.self[entry.leaves[k]];
		});
		return [...groups.values()].sort((a, b) => a.total - b.total || b.label - a.label); // the largest is popped first
	};
	const pending = [{ label: -1, parent: -1, depth: 0, at: leaves, leaves }];
	while (pending.length) {
		const entry = pending.pop();
		entry.node = made.label.push(entry.label) - 1;
		made.parent.push(entry.parent);
		made.self.push(0);
		if (entry.depth >= levels) {
			made.self[entry.node] = entry.total;
			cut = levels;
			continue;
		}
		pending.push(...group(entry));
	}
	const tree = newTree(made.label.length);
	for (const name in made)
		tree[name].set(made[name]);
	tree.cut = cut;
	return finish(tree);
}

const trees = [readTree(), null];
let tree = trees[0];

// ---------------------------------------------------------------- labels and colours

const labels = data.labels.map(([kind, name, file, line]) => ({ kind, name, file: data.files[file], line }));
const everything = { kind: KIND.MARKER, name: "all", file: "", line: 0 };
const labelOf = (node) => tree.label[node] < 0 ? everything : labels[tree.label[node]];

const nameOf = ({ kind, name, line }) =>
	(kind === KIND.PROCESS ? `process ${line} ` : kind === KIND.THREAD ? `thread ${line} ` : "") + (name || "?");
const placeOf = ({ kind, file, line }) =>
	kind === KIND.FRAME ? (file || "?") + (line > 0 ? ":" + line : "") : "";
const fullName = (label) => nameOf(label) + (placeOf(label) ? ` (${placeOf(label)})` : "");

function hash(text) { // FNV-1a, folded
	let value = 0x811c9dc5;
	for (let i = 0; i < text.length; i++)
		value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
	value ^= value >>> 15;
	value = Math.imul(value, 0x2c1b3c6d);
	return (value ^ value >>> 13) >>> 0;
}

/* A file has a hue; its functions differ a little in lightness. */
const makePalette = (dark) => [...labels, everything].map((label) => {
	if (label.kind !== KIND.FRAME)
		return dark ? "hsl(215 8% 32%)" : "hsl(215 12% 85%)";
	const hue = hash(label.file) % 360, shade = hash(label.name) % 7;
	return dark ? `hsl(${hue} 36% ${31 + shade}%)` : `hsl(${hue} 58% ${75 + shade * 1.2}%)`;
});

// ---------------------------------------------------------------- state

const state = { zoom: 0, focus: 0, hover: -1, inverted: false, flames: false, theme: "light", trail: [] };
let found = null; // by label: matches the search; null: no search
let shownDepths = 0; // rows of the zoomed view
let palette = [], colors = {}, printing = false, pending = false;

const redraw = () => {
	if (!pending)
		requestAnimationFrame(draw);
	pending = true;
};
const rowTop = (depth) => (state.flames ? shownDepths - depth : depth) * ROW;
const isAncestor = (node, of) => node <= of && of < tree.end[node];

function setTheme(theme) {
	state.theme = document.documentElement.dataset.theme = theme;
	const style = getComputedStyle(document.documentElement);
	for (const name of ["page", "text", "soft", "accent", "on-accent", "frame-text"])
		colors[name] = style.getPropertyValue("--" + name).trim();
	colors.font = "12px " + style.getPropertyValue("--font");
	palette = makePalette(theme === "dark");
	redraw();
}

/* The theme kept from last time, or a new one to keep. Storage may be refused, on file:// above all. */
function keptTheme(theme) {
	try {
		if (theme)
			localStorage.setItem("keelback-theme", theme);
		return localStorage.getItem("keelback-theme");
	} catch {
		return null;
	}
}

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

function setView(inverted, flames) {
	if (inverted && !trees[1])
		trees[1] = invertTree(trees[0]);
	if (inverted !== state.inverted)
		Object.assign(state, { zoom: 0, focus: 0, hover: -1, trail: [] });
	Object.assign(state, { inverted, flames });
	tree = trees[inverted ? 1 : 0];
	$("invert").setAttribute("aria-pressed", inverted);
	$("flip").setAttribute("aria-pressed", flames);
	measure();
	graph.scrollTop = flames ? graph.scrollHeight : 0;
	showPath();
	showMatches();
	say(tree.cut ? `The inverted view is cut after ${tree.cut} callers.` : HINT);
}

// ---------------------------------------------------------------- drawing

function resize() {
	const scale = window.devicePixelRatio || 1, width = room.clientWidth;
	const full = (shownDepths + 1) * ROW;
	const height = printing ? Math.min(full, PRINT_HEIGHT_MAX) : graph.clientHeight - 10;
	if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
		canvas.width = Math.round(width * scale);
		canvas.height = Math.round(height * scale);
		canvas.style.height = height + "px";
	}
	context.setTransform(scale, 0, 0, scale, 0, 0);
	return { width, height, top: printing ? 0 : graph.scrollTop };
}

/* As much of text as fits, found by halving. */
function fit(text, width) {
	if (context.measureText(text).width <= width)
		return text;
	const characters = Array.from(text.slice(0, Math.ceil(width / 2))); // none is narrower than 2 px
	let low = 0, high = characters.length;
	while (low < high) {
		const middle = (low + high + 1) >> 1;
		if (context.measureText(characters.slice(0, middle).join("") + "…").width <= width)
			low = middle;
		else
			high = middle - 1;
	}
	return low > 1 ? characters.slice(0, low).join("") + "…" : "";
}

function drawFrame(node, x, y, width, faded) {
	const label = labelOf(node), gap = width > 3 ? 1 : 0;
	const match = found?.[tree.label[node]];
	context.globalAlpha = faded ? 0.55 : found && !match ? 0.35 : 1;
	context.fillStyle = match ? colors.accent : palette.at(tree.label[node]); // -1: the last, of everything
	context.fillRect(x, y, width - gap, ROW - 1);
	const focused = node === state.focus && document.activeElement === canvas;
	if (focused || node === state.hover) {
		context.globalAlpha = 1;
		context.strokeStyle = focused ? colors.accent : colors.text;
		context.lineWidth = focused ? 2 : 1;
		context.strokeRect(x + 1, y + 1, Math.max(1, width - gap - 2), ROW - 3);
	}
	if (width < TEXT_WIDTH_MIN)
		return;
	context.globalAlpha = faded ? 0.75 : found && !match ? 0.6 : 1;
	context.fillStyle = match ? colors["on-accent"] : colors["frame-text"];
	context.fillText(fit(width > 260 ? fullName(label) : nameOf(label), width - 10), x + 5, y + ROW / 2);
}

function draw() {
	pending = false;
	const { width, height, top } = resize();
	const scale = width / (tree.total[state.zoom] || 1), left = tree.start[state.zoom];
	let drawn = 0;
	context.globalAlpha = 1;
	context.fillStyle = colors.page;
	context.fillRect(0, 0, width, height);
	context.font = colors.font;
	context.textBaseline = "middle";
	const inView = (y) => y + ROW > 0 && y < height;
	for (let node = state.zoom; node >= 0; node = tree.parent[node]) {
		const y = rowTop(tree.depth[node]) - top;
		if (inView(y) && ++drawn)
			drawFrame(node, 0, y, width, node !== state.zoom);
	}
	for (let i = state.zoom + 1; i < tree.end[state.zoom];) {
		const x = (tree.start[i] - left) * scale, y = rowTop(tree.depth[i]) - top;
		const wide = tree.total[i] * scale, parent = tree.parent[i];
		if (wide < FRAME_WIDTH_MIN) { // and so are the siblings after it: one pale block for all
			const rest = tree.start[parent] + tree.total[parent] - tree.self[parent] - tree.start[i];
			context.globalAlpha = 0.25;
			context.fillStyle = colors.soft;
			context.fillRect(x, y, rest * scale, ROW - 1);
			i = tree.end[parent];
		} else if (state.flames ? y + ROW <= 0 : y >= height) { // and so is all that it calls
			i = tree.end[i];
		} else {
			if (inView(y) && ++drawn)
				drawFrame(i, x, y, wide, false);
			i++;
		}
	}
	Object.assign(canvas.dataset, {
		frames: drawn, zoom: nameOf(labelOf(state.zoom)), focus: nameOf(labelOf(state.focus)),
		inverted: state.inverted, nodes: tree.n, row: ROW,
	});
}

// ---------------------------------------------------------------- finding nodes

const wideEnough = (node) => tree.total[node] / (tree.total[state.zoom] || 1) * room.clientWidth >= FRAME_WIDTH_MIN;

/* Calls back for each child from left to right until that returns true. */
function someChild(node, test) {
	for (let i = node + 1; i < tree.end[node]; i = tree.end[i])
		if (test(i))
			return i;
	return -1;
}

function nodeAt(clientX, clientY) {
	const box = canvas.getBoundingClientRect(), x = clientX - box.left, y = clientY - box.top + graph.scrollTop;
	if (x < 0 || x >= box.width || clientY < box.top || clientY >= box.bottom)
		return -1;
	const row = Math.floor(y / ROW), depth = state.flames ? shownDepths - row : row;
	if (depth < 0 || depth > shownDepths)
		return -1;
	let node = state.zoom;
	while (tree.depth[node] > depth)
		node = tree.parent[node];
	const sample = tree.start[state.zoom] + x / box.width * tree.total[state.zoom];
	while (node >= 0 && tree.depth[node] < depth)
		node = someChild(node, (child) => sample < tree.start[child] + tree.total[child]);
	return node >= 0 && (isAncestor(node, state.zoom) || wideEnough(node)) ? node : -1;
}

/* The neighbour of the focused frame in a direction, or -1. */
function neighbour(key) {
	const node = state.focus, parent = tree.parent[node];
	if (key === "ArrowUp" || key === "ArrowDown") {
		if ((key === "ArrowUp") === !state.flames)
			return parent;
		if (node !== state.zoom && isAncestor(node, state.zoom))
			return someChild(node, (child) => isAncestor(child, state.zoom));
		return someChild(node, wideEnough);
	}
	if (node === state.zoom || isAncestor(node, state.zoom))
		return -1;
	if (key === "ArrowRight")
		return someChild(parent, (child) => child > node && wideEnough(child));
	return someChild(parent, (child) => tree.end[child] === node);
}

// ---------------------------------------------------------------- words

const say = (text) => {
	$("status").textContent = text;
};

function describe(node) {
	return `${fullName(labelOf(node))}: ${count(tree.total[node])} samples, ` +
		`${percent(tree.total[node], tree.total[0])} of all` +
		(tree.self[node] && !state.inverted ? `, ${count(tree.self[node])} in itself` : "");
}

function showTip(event) {
	const node = nodeAt(event.clientX, event.clientY);
	canvas.style.cursor = node >= 0 ? "pointer" : "default";
	if (node !== state.hover) {
		state.hover = node;
		redraw();
		if (node >= 0)
			fillTip(node);
	}
	tip.hidden = node < 0;
	if (node < 0)
		return;
	const box = tip.getBoundingClientRect();
	const over = event.clientY + 18 + box.height > window.innerHeight;
	tip.style.left = Math.max(8, Math.min(event.clientX + 14, window.innerWidth - box.width - 8)) + "px";
	tip.style.top = Math.max(8, over ? event.clientY - box.height - 12 : event.clientY + 18) + "px";
}

function fillTip(node) {
	const label = labelOf(node), table = element("table"), parent = tree.parent[node];
	const add = (...cells) => table.insertRow().append(...cells.map((text) => element("td", text)));
	add("samples", count(tree.total[node]));
	if (!state.inverted)
		add("in itself", count(tree.self[node]), percent(tree.self[node], tree.total[0]));
	add("of all", "", percent(tree.total[node], tree.total[0]));
	if (parent >= 0)
		add(state.inverted ? "of its callee" : "of its caller", "", percent(tree.total[node], tree.total[parent]));
	tip.replaceChildren(element("b", nameOf(label)), element("div", placeOf(label), "place"), table);
}

function hideTip() {
	tip.hidden = true;
	state.hover = -1;
	redraw();
}

function showPath() {
	const nodes = [], path = $("path");
	for (let node = state.zoom; node >= 0 && state.zoom; node = tree.parent[node])
		nodes.unshift(node);
	const hidden = Math.max(0, nodes.length - PATH_ITEMS_MAX);
	nodes.splice(1, hidden);
	path.replaceChildren();
	nodes.forEach((node, at) => {
		const button = element("button", nameOf(labelOf(node)));
		button.type = "button";
		button.title = fullName(labelOf(node));
		button.addEventListener("click", () => zoomTo(node));
		if (node === state.zoom)
			button.setAttribute("aria-current", "location");
		if (at)
			path.append(element("span", hidden && at === 1 ? "› … ›" : "›"));
		path.append(button);
	});
	$("reset").disabled = !state.zoom;
}

// ---------------------------------------------------------------- search

function search(text) {
	let pattern, bad = false;
	try {
		pattern = new RegExp(text, "i");
	} catch {
		pattern = new RegExp(text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "i");
		bad = true;
	}
	found = text ? labels.map((label) => pattern.test(fullName(label))) : null;
	$("matches").classList.toggle("bad", bad);
	$("matches").title = bad ? "No valid regular expression: searched as it stands" : "";
	showMatches();
	redraw();
}

/* A stack counts once, however many of its frames match. */
function showMatches() {
	let samples = 0, inside = 0;
	for (let i = 1; found && i < tree.n;) {
		if (!found[tree.label[i]]) {
			i++;
			continue;
		}
		samples += tree.total[i];
		if (isAncestor(state.zoom, i))
			inside += tree.total[i];
		else if (isAncestor(i, state.zoom))
			inside = tree.total[state.zoom];
		i = tree.end[i];
	}
	$("matches").textContent = !found ? "" : percent(samples, tree.total[0]) +
		(state.zoom ? ` of all, ${percent(inside, tree.total[state.zoom])} here` : ` · ${count(samples)} samples`);
}

// ---------------------------------------------------------------- events

function onKey(event) {
	const typing = event.target === $("search"), leave = typing && event.key === "Enter";
	const onButton = event.target.closest?.("button, summary") && event.key === "Enter";
	if ($("help").open || event.ctrlKey || event.metaKey || event.altKey)
		return;
	if (leave || event.key === "Escape")
		canvas.focus();
	if (onButton || typing && event.key !== "Escape")
		return;
	const actions = {
		"/": () => { $("search").focus(); $("search").select(); },
		"0": reset,
		Backspace: () => state.trail.length ? zoomTo(state.trail.pop(), true) : reset(),
		i: () => setView(!state.inverted, state.flames),
		f: () => setView(state.inverted, !state.flames),
		d: () => $("theme").click(),
		"?": () => $("help").showModal(),
		Enter: () => zoomTo(state.focus),
		Escape: () => { search($("search").value = ""); hideTip(); },
	};
	if (event.key.startsWith("Arrow")) {
		const next = neighbour(event.key);
		canvas.focus({ preventScroll: true });
		if (next >= 0) {
			state.focus = next;
			reveal(next);
			say(describe(next));
		}
	} else if (actions[event.key]) {
		actions[event.key]();
	} else {
		return;
	}
	event.preventDefault();
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
	document.addEventListener("keydown", onKey);
	$("search").addEventListener("input", (event) => search(event.target.value));
	$("reset").addEventListener("click", reset);
	$("invert").addEventListener("click", () => setView(!state.inverted, state.flames));
	$("flip").addEventListener("click", () => setView(state.inverted, !state.flames));
	$("ask").addEventListener("click", () => $("help").showModal());
	$("theme").addEventListener("click", () => {
		setTheme(state.theme === "dark" ? "light" : "dark");
		keptTheme(state.theme);
	});
	new ResizeObserver(redraw).observe(graph);
	let before;
	window.addEventListener("beforeprint", () => {
		before = state.theme;
		printing = true;
		setTheme("light");
		draw();
	});
	window.addEventListener("afterprint", () => {
		printing = false;
		setTheme(before);
	});
	const system = window.matchMedia("(prefers-color-scheme: dark)");
	const choose = () => setTheme(keptTheme() || (system.matches ? "dark" : "light"));
	system.addEventListener("change", choose);
	choose();
}

// ---------------------------------------------------------------- header

function showHeader() {
	const meta = data.meta, seconds = meta.duration_ns / 1e9;
	$("title").textContent = meta.title;
	document.title = meta.title + " – keelback flame graph";
	const facts = [
		count(tree.total[0]) + " samples",
		meta.rate > 0 ? `${count(Math.round(meta.rate * 10) / 10)} Hz, ${meta.clock}` : meta.clock,
		seconds.toFixed(seconds < 10 ? 2 : 1) + " s",
		meta.start_ms > 0 ? new Date(meta.start_ms).toISOString().slice(0, 19).replace("T", " ") + " UTC" : "",
		meta.host, meta.kernel, meta.version && "keelback " + meta.version,
	];
	for (const fact of facts.filter(Boolean))
		$("facts").append(element("li", fact));
	if (meta.incomplete)
		$("facts").append(element("li", "incomplete recording", "warn"));
	const good = data.ledger.filter((entry) => entry.reported).reduce((sum, entry) => sum + entry.count, 0);
	const ledger = $("ledger"), table = ledger.querySelector("table");
	ledger.querySelector("summary").textContent =
		`${count(good)} of ${count(meta.attempted)} attempted samples are shown, ${count(meta.attempted - good)} failed`;
	for (const entry of data.ledger.filter(({ count, reported }) => count || reported))
		table.insertRow().append(element("td", count(entry.count)), element("td", (entry.note ? "Note: " : "") + entry.text));
}

showHeader();
listen();
setView(false, false);
if (!tree.total[0])
	say("No samples were collected.");
})();
