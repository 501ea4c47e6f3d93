# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What is alive where growth is observed with pauses: what was freed in them is found, and nothing that is kept."""

import time

import memory
from harness import per_python

# Each tick makes 1,500 blocks that the next one lets go, and some that stay, all of sizes that go to malloc but for the last line.
# Lists of what stays have their length from the beginning, and every line that keeps makes nothing else.
PROGRAM = '''
import ctypes, sys, time
libc = ctypes.CDLL(None)
for name in ("calloc", "aligned_alloc"):
    getattr(libc, name).restype = ctypes.c_void_p
SIZE = ctypes.c_size_t
calloc, aligned = libc.calloc, libc.aligned_alloc
kept, large, grown, native, small = [None] * 4000, [None] * 60, [None] * 2000, [None] * 4000, [None] * 2000
print("ready", flush=True)
sys.stdin.readline()
end, tick = time.monotonic() + %d, 0
while time.monotonic() < end:
    hot = [b"x" * (600 + j * 7 %% 1500) for j in range(1500)]  # HOT
    for i in range(tick * 8, tick * 8 + 8):
        if i < 4000:
            kept[i] = bytes(700 + i * 11 %% 2000)  # KEPT
    if tick < 60:
        large[tick] = bytes(300000)  # LARGE
    if tick < 2000:
        grown[tick] = bytearray(800)
        grown[tick].extend(bytes(tick %% 3000 + 900))
        grown[tick] += hot[tick %% 1500]  # GROWN
        one, two, three = SIZE(1), SIZE(700 + tick %% 900), SIZE(64 << tick %% 7)
        room = SIZE(4096 * (1 + tick %% 3))
        native[tick] = calloc(one, two)  # CALLOC
        native[tick + 2000] = aligned(three, room)  # ALIGNED
        small[tick] = [(float(i), tick) for i in range(20)]  # SMALL
    if tick %% 2:
        hot.reverse()
    tick += 1
    time.sleep(0.004)
hot = None
print("done", flush=True)
sys.stdin.readline()
'''
# Blocks whose heads hold anything but what malloc had put there. The first two in a row are left alone, which malloc
# looks at when what is before them is freed.
HOSTILE = '''
import ctypes, random, struct, sys, time
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
print("ready", flush=True)
sys.stdin.readline()
blocks = sorted(libc.malloc(ctypes.c_size_t(900)) for i in range(3000))  # ROW
inner = [block for first, block, last in zip(blocks, blocks[2:], blocks[3:]) if last - first == 3 * 912]
end = time.monotonic() + %d
while time.monotonic() < end:
    hot = [b"x" * (600 + j * 7 %% 1500) for j in range(1500)]
    for address in random.sample(inner, 300):
        words = [random.choice((0, 1, 17, 33, 48, 917, 2**64 - 1, address, address - 928, random.getrandbits(64),
                                random.randrange(100000))) for i in range(3)]
        ctypes.memmove(address - 16, struct.pack("3Q", *words), 24)
    del hot
    time.sleep(0.004)
print("done", flush=True)
sys.stdin.readline()
'''
SECONDS = 9
PYTHONS = ("pyenv-3.8", "pyenv-3.12", "debian-3.11", "trixie-3.13", "sid-3.14", "sid-3.15")
# Every block of these stays.
KEPT = ("KEPT", "LARGE", "GROWN", "CALLOC", "ALIGNED", "SMALL")


def line_of(text, mark):
    return next(i for i, line in enumerate(text.splitlines(), 1) if line.endswith(f"# {mark}"))


def trace(env, text, rest, *options):
    """What is alive when the program is done, in seconds after that."""
    program = env.py.popen([env.py.script(text)], stdin=-1)
    env.wait_line(program, "ready")
    keelback = memory.start_keelback(env, "--growth", *options, "-p", program.pid, "-f", "jsonl", "--value", "live",
                                     "-o", env.tmp + "/out")
    program.stdin.write("\n")
    program.stdin.flush()
    env.wait_line(program, "done", timeout=60)
    time.sleep(rest)
    assert memory.end_keelback(keelback) == 0
    assert program.poll() is None
    return memory.Traced(env.tmp + "/out")


def check(env, rest, *options):
    text = PROGRAM % SECONDS
    traced = trace(env, text, rest, *options)
    lines = {}
    for row in traced.rows:
        blocks, total = lines.get(row["line"], (0, 0))
        lines[row["line"]] = blocks + row["blocks"], total + row["total_blocks"]
    print(traced.ledger, {mark: lines.get(line_of(text, mark)) for mark in KEPT + ("HOT",)})
    assert traced.ledger["good"] > 10000 and traced.ledger["paused_ms"] > 1000, traced.ledger
    assert traced.ledger["freed_unseen"] > 0, traced.ledger
    for mark in KEPT:
        blocks, total = lines.get(line_of(text, mark), (0, 0))
        assert blocks == total, (mark, blocks, total)
        assert total > 0 or mark in ("SMALL", "LARGE"), mark
    # None is alive. Caches of malloc keep up to 16 of each of 26 sizes, and where one was that was freed in a pause there may be
    # one of the same size that stays. Without looking there are 5,000 and more.
    blocks, total = lines.get(line_of(text, "HOT"), (0, 0))
    assert blocks < 1200, (blocks, total)


@per_python(where=lambda py: py.id in PYTHONS, timeout=120)
def test_beyond_the_rate(env):
    """Pauses because there is too much to be seen; at the end it is observed again."""
    check(env, 3)


@per_python(where=lambda py: py.id in PYTHONS, timeout=120)
def test_duty(env):
    """Pauses of four fifths of each second. It ends in one, most probably."""
    check(env, 0.5, "--duty", 20)


@per_python(where=lambda py: py.id in ("debian-3.11", "sid-3.14"), timeout=120)
def test_hostile(env):
    """What lies about its heap is judged wrongly, and that is all."""
    traced = trace(env, HOSTILE % SECONDS, 2)
    row = [row for row in traced.rows if row["line"] == line_of(HOSTILE, "ROW")]
    print(traced.ledger, row)
    assert sum(entry["blocks"] for entry in row) < sum(entry["total_blocks"] for entry in row)
    assert traced.ledger["freed_unseen"] > 0
