# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Native frames between Python's, and the kernel's: who they are, where they stand, and that stacks reach their root."""

import json
import os.path
import re

from harness import once, per_python
from sampling import Sampling, base, go, sample, wait_until

# Known work in five C libraries, each entered by a Python function of its own, whose time the program takes itself.
LIBRARIES = '''
import hashlib, json, re, sqlite3, sys, time, zlib

data = bytes(range(256)) * 1500
text = json.dumps([{"a": i, "b": [1, 2, 3, "x" * 10]} for i in range(1500)])
subject = "ab" * 60 + "c"
database = sqlite3.connect(":memory:")
database.execute("create table t(a int, b text)")
database.executemany("insert into t values(?, ?)", [(i, "x%d" % i) for i in range(3000)])

def in_zlib():
    zlib.compress(data, 6)

def in_hashlib():
    for _ in range(4):
        hashlib.sha512(data).digest()

def in_json():
    json.loads(text)

def in_sqlite():
    database.execute("select sum(a * a), count(b) from t where b like '%9%'").fetchall()

def in_re():
    for _ in range(8):
        re.search("(a|b)*d", subject)

parts = [in_zlib, in_hashlib, in_json, in_sqlite, in_re]
spent = dict.fromkeys(parts, 0)
print("ready", flush=True)
sys.stdin.readline()
end = time.process_time() + 1.6
while time.process_time() < end:
    for part in parts:
        before = time.process_time()
        part()
        spent[part] += time.process_time() - before
print(json.dumps({part.__name__: seconds for part, seconds in spent.items()}), flush=True)
sys.stdin.readline()
'''

# Of each part: where its time is spent (file of the leaf), and what a function is called that is on the way there:
# by its symbol, or in a stripped file by what it is in Python ("zlib.compress", "re.Pattern.search").
PYTHON = ("python", "libpython")
EXPECTED = {
    "in_zlib": (("libz.", "zlib", "libc."), r"^zlib[._].*compress|^deflate$"),
    "in_hashlib": (("libcrypto", "_hashlib", "_sha", *PYTHON), r"(?i)sha512|^EVP_"),
    "in_json": (("_json", "libc.", *PYTHON), r"^scanner_call$|^_json\..*tp_call$|_dealloc$|^<GC>$"),
    "in_sqlite": (("libsqlite3", "libc."), r"^sqlite3_step$"),
    "in_re": (("_sre", "libc.", *PYTHON), r"^(_sre_SRE_Pattern_search|re\.Pattern\.search|_sre\.SRE_Pattern\.search)"),
}
SHARE_OFF = 0.05
ROOTS = ("_start", "clone", "__clone", "clone3", "__clone3")

# A call of the interpreter by C code, of C code by that, and so on; and a generator that C code drives.
CALLS = '''
import functools, time

def leaf(x):
    for i in range(2000): pass
    return x

def direct():
    leaf(1)

def in_sort():
    sorted([3, 1, 2], key=leaf)

def items():
    for i in range(3):
        yield leaf(i)

def in_generator():
    sum(items())

def nested():
    return max(map(lambda x: in_sort() or x, [1, 2]))

end = time.process_time() + .6
while time.process_time() < end:
    direct()
    direct()
    in_sort()
    in_generator()
    nested()
'''

# strlen() of much memory, as the start of threads that Python knows nothing of, while Python waits; and Python threads.
THREADS = '''
import ctypes, threading, time

libc = ctypes.CDLL(None)
size = 64 << 20
memory = ctypes.create_string_buffer(b"x" * size, size + 1)
start = ctypes.cast(libc.strlen, ctypes.c_void_p)
libc.pthread_create.argtypes = [ctypes.POINTER(ctypes.c_ulong), ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
libc.pthread_join.argtypes = [ctypes.c_ulong, ctypes.c_void_p]

def python_thread():
    end = time.perf_counter() + .5
    while time.perf_counter() < end: pass

thread = threading.Thread(target=python_thread)
thread.start()
end = time.perf_counter() + 1
while time.perf_counter() < end:
    native = ctypes.c_ulong()
    libc.pthread_create(ctypes.byref(native), None, start, ctypes.addressof(memory))
    libc.pthread_join(native, None)
thread.join()
'''

