// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What is said of a frame: in the status line, the tip, the path. */
const PATH_ITEMS_MAX = 12;

const signed = (value, text) => (value > 0 ? "+" : value < 0 ? "−" : "±") + text(Math.abs(value));
const points = (value) => value.toFixed(value > 0 && value < 0.095 ? 2 : 1) + " points";

/* New value, old value and their difference, as what is compared. */
function comparison(node, value) {
	const [now, old] = tree.sides, shareNow = now[value][node] / (now.total[0] || 1), shareOld = old[value][node] / (old.total[0] || 1);
	if (state.scale === "times")
		return [timeOf(now[value][node]), timeOf(old[value][node]), signed((now[value][node] - old[value][node]) / (unit || 1), time)];
	return [percent(shareNow, 1), percent(shareOld, 1), signed((shareNow - shareOld) * 100, points)];
}

/* "56 % more" */
function changeText(node, value) {
	const now = tree.sides[SIDE.NEW][value][node], before = tree.sides[SIDE.OLD][value][node] * tree.scale;
	if (!now || !before)
		return now ? "new" : before ? "gone" : "";
	const change = Math.round(Math.abs(now - before) / before * 100);
	return change ? `${count(change)} % ${now > before ? "more" : "less"}` : "the same";
}

function describe(node) {
	const name = fullName(labelOf(node));
	if (differs) {
		const [now, old, change] = comparison(node, "total");
		return `${name}: ${now}, was ${old}: ${change}, ${changeText(node, "total") || "the same"}`;
	}
	return `${name}: ${amount(tree.total[node])}, ${percent(tree.total[node], tree.total[0])} of all` +
		(tree.self[node] && !state.inverted ? `; ${amount(tree.self[node])} in itself` : "");
}

function tipRows(node) {
	const rows = [], parent = tree.parent[node];
	const number = (n) => inMemory ? size(n) : count(n);
	rows.push([inMemory ? "memory" : things + "s", inTime ? "" : number(tree.total[node]), timeOf(tree.total[node]), percent(tree.total[node], tree.total[0])]);
	if (inTime)
		rows[0] = ["time", timeOf(tree.total[node]), percent(tree.total[node], tree.total[0])];
	if (!state.inverted)
		rows.push(["in itself", inTime ? null : number(tree.self[node]), timeOf(tree.self[node]), percent(tree.self[node], tree.total[0])].filter((cell) => cell !== null));
	if (parent > 0)
		rows.push([state.inverted ? "of its callee" : "of its caller", ...Array(rows[0].length - 2).fill(""), percent(tree.total[node], tree.total[parent])]);
	return rows;
}

function diffRows(node) {
	const rows = [["", "new", "old", "change", ""]], [now, old] = tree.sides;
	for (const [name, value] of state.inverted ? [["total", "total"]] : [["total", "total"], ["in itself", "self"]])
		rows.push([name, ...comparison(node, value), changeText(node, value)]);
	rows.push([inTime ? "time" : "samples", ...[now, old].map((side) => inTime ? timeOf(side.total[node]) : count(side.total[node]))]);
	return rows;
}

function fillTip(node) {
	const label = labelOf(node), table = element("table"), rows = differs ? diffRows(node) : tipRows(node);
	for (const cells of rows)
		table.insertRow().append(...cells.map((text, i) => element(i ? "td" : "th", text)));
	tip.replaceChildren(element("b", nameOf(label)), element("div", placeOf(label), "place"), table);
	if (differs && changeText(node, "total") !== "the same" && !changeOf(tree, node, false, tree.scale))
		tip.append(element("div", "No more than chance explains.", "place"));
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
	const pattern = patternOf(text);
	found = text ? labels.map((label) => pattern.test(fullName(label))) : null;
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
		(state.zoom ? ` of all, ${percent(inside, tree.total[state.zoom])} here` : " · " + (inTime ? timeOf(samples) : counted(samples)));
}

/* Moves to the match behind or before the focused frame, within what is zoomed to. */
function nextMatch(step) {
	const first = state.zoom, n = tree.end[first] - first;
	for (let i = 1; found && i <= n; i++) {
		const node = first + ((state.focus - first + step * i) % n + n) % n;
		if (found[tree.label[node]] && wideEnough(node)) {
			focusOn(node);
			return;
		}
	}
}
