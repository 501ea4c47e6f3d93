#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Runs keelback on Debian's own kernel, in a virtual machine, and prints `N passed, N failed, N skipped`.

The kernel is the one that linux-image-amd64 stands for on this machine: Linux 6.1 on Debian 12. The virtual machine is
emulated (QEMU's TCG, one processor), so that it is the same everywhere and needs no hardware support; that is slow,
and says nothing about cost. What runs inside is guest.py.
"""

import argparse
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

from initramfs import Initramfs

REPO = Path(__file__).resolve().parents[2]
HERE = REPO / "tests" / "vm"
PACKAGES = ("qemu-system-x86", "busybox-static")
META_PACKAGE = "linux-image-amd64"
MEMORY = "1G"
TIMEOUT = 1500
# What guest.py, what it imports, and the programs that it runs import.
MODULES = """ast asyncio collections dataclasses encodings io json os pathlib re select signal site subprocess sysconfig
tempfile threading time tokenize traceback warnings""".split()
DIRECTORIES = ("/proc", "/sys", "/dev", "/tmp", "/run")

INIT = """#!/bin/busybox sh
export PATH=/bin:/usr/bin HOME=/ LC_ALL=C.UTF-8 PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=/keelback/tests/functional
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev
/bin/busybox mount -t tmpfs tmpfs /tmp
/bin/busybox mount -t bpf bpf /sys/fs/bpf
/bin/busybox mount -t cgroup2 cgroup2 /sys/fs/cgroup
/bin/busybox mount -t tracefs tracefs /sys/kernel/tracing
/bin/busybox mount -t debugfs debugfs /sys/kernel/debug
{python} /keelback/tests/vm/guest.py '{wanted}'
/bin/busybox poweroff -f
"""


class Missing(Exception):
    """Something outside of this repository that the test cannot do without."""


def output_of(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def kernel_package():
    """The package of the kernel that the meta package depends on now."""
    match = re.search(r"Depends: (linux-image-\S+)", output_of("apt-cache", "depends", META_PACKAGE))
    if not match:
        subprocess.run(["apt-get", "update", "--quiet"], stdout=subprocess.DEVNULL, check=False)
        match = re.search(r"Depends: (linux-image-\S+)", output_of("apt-cache", "depends", META_PACKAGE))
    if not match:
        raise Missing(f"apt knows no {META_PACKAGE}")
    return match[1]


def kernel(cache):
    """The kernel's file, from Debian's package: fetched once, kept in the cache."""
    package = kernel_package()
    image = cache / package / "boot" / f"vmlinuz-{package.removeprefix('linux-image-')}"
    if image.exists():
        return image
    cache.mkdir(parents=True, exist_ok=True)
    fetch = ["apt-get", "download", "--quiet", "-o", "APT::Sandbox::User=root", package]
    if subprocess.run(fetch, cwd=cache, stdout=subprocess.DEVNULL, check=False).returncode:
        raise Missing(f"apt-get cannot download {package}")
    archive = max(cache.glob(f"{package}_*.deb"), key=lambda path: path.stat().st_mtime)
    image.parent.mkdir(parents=True, exist_ok=True)
    files = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", archive], stdout=subprocess.PIPE)
    with files.stdout as tar:
        subprocess.run(["tar", "-x", "-C", image.parent.parent, "./boot/" + image.name], stdin=tar, check=True)
    files.wait()
    archive.unlink()
    return image


def build_root(build, python, wanted):
    """The root file system of the machine."""
    root = Initramfs()
    for path in DIRECTORIES:
        root.directory(path)
    root.program("/bin/busybox")
    root.program("/bin/true")
    root.link("/bin/sh", "busybox")
    root.program(build / "keelback", "/bin/keelback")
    root.program(build / "tests" / "kernel_bpf" / "test_load", "/bin/test_load")
    root.python(python, MODULES)
    root.file(HERE / "guest.py", "/keelback/tests/vm/guest.py")
    root.file(REPO / "scripts" / "demo_program.py", "/keelback/scripts/demo_program.py")
    for name in ("harness.py", "programs.py", "sampling.py"):
        root.file(REPO / "tests" / "functional" / name, f"/keelback/tests/functional/{name}")
    root.text("/init", INIT.format(python=os.path.realpath(python), wanted=wanted), 0o755)
    path = build / "tests" / "vm" / "root.cpio.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    root.write(path)
    return path


def run_machine(image, root):
    """Runs the machine to its end; yields the lines of its console."""
    command = ["nice", "-n", "10", "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-smp", "1", "-m", MEMORY]
    command += ["-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot"]
    # no_timer_check: the kernel gives up when the emulated timer is late, as it is on a busy machine.
    arguments = "console=ttyS0 panic=-1 quiet preempt=full no_timer_check"
    command += ["-kernel", image, "-initrd", root, "-append", arguments]
    machine = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace")
    timer = threading.Timer(TIMEOUT, machine.kill)
    timer.start()
    try:
        for line in machine.stdout:
            yield line.rstrip()
    finally:
        timer.cancel()
        machine.kill()
        machine.wait()


def report(console, verbose):
    """Prints what the machine says about its cases. Returns how many passed and failed."""
    counts = {"passed": 0, "failed": 0}
    said, ended = [], False
    for line in console:
        case = re.fullmatch(r"@case (\w+) (passed|failed) ([\d.]+)", line)
        if verbose:
            print("  | " + line, flush=True)
        if case:
            counts[case[2]] += 1
            if case[2] == "failed" and not verbose:
                print("\n".join(said))
            print(f"  {case[1]:<40} {case[2]}, {case[3]} s", flush=True)
            said = []
        elif line.startswith("@kernel "):
            print(f"  Linux {line.split()[1]}", flush=True)
        else:
            ended |= line == "@end"
            said.append(line)
    if not ended:
        print("\n".join(said[-60:]))
        print(f"  the machine did not come to its end within {TIMEOUT} s, or not at all")
        counts["failed"] += 1
    return counts["passed"], counts["failed"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=REPO / "build")
    parser.add_argument("--python", default="/usr/bin/python3", help="interpreter of this machine to take along")
    parser.add_argument("-k", default="", metavar="REGEX", help="only cases whose name matches")
    parser.add_argument("-v", action="store_true", help="all that the machine says")
    options = parser.parse_args()
    if options.k and not re.fullmatch(r"[\w|.*^$]*", options.k):
        parser.error("-k: letters, digits and |.*^$ only")
    cache = Path(os.environ.get("KEELBACK_CACHE", "/var/cache/keelback")) / "vm"
    try:
        subprocess.run([REPO / "scripts" / "deps.sh", "only", *PACKAGES], check=True)
        image = kernel(cache)
    except (Missing, subprocess.CalledProcessError, OSError) as reason:
        print(f"  no virtual machine: {reason}")
        print("0 passed, 0 failed, 1 skipped")
        return 0
    passed, failed = report(run_machine(image, build_root(options.build, options.python, options.k)), options.v)
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
