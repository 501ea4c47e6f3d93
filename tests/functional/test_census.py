# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""`keelback census`: counts that a program knows of itself, what the interpreter says of its allocator, and a target
that notices nothing."""

import json
import os
import re
import signal
import time
from pathlib import Path

from harness import once, per_python

# A million objects of ten types. Each step begins with a byte on stdin and ends with a line on stdout; in between
# nothing is left behind that is not counted (os.read and os.write keep nothing).
KNOWN = """
import gc, json, os, sys

class Slots(object):
    __slots__ = ("a", "b")
    def __init__(self, a): self.a = a

class Plain(object):
    def __init__(self, a):
        self.a = a
        self.b = None

def wait(text):
    os.write(1, text + b"\\n")
    if not os.read(0, 1):
        sys.exit()

def add(made, objects):
    for o in objects:
        entry = made.setdefault(type(o).__name__, [0, 0])
        entry[0] += 1
        entry[1] += sys.getsizeof(o)

def report(name, *values):
    # open() would do: but it leaves names of methods in the cache for them.
    fd = os.open(os.path.join(sys.argv[1], name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    os.write(fd, json.dumps(values).encode())
    os.close(fd)

def stats():
    saved = os.dup(2)
    fd = os.open(os.path.join(sys.argv[1], "stats"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    os.dup2(fd, 2)
    sys._debugmallocstats()
    os.dup2(saved, 2)
    os.close(fd)
    os.close(saved)

def build(n):
    numbers = [1 << 40 | i for i in range(n)]
    return [
        numbers,
        [Slots(i) for i in numbers],
        [Plain(i) for i in numbers],
        [(i,) for i in numbers],
        [[i, i] for i in numbers],
        [{"key": i} for i in numbers],
        ["s%d" % i for i in numbers],
        [b"b%d" % i for i in numbers],
        [float(i) for i in numbers],
        [set([i]) for i in numbers],
    ]

def describe(keep):
    made = {}
    for objects in keep:
        add(made, objects)
    add(made, keep)
    add(made, [keep])
    if sys.version_info < (3, 11):
        # Each Plain has a dict of its own.
        add(made, [o.__dict__ for o in keep[2]])
    report("made", made)

def step(n, name):
    # The same each time, so that what is done for the first time (imports, caches) is done before.
    keep = build(n)
    describe(keep)
    gc.collect()
    report(name, len(gc.get_objects()))
    gc.collect()
    stats()
    return keep

n = int(sys.argv[2])
keep = step(10, "warm")
keep = None
step(0, "empty")
wait(b"empty")
keep = step(n, "full")
wait(b"full")
keep = None
step(0, "gone")
wait(b"gone")
"""


def census(env, pid, *args):
    [process] = json.loads(env.keelback("census", "-p", pid, "--json", *args).stdout)
    assert process["error"] == ""
    return process


def by_type(process):
    return {row["type"].split(".")[-1]: (row["objects"], row["bytes"]) for row in process["types"]}


def start_known(env, n):
    target = env.py.popen([env.py.script(KNOWN), env.tmp, n], stdin=-1)
    env.wait_line(target, "empty", timeout=60)
    return target


def go_on(env, target, text):
    os.write(target.stdin.fileno(), b"x")
    env.wait_line(target, text, timeout=120)


def said(env, name):
    with open(os.path.join(env.tmp, name)) as file:
        return json.load(file)


@per_python(timeout=300)
def test_known_heap(env):
    """Exact for a target that sleeps: a million objects, each type's number and bytes; then none of them."""
    target = start_known(env, 100_000)
    before = census(env, target.pid)
    go_on(env, target, "full")
    after = census(env, target.pid)
    [made] = said(env, "made")
    was, now = by_type(before), by_type(after)
    grown = {name: [now[name][i] - was.get(name, (0, 0))[i] for i in (0, 1)] for name in made}
    print(f"took {after['took_ms']} ms for {after['memory']['arena_bytes'] >> 20} MB; {after['ledger']}")
    assert grown == made, f"{grown} is not {made}"
    assert sum(count for count, _ in made.values()) >= 1_000_000
    tracked = said(env, "full")[0] - said(env, "empty")[0]
    # The ten lists, and the one around them, were there when the program counted without them being filled.
    assert after["tracked"] - before["tracked"] == tracked + 11, (before["tracked"], after["tracked"], tracked)
    go_on(env, target, "gone")
    left = by_type(census(env, target.pid))
    assert {name: left[name][0] - was.get(name, (0, 0))[0] for name in made if name in left} == {
        name: 0 for name in made if name in left
    }


def malloc_stats(text):
    """What sys._debugmallocstats() says, in bytes."""
    number = r"([\d,]+)"

    def find(pattern):
        found = re.search(pattern, text)
        return int(found[1].replace(",", "")) if found else 0

    classes = {}
    for line in text.splitlines():
        fields = line.replace(",", "").split()
        if len(fields) == 5 and all(field.isdigit() for field in fields):
            _, size, pools, used, free = map(int, fields)
            classes[size] = (pools, used, free)
    return {
        "arena_bytes": find(rf"arenas \* \d+ bytes/arena\s+=\s+{number}"),
        "used": find(rf"bytes in allocated blocks\s+=\s+{number}"),
        "free_bytes": find(rf"bytes in available blocks\s+=\s+{number}"),
        "empty_bytes": find(rf"unused pools \* \d+ bytes\s+=\s+{number}"),
        "header_bytes": find(rf"bytes lost to pool headers\s+=\s+{number}"),
        "waste_bytes": find(rf"bytes lost to quantization\s+=\s+{number}"),
        "alignment_bytes": find(rf"bytes lost to arena alignment\s+=\s+{number}"),
        "classes": classes,
    }


@per_python(timeout=300)
def test_as_debugmallocstats(env):
    """Arenas, blocks in use and free, empty pools: what the interpreter says of its allocator itself."""
    target = start_known(env, 20_000)
    go_on(env, target, "full")
    process = census(env, target.pid)
    with open(os.path.join(env.tmp, "stats")) as file:
        wanted = malloc_stats(file.read())
    memory = process["memory"]
    memory["used"] = memory["object_bytes"] + memory["table_bytes"] + memory["other_bytes"]
    parts = ("used", "free_bytes", "empty_bytes", "header_bytes", "waste_bytes", "alignment_bytes")
    assert memory["arena_bytes"] == wanted["arena_bytes"] == sum(memory[name] for name in parts)
    print({name: (memory[name], wanted[name]) for name in parts})
    for name in parts:
        # Of all arenas; what is compared of is of two moments.
        assert abs(memory[name] - wanted[name]) <= 0.002 * memory["arena_bytes"], name
    for row in process["blocks"]:
        pools, used, free = wanted["classes"].get(row["block_bytes"], (0, 0, 0))
        of_census = row["objects"] + row["tables"] + row["others"]
        assert abs(of_census - used) <= 10 + used // 1000, (row, used)
        assert abs(row["pools"] - pools) <= 1, (row, pools)
    ledger = process["ledger"]
    assert ledger["pools_good"] > 0 and not any(ledger[f"pools_{what}"] for what in ("torn", "bad", "unreadable"))
    # What nobody owns is little: code's instructions and tables, buffers, dead objects that are kept.
    assert memory["other_bytes"] < 0.05 * memory["used"], memory


# Objects beyond what Python's allocator has blocks for, each kind held in another way.
LARGE = KNOWN[: KNOWN.index("def build(n)")] + """
import array, collections

class Holder(object):
    pass

def described(objects):
    made = {}
    add(made, objects)
    report("made", made)

def hold(n):
    holder = Holder()
    holder.text = "x" * 100001
    local = b"l" * 3000001
    words = ["%d" % i + "w" * 5000 for i in range(n)]
    wide = [u"\\u4f60" * (1000 + i) for i in range(n)]
    queue = collections.deque(b"%d" % i + b"q" * 1000 for i in range(n))
    order = collections.OrderedDict((i, b"%d" % i + b"o" * 2000) for i in range(n))
    members = set(b"%d" % i + b"s" * 700 for i in range(n))
    numbers = [3 ** (5000 + i) for i in range(n)]
    tuples = [tuple([None] * (100 + i)) for i in range(n)]
    nested = ((((["deep" * (n * 10)],),),),)
    data = [bytearray(b"d" * 100000), array.array("d", [0.0] * 100000)]
    table = dict((float(i), None) for i in range(50000))
    suspended = [scope["wide"]() for i in range(n)]
    for generator in suspended:
        next(generator)
    described(
        [holder.text, local] + words + wide + list(queue) + list(order.values()) + list(members) + numbers + tuples
        + [nested[0][0][0][0][0]] + data
    )
    wait(b"full")

n = int(sys.argv[2])
scope = {}
exec("def wide():\\n" + "".join("    v%d = %d\\n" % (i, i) for i in range(100)) + "    yield 1\\n", scope)
wait(b"empty")
hold(n)
"""


@per_python
def test_large_objects(env):
    """In attributes, locals of a running function, lists, dicts, sets and blocks of C code; the largest ones listed."""
    target = env.py.popen([env.py.script(LARGE), env.tmp, 100], stdin=-1)
    env.wait_line(target, "empty", timeout=60)
    before = by_type(census(env, target.pid))
    go_on(env, target, "full")
    process = census(env, target.pid, "--largest", 6)
    after = by_type(process)
    [made] = said(env, "made")
    print(process["memory"], process["ledger"])
    for name, (count, size) in made.items():
        grown = [after[name][i] - before.get(name, (0, 0))[i] for i in (0, 1)]
        # Small ones come and go; of the large ones none is missing, and none is there twice.
        assert abs(grown[0] - count) <= 20 and abs(grown[1] - size) < 5_000, (name, grown, count, size)
    # Some 800 bytes each; up to 3.10 it is their frames that are large.
    suspended = "frame" if env.py.version <= (3, 10) else "generator"
    assert after[suspended][0] - before.get(suspended, (0, 0))[0] in (100, 101, 102), after[suspended]
    assert after[suspended][1] - before.get(suspended, (0, 0))[1] > 100 * 800, after[suspended]
    largest = [(row["type"], row["length"]) for row in process["largest"]]
    # The dict of 50,000 is as large as its table, which is not the same in all versions.
    assert largest[0] in [("bytes", 3_000_001), ("dict", 50_000)], largest
    for wanted in ("bytes", 3_000_001), ("dict", 50_000), ("array.array", 100_000), ("bytearray", 100_000):
        assert wanted in largest, largest
    assert ("str", 100_001) in largest, largest


# A million objects that stay, and threads that make and drop others of the same sizes all the time.
BUSY = """
import os, sys, threading

class Slots(object):
    __slots__ = ("a", "b")
    def __init__(self, a): self.a = a

class Churn(object):
    def __init__(self, a): self.a = a

n = int(sys.argv[1])
os.write(1, b"empty\\n")
sys.stdin.readline()
keep = [
    [Slots(None) for i in range(n)],
    [(i, None) for i in range(n)],
    [[i] for i in range(n)],
    [{"key": i} for i in range(n)],
    [float(i) for i in range(n)],
    [set([i]) for i in range(n)],
    ["s%d" % i for i in range(n)],
]
rounds = 0

def churn():
    global rounds
    while True:
        made = [Churn((i, None)) for i in range(100)] + [{"key": float(i)} for i in range(100)]
        made += [set([i]) for i in range(100)] + ["t%d" % i for i in range(100)] + [[i] for i in range(100)]
        rounds += 1

for i in range(2):
    threading.Thread(target=churn, daemon=True).start()
os.write(1, b"ready\\n")
sys.stdin.readline()
os.write(1, b"rounds %d\\n" % rounds)
"""


@per_python(timeout=300)
def test_busy(env):
    """Within a hundredth for a target that allocates and frees without a pause."""
    n = 150_000
    target = env.py.popen([env.py.script(BUSY), n], stdin=-1)
    env.wait_line(target, "empty", timeout=60)
    before = by_type(census(env, target.pid))
    target.stdin.write("\n")
    target.stdin.flush()
    env.wait_line(target, "ready", timeout=60)
    for _ in range(3):
        process = census(env, target.pid)
        types = by_type(process)
        print(types["Churn"], process["ledger"], process["took_ms"])
        for name in "Slots", "tuple", "list", "dict", "float", "set", "str":
            # What the threads are at is among it: some hundreds.
            extra = types[name][0] - before.get(name, (0, 0))[0] - n
            assert abs(extra) <= n // 100, (name, types[name], before.get(name), process["ledger"])
        assert types["Slots"][0] == n
    target.stdin.write("\n")
    target.stdin.flush()
    assert int(env.wait_line(target, "rounds").split()[1]) > 10


# Leaves the wait only with a message; counts interrupted calls.
IN_EPOLL = """
import ctypes, os, select, sys
libc = ctypes.CDLL(None, use_errno=True)
read, write = os.pipe()
epoll = select.epoll()
epoll.register(sys.stdin.fileno(), select.EPOLLIN)
keep = [(i, [i]) for i in range(100000)]
os.write(1, b"ready\\n")
interrupted = 0
while libc.epoll_wait(epoll.fileno(), ctypes.create_string_buffer(64), 1, -1) < 0:
    interrupted += 1
os.write(1, b"interrupted %d\\n" % interrupted)
"""


@per_python
def test_never_stopped(env):
    """A target in epoll_wait is never interrupted, and has not run at all."""
    target = env.py.popen([env.py.script(IN_EPOLL)], stdin=-1)
    env.wait_line(target, "ready")

    def switches():
        return re.findall(r"ctxt_switches:\s*(\d+)", Path(f"/proc/{target.pid}/status").read_text())

    before = None
    while before != switches():  # until it has gone to sleep
        before = switches()
        time.sleep(0.3)
    for _ in range(5):
        assert by_type(census(env, target.pid))["tuple"][0] >= 100_000
    assert switches() == before
    target.stdin.write("\n")
    target.stdin.flush()
    assert env.wait_line(target, "interrupted").split() == ["interrupted", "0"]


LEAK = """
import os, sys, time

class Session(object):
    def __init__(self, i):
        self.number = i
        self.seen = [i]

class Request(object):
    def __init__(self, i): self.i = i

sessions = {}

def handle(i):
    request = Request(i)
    sessions[i] = Session(i)
    return [request, str(i)]

os.write(1, b"ready\\n")
i = 0
while True:
    for _ in range(50):
        handle(1 << 40 | i)
        i += 1
    time.sleep(.005)
"""


@per_python
def test_leak_is_named(env):
    """--every: what grows is on top, what comes and goes is not."""
    target = env.py.popen([env.py.script(LEAK)])
    env.wait_line(target, "ready")
    done = env.keelback("census", "-p", target.pid, "--every", "700ms", "-d", "2.5", "--limit", 6)
    first, *rounds = re.split(r"\n[\d.]+ s\n", done.stdout)
    assert "the largest objects" in first and len(rounds) >= 2, done.stdout
    rows = [line.split() for line in rounds[-1].splitlines() if re.match(r" +\d.*[+-]", line)]
    grown = {row[-1].split(".")[-1]: [int(cell.replace(",", "")) for cell in row[:-1]] for row in rows}
    assert "Session" in grown, rounds[-1]
    # One may be alive just then.
    assert abs(grown.get("Request", [0, 0, 0])[2]) <= 2, rounds[-1]
    objects, since_last, since_start, bytes_last, bytes_start = grown["Session"]
    assert 0 < since_last < since_start < objects and 0 < bytes_last < bytes_start, rounds[-1]
    # The same as JSON: a line for each.
    done = env.keelback("census", "-p", target.pid, "--every", "0.5", "-d", "1.2", "--json")
    counts = [by_type(json.loads(line)[0])["Session"][0] for line in done.stdout.splitlines()]
    assert len(counts) >= 2 and counts == sorted(counts) and counts[0] < counts[-1], counts


@per_python(where=lambda py: py.version < (3, 14))
def test_interrupt(env):
    """Without -d, Ctrl-C ends it, with status 0; a target that ends does so, too."""
    target = env.py.popen([env.py.script(LEAK)])
    env.wait_line(target, "ready")
    watching = env.popen("census", "-p", target.pid, "--every", "0.3")
    env.wait_line(watching, "since start")
    watching.send_signal(signal.SIGINT)
    assert watching.wait(20) == 0
    watching = env.popen("census", "-p", target.pid, "--every", "0.3")
    env.wait_line(watching, "since start")
    target.kill()
    assert watching.wait(20) == 0


SUB_INTERPRETER = """
import os, sys
try:
    import _xxsubinterpreters as interpreters
except ImportError:
    import _interpreters as interpreters
numbers = [float(i) for i in range(1000)]
os.write(1, b"empty\\n")
os.read(0, 1)
sub = interpreters.create()
text = "numbers = [float(i) for i in range(50000)]; things = [{'key': i, 'own': [i]} for i in range(30000)]"
getattr(interpreters, "exec", interpreters.run_string)(sub, text)
os.write(1, b"full\\n")
os.read(0, 1)
"""


@per_python(where=lambda py: py.version >= (3, 8))
def test_sub_interpreters(env):
    """From 3.12 they have an allocator of their own."""
    target = env.py.popen([env.py.script(SUB_INTERPRETER)], stdin=-1)
    env.wait_line(target, "empty")
    before = by_type(census(env, target.pid))
    go_on(env, target, "full")
    after = by_type(census(env, target.pid))
    for name, wanted in ("float", 50_000), ("dict", 30_000), ("list", 30_000):
        extra = after[name][0] - before[name][0] - wanted
        # The new interpreter's modules.
        assert 0 <= extra < 3_000, (name, extra)


ALLOCATED = """
import os
class Point(object):
    def __init__(self, x): self.x = x
points = [Point(float(i)) for i in range(20000)]
table = dict((float(i) + .5, "t%d" % i) for i in range(20000))
os.write(1, b"ready\\n")
os.read(0, 1)
"""


@per_python
def test_other_allocators(env):
    """PYTHONMALLOC: without Python's allocator objects are found by what points to them; debug hooks are seen through."""
    for allocator in "malloc", "debug", "malloc_debug":
        environment = {**os.environ, "PYTHONMALLOC": allocator}
        target = env.py.popen([env.py.script(ALLOCATED)], env=environment, stdin=-1)
        env.wait_line(target, "ready", timeout=60)
        process = census(env, target.pid)
        types = by_type(process)
        assert types["Point"][0] == 20_000, (allocator, types["Point"])
        assert 40_000 <= types["float"][0] < 40_100, (allocator, types["float"])
        assert 20_000 <= types["str"][0] < 40_000, (allocator, types["str"])
        assert (process["memory"]["arenas"] > 0) == (allocator == "debug" and env.py.version > (3, 6)), allocator
        target.kill()


@once
def test_several(env):
    """Several targets: those that can be read are there, the others are named."""
    python = env.pythons[0]
    targets = [python.popen([python.script("import time; print('ready', flush=True); time.sleep(600)")]) for _ in "ab"]
    for target in targets:
        env.wait_line(target, "ready")
    pids = ",".join(str(target.pid) for target in targets)
    done = env.keelback("census", "-p", pids + ",1", "--json")
    processes = json.loads(done.stdout)
    assert [process["error"] == "" for process in processes].count(True) == 2
    assert "process 1" in done.stderr
    text = env.keelback("census", "-p", pids, "--classes", "--sort", "objects", "--limit", 3).stdout
    assert text.count("Process ") == 2 and text.count("Ledger: ") == 2 and text.count("% used") == 2
