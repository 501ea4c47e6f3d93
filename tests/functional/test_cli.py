# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The command line: what bad input gets, where output goes, what signals and the command's end do."""

import json
import os
import pty
import re
import signal
import subprocess
import time
from pathlib import Path

from bad_input import BAD_INPUT, SLEEP
from harness import REPO, once
from sampling import Sampling

COMMANDS = ["sample", "top", "calls", "memory", "refs", "convert", "diff", "check", "stats", "dump", "census", "faults", "audit", "ps", "doctor"]

BUSY = """
import sys, time
def busy(end):
    while time.monotonic() < end:
        sum(range(500))
print("ready", flush=True)
busy(time.monotonic() + float(sys.argv[1]))
sys.exit(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
"""


def one_line(done, status, pattern):
    """Nothing on stdout, one line on stderr that matches, that status."""
    shown = f"`keelback {' '.join(map(repr, done.args[1:]))}`"
    assert done.returncode == status, f"{shown}: status {done.returncode}, not {status}: {done.stderr!r}"
    assert done.stdout == "", f"{shown}: on stdout: {done.stdout[:100]!r}"
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and done.stderr.endswith("\n"), f"{shown}: not one line: {done.stderr!r}"
    assert lines[0].startswith("keelback: ") and re.search(pattern, lines[0]), f"{shown}: {lines[0]!r}"


@once(timeout=180)
def test_bad_input(env):
    """Each wrong flag, PID, file, container and format gets its line and its status."""
    sleep = subprocess.Popen(["sleep", "300"])
    wrong = []
    for args, status, pattern in BAD_INPUT:
        args = [str(sleep.pid) if arg == SLEEP else arg for arg in args]
        try:
            one_line(env.keelback(*args, check=False, timeout=30, cwd=env.tmp), status, pattern)
        except AssertionError as error:
            wrong.append(str(error))
    sleep.kill()
    assert not wrong, f"{len(wrong)} of {len(BAD_INPUT)}:\n" + "\n".join(wrong)
    assert os.listdir(env.tmp) == [], "something was left behind"


@once
def test_several_pids(env):
    """Those that are wrong are named; the others go on."""
    target = env.python("3.11").popen([env.python("3.11").script(BUSY), 10])
    env.wait_line(target, "ready")
    done = env.keelback("sample", "-p", f"4194304,{target.pid}", "-d", 0.5, "-f", "collapsed")
    assert "warning: no process with PID 4194304" in done.stderr
    assert "busy (" in done.stdout


@once
def test_help(env):
    """--help, -h and help COMMAND print the same on stdout, in lines that fit a terminal."""
    for command in COMMANDS:
        done = env.keelback(command, "--help")
        assert done.stdout.startswith(f"Usage: keelback {command}") and done.stderr == ""
        assert env.keelback(command, "-h").stdout == done.stdout
        assert env.keelback("help", command).stdout == done.stdout
        assert env.keelback(command, "--version").stdout == env.keelback("--version").stdout
        assert max(map(len, done.stdout.splitlines())) <= 92
        assert env.keelback(command, "--help", "--foo", check=False).returncode == 0
    overview = env.keelback("--help").stdout
    assert overview == env.keelback("-h").stdout == env.keelback("help").stdout
    assert re.findall(r"^  ([a-z]+) ", overview.split("Commands:")[1].split("\n\n")[0], re.M) == COMMANDS
    assert re.fullmatch(r"keelback \d+\.\d+\.\d+\n", env.keelback("--version").stdout)


def options_of_help(text):
    """The options in the left column of --help."""
    return {option for line in re.findall(r"^ {2,6}(-.*?)(?:  |$)", text, re.M) for option in re.findall(r"--?[a-z][a-z-]*", line)}


def options_of_man(path):
    """The options in the tags of a man page, and those of the sections of another page that it refers to."""
    text = path.read_text().replace("\\-", "-")
    for section, page in re.findall(r"^\.SS (\w+)\nThose of\n\.BR (\S+) \(1\)\.$", text, re.M):
        other = path.with_name(f"{page}.1").read_text().replace("\\-", "-")
        text += re.search(rf"^\.SS {section}\n(.*?)^\.S[SH] ", other, re.M | re.S)[1]
    text = re.sub(r"\\f[BIR]", "", text)
    tags = re.findall(r"^\.TP\n(-.*)$", text, re.M)
    return {option for tag in tags for option in re.findall(r"(?:^|, )(--?[a-z][a-z-]*)", tag)}


