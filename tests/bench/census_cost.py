# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What `keelback census` costs: its own time for a heap, and a program that works meanwhile."""

import resource
import time

import bench_stats
import costs
from costs import Program

PYTHONS = ("debian-3.11", "sid-3.14")
OBJECTS = 1000000

TARGET = """
import sys, time
kept = [{"number": i, "text": str(i)} for i in range(%d)]

def steady(seconds):
    clock, end, n, x = time.process_time_ns, time.monotonic() + seconds, 0, 0
    began = clock()
    while time.monotonic() < end:
        for i in range(20000):
            x = (x + i) & 255
        n += 20000
    return (clock() - began) / n

print("ready", flush=True)
for line in sys.stdin:
    print(eval(line), flush=True)
""" % (OBJECTS // 3)

CENSUS = ("census", "-q", "-o", "/dev/null", "-p")


def census(bench, pid, *options):
    return bench.start([bench.keelback, *CENSUS, pid, *options], bench.profiler_cpu("spare"))


def own(bench, pid, rounds):
    """Seconds of one, and of processor time."""
    wall, cpu = [], []
    for _ in range(rounds):
        began, used = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        process = census(bench, pid)
        if process.wait():
            raise RuntimeError(f"{process.args}: status {process.returncode}")
        bench.kill(process)
        wall.append(time.monotonic() - began)
        now = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu.append(now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime)
    return bench_stats.median_interval(wall), bench_stats.median_interval(cpu)


def measure(bench, python, setup):
    program, rounds, seconds = Program(bench, python, TARGET), setup["census_rounds"], setup["census_seconds"]
    work = f"steady({seconds})"

    def beside():
        """One census after another."""
        process = census(bench, program.pid, "--every", "0.1", "-d", seconds + 1)
        time.sleep(0.5)
        ns = program.work(work)
        process.wait()
        bench.kill(process)
        return ns

    try:
        wall, cpu = own(bench, program.pid, rounds)
        pairs = costs.by_turns(rounds, lambda: program.work(work), {"census": beside})
        return {"wall": wall, "cpu": cpu, "slower": costs.slower(pairs["census"])}
    finally:
        program.end()


def run(bench, setup, say):
    found = {}
    for id in PYTHONS:
        found[id] = measure(bench, bench.pythons[id], setup)
        say(f"census, {id}: {found[id]}")
    return found


def text(results, goals, table, interval):
    rows = [(id, interval(row["wall"]), interval(row["cpu"]), interval(row["slower"])) for id, row in results.items()]
    return (
        f"## Census\n\nOf a program with {OBJECTS} objects beside its own, from start to end of keelback, on another CPU; and by how much the program needs more"
        " processor time while one census follows another. Medians and their 95 % intervals.\n\n"
        + table(("interpreter", "seconds", "of processor time", "the program is slower by, %"), rows)
    )
