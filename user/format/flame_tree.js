// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Trees. A raw one is as it was written: nodes in preorder with the samples that
 * each of its sides has in a node itself. Node 0 stands for everything. A plain
 * flame graph has one side; a differential one has the new recording, the old
 * one, and of the old one what the new one has not.
 *
 * What is drawn is a tree arranged by one side: nodes with samples there, as typed
 * arrays in preorder; node i's subtree is i … end[i] - 1.
 */
const INVERT_STEPS_MAX = 4e6; // stacks times levels: about a second
const INVERT_LEVELS_MIN = 30;
const SIDE = { NEW: 0, OLD: 1, GONE: 2 };

// ---------------------------------------------------------------- raw trees

/* data.up[i]: how many levels above its predecessor's child level a node stands. */
function readTree() {
	const n = data.label.length + 1, stack = [0];
	const raw = { n, cut: 0, label: new Int32Array(n).fill(-1), parent: new Int32Array(n).fill(-1), selfs: [] };
	for (let i = 1; i < n; i++) {
		stack.length -= data.up[i - 1];
		raw.label[i] = data.label[i - 1];
		raw.parent[i] = stack[stack.length - 1];
		stack.push(i);
	}
	for (const values of [data.self, data.old].filter(Boolean)) {
		const self = new Float64Array(n);
		self.set(values, 1);
		raw.selfs.push(self);
	}
	return raw.selfs[SIDE.OLD] ? addGone(raw) : raw;
}

/* Sums over subtrees. */
function totalsOf(raw, self) {
	const totals = Float64Array.from(self);
	for (let i = raw.n - 1; i > 0; i--)
		totals[raw.parent[i]] += totals[i];
	return totals;
}

function addGone(raw) {
	const now = totalsOf(raw, raw.selfs[SIDE.NEW]);
	raw.selfs[SIDE.GONE] = raw.selfs[SIDE.OLD].map((old, i) => now[i] ? 0 : old);
	return raw;
}

/* The same tree with the samples of some threads alone. */
function ofThreads(raw, threads) {
	const self = new Float64Array(raw.n);
	for (const thread of threads) {
		let node = 1;
		data.nodes[thread].forEach((step, i) => {
			node += step;
			self[node] += data.counts[thread][i];
		});
	}
	return { ...raw, selfs: [self] };
}

/* The same tree without some of the labels: what stands below them moves up, and what then reads the same is one. */
function without(raw, dropped) {
	const made = { label: [-1], parent: [-1], selfs: raw.selfs.map((self) => [self[0]]) };
	const place = new Int32Array(raw.n), children = [new Map()];
	for (let i = 1; i < raw.n; i++) {
		const parent = place[raw.parent[i]], label = raw.label[i];
		let node = dropped(label) ? parent : children[parent].get(label);
		if (node === undefined) {
			node = made.label.push(label) - 1;
			made.parent.push(parent);
			made.selfs.forEach((self) => self.push(0));
			children[parent].set(label, node);
			children.push(new Map());
		}
		place[i] = node;
		made.selfs.forEach((self, side) => {
			self[node] += raw.selfs[side][i];
		});
	}
	// Back to preorder: merged nodes stand where the first of them did.
	const result = { n: made.label.length, cut: raw.cut, label: [], parent: [], selfs: made.selfs.map(() => []) };
	const pending = [[0, -1]];
	while (pending.length) {
		const [node, parent] = pending.pop(), at = result.label.push(made.label[node]) - 1;
		result.parent.push(parent);
		result.selfs.forEach((self, side) => self.push(made.selfs[side][node]));
		pending.push(...[...children[node].values()].reverse().map((child) => [child, at]));
	}
	return result.selfs[SIDE.GONE] ? addGone(result) : result;
}

/*
 * Turns stacks round: what was executing is next to the root, its callers follow.
 * An entry stands for the stacks in leaves, seen from the ancestors in at.
 */
