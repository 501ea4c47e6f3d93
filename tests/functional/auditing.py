# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Running `keelback audit` in tests, and reading what it writes."""

import json
import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

from harness import clean_environment

TIMEOUT = 120
LEDGER = re.compile(r"keelback: (?:(\d+) events seen|no events)((?: [=+] \d+ \w+)*)(?:; beside them ([^;]*))?(?:; (.*))?$", re.M)
HAS_AUDIT = lambda py: py.version >= (3, 8)


def ledger_of(log):
    """(seen, {reason: n}) of what keelback said at its end; seen is their sum."""
    match = LEDGER.search(log)
    assert match, log
    assert "does not add up" not in log, log
    counts = {name: int(n) for n, name in re.findall(r"(\d+) (\w+)", match[2])}
    assert int(match[1] or 0) == sum(counts.values()), log
    return int(match[1] or 0), counts


class Audit:
    """A run of keelback audit with JSON lines: its events, and the rest of what it wrote."""

    def __init__(self, env, *args, command=None, environment=None):
        self.path = Path(env.temp_dir("audit"), "events.jsonl")
        target = ["--", *command] if command else []
        options = dict(stderr=subprocess.PIPE)
        if environment:
            options["env"] = {**clean_environment(), **environment}
        self.process = env.popen("audit", "-v", "-o", self.path, *args, *target, **options)
        self.lines = []
        self._reader = threading.Thread(target=lambda: self.lines.extend(self.process.stderr), daemon=True)
        self._reader.start()

    def ready(self, timeout=30):
        """Waits until it observes."""
        deadline = time.monotonic() + timeout
        while not any("audit events of" in line for line in list(self.lines)):
            assert self.process.poll() is None and time.monotonic() < deadline, self.log
            time.sleep(0.01)
        return self

    @property
    def log(self):
        return "".join(self.lines)

    def stop(self, sig=signal.SIGINT, status=None):
        """Ends it, or waits for its command to end (sig None)."""
        if sig and self.process.poll() is None:
            os.kill(self.process.pid, sig)
        self.process.wait(TIMEOUT)
        self._reader.join()
        assert status is None or self.process.returncode == status, f"status {self.process.returncode}: {self.log}"
        self.records = [json.loads(line) for line in self.path.read_text().splitlines()]
        self.events = [record for record in self.records if record["type"] == "event"]
        self.ledger = self.records[-1]
        assert self.ledger["type"] == "ledger"
        self.seen, self.counts = ledger_of(self.log)
        assert self.ledger["seen"] == self.seen == self.ledger["reported"] + sum(self.ledger["lost"].values())
        assert self.ledger["reported"] == self.counts.get("reported", 0)
        return self


SAYS = r'''
import os, subprocess, sys
print("ready", flush=True)
for line in sys.stdin:
    command, _, rest = line.strip().partition(" ")
    if command == "audit":
        sys.audit(*eval(rest))
    elif command == "run":
        args, environment, directory = eval(rest)
        quiet = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
        subprocess.run([sys.executable, *args], env={**os.environ, **environment}, cwd=directory, **quiet)
    elif command == "loop":
        raises, n = sys.audit, int(rest)
        for i in range(n): raises("loop.event", i, "some text")
    print("done", flush=True)
'''


class Speaker:
    """A program that raises events when it is told to."""

    def __init__(self, env):
        self.env = env
        self.process = env.py.popen(["-B", env.py.script(SAYS, "says.py")], stdin=subprocess.PIPE)
        self.pid = self.process.pid
        env.wait_line(self.process, "ready")

    def tell(self, line, wait=True):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.wait() if wait else None

    def wait(self):
        self.env.wait_line(self.process, "done", timeout=60)
