# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""More than a thousand of CPython's own unit tests, as cProfile and keelback count their calls.

They come from Debian's package of them, which scripts/python-matrix.sh adds to the root file system.
"""

import json
import marshal
import subprocess
from pathlib import Path

from harness import clean_environment, per_python
from test_calls import FIXED, attach, finish, go_on

# Modules of CPython's test package whose calls are the same in each run. Left out are those in which they are not:
# threads, processes, clocks, names of temporary files and addresses (test_queue, test_re, test_list, test_functools,
# test_enum, test_struct, test_csv, test_difflib, test_string); those that fill memory until it is exhausted, which
# cProfile does not survive (test_dict, test_str, test_bytes); what takes long (test_int); and those that set a profiler,
# a trace function or a tool of sys.monitoring themselves (test_cprofile, test_monitoring, test_sys_setprofile,
# test_sys_settrace, test_bdb, test_pdb).
MODULES = """abc binascii bisect bool complex configparser contextlib copy float fractions generators grammar graphlib
heapq html ipaddress iter numeric_tower operator range shlex slice string_literals syntax textwrap tuple typing
urlparse""".split()
TESTS_MIN = 1000
DIFFERENCE_MAX = 1e-5  # of all calls: 0.001 %

RUN = '''
import gc, importlib, io, json, os, random, sys, unittest

def run():
    random.seed(1)
    suite = unittest.TestSuite()
    for name in sys.argv[2:]:
        suite.addTests(unittest.defaultTestLoader.loadTestsFromModule(importlib.import_module("test.test_" + name)))
    return unittest.TextTestRunner(io.StringIO(), verbosity=0).run(suite)

gc.disable()  # when it collects depends on what else is allocated
run()  # imports and caches are no part of it
if sys.argv[1] == "keelback":
    print("ready", flush=True)
    sys.stdin.readline()
    run()
    os._exit(0)
import cProfile
profile = cProfile.Profile()
profile.enable()
result = run()
profile.disable()
label = lambda code: code if isinstance(code, str) else code.co_name
with open(sys.argv[1], "w") as file:
    json.dump([result.testsRun, len(result.failures) + len(result.errors),
               [(isinstance(entry.code, str), label(entry.code), entry.callcount) for entry in profile.getstats()]], file)
'''

# What begins and ends the counting.
AROUND = {"decode", "<built-in method _codecs.utf_8_decode>", "<built-in method posix._exit>",
          "<method 'disable' of '_lsprof.Profiler' objects>"}


def totals(entries):
    """Calls of Python's functions and of C functions."""
    entries = [(is_c, calls) for is_c, name, calls in entries if name not in AROUND]
    return [sum(calls for is_c, calls in entries if is_c == which) for which in (False, True)]


@per_python(where=lambda py: py.id == "sid-3.15", timeout=900)
def test_calls_of_unit_tests(env):
    if not Path(env.py.root, "usr/lib/python3.15/test/test_abc.py").exists():
        env.skip("libpython3.15-testsuite is not there: scripts/python-matrix.sh make")
    environment = {**clean_environment(), **FIXED}
    script, profile, path = env.py.script(RUN, "unittests.py"), Path(env.tmp, "cprofile.json"), Path(env.tmp, "k.pstats")
    env.py.run(["-W", "ignore", script, profile, *MODULES], env=environment, cwd=env.tmp)
    n_tests, failed, entries = json.loads(profile.read_text())
    target = env.py.popen(["-W", "ignore", script, "keelback", *MODULES], env=environment, cwd=env.tmp,
                          stdin=subprocess.PIPE)
    env.wait_line(target, "ready", timeout=120)
    counter = attach(env, target, "--exact", "--time", "none", "--builtins", "-o", path)
    go_on(target)
    output = finish(counter, timeout=400)
    ours = totals((key[0] == "~", key[2], value[1]) for key, value in marshal.loads(path.read_bytes()).items())
    theirs = totals(entries)
    print(f"{n_tests} tests, {failed} failed; calls of Python and C functions: keelback {ours}, cProfile {theirs}")
    assert n_tests >= TESTS_MIN and not failed
    assert "+ lost 0" in output
    for counted, true in zip([*ours, sum(ours)], [*theirs, sum(theirs)]):
        assert abs(counted - true) <= true * DIFFERENCE_MAX, (counted, true)
