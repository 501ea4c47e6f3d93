# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What the benchmarks ran on."""

import os
import platform
import re
import subprocess
from pathlib import Path

from harness import IN_ROOTFS

REPO = Path(__file__).resolve().parents[2]


def first_line(command):
    """The first line that says something, or "unknown"."""
    try:
        done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    except OSError:
        return "unknown"
    return next((line.strip() for line in done.stdout.splitlines() if line.strip()), "unknown")


def cpu_model():
    text = Path("/proc/cpuinfo").read_text()
    match = re.search(r"^model name\s*: (.*)$", text, re.MULTILINE)
    return match[1] if match else platform.machine()


def virtual():
    """How it is virtualised, by the CPU's own account."""
    flags = re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return "virtual machine" if flags and " hypervisor" in flags[1] else "no virtual machine"


def describe(bench):
    """Facts for the report, by name, in their order."""
    facts = {
        "date": None,
        "run": None,
        "took": None,
        "CPU": f"{cpu_model()}, {len(bench.cpus)} in use, {virtual()}",
        "kernel": platform.release(),
        "load before": "%.2f" % os.getloadavg()[0],
        "keelback": first_line(["git", "-c", f"safe.directory={REPO}", "-C", REPO, "describe", "--always", "--dirty"]),
    }
    for python in (bench.new, bench.old):
        facts[python.id] = first_line(python.command(["-V"]))
    facts["profiling.sampling"] = f"of {bench.new.id}" if "profiling.sampling" in bench.peers else "**not to be had**"
    facts["austin"] = "**not to be had**"
    if "austin" in bench.peers:
        root, path = bench.peers["austin"]
        facts["austin"] = first_line([IN_ROOTFS, root, path, "-V"])
    return facts
