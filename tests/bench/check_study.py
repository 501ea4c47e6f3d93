# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""How often `keelback check` is wrong, how small a slowdown it finds, and what simpler rules say of the same runs.

    check_study.py alarms  --results FILE   identical programs beside a noisy neighbour: false alarms
    check_study.py power   --results FILE   slowdowns of 2, 5 and 10 % planted in one function
    check_study.py exact   --results FILE   an extra call, an extra allocation, a quadratic loop, by counts
    check_study.py report  --results FILE   the tables, of what was done so far

Each check appends a line to FILE, so a study can be stopped and gone on with; --count N does so many and no more.
"""

import argparse
import collections
import contextlib
import itertools
import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]

# Real work of the standard library, a few tenths of a second each.
PROGRAMS = {
    "json": """
import json
data = {"user%d" % i: {"id": i, "tags": ["a", "b", str(i)], "score": i / 7} for i in range(300)}
for _ in range(250):
    data = json.loads(json.dumps(data, sort_keys=True))
""",
    "tokenize": """
import argparse, io, tokenize
source = open(argparse.__file__).read()
for _ in range(5):
    count = sum(1 for token in tokenize.generate_tokens(io.StringIO(source).readline))
""",
    "ast": """
import ast, textwrap, string, shlex
for _ in range(15):
    for module in textwrap, string, shlex:
        tree = ast.parse(open(module.__file__).read())
        names = sorted(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))
""",
    "sqlite": """
import sqlite3
db = sqlite3.connect(":memory:")
db.execute("create table t (id integer primary key, name text, value real)")
for i in range(30):
    db.executemany("insert into t (name, value) values (?, ?)", (("n%d" % (k % 97), k / 3) for k in range(2000)))
    db.execute("select name, sum(value), count(*) from t group by name order by 2 desc").fetchall()
""",
    "digest": """
import csv, hashlib, io, zlib
for i in range(50):
    rows = [[k, k * k % 1009, "row%d" % k] for k in range(1500)]
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    packed = zlib.compress(out.getvalue().encode(), 6)
    for _ in range(20):
        hashlib.sha256(packed * 8).hexdigest()
""",
}

# Half a second to one, most of it in parse(), which does so much more that the whole takes PERCENT longer.
PLANTED = """
PERCENT = %r
def parse(n):
    total = 0
    for i in range(n):
        total += i * i %% 7
    return total
def render(rows):
    return ",".join("%%d:%%s" %% (i, row) for i, row in enumerate(rows))
def lookup(table, keys):
    return [table.get(key, key) for key in keys]
def main():
    table = {i: i * 3 for i in range(1000)}
    for i in range(100):
        parse(WORK + int(WORK / SHARE * PERCENT / 100))
        render(range(4400))
        lookup(table, range(0, 26000))
