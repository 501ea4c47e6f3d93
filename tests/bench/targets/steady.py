# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""usage: steady.py FRAMES LOG

Does the same small work again and again at the bottom of a stack of FRAMES frames, and notes when it did
each: the density of these times is its speed. Runs until SIGTERM, then writes the times to LOG as native
doubles of CLOCK_MONOTONIC. For Python 3.6 and later.
"""

import array
import signal
import sys
import time

TIMES_MAX = 2000000  # minutes, on any machine


class Terminated(BaseException):
    pass


def terminate(signum, frame):
    raise Terminated


def leaf(times):
    clock = time.monotonic
    index = 0
    n = len(times)
    while index < n:
        x = 0
        for i in range(2500):
            x = (x + i) & 255
            x = x ^ 21
        times[index] = clock()
        index += 1


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
        down(frames - 4, times)  # beside down itself: the module, main, leaf
    except Terminated:
        with open(path, "wb") as file:
            file.write(times.tobytes().rstrip(b"\0"))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
