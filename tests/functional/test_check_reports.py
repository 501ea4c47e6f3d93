# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Reports of checks as those read them that they are for: a Markdown renderer, an XML parser, GitHub's runner."""

import html.parser
import json
import re
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from harness import TOOLS, once


# KB_HOSTILE of tests/unit/check_util.h, with U+FFFD for what is not shown.
HOSTILE = ("\"'<b>&amp;]]>|``` `x`\\|@me #1 [a](http://b.c) \ufffd::error::x\ufffd\ufffd[31m%0A,a=b:c \ufffd\ufffd"
           "\ufffd\ufffd")


def make_check(format, text):
    done = subprocess.run([TOOLS / "make_check", format, text], stdout=subprocess.PIPE, check=True)
    return done.stdout.decode()


class Rendered(html.parser.HTMLParser):
    """Tables as lists of rows of texts, texts of code, and every tag that was met."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.codes, self.tags, self.text = [], [], set(), ""
        self.code, self.in_cell = None, False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self.in_cell = True
        elif tag == "code":
            self.code = ""

    def handle_endtag(self, tag):
        self.in_cell &= tag not in ("td", "th")
        if tag == "code":
            self.codes.append(self.code)
            self.code = None

    def handle_data(self, data):
        self.text += data
        if self.code is not None:
            self.code += data
        if self.in_cell:
            self.tables[-1][-1][-1] += data


def render(markdown):
    extensions = [part for name in ("table", "autolink", "strikethrough", "tasklist") for part in ("-e", name)]
    done = subprocess.run(["cmark-gfm", "--unsafe", *extensions], input=markdown, stdout=subprocess.PIPE, text=True, check=True)
    return Rendered(done.stdout)


@once
def test_markdown_rendered(env):
    page = render(make_check("markdown", "hostile"))
    assert page.tags <= {"h3", "p", "strong", "table", "thead", "tbody", "tr", "th", "td", "code", "pre", "details", "summary"}, page.tags
    assert len(page.tables) >= 6
    for table in page.tables:
        assert len(table) > 1 and len({len(row) for row in table}) == 1, table
    names = [code for code in page.codes if code.startswith("\"'")]
    assert len(names) > 10 and set(names) <= {HOSTILE, HOSTILE + ":5", HOSTILE + ":7", HOSTILE + ":12"}, set(names)
    assert f"      Python {HOSTILE.replace('```', chr(96) * 2 + chr(39))}\n" in page.text, page.text
    assert page.text.replace("\u200b", "").startswith(HOSTILE + "\n"), page.text[:200]


@once
def test_markdown_figures(env):
    page = render(make_check("markdown", "app.work"))
    metrics = {row[0]: row for row in page.tables[0]}
    assert metrics["CPU time"] == ["CPU time", "1.00 s", "1.10 s", "+10.0%", "+8.0% to +12.0%", "1.1%", "regression"]
    assert metrics["calls"][4:] == ["-", "exact", "regression"]
    history = page.tables[4]
    assert history[0][:4] == ["metric", "level", "checks", "change"]
    assert [row[-1] for row in history[1:]] == ["regression", "regression, not gated", "regression, not gated", "regression"], history


@once
def test_junit_parsed(env):
    for text, name in (("hostile", HOSTILE), ("work", "work")):
        suites = ElementTree.fromstring(make_check("junit", text))
        assert suites.tag == "testsuites" and suites.get("name") == name
        check, history = suites
        for suite in suites:
            cases = suite.findall("testcase")
            assert int(suite.get("tests")) == len(cases) == 4
            assert int(suite.get("failures")) == len(suite.findall("testcase/failure"))
            assert int(suite.get("skipped")) == len(suite.findall("testcase/skipped"))
        assert [case.get("name") for case in check.findall("testcase")] == ["CPU time", "wall time", "page faults", "calls"]
        failures = {case.get("name"): case.find("failure").text for case in check.findall("testcase") if case.find("failure") is not None}
        assert set(failures) == {"CPU time", "calls"}
        assert f"\n{name} ({name}:7): 500 ms to 600 ms, p < 0.0001" in failures["CPU time"], failures
        assert f"\n{name} ({name}:12) called by {name} ({name}): 0 to 200" in failures["calls"], failures
        assert {p.get("value") for p in check.findall("properties/property")} == {name, "0.1"}
        assert f"since {name}" in history.find("testcase/failure").text


def read_command(line):
    """As the runner reads a workflow command (actions/runner, ActionCommand.cs)."""
    match = re.fullmatch(r"::(\w+)(?: (.*?))?::(.*)", line)
    assert match, line

    def plain(text, escapes):
        for escaped, char in [*escapes, ("%25", "%")]:
            text = text.replace(escaped, char)
        return text

    data = [("%0D", "\r"), ("%0A", "\n")]
    pairs = [item.split("=", 1) for item in match[2].split(",")]
    return match[1], {key: plain(value, [*data, ("%3A", ":"), ("%2C", ",")]) for key, value in pairs}, plain(match[3], data)


@once
def test_annotations_parsed(env):
    commands = [read_command(line) for line in make_check("github", "hostile").splitlines()]
    assert [level for level, _, _ in commands] == ["error", "warning", "error", "error", "error", "error", "error", "notice"]
    assert all(properties["title"].startswith(HOSTILE + ": ") for _, properties, _ in commands), commands
    assert commands[5][2] == f"{HOSTILE}: 500 ms to 600 ms of CPU time"
    assert commands[0][2].startswith("CPU time: +10.0% (+8.0% to +12.0%), 1.00 s to 1.10 s; threshold 3%")


@once
def test_annotation_paths(env):
    """Of files below a repository the path within it; others have none. In a worktree, .git is a file."""
    repo = Path(env.tmp, "repo")
    (repo / "src" / "a,b").mkdir(parents=True)
    (repo / ".git").write_text("gitdir: elsewhere\n")
    (repo / "src" / "a,b" / "app.py").write_text("")
    outside = Path(env.tmp, "outside.py")
    outside.write_text("")

    def files(name, cwd):
        done = subprocess.run([TOOLS / "make_check", "github", name], cwd=cwd, stdout=subprocess.PIPE, check=True, text=True)
        return {read_command(line)[1].get("file") for line in done.stdout.splitlines()}

    assert files(str(repo / "src" / "a,b" / "app.py"), env.tmp) == {None, "src/a,b/app.py"}
    assert files("a,b/app.py", repo / "src") == {None, "src/a,b/app.py"}
    assert files("../src/a,b/app.py", repo / "src") == {None, "src/a,b/app.py"}
    assert files(str(outside), repo) == {None}
    assert files("gone.py", repo) == {None, "gone.py"}
    assert files("<frozen os>", repo) == {None}


@once
def test_json_has_the_trend(env):
    report = json.loads(make_check("json", "hostile"))
    assert report["trend"]["verdict"] == "regression" and len(report["trend"]["metrics"]) == 4
    assert report["trend"]["metrics"][0]["level"]["n"] == 8, report["trend"]["metrics"][0]