@once
def test_man_pages(env):
    """Each page has the options that --help has, and no others."""
    pages = sorted((REPO / "docs/man").glob("*.1"))
    assert {page.stem for page in pages} == {"keelback", *(f"keelback-{command}" for command in COMMANDS)}
    for page in pages:
        command = page.stem.split("-")[1:]
        in_help = options_of_help(env.keelback(*command, "--help").stdout)
        in_man = options_of_man(page)
        assert {"--help", "--version", "-h"} <= in_help
        assert in_help == in_man, f"{page.name}: not in both: {sorted(in_help ^ in_man)}"


@once
def test_completion(env):
    """What bash offers is what the program has."""
    script = f"""
        PATH={Path(env.keelback_path).parent}:$PATH
        source {REPO}/scripts/completion/keelback.bash
        offer() {{ COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _keelback; echo "${{COMPREPLY[*]}}"; }}
        offer keelback s; offer keelback sample --du; offer keelback stats -s t; offer keelback stats -f pst; offer keelback top --sort to; offer keelback convert -f c; offer keelback sample -- --du
    """
    output = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout
    assert output.splitlines() == ["sample stats", "--duration", "time tottime", "pstats pstats-file", "total total%", "collapsed callgrind", ""], output


@once
def test_binary_to_terminal(env):
    """A binary format is refused on a terminal, before anything is collected."""
    for name in ("recording", "pstats-file"):
        leader, follower = pty.openpty()
        done = env.keelback("sample", "-a", "-f", name, stdout=follower, check=False)
        os.close(follower)
        os.close(leader)
        assert done.returncode == 2 and f"format {name} is binary" in done.stderr, done.stderr


@once
def test_command_status(env):
    """With -- COMMAND the status is the command's own, and its stdout is not ours."""
    python = env.python("3.11")
    script = python.script(BUSY)
    out = f"{env.tmp}/out.folded"
    for code in (0, 7):
        done = env.keelback("sample", "-o", out, "--", python.path, script, 0.4, code, check=False)
        assert done.returncode == code
        assert done.stdout == "ready\n"
        assert "busy (" in Path(out).read_text()
        assert re.search(r"^keelback: \d+ samples attempted = \d+ good", done.stderr, re.M), done.stderr
    done = env.keelback("sample", "-q", "-o", out, "--", "sh", "-c", "kill -KILL $$", check=False)
    assert (done.returncode, done.stderr) == (128 + signal.SIGKILL, "")
    done = env.keelback("sample", "-o", out, "--", "sh", "-c", "exit 3", check=False)
    assert done.returncode == 3 and "no samples" in done.stderr


@once
def test_duration_with_command(env):
    """-d ends collecting, not the command: its status counts."""
    python = env.python("3.11")
    began = time.monotonic()
    done = env.keelback("sample", "-d", 1, "-f", "collapsed", "--", python.path, python.script(BUSY), 2.5, 5, check=False)
    assert done.returncode == 5
    assert time.monotonic() - began > 2.4
    assert "busy (" in done.stdout and "waiting for the command" in done.stderr


@once
def test_interrupt(env):
    """The first one ends collecting and the report is written; sent to us alone, the command gets it, too."""
    python = env.python("3.11")
    target = python.popen([python.script(BUSY), 60])
    env.wait_line(target, "ready")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        sampling = Sampling(env, "-p", target.pid).ready()
        time.sleep(0.5)
        assert not sampling.report.exists(), "the file is there before it is complete"
        sampling.process.send_signal(number)
        sampling.process.send_signal(number)  # as timeout(1) does it: the process, then its group
        assert "busy" in sampling.finish().names()
    keelback = env.popen("sample", "-f", "collapsed", "--", python.path, python.script(BUSY), 60)
    env.wait_line(keelback, "ready")
    time.sleep(0.5)
    keelback.send_signal(signal.SIGTERM)
    output, _ = keelback.communicate(timeout=20)
    assert keelback.returncode == 128 + signal.SIGTERM and "busy (" in output


COUNT_INTERRUPTS = """
import signal, sys, time
count = 0
def note(*_):
    global count
    count += 1
signal.signal(signal.SIGINT, note)
print("ready", flush=True)
end = time.monotonic() + 1.5
while time.monotonic() < end:
    sum(range(500))
sys.exit(10 + count)
"""


