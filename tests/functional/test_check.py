# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""keelback check: a slowdown is found and blamed, counts are exact, recordings are compared or refused.

What is asserted of CPU time is far outside of what noise makes: a program that does a third more.
"""

import json
import os
import re
import shlex
import signal
import subprocess
import time
from pathlib import Path

from harness import once, per_python

PLANTED = """
import sys
def parse(n):
    total = 0
    for i in range(n):
        total += i * i % 7
    return total
def render(n):
    return ",".join(map(str, range(n)))
def main(work):
    for i in range(20):
        parse(work)
        render(3000)
main(int(sys.argv[1]))
"""

CALLS = """
def leaf(n):
    return n
def caller(n):
    leaf(n)
    EXTRA
for i in range(500):
    caller(i)
"""

ALLOCATES = """
def make(n):
    return [n, EXTRA]
keep = [make(i) for i in range(2000)]
"""

QUICK = ["--min-pairs", "8", "--max-time", "1"]
ALONE = ["--no-calls", "--no-memory"]


def command(py, script, *args):
    return shlex.join(map(str, py.command([script, *args])))


def programs(py, base, head, name="app.py"):
    """Two versions of a file in two directories; their paths."""
    paths = []
    for side, text in ("base", base), ("head", head):
        Path(py.tmp, side).mkdir(exist_ok=True)
        paths.append(Path(py.tmp, side, name))
        paths[-1].write_text(text)
    return paths


def check(env, py, base, head, *options, status=0):
    """A check of two versions of a program, as JSON."""
    paths = programs(py, base, head)
    sides = [arg for side, path in zip(("--base", "--head"), paths) for arg in (side, command(py, path))]
    done = env.keelback("check", "--json", *sides, *QUICK, *options, check=False)
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    return json.loads(done.stdout)


def measure(report, metric):
    found = [row for row in report["measures"] if row["metric"] == metric]
    assert found, f"no {metric}: {report['notes']}"
    return found[0]


def counts(report, metric, what="counts"):
    return {row["name"]: (row["base"], row["head"]) for row in report[what] if row["metric"] == metric}


def check_schema(report):
    """What reports of version 1 have: members may be added, none taken away."""
    assert report["version"] == 1 and report["verdict"] in ("regression", "improvement", "no-change", "cannot-tell")
    assert {"version", "verdict", "meta", "measures", "functions", "counts", "edges", "notes"} <= set(report)
    assert {"base", "head", "host", "keelback", "start_unix_ns", "duration_ns", "confidence", "rate_hz", "pairs", "recordings",
            "degraded", "interrupted", "out_of_time", "seconds_max"} <= set(report["meta"])
    assert {"dir", "python", "samples_attempted", "samples_reported"} <= set(report["meta"]["base"])
    for row in report["measures"]:
        assert {"metric", "unit", "exact", "verdict", "gated", "threshold", "base", "head", "change", "low", "high", "p", "largest",
                "detectable", "unstable", "runs"} <= set(row)
    for row in report["functions"]:
        assert {"name", "file", "kind", "line", "seconds", "change", "low", "high", "p", "part", "blamed", "lines"} <= set(row)
    for row in report["counts"] + report["edges"]:
        assert {"metric", "name", "file", "line", "base", "head", "unstable"} <= set(row)
    assert all({"name", "file", "line"} <= set(row["caller"]) for row in report["edges"])


# ---------------------------------------------------------------- CPU time

@per_python(where=lambda py: py.minor in ("3.6", "3.10", "3.12", "3.15"), timeout=180)
def test_check_slowdown(env):
    script = env.py.script(PLANTED)
    done = env.keelback("check", "--json", "--base", command(env.py, script, 60000), "--head", command(env.py, script, 100000),
                        "--min-pairs", 10, "--max-time", 20, *ALONE, check=False)
    assert done.returncode == 3, done.stdout
    report = json.loads(done.stdout)
    cpu = measure(report, "cpu")
    assert report["verdict"] == cpu["verdict"] == "regression" and 0 < cpu["low"] < cpu["change"] < cpu["high"], cpu
    assert len(cpu["runs"]["base"]) == len(cpu["runs"]["head"]) == report["meta"]["pairs"] >= 10
    first = report["functions"][0]
    assert first["name"] == "parse" and first["file"] == script and first["blamed"], report["functions"][:3]
    assert first["low"] > 0 and first["p"] < 0.01 and first["line"] == {"base": 3, "head": 3}
    # Two thirds more of what parse() took.
    assert first["seconds"]["head"] > 1.3 * first["seconds"]["base"]
    assert {line["line"]["head"] for line in first["lines"]} <= set(range(3, 8))
    assert report["meta"]["head"]["python"].startswith(env.py.minor + ".")
    assert not any(row["blamed"] for row in report["functions"][1:] if row["name"] == "render")


@once(timeout=120)
def test_check_text_and_files(env):
    """The text, the flame graph beside it, and what stdout gets when files are written."""
    py = env.python("3.12")
    script = py.script(PLANTED)
    html, report = Path(env.tmp, "what.html"), Path(env.tmp, "report.json")
    done = env.keelback("check", "--base", command(py, script, 60000), "--head", command(py, script, 120000), "--min-pairs", 10,
                        "--max-time", 10, *ALONE, "--flamegraph", html, "-o", report, check=False)
    assert done.returncode == 3, done.stdout
    assert re.match(r"regression: CPU time \+\d", done.stdout) and "most of it in parse" in done.stdout
    assert re.search(r"^  CPU time .* regression \(threshold 3%\)$", done.stdout, re.M), done.stdout
    assert re.search(r"^ +\+\d+(\.\d+)? ms  .* p \d\S* +parse \(\S+target.py:3\)$", done.stdout, re.M), done.stdout
    assert re.search(r"^ +line [56] ", done.stdout, re.M), done.stdout
    assert "would have been found in 9 of 10 checks" in done.stdout
    check_schema(json.loads(report.read_text()))
    assert "parse" in html.read_text() and "<html" in html.read_text()
    quiet = env.keelback("check", "--base", command(py, script, 10), "--head", command(py, script, 10), *QUICK, *ALONE, "-q",
                         "-o", report, check=False)
    assert quiet.stdout == "" and json.loads(report.read_text())["version"] == 1


@once(timeout=120)
def test_check_directories(env):
    """One command in two checkouts: files are named from there, so functions are the same."""
    py = env.python("3.11")
    base, head = programs(py, PLANTED.replace("WORK", ""), "# moved\n" + PLANTED.replace("range(n)", "range(2 * n)", 1))
    done = env.keelback("check", "--json", "--base-dir", base.parent, "--head-dir", head.parent, "--min-pairs", 10,
                        "--max-time", 10, *ALONE, "--", *py.command(["app.py", 50000]), check=False)
    assert done.returncode == 3, (done.stdout, done.stderr)
    report = json.loads(done.stdout)
    first = report["functions"][0]
    assert (first["name"], first["file"], first["line"]) == ("parse", "app.py", {"base": 3, "head": 4}), first
    assert report["meta"]["base"]["dir"] == str(base.parent)


@once(timeout=120)
def test_check_thresholds(env):
    """What is gated, and from when on, is said by --threshold."""
    py = env.python("3.12")
    script = py.script(PLANTED)
    sides = ["--base", command(py, script, 50000), "--head", command(py, script, 100000)]
    done = env.keelback("check", "--json", *sides, "--min-pairs", 9, "--max-time", 1, *ALONE, "--threshold", "cpu=2000%,wall=6000%")
    report = json.loads(done.stdout)
    assert measure(report, "cpu")["verdict"] == measure(report, "wall")["verdict"] == "no-change"
    assert measure(report, "wall")["gated"] and measure(report, "wall")["threshold"] == 60
    done = env.keelback("check", "--json", *sides, *QUICK, *ALONE, "--threshold", "cpu=off", "--ignore", r"parse|render")
    report = json.loads(done.stdout)
    assert not measure(report, "cpu")["gated"] and measure(report, "cpu")["verdict"] == "regression"
    assert not {"parse", "render"} & {row["name"] for row in report["functions"]}
    assert report["functions"], "the rest is there"


# ---------------------------------------------------------------- counts

@per_python(timeout=240)
def test_check_counts(env):
    """Of the same program all counts are the same; one call more is one call more."""
    same = check(env, env.py, CALLS.replace("EXTRA", "pass"), CALLS.replace("EXTRA", "pass"), "--threshold", "cpu=off")
    assert same["counts"] == [] and same["edges"] == [], (same["counts"], same["notes"])
    for metric in ("calls", "allocations", "peak"):
        assert measure(same, metric)["change"] == 0 and measure(same, metric)["base"] > 0, (same["measures"], same["notes"])
    more = check(env, env.py, CALLS.replace("EXTRA", "pass"), CALLS.replace("EXTRA", "leaf(n)"), "--threshold",
                 "cpu=off,calls=0,allocations=off,peak=off", status=3)
    check_schema(more)
    assert counts(more, "calls") == {"leaf": (500, 1000)} and more["edges"] == [], more["counts"]
    assert measure(more, "calls")["head"] - measure(more, "calls")["base"] == 500


@once(timeout=240)
def test_check_counts_are_exact(env):
    """A call, an allocation and a quadratic loop: the same figures each time."""
    py = env.python("3.12")
    quadratic = "def same(a, b):\n    return a == b\ndef uniq(v):\n    return BODY\nuniq(range(60))\n"
    cases = {
        "calls": (CALLS.replace("EXTRA", "pass"), CALLS.replace("EXTRA", "leaf(n)")),
        "allocations": (ALLOCATES.replace("EXTRA", "n"), ALLOCATES.replace("EXTRA", "[n]")),
        "edges": (quadratic.replace("BODY", "list(dict.fromkeys(v))"),
                  quadratic.replace("BODY", "[a for a in v if sum(same(a, b) for b in v) == 1]")),
    }
    for name, (base, head) in cases.items():
        found = [check(env, py, base, head, "--threshold", "cpu=off,calls=0,allocations=0", status=3) for _ in range(3)]
        keys = [(counts(report, "calls"), counts(report, "allocations"), counts(report, "peak"),
                 sorted((row["caller"]["name"], row["name"], row["head"]) for row in report["edges"])) for report in found]
        assert keys[0] == keys[1] == keys[2], keys
        if name == "allocations":
            # A list and its items, each time; make() was called before the checks of the program ended.
            base_blocks, head_blocks = keys[0][1]["make"]
            assert head_blocks - base_blocks == 4000, keys[0][1]
        if name == "edges":
            assert keys[0][0]["same"] == (0, 3600)
            assert any(callee == "same" and n == 3600 for _, callee, n in keys[0][3]), keys[0][3]


@once(timeout=120)
def test_check_what_varies_is_not_gated(env):
    """A program that calls a random number of times: what differs between two runs of base is left out."""
    py = env.python("3.12")
    text = "import os\ndef f(): pass\nfor i in range(1 + int.from_bytes(os.urandom(2), 'little')): f()\n"
    report = check(env, py, text, text, "--threshold", "cpu=off,allocations=off,peak=off")
    row = next(row for row in report["counts"] if row["name"] == "f")
    assert row["unstable"] and measure(report, "calls")["unstable"] > 0, report["counts"]
    assert measure(report, "calls")["verdict"] == "no-change"


@once(timeout=120)
def test_check_shell(env):
    """Commands are a shell's; what a shell starts is followed."""
    py = env.python("3.12")
    base, head = programs(py, CALLS.replace("EXTRA", "pass"), CALLS.replace("EXTRA", "leaf(n)"))
    done = env.keelback("check", "--json", "--base", f"cd {base.parent} && X=1 {command(py, 'app.py')} | cat",
                        "--head", f"cd {head.parent} && X=1 {command(py, 'app.py')} | cat", *QUICK, "--no-memory",
                        "--threshold", "cpu=off", check=False)
    report = json.loads(done.stdout)
    assert done.returncode == 3 and counts(report, "calls")["leaf"] == (500, 1000), (report["counts"], report["notes"])


