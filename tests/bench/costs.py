# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What the benchmarks of one capability share: a program that works when it is told to, and a keelback beside it.

The program says how long it took itself. keelback comes and goes while it waits, so that what is compared are pieces of
work of one process, one after another: without, with, without, with another option, without.
"""

import signal
import subprocess

import bench_stats

READY_WORDS = ("counting", "audit events of", "watching")


class Program:
    """A script that says "ready", then answers every line with one: what a piece of work took."""

    def __init__(self, bench, python, text, *args):
        self.bench = bench
        script = bench.tmp / "cost.py"
        script.write_text(text)
        command = python.command(["-B", script, *args])
        self.process = bench.start(command, bench.target_cpu, stdin=subprocess.PIPE)
        if self.process.stdout.readline() != "ready\n":
            raise RuntimeError(f"{command} does not start")

    @property
    def pid(self):
        return self.process.pid

    def work(self, line):
        """The number that it answers."""
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def end(self):
        self.bench.kill(self.process)


class Observer:
    """keelback beside a program, from when it observes until end()."""

    def __init__(self, bench, *args):
        self.bench, self.said = bench, []
        command = [bench.keelback, *args]
        self.process = bench.start(command, bench.profiler_cpu("spare"), stdout=None, stderr=subprocess.PIPE)
        for line in self.process.stderr:
            self.said.append(line)
            if any(word in line for word in READY_WORDS):
                return
        raise RuntimeError(f"{command}: {''.join(self.said)}")

    def end(self):
        """Its last words: the ledger."""
        self.process.send_signal(signal.SIGINT)
        self.said += self.process.stderr.readlines()
        self.process.wait()
        self.bench.kill(self.process)
        if self.process.returncode:
            raise RuntimeError(f"{self.process.args}: {''.join(self.said)}")
        return self.said[-1].removeprefix("keelback: ").strip()


def by_turns(rounds, without, ways):
    """{way: [(with it, the mean of the two without beside it)]}; ways: {name: function that measures}."""
    found = {name: [] for name in ways}
    before = without()
    for _ in range(rounds):
        for name, measure in ways.items():
            value, after = measure(), without()
            found[name].append((value, (before + after) / 2))
            before = after
    return found


def added(pairs):
    """By how much it was more, median and its interval."""
    return bench_stats.median_interval([value - base for value, base in pairs])


def slower(pairs):
    """By how many percent it was more, median and its interval."""
    return bench_stats.median_interval([100 * (value / base - 1) for value, base in pairs])
