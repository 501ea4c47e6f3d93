# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""`keelback top`: the screens that each key brings, on terminals of several sizes, and as text."""

import re
import signal
from pathlib import Path

from harness import children_of, once, per_python
from live_view import COLUMNS, WRITES, numbers, open_top, start_target, table


def is_sorted(values, reverse=True):
    return values == sorted(values, reverse=reverse)


def check_header(screen, target):
    lines = screen.splitlines()
    assert re.match(rf"pid {target.pid} │ Python 3\.\d+\.\d+", lines[0]), lines[0]
    assert re.search(r"cpu: .* 1000 Hz.* │ up \d+ s │ every 0.5 s │ keelback [\d.]+% CPU", lines[1]), lines[1]
    assert re.match(r"all: [2-4] threads, 1 process │ since start: \d+ s │ \d+ of \d+ functions", lines[2]), lines[2]
    assert re.match(r"\d+ samples, \d+/s [▁▂▃▄▅▆▇█]+$", lines[3]), lines[3]
    assert re.match(r"(100\.00|9\d\.\d\d)% reported │ \d+ good", lines[4]), lines[4]
    states = re.match(r"([\d.]+)% with the GIL │ (.* │ )?most: (.* )?burn \d", lines[5])
    assert states and float(states[1]) > 80, lines[5]  # the rest: on the way to it
    assert COLUMNS.match(lines[6]), lines[6]


def check_sorting(top):
    """Each sort key and the orders that the arrows and letters bring."""
    columns = {"1": 0, "2": 1, "3": 2, "4": 3, "5": 4}
    titles = {"1": "SELF", "2": "SELF%", "3": "TOTAL", "4": "TOTAL%", "5": "NOW%", "6": "+", "7": "FUNCTION", "8": "FILE:LINE"}
    for key, column in columns.items():
        screen = top.press(key, "▼" + titles[key])
        assert is_sorted([row[column] for row in table(screen).values()]), screen
    top.press("6", "▼+ ")
    screen = top.press("7", "▲FUNCTION")
    assert is_sorted(list(table(screen)), False), screen
    screen = top.press("i", "▼FUNCTION")
    assert is_sorted(list(table(screen))), screen
    top.press("i", "▲FUNCTION")
    top.press("8", "▲FILE:LINE")
    top.press("Right", "▼SELF ")  # around
    top.press("Right", "▼SELF%")
    top.press("Left", "▼SELF ")
    top.press("s", "▼SELF%")
    top.press("S", "▼SELF ")


def check_filter(top):
    top.keys("/")
    top.text("(c")
    screen = top.wait("Filter: (c")
    assert "'(c': Unmatched" in screen, screen
    top.keys("C-u")
    top.text("old")
    screen = top.wait(lambda screen: list(table(screen)) == ["cold"])
    assert "Unmatched" not in screen
    top.press("Enter", lambda screen: "/old/" in screen and "Filter:" not in screen)
    top.keys("/")
    top.keys("BSpace")
    top.text("d|^warm")  # "old|^warm" with what was there
    top.wait(lambda screen: set(table(screen)) == {"cold", "warm"})
    top.press("Escape", lambda screen: list(table(screen)) == ["cold"])
    top.press("c", lambda screen: "burn" in table(screen) and "/old/" not in screen)


def check_selection(top):
    """The selected row is what the panels are about."""
    top.press("3", "▼TOTAL")
    top.keys("/")
    top.text("main|hot")
    top.press("Enter", lambda screen: set(table(screen)) == {"main", "hot"})
    for key in ("Down", "Up", "j", "k", "NPage", "PPage", "End", "Home", "G", "g"):
        top.keys(key)
    top.press("Tab", "Lines  main ")
    top.press("Escape", lambda screen: "Lines " not in screen)
    top.keys("Down")
    screen = top.press("Tab", "Lines  hot ")
    assert re.search(r"^ *\d+ +[\d.]+% +[\d.]+% +line \d+", screen, re.M), screen
    top.press("Tab", "Opcodes  hot ")
    top.press("Tab", "Calls  hot ")
    top.press("Tab", "Called by  hot ")
    top.press("BTab", "Calls  hot ")
    top.press("Escape", lambda screen: "Calls " not in screen)
    top.press("c", lambda screen: "burn" in table(screen))
    top.press("g", "FUNCTION")


