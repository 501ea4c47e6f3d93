# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The tools of the other tests do what they say: interpreters, root file systems, containers."""

import os
from pathlib import Path

from containers import Container
from harness import once, per_python

WAITING = """
import sys, time
print("ready", "%d.%d" % sys.version_info[:2], flush=True)
time.sleep(60)
"""


@per_python
def test_interpreter(env):
    """The pid that a test gets is the interpreter's, and the script is seen from its root."""
    target = env.py.popen([env.py.script(WAITING)])
    assert os.path.samefile(f"/proc/{target.pid}/exe", env.py.root + env.py.path)
    assert env.wait_line(target, "ready").split() == ["ready", env.py.minor]
    assert os.path.samefile(f"/proc/{target.pid}/root", env.py.root)


@once
def test_container(env):
    """A container writes to its overlay, has a cgroup of its own and leaves nothing."""
    python = env.python("3.15")
    with Container(python.root, [python.path, python.script(WAITING)]) as container:
        container.wait_output("ready 3.15")
        assert f"0::{container.cgroup_path}\n" in Path(f"/proc/{container.pid}/cgroup").read_text()
        assert container.id in container.cgroup_path
        assert str(container.pid) in Path(container.cgroup_dir, "cgroup.procs").read_text().split()

        assert container.exec(["/bin/sh", "-c", "echo x > /written; echo $$"]).stdout.strip() != str(os.getpid())
        assert not Path(python.root, "written").exists()
        second = container.exec_detached([python.path, python.script(WAITING, "second.py")])
        assert container.cgroup_path in Path(f"/proc/{second}/cgroup").read_text()
        cgroup, base = container.cgroup_dir, container.base
    assert not os.path.exists(f"/proc/{second}")
    assert not os.path.exists(cgroup)
    assert not os.path.exists(base)
    assert container.id not in Path("/proc/self/mounts").read_text()


@once
def test_container_in_user_namespace(env):
    """Its root is nobody of ours."""
    python = env.python("3.15")
    with Container(python.root, [python.path, python.script(WAITING)], userns=True) as container:
        container.wait_output("ready 3.15")
        assert os.stat(f"/proc/{container.pid}").st_uid == 200000
        assert container.exec(["/usr/bin/id", "-u"]).stdout == "0\n"
