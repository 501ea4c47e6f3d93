# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Audit events: those that a hook in the program sees, with the same arguments, on every version that has them."""

import collections
import json
import os
import re
import subprocess
from pathlib import Path

import audit_targets
from auditing import HAS_AUDIT, TIMEOUT, Audit, Speaker
from harness import clean_environment, once, per_python

# Groups of the program whose events a hook of Python's does not see: those of other interpreters are for their own.
UNSEEN_BY_HOOKS = {"interpreters"}


def plain(value):
    """Values with types' names without their module: a type's own __name__ has none."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        value = {key: plain(item) for key, item in value.items()}
        if "type" in value and "address" in value:
            value["type"] = value["type"].rpartition(".")[2]
    return value


def sequences(events):
    """{thread: [(event, arguments as text)]} of what came between the begin mark and the end, by thread."""
    threads = collections.defaultdict(list)
    for event in events:
        threads[event["pid"], event["tid"]].append((event["event"], json.dumps(plain(event["args"]))))
    for key, events in threads.items():
        names = [name for name, _ in events]
        if "keelback.begin" in names:
            events = events[names.index("keelback.begin"):]
        kept, on = [], True
        for name, args in events:
            if name == "keelback.step":
                on = json.loads(args)[0] not in UNSEEN_BY_HOOKS
            if on:
                kept.append((name, args))
        threads[key] = kept
    return threads


def check_equal(audit, record):
    """What the hook has seen is what keelback has."""
    hook = [json.loads(line) for line in Path(record).read_text().splitlines()]
    main = (hook[0]["pid"], hook[0]["pid"])
    expected, seen = sequences(hook), sequences(audit.events)
    assert main in expected and expected[main][0][0] == "keelback.begin"
    for thread, events in expected.items():
        ours = seen.get(thread, [])
        # A thread or child that was started meanwhile: the interpreter goes on when the hook's own is gone.
        ours = ours[: len(events)] if thread != main or events[-1][0] != "keelback.end" else ours
        for index, (theirs, mine) in enumerate(zip(events, ours)):
            assert theirs == mine, f"{thread}, event {index}:\n  hook:     {theirs}\n  keelback: {mine}"
        assert len(ours) == len(events), f"{thread}: {len(events)} events, {len(ours)} seen; next {events[len(ours):][:2]}"
    return expected[main]


def touch_program(env):
    return env.py.script(audit_targets.RECORDER + audit_targets.TOUCH + audit_targets.RUN, "touch.py")


# Python's table of audit events (Doc/library/audit_events.rst), those that can be raised on Linux; the program raises
# them, those of an interpreter's start and end are test_start()'s.
EVENTS = """
_thread.start_new_thread array.__new__ builtins.breakpoint builtins.id builtins.input builtins.input/result code.__new__ compile
cpython.remote_debugger_script ctypes.addressof ctypes.call_function ctypes.cdata ctypes.cdata/buffer
ctypes.create_string_buffer ctypes.create_unicode_buffer ctypes.dlopen ctypes.dlsym ctypes.dlsym/handle ctypes.get_errno
ctypes.memoryview_at ctypes.set_errno ctypes.string_at ctypes.wstring_at ensurepip.bootstrap exec fcntl.fcntl fcntl.flock
fcntl.ioctl fcntl.lockf ftplib.connect ftplib.sendcmd function.__new__ gc.get_objects gc.get_referents gc.get_referrers
glob.glob glob.glob/2 http.client.connect http.client.send imaplib.open imaplib.send import marshal.dumps marshal.load
marshal.loads mmap.__new__ nntplib.connect nntplib.putline object.__delattr__ object.__getattr__ object.__setattr__ open
os.chdir os.chmod os.chown os.exec os.fork os.forkpty os.fwalk os.getxattr os.kill os.killpg os.link os.listdir os.listxattr
os.lockf os.mkdir os.posix_spawn os.putenv os.remove os.removexattr os.rename os.rmdir os.scandir os.setxattr os.symlink
os.system os.truncate os.unsetenv os.utime os.walk pathlib.Path.glob pathlib.Path.rglob pdb.Pdb pickle.find_class
poplib.connect poplib.putline pty.spawn resource.prlimit resource.setrlimit setopencodehook shutil.chown shutil.copyfile
shutil.copymode shutil.copystat shutil.copytree shutil.make_archive shutil.move shutil.rmtree shutil.unpack_archive
signal.pthread_kill smtplib.connect smtplib.send socket.__new__ socket.bind socket.connect socket.getaddrinfo
socket.gethostbyaddr socket.gethostbyname socket.gethostname socket.getnameinfo socket.getservbyname socket.getservbyport
socket.sendmsg socket.sendto socket.sethostname sqlite3.connect sqlite3.connect/handle sqlite3.enable_load_extension
sqlite3.load_extension subprocess.Popen sys._current_exceptions sys._current_frames sys._getframe sys._getframemodulename
sys.addaudithook sys.excepthook sys.monitoring.register_callback sys.remote_exec sys.set_asyncgen_hook_finalizer
sys.set_asyncgen_hook_firstiter sys.setprofile sys.settrace sys.unraisablehook syslog.closelog syslog.openlog
syslog.setlogmask syslog.syslog telnetlib.Telnet.open telnetlib.Telnet.write tempfile.mkdtemp tempfile.mkstemp time.sleep
urllib.Request webbrowser.open
"""
# Which versions raise them, where that is not all of them.
SINCE = {
    (3, 9): """marshal.dumps marshal.load marshal.loads os.fwalk os.walk pathlib.Path.glob pathlib.Path.rglob""",
    (3, 10): """glob.glob/2 http.client.connect http.client.send sqlite3.connect/handle sys._current_exceptions""",
    (3, 12): """_thread.start_new_thread sys._getframemodulename sys.monitoring.register_callback""",
    (3, 13): """time.sleep""",
    (3, 14): """cpython.remote_debugger_script ctypes.memoryview_at sys.remote_exec""",
}
UNTIL = {(3, 12): """nntplib.connect nntplib.putline telnetlib.Telnet.open telnetlib.Telnet.write"""}
# Modules that a build may be without: Debian's have no ensurepip, pyenv's sqlite loads no extensions.
OPTIONAL = {"ensurepip.bootstrap", "sqlite3.enable_load_extension", "sqlite3.load_extension"}


def events_of(version):
    names = set(EVENTS.split()) - OPTIONAL
    for since, of_it in SINCE.items():
        names -= set(of_it.split()) if version < since else set()
    for until, of_it in UNTIL.items():
        names -= set(of_it.split()) if version > until else set()
    return names


@per_python(where=HAS_AUDIT, timeout=TIMEOUT)
def test_equal_to_a_hook(env):
    record = Path(env.tmp, "hook.jsonl")
    command = env.py.command([touch_program(env), record])
    audit = Audit(env, command=command).stop(sig=None, status=0)
    events = check_equal(audit, record)
    assert set(audit.counts) == {"reported"}, audit.log
    names = {name for name, _ in events}
    stopped = [args for name, args in events if name == "keelback.stopped"]
    assert len(stopped) == 1 and "this_is_no_module" in stopped[0], stopped
    # Those of forked children and threads, too.
    missing = events_of(env.py.version) - names - {event["event"] for event in audit.events}
    assert not missing, f"not raised: {sorted(missing)}"
    # Events of another interpreter have no hook to be seen by.
    if any(event["event"] == "cpython.PyInterpreterState_New" for event in audit.events):
        of_step = [event["event"] for event in audit.events]
        start_at = [i for i, e in enumerate(audit.events) if e["event"] == "keelback.step" and e["args"] == ["interpreters"]][0]
        assert "import" in of_step[start_at:]


@per_python(where=HAS_AUDIT, timeout=TIMEOUT)
def test_attach(env):
    record = Path(env.tmp, "hook.jsonl")
    target = env.py.popen([touch_program(env), record, "wait"], stdin=subprocess.PIPE)
    env.wait_line(target, "ready")
    audit = Audit(env, "-p", target.pid, "--children").ready()
    target.stdin.write("go\n")
    target.stdin.flush()
    assert target.wait(TIMEOUT) == 0
    check_equal(audit.stop(sig=None, status=0), record)


# CPython's own scenarios: each test_* function of Lib/test/audit-tests.py in a child of its own.
OWN_TESTS = r'''
import importlib.util
path = sys.argv[2]
spec = importlib.util.spec_from_file_location("audit_tests", path)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
sys.stdout = sys.stderr = open(os.devnull, "w")
record()
for name, function in sorted(vars(module).items()):
    if not name.startswith("test_") or getattr(function, "__code__", None) is None or function.__code__.co_argcount:
        continue
    sys.audit("keelback.scenario", name)
    child = os.fork()
    if not child:
        try:
            function()
        except BaseException as error:
            sys.audit("keelback.raised", repr(error))
        os._exit(0)
    os.waitpid(child, 0)
sys.audit("keelback.end")
os._exit(0)
'''


def own_tests(py):
    return py.root == "/" and (Path(py.path).parents[1] / f"lib/python{py.minor}/test/audit-tests.py").exists()


@per_python(where=lambda py: HAS_AUDIT(py) and own_tests(py), timeout=TIMEOUT)
def test_scenarios_of_cpython(env):
    scenarios = Path(env.py.path).parents[1] / f"lib/python{env.py.minor}/test/audit-tests.py"
    record = Path(env.tmp, "hook.jsonl")
    script = env.py.script(audit_targets.RECORDER + OWN_TESTS, "scenarios.py")
    audit = Audit(env, command=env.py.command([script, record, scenarios])).stop(sig=None, status=0)
    events = check_equal(audit, record)
    assert sum(name == "keelback.scenario" for name, _ in events) >= 8
    assert len({event["pid"] for event in audit.events}) >= 8


@once(timeout=TIMEOUT)
def test_without_symbols(env):
    """A stripped libpython without static probes, as in images of containers."""
    for minor in ("3.8", "3.9", "3.11", "3.13"):
        py = env.py = env.python(f"pyenv-{minor}")
        library = next(Path(py.path).parents[1].glob(f"lib/libpython{minor}*.so.1.0"))
        directory = Path(env.temp_dir("stripped"))
        subprocess.run(["strip", "-o", directory / library.name, library], check=True)
        record = Path(env.tmp, f"hook-{minor}.jsonl")
        environment = {"LD_LIBRARY_PATH": str(directory)}
        maps = env.py.run(["-c", "print(open('/proc/self/maps').read())"], env={**clean_environment(), **environment})
        assert str(directory / library.name) in maps
        command = env.py.command([touch_program(env), record])
        audit = Audit(env, command=command, environment=environment).stop(sig=None, status=0)
        assert "not found" not in audit.log, audit.log
        check_equal(audit, record)


STARTS = {  # what is run: the event that tells of it, its first argument
    "-c": (["-c", "pass"], "cpython.run_command", "pass\n"),
    "-m": (["-m", "one_module"], "cpython.run_module", "one_module"),
    "file": (["one_module.py"], "cpython.run_file", "one_module.py"),
    "stdin": ([], "cpython.run_stdin", None),
    "startup": (["-i"], "cpython.run_startup", "startup.py"),
    "hook": (["-i"], "cpython.run_interactivehook", None),
}


@per_python(where=HAS_AUDIT, timeout=TIMEOUT)
def test_start(env):
    """Events before a program's first line, of processes that start while observed: sitecustomize has the hook."""
    speaker, directory = Speaker(env), env.temp_dir("start")
    Path(directory, "sitecustomize.py").write_text(audit_targets.RECORDER + "\nrecord()\n")
    Path(directory, "one_module.py").write_text("import sys; sys.audit('one.event')\n")
    Path(directory, "startup.py").write_text("x = 1\n")
    for name, (args, event, first) in STARTS.items():
        record = Path(directory, f"{name}.jsonl")
        environment = {"KEELBACK_HOOK": str(record), "PYTHONPATH": directory, "PYTHONSTARTUP": "startup.py"}
        audit = Audit(env, "-p", speaker.pid, "--children").ready()
        speaker.tell(f"run {args!r}, {environment!r}, {directory!r}")
        audit.stop(status=0)
        check_equal(audit, record)
        ours = [e for e in audit.events if e["pid"] != speaker.pid]
        found = [e["args"] for e in ours if e["event"] == event]
        assert len(found) == 1 and (first is None or os.path.basename(found[0][0]) == first), (name, found)
        # From the first event on, and to the last, when Python's hooks are gone.
        assert any(e["event"] == "import" and e["args"][0] == "site" for e in ours), name
        assert ours[-1]["event"] == "cpython._PySys_ClearAuditHooks"


