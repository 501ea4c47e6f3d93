# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Tables of docs/BENCHMARKS.md: what was measured, beside what it should be."""

import math

import audit_cost
import breakpoint_cost
import calls_cost
import census_cost
import kernel_side
import memory_cost
import native
from contenders import NEW, OLD, Austin, Empty, Keelback, Sampling

SAMPLING = ("bpf", "slowdown", "goals", "accuracy", "native", "system", "memory")
# Capabilities with a section each, which is written whenever it is measured.
COSTS = {"calls": calls_cost, "functions": breakpoint_cost, "audit": audit_cost, "census": census_cost}
PARTS = (*SAMPLING, *COSTS)

BEGIN = "<!-- begin: written by make bench -->"
END = "<!-- end: written by make bench -->"
HEAD = f"""# Benchmarks

Everything between marks is written by `make bench` (as root, about 35 minutes, on a machine that is
otherwise idle). `make bench QUICK=1` is a short version of it, which writes to `build/bench` instead; `make bench
ONLY=calls` measures one part, or several (`ONLY="calls audit"`), and writes nothing else: `tests/bench/run.py --help` has
their names. How it measures is said beside each table; the harness is `tests/bench`.

{BEGIN}
{END}
"""

BPF_GOALS = {15: 1100, 55: 1800, 205: 4200}  # ns, on 3.15
EMPTY_GOAL = 0.3  # points at 1 kHz
TICK_GOAL = 0.5  # %, upper end of the interval
SLOWDOWN_GOAL = 1 / 3  # of each peer's at 1 kHz on one CPU
COST_GOAL = 1 / 4
CPU_GOAL = 0.5  # % of a core, system-wide
MEMORY_GOAL = 64  # MiB
SHARE_GOAL = 0.25  # points at 100,000 samples
SPREAD_GOAL = 1  # points between six equal functions


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def interval(value, unit=""):
    return f"{value.mean:.2f}{unit} [{value.low:.2f}, {value.high:.2f}]"


class Goals:
    """Goals with what was measured; says plainly what was not reached."""

    def __init__(self):
        self.rows = []

    def add(self, what, goal, measured, reached):
        self.rows.append((what, goal, measured, "reached" if reached else "**not reached**"))

    def at_most(self, what, measured, goal, unit, digits=2):
        self.add(what, f"≤ {goal:g} {unit}", f"{measured:.{digits}f} {unit}", measured <= goal)

    def text(self):
        missed = [row for row in self.rows if row[3] != "reached"]
        if missed:
            words = f"{len(missed)} of {len(self.rows)} goals were not reached in this run: "
            words += "; ".join(f"{row[0]} ({row[2]})" for row in missed) + "."
        else:
            words = f"All {len(self.rows)} goals were reached in this run."
        return f"## Goals\n\n{words}\n\n" + table(("goal", "should be", "is", ""), self.rows)


def bpf_tables(results, goals):
    times = results.get("bpf")
    if not times:
        return ""
    empty = next((ns for (_, frames), ns in times.items() if not frames), math.nan)
    rows = []
    for version in kernel_side.VERSIONS:
        values = [times.get((version, frames)) for frames in kernel_side.FRAMES]
        if None not in values:
            rows.append([version, *(f"{ns:.0f}" for ns in values)])
    for frames, goal in BPF_GOALS.items():
        ns = times.get((NEW, frames), math.nan)
        goals.at_most(f"BPF run time per sample, 3.15, {frames} frames", ns / 1000, goal / 1000, "µs")
    return (
        "## Time in the kernel per sample\n\nns by the kernel's own statistics (`BPF_STATS_RUN_TIME`), at"
        " 10 kHz, with aggregation and names; the statistics' two clock reads are in them. Medians of several"
        f" runs. An empty program: {empty:.0f} ns.\n\n"
        + table(("interpreter", *(f"{frames} frames" for frames in kernel_side.FRAMES)), rows)
    )