@once
def test_interrupt_from_terminal(env):
    """Ctrl-C reaches the command once, as it would without us; we wait for it and take its status."""
    python = env.python("3.11")
    out = Path(env.tmp, "out.folded")
    script = python.script(COUNT_INTERRUPTS)
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(env.keelback_path, ["keelback", "sample", "-o", str(out), "--", python.path, script])
    seen = b""
    while b"ready" not in seen:
        seen += os.read(terminal, 1000)
    time.sleep(0.5)
    os.write(terminal, b"\x03")
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 11
    assert b"Ctrl-C ends it" in seen + os.read(terminal, 1000)
    assert "<module> (" in out.read_text()


@once
def test_second_interrupt(env):
    """It quits at once and leaves nothing behind."""
    python = env.python("3.11")
    out = Path(env.tmp, "out.html")
    program = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('ready', flush=True)\ntime.sleep(60)\n"
    keelback = env.popen("sample", "-o", out, "--", python.path, python.script(program))
    env.wait_line(keelback, "ready")
    keelback.send_signal(signal.SIGTERM)
    time.sleep(2)
    assert keelback.poll() is None, "did not wait for the command"
    assert out.exists(), "no report after the first"
    keelback.send_signal(signal.SIGTERM)
    assert keelback.wait(5) == 128 + signal.SIGTERM
    assert [name for name in os.listdir(env.tmp) if name.startswith(".")] == []


@once
def test_old_result_survives(env):
    """A run that fails leaves the old file as it was; one that succeeds keeps owner, mode and link."""
    python = env.python("3.11")
    out, link = Path(env.tmp, "out.folded"), Path(env.tmp, "link.folded")
    out.write_text("old\n")
    out.chmod(0o640)
    os.chown(out, 1234, 1234)
    link.symlink_to(out)
    assert env.keelback("sample", "-o", link, "--", "/no/such/command", check=False).returncode == 2
    assert out.read_text() == "old\n"
    env.keelback("sample", "-o", link, "--", python.path, python.script(BUSY), 0.3)
    assert "busy (" in out.read_text()
    status = out.stat()
    assert link.is_symlink() and status.st_mode & 0o777 == 0o640 and status.st_uid == 1234
    assert sorted(os.listdir(env.tmp)) == ["link.folded", "out.folded", "target.py"]


@once
def test_output_fails(env):
    """A full disk is told; a reader that has gone is not."""
    python = env.python("3.11")
    target = python.popen([python.script(BUSY), 60])
    env.wait_line(target, "ready")
    args = ["sample", "-p", target.pid, "-d", 0.3, "-f", "collapsed"]
    done = env.keelback(*args, "-o", "/dev/full", check=False)
    one_line(done, 1, r"No space left on device")
    with open("/dev/full", "w") as full:
        done = env.keelback(*args, stdout=full, check=False)
        assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and "No space" in done.stderr
        done = env.keelback("--help", stdout=full, check=False)
        assert done.returncode == 1 and "No space" in done.stderr
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = env.keelback(*args, stdout=write_end, check=False)
    os.close(write_end)
    assert (done.returncode, done.stderr) == (1, "")


@once
def test_children_of_keelback_get_sigpipe(env):
    """A command that is run has the signals that it would have without us."""
    done = env.keelback("sample", "-q", "-o", "/dev/null", "-f", "collapsed", "--", "sh", "-c", "grep SigIgn /proc/$$/status")
    assert int(done.stdout.split()[1], 16) & (1 << (signal.SIGPIPE - 1) | 1 << (signal.SIGINT - 1)) == 0


