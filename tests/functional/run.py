#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Runs the functional tests: test_*.py in this directory, written with harness.py.

Each case is run by `run.py --case` in a process of its own, which gets its job on stdin, is the subreaper of all
that the test starts, and answers on a pipe. Its output, and that of what it started, is a log of which the
end is shown when the case fails. A case that fails is run twice more when all others are done: much of what is
asserted is statistics of a machine that does other things too, and what fails by chance passes both times. That is
no way to live with a defect, so such cases are listed, and more than AGAIN_MAX of them are a failure.
The last line of all is `N passed, N failed, N skipped`.
"""

import argparse
import concurrent.futures
import contextlib
import ctypes
import dataclasses
import importlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path

sys.dont_write_bytecode = True
import harness

PR_SET_CHILD_SUBREAPER = 36
GRACE = 20  # seconds that a case has for cleaning up after its time is over
LOG_LINES = 15
AGAIN_MAX = 6  # of some thousand cases: a few 3-sigma events of a busy machine, and no more


@dataclasses.dataclass
class Case:
    """One test with one interpreter, or without."""

    directory: str
    module: str
    function: str
    timeout: float
    py: harness.Interpreter = None

    @property
    def name(self):
        return f"{self.module}.{self.function} [{self.py.id if self.py else 'once'}]"


@dataclasses.dataclass
class Result:
    case: Case
    status: str  # ok, FAIL or SKIP
    message: str = ""
    log: str = ""
    seconds: float = 0
    first: str = ""  # what was wrong the first time, when this is another

    def __str__(self):
        if self.status == "ok":
            again = f" at two more tries; the first: {self.first}" if self.first else ""
            return f"ok   {self.case.name} {self.seconds:.1f}s{again}"
        return f"{self.status} {self.case.name}: {self.message}"


def become_subreaper():
    """Makes orphans below this process its own children, so that they can be found."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


# ---------------------------------------------------------------- in the case's process


class TimeOver(BaseException):
    """Not an Exception, so that no test takes it for one of its own."""