# Zeros from the kernel.
KERNEL = '''
import os, time
zero = os.open("/dev/zero", os.O_RDONLY)

def in_kernel():
    for _ in range(20):
        os.read(zero, 1 << 20)

def in_python():
    for i in range(100000): pass

end = time.process_time() + 1
while time.process_time() < end:
    in_kernel()
    in_python()
'''


INTERRUPTS = ("asm_sysvec", "sysvec", "__sysvec", "hrtimer", "perf_", "__traceiter")


def file_of(frame):
    return os.path.basename(frame.file)


def reaches_root(stack):
    # In a stripped C library clone() has no name.
    return stack[0].name in ROOTS or file_of(stack[0]).startswith("libc.")


def own_names(stack, names):
    """Those of the stack's functions that are in names, in order."""
    return [base(frame) for frame in stack if base(frame) in names]


def check_part(stacks, part):
    """The stacks of one part: (frames, count)."""
    files, pattern = EXPECTED[part]
    total = sum(count for _, count in stacks)
    at_leaf = sum(count for stack, count in stacks if file_of(stack[-1]).startswith(files))
    assert at_leaf >= 0.85 * total - 3, f"{part}: {at_leaf} of {total} in {files}: {stacks}"
    named = sum(count for stack, count in stacks if any(re.search(pattern, frame.name) for frame in stack))
    assert named >= 0.85 * total - 3, f"{part}: {named} of {total} in {pattern}: {stacks}"


@per_python
def test_libraries(env):
    """Native leaves belong to the right library and Python callers to their work, and stacks reach their root."""
    target = env.py.popen([env.py.script(LIBRARIES)], stdin=-1)
    env.wait_line(target, "ready")
    sampling = Sampling(env, "--native", "-r", 1000, "-p", target.pid).ready()
    go(target)
    spent = json.loads(env.wait_line(target, "in_zlib"))
    profile = sampling.stop().check()
    go(target)
    parts = {name: [] for name in EXPECTED}
    rooted = 0
    for stack, count in profile.stacks:
        rooted += count * reaches_root(stack)
        for name in own_names(stack, EXPECTED)[:1]:
            parts[name].append((stack, count))
    counts = {name: sum(count for _, count in stacks) for name, stacks in parts.items()}
    total = sum(counts.values())
    assert total >= 800, f"{total} samples: {profile.log}"
    for name, count in counts.items():
        share = spent[name] / sum(spent.values())
        assert abs(count / total - share) <= SHARE_OFF, f"{name}: {count} of {total}, {share} of the time"
        check_part(parts[name], name)
    # The first stacks in a large library end there, until its table is built.
    late = profile.notes.get("native_not_ready", 0)
    assert late <= 100, profile.log
    assert rooted >= 0.99 * (profile.total - late), f"{rooted} of {profile.total}: {profile.log}"
    assert profile.notes.get("native_unmatched", 0) <= 2, profile.log