SLOWDOWN_TEXT = """## Slowdown and CPU

A program does the same small work again and again below the given number of frames. Within one run the profiler is
switched on and off every 150 ms, and each window with it is compared with the two beside it; 95 % intervals. With a
CPU to spare, target and profiler have one each; else both have the same one. What takes the target's CPU away for
long must be an unrelated program when the profiler has another CPU, so there pieces of work that took
five times the median are left out, with the profiler and without it alike.

keelback and the empty program (the same clock with a BPF program that returns at once: the floor) are paused;
`profiling.sampling`, whose loop catches up on missed samples, is run through its own `SampleProfiler.sample()`
for each window; austin is stopped and continued by signals. austin does not know Python after 3.13, so
it is measured on 3.13, with keelback beside it.

"CPU" is the profiler's own CPU time while it is on, in percent of one CPU. "Per 1,000 samples" is CPU time of the
whole machine in ms: what the target lost and what the profiler used. "Missed" are samples that were due, at the mean rate, and
not taken; "failed" those that were taken and are not in the profile. Switching itself makes keelback miss some: a
window begins with a whole period, so at 100 Hz up to one sample of 15.

"""

PLACES = {"spare": "a CPU to spare", "shared": "everything on one CPU"}


def missed(cell):
    """Percent of the samples due that were not taken."""
    return f"{100 * max(1 - cell.attempted / cell.due, 0):.1f} %" if cell.due else "–"


def slowdown_row(cell):
    row = [cell.kind.name, cell.python.minor, cell.frames, cell.rate, interval(cell.slowdown)]
    if cell.kind is Empty:
        return [*row, f"{cell.cpu_percent:.2f}", "–", "–", "–", "–"]
    failed = 100 * cell.failed / cell.attempted if cell.attempted else 0
    cost = interval(cell.cost) if cell.samples else "–"
    return [*row, f"{cell.cpu_percent:.2f}", cost, cell.samples, missed(cell), f"{failed:.2f} %"]


def by_rate(cell):
    order = [Keelback, Empty, Sampling, Austin]
    rate = 0 if cell.rate == "tick" else cell.rate
    return (rate, cell.python.minor != "3.15", cell.frames, order.index(cell.kind))


def slowdown_tables(results, goals):
    cells = results.get("cells")
    if not cells:
        return ""
    head = ("profiler", "Python", "frames", "Hz", "slowdown %", "CPU %", "per 1,000 samples", "samples")
    text = SLOWDOWN_TEXT
    for place, title in PLACES.items():
        rows = [slowdown_row(cell) for cell in sorted(cells, key=by_rate) if cell.place == place]
        text += f"### With {title}\n\n" + table((*head, "missed", "failed"), rows) + "\n"
    peer_goals(cells, goals)
    return text


def peer_goals(cells, goals):
    """keelback against each peer on the same interpreter, at 1 kHz and 55 frames."""
    found = {cell.key: cell for cell in cells}
    for peer, id in ((Sampling, NEW), (Austin, OLD)):
        for place, name, goal in (
            ("shared", "slowdown", SLOWDOWN_GOAL),
            ("spare", "cost", COST_GOAL),
            ("shared", "cost", COST_GOAL),
        ):
            ours = found.get((place, 55, id, Keelback.name, "1000"))
            theirs = found.get((place, 55, id, peer.name, "1000"))
            if not ours or not theirs:
                continue
            mine, other = getattr(ours, name).mean, getattr(theirs, name).mean
            what = "slowdown" if name == "slowdown" else "whole-machine CPU per 1,000 samples"
            unit = "%" if name == "slowdown" else "ms"
            goals.add(
                f"{what} at 1 kHz with {PLACES[place]}, of {peer.name}'s",
                f"≤ {goal:.2f}",
                f"{mine:.2f} {unit} of {other:.2f} {unit}",
                mine <= goal * other,
            )


def narrow_tables(results, goals):
    """The two comparisons that have a run of their own."""
    if "tick" not in results:
        return ""
    rows = []
    for place, title in PLACES.items():
        tick, empty = results["tick"][place].slowdown, results["empty"][place]
        rows.append((f"tick mode, {title}", interval(tick), tick.n))
        rows.append((f"1 kHz against the empty program, {title}", interval(empty), empty.n))
        reached = tick.low <= 0 and tick.high < TICK_GOAL
        goals.add(
            f"slowdown in tick mode, {title}",
            f"interval has 0, ends below {TICK_GOAL} %",
            interval(tick, " %"),
            reached,
        )
        goals.add(
            f"1 kHz against an empty program, {title}",
            f"≤ {EMPTY_GOAL} points",
            interval(empty),
            empty.mean <= EMPTY_GOAL,
        )
    return (
        "## Narrower\n\nThe same measurement, longer, at 55 frames on 3.15; keelback against the empty program is"
        " one run in which they take turns every 150 ms.\n\n"
        + table(("what", "slowdown %, or points", "windows"), rows)
    )