# ---------------------------------------------------------------- what goes wrong

@once(timeout=120)
def test_check_failing_command(env):
    py = env.python("3.12")
    good, bad = py.script("pass", "good.py"), py.script("import sys; print('oh no'); sys.exit(7)", "bad.py")
    for base, head, side in (good, bad, "head"), (bad, good, "base"):
        done = env.keelback("check", "--base", command(py, base), "--head", command(py, head), check=False)
        assert done.returncode == 1 and done.stdout == "", done
        assert f"{side} exited with status 7 (warm-up)" in done.stderr and "oh no" not in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    done = env.keelback("check", "--base", command(py, bad), "--head", "true", "--show-output", check=False)
    assert done.returncode == 1 and "oh no" in done.stderr
    done = env.keelback("check", "--base", "kill -9 $$", "--head", "true", check=False)
    assert done.returncode == 1 and "base was killed by signal 9 (Killed)" in done.stderr
    done = env.keelback("check", "--base", "/no/such/program", "--head", "true", check=False)
    assert done.returncode == 1 and "status 127: was it found?" in done.stderr


@once(timeout=120)
def test_check_interrupt(env):
    """Ctrl-C ends the command that runs, and what was found so far is reported."""
    py = env.python("3.12")
    script = py.script("import time; time.sleep(0.2)")
    checker = env.popen("check", "--json", "--base", command(py, script), "--head", command(py, script))
    time.sleep(3)
    checker.send_signal(signal.SIGINT)
    out, _ = checker.communicate(timeout=20)
    report = json.loads(out)
    assert checker.returncode == 1 and report["meta"]["interrupted"], report["meta"]
    assert report["verdict"] == "cannot-tell"
    checker = env.popen("check", "--base", "sleep 877", "--head", "sleep 877")
    time.sleep(1)
    checker.send_signal(signal.SIGINT)
    checker.communicate(timeout=20)
    assert subprocess.run(["pgrep", "-f", "sleep 877"], stdout=subprocess.DEVNULL).returncode == 1