function invertTree(raw) {
	const leaves = [], weight = new Float64Array(raw.n);
	for (let i = 1; i < raw.n; i++) {
		weight[i] = raw.selfs[0][i] + (raw.selfs[1]?.[i] ?? 0);
		if (weight[i] > 0)
			leaves.push(i);
	}
	const levels = Math.max(INVERT_LEVELS_MIN, Math.floor(INVERT_STEPS_MAX / (leaves.length || 1)));
	const made = { label: [], parent: [], selfs: raw.selfs.map(() => []) };
	let cut = 0;
	const count = (node, leaf) => raw.selfs.forEach((self, side) => {
		made.selfs[side][node] += self[leaf];
	});
	const group = (entry) => {
		const groups = new Map();
		entry.at.forEach((node, k) => {
			if (node <= 0) {
				count(entry.node, entry.leaves[k]);
				return;
			}
			const label = raw.label[node], into = groups.get(label) ??
				{ label, parent: entry.node, depth: entry.depth + 1, at: [], leaves: [], weight: 0 };
			groups.set(label, into);
			into.at.push(raw.parent[node]);
			into.leaves.push(entry.leaves[k]);
			into.weight += weight[entry.leaves[k]];
		});
		return [...groups.values()].sort((a, b) => a.weight - b.weight || b.label - a.label); // the largest is popped first
	};
	const pending = [{ label: -1, parent: -1, depth: 0, at: leaves, leaves }];
	while (pending.length) {
		const entry = pending.pop();
		entry.node = made.label.push(entry.label) - 1;
		made.parent.push(entry.parent);
		made.selfs.forEach((self) => self.push(0));
		if (entry.depth >= levels) {
			entry.leaves.forEach((leaf) => count(entry.node, leaf));
			cut = levels;
			continue;
		}
		for (const next of group(entry))
			pending.push(next);
	}
	return { ...made, n: made.label.length, cut };
}

// ---------------------------------------------------------------- what is drawn

/* The nodes that have samples of a side. */
function arrange(raw, side) {
	const totals = raw.selfs.map((self) => totalsOf(raw, self)), place = new Int32Array(raw.n);
	let n = 1;
	for (let i = 1; i < raw.n; i++)
		if (totals[side][i] > 0)
			place[i] = n++;
	const pick = (values, into) => {
		for (let i = 0; i < raw.n; i++)
			if (!i || place[i])
				into[place[i]] = values[i];
		return into;
	};
	const tree = {
		n, cut: raw.cut, // cut: levels after which an inverted tree ends
		label: pick(raw.label, new Int32Array(n)), parent: new Int32Array(n).fill(-1),
		depth: new Int32Array(n), end: new Int32Array(n), start: new Float64Array(n),
		sides: raw.selfs.map((self, k) => ({ self: pick(self, new Float64Array(n)), total: pick(totals[k], new Float64Array(n)) })),
	};
	for (let i = 1; i < raw.n; i++)
		if (place[i])
			tree.parent[place[i]] = place[raw.parent[i]];
	return finish(Object.assign(tree, tree.sides[side]));
}

/* Fills depth, end, and start, in samples from the left edge. */
function finish(tree) {
	const next = new Float64Array(tree.n);
	for (let i = tree.n - 1; i >= 0; i--) {
		const parent = tree.parent[i];
		tree.end[i] = Math.max(tree.end[i], i + 1);
		if (parent >= 0)
			tree.end[parent] = Math.max(tree.end[parent], tree.end[i]);
	}
	for (let i = 1; i < tree.n; i++) {
		const parent = tree.parent[i];
		tree.depth[i] = tree.depth[parent] + 1;
		tree.start[i] = tree.start[parent] + next[parent];
		next[parent] += tree.total[i];
	}
	return tree;
}

// ---------------------------------------------------------------- differences

/* What a sample of the old recording counts in the new one's: shares of different totals, or times. */
const scaleOf = (tree, scale) => scale === "times" ? 1 :
	tree.sides[SIDE.OLD].total[0] > 0 ? tree.sides[SIDE.NEW].total[0] / tree.sides[SIDE.OLD].total[0] : 1;

/* How a node changed, from -1, gone, to 1, new; 0 for what chance explains: counts of samples scatter like their root. */
function changeOf(tree, node, own, scale) {
	const value = own ? "self" : "total";
	const now = tree.sides[SIDE.NEW][value][node], before = tree.sides[SIDE.OLD][value][node] * scale;
	const scatter = inTime ? 0 : 2 * Math.sqrt(now + before * scale);
	return Math.abs(now - before) <= scatter ? 0 : (now - before) / Math.max(now, before);
}