def check_trees(top):
    """The tree of calls opens and closes; that of callers leads to the root."""
    top.press("7", "▲FUNCTION")
    top.keys("/")
    top.text("^main ")
    top.press("Enter", lambda screen: list(table(screen)) == ["main"])
    top.press("Enter", re.compile(r"▾ main "))
    screen = top.wait(re.compile(r"▸ hot "))
    assert "▸ warm " in screen and "▸ cold " in screen and "burn  " not in screen, screen
    top.keys("Down")
    screen = top.press("Right", re.compile(r"▾ hot .*\n.* burn "))
    top.press("Left", re.compile(r"▸ hot "))
    top.press("Enter", re.compile(r"▾ hot "))
    top.press("Enter", re.compile(r"▸ hot "))
    top.press("Left", "Esc table")  # to its caller
    top.press("Left", re.compile(r"▸ main "))
    top.press("*", re.compile(r"▾ main .*\n.*▾ hot .*\n.* burn "))
    top.press("f", "Calls  burn ")
    top.press("Tab", "Called by  burn ")
    top.keys("Enter")
    top.press("*", re.compile(r"▾ burn .*\n.*▾ hot .*\n.*▾ main .*\n.*▾ <module> .*\n.*bottom of the stack"))
    top.press("Escape", "q quit")
    top.press("Escape", lambda screen: "Called by" not in screen)
    top.press("c", lambda screen: "burn" in table(screen))
    top.press("1", "▼SELF")


def check_scopes(top, target):
    """One thread, then the next, then all; the same by process; and chosen from the list."""
    first = top.press("t", re.compile(r"^thread \d+ ", re.M))
    second = top.press("t", lambda screen: re.search(r"^thread \d+ ", screen, re.M) and screen != first)
    assert ("main" in table(first)) != ("main" in table(second)), first + second
    top.press("T", lambda screen: re.search(r"^thread \d+ ", screen, re.M) and ("main" in table(screen)) == ("main" in table(first)))
    top.press("a", "all: ")
    top.press("n", f"process {target.pid} ")
    top.press("n", "all: ")
    top.press("N", f"process {target.pid} ")
    top.press("a", "all: ")
    screen = top.press("v", "PROCESS, THREAD")
    assert re.search(rf"^ *\d+ +100\.0    process {target.pid} ", screen, re.M), screen
    assert re.search(rf"^ *\d+ +[\d.]+      thread {target.pid} ", screen, re.M), screen
    top.keys("Down", "Down")
    top.press("Enter", re.compile(rf"^thread {target.pid} .*\n(.*\n)*.* hot ", re.M))
    top.press("a", "all: ")
    top.press("v", "PROCESS, THREAD")
    top.press("Escape", COLUMNS)


def samples_of(screen):
    return int(re.search(r"^(\d+) samples", screen, re.M)[1])


def check_time(top):
    """Windows, reset, freezing and stopping."""
    for seconds in (60, 15, 5):
        top.press("w", re.compile(r"last \d+ s|last 1:00 min"))
    top.wait("last 5 s")
    top.press("w", "since start: ")
    before = samples_of(top.screen())
    top.press("r", lambda screen: samples_of(screen) < before)
    top.wait("burn")
    for key in ("Space", "p"):
        frozen = top.press(key, "FROZEN")
        again = top.press("w", "it is not")
        assert samples_of(again) == samples_of(frozen)
        # Time goes on, the numbers do not: also those of another scope are of that moment.
        up = re.search(r"up (\d+) s", again)[1]
        later = top.wait(lambda screen: re.search(r"up (\d+)", screen)[1] != up)
        assert table(later) == table(frozen) or key == "p", frozen + later
        top.press(key, lambda screen: "FROZEN" not in screen and samples_of(screen) > samples_of(frozen))
    top.press("z", "SAMPLING STOPPED")
    stopped = samples_of(top.screen())
    up = re.search(r"up (\d+) s", top.screen())[1]
    later = top.wait(lambda screen: re.search(r"up (\d+)", screen)[1] not in (up, str(int(up) + 1)))
    assert samples_of(later) == stopped
    top.press("z", lambda screen: "STOPPED" not in screen and samples_of(screen) > stopped)


def check_looks(top):
    """Units, rows of lines, refresh interval, trend, redrawing."""
    top.press("u", re.compile(r" \d+\.\d\ds +[\d.]+ +\d+\.\d\ds "))
    top.press("u", lambda screen: "burn" in table(screen))
    screen = top.press("l", re.compile(r"\d+ of \d+ lines"))
    assert len(set(re.findall(r"target\.py:(\d+)", screen))) >= 3, screen
    top.press("l", re.compile(r"\d+ of \d+ functions"))
    top.press("+", "every 0.33 s")
    top.press("-", "every 0.5 s")
    top.press("-", "every 0.75 s")
    top.press("=", "every 0.5 s")
    top.keys("x", "x")
    top.press("C-l", COLUMNS)


