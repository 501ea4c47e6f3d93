# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""tests/functional/run.py reports right, ends what does not end, and leaves no process behind."""

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import unittest
from pathlib import Path

RUN = Path(__file__).resolve().parents[1] / "functional" / "run.py"


class Runner(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.dir = Path(directory.name)

    def run_tests(self, text, *options, keelback="/bin/echo"):
        """Status and output lines of the runner for one test file, with no interpreters but the machine's own."""
        text = "from harness import once, per_python\n" + textwrap.dedent(text).lstrip("\n")
        (self.dir / "test_x.py").write_text(text)
        self.process = subprocess.Popen(
            [sys.executable, RUN, "--dir", self.dir, "--keelback", keelback, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYENV_ROOT": "/nonexistent", "KEELBACK_CACHE": "/nonexistent"},
        )
        output, _ = self.process.communicate()
        return self.process.returncode, output.splitlines()

    def test_no_tests(self):
        self.assertEqual(self.run_tests(""), (0, ["", "0 passed, 0 failed, 0 skipped"]))

    def test_results(self):
        status, lines = self.run_tests(
            """
            @once
            def test_good(env):
                assert env.keelback("a", 1).stdout == "a 1\\n"
            @once
            def test_bad(env):
                assert 1 == 2, "one is not two"
            @once
            def test_broken(env):
                {}["x"]
            @once
            def test_skipped(env):
                env.skip("not here")
            """
        )
        self.assertEqual(status, 1)
        self.assertRegex(lines[0], r"^ok   test_x\.test_good \[once\] \d+\.\ds$")
        self.assertIn("FAIL test_x.test_bad [once]: one is not two (test_x.py:7)", lines)
        self.assertIn("FAIL test_x.test_broken [once]: KeyError: 'x' (test_x.py:10)", lines)
        self.assertEqual(lines.count("SKIP test_x.test_skipped [once]: not here"), 2)
        self.assertEqual(lines[-1], "1 passed, 2 failed, 1 skipped")

    def test_second_try(self):
        status, lines = self.run_tests(
            f"""
            import os
            @once
            def test_by_chance(env):
                path = "{self.dir}/tried"
                if not os.path.exists(path):
                    open(path, "w")
                    assert False, "bad luck"
            """
        )
        self.assertEqual(status, 0)
        self.assertIn("FAIL test_x.test_by_chance [once]: bad luck", lines[0])
        again = [line for line in lines if "at two more tries; the first: bad luck" in line]
        self.assertEqual(len(again), 3, lines)  # when they ran, and in the summary
        self.assertEqual(lines[-1], "1 passed, 0 failed, 0 skipped")

    def test_every_other_time(self):
        status, lines = self.run_tests(
            f"""
            @once
            def test_by_turns(env):
                with open("{self.dir}/turns", "a+") as turns:
                    turns.write("x")
                    turns.seek(0)
                    assert len(turns.read()) % 2 == 0, "odd"
            """
        )
        self.assertEqual(status, 1)
        self.assertEqual(lines[-1], "0 passed, 1 failed, 0 skipped")

    def test_many_failures_are_no_chance(self):
        tests = "".join(f"@once\ndef test_{n}(env):\n    assert False, 'wrong'\n" for n in range(7))
        status, lines = self.run_tests(tests)
        self.assertEqual(status, 1)
        self.assertEqual(len([line for line in lines if line.startswith("FAIL")]), 2 * 7)
        self.assertEqual(lines[-1], "0 passed, 7 failed, 0 skipped")

    def test_failing_keelback(self):
        status, lines = self.run_tests(
            """
            @once
            def test_status(env):
                done = env.keelback("-c", "echo wrong >&2; exit 3", check=False)
                assert (done.returncode, done.stderr) == (3, "wrong\\n")
                env.keelback("-c", "echo why >&2; exit 4")
            """,
            keelback="/bin/sh",
        )
        self.assertEqual(status, 1)
        self.assertIn("`keelback -c echo why >&2; exit 4` ended with status 4 (test_x.py:6)", lines[0])
        self.assertIn("       why", lines)

    def test_one_case_per_interpreter(self):
        status, lines = self.run_tests(
            """
            @per_python
            def test_version(env):
                target = env.py.popen(["-c", "import sys; print('a'); print(sys.version_info[:2])"])
                assert env.wait_line(target, "(") == f"{env.py.version}\\n"
                assert env.py.run(["-c", "print(1)"]) == "1\\n"
            @per_python(where=lambda py: py.version < (3, 0))
            def test_none(env):
                assert False
            """
        )
        self.assertEqual(status, 0, lines)
        self.assertRegex(lines[0], r"^ok   test_x\.test_version \[[a-z]+-3\.\d+\] ")

    def test_selection(self):
        text = "@once\ndef test_a(env): pass\n@once\ndef test_b(env): pass\n"
        self.assertEqual(self.run_tests(text, "-k", "_b")[1][-1], "1 passed, 0 failed, 0 skipped")
        self.assertEqual(self.run_tests(text, "--list")[1], ["test_x.test_a [once]", "test_x.test_b [once]"])

    def test_timeout_kills_everything(self):
        """A test that hangs, and started what ignores signals in sessions of its own, ends with its context
        managers left in order."""
        began = time.monotonic()
        status, lines = self.run_tests(
            f"""
            import contextlib, subprocess, time
            @contextlib.contextmanager
            def context():
                try:
                    yield
                finally:
                    open({str(self.dir / "left")!r}, "w").close()
            @once(timeout=1)
            def test_hangs(env):
                with context():
                    subprocess.Popen(["setsid", "sh", "-c", "trap '' TERM; setsid sleep 31.4159 & sleep 31.4159"])
                    time.sleep(30)
            """
        )
        self.assertEqual(status, 1)
        self.assertIn("FAIL test_x.test_hangs [once]: not done after 1 s (test_x.py:13)", lines)
        self.assertLess(time.monotonic() - began, 10)
        self.assertTrue((self.dir / "left").exists())
        self.assert_not_running("31.4159")

    def test_dead_case(self):
        status, lines = self.run_tests(
            """
            import os, subprocess
            @once
            def test_dies(env):
                subprocess.Popen(["setsid", "sleep", "27.1828"])
                os.kill(os.getpid(), 9)
            """
        )
        self.assertEqual((status, lines[-1]), (1, "0 passed, 1 failed, 0 skipped"))
        self.assert_not_running("27.1828")

    def test_interrupt(self):
        """Ctrl-C lets running cases clean up, and runs no others."""
        text = f"""
            import time
            @once
            def test_1(env):
                try:
                    open({str(self.dir / "begun")!r}, "w").close()
                    time.sleep(30)
                finally:
                    open({str(self.dir / "left")!r}, "w").close()
            @once
            def test_2(env):
                open({str(self.dir / "second")!r}, "w").close()
            """
        interrupted = threading.Thread(target=self.interrupt_when_begun)
        interrupted.start()
        status, lines = self.run_tests(text)
        interrupted.join()
        self.assertEqual(status, 130, lines)
        self.assertTrue((self.dir / "left").exists())
        self.assertFalse((self.dir / "second").exists())

    def interrupt_when_begun(self):
        while not (self.dir / "begun").exists():
            time.sleep(0.05)
        self.process.send_signal(signal.SIGINT)

    def assert_not_running(self, text):
        self.assertNotIn(text, subprocess.run(["ps", "-eo", "args"], stdout=subprocess.PIPE, text=True).stdout)

    def test_jobs(self):
        """Four cases that each wait for the other three: only at the same time do they pass."""
        text = f"import os, time\nHERE = {str(self.dir)!r}\n" + """
            def meet(name):
                open(os.path.join(HERE, name + ".here"), "w").close()
                end = time.monotonic() + 30
                while sum(file.endswith(".here") for file in os.listdir(HERE)) < 4:
                    assert time.monotonic() < end, "alone"
                    time.sleep(0.01)
            @once
            def test_a(env): meet("a")
            @once
            def test_b(env): meet("b")
            @once
            def test_c(env): meet("c")
            @once
            def test_d(env): meet("d")
        """.replace("\n            ", "\n")
        self.assertEqual(self.run_tests(text, "-j", "4")[1][-1], "4 passed, 0 failed, 0 skipped")

    def test_broken_test_file(self):
        status, lines = self.run_tests("import no_such_module\n")
        self.assertEqual((status, lines[-1]), (1, "0 passed, 1 failed, 0 skipped"))

    def test_no_program(self):
        self.assertEqual(self.run_tests("", keelback="/nonexistent")[0], 2)


if __name__ == "__main__":
    unittest.main()