@per_python(where=lambda py: not HAS_AUDIT(py))
def test_versions_without_events(env):
    speaker = Speaker(env)
    done = env.keelback("audit", "-p", speaker.pid, "-d", "1", check=False)
    assert done.returncode == 4
    assert re.fullmatch(rf"keelback: audit: process {speaker.pid} cannot be observed: Python {env.py.minor}\.\d+ has no audit events: they came with 3\.8 \(PEP 578\)\n", done.stderr), done.stderr
    done = env.keelback("audit", "--", *env.py.command(["-c", "print('ran')"]), check=False)
    assert done.returncode == 4 and "they came with 3.8" in done.stderr and "ran" not in done.stdout
    env.py = env.python("debian-3.11")
    other = Speaker(env)
    audit = Audit(env, "-p", f"{speaker.pid},{other.pid}").ready()
    other.tell("audit 'it.goes.on',")
    audit.stop(status=0)
    assert f"process {speaker.pid} cannot be observed: Python" in audit.log
    assert [event["event"] for event in audit.events if event["event"].startswith("it.")] == ["it.goes.on"]


STACKED = r'''
import json, sys, traceback
def inner(n):
    if n: return inner(n - 1)
    sys.audit("stacked.event", [(f.name, f.filename, f.lineno) for f in reversed(traceback.extract_stack())])
class Outer:
    def method(self):
        inner(3)
        list(map(lambda n: inner(n), [1]))
def main():
    Outer().method(); Outer().method()
for i in range(50): main()
'''


@per_python(where=HAS_AUDIT, timeout=TIMEOUT)
def test_stack(env):
    """Functions, files and lines are those of traceback.extract_stack() in the same place."""
    script = env.py.script(STACKED, "stacked.py")
    audit = Audit(env, "--stack", "-e", "stacked.*", command=env.py.command([script])).stop(sig=None, status=0)
    assert len(audit.events) == 200 and not audit.ledger["notes"].get("no_stack")
    for event in audit.events:
        expected = [(frame["tuple"][0], frame["tuple"][1], frame["tuple"][2]) for frame in event["args"][0]]
        seen = [(frame["function"].rpartition(".")[2], frame["file"], frame["line"]) for frame in event["stack"]]
        # extract_stack()'s own line is that of its caller's expression, whose first line it may be.
        assert [s[:2] for s in seen] == [tuple(e[:2]) for e in expected]
        assert [s[2] for s in seen] == [e[2] for e in expected]
