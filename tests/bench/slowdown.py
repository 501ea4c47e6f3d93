# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""How much slower a program gets, by toggling a profiler within one run of it."""

import array
import random
import time
from pathlib import Path

import bench_stats
from contenders import Austin, Empty, Keelback, Sampling

WINDOW = 0.150
GUARD = 0.010  # at both ends of a window: switching itself is not what is measured
LEAD = 0.1


def read_times(path):
    times = array.array("d")
    times.frombytes(path.read_bytes())
    return times


def cpu_seconds(pid):
    """CPU time of a process's first thread."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) * 1e-9


def start_all(profilers, windows):
    """Starts profilers in turns (two: each in the other's breaks); returns when all windows are over."""
    begin = time.monotonic() + LEAD
    for parity, profiler in enumerate(reversed(profilers)):
        profiler.start(begin, WINDOW, windows, 1 - parity if len(profilers) == 1 else parity)
    time.sleep(LEAD + (windows + 1) * WINDOW)


def measure(bench, python, frames, place, contenders, windows, program="steady.py"):
    """Runs contenders (class, rate), one or two, on one target; returns their results and log ratios.

    The ratios of the first are against the other, or against nothing.
    """
    log = bench.tmp / "progress"
    log.unlink(missing_ok=True)
    target = bench.target(python, program, frames, log, cpu=bench.target_cpu)
    cpu = bench.profiler_cpu(place)
    try:
        profilers = [kind(bench, target.pid, rate, cpu) for kind, rate in contenders]
        time.sleep(2 * WINDOW)
        before = time.monotonic(), cpu_seconds(target.pid)
        start_all(profilers, windows)
        running = (cpu_seconds(target.pid) - before[1]) / (time.monotonic() - before[0])
        results = [profiler.result() for profiler in profilers]
        bench.end(target)
    finally:
        for process in [target, *(p.process for p in locals().get("profilers", ()))]:
            bench.kill(process)
    for (kind, rate), result in zip(contenders, results):
        if kind is Keelback and program == "steady.py" and result["depth"] != frames:
            raise RuntimeError(f"stacks of {result['depth']} frames instead of {frames}")
        result["running"] = running
    times = read_times(log)
    # Nothing but an unrelated program stops the target when the profiler has another CPU.
    limit = bench_stats.stall_limit(times) if place == "spare" else None
    return results, bench_stats.log_ratios(times, results[0]["on"], WINDOW, GUARD, limit)


class Cell:
    """One profiler at one rate on one kind of target: what its runs gave, put together."""

    def __init__(self, kind, rate, python, frames, place):
        self.kind, self.rate, self.python, self.frames, self.place = kind, rate, python, frames, place
        self.ratios = []
        self.on_seconds = self.cpu = self.due = 0.0
        self.samples = self.attempted = self.failed = 0

    def add(self, result, ratios):
        self.ratios += ratios
        on = sum(end - begin for begin, end in result["on"])
        self.on_seconds += on
        if self.rate != "tick":
            # keelback's clock runs with the target, at the mean rate that it says; the others' by itself.
            ours = issubclass(self.kind, Keelback)
            self.due += on * (result["rate_hz"] * result["running"] if ours else self.rate)
        for name in ("cpu", "samples", "attempted", "failed"):
            setattr(self, name, getattr(self, name) + result[name])

    @property
    def slowdown(self):
        return bench_stats.slowdown(self.ratios)

    @property
    def cpu_percent(self):
        return 100 * self.cpu / self.on_seconds

    @property
    def cost(self):
        """ms of CPU of the whole machine per 1,000 samples, and its interval."""
        slow = self.slowdown
        cpu = self.cpu if self.place == "spare" else 0  # on one CPU the target's loss has it in it
        values = [bench_stats.cost_per_thousand(s, self.on_seconds, cpu, self.samples) for s in slow[:3]]
        return bench_stats.Interval(*values, slow.n)

    @property
    def key(self):
        return (self.place, self.frames, self.python.id, self.kind.name, str(self.rate))

    def as_dict(self):
        slow = self.slowdown
        return {
            "place": self.place,
            "frames": self.frames,
            "python": self.python.id,
            "profiler": self.kind.name,
            "rate": self.rate,
            "slowdown_percent": slow[:3],
            "windows": slow.n,
            "cpu_percent": self.cpu_percent,
            "cost_ms_per_1000": self.cost[:3],
            "on_seconds": self.on_seconds,
            "samples": self.samples,
            "attempted": self.attempted,
            "failed": self.failed,
        }


def plan(bench, rates, depths, places):
    """The cells of the tables. austin is measured on 3.13, the newest that it knows, with keelback beside it."""
    new, old = bench.new, bench.old
    cells = []
    for place in places:
        for rate in rates:
            cells.append(Cell(Empty, rate, new, 55, place))
            cells.append(Cell(Keelback, rate, old, 55, place))
        for frames in depths:
            cells.append(Cell(Keelback, "tick", new, frames, place))
            for rate in rates:
                cells.append(Cell(Keelback, rate, new, frames, place))
                if "profiling.sampling" in bench.peers:
                    cells.append(Cell(Sampling, rate, new, frames, place))
                if "austin" in bench.peers:
                    cells.append(Cell(Austin, rate, old, frames, place))
    return cells


def decides(cell):
    """Whether a goal hangs on it: it is given longer runs, for a narrower interval."""
    return cell.rate == 1000 and cell.frames == 55 and cell.kind is not Empty


def run(bench, cells, rounds, windows, decisive_windows, say):
    """Measures all cells, each round in another order."""
    for index in range(rounds):
        random.shuffle(cells)
        for number, cell in enumerate(cells):
            results, ratios = measure(
                bench,
                cell.python,
                cell.frames,
                cell.place,
                [(cell.kind, cell.rate)],
                decisive_windows if decides(cell) else windows,
            )
            cell.add(results[0], ratios)
            slow = bench_stats.slowdown(ratios)
            say(
                f"[{index + 1}.{number + 1}/{len(cells)}] {cell.kind.name} {cell.rate} on {cell.python.id},"
                f" {cell.frames} frames, {cell.place}: {slow.mean:.2f} % [{slow.low:.2f}, {slow.high:.2f}]"
                f" slower, {cell.cpu_percent:.2f} % CPU, {results[0]['samples']} samples"
            )


def against_empty(bench, rate, windows, places):
    """keelback beside the empty program, in turns on one target: percentage points by which it is slower."""
    rows = {}
    for place in places:
        _, ratios = measure(bench, bench.new, 55, place, [(Keelback, rate), (Empty, rate)], windows)
        rows[place] = bench_stats.slowdown(ratios)
    return rows


def alone(bench, rate, windows, place):
    """A longer look at one rate: for the goals that need a narrow interval."""
    cell = Cell(Keelback, rate, bench.new, 55, place)
    results, ratios = measure(bench, cell.python, 55, place, [(Keelback, rate)], windows)
    cell.add(results[0], ratios)
    return cell
