# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Containers for tests: runc on a cached root file system, which stays as it is.

    with Container(env.python("sid-3.15").root, ["/usr/bin/python3.15", script]) as container:
        env.keelback("sample", "--container", container.id, …)

The container writes to an overlay whose upper directory is a tmpfs of its own; leaving the context kills the
container and removes all of it.
"""

import contextlib
import json
import os
import subprocess
import tempfile
import time
import uuid
from pathlib import Path

# Where the container's root user is mapped to with userns=True.
USERNS_FIRST_ID = 200000
USERNS_IDS = 65536

START_TIMEOUT = 20


def run(*command, **kwargs):
    """Runs a command to its end; a failure raises with what it wrote."""
    options = dict(stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    done = subprocess.run(list(map(str, command)), **{**options, **kwargs})
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} ended with status {done.returncode}: {(done.stderr or '').strip()}")
    return done


class Container:
    """A running container, as a context manager.

    args        what it runs
    id          its name; a unique one by default
    state_root  where the runtime keeps its state: a place of its own by default; None is the runtime's standard
                place, in which a tool that is told nothing looks
    userns      in a user namespace of its own
    binds       host directories that are seen at the same place within; /tmp has the scripts of tests
    After the start: pid (its first process, as the host sees it), cgroup_path (below the cgroup2 mount),
    cgroup_dir (with it).
    """

    def __init__(self, rootfs, args, *, id=None, runtime="runc", state_root="own", userns=False, binds=("/tmp",)):
        self.rootfs = rootfs
        self.args = list(map(str, args))
        self.id = id or f"keelback-{uuid.uuid4().hex[:12]}"
        self.runtime = [runtime]
        self.state_root = state_root
        self.userns = userns
        self.binds = binds
        self.pid = None
        self._pids = []  # all that were started in it from here
        self._cleanup = contextlib.ExitStack()

    def __enter__(self):
        with self._cleanup:
            self._start()
            self._cleanup = self._cleanup.pop_all()  # only when all went well
        return self

    def __exit__(self, *_):
        self._cleanup.close()

    def exec(self, args, check=True):
        """Runs a command within to its end; returns a CompletedProcess with text."""
        command = [*self.runtime, "exec", self.id, *args]
        if check:
            return run(*command)
        return subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, capture_output=True, text=True)

    def exec_detached(self, args):
        """Starts a command within and returns its pid, as the host sees it."""
        pid_file = self.base / f"pid-{time.monotonic_ns()}"
        with open(self.base / "output", "ab") as output:
            run(*self.runtime, "exec", "-d", "--pid-file", pid_file, self.id, *args, stdout=output, stderr=output)
        return self._started(pid_file)

    def output(self):
        """What the container has written so far."""
        return (self.base / "output").read_text(errors="replace")

    def wait_output(self, text, timeout=START_TIMEOUT):
        """Waits until it has written that text."""
        deadline = time.monotonic() + timeout
        while text not in self.output():
            assert time.monotonic() < deadline, f"container wrote no {text!r}: {self.output()[-500:]!r}"
            time.sleep(0.01)

    @property
    def cgroup_path(self):
        """Its cgroup v2 path as /proc has it: `/ID` on a machine with hybrid cgroups."""
        for line in Path(f"/proc/{self.pid}/cgroup").read_text().splitlines():
            if line.startswith("0::"):
                return line[3:]
        raise RuntimeError("the container is in no v2 cgroup")

    @property
    def cgroup_dir(self):
        """Its cgroup v2 directory."""
        for line in Path("/proc/self/mounts").read_text().splitlines():
            _, mount_point, kind = line.split()[:3]
            if kind == "cgroup2":
                return mount_point + self.cgroup_path
        raise RuntimeError("cgroup2 is not mounted")

    # -- how it starts: every step puts its reversal on the stack

    def _start(self):
        self.base = Path(tempfile.mkdtemp(prefix="keelback-container-", dir="/tmp"))
        self._cleanup.callback(self._attempt, self.base.rmdir)
        # An overlay cannot write to every file system, and to another overlay never: to a tmpfs it can.
        self._mount("tmpfs", self.base, "mode=755")
        for name in ("upper", "work", "rootfs"):
            (self.base / name).mkdir()
        layers = f"lowerdir={self.rootfs},upperdir={self.base}/upper,workdir={self.base}/work"
        self._mount("overlay", self.base / "rootfs", layers)
        if self.state_root == "own":
            self.state_root = self.base / "state"
        if self.state_root:
            self.runtime += ["--root", str(self.state_root)]
        self._write_config()
        self._cleanup.callback(self._delete)
        with open(self.base / "output", "wb") as output:
            command = ["run", "-d", "--bundle", self.base, "--pid-file", self.base / "pid", self.id]
            try:
                run(*self.runtime, *command, stdout=output, stderr=output)
            except RuntimeError as error:
                raise RuntimeError(f"{error} {self.output().strip()}") from None
        self.pid = self._started(self.base / "pid")

    def _mount(self, kind, place, options):
        run("mount", "-t", kind, "-o", options, kind, place)
        self._cleanup.callback(self._attempt, run, "umount", place)

    def _write_config(self):
        run(*self.runtime, "spec", cwd=self.base)
        path = self.base / "config.json"
        config = json.loads(path.read_text())
        config["process"].update(terminal=False, args=self.args)
        config["root"] = {"path": "rootfs", "readonly": False}
        config["hostname"] = "container"
        for place in self.binds:
            bind = {"destination": place, "type": "bind", "source": place, "options": ["rbind", "rw"]}
            config["mounts"].append(bind)
        if self.userns:
            ids = [{"containerID": 0, "hostID": USERNS_FIRST_ID, "size": USERNS_IDS}]
            config["linux"]["namespaces"].append({"type": "user"})
            config["linux"].update(uidMappings=ids, gidMappings=ids)
        path.write_text(json.dumps(config))

    def _started(self, pid_file):
        """The pid in a file of the runtime's, which may be written just before its own process becomes the
        command: waits until it has."""
        pid = int(pid_file.read_text())
        self._pids.append(pid)
        deadline = time.monotonic() + START_TIMEOUT
        with contextlib.suppress(FileNotFoundError):  # a command that has ended already
            while Path(f"/proc/{pid}/comm").read_text().startswith(("runc", "crun", "exe")):
                assert time.monotonic() < deadline, "the container does not start"
                time.sleep(0.005)
        return pid

    # -- how it ends: nothing here keeps the next step from being done

    @staticmethod
    def _attempt(step, *args):
        with contextlib.suppress(RuntimeError, OSError):
            step(*args)

    def _delete(self):
        self._attempt(run, *self.runtime, "kill", self.id, "KILL")
        for pid in reversed(self._pids):  # a PID namespace is over when its first process is the last one
            self._reap(pid)
        self._attempt(run, *self.runtime, "delete", "--force", self.id)

    @staticmethod
    def _reap(pid, timeout=5):
        """Waits for the end of a process: where this one is a subreaper it gets the container's zombies, and
        the runtime does not take a container for dead before they are gone."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
            if not os.path.exists(f"/proc/{pid}"):
                return
            time.sleep(0.005)