@per_python
def test_interleaving(env):
    """Native frames stand between the Python frames that they were called by and that they called."""
    script = env.py.script(CALLS)
    profile = sample(env, "--native", "-r", 2000, "--", *env.py.command([script]))
    names = ("direct", "in_sort", "in_generator", "items", "nested", "<lambda>", "leaf")
    found = {}
    for stack, count in profile.stacks:
        # Whole stacks of the program's own functions, each native part as one "native".
        at = next((i for i, frame in enumerate(stack) if frame.file == script), None)
        if at is None or not reaches_root(stack):
            continue
        chain = []
        for frame in stack[at + 1 :]:
            name = base(frame) if frame.file == script else "native"
            assert name == "native" or name in names, stack
            if name != "native" or chain[-1:] != ["native"]:
                chain.append(name)
        while chain[-1:] == ["native"]:
            chain.pop()
        if chain[-1:] == ["leaf"]:
            found[" ".join(chain)] = found.get(" ".join(chain), 0) + count
    print(found)
    # Up to 3.10 calls between Python functions pass through C as well.
    call = " native" if env.py.version < (3, 11) else ""
    expected = (
        f"direct{call} leaf",
        "in_sort native leaf",
        f"in_generator native items{call} leaf",
        f"nested native <lambda>{call} in_sort native leaf",
    )
    for chain in expected:
        chain = f"native {chain}" if call else chain
        assert found.get(chain, 0) >= 20, f"{chain}: {found}: {profile.log}"
    others = sum(count for chain, count in found.items() if not chain.removeprefix("native ") in expected)
    assert others <= 5, f"{found}: {profile.log}"
    assert not any(frame.name == "_PyEval_EvalFrameDefault" for stack, _ in profile.stacks for frame in stack)


@per_python(where=lambda py: py.id in ("pyenv-3.8", "debian-3.11", "sid-3.14"))
def test_native_threads(env):
    """Threads without Python have native stacks; those of Python threads reach the thread's start too."""
    script = env.py.script(THREADS)
    profile = sample(env, "--native", "-r", 1000, "--", *env.py.command([script]))
    native = python = 0
    for stack, count in profile.stacks:
        if any(base(frame) == "python_thread" for frame in stack):
            python += count * (reaches_root(stack) and stack[0].name != "_start")
        elif not any(frame.file == script for frame in stack):
            native += count * (len(stack) <= 4 and file_of(stack[-1]).startswith("libc"))
    assert native >= 100 and python >= 100, f"{native} in strlen(), {python} in Python: {profile.stacks}"


@once
def test_kernel(env):
    """System calls' own functions, on top of what called them, and nothing of the interrupt that took the sample."""
    env.py = env.python("3.12")
    script = env.py.script(KERNEL)
    for options in (["--native", "--kernel"], ["--kernel", "--rate", "tick"]):
        profile = sample(env, *options, "--", *env.py.command([script]))
        total = deep = python = 0
        for stack, count in profile.stacks:
            kernel = [frame.name for frame in stack if frame.file == "kernel"]
            assert not kernel or not any(kernel[-1].startswith(name) for name in INTERRUPTS), stack
            assert not any("bpf" in name for name in kernel), stack
            if own_names(stack, ["in_kernel"]):
                total += count
                deep += count * any("read" in name for name in kernel)
            if own_names(stack, ["in_python"]):
                python += count
                assert count <= 2 or not any("read" in name for name in kernel), stack
        assert total >= 20 and python >= 20, profile.log
        assert deep >= 0.9 * total - 3, f"{deep} of {total}: {profile.stacks}"


@once
def test_short_lives(env):
    """A forked process has its parent's mappings; one that executes has its own soon after its start."""
    env.py = env.python("3.12")
    script = env.py.script(
        "import os, time, zlib\n"
        "data = bytes(range(256)) * 1000\n"
        "def child():\n"
        "    end = time.process_time() + .03\n"
        "    while time.process_time() < end: zlib.compress(data)\n"
        "child()\n"
        "for _ in range(15):\n"
        "    pid = os.fork()\n"
        "    if not pid:\n"
        "        child()\n"
        "        os._exit(0)\n"
        "    os.waitpid(pid, 0)\n"
    )
    profile = sample(env, "--native", "--processes", "--", *env.py.command([script]))
    total = named = 0
    for process, stacks in list(profile.by_root().items())[1:]:
        for stack, count in stacks:
            total += count
            named += count * (stack[0].name == "_start" and stack[-1].name != "child")
    assert total >= 200, profile.log
    assert named >= 0.9 * total, f"{named} of {total}: {profile.log}"
