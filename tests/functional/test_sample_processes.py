# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Processes that start, fork, execute and end while they are observed, and those in namespaces of their own."""

import os
import shutil
import subprocess
from pathlib import Path

from harness import children_of, once, per_python, start
from sampling import Sampling, base, go, sample, unnamed, wait_until

SHORT_LIVES = 200

SHORT_LIFE = '''
import time
def brief():
    start = time.process_time()
    while time.process_time() < start + .02: pass
def life():
    brief()
life()
'''

# Starts one Python after another, a few at the same time.
STARTER = '''
import subprocess, sys
count, script = int(sys.argv[1]), sys.argv[2]
running = []
for i in range(count):
    running.append(subprocess.Popen([sys.executable, "-S", script]))
    if len(running) == 4: running.pop(0).wait()
for process in running: process.wait()
print("all", flush=True)
'''


def processes(profile):
    """PID → the stacks of that process, for a profile with --processes."""
    return {int(root.split()[1]): stacks for root, stacks in profile.by_root().items()}


def short_lives(env, count, *options):
    """Runs that many processes under --all; returns the profile and the stacks of each process that ran the
    script."""
    brief = env.py.script(SHORT_LIFE, "brief.py")
    starter = env.py.script(STARTER, "starter.py")
    sampling = Sampling(env, "-a", "--processes", *options).ready()
    target = env.py.popen([starter, count, brief])
    env.wait_line(target, "all", timeout=60)
    profile = sampling.stop().check()
    ours = {
        pid: stacks
        for pid, stacks in processes(profile).items()
        if any(frame.file == brief for stack, _ in stacks for frame in stack)
    }
    return profile, ours


def check_named(ours):
    for pid, stacks in ours.items():
        assert pid > 1
        for stack, _ in stacks:
            assert not any(map(unnamed, stack)), f"process {pid}: {stack}"


@per_python(timeout=120)
def test_short_lives(env):
    count = SHORT_LIVES if env.py.version in ((3, 6), (3, 11), (3, 15)) else SHORT_LIVES // 4
    profile, ours = short_lives(env, count, "-r", 1000)
    check_named(ours)
    assert len(ours) >= 0.98 * count, f"{len(ours)} of {count} processes seen: {profile.log}"
    brief = [sum(n for stack, n in stacks if base(stack[-1]) == "brief") for stacks in ours.values()]
    assert sum(brief) > 5 * count, f"{sum(brief)} samples in {count} processes: {profile.log}"


@once(timeout=120)
def test_short_lives_at_ticks(env):
    env.py = env.python("sid-3.15")
    profile, ours = short_lives(env, SHORT_LIVES, "-r", "tick")
    check_named(ours)
    assert len(ours) > SHORT_LIVES // 2, f"{len(ours)} processes seen: {profile.log}"


CHILDREN = '''
import multiprocessing, os, subprocess, sys, threading, time
def burn():
    end = time.process_time() + .15
    while time.process_time() < end: pass
def forked(): burn()
def pooled(_): burn()
def executed(): burn()
def replaced(): burn()
def grandchild(): burn()
def forked_by_thread(): burn()

def fork_in_thread():
    pid = os.fork()
    if not pid:
        forked_by_thread()
        os._exit(0)
    os.waitpid(pid, 0)

def main():
    pid = os.fork()
    if not pid:
        forked()
        if not os.fork():
            grandchild()
            os._exit(0)
        os.wait()
        os._exit(0)
    os.waitpid(pid, 0)
    thread = threading.Thread(target=fork_in_thread)
    thread.start()
    thread.join()
    with multiprocessing.get_context("fork").Pool(2) as pool:
        pool.map(pooled, range(2), chunksize=1)
    subprocess.check_call([sys.executable, __file__, "executed"])
    pid = os.fork()
    if not pid:
        os.execv(sys.executable, [sys.executable, __file__, "replaced"])
    os.waitpid(pid, 0)

if len(sys.argv) == 2 and sys.argv[1] in globals():
    globals()[sys.argv[1]]()
else:
    if sys.argv[1:] == ["wait", "wait"]:
        print("ready", flush=True)
        sys.stdin.readline()
    main()
'''
CHILD_FUNCTIONS = ("forked", "forked_by_thread", "grandchild", "pooled", "executed", "replaced")