@once(timeout=120)
def test_check_leaves_nothing(env):
    """What a command leaves behind is ended, or it would disturb the next run."""
    done = env.keelback("check", "--json", "--base", "sleep 788 & true", "--head", "true", *QUICK, *ALONE, check=False)
    assert done.returncode in (0, 3), done
    assert any("base leaves processes behind" in note for note in json.loads(done.stdout)["notes"])
    assert subprocess.run(["pgrep", "-f", "sleep 788"], stdout=subprocess.DEVNULL).returncode == 1


@once(timeout=120)
def test_check_degraded(env):
    """Without permission it is not possible, or reduced to what everybody may know."""
    py = env.python("3.12")
    script = py.script(PLANTED)
    os.chmod(env.tmp, 0o755)
    os.chmod(script, 0o644)
    sides = ["--base", f"/usr/bin/python3 {script} 20000", "--head", f"/usr/bin/python3 {script} 60000"]
    unprivileged = dict(user=65534, group=65534, extra_groups=[], check=False, cwd="/")
    done = env.keelback("check", *sides, *QUICK, **unprivileged)
    assert done.returncode == 4 and "CAP_" in done.stderr, done
    done = env.keelback("check", "--json", *sides, *QUICK, "--allow-degraded", **unprivileged)
    assert done.returncode == 3, done
    report = json.loads(done.stdout)
    assert report["meta"]["degraded"] and report["notes"] and report["functions"] == report["counts"] == []
    assert {"cpu", "wall"} <= {row["metric"] for row in report["measures"]} and "calls" not in str(report["measures"])


