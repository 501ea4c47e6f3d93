# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""`keelback audit` in use: targets, filters, rates, summaries, policies; nothing is lost unsaid, and nothing left behind."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

from auditing import HAS_AUDIT, TIMEOUT, Audit, Speaker
from containers import Container
from harness import once, per_python

@per_python(where=lambda py: HAS_AUDIT(py), timeout=TIMEOUT)
def test_all_and_later(env):
    """The machine: a process that runs and one that starts later, told apart from each other."""
    speaker = Speaker(env)
    audit = Audit(env, "-a", "-e", "here.*").ready()
    speaker.tell("audit 'here.first', 1")
    speaker.tell("audit 'elsewhere', 1")
    later = env.py.popen(["-c", "import sys\nsys.audit('here.later', 2)"])
    assert later.wait(30) == 0
    time.sleep(0.3)
    audit.stop(status=0)
    assert [(e["pid"], e["event"], e["args"]) for e in audit.events] == [
        (speaker.pid, "here.first", [1]), (later.pid, "here.later", [2])]
    assert audit.seen == 2
    assert audit.events[0]["python"].startswith(env.py.minor)
    assert (audit.events[0]["tid"], audit.events[0]["container"]) == (speaker.pid, ""), audit.events[0]
    now = time.time_ns()
    assert now - 60e9 < audit.events[0]["time_ns"] <= audit.events[1]["time_ns"] < now


@per_python(where=HAS_AUDIT, timeout=TIMEOUT)
def test_loss_is_counted(env):
    """A reader that stands still: what does not fit is counted, to the event."""
    speaker, wanted = Speaker(env), 150_000
    audit = Audit(env, "-p", speaker.pid, "-e", "loop.event,last.*").ready()
    os.kill(audit.process.pid, signal.SIGSTOP)
    speaker.tell(f"loop {wanted}")
    os.kill(audit.process.pid, signal.SIGCONT)
    time.sleep(0.5)
    speaker.tell("audit 'last.one',")
    audit.stop(status=0)
    assert audit.seen == wanted + 1
    assert len(audit.events) == audit.counts["reported"]
    assert set(audit.counts) == {"reported", "ring_full"} and audit.counts["ring_full"] > 0, audit.log
    assert audit.events[-1]["event"] == "last.one"
    numbers = [event["args"][0] for event in audit.events[:-1]]
    assert numbers == sorted(set(numbers))


@per_python(where=HAS_AUDIT, timeout=TIMEOUT)
def test_rate_and_summary(env):
    speaker, wanted = Speaker(env), 50_000
    audit = Audit(env, "-p", speaker.pid, "-e", "loop.event", "--max-rate", 100).ready()
    speaker.tell(f"loop {wanted}")
    audit.stop(status=0)
    assert audit.seen == wanted and set(audit.counts) == {"reported", "rate_limited"}, audit.log
    assert audit.counts["reported"] % 100 == 0 and audit.counts["reported"] < wanted / 2
    audit = Audit(env, "-p", speaker.pid, "--summary").ready()
    speaker.tell(f"loop {wanted}")
    speaker.tell("audit 'single.event', 1, 2")
    audit.stop(status=0)
    counts = {record["event"]: record for record in audit.records if record["type"] == "count"}
    assert counts["loop.event"]["count"] == wanted and counts["single.event"]["count"] == 1
    assert counts["loop.event"]["pid"] == speaker.pid
    assert sum(record["count"] for record in counts.values()) == audit.seen == audit.counts["reported"]


@once
def test_filters(env):
    env.py = env.python("debian-3.11")
    script = env.py.script("import sys\nfor name in ('a', 'ab', 'ab.c', 'ab.cd', 'b', 'abc'): sys.audit('t.' + name, name, 7)\n")

    def names(*options, status=0):
        audit = Audit(env, *options, command=env.py.command(["-S", script])).stop(sig=None, status=status)
        return [event["event"][2:] for event in audit.events if event["event"].startswith("t.")], audit

    everything = ["a", "ab", "ab.c", "ab.cd", "b", "abc"]
    assert names()[0] == everything
    assert names("-e", "t.*")[0] == everything
    assert names("-e", "t.ab")[0] == ["ab"]
    assert names("-e", "t.ab.*")[0] == ["ab.c", "ab.cd"]
    assert names("-e", "t.ab*")[0] == ["ab", "ab.c", "ab.cd", "abc"]
    assert names("-e", "t.a,t.b", "-e", "t.abc")[0] == ["a", "b", "abc"]
    assert names("-e", "!t.ab*")[0] == ["a", "b"]
    assert names("-e", "!t.ab*", "-e", "!import", "-e", "!open")[0] == ["a", "b"]
    assert names("-e", "t.*,!t.ab*,t.ab.c")[0] == ["a", "ab.c", "b"]
    found, audit = names("-e", "t.*", "--match", r"^t\.ab\.c.?\('ab\.c.*', 7\)$")
    assert found == ["ab.c", "ab.cd"] and audit.seen == 6 and "; not shown 4" in audit.log
    done = env.keelback("audit", "-e", "t.a,t.b", "--", *env.py.command([script]))
    assert re.fullmatch(r"(\d\d:\d\d:\d\d\.\d{6} \d+ python3\.11 t\.[ab]\('[ab]', 7\)\n){2}", done.stdout), done.stdout


