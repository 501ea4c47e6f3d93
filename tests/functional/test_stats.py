# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""keelback stats beside each Python's own pstats on the same files: texts to the byte, dictionaries, JSON, the browser."""

import difflib
import json
import marshal
import os
import re
import subprocess
from pathlib import Path

import exports
from call_statistics import UTC, options, pstats, record
from harness import once, per_python
from terminal import Terminal

SORT_KEYS = """calls ncalls cumtime cumulative filename line module name nfl pcalls stdname time tottime
    ca cumu fi li m na nf p s ti to""".split()


def show(env, request):
    return env.keelback(*options(request), env={"PATH": os.environ["PATH"], **UTC}).stdout


def compare(env, requests):
    """Every answer of pstats, character by character."""
    for request, theirs in zip(requests, pstats(env, requests)):
        ours = show(env, request)
        if ours != theirs:
            diff = difflib.unified_diff(theirs.splitlines(), ours.splitlines(), "pstats", "keelback", lineterm="", n=1)
            raise AssertionError(f"{request}:\n" + "\n".join(list(diff)[:20]))
        assert len(ours) > 100 or request.get("restrict"), f"{request} shows nothing"
    return len(requests)


@per_python
def test_tables(env):
    """Each file as it is; each sort key, alone and with a second one; the old numbers; reversed."""
    files = record(env)
    requests = [{"files": [path], "view": view} for path in files.values() for view in ("stats", "callers", "callees")]
    requests += [{"files": [files["parsers"]], "sort": [key]} for key in [*SORT_KEYS, -1, 0, 1, 2]]
    requests += [{"files": [files["decimal"]], "sort": [key, "nfl"], "reverse": True} for key in SORT_KEYS]
    requests += [{"files": [files["asyncio"]], "sort": ["module", "pcalls", "line"], "view": "callers"}]
    compare(env, requests)


@per_python
def test_restrictions(env):
    """Numbers, fractions and expressions, in any order, and what pstats says of each."""
    files = record(env)
    lists = [
        [0], [1], [10], [100000], [-1], [0.0], [0.1], [0.25], [1.0], [1e-05], [0.333333333333],
        [".*"], ["json"], [r"\(<"], ["^{"], ["_re|_parse"], [r"decimal\.py:\d+\(_"], ["nothing at all"], ["it's"],
        [r"a\"b'c|d"], ["ast", 0.5, 3], [0.5, "e", 4], [20, r"py:\d{3}\(", 0.5], ["(?i)JSON", ".", 2],
    ]
    requests = [
        {"files": [files[name]], "sort": ["cumulative", "nfl"], "restrict": restrict, "view": view}
        for name, view in (("parsers", "stats"), ("decimal", "callers"), ("json", "callees"))
        for restrict in lists
    ]
    requests += [{"files": [files["re"]], "restrict": [0.5, "co"]}]
    compare(env, requests)


@per_python
def test_added_and_stripped(env):
    """Files added up, directories stripped, in each order; the file that is dumped has the same dictionary."""
    files, again = record(env), record(env, "second")
    sets = [
        [files["json"], again["json"]],
        [files["json"], files["asyncio"], files["re"], again["parsers"]],
        [files["profile"], again["profile"]],
    ]
    requests = [
        {"files": paths, "strip": strip, "sort": sort, "view": view}
        for paths in sets for strip in (False, True) for sort in ([], ["tottime", "stdname"])
        for view in ("stats", "callers", "callees")
    ]
    compare(env, requests)
    wanted = [{"files": paths, "strip": strip, "view": "dict"} for paths in sets for strip in (False, True)]
    for request, theirs in zip(wanted, pstats(env, wanted)):
        path = f"{env.tmp}/out.pstats"
        env.keelback(*options(request), "-o", path)
        (ours,) = pstats(env, [{"files": [path], "view": "dict"}])
        assert ours == theirs, f"{request}: the dumped file has other statistics"
        # And by way of a recording.
        env.keelback("stats", path, "-o", f"{env.tmp}/out.kb")
        env.keelback("convert", f"{env.tmp}/out.kb", "-o", f"{env.tmp}/back.pstats")
        assert pstats(env, [{"files": [f"{env.tmp}/back.pstats"], "view": "dict"}]) == [theirs]


