# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The formats of sampling profiles: whole texts, what Python's pstats and a browser make of them.

Profiles come from tests/tools/make_profile.c and are the same every time. After a wanted change of
a text, KEELBACK_GOLDEN=write writes tests/golden anew; look at the difference before it is committed.
"""

import json
import os
import subprocess
import time
from pathlib import Path

from browser import Browser
from harness import REPO, once, per_python

TOOLS = Path(os.environ.get("KEELBACK_TOOLS", REPO / "build" / "tests" / "tools"))
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


def make_profile(*args):
    return subprocess.run([TOOLS / "make_profile", *args], stdout=subprocess.PIPE, check=True).stdout


def write_profile(env, name, *args):
    path = Path(env.tmp, name)
    path.write_bytes(make_profile(*args))
    return path


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


# ---------------------------------------------------------------- the flame graph in a browser

DATASET = "return {...document.getElementById('canvas').dataset}"
TEXT = "return document.getElementById(arguments[0]).textContent"
LEFT_OF_CANVAS = "const box = document.getElementById('canvas').getBoundingClientRect(); return [box.x, box.y, box.width]"
ROW = 20


class Page:
    """A flame graph in a browser. Its rows are numbered from the top, as they are seen."""

    def __init__(self, browser, path):
        self.browser = browser
        browser.open(path)
        browser.frame()

    def data(self):
        return self.browser.run(DATASET)

    def text(self, id):
        return self.browser.run(TEXT, id)

    def at(self, share, row):
        x, y, width = self.browser.run(LEFT_OF_CANVAS)
        return x + share * width, y + (row + 0.5) * ROW

    def click(self, share, row):
        self.browser.click(*self.at(share, row))

    def press(self, *keys):
        self.browser.keys(*keys)
        return self.data()

    def color(self, share, row):
        """The pixel at the end of a frame's row, where text does not reach."""
        x, y = self.at(share, row)
        script = """const canvas = document.getElementById('canvas'), box = canvas.getBoundingClientRect();
            const scale = canvas.width / box.width, pixel = document.createElement('canvas').getContext('2d');
            pixel.drawImage(canvas, (box.x - arguments[0]) * scale, (box.y - arguments[1]) * scale);
            return [...pixel.getImageData(0, 0, 1, 1).data].join()"""
        return self.browser.run(script, x, y + 7)

    def finish(self, path):
        messages, requests = self.browser.console(), self.browser.requests()
        assert not messages, messages
        assert requests == [path.as_uri()], requests


def with_page(env, profile, use, *options, **kwargs):
    path = write_profile(env, profile + ".html", profile, "flamegraph", *options)
    with Browser(env.temp_dir("browser"), **kwargs) as browser:
        page = Page(browser, path)
        use(page)
        page.finish(path)


@once(timeout=120)
def test_flamegraph_mouse(env):
    def use(page):
        assert page.data()["frames"] == "11", page.data()
        assert page.text("title") == "python3 app.py"
        assert "2,232 of 2,247 attempted samples are shown, 15 failed" in page.text("ledger")
        assert "thread runs no Python code" in page.text("ledger")
        page.browser.move(*page.at(0.3, 2))
        tip = page.text("tip")
        for part in ("Server.serve", "/srv/shop/app.py:10", "1,500", "200", "9.0 %", "67.2 %", "68.2 %"):
            assert part in tip, f"{part} is not in {tip}"
        page.click(0.3, 2)
        # Its callers above it, the two that it calls below.
        assert page.data()["zoom"] == "Server.serve" and page.data()["frames"] == "5", page.data()
        assert page.text("path") == "all›<module>›Server.serve", page.text("path")
        page.click(0.5, 3)
        assert page.data()["zoom"] == "dumps", page.data()
        page.browser.run("document.querySelector('#path button').click()")
        page.browser.frame()
        assert page.data()["zoom"] == "all" and page.text("path") == ""
        page.browser.move(*page.at(0.3, 9))
        assert page.browser.run("return document.getElementById('tip').hidden")

    with_page(env, "small", use)


@once(timeout=120)
def test_flamegraph_keyboard(env):
    def use(page):
        assert page.press("ArrowDown")["focus"] == "<module>"
        assert page.press("ArrowDown", "ArrowRight")["focus"] == "walk"
        assert page.text("status") == "walk (/srv/shop/app.py:20): 700 samples, 31.4 % of all, 100 in itself"
        assert page.press("ArrowLeft")["focus"] == "Server.serve"
        assert page.press("ArrowLeft")["focus"] == "Server.serve"
        assert page.press("Enter")["zoom"] == "Server.serve"
        assert page.press("ArrowDown", "Enter")["zoom"] == "dumps"
        assert page.press("ArrowUp")["focus"] == "Server.serve"
        assert page.press("Backspace")["zoom"] == "Server.serve"
        assert page.press("0")["zoom"] == "all"
        assert page.press("?")["zoom"] == "all"
        assert page.browser.run("return document.getElementById('help').open")
        page.press("Escape")
        assert not page.browser.run("return document.getElementById('help').open")
        # Flames up: the same keys follow what is seen.
        page.press("f")
        assert page.press("0", "ArrowUp")["focus"] == "<module>"
        assert page.press("ArrowDown")["focus"] == "all"

    with_page(env, "small", use)


