# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""C functions and methods among the calls (--builtins): as cProfile counts and names them."""

import json
import re
import subprocess
from pathlib import Path

from harness import per_python
from test_calls import attach, check_programs, check_same, count_calls, finish, profile_calls

# What ends the counting, on either side.
AROUND = {"main", "<module>", "runcall", "<built-in method posix._exit>", "<built-in method _codecs.utf_8_decode>",
          "<method 'disable' of '_lsprof.Profiler' objects>"}


# cProfile looks a method up by its name, in the class of the object that it is first called on: what that class has
# redefined in Python is what it prints.
REDEFINED = {"<function Numbers.append at 0x>": "<method 'append' of 'list' objects>",
             "<function Numbers.__getitem__ at 0x>": "<method '__getitem__' of 'list' objects>",
             "<function socket.close at 0x>": "<method 'close' of '_socket.socket' objects>"}


# What differs by nature, see docs/SUPPORT_MATRIX.md: calls, and pairs of caller and callee, of one program.
def by_nature(env, name, caller, callee):
    if name == "threads":  # how threading waits, who is profiled from where on, and whose calls cProfile mixes up
        return caller not in ("worker", "helper") if caller else callee not in ("square", "helper", "worker")
    if name == "mix":  # thrown into through the generator that delegates to it
        return caller and callee == "generator"
    # 3.7 does not tell cProfile of list.append(*arguments).
    return env.py.version == (3, 7) and name == "builtins" and caller in (None, "work") and \
        callee == "<method 'append' of 'list' objects>"


def inside(env, name, functions, edges):
    """Functions that work() called, without what called it; addresses in names differ from run to run."""
    def plain(function):
        name = re.sub("0x[0-9a-f]+", "0x", function[2])
        return (*function[:2], REDEFINED.get(name, name))

    def kept(*of):
        return not any(function[2] in AROUND for function in of) and \
            not by_nature(env, name, plain(of[0])[2] if len(of) > 1 else None, plain(of[-1])[2])

    return ({plain(key): value for key, value in functions.items() if kept(key)},
            {(plain(a), plain(b)): calls for (a, b), calls in edges.items() if kept(a, b)})


def compare(env, name):
    ours, our_edges = inside(env, name, *count_calls(env, name, "--builtins"))
    theirs, their_edges = inside(env, name, *profile_calls(env, name, "builtins"))
    assert sum(callee[0] == "~" for _, callee in their_edges) >= 2, their_edges
    return check_same(env, name, "calls", ours, theirs), check_same(env, name, "edges", our_edges, their_edges)


@per_python(timeout=300)
def test_builtins_are_those_of_cprofile(env):
    check_programs(env, compare)


# Functions made of whatever is in memory. What they execute is gc.isenabled(), which looks at nothing of theirs.
HOSTILE = '''
import ctypes, gc, os, sys

class Method(ctypes.Structure):
    _fields_ = [("name", ctypes.c_void_p), ("meth", ctypes.c_void_p), ("flags", ctypes.c_int), ("doc", ctypes.c_void_p)]

new = ctypes.pythonapi.PyCFunction_NewEx
new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p] * 3
isenabled = Method.from_address(ctypes.c_void_p.from_address(id(gc.isenabled) + 16).value)
words = lambda *values: (ctypes.c_uint64 * len(values))(*values)
kept = []

def keep(thing):
    kept.append(thing)
    return ctypes.addressof(thing)

def function(name, self=0, module=0, before=0):
    """before: methods in a list before it."""
    methods = (Method * (before + 1))()
    for method in methods:
        method.name, method.meth, method.flags = name, isenabled.meth, isenabled.flags
    methods[before].name = name
    made = new(keep(methods) + before * ctypes.sizeof(Method), self, module)
    kept.append(made)
    return made, ctypes.addressof(methods)

def text(data):
    return keep(ctypes.create_string_buffer(data))

def instance(*fields):
    """Of a class that has these words, from its first on."""
    return keep(words(1 << 20, keep(words(*fields)), 0, 0))

def fake_class(mro, methods=0, name=0):
    fields = [0] * 50
    fields[0], fields[3], fields[29], fields[43] = 1 << 20, name, methods, mro
    return fields

WILD = 0xdead0000beef0
functions = [function(WILD)[0], function(8)[0], function(WILD, id(sys))[0]]
unreadable = len(functions)
good = text(b"good")
functions += [function(text(b"x" * 3000))[0], function(text(b"a\\xff\\xfe<\\x1b[31m"))[0],
              function(good, keep(words(1 << 20, WILD, 0)))[0], function(good, instance(*fake_class(WILD)))[0],
              function(good, 0, instance(*fake_class(WILD)))[0], function(good, id(sys), id("module"))[0],
              function(good, id(sys), id("m\\u00fcll"))[0]]
# An MRO without end, of classes that are none, or one with more methods than any.
endless = keep(words(1 << 20, 0, 1 << 60, *([WILD, 0] * 200)))
functions.append(function(good, instance(*fake_class(endless)))[0])
made, methods = function(good, 0, 0, 400)
owner = words(*fake_class(0, methods, text(b"Owner")))
itself = [keep(owner)] * 300
mro = keep(words(1 << 20, 0, 300, *itself)), keep(words(1 << 20, 0, 300, 0, *itself))
owner[43] = mro[sys.version_info >= (3, 14)]
ctypes.c_void_p.from_address(id(made) + 24).value = keep(words(1 << 20, ctypes.addressof(owner), 0, 0))
functions.append(made)

def work(n):
    for made in functions:
        for i in range(n):
            made()

print("ready", flush=True)
sys.stdin.readline()
work(50)
print(unreadable * 50, flush=True)
os._exit(0)
'''


@per_python(timeout=60)
def test_functions_made_of_anything(env):
    script = env.py.script(HOSTILE, "hostile.py")
    target = env.py.popen([script], stdin=subprocess.PIPE)
    env.wait_line(target, "ready")
    path = Path(env.tmp, "hostile.json")
    counter = attach(env, target, "--exact", "--time", "none", "--builtins", "-o", path)
    target.stdin.write("go\n")
    target.stdin.flush()
    unreadable = int(target.stdout.readline())
    assert target.wait(timeout=20) == 0
    finish(counter)
    calls = json.loads(path.read_text("utf-8"))
    by_name = {function["name"]: function["ncalls"] for function in calls["functions"] if function["file"] == "~"}
    print(by_name)
    assert {entry["name"]: entry["count"] for entry in calls["ledger"]}["calls_unreadable"] == unreadable
    assert by_name["<" + "x" * 127 + ">"] == 50
    assert by_name["<method 'good' of 'Owner' objects>"] == 50
    assert by_name["<built-in method module.good>"] == 50
