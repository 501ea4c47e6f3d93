# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""C functions and methods among the calls (--builtins): as cProfile counts and names them."""

import re

from call_programs import PROGRAMS
from harness import per_python
from test_calls import check_same, count_calls, profile_calls

# What ends the counting, on either side.
AROUND = {"main", "<module>", "runcall", "<built-in method posix._exit>", "<built-in method _codecs.utf_8_decode>",
          "<method 'disable' of '_lsprof.Profiler' objects>"}


# cProfile looks a method up by its name, in the class of the object that it is first called on: what that class has
# redefined in Python is what it prints.
REDEFINED = {"<function Numbers.append at 0x>": "<method 'append' of 'list' objects>",
             "<function Numbers.__getitem__ at 0x>": "<method '__getitem__' of 'list' objects>",
             "<function socket.close at 0x>": "<method 'close' of '_socket.socket' objects>"}


def inside(functions, edges):
    """Functions that work() called, without what called it; addresses in names differ from run to run."""
    def plain(function):
        name = re.sub("0x[0-9a-f]+", "0x", function[2])
        return (*function[:2], REDEFINED.get(name, name))

    def kept(*of):
        return not any(function[2] in AROUND for function in of)

    return ({plain(key): value for key, value in functions.items() if kept(key)},
            {(plain(a), plain(b)): calls for (a, b), calls in edges.items() if kept(a, b)})


def compare(env, name):
    ours, our_edges = inside(*count_calls(env, name, "--builtins"))
    theirs, their_edges = inside(*profile_calls(env, name, "builtins"))
    assert sum(key[0] == "~" for key in theirs) > 5
    return check_same(env, name, "calls", ours, theirs), check_same(env, name, "edges", our_edges, their_edges)


@per_python(timeout=300)
def test_builtins_are_those_of_cprofile(env):
    failed = {}
    for name in PROGRAMS:
        functions, edges = compare(env, name)
        if functions or edges:
            failed[name] = (len(functions), len(edges))
    assert not failed, failed