@once
def test_container(env):
    env.py = env.python("sid-3.14")
    loop = env.py.script("import sys, time\nprint('running', flush=True)\nwhile True: sys.audit('in.container', sys.argv[1]); time.sleep(0.01)\n")
    command = [env.py.path, loop]
    with Container(env.py.root, [*command, "seen"]) as container, Container(env.py.root, [*command, "beside"]) as beside:
        container.wait_output("running")
        beside.wait_output("running")
        for target in (["--container", container.id], ["--cgroup", container.cgroup_dir]):
            audit = Audit(env, *target, "-e", "in.*").ready()
            container.exec([env.py.path, "-c", "import sys; sys.audit('in.later', 'short')"])
            time.sleep(0.3)
            audit.stop(status=0)
            assert {tuple(event["args"]) for event in audit.events} == {("seen",), ("short",)}
            assert {event["container"] for event in audit.events if event["event"] == "in.container"} == {container.id}
            assert [e for e in audit.events if e["event"] == "in.later"][0]["container"] == container.id
            assert {event["ns_pid"] for event in audit.events if event["event"] == "in.container"} == {1}
        audit = Audit(env, "--container", container.id, "--summary", "-e", "in.*", "-d", 0.5).stop(sig=None, status=0)
        assert [record["container"] for record in audit.records if record["type"] == "count"] == [container.id]


POLICY = {"rules": [
    {"name": "temporary code", "event": "exec", "arg": {"0": "^/tmp/.*evil"}},
    {"name": "silent", "event": ["quiet.*"], "alert": False, "fail": False, "command": None},
    {"name": "second argument", "event": "two", "args": "^'x', ", "comm": "python", "fail": False},
]}


@once
def test_policy(env):
    env.py = env.python("debian-3.11")
    evil = env.py.script("exec(compile('1', __file__, 'exec'))", "evil.py")
    harmless = env.py.script("import sys\nsys.audit('two', 'x', 1); sys.audit('two', 'y', 1); sys.audit('quiet.one', 5)", "harmless.py")
    taken = Path(env.tmp, "taken")
    rules = json.loads(json.dumps(POLICY))
    rules["rules"][1]["command"] = ["sh", "-c", f"cat >> {taken}; echo on stdout"]
    policy = Path(env.tmp, "policy.json")
    policy.write_text(json.dumps(rules))

    def run(script, *options):
        return env.keelback("audit", "--policy", policy, *options, "--", *env.py.command([script]), check=False)

    done = run(evil)
    assert done.returncode == 3
    assert re.search(r"^keelback: alert: temporary code: .* exec\(<code <module> at .*evil\.py:1>\)$", done.stderr, re.M), done.stderr
    assert "; alerts 2" in done.stderr and "cpython.run_file(" in done.stdout
    done = run(harmless, "--only-alerts", "-f", "jsonl")
    assert done.returncode == 0
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(e["event"], e["args"]) for e in events[:-1]] == [("two", ["x", 1]), ("quiet.one", [5])]
    assert "alert: second argument: " in done.stderr and "alert: silent" not in done.stderr
    assert "on stdout" in done.stderr  # where commands write to
    for _ in range(200):
        if taken.exists() and taken.read_text().endswith("\n"):
            break
        time.sleep(0.02)
    assert json.loads(taken.read_text())["args"] == [5]


