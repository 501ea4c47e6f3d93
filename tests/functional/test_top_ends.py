# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""`keelback top`: what ends it and what it leaves, the command under it, and what reaches the terminal."""

import os
import pty
import re
import signal
import time
from pathlib import Path

from harness import children_of, once
from live_view import WRITES, numbers, open_top, start_target, table
from sampling import wait_until
from terminal import Terminal
from test_sample_reader import existing, owned, patched


@once(timeout=120)
def test_command(env):
    """What a command writes is in a panel, whatever it is; its status is ours."""
    python = env.python("3.12")
    script = python.script(WRITES)
    top = open_top(env, "--", python.path, script, 600, 0, after="cat")
    screen = top.press("o", "to stderr")
    assert "is a terminal: True True" in screen and "\ntwo     threx\n" in screen and "one" not in screen.split("Output")[1], screen
    top.press("o", lambda screen: "to stderr" not in screen)
    top.press("BTab", "Output of the command")
    top.press("q", "q end it, w wait")
    top.press("n", "q quit")
    top.keys("q", "q")
    assert top.status() == 128 + signal.SIGTERM
    # Left alone it goes on, and writes to where we do.
    top = open_top(env, "--", python.path, script, 3, 7)
    top.wait("busy")
    top.keys("q", "w")
    screen = top.wait("last words")
    assert "waiting for the command" in screen
    assert top.status() == 7
    # Its end, and why.
    top = open_top(env, "--", python.path, "-c", "import time; time.sleep(0.5); raise ValueError('a reason')")
    top.press("o", "TARGET HAS ENDED")
    top.wait("ValueError: a reason")
    top.keys("q")
    screen = top.wait(Terminal.END)
    assert top.status() == 1
    assert "the command ended with status 1" in screen and "| ValueError: a reason" in screen, screen
    output = Path(env.tmp, "output.txt")
    top = open_top(env, "--command-output", output, "--", python.path, script, 0.5, 0)
    top.wait("TARGET HAS ENDED")
    top.press("o", "no command whose output is shown here")
    top.keys("q")
    assert top.status() == 0
    assert "is a terminal: False True\n" in output.read_text() and "last words\n" in output.read_text()


@once
def test_end_of_target(env):
    """What was collected stays, and can be looked at and saved."""
    env.py = env.python("3.12")
    target = start_target(env)
    top = open_top(env, "-p", target.pid, "--delay", 0.3)
    top.wait(numbers)
    target.kill()
    top.wait("TARGET HAS ENDED")
    top.press("t", re.compile(r"^thread ", re.M))
    top.press("Tab", "Lines ")
    top.press("r", "sampling has ended")
    top.keys("e")
    top.text(f"{env.tmp}/x.kb")
    top.press("Enter", "saved as")
    top.keys("q")
    assert top.status() == 0
    assert "hot (" in env.keelback("convert", f"{env.tmp}/x.kb", "-f", "collapsed").stdout


@once
def test_duration(env):
    env.py = env.python("3.12")
    target = start_target(env)
    top = open_top(env, "-p", target.pid, "-d", 1)
    screen = top.wait("SAMPLING HAS ENDED")
    assert "burn" in table(screen)
    top.keys("q")
    assert top.status() == 0


@once(timeout=180)
def test_terminal_is_given_back(env):
    """However it ends: the settings, the first screen, the cursor and the keypad are as they were."""
    env.py = env.python("3.12")
    target = start_target(env)
    flags = ("alternate_on", "cursor_flag", "keypad_flag", "keypad_cursor_flag")
    script = f"trap : INT QUIT; stty -a >{env.tmp}/before; %s; code=$?; stty -a >{env.tmp}/after; sh -c \"exit $code\""
    command = f"{env.keelback_path} top --delay 0.3 -p {target.pid}"
    ends = [None, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGSEGV, signal.SIGABRT]
    for number in ends:
        top = Terminal(env, ["sh", "-c", script % command])
        top.wait(numbers)
        assert top.state("alternate_on") == "1" and top.state("cursor_flag") == "0"
        pid = children_of(int(top.state("pane_pid")))
        while pid and "keelback" not in Path(f"/proc/{pid[0]}/comm").read_text():
            pid = children_of(pid[0])
        if number:
            os.kill(pid[0], number)
        else:
            top.keys("C-c")
        expected = 0 if number in ends[:4] else 128 + number
        assert top.status() == expected, number
        assert [top.state(flag) for flag in flags] == ["0", "1", "0", "0"], number
        assert Path(env.tmp, "before").read_text() == Path(env.tmp, "after").read_text(), number
        top.close()
    # An error after the screen was taken: the command cannot be run.
    Path(env.tmp, "bad").write_text("#!/no/such/interpreter\n")
    os.chmod(f"{env.tmp}/bad", 0o755)
    top = Terminal(env, ["sh", "-c", script % f"{env.keelback_path} top -- {env.tmp}/bad"])
    assert top.status() == 2
    assert "keelback: top: cannot run" in top.screen() and top.state("alternate_on") == "0"
    assert Path(env.tmp, "before").read_text() == Path(env.tmp, "after").read_text()


@once
def test_stopped_and_continued(env):
    """Ctrl-Z gives the terminal back for a while."""
    env.py = env.python("3.12")
    target = start_target(env)
    top = Terminal(env, ["bash", "--norc", "-i"])
    top.text(f"{env.keelback_path} top -p {target.pid}")
    top.keys("Enter")
    top.wait(numbers)
    top.press("C-z", "Stopped")
    assert top.state("alternate_on") == "0"
    top.text("fg")
    top.keys("Enter")
    top.wait(numbers)
    assert top.state("alternate_on") == "1"