def check_help(top):
    for key in ("h", "?", "F1"):
        top.press(key, "any other key: back")
        screen = top.press("End", "coloured numbers")
        assert "sort by self" not in screen
        top.press("Home", "sort by self")
        top.press("x", COLUMNS)


def check_save(env, top):
    file = Path(env.tmp, "saved.folded")
    top.keys("e")
    top.text(f"{env.tmp}/saved.gif")
    top.press("Enter", "chooses no format")
    top.keys("C-w")
    top.wait(lambda screen: screen.rstrip().endswith(f"Save as: {env.tmp}/"))
    top.text("saved.folded")
    top.press("Enter", f"saved as {file}")
    assert re.search(r";hot \(.*;burn \(.* \d+$", file.read_text(), re.M)
    file.write_text("old")
    top.keys("e")
    top.text(str(file))
    top.press("Enter", "Replace it?")
    top.press("n", "q quit")
    assert file.read_text() == "old"
    top.keys("e")
    top.text(str(file))
    top.press("Enter", "Replace it?")
    top.press("y", "saved as")
    assert file.read_text() != "old"
    top.press("e", "Save as:")
    top.press("Escape", "q quit")
    top.keys("e")
    top.text("/no/such/directory/x.html")
    top.press("Enter", "cannot write '/no/such/directory/x.html'")


@per_python(where=lambda py: py.id in ("pyenv-3.8", "debian-3.11", "sid-3.15"), timeout=240)
def test_keys(env):
    """Every key once, at 80×24."""
    target = start_target(env)
    top = open_top(env, "-p", target.pid, "--delay", 0.5)
    screen = top.wait(numbers)
    check_header(screen, target)
    assert list(table(screen))[0] == "burn", screen
    assert "breit_名前" in screen and "zweiter" not in screen.splitlines()[6:], screen
    rows = table(screen)
    assert rows["hot"][2] > rows["warm"][2] > rows["cold"][2], screen
    assert rows["hot"][0] < rows["hot"][2] <= rows["main"][2] <= rows["<module>"][2], screen
    check_sorting(top)
    check_filter(top)
    check_selection(top)
    check_trees(top)
    check_scopes(top, target)
    check_time(top)
    check_looks(top)
    check_help(top)
    check_save(env, top)
    top.keys("q")
    assert top.status() == 0
    assert target.poll() is None


@once
def test_trend(env):
    """What becomes more is marked as such, and what becomes less."""
    env.py = env.python("3.12")
    target = start_target(env)
    top = open_top(env, "-p", target.pid, "--sort", "name", "--filter", "^(hot|cold|warm) ")
    top.wait(lambda screen: "hot" in table(screen) and table(screen)["hot"][2] > 1000)
    target.stdin.write("\n")
    target.stdin.flush()
    top.wait(lambda screen: table(screen)["cold"][5] == "▲" and table(screen)["hot"][5] == "▼")
    # In the last seconds it is the other way round than since the start.
    top.keys("w", "w", "w")
    top.wait(lambda screen: "last 5 s" in screen and table(screen)["cold"][2] > 2 * table(screen)["hot"][2])


@once(timeout=120)
def test_sizes(env):
    """Each size has its table and its line of keys; too small a one says so; all while it runs."""
    env.py = env.python("3.12")
    target = start_target(env)
    top = open_top(env, "-p", target.pid, "--delay", 0.3, columns=40, rows=10)
    for columns, rows in ((40, 10), (30, 7), (80, 24), (132, 50), (60, 14), (200, 8)):
        top.resize(columns, rows)
        screen = top.wait(lambda screen: "FUNCTION" in screen and "burn" in screen and "q quit" in screen.splitlines()[rows - 1])
        lines = screen.splitlines()
        assert len(lines) == rows and lines[0].startswith(f"pid {target.pid}"), screen
        assert re.match(r"\d+ samples, \d+/s", lines[1 if rows < 12 else 2 if rows < 16 else 3]), screen
        assert ("FILE:LINE" in screen) == (columns >= 60), screen
        for key, text in (("Tab", "Lines "), ("Tab", "Opcodes "), ("Tab", "Calls "), ("Tab", "Called by ")):
            top.press(key, text)
        top.press("Escape", "FUNCTION")
        top.press("v", "PROCESS")
        top.press("h", "any other key")
        top.press("q", "FUNCTION")
    for columns, rows in ((29, 20), (80, 6), (5, 2)):
        top.resize(columns, rows)
        top.wait("Too small" if columns > 10 else "T")
        top.keys("Down", "Tab", "Escape")
    top.resize(1, 1)
    top.keys("Down")
    top.resize(80, 24)
    top.wait(numbers)
    top.keys("q")
    assert top.status() == 0