@once
def test_bad_policies(env):
    policy = Path(env.tmp, "policy.json")
    cases = [
        ("", r"not JSON"),
        ("{", r"not JSON, at byte \d+"),
        ("[]", r'a policy is an object with "rules"'),
        ('{"rules": []}', r'"rules", a list of 1 to'),
        ('{"rule": [{"event": "x"}]}', r'"rule" is nothing that a policy has'),
        ('{"rules": [5]}', r"rule 1: it must be an object"),
        ('{"rules": [{"event": "x"}, {"name": "y"}]}', r'rule 2: it has no "event"'),
        ('{"rules": [{"event": "x", "evnt": "y"}]}', r'rule 1: "evnt" is nothing that a rule has'),
        ('{"rules": [{"event": "x*y"}]}', r"'x\*y' is no name of an event"),
        ('{"rules": [{"event": ""}]}', r"'' is no name"),
        ('{"rules": [{"event": 1}]}', r'"event" must be a list'),
        ('{"rules": [{"event": ["x", 1]}]}', r'"event" must be a list of strings'),
        ('{"rules": [{"event": "x", "args": "(" }]}', r'"args" is no regular expression: .*[Uu]nmatched'),
        ('{"rules": [{"event": "x", "args": 1}]}', r'"args" must be a string'),
        ('{"rules": [{"event": "x", "arg": "y"}]}', r'"arg" must be an object'),
        ('{"rules": [{"event": "x", "arg": {"x": "y"}}]}', r'"x" is no number of an argument, 0 to 63'),
        ('{"rules": [{"event": "x", "arg": {"64": "y"}}]}', r'"64" is no number'),
        ('{"rules": [{"event": "x", "fail": 1}]}', r'"fail" must be true or false'),
        ('{"rules": [{"event": "x", "command": []}]}', r'"command" must be a list of 1 to 64'),
        ('{"rules": [{"event": "x", "command": "ls"}]}', r'"command" must be a list'),
        ('{"rules": [{"event": "x", "name": 1}]}', r'"name" must be a string'),
    ]
    for text, said in cases:
        policy.write_text(text)
        done = env.keelback("audit", "--policy", policy, "-a", "-d", "1", check=False)
        assert done.returncode == 2, (text, done.stderr)
        lines = done.stderr.splitlines()
        assert len(lines) == 1 and re.search(said, lines[0]) and str(policy) in lines[0], (text, done.stderr)


def text_of(pid, path):
    """The code of a file as it is in a process's memory."""
    code = b""
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        fields = line.split()
        if "x" in fields[1] and fields[-1].endswith(path):
            begin, end = (int(part, 16) for part in fields[0].split("-"))
            with open(f"/proc/{pid}/mem", "rb") as memory:
                memory.seek(begin)
                code += memory.read(end - begin)
    return code


def semaphores_of(pid, executable):
    """The counters of static probes; empty in a build without them."""
    sections = subprocess.run(["readelf", "-SW", executable], stdout=subprocess.PIPE, text=True, check=True).stdout
    match = re.search(r"\.probes +PROGBITS +(\w+) \w+ (\w+)", sections)
    if not match:
        return b""
    with open(f"/proc/{pid}/mem", "rb") as memory:
        memory.seek(int(match[1], 16))
        return memory.read(int(match[2], 16))


@per_python(where=HAS_AUDIT, timeout=TIMEOUT)
def test_nothing_is_left(env):
    """Killed, keelback leaves the program's code and counters as they were."""
    speaker = Speaker(env)
    image = "libpython" + env.py.minor + ".so.1.0" if env.py.id.startswith("pyenv") else os.path.basename(env.py.path)
    executable = env.py.root.rstrip("/") + env.py.path
    code, counters = text_of(speaker.pid, image), semaphores_of(speaker.pid, executable)
    assert code and bool(counters) == ("usdt" in env.py.traits)
    audit = Audit(env, "-p", speaker.pid).ready()
    speaker.tell("audit 'x',")
    assert text_of(speaker.pid, image) != code
    assert not counters or semaphores_of(speaker.pid, executable) != counters
    audit.process.kill()
    audit.process.wait()
    deadline = time.monotonic() + 20
    while text_of(speaker.pid, image) != code or semaphores_of(speaker.pid, executable) != counters:
        assert time.monotonic() < deadline, "still probed"
        time.sleep(0.05)
    speaker.tell("audit 'y',")
    assert speaker.process.poll() is None


def memory_of(pid):
    return int(re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[1])


@once(timeout=TIMEOUT)
def test_memory_stays(env):
    env.py = env.python("debian-3.11")
    speaker, audit = Speaker(env), None
    audit = Audit(env, "-p", speaker.pid, "--stack", "-e", "loop.event").ready()
    speaker.tell("loop 50000")
    time.sleep(0.5)
    before = memory_of(audit.process.pid)
    for _ in range(6):
        speaker.tell("loop 50000")
    time.sleep(0.5)
    after = memory_of(audit.process.pid)
    audit.stop(status=0)
    assert audit.seen == 350_000
    assert after - before < 2048, f"{before} kB, then {after} kB"


@once
def test_output_ends(env):
    """A reader that goes away ends it without a word; a full disk is told."""
    env.py = env.python("debian-3.11")
    loop = env.py.script("import sys, time\nfor i in range(2000): sys.audit('x', 'y' * 100); time.sleep(0.001)\n")
    command = env.py.command([loop])
    process = env.popen("audit", "--", *command, stderr=subprocess.PIPE)
    process.stdout.readline()
    process.stdout.close()
    log = process.stderr.read()
    assert process.wait(30) == 1 and log.count("\n") <= 2 and "cannot write" not in log, log
    done = env.keelback("audit", "-o", "/dev/full", "--", *command, check=False)
    assert done.returncode == 1 and "'/dev/full': No space left" in done.stderr, done.stderr
