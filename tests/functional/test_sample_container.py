# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Containers, seen from the host: by name and by cgroup, nothing of another one, new processes in it."""

from containers import Container
from harness import once
from sampling import Sampling, base, sample, unnamed

# The function's name tells which container a stack comes from.
LOOP = """
import sys, time
exec("def loop_%s():\\n while True:\\n  for i in range(1000): pass" % sys.argv[1])
print("running", flush=True)
globals()["loop_" + sys.argv[1]]()
"""
LATE = """
import time
def late_arrival():
    while time.process_time() < .4: pass
late_arrival()
"""


def prepare(env):
    env.py = env.python("sid-3.15")
    return [env.py.path, env.py.script(LOOP)], env.py.path, env.py.script(LATE, "late.py")


def check_only(profile, wanted, *unwanted):
    assert profile.total > 50, profile.log
    assert profile.count(wanted) > 0.8 * profile.total, f"{profile.names()}: {profile.log}"
    assert not profile.names() & set(unwanted)
    assert not any(unnamed(frame) for stack, _ in profile.stacks for frame in stack)
    profile.check_unknown()


def new_process(env, container, python, late, *target):
    """Starts a process within while it is observed."""
    sampling = Sampling(env, "-r", 1000, "--processes", *target).ready()
    container.exec([python, late])
    profile = sampling.stop().check()
    assert profile.count("late_arrival") > 100, profile.log
    owners = {root for root, stacks in profile.by_root().items() for s, _ in stacks if "late_arrival" in map(base, s)}
    assert len(owners) == 1 and str(container.pid) not in owners.pop().split(), profile.log
    return profile


def check_container(env, options):
    command, python, late = prepare(env)
    with Container(env.py.root, [*command, "seen"], **options) as container:
        with Container(env.py.root, [*command, "beside"]) as beside:
            container.wait_output("running")
            beside.wait_output("running")
            for target in (["--container", container.id], ["--cgroup", container.cgroup_dir]):
                for rate in ([], ["-r", 1000]):
                    profile = sample(env, *target, *rate, "-d", 1)
                    check_only(profile, "loop_seen", "loop_beside")
            by_relative_path = sample(env, "--cgroup", container.cgroup_path.lstrip("/"), "-d", 1)
            check_only(by_relative_path, "loop_seen", "loop_beside")
            new_process(env, container, python, late, "--container", container.id)
            both = sample(env, "-p", f"{container.pid},{beside.pid}", "-r", 1000, "-d", 1)
            assert both.count("loop_seen") and both.count("loop_beside"), both.log


@once
def test_container(env):
    check_container(env, {"state_root": None})


@once
def test_container_with_user_namespace(env):
    check_container(env, {"state_root": None, "userns": True})


@once
def test_process_of_container_by_pid(env):
    command, _, _ = prepare(env)
    with Container(env.py.root, [*command, "seen"]) as container:
        container.wait_output("running")
        profile = sample(env, "-p", container.pid, "-r", 1000, "-d", 0.5, "--processes")
        check_only(profile, "loop_seen")
        assert {stack[0].name.split()[1] for stack, _ in profile.stacks} == {str(container.pid)}


@once
def test_container_that_ends(env):
    """It goes away while it is observed: what was captured is reported."""
    command, _, _ = prepare(env)
    with Container(env.py.root, [*command, "seen"], state_root=None) as container:
        container.wait_output("running")
        sampling = Sampling(env, "-r", 1000, "-d", 2, "--container", container.id).ready()
    profile = sampling.finish().check()
    profile.check_unknown()


@once
def test_no_such_container(env):
    done = env.keelback("sample", "--container", "no-such-container", "-d", 1, check=False)
    assert done.returncode in (2, 4), done.stderr
    assert len(done.stderr.splitlines()) == 1 and "no-such-container" in done.stderr, done.stderr