@once(timeout=120)
def test_flamegraph_search(env):
    def use(page):
        plain = page.color(0.3, 2), page.color(0.3, 3)
        page.press("/", "WALK$|^walk", "Enter")
        # walk calls itself: its 707 samples count once.
        assert page.text("matches") == "31.7 % · 707 samples", page.text("matches")
        page.press("/", "dumps", "Enter")
        assert page.text("matches") == "53.8 % · 1,200 samples", page.text("matches")
        assert plain[0] != page.color(0.3, 2) != page.color(0.3, 3) != plain[1]
        page.click(0.3, 2)
        assert page.text("matches") == "53.8 % of all, 80.0 % here", page.text("matches")
        page.press("/", "json/__init__", "Enter", "0")
        assert page.text("matches") == "53.8 % · 1,200 samples", page.text("matches")
        page.press("/", "walk (", "Enter")
        assert page.text("matches") == "31.7 % · 707 samples", "no regular expression, searched as it stands"
        page.press("Escape")
        assert page.text("matches") == ""
        assert (page.color(0.3, 2), page.color(0.3, 3)) == plain

    with_page(env, "small", use)


@once(timeout=120)
def test_flamegraph_inverted(env):
    def use(page):
        assert page.press("i")["inverted"] == "true"
        assert page.press("ArrowDown")["focus"] == "dumps"
        assert page.text("status") == "dumps (/usr/lib/python3.12/json/__init__.py:183): 1,200 samples, 53.8 % of all"
        assert page.press("ArrowRight")["focus"] == "walk"
        assert "707 samples" in page.text("status")
        assert page.press("ArrowDown", "ArrowRight")["focus"] == "<module>"
        assert "100 samples" in page.text("status")
        page.press("i")
        assert page.data()["inverted"] == "false" and page.data()["focus"] == "all"

    with_page(env, "small", use)


@once(timeout=120)
def test_flamegraph_theme(env):
    theme = "return document.documentElement.dataset.theme"

    def use(page):
        assert page.browser.run(theme) == "light"
        light = page.color(0.3, 2)
        page.browser.media(prefers_color_scheme="dark")
        page.browser.frame()
        assert page.browser.run(theme) == "dark" and page.color(0.3, 2) != light
        page.press("d")
        assert page.browser.run(theme) == "light" and page.color(0.3, 2) == light
        page.browser.command("/refresh")
        assert page.browser.run(theme) == "light", "what was chosen is kept"
        page.browser.requests()
        page.browser.command("/refresh")

    with_page(env, "small", use)


@once(timeout=120)
def test_flamegraph_hostile_names(env):
    def use(page):
        assert page.browser.run("return window.hacked") is None
        assert page.text("title") == "</title><script>window.hacked=1</script>"
        assert page.data()["nodes"] == "15", page.data()
        for step in range(11):
            page.browser.move(*page.at((step + 0.5) / 11, 4))
        page.click(0.01, 4)
        assert page.data()["zoom"] == "</script><script>window.hacked=1</script>", page.data()
        assert "</script><script>window.hacked=1</script>" in page.text("path")
        page.press("i", "f", "d")
        assert page.browser.run("return window.hacked") is None
        assert page.browser.run("return document.querySelectorAll('img, i, b:not(#tip b)').length") == 0

    with_page(env, "hostile", use, "processes", "threads")


@once(timeout=180)
def test_flamegraph_large(env):
    """Fifty thousand nodes open and redraw without a wait."""

    def use(page):
        assert 1000 < int(page.data()["frames"]) < 10000 and page.data()["nodes"] == "49996", page.data()
        before = time.monotonic()
        for step in range(20):
            page.browser.move(*page.at(step / 20, step % 10 + 1))
        page.press("i", "i", "0")
        assert time.monotonic() - before < 20
        page.browser.resize(420, 640)
        width = page.browser.run("return [document.documentElement.scrollWidth, innerWidth]")
        assert width[0] <= width[1], f"the page is wider than its window: {width}"
        assert int(page.data()["frames"]) < 4000

    with_page(env, "large", use)


@once(timeout=180)
def test_flamegraph_limits(env):
    """More nodes than are drawn one by one: the rest stays in the sums. Stacks of any depth. No samples at all."""
    text = make_profile("huge", "flamegraph").decode()
    data = json.loads(text.split('<script id="data" type="application/json">')[1].split("</script>")[0])
    assert len(data["label"]) == len(data["up"]) == len(data["self"]) < 600000
    assert sum(data["self"]) == data["meta"]["attempted"]
    assert len(data["labels"]) - 1 in data["label"], "small stacks have no frame"

    def deep(page):
        assert page.data()["nodes"] == "20001", page.data()
        page.press("i")
        page.press("f")

    with_page(env, "deep", deep)
    with_page(env, "empty", lambda page: page.press("i") and page.press("ArrowDown", "Enter", "0"))
