# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The formats of sampling profiles: whole texts, what Python's pstats makes of them.

Profiles come from tests/tools/make_profile.c and are the same every time. After a wanted change of
a text, KEELBACK_GOLDEN=write writes tests/golden anew; look at the difference before it is committed.
"""

import json
import os

from harness import REPO, once, per_python
from pages import make_profile, write_profile

GOLDEN = REPO / "tests" / "golden"

GOLDEN_CASES = {
    "pstats.txt": ["small", "pstats"],
    "pstats_lines_by_name.txt": ["small", "pstats", "lines", "sort=name", "no-summary", "limit=4"],
    "pstats_cumulative_color.txt": ["small", "pstats", "sort=cumtime", "color"],
    "pstats_hostile.txt": ["hostile", "pstats"],
    "pstats_empty.txt": ["empty", "pstats"],
    "collapsed.txt": ["small", "collapsed"],
    "collapsed_all.txt": ["small", "collapsed", "lines", "threads", "processes"],
    "collapsed_hostile.txt": ["hostile", "collapsed", "threads", "processes"],
    "collapsed_empty.txt": ["empty", "collapsed"],
    "collapsed_mixed.txt": ["mixed", "collapsed", "threads"],
}


@once
def test_golden(env):
    for name, args in GOLDEN_CASES.items():
        text = make_profile(*args)
        if os.environ.get("KEELBACK_GOLDEN") == "write":
            (GOLDEN / name).write_bytes(text)
        assert text.decode() == (GOLDEN / name).read_text(), f"{name} differs: {' '.join(args)}"


@once
def test_texts_are_safe_to_print(env):
    for format in ("pstats", "collapsed"):
        text = make_profile("hostile", format, "threads", "processes").decode()
        bad = [c for c in text if (ord(c) < 32 and c != "\n") or 0x7F <= ord(c) < 0xA0 or c in "\u202e\u2028"]
        assert not bad, f"{format}: {bad}"


@once
def test_collapsed_adds_up(env):
    """Every line is a stack and a count; nothing is lost on the way, however stacks are grouped."""
    stacks = {}
    for options in ([], ["threads"], ["processes"], ["lines", "threads", "processes"]):
        lines = make_profile("large", "collapsed", *options).decode().splitlines()
        parsed = [line.rsplit(" ", 1) for line in lines]
        assert len({stack for stack, _ in parsed}) == len(parsed), f"a stack twice with {options}"
        stacks[tuple(options)] = sum(int(count) for _, count in parsed)
    table = make_profile("large", "pstats").decode()
    good = int(table.split("good ")[1].split()[0])
    assert set(stacks.values()) == {good}, f"{stacks}, ledger {good}"


PSTATS_PROGRAM = """
import io, json, pstats, sys
out = io.StringIO()
stats = pstats.Stats(sys.argv[1], stream=out)
raw = [[list(key), list(value[:4]), [[list(caller), list(cost)] for caller, cost in sorted(value[4].items())]]
       for key, value in sorted(stats.stats.items())]
stats.sort_stats("cumulative").print_stats().print_callers().print_callees()
stats.add(sys.argv[1])
stats.sort_stats("tottime").strip_dirs().print_stats(5)
print(json.dumps([raw, out.getvalue(), stats.total_tt]))
"""


@per_python
def test_pstats_file(env):
    """Python's own pstats loads, prints and adds the file, on every version."""
    path = write_profile(env, "small.pstats", "small", "pstats-file")
    rows, text, total = json.loads(env.py.run([env.py.script(PSTATS_PROGRAM), path]))
    app = "/srv/shop/app.py"
    costs = {tuple(key): (cost, dict((tuple(k), v) for k, v in callers)) for key, cost, callers in rows}
    assert abs(total - 2 * 2.232) < 1e-9, total
    cost, callers = costs[app, 20, "walk"]
    assert cost == [707, 707, 0.707, 0.707], cost
    # cProfile's order in callers: total calls before primitive ones.
    assert callers[app, 1, "<module>"] == [700, 100, 0.1, 0.7], callers
    assert callers[app, 20, "walk"][:2] == [600, 600], callers
    assert callers["~", 0, "<truncated>"][:2] == [7, 7], callers
    assert costs[app, 1, "<module>"][0] == [0, 2200, 0, 2.2]
    assert "1500/200    0.200    0.000    1.500    0.007 /srv/shop/app.py:10(Server.serve)" in text, text
    assert "{truncated}" in text, text


@per_python(where=lambda py: py.version in ((3, 6), (3, 15)))
def test_pstats_file_large_and_hostile(env):
    for profile in ("large", "hostile", "deep"):
        path = write_profile(env, profile + ".pstats", profile, "pstats-file")
        rows, _, total = json.loads(env.py.run([env.py.script(PSTATS_PROGRAM), path]))
        assert abs(sum(cost[2] for _, cost, _ in rows) - total / 2) < 1e-6
    names = {tuple(key)[2] for key, _, _ in rows}
    assert names == {"even", "odd"}, names
