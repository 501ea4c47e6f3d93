# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The executing instruction: its names, and that it is one that stands in the line."""

import collections
import json
import re
import subprocess

from harness import REPO, once, per_python
from sampling import sample

# Prints, for each of its lines, which instructions the interpreter's own dis finds there, and runs them.
INSTRUCTIONS = '''
import dis, json, time

class Point:
    __slots__ = ("x",)

def attribute(p):
    for i in range(3000):
        p.x; p.x; p.x; p.x

def addition(a, b):
    for i in range(3000):
        a + b; a + b; a + b; a + b

def call():
    for i in range(1000):
        len("abc"); len("abc"); len("abc")

def far(a):  # jumps and constants beyond 255: prefixed instructions
    for i in range(20):
        LONG
    return a

def lines(function):
    found = {}
    starts = dict(dis.findlinestarts(function.__code__))
    line = None
    for instruction in dis.get_instructions(function):
        line = starts.get(instruction.offset, line)
        found.setdefault(line, []).append(instruction.opname)
    return found

functions = attribute, addition, call, far
print("instructions", json.dumps({f.__name__: lines(f) for f in functions}), flush=True)
p = Point()
p.x = 1
end = time.process_time() + .6
while time.process_time() < end:
    attribute(p), addition(1.5, 2.5), call(), far(1)
'''.replace("LONG", "; ".join(f"a += {1000 + i}" for i in range(300)))

LEAF = re.compile(r"(.*) \((.*?)(?::(\d+))?\) \[(\w+|<\d+>)\]")


def leaves(collapsed, script):
    """Counter of (function, line, instruction) of leaves in the program."""
    found = collections.Counter()
    for line in collapsed.splitlines():
        stack, _, count = line.rpartition(" ")
        match = LEAF.fullmatch(stack.rpartition(";")[2])
        if match and match[2] == script:
            found[match[1], int(match[3] or 0), match[4]] += int(count)
    return found


def base_names(env):
    """Specialized name → the instruction that it stands for, as the interpreter has it."""
    code = "import dis, json; print(json.dumps(getattr(dis, 'deoptmap', {})))"
    return json.loads(env.py.run(["-c", code]))


@per_python
def test_instructions(env):
    """What a leaf is at is one of the instructions of its line, and specialized ones are seen."""
    script = env.py.script(INSTRUCTIONS)
    with open(env.tmp + "/stdout", "w+") as output:
        profile = sample(env, "-r", 4000, "--opcodes", "--lines", "--", *env.py.command([script]), stdout=output)
        output.seek(0)
        listing = json.loads(re.search(r"instructions (.*)", output.read())[1])
    bases = base_names(env)
    found = leaves(profile.collapsed, script)
    own = {place: count for place, count in found.items() if place[0] in listing and place[1]}
    wrong, counts = {}, collections.Counter()
    for (function, line, name), count in own.items():
        base = bases.get(name, name)
        counts[function, base] += count
        if base not in listing[function].get(str(line), ()):
            wrong[function, line, name] = count
    total = sum(own.values())
    assert total >= 800, f"{total} samples: {profile.log}"
    assert not wrong, f"not in their lines: {wrong}"
    for function in listing:
        assert sum(count for (name, _), count in counts.items() if name == function) >= 20, counts
    assert counts["attribute", "LOAD_ATTR"] >= 0.1 * total / len(listing), counts
    assert counts["addition", "BINARY_OP" if env.py.version >= (3, 11) else "BINARY_ADD"] >= 0.02 * total, counts
    names = {name for _, _, name in own}
    assert "EXTENDED_ARG" not in names, names
    assert (names & set(bases) != set()) == (env.py.version >= (3, 11)), names


@once
def test_names(env):
    """The table of names is what the interpreters of the matrix say."""
    done = subprocess.run(
        ["/usr/bin/python3", REPO / "scripts/gen_opcodes.py", "--check"], stderr=subprocess.PIPE, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@once
def test_views(env):
    """A recording has instructions when they were asked for; the table has a row for each with what it stands for."""
    env.py = env.python("3.12")
    recording = env.tmp + "/run.kb"
    env.keelback("sample", "--opcodes", "-o", recording, "--", *env.py.command([env.py.script(INSTRUCTIONS)]))
    table = env.keelback("convert", "--opcodes", "--limit", 0, recording).stdout
    assert re.search(r"target\.py:9\(attribute\) \[LOAD_ATTR_SLOT \(LOAD_ATTR\)\]\n", table), table
    assert "[POP_TOP]\n" in table, table
    assert "[" not in env.keelback("convert", "-f", "collapsed", recording).stdout
    refused = env.keelback("convert", "--opcodes", "-f", "pstats-file", "-o", env.tmp + "/x", recording, check=False)
    assert refused.returncode == 2 and "--opcodes" in refused.stderr, refused.stderr