SHARE = 0.785  # of parse() in base, of Debian 12's Python: measured without keelback
WORK = 104000
main()
"""

# What exact counts find: (base, head, metric).
EXACT = {
    "extra call": ("def f(n): return n\nfor i in range(2000): f(i)\n",
                   "def f(n): return n\nfor i in range(2000): f(i); f(i)\n", "calls"),
    "extra allocation": ("def f(n):\n    return [n]\nkeep = [f(i) for i in range(3000)]\n",
                         "def f(n):\n    return [n, [n]]\nkeep = [f(i) for i in range(3000)]\n", "allocations"),
    "quadratic": ("def same(a, b): return a == b\ndef uniq(v):\n    seen = set()\n"
                  "    return [x for x in v if not (x in seen or seen.add(x))]\nfor _ in range(20): uniq(list(range(40)))\n",
                  "def same(a, b): return a == b\ndef uniq(v):\n    out = []\n    for x in v:\n"
                  "        if not any(same(x, y) for y in out): out.append(x)\n    return out\n"
                  "for _ in range(20): uniq(list(range(40)))\n", "calls"),
}


BESIDE = "--beside-neighbours"  # followed by a command: the neighbours live as long as it does


# ---------------------------------------------------------------- checks

def check(args, base, head, options, noisy=False):
    """One check; returns its JSON with the exit status and how long it took."""
    beside = [sys.executable, __file__, BESIDE] if noisy else []
    command = [*beside, args.keelback, "check", "--json", "-q",
               "--base", f"{args.python} {base}", "--head", f"{args.python} {head}", *options]
    start = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode not in (0, 3):
        raise RuntimeError(f"status {done.returncode}: {done.stderr}")
    found = json.loads(done.stdout)
    found["status"] = done.returncode
    found["elapsed"] = time.monotonic() - start
    return found


def summary(found, **what):
    """What is kept of a check."""
    measures = {measure["metric"]: measure for measure in found["measures"]}
    blamed = [function["name"] for function in found["functions"] if function["blamed"]]
    row = dict(what, status=found["status"], verdict=found["verdict"], elapsed=found["elapsed"], blamed=blamed[:5],
               first=found["functions"][0]["name"] if found["functions"] else None,
               pairs=found["meta"]["pairs"], notes=found["notes"], time=time.time())
    for metric, measure in measures.items():
        keys = ["verdict", "change"] + ([] if measure["exact"] else ["low", "high", "p", "detectable"])
        row[metric] = {key: measure[key] for key in keys}
        if measure["exact"]:
            row[metric].update(base=measure["base"], head=measure["head"])
    for metric in "cpu", "wall":
        row[metric]["runs"] = measures[metric]["runs"]
    return row


@contextlib.contextmanager
def programs():
    """A directory; yields a function that writes a program and returns its path."""
    with tempfile.TemporaryDirectory(prefix="check-study-") as tmp:
        def write(side, name, text):
            path = Path(tmp, side, name + ".py")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            return path
        yield write


@contextlib.contextmanager
def noisy_neighbour():
    """Two busy loops that come and go, each for a tenth of a second to three."""
    stop = threading.Event()

    def come_and_go():
        chance = random.Random()
        while not stop.is_set():
            loop = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            stop.wait(chance.uniform(0.1, 3))
            loop.kill()
            loop.wait()
            stop.wait(chance.uniform(0.1, 3))

    threads = [threading.Thread(target=come_and_go) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def append(args, row):
    with open(args.results, "a") as file:
        file.write(json.dumps(row) + "\n")


def run_all(args, cases, one):
    """one(case) for each that is not in the results yet."""
    done = collections.Counter((row["study"], row["case"]) for row in load(args.results))
    left = args.count
    for study, case in cases:
        if args.case and case not in args.case:
            continue
        if done[study, case] > 0:
            done[study, case] -= 1
            continue
        if left == 0:
            return
        left = left and left - 1
        try:
            append(args, one(case))
        except RuntimeError as error:
            append(args, dict(study=study, case=case, error=str(error)))


def study_alarms(args):
    checks = itertools.count()
    with programs() as write:
        def one(case):
            text = PROGRAMS[case]
            options = ["--max-time", args.max_time or "10"]
            # Tracing allocations takes most of the time, and finds the same each time.
            if next(checks) % 20 >= 5 or args.no_memory:
                options.append("--no-memory")
            return summary(check(args, write("base", "bench_" + case, text), write("head", "bench_" + case, text), options,
                                 noisy=True),
                           study="alarms", case=case)
        run_all(args, [("alarms", name) for _ in range(args.rounds or 40) for name in PROGRAMS], one)


def study_power(args):
    with programs() as write:
        def one(case):
            base, head = write("base", "planted", PLANTED % 0), write("head", "planted", PLANTED % int(case))
            options = ["--no-calls", "--no-memory", "--max-time", args.max_time or "60"]
            return summary(check(args, base, head, options), study="power", case=case)
        run_all(args, [("power", percent) for _ in range(args.rounds or 50) for percent in ("5", "10", "2")], one)


def study_exact(args):
    with programs() as write:
        def one(case):
            base, head, _ = EXACT[case]
            options = ["--max-time", "1", "--min-pairs", "8"]
            return summary(check(args, write("base", "t", base), write("head", "t", head), options),
                           study="exact", case=case)
        run_all(args, [("exact", name) for _ in range(args.rounds or 20) for name in EXACT], one)


# ---------------------------------------------------------------- rules

def mann_whitney_p(a, b):
    """Two-sided, by the normal approximation with ties and continuity."""
    ranked = sorted(itertools.chain(((x, 0) for x in a), ((x, 1) for x in b)))
    rank_sum, ties, i = 0, 0, 0
    while i < len(ranked):
        j = i
        while j < len(ranked) and ranked[j][0] == ranked[i][0]:
            j += 1
        rank_sum += sum(1 for k in range(i, j) if ranked[k][1]) * (i + j + 1) / 2
        ties += (j - i) ** 3 - (j - i)
        i = j
    n, m = len(a), len(b)
    u = rank_sum - m * (m + 1) / 2
    variance = n * m / 12 * (n + m + 1 - ties / ((n + m) * (n + m - 1)))
    return math.erfc(max(abs(u - n * m / 2) - 0.5, 0) / math.sqrt(variance) / math.sqrt(2)) if variance else 1.0


def hyperfine(base, head):
    """Its bars, mean +- standard deviation of wall time, do not overlap."""
    return (statistics.mean(head) - statistics.stdev(head)) > (statistics.mean(base) + statistics.stdev(base))


def hyperfine_ratio(base, head):
    """Its "times slower" line: ratio of the means - its standard deviation > 1, and at least 3 %."""
    ratio = statistics.mean(head) / statistics.mean(base)
    error = ratio * math.hypot(*(statistics.stdev(runs) / statistics.mean(runs) for runs in (base, head)))
    return ratio - error > 1 and ratio >= 1.03


def asv(factor):
    """Mann-Whitney's U with p < 0.002, and medians that differ by the factor."""
    def rule(base, head):
        return mann_whitney_p(base, head) < 0.002 and statistics.median(head) / statistics.median(base) >= factor
    return rule


