# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Running `keelback sample` in tests, and reading what it says."""

import collections
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

from harness import start

Frame = collections.namedtuple("Frame", "name file line")

LEDGER = re.compile(r"keelback: (\d+) (?:samples|waits|samples and waits|tasks) attempted((?: [=+] \d+ \w+)*)(?:; beside them (.*))?$")
REPORTED = ("good", "truncated")
FRAME = re.compile(r"(.*) \((.*?)(?::(\d+))?\)")
TIMEOUT = 60

NATIVE = Frame("<native>", "", 0)
GC = Frame("<GC>", "", 0)


def parse_frame(text):
    """A frame of collapsed stacks; one of a process or thread has no file."""
    match = FRAME.fullmatch(text)
    return Frame(match[1], match[2], int(match[3] or 0)) if match else Frame(text, "", 0)


class Profile:
    """Collapsed stacks (a list of (frames, count), root first) and the ledger of the run that made them.

    marked_stacks has them as they are; in stacks the marks between Python frames are left out.
    """

    def __init__(self, collapsed, log):
        self.collapsed = collapsed
        self.marked_stacks = []
        for line in collapsed.splitlines():
            stack, _, count = line.rpartition(" ")
            self.marked_stacks.append(([parse_frame(frame) for frame in stack.split(";")], int(count)))
        self.stacks = [([frame for frame in stack if frame != NATIVE], count) for stack, count in self.marked_stacks]
        self.total = sum(count for _, count in self.stacks)
        self.ledger, self.notes = {}, {}
        self.attempted = 0
        for line in log.splitlines():
            match = LEDGER.match(line)
            if match:
                self.attempted = int(match[1])
                self.ledger = {name: int(n) for n, name in re.findall(r"(\d+) (\w+)", match[2])}
                self.notes = {name: int(n) for n, name in re.findall(r"(\d+) (\w+)", match[3] or "")}
        self.log = log

    def check(self):
        """What holds for every profile: nothing is lost without being counted."""
        assert "does not add up" not in self.log, self.log
        assert self.attempted == sum(self.ledger.values()), self.ledger
        reported = sum(self.ledger.get(name, 0) for name in REPORTED)
        assert self.total == reported, f"{self.total} samples in stacks, {reported} in the ledger"
        return self

    @property
    def unknown(self):
        """Samples on Python processes that are not in the profile, for a reason that is a shortcoming; and those
        in it with a frame that has no name."""
        reasons = ("tstate_unreadable", "frame_unreadable", "bad_frame", "stacks_full", "ring_full", "no_scratch")
        failed = sum(self.ledger.get(name, 0) for name in (*reasons, "lost_stack", "unsupported"))
        return failed + sum(count for stack, count in self.stacks if any(unnamed(frame) for frame in stack))

    def check_unknown(self, share=0.001):
        """At most that share of all samples is unknown, as far as a run of this length can tell: 3 sigma, and one."""
        expected = share * self.attempted
        assert self.unknown <= expected + 3 * expected**0.5 + 1, f"{self.unknown} unknown: {self.log}"

    def count(self, name):
        """Samples with a function of that (unqualified) name anywhere in their stack."""
        return sum(count for stack, count in self.stacks if any(base(frame) == name for frame in stack))

    def names(self):
        return {base(frame) for stack, _ in self.stacks for frame in stack}

    def by_root(self):
        """The stacks below each root frame: name of the root → list of (frames, count)."""
        roots = collections.defaultdict(list)
        for stack, count in self.stacks:
            roots[stack[0].name].append((stack[1:], count))
        return roots


def base(frame):
    """A frame's name without what qualifies it, the same in all versions."""
    return frame.name.rpartition(".")[2]


def unnamed(frame):
    return frame.name.startswith(("<code at", "<unreadable", "<unknown")) or "<unreadable" in frame.file


class Sampling:
    """A running `keelback sample`, whose report goes to a file.

    ready()   waits until it observes
    stop()    interrupts it; finish() waits for its end; both return the Profile
    """

    def __init__(self, env, *args, format="collapsed", wrapper=(), **kwargs):
        self.report = Path(env.temp_dir("report"), "out")
        options = ["-v", "-f", format, "-o", self.report]
        at = args.index("--") if "--" in args else len(args)
        command = [*wrapper, env.keelback_path, "sample", *options, *args]
        if "--" in args:
            command = [*wrapper, env.keelback_path, "sample", *args[:at], *options, *args[at:]]
        self.process = start(command, **{"stderr": subprocess.PIPE, **kwargs})
        self.command = " ".join(map(str, args))
        self.lines = []
        self.changed = threading.Condition()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stderr:
            with self.changed:
                self.lines.append(line.rstrip("\n"))
                self.changed.notify_all()
        with self.changed:
            self.lines.append(None)  # the end
            self.changed.notify_all()

    @property
    def log(self):
        return "\n".join(line for line in self.lines if line is not None)

    def wait_log(self, text, timeout=20):
        """Waits until a line with that text was written to stderr."""

        def found():
            return any(line is None or text in line for line in self.lines)

        with self.changed:
            assert self.changed.wait_for(found, timeout), f"no {text!r} after {timeout} s: {self.log}"
        assert text in self.log, f"`sample {self.command}` ended with status {self.process.wait()}: {self.log}"

    def ready(self):
        self.wait_log("keelback: sampling ")
        return self

    def stop(self, how=signal.SIGINT, **kwargs):
        self.process.send_signal(how)
        return self.finish(**kwargs)

    def finish(self, status=0, timeout=TIMEOUT):
        """Waits for the end. A status of None is any; the profile is None when there is no report."""
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"`sample {self.command}` was still running after {timeout} s: {self.log}") from None
        self.reader.join(5)  # a child that still holds the pipe keeps it open
        if status is not None and self.process.returncode != status:
            raise AssertionError(f"`sample {self.command}` ended with {self.process.returncode}: {self.log}")
        print(self.log)
        if not self.report.exists():
            return None
        return Profile(self.report.read_text(), self.log)


def sample(env, *args, **kwargs):
    """Runs `keelback sample` to its end and returns the Profile."""
    return Sampling(env, *args, **kwargs).finish().check()


def wait_until(condition, what, timeout=20):
    """Waits for a condition that nothing announces."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not after {timeout} s"
        time.sleep(0.01)


def go(process):
    """Lets a target run on that waits for a line."""
    process.stdin.write("\n")
    process.stdin.flush()
