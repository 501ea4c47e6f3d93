# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""usage: native.py FRAMES LOG

As steady.py, but the work is that of C libraries: compression, hashes, JSON, regular expressions, a database.
"""

import array
import hashlib
import json
import re
import signal
import sqlite3
import sys
import time
import zlib

from steady import TIMES_MAX, Terminated, terminate

DATA = bytes(range(256)) * 16
TEXT = json.dumps([{"a": i, "b": [1, 2, 3]} for i in range(30)])
SUBJECT = "ab" * 20 + "c"


def leaf(times):
    clock = time.monotonic
    database = sqlite3.connect(":memory:")
    database.execute("create table t(a int)")
    database.executemany("insert into t values(?)", [(i,) for i in range(100)])
    for index in range(len(times)):
        zlib.compress(DATA)
        hashlib.sha512(DATA).digest()
        json.loads(TEXT)
        re.search("(a|b)*d", SUBJECT)
        database.execute("select sum(a * a) from t").fetchall()
        times[index] = clock()


def down(n, times):
    if n:
        down(n - 1, times)
    else:
        leaf(times)


def main(frames, path):
    times = array.array("d", bytes(8 * TIMES_MAX))
    signal.signal(signal.SIGTERM, terminate)
    try:
        print("ready", flush=True)
        down(frames - 4, times)
    except Terminated:
        with open(path, "wb") as file:
            file.write(times.tobytes().rstrip(b"\0"))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
