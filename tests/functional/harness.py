# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What functional tests are written with: interpreters of the Python matrix, and an environment per case.

A test is a function in tests/functional/test_*.py:

    @per_python                                    # one case for each interpreter
    def test_attach(env):
        target = env.py.popen([env.py.script(PROGRAM)])
        env.wait_line(target, "ready")
        done = env.keelback("sample", "-p", target.pid, "-d", 1, "-f", "collapsed")
        assert "leaf" in done.stdout

    @per_python(where=lambda py: py.version >= (3, 14), timeout=120)
    @once                                          # one case, with env.py None

`run.py` runs each case in a process of its own; when it ends, whatever it has started is killed.
"""

import dataclasses
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
# Programs that make what tests need.
TOOLS = Path(os.environ.get("KEELBACK_TOOLS", REPO / "build" / "tests" / "tools")).resolve()
IN_ROOTFS = REPO / "scripts" / "in-rootfs.sh"
MATRIX = REPO / "scripts" / "python-matrix.sh"


class Skip(Exception):
    """Ends a case that cannot run here; its text says why."""


def per_python(function=None, *, where=None, timeout=None):
    """Marks a test that runs once for each interpreter (for which `where` is true)."""

    def mark(function):
        function.kb_where = where or (lambda py: True)
        function.kb_timeout = timeout
        return function

    return mark(function) if function else mark


def once(function=None, *, timeout=None):
    """Marks a test that runs once."""

    def mark(function):
        function.kb_where = None
        function.kb_timeout = timeout
        return function

    return mark(function) if function else mark


def clean_environment():
    """The environment without what would change how a Python runs."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


@dataclasses.dataclass
class Interpreter:
    """One interpreter of the matrix. `path` is valid below `root`; so is what script() returns."""

    id: str
    minor: str
    root: str
    path: str
    traits: list
    tmp: str = None  # the case's directory, set by Env

    @property
    def version(self):
        """The minor version as a tuple to compare: (3, 14)."""
        return tuple(map(int, self.minor.split(".")))

    def script(self, text, name="target.py"):
        """Writes a program and returns its path, the same within the interpreter's root and without."""
        path = Path(self.tmp, name)
        path.write_text(text)
        return str(path)

    def command(self, args):
        """The command line that runs this interpreter from the host."""
        command = [self.path, *map(str, args)]
        return command if self.root == "/" else [str(IN_ROOTFS), self.root, *command]

    def popen(self, args, **kwargs):
        """Starts it. The pid is the interpreter's own as the host sees it, and it runs already.

        Its stdout is a pipe for wait_line() unless said otherwise; its stderr goes to the case's log.
        """
        process = start(self.command(args), **kwargs)
        if self.root != "/":
            self._await_exec(process)
        return process

    def run(self, args, **kwargs):
        """Runs it to its end; returns its stdout, fails when it fails."""
        process = self.popen(args, **kwargs)
        output, _ = process.communicate()
        assert process.returncode == 0, f"{self.id} ended with status {process.returncode}"
        return output

    def _await_exec(self, process):
        """Waits until the chain of execs that enters the root has arrived at the interpreter."""
        image = os.stat(self.root + self.path)
        deadline = time.monotonic() + 20
        while process.poll() is None:
            try:
                if os.path.samestat(os.stat(f"/proc/{process.pid}/exe"), image):
                    return
            except FileNotFoundError:
                pass  # between poll() and stat() it ended
            assert time.monotonic() < deadline, f"{self.id} does not start"
            time.sleep(0.002)


def start(command, **kwargs):
    """Popen with a session of its own, so that it can be signalled as a group, and pipes of text."""
    options = dict(stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace")
    options.update(start_new_session=True, env=clean_environment())
    options.update(kwargs)
    return subprocess.Popen([str(arg) for arg in command], **options)


def load_matrix():
    """The interpreters that scripts/python-matrix.sh lists."""
    done = subprocess.run([str(MATRIX), "list"], stdout=subprocess.PIPE, text=True, check=True)
    fields = (line.split("\t") for line in done.stdout.splitlines())
    return [Interpreter(id, minor, root, path, traits.split(",")) for id, minor, root, path, traits in fields]


class Env:
    """What a case gets. Attributes: py (Interpreter or None), pythons (all), tmp (a directory, removed later)."""

    def __init__(self, keelback, tmp, pythons, py=None):
        self.keelback_path = keelback
        self.tmp = tmp
        self.pythons = [dataclasses.replace(python, tmp=tmp) for python in pythons]
        self.py = dataclasses.replace(py, tmp=tmp) if py else None

    def python(self, wanted):
        """The interpreter with that id, or the first of that minor version; skips when there is none."""
        for python in self.pythons:
            if wanted in (python.id, python.minor):
                return python
        return self.skip(f"no Python {wanted}")

    def skip(self, reason):
        """Ends the case as skipped."""
        raise Skip(reason)

    def keelback(self, *args, check=True, timeout=None, input=None, **kwargs):
        """Runs keelback to its end; returns a CompletedProcess with text in stdout and stderr.

        A status other than 0 fails the case unless check is False.
        """
        stdin = subprocess.DEVNULL if input is None else subprocess.PIPE
        process = self.popen(*args, **{"stdin": stdin, "stderr": subprocess.PIPE, **kwargs})
        command = "keelback " + " ".join(map(str, args))
        try:
            stdout, stderr = process.communicate(input, timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            stdout, stderr = process.communicate()
            print(stderr, file=sys.stderr)
            raise AssertionError(f"`{command}` was still running after {timeout} s") from None
        if stderr:
            print(f"$ {command}\n{stderr}", file=sys.stderr)  # for the case's log
        if check and process.returncode != 0:
            raise AssertionError(f"`{command}` ended with status {process.returncode}")
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

    def popen(self, *args, **kwargs):
        """Starts keelback and returns the Popen: stdout is a pipe, stderr the case's log."""
        return start([self.keelback_path, *args], **kwargs)

    def wait_line(self, process, text, timeout=20):
        """Reads the process's stdout up to a line that contains text and returns that line.

        Takes one byte at a time and none after the line end, so that what follows is left to be read.
        """
        fd = process.stdout.fileno()
        deadline = time.monotonic() + timeout
        line = b""
        while text not in line.decode(errors="replace") or not line.endswith(b"\n"):
            if line.endswith(b"\n"):
                line = b""
            ready, _, _ = select.select([fd], [], [], max(deadline - time.monotonic(), 0))
            assert ready, f"no line with {text!r} after {timeout} s"
            byte = os.read(fd, 1)
            assert byte, f"ended without a line with {text!r} (status {process.wait()})"
            line += byte
        return line.decode(errors="replace")

    def temp_dir(self, name):
        """A new directory within tmp."""
        return tempfile.mkdtemp(prefix=f"{name}-", dir=self.tmp)


def children_of(pid):
    """The children of all threads of a process."""
    children = []
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children += map(int, file.read_text().split())
        except OSError:
            pass  # the thread has ended
    return children


def kill_descendants(pid):
    """Kills all that a process has started, parents first so that none of them starts more.

    Complete when the process is a subreaper: then orphans are its children, too.
    """
    for child in children_of(pid):
        try:
            os.kill(child, signal.SIGSTOP)
            kill_descendants(child)
            os.kill(child, signal.SIGKILL)
        except ProcessLookupError:
            pass
