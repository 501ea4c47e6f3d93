# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What `keelback census` costs: its own time for a heap, and a program that works meanwhile."""

import resource
import time

import bench_stats
import costs
from costs import Program

PYTHONS = ("debian-3.11", "sid-3.14")
BYTES_GOAL = 2  # s for each GB

# A million objects, and a gigabyte of them (the heap's size is measured).
OBJECTS = {"small": 1000000, "large": 10000000}

TARGET = """
import sys, time
kept = [{"number": i, "text": str(i)} for i in range(int(sys.argv[1]) // 3)]

def resident():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS"))

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
"""

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


def slower(bench, program, setup):
    rounds, seconds = setup["census_rounds"], setup["census_seconds"]
    work = f"steady({seconds})"

    def beside():
        """One census after another."""
        process = census(bench, program.pid, "--every", "0.1", "-d", seconds + 1)
        time.sleep(0.5)
        ns = program.work(work)
        process.wait()
        bench.kill(process)
        return ns

    return costs.slower(costs.by_turns(rounds, lambda: program.work(work), {"census": beside})["census"])


def measure(bench, python, size, setup):
    program = Program(bench, python, TARGET, OBJECTS[size])
    try:
        wall, cpu = own(bench, program.pid, setup["census_rounds"])
        return {"wall": wall, "cpu": cpu, "bytes": program.work("resident()"),
                "slower": slower(bench, program, setup) if size == "small" else None}
    finally:
        program.end()


def run(bench, setup, say):
    found = {}
    for id in PYTHONS:
        for size in OBJECTS:
            found[id, size] = measure(bench, bench.pythons[id], size, setup)
            say(f"census, {id}, {size}: {found[id, size]}")
    return found


def text(results, goals, table, interval):
    rows = [(id, f"{OBJECTS[size] / 1e6:.0f}", f"{row['bytes'] / 1e9:.2f}", interval(row["wall"]), interval(row["cpu"]),
             interval(row["slower"]) if row["slower"] else "–") for (id, size), row in results.items()]
    for (id, size), row in results.items():
        if size == "large":
            goals.at_most(f"a census, {id}, for each GB", row["wall"].mean / (row["bytes"] / 1e9), BYTES_GOAL, "s")
    return (
        "## Census\n\nOf a program with so many objects beside its own, from start to end of keelback, on another CPU; and by how much the program needs more"
        " processor time while one census follows another. Medians and their 95 % intervals.\n\n"
        + table(("interpreter", "million objects", "GB resident", "seconds", "of processor time", "the program is slower by, %"), rows)
    )
