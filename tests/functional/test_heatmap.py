# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The heat map: sources of live, ended and hostile targets, its page in a browser, its limits."""

import json
import os
import re
import time
from pathlib import Path

from harness import once, per_python
from pages import Page, look_at, make_profile, write_profile

# Lines 10, 20, 30 … of tests/tools/make_profile.c's "mixed": pack at 10 (runs line 12), add at 30 (31), the module at line 40.
APP = "".join({10: "def pack(data):\n", 12: "\treturn zlib.compress(data)\n", 30: "def add(a, b):\n", 31: "    return a + b  # größe\n",
               40: "work()\n"}.get(n, f"# {n}\n") for n in range(1, 51))

SPIN = """
import sys, time, json
def hot():
    return sum(range(200))
print("ready", flush=True)
while True:
    hot()
    json.loads('[1, 2, {"a": "b"}]')
"""


def parts_of(text):
    """The page's data, and its sources in the order of their numbers."""
    if isinstance(text, bytes):
        text = text.decode()
    data = json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', text, re.S)[1])
    sources = re.findall(r'<script id="source-(\d+)" type="application/json">(.*?)</script>', text, re.S)
    assert [int(number) for number, _ in sources] == list(range(len(sources)))
    return data, [json.loads(lines) for _, lines in sources]


def file_of(data, ending):
    found = [file for file in data["files"] if file[0].endswith(ending)]
    assert len(found) == 1, f"{ending}: {[file[0] for file in data['files']]}"
    return dict(zip(("name", "self", "total", "first", "rows", "source", "note"), found[0]))


def lines_of(data, file):
    """{line: (own cost, with what it calls)}"""
    rows = range(file["first"], file["first"] + file["rows"])
    return {data["rowLine"][row]: (data["rowSelf"][row], data["rowTotal"][row]) for row in rows}


class HeatPage(Page):
    def press(self, *keys):
        self.browser.keys(*keys)

    def row(self, number):
        """What a line shows: [own cost, with calls, text], or None where it is not drawn."""
        return self.run("""const row = [...document.querySelectorAll('.row')].find((row) => row.firstChild.textContent == arguments[0]);
            return row && [...row.children].slice(1).map((cell) => cell.textContent)""", str(number))

    def chosen(self):
        return self.run("return document.querySelector('.row.chosen')?.firstChild.textContent")

    def heat(self, number, column=1):
        return self.run("""const row = [...document.querySelectorAll('.row')].find((row) => row.firstChild.textContent == arguments[0]);
            return getComputedStyle(row.children[arguments[1]]).backgroundColor""", str(number), column)

    def files(self):
        return self.run("return [...document.querySelectorAll('#index td a')].map((link) => link.textContent)")

    def shows_file(self):
        return not self.hidden("file")


@once
def test_heatmap_numbers(env):
    data, _ = parts_of(make_profile("small", "heatmap"))
    assert data["total"] == 2232
    app = file_of(data, "app.py")
    # walk calls itself, on one line; serve runs lines 14 and 16; each stack counts once.
    assert lines_of(data, app) == {14: (150, 1450), 16: (50, 50), 22: (507, 707), 24: (200, 200), 40: (0, 2200)}, lines_of(data, app)
    assert (app["self"], app["total"]) == (907, 2207), app
    calls = {(data["rowLine"][row], data["functions"][function][1]): number
             for row, function, number in zip(data["callRow"], data["callFunction"], data["callCount"])}
    assert calls[14, "dumps"] == 1200 and calls[14, "info"] == 100 and calls[40, "walk"] == 700 and calls[22, "walk"] == 600, calls
    totals, _ = parts_of(make_profile("large", "heatmap"))
    assert sum(totals["rowSelf"]) == totals["total"] == totals["meta"]["attempted"]
    assert totals["leftOut"] == [0, 0]
    data, _ = parts_of(make_profile("huge", "heatmap"))
    assert len(data["callRow"]) <= 1 << 18 and data["leftOut"][1] > 0, data["leftOut"]


@per_python(where=lambda py: py.id in ("debian-3.11", "sid-3.15", "pyenv-3.6"), timeout=60)
def test_heatmap_of_live_process(env):
    """Sources come from the file system of the target, which may be another one than ours."""
    process = env.py.popen([env.py.script(SPIN)])
    env.wait_line(process, "ready")
    result = Path(env.tmp, "heat.html")
    env.keelback("sample", "-p", process.pid, "-d", 1, "-r", 1000, "--opcodes", "-f", "heatmap", "-o", result)
    data, sources = parts_of(result.read_text())
    script = file_of(data, "target.py")
    assert sources[script["source"]] == SPIN.splitlines() and script["note"] == "", script
    lines = lines_of(data, script)
    assert lines[4][0] > 0.2 * data["total"] and lines[7][1] >= lines[4][0], lines
    # What the hot line spent is in its instructions; from 3.11 on some of those of a loop are specialized.
    hot = data["rowLine"].index(4, script["first"])
    spent = {tuple(data["opcodes"][name]): number for row, name, number in zip(data["opRow"], data["opName"], data["opCount"]) if row == hot}
    assert sum(spent.values()) > 0.9 * lines[4][0] and all(name.isupper() for pair in spent for name in pair), spent
    assert any("CALL" in name for name, _ in spent), spent
    assert env.py.version < (3, 11) or any(name != base for name, base in data["opcodes"]), data["opcodes"]
    decoder = file_of(data, "json/decoder.py")
    assert decoder["note"] == "" and any("def raw_decode" in line for line in sources[decoder["source"]])
    process.kill()