@per_python(where=lambda py: py.id in ("pyenv-3.8", "pyenv-3.12", "sid-3.15"))
def test_opcodes_panel(env):
    """The instructions of the selected function, with what they specialize; without --opcodes how to have them."""
    target = start_target(env)
    top = open_top(env, "-p", target.pid, "--delay", 0.3)
    top.wait(numbers)
    top.keys("Tab", "Tab")
    top.wait("start keelback top with --opcodes")
    top.close()
    top = open_top(env, "-p", target.pid, "--delay", 0.3, "--opcodes")
    top.wait(numbers)
    top.keys("Tab")
    special = r"BINARY_OP_MULTIPLY_INT \(BINARY_OP\)" if env.py.version >= (3, 12) else "BINARY_MULTIPLY"
    screen = top.press("Tab", re.compile(rf"^ *\d+ +[\d.]+%  line 6 +{special} +█*$", re.M))
    assert re.search("(FOR_ITER|JUMP)", screen), screen


@once
def test_batch(env):
    """Refreshes as text, each complete; with a command, which ends with it."""
    env.py = env.python("3.12")
    target = start_target(env)
    done = env.keelback("top", "-p", target.pid, "--batch", 3, "--delay", 0.5, "--limit", 4)
    parts = done.stdout.strip().split("\n\n")
    assert len(parts) == 3 and done.stderr == "", done
    for part in parts:
        lines = part.splitlines()
        assert re.match(rf"pid {target.pid} \| Python 3\.12\.\d+ \| cpu: .* \| up \d s \| keelback [\d.]+% CPU$", lines[0]), lines[0]
        assert re.match(r"\d+ in \d s \| \d+ of \d+ functions$", lines[1]), lines[1]
        assert re.match(r"\d+ good", lines[2]), lines[2]
        assert len(lines) == 8 and re.match(r" *\d+ +[\d.]+ +\d+ +[\d.]+ +[\d.]+ . burn \(.*target.py:4\)$", lines[4]), part
    options = ["--sort", "name", "--reverse", "--filter", "^(hot|cold) ", "--lines", "--window", "1"]
    done = env.keelback("top", "-p", target.pid, "--batch", 1, *options)
    assert " in the last 1 s | 2 of " in done.stdout and done.stdout.index("hot (") < done.stdout.index("cold ("), done.stdout
    script = env.py.script(WRITES, "writes.py")
    done = env.keelback("top", "--batch", 2, "--delay", 0.3, "--", env.py.path, script, 60, 0, check=False, timeout=30)
    assert done.returncode == 128 + signal.SIGTERM and "busy (" in done.stdout and "stderr" not in done.stdout
    done = env.keelback("top", "--batch", 100, "--", env.py.path, script, 0.5, 3, check=False, timeout=30)
    assert done.returncode == 3 and done.stdout.count("FUNCTION") == 1


FORKS = """
import os, time
def in_child(name):
    end = time.monotonic() + 600
    while time.monotonic() < end:
        sum(range(1000))
for i in range(2):
    if not os.fork():
        in_child(i)
print("ready", flush=True)
in_child("parent")
"""


@once
def test_processes(env):
    """With children: each process alone, and which there are."""
    env.py = env.python("3.12")
    target = start_target(env, FORKS)
    children = children_of(target.pid)
    top = open_top(env, "-p", target.pid, "--children")
    top.wait(re.compile("all: 3 threads, 3 processes"))
    seen = {int(re.search(r"^process (\d+) ", top.press("n", re.compile(r"^process \d+ ", re.M)), re.M)[1])}
    for _ in range(2):
        screen = top.press("n", lambda screen: re.search(r"^process (\d+)", screen, re.M) and int(re.search(r"^process (\d+)", screen, re.M)[1]) not in seen)
        seen.add(int(re.search(r"^process (\d+) ", screen, re.M)[1]))
    assert seen == {target.pid, *children}
    top.press("n", "all: ")
    screen = top.press("v", "PROCESS, THREAD")
    assert all(f"process {pid} " in screen and f"thread {pid} " in screen for pid in seen), screen