PROGRAMS = {
    "shares.py": "four functions of 10, 20, 30, 40 % by their own CPU clock",
    "six.py": "six functions that do equal work in tiny calls",
    "aliasing.py": "a rhythm of exactly 100 µs, 30 in one function, 70 in another",
    "tiny.py": "millions of tiny calls per second, stacks checked against the program's text",
}


RESULT_HEADS = {"six.py": ["largest − smallest share, points", "shares, %"], "tiny.py": ["impossible", ""]}


def case_results(case):
    """Columns after the common ones."""
    if case.program == "tiny.py":
        share = 100 * case.impossible / case.samples if case.samples else 0
        return [case.impossible, f"{share:.2f} %"]
    if case.program == "six.py":
        return [f"{case.spread:.2f}", " ".join(f"{100 * share:.1f}" for share in sorted(case.shares.values()))]
    return [f"{case.error:.2f}"]


def accuracy_tables(results, goals):
    cases = results.get("accuracy")
    if not cases:
        return ""
    text = (
        "## Accuracy\n\nShares are of the samples in the functions named; points are percentage points. An"
        " impossible stack has a caller that never calls that callee, or a line that holds no such call.\n\n"
    )
    for program, title in PROGRAMS.items():
        chosen = [case for case in cases if case.program == program]
        if not chosen:
            continue
        head = ["profiler", "Python", "Hz", "samples", "failed", *RESULT_HEADS.get(program, ["largest error, points"])]
        rows = []
        for case in chosen:
            row = [case.kind.name, case.python.minor, case.rate, case.samples, f"{case.failed_percent:.2f} %"]
            rows.append(row + case_results(case))
        text += f"### {title[0].upper()}{title[1:]}\n\n" + table(head, rows) + "\n"
    accuracy_goals(cases, goals)
    return text


def accuracy_goals(cases, goals):
    for case in cases:
        if case.kind is not Keelback:
            continue
        where = f"on {case.python.minor}, {case.samples} samples at {case.rate} Hz"
        if case.program == "tiny.py":
            goals.add(f"impossible stacks {where}", "0", case.impossible, not case.impossible)
        elif case.program == "six.py":
            goals.at_most(f"six equal functions {where}, apart", case.spread, SPREAD_GOAL, "points")
        elif case.rate == 10000:
            goals.at_most(f"{case.program[:-3]} {where}, largest error", case.error, SHARE_GOAL, "points")


def native_table(results, goals):
    found = results.get("native")
    if not found:
        return ""
    times, rows = found["bpf"], []
    for version in native.VERSIONS:
        if (version, "native") in times:
            plain, (ns, depth) = times[version, "plain"], times[version, "native"]
            rows.append((version, f"{plain[0]:.0f}", f"{plain[1]:.1f}", f"{ns:.0f}", f"{depth:.1f}"))
    text = (
        "## Native stacks\n\nTime in the kernel per sample as above, 15 Python frames below the module, with and without native"
        " frames between and above them. The interpreter's eval loop is among those that are unwound, and not"
        " among those that are shown.\n\n"
        + table(("interpreter", "Python only, ns", "frames", "`--native`, ns", "frames shown"), rows)
        + "\nBeside perf, which copies 8 kB of every stack and unwinds them afterwards, at 1 kHz on a program"
        f" that is mostly in C libraries ({native.PYTHON}). Whole stacks are those that reach the start of the"
        " program. perf is switched on and off by its control pipe.\n\n"
    )
    head = ("profiler", "slowdown %", "CPU % while on", "CPU for the report, s", "samples", "whole stacks", "data, MB")
    rows = []
    for row in found["rows"]:
        whole = 100 * row["whole"] / row["samples"] if row["samples"] else 0
        rows.append(
            (
                row["name"],
                interval(row["slowdown"]),
                f"{row['cpu_percent']:.2f}",
                f"{row['report_cpu']:.2f}",
                row["samples"],
                f"{whole:.1f} %" if row["whole"] else "–",
                f"{row['bytes'] / 1e6:.1f}" if row["bytes"] else "–",
            )
        )
        if row["name"] == native.KeelbackNative.name:
            goals.add("native stacks that reach the start", "≥ 99 %", f"{whole:.2f} %", whole >= 99)
    return text + table(head, rows)


