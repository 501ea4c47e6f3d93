#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What tracing allocations costs: keelback memory beside tracemalloc (1 and 25 frames) and memray.

    sudo tests/bench/memory_cost.py [--rounds N] [--python ID]...

Each program runs to its end under each tracer in turn, round by round, and measures its own work; printed are medians of
the ratios to the same round's run without any, with the extremes. memray is that of the root file system `sid`.
"""

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "functional"))
import harness  # noqa: E402

TIMED = """
import time
%s
start = time.perf_counter()
work()
seconds = time.perf_counter() - start
with open(%r, "w") as file:
    file.write(str(seconds))
"""

# Little but allocations: objects of all sizes that come and go, and a heap that grows.
HEAVY = """
def work():
    kept = []
    for i in range(200):
        nodes = [{"name": str(j) * 3, "links": [j]} for j in range(1500)]
        kept.append(nodes[::3])
        texts = ["x" * (j % 900) for j in range(1500)]
"""

# What programs do: parse, count, sort, format.
ORDINARY = """
import json, re
TEXT = json.dumps([{"id": i, "name": "name %d" % i, "tags": ["a", "b", str(i)]} for i in range(300)])
def work():
    for i in range(400):
        rows = json.loads(TEXT)
        rows.sort(key=lambda row: row["name"])
        total = sum(row["id"] ** 2 % 7 for row in rows)
        words = len(re.findall("name", TEXT))
        text = ", ".join(row["name"] for row in rows)
        for j in range(20000):
            total = (total + words) % 199
"""


def contenders(python, keelback):
    """Name → (command before the interpreter's, interpreter's options, environment)."""
    stripped = "stripped" in python.traits
    table = {
        "tracemalloc 1": ([], ["-X", "tracemalloc=1"], {}),
        "tracemalloc 25": ([], ["-X", "tracemalloc=25"], {}),
        "keelback --growth": ([keelback, "memory", "-q", "--growth", "-o", "/dev/null", "-f", "jsonl", "--"], [], {}),
        "keelback --exact": ([keelback, "memory", "-q", "--exact", "-o", "/dev/null", "-f", "jsonl", "--"], [], {}),
    }
    if stripped:
        table["PYTHONMALLOC=malloc alone"] = ([], [], {"PYTHONMALLOC": "malloc"})
    if python.minor in ("3.14", "3.15") and Path(python.root, "usr/lib/python3/dist-packages/memray").exists():
        table["memray"] = ([], ["-m", "memray", "run", "-f", "-q", "-o", "/dev/null"], {})
        table["memray --trace-python-allocators"] = ([], ["-m", "memray", "run", "--trace-python-allocators", "-f", "-q",
                                                          "-o", "/dev/null"], {})
    return table


def run(python, prefix, options, environment, script, result):
    result.unlink(missing_ok=True)
    process = harness.start([*prefix, *python.command([*options, script])],
                            env={**harness.clean_environment(), **environment}, stderr=-3)
    process.communicate()
    if process.returncode or not result.exists():
        return None
    return float(result.read_text())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--python", action="append")
    parser.add_argument("--keelback", default=str(harness.REPO / "build" / "keelback"))
    args = parser.parse_args()
    wanted = args.python or ["pyenv-3.11", "sid-3.14"]
    with tempfile.TemporaryDirectory(prefix="keelback-bench-") as tmp:
        for python in harness.load_matrix():
            if python.id not in wanted:
                continue
            python.tmp = tmp
            for name, program in (("allocation-heavy", HEAVY), ("ordinary", ORDINARY)):
                result = Path(tmp, "seconds")
                script = python.script(TIMED % (program, str(result)))
                table = contenders(python, args.keelback)
                ratios = {contender: [] for contender in table}
                alone = []
                for _ in range(args.rounds):
                    base = run(python, [], [], {}, script, result)
                    alone.append(base)
                    for contender, how in table.items():
                        seconds = run(python, *how, script, result)
                        if seconds:
                            ratios[contender].append(seconds / base)
                print(f"\n{python.id}, {name}: {statistics.median(alone):.3f} s alone, {args.rounds} rounds, "
                      f"{os.cpu_count()} processors")
                for contender, values in ratios.items():
                    if values:
                        print(f"  {contender:34} {statistics.median(values):8.2f} times  "
                              f"[{min(values):.2f}, {max(values):.2f}]", flush=True)
                    else:
                        print(f"  {contender:34}    failed", flush=True)


main()