@per_python
def test_files_of_other_pythons(env):
    """What one Python dumps is read here and written for every other."""
    files = record(env)
    request = {"files": [files["parsers"], files["recursion"]], "view": "dict"}
    (theirs,) = pstats(env, [request])
    path = f"{env.tmp}/out.pstats"
    env.keelback(*options(request), "-o", path)
    for python in env.pythons:
        assert pstats(env, [{"files": [path], "view": "dict"}], python) == [theirs], f"read by {python.id}"


@per_python
def test_json(env):
    """JSON has what get_stats_profile() returns, and the statistics in full."""
    files = record(env)
    requests = [{"files": [files[name]], "sort": sort} for name in ("json", "asyncio") for sort in ([], ["cumtime"])]
    profiles = [dict(request, view="profile") for request in requests]
    theirs = pstats(env, profiles) if env.py.version >= (3, 9) else [None] * len(requests)
    for request, profile in zip(requests, theirs):
        ours = json.loads(env.keelback(*options(request), "--json").stdout)
        if profile:
            assert [ours["total_tt"], ours["func_profiles"]] == profile, request
        functions = {(f["file"], f["line"], f["name"]): f for f in ours["functions"]}
        (rows,) = pstats(env, [dict(request, view="dict")])
        assert len(functions) == len(rows)
        for key, (cc, nc, tt, ct), callers in rows:
            f = functions[tuple(key)]
            assert (f["primitive"], f["ncalls"]) == (cc, nc)
            assert abs(f["tottime"] - tt) < 1e-12 and abs(f["cumtime"] - ct) < 1e-12
            ours_callers = {(c["file"], c["line"], c["name"]): (c["ncalls"], c["primitive"]) for c in f["callers"]}
            assert ours_callers == {tuple(caller): tuple(value[:2]) for caller, value in callers}


# Commands for both browsers. Errors in the words of Python's exceptions are not among them.
SCRIPT = """help
?
help stats
help callers
help callees
help sort
help add
help read
help reverse
help strip
help quit
help EOF
help help
help nothing
? strip
stats 3
frobnicate
!ls
.
sort

sort time cumulative
stats 5
callers 3 .5
callees 0.2 json
stats 1.5 2
stats -0.5 2
stats (x
reverse
stats 4
reverse
stats 4

sort nfl
stats json
sort frob
sort ti nfl
stats 6
strip
stats 4
sort name
stats 4 0.5 e
add {second}
stats 4
sort calls nfl
stats 9
add
add /no/such/file
read
stats 2
read {second}
stats 2
read /no/such/file
stats 1
quit
stats
"""


def mend(text):
    """What Python says in an exception's words, or said differently in 3.6."""
    text = text.replace("profile brower", "profile browser").replace("file -- file name\n", "", text.count("\nfile -- "))
    text = re.sub(r"cannot (open|read) [^:]*: ", "", text)
    return re.sub(r"\[Errno \d+\] ([^:]*): '.*'", r"\1", text)


def browse(command, script):
    process = subprocess.run(
        command, input=script, stdout=subprocess.PIPE, text=True, check=True, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **UTC}
    )
    return mend(process.stdout)


@per_python
def test_browser(env):
    """The same commands in Python's browser and in ours, with a file and with none; the end of the input leaves."""
    files, again = record(env), record(env, "second")
    script = SCRIPT.format(second=again["json"])
    for arguments in ([files["json"]], [files["json"], again["re"]]):
        theirs = browse(env.py.command(["-m", "pstats", *arguments]), script)
        ours = browse([env.keelback_path, "stats", "-i", *arguments], script)
        assert ours == theirs, "\n".join(list(difflib.unified_diff(theirs.splitlines(), ours.splitlines(), lineterm=""))[:30])
    script = f"stats\nsort\nadd x\nreverse\nstrip\nread\ncallers\nread {files['re']}\nstats 2\n"
    assert browse([env.keelback_path, "stats", "-i"], script) == browse(env.py.command(["-m", "pstats"]), script)