@once
def test_convert(env):
    """A recording becomes every format; cut off it is an error, or with --partial what it has."""
    python = env.python("3.11")
    target = python.popen([python.script(BUSY), 60])
    env.wait_line(target, "ready")
    recording, cut, out = (Path(env.tmp, name) for name in ("r.kb", "cut.kb", "out"))
    done = env.keelback("sample", "-p", target.pid, "-d", 0.5, "-o", recording)
    assert done.stdout == ""
    good = int(re.search(r"= (\d+) good", done.stderr)[1])
    stacks = env.keelback("convert", recording, "-f", "collapsed").stdout
    assert sum(int(line.rsplit(" ", 1)[1]) for line in stacks.splitlines()) == good > 0
    assert "busy" in env.keelback("convert", recording).stdout
    for name in ("pstats", "collapsed", "flamegraph", "pstats-file", "recording"):
        env.keelback("convert", recording, "-f", name, "-o", out)
        assert out.stat().st_size > 0
    assert env.keelback("convert", out, "-f", "collapsed").stdout == stacks, "recording of a recording differs"
    with open(out, "wb") as stream:
        env.keelback("sample", "-p", target.pid, "-d", 0.3, "-f", "recording", stdout=stream)
    assert "busy" in env.keelback("convert", out).stdout
    one_line(env.keelback("convert", recording, "-o", recording, check=False), 2, "is the recording itself")
    cut.write_bytes(recording.read_bytes()[:-20])
    one_line(env.keelback("convert", cut, check=False), 1, re.escape(str(cut)))
    done = env.keelback("convert", cut, "--partial")
    assert "warning" in done.stderr and "cut off" in done.stderr


@once
def test_ps(env):
    """Finds a Python by what it is, with its version; a target narrows it."""
    python = env.python("3.11")
    target = python.popen([python.script(BUSY), 60])
    env.wait_line(target, "ready")
    sleep = subprocess.Popen(["sleep", "60"])
    (entry,) = [entry for entry in json.loads(env.keelback("ps", "--json").stdout) if entry["pid"] == target.pid]
    assert entry["version"].startswith("3.11") and entry["sample"] is True and entry["reason"] == ""
    assert "target.py" in entry["command"] and entry["ns_pid"] == target.pid
    assert entry["layout"] in ("debug-offsets", "dwarf", "built-in")
    header, row = env.keelback("ps", "-p", target.pid).stdout.splitlines()
    assert header.split() == ["PID", "VERSION", "BUILD", "LAYOUT", "CONTAINER", "SAMPLE", "COMMAND"]
    assert row.split()[0] == str(target.pid) and row.split()[5] == "yes"
    assert json.loads(env.keelback("ps", "-p", sleep.pid, "--json").stdout) == []
    sleep.kill()


@once
def test_ps_hostile_command_line(env):
    """A command line cannot move the cursor, add a row, or break JSON."""
    python = env.python("3.11")
    evil = subprocess.Popen(
        [b"\x1b[31mevil\n\xff", python.script(BUSY), "60"], executable=python.path, stdout=subprocess.PIPE
    )
    evil.stdout.readline()
    raw = env.keelback("ps", "-p", evil.pid).stdout
    assert len(raw.splitlines()) == 2 and "\x1b" not in raw and "evil" in raw
    (entry,) = json.loads(env.keelback("ps", "-p", evil.pid, "--json").stdout)
    assert "evil" in entry["command"]
    evil.kill()


@once
def test_doctor(env):
    """All that is required is here; table and JSON agree."""
    features = json.loads(env.keelback("doctor", "--json").stdout)
    assert all(feature["available"] for feature in features if feature["required"])
    assert all(feature["origin"] and feature["text"] and feature["without"] for feature in features)
    names = [feature["name"] for feature in features]
    assert len(set(names)) == len(names) and {"cap_bpf", "btf", "iter_num", "uprobe", "cpu_clock"} <= set(names)
    table = env.keelback("doctor").stdout
    shown = re.findall(r"^(yes|no|MISSING) +(\w+) ", table, re.M)
    assert shown == [("yes" if f["available"] else "no", f["name"]) for f in features]


@once
def test_doctor_without_privileges(env):
    """Names what is missing, on one line, with status 4; sampling does, too."""
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all"]
    program = Path(env.tmp, "keelback")
    program.write_bytes(Path(env.keelback_path).read_bytes())  # where nobody may read it
    program.chmod(0o755)
    done = subprocess.run([*nobody, program, "doctor"], capture_output=True, text=True)
    assert done.returncode == 4 and re.match(r"MISSING +cap_bpf ", done.stdout)
    assert re.fullmatch(r"keelback: doctor: missing here: cap_bpf, cap_perfmon, .*\n", done.stderr), done.stderr
    done = subprocess.run([*nobody, program, "sample", "-a", "-d", "1"], capture_output=True, text=True)
    one_line(done, 4, r"CAP_BPF")
    assert "CAP_PERFMON" in done.stderr
