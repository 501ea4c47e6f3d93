// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Drawing. Frames are drawn on a canvas as large as the window, not as the graph:
 * only what is wide enough and in view is visited, so the cost does not depend on
 * how much was sampled.
 */
const ROW = 20; // px
const FRAME_WIDTH_MIN = 0.5; // px, narrower frames and what is below them are not drawn
const TEXT_WIDTH_MIN = 26; // px, narrower frames have no text
const PRINT_HEIGHT_MAX = 8000; // px, canvases have a limit
const KIND = { FRAME: 0, MARKER: 1, PROCESS: 2, THREAD: 3, NATIVE: 4, KERNEL: 5 }; // as enum kb_label_kind

const canvas = $("canvas"), graph = $("graph"), room = $("room"), tip = $("tip");
const context = canvas.getContext("2d");
const differs = Boolean(data.baseline);

// ---------------------------------------------------------------- labels and colours

const labels = data.labels.map(([kind, name, file, line]) => ({ kind, name, file: data.files[file], line }));
const everything = { kind: KIND.MARKER, name: "all", file: "", line: 0 };
const labelOf = (node) => tree.label[node] < 0 ? everything : labels[tree.label[node]];

const nameOf = ({ kind, name, line }) =>
	(kind === KIND.PROCESS ? "process " : kind === KIND.THREAD ? "thread " : "") +
	((kind === KIND.PROCESS || kind === KIND.THREAD) && line ? line + " " : "") + (name || "?");
const placeOf = ({ kind, file, line }) => kind === KIND.KERNEL ? "kernel" :
	kind === KIND.FRAME || kind === KIND.NATIVE ? (file || "?") + (line > 0 ? ":" + line : "") : "";
const fullName = (label) => nameOf(label) + (placeOf(label) ? ` (${placeOf(label)})` : "");

function hash(text) { // FNV-1a, folded
	let value = 0x811c9dc5;
	for (let i = 0; i < text.length; i++)
		value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
	value ^= value >>> 15;
	value = Math.imul(value, 0x2c1b3c6d);
	return (value ^ value >>> 13) >>> 0;
}

/* A file of Python has a hue from green to violet, native code is amber, the kernel red, what is no code grey; functions
 * of one file differ a little in lightness. */
const HUES = { [KIND.NATIVE]: 36, [KIND.KERNEL]: 6 };
function colorOf(label, dark) {
	if (label.kind !== KIND.FRAME && !HUES[label.kind])
		return dark ? "hsl(215 8% 32%)" : "hsl(215 12% 85%)";
	const hue = HUES[label.kind] ?? 90 + hash(label.file) % 210, shade = hash(label.name) % 7;
	return dark ? `hsl(${hue} ${label.kind === KIND.FRAME ? 36 : 48}% ${31 + shade}%)` :
		`hsl(${hue} ${label.kind === KIND.FRAME ? 58 : 80}% ${75 + shade * 1.2}%)`;
}

/* From -1, gone, over 0 to 1, new. */
function changeColor(change, dark) {
	const size = Math.min(1, Math.abs(change)), hue = change > 0 ? 8 : 216;
	if (!change)
		return dark ? "hsl(215 5% 27%)" : "hsl(215 8% 88%)";
	return dark ? `hsl(${hue} ${30 + 40 * size}% ${27 + 15 * size}%)` : `hsl(${hue} ${50 + 40 * size}% ${86 - 20 * size}%)`;
}

let palette = [], colors = {}, dark = false, pending = false;

themed.push((theme) => {
	const style = getComputedStyle(document.documentElement);
	for (const name of ["page", "text", "soft", "accent", "on-accent", "frame-text"])
		colors[name] = style.getPropertyValue("--" + name).trim();
	colors.font = "12px " + style.getPropertyValue("--font");
	dark = theme === "dark";
	palette = [...labels, everything].map((label) => colorOf(label, dark));
	fillLegend();
	if (printing)
		draw();
	else
		redraw();
});

