// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What the pages have in common: numbers and times as words, the theme, the
 * header. All scripts of a page are the body of one function.
 *
 * Names come from the profiled program. They reach the page as text nodes and
 * canvas text only, never as markup.
 */
const $ = (id) => document.getElementById(id);
const data = JSON.parse($("data").textContent);
const unit = data.meta.unit === "ns" ? 1e9 : data.meta.rate > 0 ? data.meta.rate : 0; // counts per second, 0: unknown
const inTime = data.meta.unit === "ns"; // counts are times, not samples

const element = (tag, text = "", className = "") =>
	Object.assign(document.createElement(tag), { textContent: text, className });
const count = (n) => n.toLocaleString("en-US");
const percent = (part, whole) => {
	const value = whole > 0 ? part / whole * 100 : 0;
	return value.toFixed(value > 0 && value < 0.995 ? 2 : 1) + " %";
};

/* Three digits, as far as there are that many. */
function time(seconds) {
	const size = Math.abs(seconds);
	const [unit, factor] = size >= 1 || !size ? ["s", 1] : size >= 1e-3 ? ["ms", 1e3] : size >= 1e-6 ? ["µs", 1e6] : ["ns", 1e9];
	const value = seconds * factor, whole = Math.floor(Math.abs(value)).toString().length;
	return (whole > 3 ? count(Math.round(value)) : value.toFixed(factor === 1e9 ? 0 : 3 - whole)) + " " + unit;
}

/* The time that a count stands for, or "" when that is not known. */
const timeOf = (n) => unit ? time(n / unit) : "";
/* A count in its unit, and its time. */
const inMemory = data.meta.unit === "bytes"; // counts are sizes
const things = inMemory || data.meta.unit === "blocks" ? "block" : "sample";
/* A number of bytes, with the unit that fits. */
function size(n) {
	let step = 0;
	for (; n >= 1024 && step < 4; step++)
		n /= 1024;
	return (step ? n.toFixed(1) : count(n)) + " " + ["B", "KiB", "MiB", "GiB", "TiB"][step];
}
const counted = (n) => inMemory ? size(n) : `${count(n)} ${n === 1 ? things : things + "s"}`;
const amount = (n) => inTime ? timeOf(n) : counted(n) + (unit ? ` (${timeOf(n)})` : "");

// ---------------------------------------------------------------- theme

let printing = false;
const themed = []; // called after each change

function setTheme(theme) {
	document.documentElement.dataset.theme = theme;
	themed.forEach((call) => call(theme));
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

function startTheme() {
	const system = window.matchMedia("(prefers-color-scheme: dark)");
	const choose = () => setTheme(keptTheme() || (system.matches ? "dark" : "light"));
	system.addEventListener("change", choose);
	choose();
	$("theme").addEventListener("click", () => {
		setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
		keptTheme(document.documentElement.dataset.theme);
	});
	let before;
	window.addEventListener("beforeprint", () => {
		before = document.documentElement.dataset.theme;
		printing = true;
		setTheme("light");
	});
	window.addEventListener("afterprint", () => {
		printing = false;
		setTheme(before);
	});
}

// ---------------------------------------------------------------- header

const MODES = {
	cpu: "time on a CPU", wall: "wall clock, waiting included", gil: "on a CPU with the GIL held",
	"gil-wait": "waiting for the GIL", exception: "on a CPU, handling an exception",
};

const STATES = { gil: "holding the GIL", gc: "collecting garbage", exception: "handling an exception", offCpu: "off the CPU" };

function facts(meta, total) {
	const seconds = meta.duration_ns / 1e9, plural = (n, one, many) => `${count(n)} ${n === 1 ? one : many}`;
	return [
		MODES[meta.mode] || meta.mode && "mode " + meta.mode,
		amount(total),
		meta.rate > 0 ? `${count(Math.round(meta.rate * 10) / 10)} Hz, ${meta.clock}` : meta.clock,
		seconds.toFixed(seconds < 10 ? 2 : 1) + " s observed",
		plural(meta.processes, "process", "processes") + ", " + plural(meta.threads, "thread", "threads"),
		...Object.entries(meta.states ?? {}).filter(([, share]) => share).map(([name, share]) => `${percent(share, 1)} ${STATES[name]}`),
		meta.pythons.length ? "Python " + meta.pythons.join(", ") : "",
		meta.start_ms > 0 ? new Date(meta.start_ms).toISOString().slice(0, 19).replace("T", " ") + " UTC" : "",
		meta.host, meta.kernel, meta.version && "keelback " + meta.version,
	].filter(Boolean);
}

function fillFacts(list, meta, total, name) {
	if (name)
		list.append(element("li"));
	list.lastChild?.append(element("b", name));
	list.append(...facts(meta, total).map((fact) => element("li", fact)));
	if (meta.incomplete)
		list.append(element("li", "incomplete recording", "warn"));
}

/* One profile's ledger; returns its sum in a line. */
function fillLedger({ meta, ledger }, name) {
	const table = $("ledger").appendChild(element("table"));
	const good = ledger.filter((entry) => entry.reported).reduce((sum, entry) => sum + entry.count, 0);
	const sum = `${count(good)} of ${count(meta.attempted)} attempted ${things}s are shown, ${count(meta.attempted - good)} failed`;
	table.setAttribute("aria-label", "What became of each sample");
	if (name)
		table.append(element("caption", `${name}: ${sum}`));
	for (const entry of ledger.filter(({ count, reported }) => count || reported))
		table.insertRow().append(element("td", count(entry.count)), element("td", (entry.note ? "Note: " : "") + entry.text));
	return sum;
}

function showHeader(kind, total) {
	$("title").textContent = data.meta.title;
	document.title = `${data.meta.title} – keelback ${kind}`;
	fillFacts($("facts"), data.meta, total);
	$("ledger").querySelector("summary").textContent = fillLedger(data);
}

// ---------------------------------------------------------------- small things

const say = (text) => {
	$("status").textContent = text;
};

/* A regular expression, or where it is none, the text as it stands. */
function patternOf(text) {
	let bad = false, pattern;
	try {
		pattern = new RegExp(text, "i");
	} catch {
		pattern = new RegExp(text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "i");
		bad = true;
	}
	$("matches").classList.toggle("bad", bad);
	$("matches").title = bad ? "No valid regular expression: searched as it stands" : "";
	return pattern;
}

/* Runs the action of a key, but where the key means something else. */
function onKeys(actions, whenTyping) {
	document.addEventListener("keydown", (event) => {
		const typing = event.target.matches?.("input, select");
		const onButton = event.target.closest?.("button, summary, a") && event.key === "Enter";
		if ($("help").open || event.ctrlKey || event.metaKey || event.altKey || onButton)
			return;
		const action = typing ? whenTyping[event.key] : actions[event.key];
		if (action && action(event) !== false)
			event.preventDefault();
	});
	$("ask").addEventListener("click", () => $("help").showModal());
}
