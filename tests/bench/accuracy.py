# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What profilers say of programs whose truth is known: shares, and stacks that cannot be."""

import time
from pathlib import Path

import bench_stats
from contenders import Austin, Keelback, Sampling
from programs import SHARES, TINY_CALLS, CallGraph

LEAD = 0.1
STOP_EARLY = 0.3  # before the program ends
TINY_PATIENCE = 30  # seconds for attaching to a program that does not wait


class Case:
    """One profiler at one rate on one program."""

    def __init__(self, program, kind, python, rate, seconds):
        self.program, self.kind, self.python, self.rate, self.seconds = program, kind, python, rate, seconds
        self.samples = self.attempted = self.failed = 0
        self.shares = self.truth = None
        self.impossible = self.foreign = 0
        self.example = ""
        self.ledger = None

    @property
    def error(self):
        return bench_stats.worst_error(self.shares, self.truth)

    @property
    def spread(self):
        return bench_stats.spread(self.shares)

    @property
    def failed_percent(self):
        return 100 * self.failed / self.attempted if self.attempted else 0

    def as_dict(self):
        result = {name: value for name, value in vars(self).items() if name not in ("kind", "python")}
        return {**result, "profiler": self.kind.name, "python": self.python.id}


def profile(bench, case, target):
    """Samples the target for the case's seconds; returns the profiler, whose stacks can be read."""
    path = bench.tmp / f"stacks-{target.pid}"
    cpu = bench.profiler_cpu("spare")
    profiler = case.kind(bench, target.pid, case.rate, cpu, stacks=path, always=True)
    if target.stdin:
        target.stdin.write("go\n")
        target.stdin.flush()
    profiler.start(time.monotonic() + LEAD, case.seconds - STOP_EARLY, 1, 0)
    time.sleep(case.seconds - STOP_EARLY)
    result = profiler.result()
    case.samples, case.attempted, case.failed = result["samples"], result["attempted"], result["failed"]
    case.ledger = result.get("ledger")
    return profiler


def base(function):
    """A function's name without what qualifies it: not all profilers have that."""
    return function.rpartition(".")[2]


def clean(stacks, script):
    """Stacks as [([(function, line), …], count)] of the program's own frames, and how many samples had others.

    Markers such as <GC> and <truncated> are taken out, and so are frames of other files.
    """
    result, foreign = [], 0
    name = Path(script).name
    for frames, count in stacks:
        own = [(base(function), line) for file, function, line in frames if Path(file).name == name]
        if len(own) != len(frames):
            foreign += count
        result.append((own, count))
    return result, foreign


def measure_shares(bench, case):
    """Shares of functions against what the program says of itself."""
    target = bench.target(case.python, case.program, case.seconds, *case.args, cpu=bench.target_cpu)
    try:
        profiler = profile(bench, case, target)
        output, _ = target.communicate(timeout=60)
    finally:
        bench.kill(target)
    words = next(line for line in output.splitlines() if line.startswith("shares ")).split()[1:]
    case.truth = {name: float(value) for name, value in (word.split("=") for word in words)}
    stacks, case.foreign = clean(profiler.stacks(), case.program)
    case.shares, case.samples = bench_stats.shares(stacks, case.truth)


def measure_stacks(bench, case):
    """Counts stacks that the program's text does not allow."""
    graph = CallGraph(TINY_CALLS, case.python.version)
    target = bench.target(case.python, case.program, case.seconds + TINY_PATIENCE, cpu=bench.target_cpu)
    try:
        profiler = profile(bench, case, target)
    finally:
        bench.kill(target)
    stacks, case.foreign = clean(profiler.stacks(), case.program)
    for frames, count in stacks:
        wrong = graph.impossible(frames)
        if wrong:
            case.impossible += count
            case.example = case.example or wrong


def contestants(bench):
    """(class, interpreter) of all that can be compared."""
    pairs = [(Keelback, bench.new)]
    if "profiling.sampling" in bench.peers:
        pairs.append((Sampling, bench.new))
    if "austin" in bench.peers:
        pairs += [(Austin, bench.old), (Keelback, bench.old)]
    return pairs


def run(bench, plan, say):
    """plan: [(program, rate, seconds)]. Returns the cases."""
    (bench.tmp / "shares.py").write_text(SHARES)
    (bench.tmp / "tiny.py").write_text(TINY_CALLS)
    cases = []
    for program, rate, seconds in plan:
        for kind, python in contestants(bench):
            case = Case(program, kind, python, rate, seconds)
            case.args = ["wait"] if program == "shares.py" else []
            (measure_stacks if program == "tiny.py" else measure_shares)(bench, case)
            cases.append(case)
            text = f"{program} {kind.name} {rate} Hz on {python.id}: {case.samples} samples,"
            text += f" {case.failed_percent:.2f} % failed"
            if case.truth:
                text += f", at most {case.error:.2f} points off, {case.spread:.2f} between functions"
            else:
                text += f", {case.impossible} impossible {case.example}"
            say(text)
    return cases