# ---------------------------------------------------------------- recordings

def record(env, py, name, kind, *args, options=()):
    path = Path(env.tmp, name)
    env.keelback(kind, *options, "-q", "-o", path, "--", *py.command([*args]))
    return path


@once(timeout=120)
def test_check_recordings(env):
    py = env.python("3.12")
    script = py.script(PLANTED)
    old, new = (record(env, py, f"{n}.kb", "sample", script, n) for n in (60000, 200000))
    done = env.keelback("check", "--json", old, new, check=False)
    report = json.loads(done.stdout)
    assert done.returncode == 3 and report["functions"][0]["name"] == "parse" and report["functions"][0]["blamed"]
    assert report["meta"]["recordings"] and report["meta"]["base"]["recording"] == str(old)
    text = env.keelback("check", old, new, check=False).stdout
    assert "how much runs differ from one another is not known" in text, text
    assert env.keelback("check", old, old).stdout
    scripts = programs(py, CALLS.replace("EXTRA", "pass"), CALLS.replace("EXTRA", "leaf(n)"))
    old, new = (record(env, py, f"c{i}.kb", "calls", path) for i, path in enumerate(scripts))
    report = json.loads(env.keelback("check", "--json", old, new, check=False).stdout)
    assert report["verdict"] == "regression" and counts(report, "calls")["leaf"] == (500, 1000)
    scripts = programs(py, ALLOCATES.replace("EXTRA", "n"), ALLOCATES.replace("EXTRA", "[n]"))
    old, new = (record(env, py, f"m{i}.kb", "memory", path, options=["--exact"]) for i, path in enumerate(scripts))
    report = json.loads(env.keelback("check", "--json", old, new, check=False).stdout)
    assert report["verdict"] == "regression"
    base, head = counts(report, "allocations")["make"]
    assert head - base == 4000, (base, head)


