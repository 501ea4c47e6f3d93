# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Commands that come to be a Python by executing one thing after another: seen from the interpreter's first event."""

import json
import os
import signal
import subprocess
from pathlib import Path

import memory
from auditing import HAS_AUDIT, TIMEOUT, Audit
from harness import once, per_python
from sampling import wait_until
from test_dump import states_of
from test_refs import sees_all

# The interpreter is in a file that keelback has not seen before it is executed.
CHAIN = ["/bin/sh", "-c", 'exec env CHAINED=1 "$@"', "sh"]


def chain(py, args):
    return [*CHAIN, *py.command(args)]


@per_python(where=HAS_AUDIT, timeout=TIMEOUT)
def test_audit(env):
    """As without the chain, from what the interpreter raises before it imports `site`."""
    args = ["-c", "import sys; sys.audit('the.end')"]
    runs = [Audit(env, command=command).stop(sig=None, status=0) for command in (env.py.command(args), chain(env.py, args))]
    direct, chained = ([event["event"] for event in run.events] for run in runs)
    assert chained == direct and len(chained) > 20 and "the.end" in chained
    assert set(runs[1].counts) == {"reported"}, runs[1].log


@per_python(timeout=120)
def test_memory(env):
    """Every block; as without the chain, a few are freed that malloc() has not returned."""
    output = env.tmp + "/out.jsonl"
    env.keelback("memory", "--exact", "-f", "jsonl", "-o", output, "--", *chain(env.py, ["-c", "pass"]))
    [process] = memory.Traced(output).processes
    assert process["exact"] and process["attached_ns"] == 0 and process["frees_before"] < 50, process
    assert process["heap"]["total_blocks"] > 5000, process


@per_python(where=sees_all)
def test_refs(env):
    output = env.tmp + "/out.json"
    env.keelback("refs", "-f", "json", "-o", output, "--", *chain(env.py, ["-c", "pass"]))
    [process] = json.loads(Path(output).read_text())["processes"]
    assert process["created"] > 5000 and process["created_before"] < 50, process


@once
def test_sudden_end(env):
    """Killed while its command is held, keelback leaves it running."""
    keelback = env.popen("audit", "--", "/bin/sh", "-c", "echo $$; sleep 1; exec /bin/cat", stdin=subprocess.PIPE)
    pid = int(env.wait_line(keelback, "\n"))
    os.kill(keelback.pid, signal.SIGSTOP)
    wait_until(lambda: states_of(pid) == {"T"}, "the stop")
    os.kill(keelback.pid, signal.SIGKILL)
    keelback.stdin.write("goes on\n")
    keelback.stdin.flush()
    env.wait_line(keelback, "goes on")
    keelback.stdin.close()
    wait_until(lambda: states_of(pid) <= {"Z"}, "its end")