@per_python(where=lambda py: py.id == "debian-3.11", timeout=60)
def test_heatmap_of_ended_process(env):
    """Without the process: local files, what changed since then, and reasons where there is nothing to show."""
    recording, result = Path(env.tmp, "x.kb"), Path(env.tmp, "heat.html")
    script = env.py.script("exec(compile('for i in range(3000000): pass', '<made>', 'exec'))\n")
    env.keelback("sample", "-r", 500, "-o", recording, "--", *env.py.command([script]))
    env.keelback("convert", recording, "-f", "heatmap", "-o", result)
    data, sources = parts_of(result.read_text())
    file = file_of(data, "target.py")
    assert len(sources[file["source"]]) == 1 and file["note"] == ""
    made = file_of(data, "<made>")
    assert made["source"] == -1 and made["note"] == "compiled from text that is in no file" and made["self"] > 0
    os.utime(script, (time.time() + 100,) * 2)
    env.keelback("convert", recording, "-f", "heatmap", "-o", result)
    assert "changed after the profile" in file_of(parts_of(result.read_text())[0], "target.py")["note"]
    os.unlink(script)
    env.keelback("convert", recording, "-f", "heatmap", "-o", result)
    file = file_of(parts_of(result.read_text())[0], "target.py")
    assert file["source"] == -1 and file["note"] == "no such file", file
    done = env.keelback("convert", recording, "-f", "heatmap", "--threads", check=False)
    assert done.returncode == 2 and "--threads is for stacks" in done.stderr


@once(timeout=120)
def test_heatmap_page(env):
    app = Path(env.tmp, "app.py")
    app.write_text(APP)

    def use(page):
        assert page.text("title") == "python3 pack.py" and "wall clock" in page.text("facts") and "4.00 s" in page.text("facts")
        headings = page.run("return [...document.querySelectorAll('#index h2')].map((heading) => heading.textContent)")
        assert headings == ["Project1 file, 45.0 %", "Standard library1 file, 55.0 %"], headings
        assert page.files()[1] == "threading.py", page.files()
        assert "no such file" in page.text("index") or "another machine" in page.text("index")
        page.press("ArrowDown", "Enter")
        assert page.shows_file() and page.text("name") == str(app)
        assert "45.0 % in its lines, 100.0 %" in page.text("about") and "another machine" in page.text("about")
        # The hottest line is chosen: line 12, with the native code that it called; a tab is eight columns.
        assert page.chosen() == "12" and page.row(12) == ["35.0 %", "35.0 %", "        return zlib.compress(data)"], page.row(12)
        assert page.row(31) == ["10.0 %", "10.0 %", "    return a + b  # größe"] and page.row(13) == ["", "", "# 13"]
        for part in ("12: pack", "1.40 s", "defined in line 10", "zlib_compress", "native code", "27.5 %", "<native>", "pack is called from", "<module>", "line 40"):
            assert part in page.text("detail"), f"{part} is not in {page.text('detail')}"
        assert len({page.heat(12), page.heat(31), page.heat(13)}) == 3
        # Keys: hot lines, the hottest ones in turn, what is hot.
        page.press("n")
        assert page.chosen() == "31" and "BINARY_OP_ADD_INT" in page.text("detail") and "75.0 %" in page.text("detail"), page.text("detail")
        page.press("p", "h")
        assert page.chosen() == "31"
        page.press("s", "h")
        assert page.chosen() == "40" and page.heat(40, 2) != page.heat(13, 2)
        page.press("s", "o")
        assert page.run("return document.querySelectorAll('.row:not(.gap)').length") == 3
        page.press("o", "/", "DEF", "Enter")
        assert page.text("matches") == "2 lines" and page.chosen() == "10", page.chosen()
        page.press("n")
        assert page.chosen() == "30"
        page.press("Escape", "ArrowDown", "ArrowDown", "ArrowUp")
        assert page.chosen() == "31" and page.text("matches") == ""
        assert page.run("return location.hash").endswith(":31")
        # Links: who calls this, and back.
        page.press("c", "Enter")
        assert page.chosen() == "30", page.chosen()
        page.run("[...document.querySelectorAll('.row')].find((row) => row.firstChild.textContent == '31').click()")
        assert page.chosen() == "31"
        page.press("Backspace")
        assert page.chosen() == "31"
        page.press("[")
        assert page.text("name") == "/usr/lib/python3.12/threading.py" and page.row(359) == ["55.0 %", "55.0 %", "in wait"], page.text("name")
        page.run("location.hash = ''")
        page.browser.frame()
        assert not page.shows_file()
        page.press("/", "wait", "Enter")
        assert page.files() == ["threading.py"] and page.text("matches") == "1 of 2 files"

    look_at(env, write_profile(env, "mixed.html", "mixed", "heatmap", f"app={app}"), use, HeatPage)