def check_children(profile):
    counts = {name: profile.count(name) for name in CHILD_FUNCTIONS}
    assert all(60 < count for count in counts.values()), f"{counts}: {profile.log}"
    # Each in a process of its own, none in the first one.
    pids = {}
    for pid, stacks in processes(profile).items():
        for stack, _ in stacks:
            for name in CHILD_FUNCTIONS:
                if name in map(base, stack):
                    pids.setdefault(name, set()).add(pid)
    owners = [pids[name] for name in CHILD_FUNCTIONS if name != "pooled"]
    assert all(len(owner) == 1 for owner in owners) and len(set.union(*owners)) == len(owners), pids


@per_python
def test_children_of_a_command(env):
    script = env.py.script(CHILDREN)
    profile = sample(env, "-r", 1000, "--processes", "--", *env.py.command([script]))
    check_children(profile)
    profile.check_unknown()


@per_python
def test_children_of_a_pid(env):
    target = env.py.popen([env.py.script(CHILDREN), "wait", "wait"], stdin=subprocess.PIPE)
    env.wait_line(target, "ready")
    sampling = Sampling(env, "-r", 1000, "--processes", "--children", "-p", target.pid).ready()
    go(target)
    check_children(sampling.finish().check())


@once
def test_without_children(env):
    env.py = env.python("3.13")
    target = env.py.popen([env.py.script(CHILDREN), "wait", "wait"], stdin=subprocess.PIPE)
    env.wait_line(target, "ready")
    sampling = Sampling(env, "-r", 1000, "--processes", "-p", target.pid).ready()
    go(target)
    profile = sampling.finish().check()
    assert set(processes(profile)) == {target.pid}, profile.stacks
    assert not profile.names() & set(CHILD_FUNCTIONS)


@once
def test_present_children(env):
    """Children that run already when observation starts."""
    env.py = env.python("3.12")
    target = env.py.popen([env.py.script("""
import os, time
def child():
    while True: pass
for _ in range(3):
    if not os.fork(): child()
print("ready", flush=True)
time.sleep(60)
""")])
    env.wait_line(target, "ready")
    wait_until(lambda: len(children_of(target.pid)) == 3, "three children")
    profile = sample(env, "-r", 1000, "--processes", "--children", "-d", 1, "-p", target.pid)
    assert set(processes(profile)) == set(children_of(target.pid)), profile.log


@once
def test_children_while_attaching(env):
    """Children that start while their parent is being attached to: none falls between listing and following."""
    env.py = env.python("3.12")
    target = env.py.popen([env.py.script("""
import os, time
def child():
    while True:
        sum(range(1000))
        time.sleep(0.0005)
for n in range(60):
    if not os.fork(): child()
    if n == 20: print("ready", flush=True)
    time.sleep(0.004)
time.sleep(60)
""")])
    env.wait_line(target, "ready")
    profile = sample(env, "-r", 1000, "--processes", "--children", "-d", 3, "-p", target.pid)
    missing = set(children_of(target.pid)) - set(processes(profile))
    assert not missing, f"{len(missing)} of 60 children not seen: {profile.log}"


@once
def test_exec_of_another_version(env):
    """A process that becomes, while it is observed, a Python of another version, and then of a third."""
    names = ["3.13", "debian-3.11", "3.8"]
    script = Path(env.tmp, "chain.py")
    script.write_text("""
import os, sys, time
def burn():
    start = time.process_time()
    while time.process_time() < start + .2: pass
rest = sys.argv[1:]
exec("def stage_%d(): burn()" % len(rest))
if rest[-1:] == ["wait"]:
    print("ready", flush=True)
    sys.stdin.readline()
    rest.pop()
    stage_3()
else:
    globals()["stage_%d" % len(rest)]()
if rest:
    os.execv(rest[0], [rest[0], __file__] + rest[1:])
""")
    paths = [env.python(name).path for name in names]
    target = start([paths[0], script, *paths[1:], "wait"], stdin=subprocess.PIPE)
    env.wait_line(target, "ready")
    sampling = Sampling(env, "-r", 1000, "-p", target.pid).ready()
    go(target)
    profile = sampling.finish().check()
    counts = [profile.count(f"stage_{n}") for n in (3, 1, 0)]
    assert min(counts) > 100, f"{counts}: {profile.log}"
    profile.check_unknown()