@once
def test_killed(env):
    """SIGKILL leaves nothing in the kernel and in the target."""
    env.py = env.python("3.12")
    target = start_target(env)
    top = open_top(env, "-p", target.pid, "--delay", 0.3)
    top.wait(numbers)
    pid = children_of(int(top.state("pane_pid")))[0]
    ours = {kind: owned(kind, pid) for kind in ("prog", "link", "map")}
    assert all(ours.values()) and patched(target.pid), ours
    os.kill(pid, signal.SIGKILL)
    for kind, ids in ours.items():
        wait_until(lambda kind=kind, ids=ids: not ids & existing(kind), f"{kind}s are gone")
    wait_until(lambda: not patched(target.pid), "the probes are gone")
    assert target.poll() is None


HOSTILE = r"""
import time
SOURCE = "def f():\n    for i in range(3000): i * i\n"
names = ["\x1b]0;PWNED\x07", "\x9b31mCSI", "line\nbreak\rreturn", "back\b\b\bspace", "\u202ereversed", "a\u0301\u0301\u0301\u0301\u0301bc",
         "\x1b[2J\x1b[H", "名" * 100, "\U0001f468\u200d\U0001f469", "x" * 5000]
functions = []
for name in names:
    space = {}
    exec(compile(SOURCE, "/tmp/" + name + ".py", "exec"), space)
    f = space["f"]
    f.__code__ = f.__code__.replace(co_name=name, **({"co_qualname": name} if hasattr(f.__code__, "co_qualname") else {}))
    functions.append(f)
print("ready", flush=True)
while True:
    for f in functions:
        f()
"""


def read_until(terminal, text, seen=b"", timeout=30):
    deadline = time.monotonic() + timeout
    while text not in seen:
        assert time.monotonic() < deadline, f"no {text!r} in {seen[-2000:]!r}"
        seen += os.read(terminal, 65536)
    return seen


def run_on_pty(env, args, variables, keys, until):
    """What a view writes to its terminal, to the byte."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.pop("NO_COLOR", None)
        os.environ.update(variables)
        os.execv(env.keelback_path, ["keelback", "top", *map(str, args)])
    seen = read_until(terminal, until)
    for key, text in keys:
        os.write(terminal, key + b"\x0c")  # Ctrl-L: only what has changed is written otherwise
        seen = read_until(terminal, text, seen)
    os.write(terminal, b"q")
    try:
        while True:
            seen += os.read(terminal, 65536)
    except OSError:
        pass  # its end
    assert os.waitpid(pid, 0)[1] == 0
    return seen.decode(errors="strict")


@once
def test_hostile_names(env):
    """No control character of the target's reaches the terminal, nor does a name break a line."""
    env.py = env.python("3.12")
    target = start_target(env, HOSTILE)
    keys = [(b"\t", b"Lines"), (b"\t", b"Opcodes"), (b"\t", b"Calls")]
    output = run_on_pty(env, ["-p", target.pid, "--delay", 0.2], {"TERM": "xterm", "LC_ALL": "C.UTF-8"}, keys, "名".encode())
    assert "PWNED" in output and "\x1b]0;" not in output and "\x07" not in output
    assert not re.search("[\x80-\x9f\u202a-\u202e\u200d\x00]", output)
    top = open_top(env, "-p", target.pid, "--sort", "name")
    screen = top.wait(lambda screen: "PWNED" in screen and "名名" in screen)
    lines = screen.splitlines()
    first = next(i for i, line in enumerate(lines) if "FUNCTION" in line) + 1
    for line in lines[first : first + 10]:
        assert re.match(r" *\d+ +[\d.]+ +\d+ +[\d.]+ +[\d.]+ ", line), screen
    # In batches, too.
    done = env.keelback("top", "-p", target.pid, "--batch", 1, "--limit", 0)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", done.stdout)


@once
def test_colors(env):
    """NO_COLOR, --color and terminals without colours; without UTF-8 everything is ASCII."""
    env.py = env.python("3.12")
    target = start_target(env)
    args = ["-p", target.pid, "--delay", 0.2]
    color = re.compile(r"\x1b\[(\d+;)*3[0-7](;\d+)*m")
    utf8 = {"LC_ALL": "C.UTF-8"}

    def shown(variables, *more):
        return run_on_pty(env, [*args, *more], variables, [], b"burn")

    assert color.search(shown({**utf8, "TERM": "xterm-256color"}))
    assert not color.search(shown({**utf8, "TERM": "xterm-256color", "NO_COLOR": "1"}))
    assert color.search(shown({**utf8, "TERM": "xterm-256color", "NO_COLOR": "1"}, "--color", "always"))
    assert not color.search(shown({**utf8, "TERM": "xterm"}, "--color", "never"))
    assert not color.search(shown({**utf8, "TERM": "vt100"}))
    output = shown({"TERM": "xterm", "LC_ALL": "C"})
    assert output.isascii() and "breit_??" in output, output


@once
def test_no_terminal(env):
    """Terminals that are none, or cannot do it, are refused in one line."""
    for term, text in (("dumb", "no full screen"), ("no-such-terminal", "nothing is known"), ("", "no TERM")):
        top = open_top(env, "-a", variables={}, columns=120)
        top.close()
        top = Terminal(env, ["env", f"TERM={term}", env.keelback_path, "top", "-a"], columns=120)
        assert top.status() == 2
        assert re.search(rf"^keelback: top: .*{text}", top.screen(), re.M), top.screen()
    top = Terminal(env, ["sh", "-c", f"{env.keelback_path} top -a </dev/null"], columns=120)
    assert top.status() == 2 and "stdin is no terminal" in top.screen()