@once(timeout=120)
def test_check_refuses_recordings(env):
    """Each pair that cannot be compared, and the reason."""
    py, other = env.python("3.12"), env.python("3.11")
    script = py.script(PLANTED)
    sampled = record(env, py, "a.kb", "sample", script, 20000)
    cases = [
        (record(env, py, "rate.kb", "sample", script, 20000, options=["-r", "100"]), r"rate is .* Hz, the new one's"),
        (record(env, py, "wall.kb", "sample", script, 20000, options=["--mode", "wall"]), r"in mode wall time is measured"),
        (record(env, py, "gil.kb", "sample", script, 200000, options=["--mode", "gil"]), r"mode is cpu, the new one's is gil"),
        (record(env, other, "other.kb", "sample", script, 20000), r"one is of Python 3\.12\.\d+, the other of 3\.11\.\d+"),
        (record(env, py, "calls.kb", "calls", script, 10), r"one is a recording of samples, the other of calls"),
        (record(env, py, "memory.kb", "memory", script, 10, options=["--exact"]), r"samples, the other of allocations"),
    ]
    for path, reason in cases:
        done = env.keelback("check", sampled, path, check=False)
        assert done.returncode == 2 and done.stdout == "" and re.search(reason, done.stderr), (path, done.stderr)
        assert len(done.stderr.splitlines()) == 1
    windows = Path(env.tmp, "windows.kb")
    target = py.popen([script, "3000000"])
    time.sleep(0.5)
    env.keelback("calls", "-p", target.pid, "-d", "0.5", "-o", windows)
    growth = Path(env.tmp, "growth.kb")
    env.keelback("memory", "-p", target.pid, "--growth", "-d", "0.5", "-o", growth, "-q")
    target.kill()
    for path in windows, growth:
        done = env.keelback("check", path, path, check=False)
        assert done.returncode == 2 and "of a program that ran already" in done.stderr, done.stderr