def location(error):
    """Where in the test's own file an exception came from."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).name[:5] == "test_"]
    return f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""


def describe(error):
    """An exception in one line: an assertion by its text, or else by its source line."""
    text = str(error).strip()
    if isinstance(error, AssertionError):
        text = text or "assert failed: " + (traceback.extract_tb(error.__traceback__)[-1].line or "")
    else:
        text = f"{type(error).__name__}: {text}"
    return " ".join(text.split("\n")[:3]) + location(error)


def call_test(job):
    """Runs the test of a job; returns its status and message."""

    def time_is_over(*_):
        raise TimeOver

    signal.signal(signal.SIGALRM, time_is_over)
    signal.setitimer(signal.ITIMER_REAL, job["timeout"])
    try:
        pythons = [harness.Interpreter(**fields) for fields in job["pythons"]]
        py = harness.Interpreter(**job["py"]) if job["py"] else None
        sys.path.insert(0, job["directory"])
        test = getattr(importlib.import_module(job["module"]), job["function"])
        test(harness.Env(job["keelback"], job["tmp"], pythons, py))
        return "ok", ""
    except harness.Skip as skip:
        return "SKIP", str(skip)
    except TimeOver as error:
        traceback.print_exc()
        return "FAIL", f"not done after {job['timeout']:g} s" + location(error)
    except Exception as error:  # whatever a test raises is its result
        traceback.print_exc()
        return "FAIL", describe(error)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def run_case(answer_fd):
    """The process of one case."""
    status, message = call_test(json.load(sys.stdin))
    # Killed ones leave children of their own to this process: until there are none.
    while harness.children_of(os.getpid()):
        harness.kill_descendants(os.getpid())
        with contextlib.suppress(ChildProcessError):
            os.wait()
    with os.fdopen(answer_fd, "w") as answer:
        json.dump({"status": status, "message": message}, answer)
    sys.stderr.flush()
    os._exit(0)  # nothing is left that a Popen's destructor could wait for


# ---------------------------------------------------------------- in the runner


class Runner:
    """Runs cases, several at a time if asked, and keeps their results."""

    def __init__(self, options, pythons):
        self.options = options
        self.pythons = pythons
        self.results = []
        self.lock = threading.Lock()
        self.running = set()

    def run(self, cases):
        pool = concurrent.futures.ThreadPoolExecutor(self.options.jobs)
        futures = [pool.submit(self.run_one, case) for case in cases]
        try:
            for future in futures:
                future.result()
        except KeyboardInterrupt:
            # The running cases' time is over: they clean up as they do then.
            with self.lock:
                for process in self.running:
                    process.send_signal(signal.SIGALRM)
            pool.shutdown(cancel_futures=True)
            raise

    def run_failed_again(self):
        """Two more tries of what failed, one case at a time. Too many are not tried: something is wrong."""
        failed = [result for result in self.results if result.status == "FAIL"]
        if len(failed) > AGAIN_MAX:
            return
        for result in failed:
            self.results.remove(result)
            self.run_one(result.case, first=result.message)
            if self.results[-1].status == "ok":
                self.results.pop()
                self.run_one(result.case, first=result.message)

    def run_one(self, case, first=""):
        tmp = tempfile.mkdtemp(prefix="keelback-test-", dir="/tmp")  # /tmp is shared with the root file systems
        os.chmod(tmp, 0o755)  # for targets of other users
        began = time.monotonic()
        try:
            result = self.supervise(case, tmp)
        finally:
            shutil.rmtree(tmp, ignore_errors=True)
        result.seconds = time.monotonic() - began
        result.first = first
        with self.lock:
            self.results.append(result)
            print(result, *map("       {}".format, result.log.splitlines()), sep="\n", flush=True)

    def supervise(self, case, tmp):
        """Starts the case's process and waits for its answer."""
        job = dataclasses.asdict(case)
        job.update(keelback=self.options.keelback, tmp=tmp, pythons=list(map(dataclasses.asdict, self.pythons)))
        read_fd, write_fd = os.pipe()
        with tempfile.TemporaryFile() as log, os.fdopen(read_fd) as answer:
            process = subprocess.Popen(
                [sys.executable, __file__, "--case", str(write_fd)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[write_fd],
                start_new_session=True,
            )
            os.close(write_fd)
            with self.lock:
                self.running.add(process)
            try:
                process.communicate(json.dumps(job).encode(), timeout=case.timeout + GRACE)
                text = answer.read() if process.returncode == 0 else ""
            except subprocess.TimeoutExpired:
                kill_case(process)
                text = ""
            finally:
                with self.lock:
                    self.running.discard(process)
            verdict = json.loads(text or '{"status": "FAIL", "message": "the case died or did not end"}')
            return Result(case, **verdict, log=tail(log) if verdict["status"] == "FAIL" else "")


def kill_case(process):
    """Kills a case's process and all below it."""
    os.kill(process.pid, signal.SIGSTOP)
    harness.kill_descendants(process.pid)
    process.kill()
    process.wait()


def tail(log):
    """The last lines of a log file."""
    log.seek(0)
    return "\n".join(log.read().decode(errors="replace").rstrip().splitlines()[-LOG_LINES:])


def discover(directory, pythons, default_timeout):
    """Yields the cases of all tests in a directory, in the order of the files and of their lines."""
    sys.path.insert(0, str(directory))
    for path in sorted(directory.glob("test_*.py")):
        try:
            module = importlib.import_module(path.stem)
        except Exception:  # a case that will fail in the same way, and say how
            yield Case(str(directory), path.stem, "import", default_timeout)
            continue
        for function in vars(module).values():
            if not hasattr(function, "kb_timeout") or function.__module__ != module.__name__:
                continue
            fields = (str(directory), path.stem, function.__name__, function.kb_timeout or default_timeout)
            if function.kb_where is None:
                yield Case(*fields)
            else:
                yield from (Case(*fields, py) for py in pythons if function.kb_where(py))


def selected(case, options):
    """Whether -k and --python let a case through; cases without an interpreter are for every --python."""
    if options.python and case.py and not {case.py.id, case.py.minor} & set(options.python):
        return False
    return re.search(options.pattern, case.name) is not None


def report(results):
    """Lists what did not pass, prints the closing line and returns the exit status."""
    count = dict.fromkeys(("ok", "FAIL", "SKIP"), 0)
    for result in results:
        count[result.status] += 1
    again = [result for result in results if result.status == "ok" and result.first]
    if again:
        print("", *again, sep="\n")
    for status in ("SKIP", "FAIL"):
        if count[status]:
            print("", *(result for result in results if result.status == status), sep="\n")
    print(f"\n{count['ok']} passed, {count['FAIL']} failed, {count['SKIP']} skipped", flush=True)
    return 1 if count["FAIL"] else 0


def parse_options():
    parser = argparse.ArgumentParser(description="Runs keelback's functional tests.")
    parser.add_argument("--keelback", default=str(harness.REPO / "build/keelback"), metavar="PATH", help="the program")
    parser.add_argument("-k", dest="pattern", default="", metavar="REGEX", help="only cases whose name matches")
    parser.add_argument("--python", action="append", metavar="ID", help="only this interpreter or minor version")
    parser.add_argument("-j", dest="jobs", type=int, default=1, metavar="N", help="cases at the same time")
    parser.add_argument("--timeout", type=float, default=60, metavar="SECONDS", help="for a case that has none")
    parser.add_argument("--list", action="store_true", help="list the cases and run none")
    parser.add_argument("--dir", type=Path, default=Path(__file__).parent, help="where the tests are")
    parser.add_argument("--case", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.keelback = os.path.abspath(options.keelback)
    if options.case is None and not options.list and not os.access(options.keelback, os.X_OK):
        parser.error(f"no program at {options.keelback}")
    return options


def main():
    become_subreaper()
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup(1) it is ignored, and by what the tests start, too
    options = parse_options()
    if options.case is not None:
        run_case(options.case)
    pythons = harness.load_matrix()
    cases = [c for c in discover(options.dir.resolve(), pythons, options.timeout) if selected(c, options)]
    if options.list:
        print(*(case.name for case in cases), sep="\n")
        return 0
    runner = Runner(options, pythons)
    runner.run(cases)
    runner.run_failed_again()
    return report(runner.results)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        harness.kill_descendants(os.getpid())  # left by cases that were killed themselves