@once(timeout=120)
def test_heatmap_hostile(env):
    """Names and sources that try to break out, odd encodings and line ends, no samples, many files."""
    app = Path(env.tmp, "odd.py")
    app.write_bytes("# coding: iso-8859-15\r\n".encode() +
                    "x = '</script><script>window.hacked=1</script><!--' # ¤\r\n\x00\x1b[31m\u20ac\x85".encode("latin-1", "replace") +
                    b"\xa4\n" + b"y" * 5000 + b"\nlast")

    def harmless(page):
        for _ in range(11):
            page.press("ArrowDown")
        page.press("Enter", "n", "s", "o", "o", "h", "c", "d")
        assert page.run("return window.hacked") is None
        assert page.run("return document.querySelectorAll('img, script').length") == page.run(
            "return document.querySelectorAll('script[id], script:not([id])').length")

    look_at(env, write_profile(env, "hostile.html", "hostile", "heatmap"), harmless, HeatPage)

    def odd(page):
        page.press("ArrowDown", "Enter")
        assert page.row(2)[2] == "x = '</script><script>window.hacked=1</script><!--' # €", page.row(2)
        assert page.row(3)[2].startswith("\ufffd\ufffd[31m"), page.row(3)
        assert len(page.row(4)[2]) == 1001 and page.row(5)[2] == "last"
        assert page.row(40)[2] == "in <module>", "a line that the file does not have (any more)"
        assert page.run("return window.hacked") is None

    look_at(env, write_profile(env, "odd.html", "mixed", "heatmap", f"app={app}"), odd, HeatPage)
    look_at(env, write_profile(env, "empty.html", "empty", "heatmap"), lambda page: page.press("ArrowDown", "Enter", "n", "/"), HeatPage)
    # Neither a pipe, nor a directory, nor what is no Python.
    fifo, secret = Path(env.tmp, "fifo.py"), Path(env.tmp, "secret")
    os.mkfifo(fifo)
    secret.write_text("password\n")
    for path, note in ((fifo, "no regular file"), (env.tmp, "no regular file"), (secret, "neither its name nor its first line")):
        text = make_profile("mixed", "heatmap", f"app={path}").decode()
        assert note in file_of(parts_of(text)[0], str(path))["note"] and "password" not in text


@once(timeout=120)
def test_heatmap_large(env):
    """A long file is drawn as far as it is seen; the page is no wider than a phone."""
    app = Path(env.tmp, "long.py")
    app.write_text("".join(f"value_{n} = {n}\n" for n in range(1, 20001)))

    def use(page):
        page.press("ArrowDown", "Enter")
        assert page.run("return document.querySelectorAll('.row').length") < 200
        page.press("End")
        assert page.chosen() == "20000" and page.row(20000)[2] == "value_20000 = 20000", (page.chosen(), page.row(20000))
        page.press("PageUp", "n")
        assert page.chosen() == "12", page.chosen()
        page.browser.resize(420, 640)
        width = page.run("return [document.documentElement.scrollWidth, innerWidth]")
        assert width[0] <= width[1], f"the page is wider than its window: {width}"

    look_at(env, write_profile(env, "long.html", "mixed", "heatmap", f"app={app}"), use, HeatPage)


@once(timeout=120)
def test_heatmap_theme(env):
    """Light and dark both show something, and not the same."""
    app = Path(env.tmp, "app.py")
    app.write_text(APP)
    path = write_profile(env, "mixed.html", "mixed", "heatmap", f"app={app}")
    sizes = {}

    def use(page):
        page.press("ArrowDown", "Enter")
        for theme in ("light", "dark"):
            page.browser.media(prefers_color_scheme=theme)
            page.browser.frame()
            sizes[theme] = page.heat(12), page.run("return getComputedStyle(document.getElementById('code')).backgroundColor")
            shot = Path(env.tmp, theme + ".png")
            page.browser.screenshot(shot)
            assert shot.stat().st_size > 20000, "an empty picture would be smaller"

    look_at(env, path, use, HeatPage)
    assert all(light != dark for light, dark in zip(sizes["light"], sizes["dark"])), sizes
