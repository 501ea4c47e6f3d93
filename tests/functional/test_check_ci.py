# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""examples/ci/check.sh on two versions of a program in a git repository, as a CI job runs it."""

import json
import os
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from harness import REPO, clean_environment, once, start

PROGRAM = """
def price(n):
    return n * 3 % 7

def total(items):
    return sum(price(n) for n in items)

def main():
    for _ in range(40):
        total(range(500))

main()
"""
# One more call for each item: no measurement could overlook it.
SLOWER = PROGRAM.replace("sum(price(n)", "sum(price(n) + price(n + 1)")
QUICK = ["--min-pairs", "8", "--max-time", "10", "--no-memory", "--threshold", "cpu=off"]


class Repository:
    """A repository with the program in its first commit, "base"; HEAD may be something else."""

    def __init__(self, env, interpreter):
        self.env, self.interpreter = env, interpreter
        self.path = Path(env.tmp, "repo")
        self.path.mkdir()
        self.git("init", "--quiet")
        self.commit(PROGRAM)
        self.git("tag", "base")

    def git(self, *args):
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", *identity, *args], cwd=self.path, check=True, stdout=subprocess.DEVNULL)

    def commit(self, program):
        (self.path / "bench.py").write_text(program)
        self.git("add", "bench.py")
        self.git("commit", "--quiet", "--allow-empty", "-m", "x")

    def check(self, *args, **variables):
        """The script's status, stdout and stderr."""
        environment = {**clean_environment(), "KEELBACK": os.path.abspath(self.env.keelback_path), **variables}
        process = start([REPO / "examples/ci/check.sh", *args], cwd=self.path, env=environment, stderr=subprocess.PIPE)
        stdout, stderr = process.communicate()
        print(stdout, stderr)
        return process.returncode, stdout, stderr

    def compare(self, **variables):
        return self.check("base", *QUICK, "--", self.interpreter.path, "bench.py", **variables)


def interpreter(env):
    """One that can be run from any directory."""
    return next(py for py in env.pythons if py.root == "/" and py.version >= (3, 11))


@once(timeout=180)
def test_script_finds_a_regression(env):
    repo = Repository(env, interpreter(env))
    repo.commit(SLOWER)
    history = Path(env.tmp, "history.jsonl")
    status, stdout, _ = repo.compare(HISTORY=str(history))
    assert status == 3
    assert stdout.startswith("regression: calls +") and "price (bench.py:2)" in stdout
    reports = repo.path / "keelback-report"
    report = json.loads((reports / "report.json").read_text())
    (counts,) = [c for c in report["counts"] if c["name"] == "price"]
    assert (counts["base"], counts["head"]) == (20000, 40000), counts
    failure = ElementTree.parse(reports / "report.xml").find(".//testcase[@name='calls']/failure")
    assert "price (bench.py:2): 20000 to 40000" in failure.text
    assert "::error file=bench.py,line=2,title=keelback check%3A calls::price: 20000 to 40000" in (reports / "annotations.txt").read_text()
    assert "`price` (`bench.py:2`)" in (reports / "report.md").read_text()
    (line,) = history.read_text().splitlines()
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=repo.path, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    entry = json.loads(line)
    assert entry["label"] == head and entry["metrics"]["calls"]["head"] == [report["measures"][-1]["head"]], entry
    worktrees = subprocess.run(["git", "worktree", "list"], cwd=repo.path, stdout=subprocess.PIPE, text=True, check=True).stdout
    assert len(worktrees.splitlines()) == 1, worktrees


@once(timeout=240)
def test_script_keeps_a_history(env):
    """The same program passes; one that calls more is a regression beside base and history alike."""
    repo = Repository(env, interpreter(env))
    history = Path(env.tmp, "history.jsonl")
    assert repo.compare(HISTORY=str(history))[0] == 0
    repo.commit(PROGRAM)
    status, stdout, _ = repo.compare(HISTORY=str(history))
    assert status == 0 and "History:" in stdout, stdout
    repo.commit(SLOWER)
    # Of the same commit as base nothing is slower; the history remembers.
    repo.git("tag", "--force", "base")
    status, stdout, _ = repo.compare(HISTORY=str(history))
    assert status == 3 and stdout.startswith("no-change"), stdout
    report = json.loads((repo.path / "keelback-report/report.json").read_text())
    (calls,) = [m for m in report["trend"]["metrics"] if m["metric"] == "calls"]
    assert calls["verdict"] == "regression" and calls["labels"][-1] == calls["since"], calls
    assert len(history.read_text().splitlines()) == 3


@once
def test_script_refuses(env):
    repo = Repository(env, interpreter(env))
    assert repo.check()[0] == 2 and "usage: check.sh BASE" in repo.check("base")[2]
    status, _, stderr = repo.check("no-such-branch", "--", "true")
    assert status not in (0, 3) and "no-such-branch" in stderr
    status, stdout, stderr = repo.check("base", "--", "false")
    assert status == 1 and "base exited with status 1" in stderr and stdout == "", stderr
    status, _, stderr = repo.check("base", "--sort", "x", "--", "true")
    assert status == 2 and "unknown option '--sort'" in stderr