function fillLegend() {
	const swatch = (color, text) => {
		const item = element("li"), box = item.appendChild(element("i"));
		box.style.background = color;
		item.append(text);
		return item;
	};
	if (differs) {
		const scale = swatch("", "✚ new"), steps = [-1, -0.5, -0.1, 0, 0.1, 0.5, 1].map((change) => changeColor(change, dark));
		scale.firstChild.className = "scale";
		scale.firstChild.style.background = `linear-gradient(to right, ${steps.join()})`;
		scale.prepend(`Change of the ${state.scale === "times" ? "time" : "share of the recording"}${state.own ? ", in itself" : ""}: gone ▼ less `);
		scale.firstChild.after(" ");
		scale.lastChild.before("more ▲ ");
		$("legend").replaceChildren(scale);
		return;
	}
	const hue = (at) => colorOf({ kind: KIND.FRAME, file: "", name: "" }, dark).replace(/\d+/, at);
	const kinds = new Set(labels.map((label) => label.kind)), entries = [];
	if (kinds.has(KIND.FRAME))
		entries.push(swatch(`linear-gradient(to right, ${[100, 160, 220, 290].map(hue).join()})`, "Python, a colour for each file"));
	if (kinds.has(KIND.NATIVE))
		entries.push(swatch(colorOf({ kind: KIND.NATIVE, name: "" }, dark), "native code"));
	if (kinds.has(KIND.KERNEL))
		entries.push(swatch(colorOf({ kind: KIND.KERNEL, name: "" }, dark), "kernel"));
	if (labels.slice(0, -1).some((label) => label.kind === KIND.MARKER)) // the last is of stacks too small to draw
		entries.push(swatch(colorOf({ kind: KIND.MARKER }, dark), "marker, no function"));
	$("legend").replaceChildren(...entries);
}

// ---------------------------------------------------------------- drawing

const redraw = () => {
	if (!pending)
		requestAnimationFrame(draw);
	pending = true;
};
const rowTop = (depth) => (state.flames ? shownDepths - depth : depth) * ROW;

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
	const match = found?.[tree.label[node]], change = differs ? changeOf(tree, node, state.own, tree.scale) : 0;
	context.globalAlpha = faded ? 0.55 : found && !match ? 0.35 : 1;
	context.fillStyle = match ? colors.accent : differs ? changeColor(change, dark) :
		palette.at(tree.label[node]); // -1: the last, of everything
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
	const sign = !change ? "" : change === 1 ? "✚ " : change > 0 ? "▲ " : "▼ ";
	context.globalAlpha = faded ? 0.75 : found && !match ? 0.6 : 1;
	context.fillStyle = match ? colors["on-accent"] : colors["frame-text"];
	context.fillText(fit(sign + (width > 260 ? fullName(label) : nameOf(label)), width - 10), x + 5, y + ROW / 2);
}

/* Frames too narrow to be seen, one pale block for all that stand together. */
function drawRest(x, y, width) {
	context.globalAlpha = 0.25;
	context.fillStyle = colors.soft;
	context.fillRect(x, y, width, ROW - 1);
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
		if (tree.total[i] * scale < FRAME_WIDTH_MIN) {
			const parent = tree.parent[i];
			let rest = 0;
			for (; i < tree.end[parent] && tree.total[i] * scale < FRAME_WIDTH_MIN; i = tree.end[i])
				rest += tree.total[i];
			if (inView(y))
				drawRest(x, y, rest * scale);
		} else if (state.flames ? y + ROW <= 0 : y >= height) { // and so is all that it calls
			i = tree.end[i];
		} else {
			if (inView(y) && ++drawn)
				drawFrame(i, x, y, tree.total[i] * scale, false);
			i++;
		}
	}
	Object.assign(canvas.dataset, {
		frames: drawn, zoom: nameOf(labelOf(state.zoom)), focus: nameOf(labelOf(state.focus)),
		inverted: state.inverted, nodes: tree.n, row: ROW,
	});
}

// ---------------------------------------------------------------- finding nodes

const isAncestor = (node, of) => node <= of && of < tree.end[node];
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
	let before = -1;
	someChild(parent, (child) => {
		if (child < node && wideEnough(child))
			before = child;
		return child >= node;
	});
	return before;
}
