# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A terminal for programs that take the whole screen: tmux, driven by keys and read as text."""

import os
import re
import shlex
import subprocess
import time

from harness import clean_environment

TIMEOUT = 30  # seconds for what should appear; the machine may be busy


class Terminal:
    """Runs a command in a terminal of that size.

    keys()    types: names of keys as tmux has them (Enter, Up, C-c), or text
    screen()  what is on the screen now, a line for each row, without the blanks at their ends
    wait()    waits until the screen shows something, and returns it
    status()  waits for the command's end; its exit status
    """

    # What the shell says when the command has ended, in a way that no command line has in it.
    END = re.compile(r"^ended with (\d+)$", re.M)

    def __init__(self, env, args, columns=80, rows=24, variables=None, after="sleep 1000"):
        self.socket = os.path.join(env.temp_dir("tmux"), "s")
        # The shell outlives what is typed for the command; it resets what it catches, not what it ignores.
        command = "trap : INT QUIT TSTP; %s; printf 'ended %%s %%d\\n' with $?; %s" % (shlex.join(map(str, args)), after)
        environment = dict(clean_environment(), LC_ALL="C.UTF-8", **(variables or {}))
        environment.pop("NO_COLOR", None) if "NO_COLOR" not in (variables or {}) else None
        # The server's environment is that of its first client.
        self.tmux(
            "-f", "/dev/null", "new-session", "-d", "-x", columns, "-y", rows, command, env=environment
        )
        self.tmux("set-option", "-g", "status", "off")
        self.resize(columns, rows)

    def tmux(self, *args, **kwargs):
        command = ["tmux", "-S", self.socket, *map(str, args)]
        return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, timeout=TIMEOUT, **kwargs).stdout

    def keys(self, *keys):
        for key in keys:
            self.tmux("send-keys", key)

    def text(self, text):
        self.tmux("send-keys", "-l", text)

    def resize(self, columns, rows):
        self.tmux("resize-window", "-x", columns, "-y", rows)

    def screen(self, escapes=False):
        return self.tmux("capture-pane", "-p", *(["-e"] if escapes else []))

    def state(self, variable):
        """Something that tmux knows of the terminal, such as cursor_flag."""
        return self.tmux("display-message", "-p", "#{%s}" % variable).strip()

    def wait(self, what, timeout=TIMEOUT):
        """Waits for a text, a compiled pattern or a condition (a function of the screen's text)."""
        deadline = time.monotonic() + timeout
        while True:
            screen = self.screen()
            if what(screen) if callable(what) else what.search(screen) if hasattr(what, "search") else what in screen:
                return screen
            assert time.monotonic() < deadline, f"after {timeout} s the screen has no {what!r}:\n{screen}"
            time.sleep(0.05)

    def press(self, key, what, timeout=TIMEOUT):
        """A key and what it is to bring."""
        self.keys(key)
        return self.wait(what, timeout)

    def status(self, timeout=TIMEOUT):
        return int(self.END.search(self.wait(self.END, timeout))[1])

    def close(self):
        subprocess.run(["tmux", "-S", self.socket, "kill-server"], check=False, stderr=subprocess.DEVNULL)
