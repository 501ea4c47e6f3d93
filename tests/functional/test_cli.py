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

from harness import REPO, once
from sampling import Sampling

COMMANDS = ["sample", "top", "calls", "convert", "diff", "stats", "dump", "census", "faults", "audit", "ps", "doctor"]

BUSY = """
import sys, time
def busy(end):
    while time.monotonic() < end:
        sum(range(500))
print("ready", flush=True)
busy(time.monotonic() + float(sys.argv[1]))
sys.exit(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
"""

# Who runs in no container and is no Python: sleep. Its PID takes SLEEP's place.
SLEEP = "<sleep>"

# Arguments, status, and what the one line on stderr must say.
BAD_INPUT = [
    ([], 2, r"no command given"),
    (["sampel"], 2, r"unknown command 'sampel'.*'sample'"),
    (["frobnicate"], 2, r"unknown command 'frobnicate'.*keelback --help"),
    (["--frobnicate"], 2, r"unknown option '--frobnicate'"),
    (["help", "sampel"], 2, r"unknown command 'sampel'"),
    (["help", "ps", "doctor"], 2, r"unexpected argument 'doctor'"),
    # options: every kind of error that getopt has
    (["sample", "--foo"], 2, r"sample: unknown option '--foo' \(see 'keelback sample --help'\)"),
    (["sample", "--foo=bar"], 2, r"unknown option '--foo'"),
    (["sample", "-x"], 2, r"unknown option '-x'"),
    (["sample", "-qx"], 2, r"unknown option '-x'"),
    (["sample", "-qxa"], 2, r"unknown option '-x'"),
    (["sample", "-d"], 2, r"option '-d' needs a value: SECONDS"),
    (["sample", "-a", "--duration"], 2, r"option '--duration' needs a value: SECONDS"),
    (["sample", "--all=1"], 2, r"option '--all' takes no value"),
    (["sample", "--no", "-a"], 2, r"option '--no' may mean --no-jitter or --no-summary"),
    (["sample", "-o", "-x", "--foo"], 2, r"unknown option '--foo'"),
    (["sample", "python3"], 2, r"unexpected argument 'python3': a command to run follows '--'"),
    (["ps", "1234"], 2, r"unexpected argument '1234'"),
    (["ps", "--", "true"], 2, r"ps: takes no command"),
    (["ps", "-d", "1"], 2, r"unknown option '-d'"),
    (["dump"], 2, r"dump: no target: give --pid, --container, --cgroup or --all$"),
    (["dump", "-p", "4194304"], 2, r"no process with PID 4194304"),
    (["dump", "-p", SLEEP], 4, r"process \d+ is not a Python process"),
    (["dump", "-p", "1", "--limit", "-1"], 2, r"--limit: '-1'"),
    (["dump", "-p", "1", "--async", "some"], 2, r"--async: 'some' is none of running, all"),
    (["dump", "-p", "1", "--depth", "99"], 2, r"--depth: '99'"),
    (["dump", "-a", "-o", "/no/such/dir/x"], 1, r"cannot write '/no/such/dir/x'"),
    (["dump", "--", "true"], 2, r"dump: takes no command"),
    (["calls"], 2, r"calls: no target: give --pid, --container, --cgroup, --all or -- COMMAND"),
    (["calls", "-p", "4194304"], 2, r"no process with PID 4194304"),
    (["calls", "-p", SLEEP], 4, r"process \d+ cannot be observed: it is not a Python process"),
    (["calls", "-a", "--exact", "--duty", "1%"], 2, r"--exact and --duty exclude each other"),
    (["calls", "-a", "--duty", "0"], 2, r"--duty: '0' is no percentage from 0.01% to 100%"),
    (["calls", "-a", "--duty", "2 %"], 2, r"--duty: '2 %' is no percentage"),
    (["calls", "-a", "--duty", "101%"], 2, r"--duty: '101%' is no percentage"),
    (["calls", "-a", "--window", "11s"], 2, r"--window: 1ms to 10s"),
    (["calls", "--window", "5ms", "--", "true"], 2, r"--window needs --duty"),
    (["calls", "-a", "--time", "guess"], 2, r"--time: 'guess' is none of none, sampled, measured"),
    (["calls", "-a", "--time", "measured", "--duty", "1%"], 2, r"--duty does not go with --time measured"),
    (["calls", "-a", "--time", "none", "-r", "10"], 2, r"--rate needs --time sampled"),
    (["calls", "-a", "--clock", "moon"], 2, r"--clock: 'moon' is none of wall, cpu"),
    (["calls", "-a", "-o", "/no/such/dir/x.pstats"], 1, r"cannot write '/no/such/dir/x.pstats'"),
    (["calls", "-a", "-f", "svg"], 2, r"--format: 'svg' is none of pstats"),
    (["calls", "--", "/no/such/program"], 2, r"/no/such/program"),
    (["census"], 2, r"census: no target: give --pid, --container, --cgroup or --all$"),
    (["census", "-p", SLEEP], 4, r"process \d+ is not a Python process"),
    (["census", "-p", "1", "-d", "3"], 2, r"--duration says how long --every goes on, which is not given"),
    (["census", "-p", "1", "--every", "0"], 2, r"--every: '0' is not from 0.001 to"),
    (["census", "-p", "1", "--every", "1ms"], 2, r"--every: at most 100 times a second"),
    (["census", "-p", "1", "--every", "10min"], 2, r"--every: '10min' is not a duration"),
    (["census", "-p", "1", "--largest", "0"], 2, r"--largest: '0'"),
    (["census", "-p", "1", "--sort", "name"], 2, r"--sort: 'name' is none of bytes, objects"),
    (["census", "-a", "-o", "/no/such/dir/x"], 1, r"cannot write '/no/such/dir/x'"),
    (["census", "--", "true"], 2, r"census: takes no command"),
    (["faults"], 2, r"faults: no target: give --pid, --container, --cgroup, --all or -- COMMAND"),
    (["faults", "-p", "4194304"], 2, r"no process with PID 4194304"),
    (["faults", "-p", SLEEP], 4, r"process \d+ cannot be observed: it is not a Python process"),
    (["faults", "-a", "--signals", "SEGV,FOO"], 2, r"--signals: 'FOO' is no signal"),
    (["faults", "-a", "--signals", ""], 2, r"--signals: '' is no signal"),
    (["faults", "-a", "--signals", "0"], 2, r"--signals: '0' is no signal"),
    (["faults", "-a", "--signals", "65"], 2, r"--signals: '65' is no signal"),
    (["faults", "-a", "--signals", "SEGV,CHLD"], 2, r"--signals: SIGCHLD ends no process"),
    (["faults", "-a", "--register", "USR1"], 2, r"--register: SIGUSR1 ends a process that does not handle it.*--chain"),
    (["faults", "-a", "--register", "URG,"], 2, r"--register: '' is no signal"),
    (["faults", "-a", "--chain"], 2, r"--chain needs --register"),
    (["faults", "-a", "--repeat"], 2, r"--repeat needs --later SECONDS"),
    (["faults", "-a", "--exit"], 2, r"--exit needs --later SECONDS"),
    (["faults", "-a", "--later", "1", "--repeat", "--exit"], 2, r"--repeat and --exit do not go together"),
    (["faults", "-a", "--later", "0"], 2, r"--later: '0' is not from 0.001 to"),
    (["faults", "-a", "--hang", "x"], 2, r"--hang: 'x' is not a number of seconds"),
    (["faults", "-a", "--limit", "0"], 2, r"--limit: '0' is not a number from 1 to 2048"),
    (["faults", "-a", "-f", "xml"], 2, r"--format: 'xml' is none of text, jsonl"),
    (["faults", "-a", "--max-files", "9"], 2, r"--max-files needs --directory DIR"),
    (["faults", "-a", "--directory", "/tmp", "--max-bytes", "9T"], 2, r"--max-bytes: '9T' is not a size such as"),
    (["faults", "-a", "--directory", "/tmp", "-o", "x"], 2, r"--output and --directory do not go together"),
    (["faults", "-a", "--directory", "/no/such/dir"], 1, r"cannot write '/no/such/dir'"),
    (["faults", "-a", "-o", "/no/such/dir/x"], 1, r"cannot write '/no/such/dir/x'"),
    (["faults", "--", "/no/such/program"], 2, r"cannot run '/no/such/program'"),
    (["audit"], 2, r"audit: no target: give --pid, --container, --cgroup, --all or -- COMMAND"),
    (["audit", "-a", "-d", "0"], 2, r"--duration: '0'"),
    (["audit", "-a", "-t", "x"], 2, r"--tid: 'x'"),
    (["audit", "-a", "-e", ""], 2, r"'' names no event"),
    (["audit", "-a", "-e", "open,,import"], 2, r"'' names no event"),
    (["audit", "-a", "-e", "!"], 2, r"'!' names no event"),
    (["audit", "-a", "-e", "socket.*.x"], 2, r"'socket.\*.x' is no name of an event: NAME, or the beginning of one"),
    (["audit", "-a", "-e", "a b"], 2, r"'a b' is no name of an event"),
    (["audit", "-a", "-e", "x" * 64], 2, r"is too long for the name of an event: at most 63 bytes"),
    (["audit", "-a", "-e", ",".join(["x"] * 65)], 2, r"--event: more than 64 names"),
    (["audit", "-a", "--match", "("], 2, r"--match: '\(' is no regular expression: Unmatched"),
    (["audit", "-a", "--max-rate", "0"], 2, r"--max-rate: '0' is not a number from 1 to"),
    (["audit", "-a", "--max-rate", "10/s"], 2, r"--max-rate: '10/s'"),
    (["audit", "-a", "-f", "json"], 2, r"--format: 'json' is none of text, jsonl"),
    (["audit", "-a", "-o", ""], 2, r"--output: no file name"),
    (["audit", "-a", "-o", "/no/such/dir/x"], 1, r"cannot write '/no/such/dir/x'"),
    (["audit", "-a", "--summary", "--match", "x"], 2, r"--summary counts in the kernel: --match does not go with it"),
    (["audit", "-a", "--summary", "--stack"], 2, r"--stack does not go with it"),
    (["audit", "-a", "--summary", "--max-rate", "5"], 2, r"--max-rate does not go with it"),
    (["audit", "-a", "--only-alerts"], 2, r"--only-alerts needs --policy"),
    (["audit", "-a", "--policy", "/no/such/policy"], 1, r"cannot read '/no/such/policy': No such file"),
    (["audit", "-a", "--policy", "/tmp"], 1, r"cannot read '/tmp'"),
    (["audit", "-p", SLEEP, "-d", "1"], 4, r"process \d+ .*not a Python process"),
    (["audit", "--", "/no/such/command"], 2, r"'/no/such/command'"),
    (["doctor", "-a"], 2, r"unknown option '-a'"),
    (["doctor", "-p", "1"], 2, r"unknown option '-p'"),
    (["convert", "a.kb", "b.kb"], 2, r"unexpected argument 'b.kb'"),
    # values
    (["sample", "-d", "", "-a"], 2, r"--duration: '' is not a number of seconds"),
    (["sample", "-d", "abc", "-a"], 2, r"--duration: 'abc'"),
    (["sample", "-d", "1x", "-a"], 2, r"--duration: '1x'"),
    (["sample", "-d", "nan", "-a"], 2, r"--duration: 'nan'"),
    (["sample", "-d", "inf", "-a"], 2, r"--duration: 'inf'"),
    (["sample", "-d", "1e3", "-a"], 2, r"--duration: '1e3'"),
    (["sample", "-d", "-1", "-a"], 2, r"--duration: '-1'"),
    (["sample", "-d", "0", "-a"], 2, r"--duration: '0' is not from 0.001 to"),
    (["sample", "-d", "99999999999", "-a"], 2, r"--duration: '99999999999' is not from"),
    (["sample", "-r", "0", "-a"], 2, r"--rate: '0' is not a number from 1 to 20000, nor 'tick'"),
    (["sample", "-r", "20001", "-a"], 2, r"--rate: '20001'"),
    (["sample", "-r", "100Hz", "-a"], 2, r"--rate: '100Hz'"),
    (["sample", "-r", "99.5", "-a"], 2, r"--rate: '99.5'"),
    (["sample", "--mode", "wal", "-a"], 2, r"--mode: 'wal' is none of cpu, wall, gil, gil-wait, exception"),
    (["sample", "--mode", "gil-wait", "-r", "99", "-a"], 2, r"--mode gil-wait takes no samples: --rate does not go with it"),
    (["sample", "--mode", "gil-wait", "--no-jitter", "-a"], 2, r"takes no samples: --no-jitter does not go with it"),
    (["sample", "--async", "none", "-a"], 2, r"--async: 'none' is none of running, all"),
    (["sample", "--async", "all", "--mode", "wall", "-a"], 2, r"--async all reads tasks, .* --mode does not go with it"),
    (["sample", "--async", "all", "-r", "tick", "-a"], 2, r"--async all reads tasks, .* --rate tick does not go with it"),
    (["sample", "--async", "all", "--native", "-a"], 2, r"--async all reads tasks, .* --native does not go with it"),
    (["sample", "--async", "all", "-t", "1", "-p", "1"], 2, r"--async all reads tasks, .* --tid does not go with it"),
    (["sample", "--async", "all", "-r", "1001", "-a"], 2, r"--async all: at most --rate 1000"),
    (["sample", "--mode", "tasks", "-a"], 2, r"--mode: 'tasks' is none of cpu, wall, gil, gil-wait, exception"),
    (["sample", "--keep", "5", "-a"], 2, r"--keep writes files: give --output FILE"),
    (["sample", "--keep", "0", "-a"], 2, r"--keep: '0' is not a number from 1 to 3600"),
    (["sample", "--when", "cpu>80%", "-a"], 2, r"--when needs --keep SECONDS"),
    (["sample", "--keep", "5", "--when", "cpu", "-o", "x.folded", "-a"], 2, r"--when: 'cpu' is no condition such as"),
    (["sample", "--min-wait", "1ms", "-a"], 2, r"--min-wait needs --mode wall or gil-wait"),
    (["sample", "--mode", "wall", "--min-wait", "1", "-a"], 2, r"--min-wait: '1' is not a duration such as 50us"),
    (["sample", "--mode", "wall", "--min-wait", "1001s", "-a"], 2, r"--min-wait: '1001s' is not from 1ns to 1000s"),
    (["sample", "-r", "tick", "--no-jitter", "-a"], 2, r"--no-jitter does not go with --rate tick"),
    (["sample", "-t", "0", "-a"], 2, r"--tid: '0'"),
    (["sample", "-t", "1x", "-a"], 2, r"--tid: '1x'"),
    (["sample", "-p", ""], 2, r"--pid: '' is not a process id"),
    (["sample", "-p", "self"], 2, r"--pid: 'self' is not a process id"),
    (["sample", "-p", "0"], 2, r"--pid: '0'"),
    (["sample", "-p", "-5"], 2, r"--pid: '-5'"),
    (["sample", "-p", "1,,2"], 2, r"--pid: '' is not"),
    (["sample", "-p", "4194305"], 2, r"--pid: '4194305'"),
    (["sample", "-p", "1\n2"], 2, r"--pid: '1.2' is not"),
    (["sample", "--color", "blue", "-a"], 2, r"--color: 'blue' is none of auto, always, never"),
    (["sample", "--sort", "size", "-a"], 2, r"--sort: 'size' is none of nsamples, .*name"),
    (["sample", "--limit", "-1", "-a"], 2, r"--limit: '-1'"),
    (["sample", "--limit", "ten", "-a"], 2, r"--limit: 'ten'"),
    # targets
    (["sample"], 2, r"no target: give --pid, --container, --cgroup, --all or -- COMMAND"),
    (["sample", "-d", "1"], 2, r"no target"),
    (["sample", "--"], 2, r"no target"),
    (["sample", "-a", "-p", "1"], 2, r"more than one target"),
    (["sample", "-a", "--", "true"], 2, r"more than one target"),
    (["sample", "--container", "x", "--cgroup", "y"], 2, r"more than one target"),
    (["sample", "--children", "-a"], 2, r"--children goes with --pid"),
    (["sample", "--container", ""], 2, r"--container: no name"),
    (["sample", "--cgroup", ""], 2, r"--cgroup: no path"),
    (["sample", "-p", "4194304", "-d", "1"], 2, r"no process with PID 4194304"),
    (["ps", "-p", "4194304"], 2, r"no process with PID 4194304"),
    (["sample", "-p", SLEEP, "-d", "1"], 4, r"process \d+ .*not a Python process"),
    (["sample", "--container", "no-such-container", "-d", "1"], 2, r"no running container 'no-such-container'"),
    (["sample", "--cgroup", "/no/such/cgroup", "-d", "1"], 2, r"no cgroup '/no/such/cgroup'"),
    (["sample", "--cgroup", "/etc", "-d", "1"], 2, r"'/etc'"),
    (["sample", "--", "/no/such/command"], 2, r"'/no/such/command'"),
    (["sample", "--", "/etc"], 2, r"'/etc'"),
    # the live view
    (["top"], 2, r"no target"),
    (["top", "-a"], 2, r"stdout is no terminal: give --batch N for text"),
    (["top", "-a", "--limit", "3"], 2, r"--limit goes with --batch"),
    (["top", "-a", "--batch", "0"], 2, r"--batch: '0'"),
    (["top", "-a", "--batch", "1", "--delay", "0.01"], 2, r"--delay: 0.01 is not from 0.1 to 60"),
    (["top", "-a", "--batch", "1", "--delay", "61"], 2, r"--delay: 61 is not"),
    (["top", "-a", "--batch", "1", "--window", "301"], 2, r"--window: 301 is not from 1 to 300"),
    (["top", "-a", "--batch", "1", "--sort", "size"], 2, r"--sort: 'size' is none of self, self%, .*file"),
    (["top", "-a", "--batch", "1", "--filter", "(x"], 2, r"--filter: '\(x': Unmatched"),
    (["top", "-a", "--batch", "1", "--filter", "x" * 201], 2, r"--filter: .*longer than 200"),
    (["top", "-a", "--command-output", "x"], 2, r"--command-output goes with -- COMMAND"),
    (["top", "-o", "x.html", "-a"], 2, r"unknown option '-o'"),
    (["top", "--batch", "1", "-p", "4194304"], 2, r"no process with PID 4194304"),
    (["top", "--batch", "1", "--", "/no/such/command"], 2, r"'/no/such/command'"),
    (["top", "--batch", "1", "--command-output", "/no/such/dir/x", "--", "true"], 1, r"cannot write '/no/such/dir/x'"),
    # call statistics
    (["stats"], 2, r"stats: no file given \(see 'keelback stats --help'\)"),
    (["stats", "/no/such/file"], 1, r"cannot open /no/such/file: No such file"),
    (["stats", "/etc"], 1, r"/etc: Is a directory"),
    (["stats", "/etc/passwd"], 1, r"/etc/passwd: not a file of call statistics: at byte 0: "),
    (["stats", "x", "-s", "frob"], 2, r"--sort: no sort key 'frob'; there are calls, ncalls, cumtime, .*tottime"),
    (["stats", "x", "-s", "n"], 2, r"--sort: ambiguous sort key 'n'"),
    (["stats", "x", "-s", ""], 2, r"--sort: no sort key ''"),
    (["stats", "x", "-s", "3"], 2, r"--sort: no sort key '3'"),
    (["stats", "x", "--restrict", "1.5"], 2, r"--restrict: '1.5': a fraction is from 0 to 1"),
    (["stats", "x", "--restrict", "(x"], 2, r"--restrict: '\(x' is no regular expression: missing closing"),
    (["stats", "x", *["--restrict=1"] * 65], 2, r"--restrict: more than 64"),
    (["stats", "x", "--reverse"], 2, r"--reverse turns an order round: give --sort"),
    (["stats", "x", "--callers", "--callees"], 2, r"--callers and --callees are two tables"),
    (["stats", "x", "-f", "flamegraph"], 2, r"--format: 'flamegraph' is none of pstats pstats-file callgrind pprof json recording"),
    (["stats", "x", "-o", "x.html"], 2, r"--output: 'x.html' has none of the endings that choose a format \(.txt .pstats"),
    (["stats", "x", "-o", "x.kb", "-s", "time"], 2, r"--sort is for tables and JSON, not for the format recording"),
    (["stats", "x", "-o", "x.pb.gz", "--restrict", "3"], 2, r"--restrict is for tables and JSON, not for the format pprof"),
    (["stats", "x", "--json", "--callers"], 2, r"--callers is for the format pstats, not for json"),
    (["stats", "-i", "x", "-s", "time"], 2, r"--interactive shows what is asked for in the browser"),
    (["stats", "/etc/passwd", "-o", "/etc/passwd", "-f", "json"], 2, r"'/etc/passwd' is one of the files: give another --output"),
    (["stats", "x", "-o", "/no/such/dir/x.kb"], 1, r"cannot write '/no/such/dir/x.kb'"),
    # formats and output
    (["sample", "-f", "gif", "-a"], 2, r"--format: 'gif' is none of pstats collapsed flamegraph"),
    (["sample", "-f", "", "-a"], 2, r"--format: '' is none of"),
    (["sample", "-o", "", "-a"], 2, r"--output: no file name"),
    (["sample", "-o", "x.gif", "-a"], 2, r"'x.gif' has none of the endings .*\.html.*give --format"),
    (["sample", "-o", "noending", "-a"], 2, r"'noending' has none of the endings"),
    (["sample", "-f", "collapsed", "--sort", "name", "-a"], 2, r"--sort is for the format pstats, not for collapsed"),
    (["sample", "-f", "flamegraph", "--limit", "3", "-a"], 2, r"--limit is for"),
    (["sample", "-f", "collapsed", "--no-summary", "-a"], 2, r"--no-summary is for"),
    (["sample", "-o", "x.kb", "--threads", "-a"], 2, r"--threads is not for recordings"),
    (["sample", "-o", "/no/such/dir/x.html", "-a"], 1, r"cannot write '/no/such/dir/x.html': No such file"),
    (["sample", "-o", "/no/such/dir/x.kb", "-a"], 1, r"cannot write '/no/such/dir/x.kb': No such file"),
    (["sample", "-o", "/tmp", "-f", "pstats", "-a"], 1, r"cannot write '/tmp': Is a directory"),
    (["sample", "-f", "diff-flamegraph", "-a"], 2, r"diff-flamegraph needs a recording .*--baseline FILE.kb"),
    (["sample", "-o", "x.html", "--baseline", "/no/such/old.kb", "-a"], 1, r"/no/such/old.kb.*No such file"),
    (["sample", "--baseline", "old.kb", "-a"], 2, r"--baseline is for the format diff-flamegraph, not for pstats"),
    (["sample", "--baseline", "", "-a"], 2, r"--baseline: no file name"),
    (["sample", "--browser", "-a"], 2, r"--browser is for HTML pages, not for the format pstats"),
    (["sample", "-f", "flamegraph", "--browser", "-a"], 2, r"--browser needs a file to open: give --output"),
    (["convert"], 2, r"no recording given"),
    (["convert", "/no/such/file.kb"], 1, r"/no/such/file.kb.*No such file"),
    (["convert", "/tmp"], 1, r"/tmp"),
    (["convert", "/dev/null"], 1, r"/dev/null"),
    (["convert", "/etc/passwd"], 1, r"/etc/passwd"),
    (["convert", "x.kb", "-f", "gif"], 2, r"--format: 'gif' is none of"),
    (["diff"], 2, r"two recordings are needed"),
    (["diff", "a.kb"], 2, r"two recordings are needed"),
    (["diff", "a.kb", "b.kb", "c.kb"], 2, r"unexpected argument 'c.kb'"),
    (["diff", "a.kb", "b.kb", "-f", "gif"], 2, r"--format: 'gif' is none of table, diff-flamegraph, json"),
    (["diff", "a.kb", "b.kb", "-o", "x.gif"], 2, r"'x.gif' has none of the endings"),
    (["diff", "a.kb", "b.kb", "-f", "json", "--limit", "3"], 2, r"--limit is for the format table, not for json"),
    (["diff", "a.kb", "b.kb", "--browser"], 2, r"--browser is for HTML pages, not for the format table"),
    (["diff", "a.kb", "b.kb", "-f", "diff-flamegraph", "--browser"], 2, r"--browser needs a file"),
    (["diff", "a.kb", "b.kb", "--sort", "size"], 2, r"--sort: 'size' is none of self, total, name"),
    (["diff", "/no/such/a.kb", "/no/such/b.kb"], 1, r"/no/such/a.kb.*No such file"),
    (["diff", "/dev/null", "/dev/null"], 1, r"/dev/null"),
    (["convert", "x.kb", "-o", "/no/such/dir/x.html"], 1, r"cannot write '/no/such/dir/x.html'"),
]


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