RULES = {
    "mean +- sigma apart (hyperfine)": hyperfine,
    "ratio - its sigma > 1, 3 % (hyperfine)": hyperfine_ratio,
    "Mann-Whitney p < 0.002, factor 1.03 (asv)": asv(1.03),
    "Mann-Whitney p < 0.002, factor 1.1 (asv's default)": asv(1.1),
}


def load(path):
    try:
        with open(path) as file:
            return [json.loads(line) for line in file]
    except FileNotFoundError:
        return []


def share(n, of):
    return f"{n} of {of} ({100 * n / of:.1f} %)" if of else "-"


def report(args):
    rows = [row for row in load(args.results) if "error" not in row]
    errors = [row for row in load(args.results) if "error" in row]
    alarms = [row for row in rows if row["study"] == "alarms"]
    power = {case: [row for row in rows if row["study"] == "power" and row["case"] == case] for case in ("2", "5", "10")}
    print("| rule | false alarms | 2 % found | 5 % found | 10 % found |\n|---|---|---|---|---|")
    table = {"`keelback check`": lambda row: row["status"] == 3,
             "`keelback check`, CPU time alone": lambda row: row["cpu"]["verdict"] == "regression"}
    for name, rule in RULES.items():
        table[f"{name}, wall time"] = lambda row, rule=rule: rule(row["wall"]["runs"]["base"], row["wall"]["runs"]["head"])
    for name, rule in table.items():
        cells = [share(sum(map(rule, group)), len(group)) for group in (alarms, *power.values())]
        print("|", " | ".join([name, *cells]), "|")
    for case, group in power.items():
        found = [row for row in group if row["cpu"]["verdict"] == "regression"]
        first = sum((row.get("first") or (row["blamed"] or [None])[0]) == "parse" for row in found)
        right = sum(row["blamed"][:1] == ["parse"] for row in found)
        if group:
            print(f"\n{case} %: parse() is first in {share(first, len(found))} of those found, and blamed in {share(right, len(found))}; estimate "
                  f"{100 * statistics.median(row['cpu']['change'] for row in group):+.2f} % (median), pairs "
                  f"{statistics.median(row['pairs'] for row in group)}, {statistics.median(row['elapsed'] for row in group):.0f} s "
                  f"(longest {max(row['elapsed'] for row in group):.0f} s); verdicts "
                  f"{dict(collections.Counter(row['cpu']['verdict'] for row in group))}")
    if alarms:
        print(f"\nfalse alarms: verdicts {dict(collections.Counter(row['verdict'] for row in alarms))}; "
              f"pairs {statistics.median(row['pairs'] for row in alarms)}, "
              f"{statistics.median(row['elapsed'] for row in alarms):.0f} s")
    for case in EXACT:
        group = [row for row in rows if row["study"] == "exact" and row["case"] == case]
        figures = collections.Counter((row[EXACT[case][2]]["base"], row[EXACT[case][2]]["head"]) for row in group)
        if group:
            print(f"\n{case}: found in {share(sum(row['status'] == 3 for row in group), len(group))}; {EXACT[case][2]} "
                  f"{', '.join(f'{base:.0f} -> {head:.0f} ({n} times)' for (base, head), n in figures.items())}")
    for row in errors:
        print(f"\nfailed: {row['study']} {row['case']}: {row['error']}")


def main():
    if sys.argv[1:2] == [BESIDE]:
        with noisy_neighbour():
            sys.exit(subprocess.run(sys.argv[2:]).returncode)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=["alarms", "power", "exact", "report"])
    parser.add_argument("--results", required=True, help="file of JSON lines")
    parser.add_argument("--keelback", default=str(REPO / "build" / "keelback"))
    parser.add_argument("--python", default="/usr/bin/python3")
    parser.add_argument("--case", action="append", help="only this one: a percentage, a program; again and again")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--max-time", help="of a check, seconds")
    parser.add_argument("--no-memory", action="store_true", help="alarms: count allocations in no check")
    parser.add_argument("--count", type=int, help="so many checks now, the rest another time")
    args = parser.parse_args()
    {"alarms": study_alarms, "power": study_power, "exact": study_exact, "report": report}[args.study](args)


if __name__ == "__main__":
    main()