@once
def test_browser_in_a_terminal(env):
    """Completion of commands, keys and files, lines that are edited, the history, the ends."""
    env.py = env.python("3.12")
    files = record(env)
    directory = os.path.dirname(files["json"])
    for end, status in ((["C-d"], 0), (["q", "u", "i", "t", "Enter"], 0), (["C-c"], 130)):
        terminal = Terminal(env, [env.keelback_path, "stats", files["re"]], columns=120, rows=40)
        try:
            terminal.wait("re.pstats%")
            terminal.text("sor")
            terminal.press("Tab", "% sort")
            terminal.text(" cumu")
            terminal.press("Tab", re.compile(r"sort +cumulative"))
            terminal.keys("Enter")
            terminal.text("stats 3x")
            terminal.keys("BSpace", "Enter")
            terminal.wait(re.compile(r"List reduced from \d+ to 3 due to restriction <3>"))
            terminal.text(f"read {directory}/decim")
            terminal.press("Tab", "decimal.pstats")
            terminal.press("Enter", "decimal.pstats%")
            terminal.keys("Up", "Up")
            terminal.wait("% stats 3")
            terminal.keys("C-u")
            terminal.keys(*end)
            assert terminal.status() == status, f"after {end}"
            terminal.text("x")  # the shell's terminal echoes again
            terminal.wait(re.compile(r"^x$", re.M))
        finally:
            terminal.close()


@once
def test_default_view(env):
    """A table where no terminal is, or where a view is asked for; the browser on a terminal."""
    env.py = env.python("3.13")
    files = record(env)
    assert "function calls" in env.keelback("stats", files["re"]).stdout
    terminal = Terminal(env, [env.keelback_path, "stats", files["re"], "-s", "time", "--restrict", "2"], columns=120)
    try:
        terminal.wait("Ordered by: internal time")
        assert terminal.status() == 0
    finally:
        terminal.close()


@once
def test_other_tools(env):
    """callgrind_annotate and go tool pprof on the statistics; their sums are tottime, their flat values the functions'."""
    env.py = env.python("3.12")
    files = record(env)
    document = json.loads(env.keelback("stats", files["decimal"], "--json").stdout)
    functions = document["functions"]
    total = sum(f["tottime"] for f in functions)

    path = Path(env.tmp, "d.callgrind")
    env.keelback("stats", files["decimal"], "-o", path)
    costs, summary = exports.callgrind_annotate(path)
    inclusive, _ = exports.callgrind_annotate(path, "--inclusive=yes")
    assert abs(summary - total * 1e9) < len(functions)
    for f in functions:
        key = ("???" if f["file"] == "~" else f["file"], f["name"])
        if key in costs:  # it leaves out what costs nothing
            assert abs(costs[key] - f["tottime"] * 1e9) < 2, f
        if f["name"] in ("run_decimal", "sqrt", "__truediv__"):
            assert abs(inclusive[key] - f["cumtime"] * 1e9) < 0.01 * f["cumtime"] * 1e9, f
    assert len(costs) > len(functions) / 2

    path = Path(env.tmp, "d.pb.gz")
    env.keelback("stats", files["decimal"], "-o", path)
    types, samples, _ = exports.pprof_raw(env, path)
    assert [name.split("/")[0] for name in types] == ["calls", "tottime", "cumtime"], types
    assert sum(values[0] for values, *_ in samples) == sum(f["ncalls"] for f in functions)
    assert abs(sum(values[1] for values, *_ in samples) - total * 1e9) < len(samples)


@once
def test_sampled_files(env):
    """Files of profiling.sampling (3.15) have samples; its own pstats prints them alike. Recordings of samples, too."""
    env.py = env.python("3.15")
    key, caller = ("/app/a.py", 7, "f"), ("/app/a.py", 1, "<module>")
    stats = {key: (5, 9, 0.005, 0.009, {caller: 9}), caller: (0, 9, 0.0, 0.009, {}), ("__sampled__",): True}
    path = Path(env.tmp, "sampled.pstats")
    path.write_bytes(marshal.dumps(stats))
    real = f"{env.tmp}/real.pstats"
    program = env.py.script("import time\nend = time.time() + 1\nwhile time.time() < end: sum(range(300))\n")
    env.py.run(["-m", "profiling.sampling", "run", "--pstats", "-o", real, program])
    requests = [
        {"files": [file], "view": view, "sort": sort}
        for file in (str(path), real) for view in ("stats", "callers") for sort in ([], ["cumtime"])
    ]
    compare(env, requests)
    assert " nsamples " in show(env, requests[0])
    assert show(env, dict(requests[0], sort=["samples"])).count("call count") == 1


