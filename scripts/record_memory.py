#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Makes tests/recordings/*.kbmem.zst, one per interpreter of the matrix and per thread that holds the GIL.

Needs root (for the matrix's root file systems and to read other processes) and build/tests/tools/record_memory
(`make tools`). Each recording is of a process that runs tests/tools/record_target.py; what
tests/host_bpf expects of it is what that process printed of itself. Exits 1 when the walker and an
interpreter disagree.
"""

import argparse
import os
import selectors
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
TARGET = TOP / "tests/tools/record_target.py"
RECORDINGS = TOP / "tests/recordings"
REPORT_SECONDS = 20
SETTLE_SECONDS = 0.3  # from a thread's report to the call that it waits in


def matrix():
    out = subprocess.run([TOP / "scripts/python-matrix.sh", "list"], check=True, stdout=subprocess.PIPE)
    for line in out.stdout.decode().splitlines():
        name, minor, root, path, _traits = line.split("\t")
        yield name, minor, root, path


def read_report(process, spinning):
    """What the target prints, until the thread that holds the GIL has reported: it comes last."""
    text = ""
    selector = selectors.DefaultSelector()
    selector.register(process.stdout, selectors.EVENT_READ)
    end = time.monotonic() + REPORT_SECONDS
    done = {}
    while not done.get("main") or not done.get(spinning):
        if not selector.select(max(0, end - time.monotonic())):
            return None
        part = os.read(process.stdout.fileno(), 1 << 16).decode()
        if not part:
            return None
        text += part
        for line in text.splitlines():
            if line.startswith("thread "):
                done[line.split()[1]] = True
    time.sleep(SETTLE_SECONDS)
    return text


def ordered(report):
    """The frames of the calling interpreter, which come first, as `outer` lines of the thread `sub`."""
    outer = [line.replace("hold", "outer", 1) for line in report.splitlines() if line.startswith("hold ")]
    blocks, lines = {}, None
    for line in report.splitlines():
        if line.startswith("thread "):
            lines = blocks.setdefault(line.split()[1], [])
        if not line.startswith("hold "):
            lines.append(line)
    if "sub" in blocks:
        blocks["sub"] += outer
    return "".join(line + "\n" for block in blocks.values() for line in block)


def record(tool, directory, name, root, path, spinning, out):
    """True when a recording was made and is right; None when there is no sub-interpreter to record."""
    command = [TOP / "scripts/in-rootfs.sh", root, path, "-B", directory / TARGET.name, spinning]
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "PYTHONUTF8": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        try:
            report = read_report(process, spinning)
            if report is None:
                print(f"record_memory: {name}: no report", file=sys.stderr)
                return False
            if spinning == "sub" and "thread sub" not in report:
                return None
            (directory / "report").write_text(ordered(report))
            label = f"{name}-{spinning}"
            return subprocess.run([tool, str(process.pid), label, directory / "report", out]).returncode == 0
        finally:
            process.kill()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tool", default=TOP / "build/tests/tools/record_memory", type=Path)
    parser.add_argument("names", nargs="*", help="interpreters of the matrix (all)")
    options = parser.parse_args()
    good = True
    RECORDINGS.mkdir(exist_ok=True)
    # Below /tmp, which is the one directory that the matrix's root file systems share with the host.
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        os.chmod(directory, 0o755)
        shutil.copy(TARGET, directory)
        for name, minor, root, path in matrix():
            if options.names and name not in options.names:
                continue
            for spinning in ("main", "sub"):
                if spinning == "sub" and int(minor.split(".")[1]) < 8:
                    continue  # no module for sub-interpreters: no thread that would ever report
                out = RECORDINGS / f"py{minor}-{name.split('-')[0]}-{spinning}.kbmem.zst"
                good &= record(options.tool, Path(directory), name, root, path, spinning, out) is not False
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