def system_table(results, goals):
    system = results.get("system")
    if not system:
        return ""
    memory = {name: value / 2**20 for name, value in system["memory"].items()}
    used = memory["rss_bytes"] + memory["maps_bytes"]
    goals.at_most("own CPU system-wide, % of a core", system["cpu_percent"], CPU_GOAL, "%")
    goals.at_most("memory system-wide, resident and BPF maps", used, MEMORY_GOAL, "MiB", 1)
    ledger = ", ".join(f"{count} {name}" for name, count in system["ledger"].items())
    rows = [
        ("own CPU, % of a core", f"{system['cpu_percent']:.2f}"),
        ("CPU once, to identify what runs already", f"{system['setup_cpu']:.2f} s"),
        ("resident memory (rings not counted)", f"{memory['rss_bytes']:.1f} MiB"),
        ("BPF maps", f"{memory['maps_bytes']:.1f} MiB"),
        ("processes identified", system["processes"]),
        ("different stacks", system["stacks"]),
        ("samples", f"{system['samples']} of {system['attempted']}: {ledger}"),
    ]
    return (
        "## System-wide\n\nAll processes in tick mode, with 50 busy Python processes of all versions running, half"
        f" of them with stacks that change all the time, for {system['seconds']:.0f} s.\n\n"
        + table(("what", "is"), rows)
    )


def memory_table(results, goals):
    found = results.get("memory")
    if not found:
        return ""
    for what, goal, is_now in memory_cost.goals(found):
        goals.at_most(what, is_now, goal, "%", 1)
    return (
        "## Allocations\n\nHow much slower a program is while its allocations are traced, on 3.14, within one run: medians of"
        " pairs of windows without and with the tracer, and the extremes (`tests/bench/memory_cost.py`).\n\n"
        + table(("tracer", *memory_cost.PROGRAMS.values()), memory_cost.rows(found))
    )


def tables(facts, results):
    goals = Goals()
    sections = [
        narrow_tables(results, goals),
        slowdown_tables(results, goals),
        bpf_tables(results, goals),
        accuracy_tables(results, goals),
        native_table(results, goals),
        system_table(results, goals),
        memory_table(results, goals),
    ]
    setting = table(("", ""), facts.items())
    return "\n".join(["## This run\n", setting, goals.text(), *(s.rstrip() + "\n" for s in sections if s)])


def cost_section(name, facts, results):
    """The section of one capability, with goals of its own and what it was measured on."""
    goals = Goals()
    text = COSTS[name].text(results[name], goals, table, interval).rstrip()
    where = f"{facts['date']}, {facts['run']} run of revision {facts['keelback']}, kernel {facts['kernel']}, load before {facts['load before']}."
    missed = [row for row in goals.rows if row[3] != "reached"]
    reached = f"{len(missed)} of {len(goals.rows)} goals were not reached." if missed else ""
    rows = "\n" + table(("goal", "should be", "is", ""), goals.rows) if goals.rows else ""
    return f"{text}\n\n{where} {reached}".rstrip() + "\n" + rows


def marks(name=None):
    """What the text of a cost section, or of sampling, stands between."""
    return (BEGIN, END) if not name else tuple(f"<!-- {edge}: written by make bench ONLY={name} -->" for edge in ("begin", "end"))


def write(path, text, name=None):
    """Puts the text between its marks in the file, which is made if there is none; new marks come last."""
    begin, end = marks(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    old = path.read_text() if path.exists() else HEAD
    if begin not in old:
        old += f"\n{begin}\n{end}\n"
    before, _, rest = old.partition(begin)
    _, _, after = rest.partition(end)
    path.write_text(f"{before}{begin}\n\n{text}\n{end}{after}")


def as_json(facts, results):
    """All of it for programs."""
    out = {"facts": facts}
    for name, value in results.items():
        if name in ("cells", "accuracy"):
            out[name] = [item.as_dict() for item in value]
        elif name == "memory":
            out[name] = {f"{contender}, {program}": values for (contender, program), values in value.items()}
        elif name == "tick":
            out[name] = {place: cell.as_dict() for place, cell in value.items()}
        elif name == "native":
            out[name] = value["rows"]
        elif name == "bpf":
            out[name] = {f"{id} {frames}": ns for (id, frames), ns in value.items()}
        elif name in COSTS:
            out[name] = repr(value)
        else:
            out[name] = value
    return out
