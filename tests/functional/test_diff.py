# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Two recordings compared: keelback diff, --baseline, the differential flame graph, and --browser.

"before" and "after" of tests/tools/make_profile.c: shares of tokenize 20 to 50 %, render 50 to 25 %, old_helper 20 % to
nothing, new_helper nothing to 15 %, parse itself 10 %; functions stand 7 lines further down in "after".
"""

import json
import os
import re
import stat
from pathlib import Path

from harness import once, per_python
from pages import look_at, write_profile

SPIN = """
import sys, time
def old_work():
    sum(range(300))
def new_work():
    sum(range(300))
work = globals()[sys.argv[1]]
end = time.process_time() + float(sys.argv[2])  # CPU time: a loaded machine gives as many samples
while time.process_time() < end:
    work()
"""


def pair(env):
    return [write_profile(env, name + ".kb", name, "recording") for name in ("before", "after")]


@once
def test_diff_table(env):
    old, new = pair(env)
    text = env.keelback("diff", old, new).stdout
    rows = [line for line in text.splitlines() if re.match(r" +\d", line)]
    expected = [
        "     0.200  20.0%     1.000  50.0%   +30.0     0.200  20.0%     1.000  50.0%   +30.0        app.py:27(tokenize)",
        "     0.500  50.0%     0.500  25.0%   -25.0     0.500  50.0%     0.500  25.0%   -25.0        app.py:37(render)",
        "     0.200  20.0%     0.000   0.0%   -20.0     0.200  20.0%     0.000   0.0%   -20.0  gone  app.py:40(old_helper)",
        "     0.000   0.0%     0.300  15.0%   +15.0     0.000   0.0%     0.300  15.0%   +15.0  new   app.py:45(new_helper)",
        "     0.100  10.0%     0.200  10.0%     0.0     0.300  30.0%     1.200  60.0%   +30.0        app.py:17(parse)",
        "     0.000   0.0%     0.000   0.0%     0.0     1.000 100.0%     2.000 100.0%     0.0        app.py:1(<module>)",
    ]
    assert rows == expected, text
    assert "Old: python3 app.py, 4.020 s observed, 1.000 s sampled" in text
    assert "attempted 2000 = good 2000" in text
    short = env.keelback("diff", old, new, "--limit", 2, "--no-summary", "--sort", "total").stdout
    assert len(short.splitlines()) == 3 and "tokenize" in short and "parse" in short, short
    by_name = env.keelback("diff", old, new, "--sort", "name", "--no-summary").stdout
    assert re.findall(r"\((.*)\)$", by_name, re.M)[1:] == ["new_helper", "old_helper", "parse", "render", "tokenize"]
    same = env.keelback("diff", old, old, "--no-summary").stdout
    assert not re.search(r"[+-]\d|new  |gone", same.split("function\n")[1]), same
    colored = env.keelback("diff", old, new, "--color", "always").stdout
    assert "\x1b[31m   +30.0\x1b[0m" in colored and "\x1b[34m   -25.0\x1b[0m" in colored


@once
def test_diff_json(env):
    old, new = pair(env)
    result = Path(env.tmp, "diff.json")
    env.keelback("diff", old, new, "-o", result)
    report = json.loads(result.read_text())
    assert (report["old"]["total"], report["new"]["total"], report["new"]["seconds"]) == (1000, 2000, 2)
    functions = {row["name"]: row for row in report["functions"]}
    parse = functions["parse"]
    assert parse["status"] == "both" and parse["line"] == 17 and parse["kind"] == "python"
    assert parse["old"] == {"self": 100, "self_seconds": 0.1, "self_share": 0.1,
                            "total": 300, "total_seconds": 0.3, "total_share": 0.3}
    assert abs(parse["total_change"] - 0.3) < 1e-9 and parse["self_change"] == 0
    assert functions["old_helper"]["status"] == "gone" and functions["new_helper"]["status"] == "new"
    hostile = write_profile(env, "hostile.kb", "hostile", "recording")
    names = [row["name"] for row in json.loads(env.keelback("diff", old, hostile, "-f", "json").stdout)["functions"]]
    assert "</script><script>window.hacked=1</script>" in names


@once
def test_diff_refuses(env):
    """What cannot be compared is named with both values, by every way to compare, and nothing is written."""
    old, _ = pair(env)
    cases = [("rate=100", r"rate is 1000 Hz, the new one's is 100 Hz"), ("mode=1", r"mode is cpu, the new one's is wall"),
             ("unit=1", r"unit is samples, the new one's is nanoseconds")]
    for option, pattern in cases:
        other = write_profile(env, "other.kb", "after", "recording", option)
        result = Path(env.tmp, "result.html")
        for args in (["diff", old, other], ["diff", old, other, "-o", result], ["convert", other, "--baseline", old, "-o", result]):
            done = env.keelback(*args, check=False)
            assert done.returncode == 2 and done.stdout == "" and not result.exists(), done
            assert re.search(f"before.kb' and '.*other.kb'.*cannot be compared: .*{pattern}", done.stderr), done.stderr
    done = env.keelback("diff", old, other, "-o", old, "-f", "json", check=False)
    assert done.returncode == 2 and "one of the recordings" in done.stderr
    done = env.keelback("convert", other, "--baseline", old, "-o", old, "-f", "diff-flamegraph", check=False)
    assert done.returncode == 2 and "the recording itself" in done.stderr


@once(timeout=120)
def test_diff_flamegraph(env):
    old, new = pair(env)
    result = Path(env.tmp, "diff.html")
    env.keelback("diff", old, new, "-o", result)

    def use(page):
        assert page.text("title") == "python3 app.py --new, compared with python3 app.py"
        assert "2,000 samples (2.00 s)" in page.text("facts") and "1,000 samples (1.00 s)" in page.text("facts-old")
        assert page.data()["nodes"] == "6", page.data()
        # all, <module>, then parse 60 %, render 25 %, new_helper 15 %.
        grown, shrunk, fresh, same = page.color(0.3, 2), page.color(0.7, 2), page.color(0.95, 2), page.color(0.3, 1)
        red = lambda color: int(color.split(",")[0]) - int(color.split(",")[2])
        assert red(fresh) > red(grown) > 40 > abs(red(same)) and red(shrunk) < -40, (grown, shrunk, fresh, same)
        page.browser.move(*page.at(0.7, 2))
        tip = page.text("tip")
        for part in ("render", "/srv/shop/app.py:37", "25.0 %", "50.0 %", "−25.0 points", "50 % less", "500"):
            assert part in tip, f"{part} is not in {tip}"
        # In itself parse has the share that it had.
        page.press("s")
        assert page.color(0.58, 2) == same
        page.press("s", "ArrowDown", "ArrowDown")
        assert page.text("status") == "parse (/srv/shop/app.py:17): 60.0 %, was 30.0 %: +30.0 points, 100 % more", page.text("status")
        page.press("c")
        assert page.color(0.7, 2) == same
        page.browser.move(*page.at(0.7, 2))
        assert "500 ms500 ms±0.00 sthe same" in page.text("tip"), page.text("tip")
        assert "Change of the time" in page.text("legend")
        page.press("c")
        # The old stacks, then those that are gone: old_helper, 20 % of the old recording.
        page.press("v")
        assert page.data()["nodes"] == "6", page.data()
        page.press("v")
        assert page.data()["nodes"] == "3", page.data()
        page.press("0", "ArrowDown", "ArrowDown")
        assert page.text("status") == "old_helper (/srv/shop/app.py:40): 0.0 %, was 20.0 %: −20.0 points, gone", page.text("status")
        assert red(page.color(0.3, 2)) < red(shrunk) < 0
        options = page.run("return [...document.getElementById('side').options].map((option) => option.text)")
        assert options == ["New stacks", "Old stacks", "Gone stacks: 20.0 %"], options
        page.press("v", "i")
        assert page.data()["inverted"] == "true" and page.data()["nodes"] == "10", page.data()
        page.press("ArrowDown")
        assert page.text("status") == "tokenize (/srv/shop/app.py:27): 50.0 %, was 20.0 %: +30.0 points, 150 % more", page.text("status")
        assert page.hidden("threads")

    look_at(env, result, use)


@once(timeout=120)
def test_diff_flamegraph_edges(env):
    """Nothing in common, nothing at all, hostile names, themes, and a time that is no number of samples."""
    old, new = pair(env)
    hostile = write_profile(env, "hostile.kb", "hostile", "recording")
    empty = write_profile(env, "empty.kb", "empty", "recording")
    result = Path(env.tmp, "x.html")

    def harmless(page):
        page.press("i", "i", "v", "v", "s", "c")
        for step in range(11):
            page.browser.move(*page.at((step + 0.5) / 11, 2))
        assert page.run("return window.hacked") is None
        assert page.run("return document.querySelectorAll('img').length") == 0

    env.keelback("diff", old, hostile, "-o", result)
    look_at(env, result, harmless)
    env.keelback("convert", new, "--baseline", hostile, "--threads", "--processes", "-o", result)
    look_at(env, result, harmless)
    env.keelback("diff", old, empty, "-o", result)
    look_at(env, result, harmless)
    assert "100.0" not in env.keelback("diff", empty, empty).stdout
    times = [write_profile(env, name + "-ns.kb", name, "recording", "unit=1", "mode=1") for name in ("before", "after")]
    env.keelback("diff", *times, "-o", result)

    def light_and_dark(page):
        assert "2000 ns" in page.text("facts") or "2.00 µs" in page.text("facts"), page.text("facts")
        light = page.color(0.3, 2), page.color(0.7, 2)
        page.browser.media(prefers_color_scheme="dark")
        page.browser.frame()
        dark = page.color(0.3, 2), page.color(0.7, 2)
        assert len({*light, *dark}) == 4, (light, dark)

    look_at(env, result, light_and_dark)


@per_python(where=lambda py: py.id == "debian-3.11", timeout=60)
def test_sample_with_baseline(env):
    """What runs now is compared with a recording; one of another rate is refused before anything is collected."""
    old, result = Path(env.tmp, "old.kb"), Path(env.tmp, "diff.html")
    program = env.py.script(SPIN)
    env.keelback("sample", "-r", 500, "-o", old, "--", *env.py.command([program, "old_work", 0.7]))
    env.keelback("sample", "-r", 500, "--baseline", old, "-o", result, "--", *env.py.command([program, "new_work", 0.7]))
    data = json.loads(result.read_text().split('<script id="data" type="application/json">')[1].split("</script>")[0])
    names = [label[1] for label in data["labels"]]
    self_of = lambda side, name: sum(n for n, label in zip(data[side], data["label"]) if names[label] == name)
    assert self_of("self", "new_work") > 100 and self_of("old", "new_work") == 0
    assert self_of("old", "old_work") > 100 and self_of("self", "old_work") == 0
    done = env.keelback("sample", "-r", 250, "--baseline", old, "-o", result, "--",
                        *env.py.command([program, "new_work", 30]), check=False, timeout=20)
    assert done.returncode == 2 and re.search(r"--baseline '.*old.kb': cannot be compared: .*rate is", done.stderr), done.stderr


@once
def test_browser(env):
    """--browser gives the page to xdg-open, and says when that fails."""
    old, new = pair(env)
    programs = Path(env.temp_dir("bin"))
    opener, opened = programs / "xdg-open", Path(env.tmp, "opened")
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "DISPLAY": ":0"}
    os.chmod(env.tmp, 0o755)

    def run(script, **extra):
        opener.write_text("#!/bin/sh\n" + script)
        opener.chmod(0o755)
        done = env.keelback("convert", new, "-o", "page name.html", "--browser", cwd=env.tmp, env={**environment, **extra})
        assert Path(env.tmp, "page name.html").exists()
        return done.stderr

    assert run(f'echo "$@" > {opened}') == ""
    assert opened.read_text() == f"{os.path.realpath(env.tmp)}/page name.html\n"
    assert "cannot be opened in a browser: xdg-open knows no browser" in run("exit 3")
    assert "xdg-open ended with status 4" in run("exit 4")
    assert "no graphical session" in run("exit 4", DISPLAY="", WAYLAND_DISPLAY="")
    assert "xdg-open is not installed" in env.keelback(
        "diff", old, new, "-o", "diff.html", "--browser", cwd=env.tmp, env={**environment, "PATH": env.tmp}).stderr
    # One that goes on running is left alone.
    assert run("sleep 30") == ""
    # sudo's caller, not root, has the browser.
    opened.unlink()
    opened.touch()
    opened.chmod(0o666)
    for directory in (programs, Path(env.tmp)):
        directory.chmod(stat.S_IMODE(directory.stat().st_mode) | 0o755)
    run(f'id -u > {opened}', SUDO_UID="65534")
    assert opened.read_text() == "65534\n", opened.read_text()
