# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""More than a thousand of CPython's own unit tests, as cProfile and keelback count their calls.

They come from Debian's package of them, which scripts/python-matrix.sh adds to the root file system.
"""

import json
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
import cProfile, gc, importlib, io, json, os, random, signal, sys, unittest

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in jobs of a shell, and a test sends it

def run():
    random.seed(1)
    suite = unittest.TestSuite()
    for name in sys.argv[2:]:
        suite.addTests(unittest.defaultTestLoader.loadTestsFromModule(importlib.import_module("test.test_" + name)))
    return unittest.TextTestRunner(io.StringIO(), verbosity=0).run(suite)

def label(code):
    """And whether it is a generator, coroutine or asynchronous generator."""
    if isinstance(code, str):
        return "~", 0, code, False
    return code.co_filename, code.co_firstlineno, code.co_name, bool(code.co_flags & 0x2a0)

gc.disable()  # when it collects depends on what else is allocated
run()  # imports and caches are no part of it
if sys.argv[1] == "keelback":
    print("ready", flush=True)
    sys.stdin.readline()
    run()
    os._exit(0)
profile = cProfile.Profile()
profile.enable()
result = run()
profile.disable()
with open(sys.argv[1], "w") as file:
    json.dump([result.testsRun, [str(test) for test, _ in result.failures + result.errors],
               [(*label(entry.code), entry.callcount) for entry in profile.getstats()]], file)
'''

# What begins and ends the counting.
AROUND = {"decode", "<built-in method _codecs.utf_8_decode>", "<built-in method posix._exit>",
          "<method 'disable' of '_lsprof.Profiler' objects>"}


def totals(entries, generators):
    """Calls of Python's functions, of C functions and of generators."""
    kinds = {"Python": 0, "C": 0, "generators": 0}
    for key, calls in entries:
        if key[2] not in AROUND:
            kinds["C" if key[0] == "~" else "generators" if key in generators else "Python"] += calls
    return kinds


@per_python(where=lambda py: py.id == "sid-3.15", timeout=900)
def test_calls_of_unit_tests(env):
    if not Path(env.py.root, "usr/lib/python3.15/test/test_abc.py").exists():
        env.skip("libpython3.15-testsuite is not there: scripts/python-matrix.sh make")
    environment = {**clean_environment(), **FIXED}
    script, profile, path = env.py.script(RUN, "unittests.py"), Path(env.tmp, "cprofile.json"), Path(env.tmp, "keelback.json")
    env.py.run(["-W", "ignore", script, profile, *MODULES], env=environment, cwd=env.tmp)
    n_tests, failed, entries = json.loads(profile.read_text())
    generators = {tuple(key) for *key, is_generator, _ in entries if is_generator}
    theirs = totals(((tuple(key), calls) for *key, _, calls in entries), generators)
    target = env.py.popen(["-W", "ignore", script, "keelback", *MODULES], env=environment, cwd=env.tmp,
                          stdin=subprocess.PIPE)
    env.wait_line(target, "ready", timeout=120)
    counter = attach(env, target, "--exact", "--time", "none", "--builtins", "-o", path)
    go_on(target)
    finish(counter, timeout=400)
    calls = json.loads(path.read_text())
    ours = totals((((row["file"], row["line"], row["name"]), row["ncalls"]) for row in calls["functions"]), generators)
    print(f"{n_tests} tests, failed: {failed}; calls: keelback {ours}, cProfile {theirs}")
    assert n_tests >= TESTS_MIN and not failed
    assert not [entry for entry in calls["ledger"] if not entry["reported"] and not entry["note"] and entry["count"]]
    # A generator that is closed before its end runs on when it is watched by cProfile, which counts it, and not else.
    assert ours.pop("generators") <= theirs.pop("generators")
    for kind, true in theirs.items():
        assert abs(ours[kind] - true) <= true * DIFFERENCE_MAX, (kind, ours, theirs)