@once
def test_recordings_of_samples(env):
    """Functions have the samples and times that the file for Python's pstats says, and the ledger stands below."""
    path = Path(env.tmp, "small.kb")
    path.write_bytes(exports.make_profile("small", "recording"))
    file = Path(env.tmp, "small.pstats")
    file.write_bytes(exports.make_profile("small", "pstats-file"))
    text = env.keelback("stats", path, "-s", "cumtime").stdout
    table = text.split("(function)\n", 1)[1].split("\n\n", 1)[0]
    rows = {line[46:]: line[:9].strip() for line in table.splitlines()}
    assert len(rows) == len(marshal.loads(file.read_bytes()))
    for (name, line, function), (direct, cumulative, *_) in marshal.loads(file.read_bytes()).items():
        shown = f"{name}:{line}({function})" if name != "~" else re.sub("^<(.*)>$", r"{\1}", function)
        assert rows[shown] == (f"{cumulative}/{direct}" if direct != cumulative else str(direct)), shown
    ledger = exports.make_profile("small", "pstats").decode().split("Samples: ", 1)[1]
    assert text.endswith("Samples: " + ledger)


# Wrong bytes and what is said of them.
BROKEN = [
    (b"", "the file ends too soon"),
    (b"x", "an object of an unexpected type"),
    (b"N", "no dictionary"),
    (b"{0", "no statistics in it"),
    (marshal.dumps({1: 2}), r"entry 0: no \(file, line, name\)"),
    (marshal.dumps({("a", 1, "f"): (1, 1, 0.0)}), "entry 0: no .* of a function"),
    (marshal.dumps({("a", 1, "f"): (1, -1, 0.0, 0.0, {})}), "a count that is none"),
    (marshal.dumps({("a", 1, "f"): (1, 1, "x", 0.0, {})}), "a time that is no number"),
    (marshal.dumps({("a", 1, "f"): (1, 1, float("nan"), 0.0, {})}), "a time that is no number"),
    (marshal.dumps({("a", 2**40, "f"): (1, 1, 0.0, 0.0, {})}), "a line that is no number of one"),
    (marshal.dumps({("a", 1, "f"): (1, 2**70, 0.0, 0.0, {})}), "an integer of more than 64 bits"),
    (marshal.dumps({("a", 1, "f"): (1, 1, 0.0, 0.0, {})})[:-9], "too soon"),
    (b"{" + b"(\xff\xff\xff\x7f", "a size beyond the file's end"),
    (b"(\x01\x00\x00\x00" * 40, "too many containers within each other"),
    (b"{r\x05\x00\x00\x00", "a reference to nothing"),
    (b"\xa8\x01\x00\x00\x00r\x00\x00\x00\x00", "a reference to nothing"),
    (b"\x89KBR\r\n\x1a\n", "ends too soon"),
]


@once
def test_files_that_are_none(env):
    path = Path(env.tmp, "broken")
    for content, message in BROKEN:
        path.write_bytes(content)
        done = env.keelback("stats", path, check=False)
        assert done.returncode == 1 and not done.stdout, f"{content[:40]}: {done}"
        assert re.fullmatch(rf"keelback: stats: .*broken: .*{message}.*\n", done.stderr), f"{content[:40]}: {done.stderr}"


@once
def test_hostile_names(env):
    """Names that are no text for a terminal do not get there; in files they stay."""
    name = "f\x1b[31m\n\u202e"
    stats = {("a\x00b\udc80", 1, name): (2, 3, 0.5, 1.0, {("a\x00b\udc80", 1, name): (1, 0, 0.1, 0.2)})}
    path = Path(env.tmp, "hostile.pstats")
    path.write_bytes(marshal.dumps(stats))
    for view in ([], ["--callers"], ["--callees"]):
        text = env.keelback("stats", path, *view).stdout
        assert "f\ufffd[31m\ufffd\ufffd" in text and "\x1b" not in text and "\u202e" not in text
    out = Path(env.tmp, "out.pstats")
    env.keelback("stats", path, "-o", out)
    ((file, line, function),) = marshal.loads(out.read_bytes())
    assert (file, line, function) == ("a\ufffdb\ufffd", 1, name)