BURN = '''
import os, sys, time
def burned_here():
    start = time.process_time()
    while time.process_time() < start + .3: pass
print("ready", os.getpid(), flush=True)
sys.stdin.readline()
burned_here()
'''


def check_attached(env, pid, target):
    sampling = Sampling(env, "-r", 1000, "-p", pid).ready()
    go(target)
    profile = sampling.finish().check()
    assert profile.count("burned_here") > 150, profile.log
    profile.check_unknown()
    return profile


def python_below(pid):
    """The first descendant of a process that is a Python."""
    todo = [pid]
    while todo:
        at = todo.pop()
        if "python" in os.path.basename(os.readlink(f"/proc/{at}/exe")):
            return at
        todo += children_of(at)
    return None


def namespaces(env, *unshare):
    """Attaches to, and launches, a Python in namespaces of its own."""
    command = ["unshare", *unshare, *env.py.command([env.py.script(BURN)])]
    target = start(command, stdin=subprocess.PIPE)
    line = env.wait_line(target, "ready")
    check_attached(env, python_below(target.pid), target)
    launched = sample(env, "-r", 1000, "--", *command, stdin=subprocess.DEVNULL)
    assert launched.count("burned_here") > 150, launched.log
    return int(line.split()[1])


@per_python(where=lambda py: py.version >= (3, 11) or py.minor == "3.6")
def test_pid_namespace(env):
    assert namespaces(env, "--pid", "--fork", "--mount-proc") == 1


@per_python(where=lambda py: py.version >= (3, 11) or py.minor == "3.6")
def test_user_namespace(env):
    namespaces(env, "--user", "--map-root-user", "--mount", "--pid", "--fork")


@per_python
def test_deleted_interpreter(env):
    """The files of an interpreter that runs were replaced, as an upgrade does."""
    root = Path(env.tmp, "python")
    prefix = Path(env.py.root + env.py.path).parent.parent
    if "shared" in env.py.traits:
        library = next(prefix.glob(f"lib/libpython{env.py.minor}*.so.1.0"))
        root.mkdir()
        copy = root / "python"
        shutil.copy(env.py.root + env.py.path, copy)
        shutil.copy(library, root)
        environment = {**os.environ, "LD_LIBRARY_PATH": str(root), "PYTHONHOME": str(prefix)}
        command = [copy, env.py.script(BURN)]
    else:
        root.mkdir()
        copy = root / "python"
        shutil.copy(env.py.root + env.py.path, copy)
        environment = {**os.environ, "PYTHONHOME": "/usr"}
        command = [copy, env.py.script(BURN)]
        if env.py.root != "/":
            command = [*env.py.command([])[:2], *command]
    target = start(command, stdin=subprocess.PIPE, env=environment)
    env.wait_line(target, "ready")
    shutil.rmtree(root)
    assert "(deleted)" in Path(f"/proc/{target.pid}/maps").read_text()
    check_attached(env, target.pid, target)


EMBEDDING = '''
#include <Python.h>
int main(int argc, char **argv)
{
	FILE *file = fopen(argv[1], "r");

	Py_Initialize();
	PyRun_SimpleFile(file, argv[1]);
	return Py_FinalizeEx();
}
'''


@per_python(where=lambda py: "shared" in py.traits)
def test_embedded(env):
    """A program of another name that runs Python in a library."""
    source, program = Path(env.tmp, "worker.c"), Path(env.tmp, "worker")
    source.write_text(EMBEDDING)
    config = env.py.path + "-config"
    embed = ["--embed"] if env.py.version >= (3, 8) else []
    flags = []
    for what in ("--includes", "--ldflags"):
        done = subprocess.run([config, what, *embed], stdout=subprocess.PIPE, text=True, check=True)
        flags.append(done.stdout.split())
    library = f"-Wl,-rpath,{Path(env.py.path).parent.parent}/lib"
    subprocess.run(["gcc", "-w", "-o", program, source, *flags[0], *flags[1], library], check=True)
    script = env.py.script(BURN)
    target = start([program, script], stdin=subprocess.PIPE)
    env.wait_line(target, "ready")
    check_attached(env, target.pid, target)
    launched = sample(env, "-r", 1000, "--", program, script, stdin=subprocess.DEVNULL)
    assert launched.count("burned_here") > 150, launched.log
