# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Running `keelback top` in tests, and reading its table."""

import re

from terminal import Terminal

# The main thread spends its time in three functions, another thread in a fourth one, whose name is wide.
# A line from stdin makes what was the least the most.
PROGRAM = """
import sys, threading, time
weights = {"hot": 60, "warm": 30, "cold": 10}
def burn(amount):
    for i in range(amount * 40):
        i * i
def hot(): burn(weights["hot"])
def warm(): burn(weights["warm"])
def cold(): burn(weights["cold"])
def swap():
    sys.stdin.readline()
    weights.update(hot=10, cold=60)
def breit_名前():
    while True:
        burn(1000)
        time.sleep(0.001)
def main():
    while True:
        hot(); warm(); cold()
threading.Thread(target=swap, daemon=True).start()
threading.Thread(target=breit_名前, name="zweiter", daemon=True).start()
print("ready", flush=True)
main()
"""

COLUMNS = re.compile(r"^ *.?SELF +SELF% +TOTAL +TOTAL% +NOW% \+- FUNCTION +FILE:LINE$", re.M)
ROW = re.compile(r"^ *(\d+) +([\d.]+) +(\d+) +([\d.]+) +([\d.]+) +([▲▼]?) *(\S+) +(\S+)$", re.M)


def table(screen):
    """The rows of the table: name → (self, self%, total, total%, now%, trend), in their order."""
    rows = {}
    for self_, self_share, total, total_share, now, trend, name, _ in ROW.findall(screen):
        rows[name] = (int(self_), float(self_share), int(total), float(total_share), float(now), trend)
    return rows


def start_target(env, text=PROGRAM):
    target = env.py.popen([env.py.script(text)], stdin=-1)
    env.wait_line(target, "ready")
    return target


def open_top(env, *args, **kwargs):
    return Terminal(env, [env.keelback_path, "top", *args], **kwargs)


def numbers(screen):
    """There is a table with samples of all that the program spends its time in."""
    rows = table(screen)
    return {"breit_名前", "cold"} <= set(rows) and rows["burn"][0] > 150


# Writes what a terminal would act upon, and ends with a status.
WRITES = """
import os, sys, time
def busy(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(500))
print("is a terminal:", sys.stdout.isatty(), sys.stdin.read() == "", flush=True)
print("one \\x1b[31mred\\x1b[0m \\x1b]0;title\\x07word\\rtwo\\tthree\\bx\\x00")
sys.stderr.write("to stderr\\n")
busy(float(sys.argv[1]))
print("last words", flush=True)
sys.exit(int(sys.argv[2]))
"""
