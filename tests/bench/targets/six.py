# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""usage: six.py SECONDS: six functions that do equal work in tiny calls, millions per second."""

import sys
import time


def tiny_a(x):
    x = x * 3 & 1023
    return x ^ 5


def tiny_b(x):
    x = x * 3 & 1023
    return x ^ 5


def tiny_c(x):
    x = x * 3 & 1023
    return x ^ 5


def tiny_d(x):
    x = x * 3 & 1023
    return x ^ 5


def tiny_e(x):
    x = x * 3 & 1023
    return x ^ 5


def tiny_f(x):
    x = x * 3 & 1023
    return x ^ 5


def round_robin(n):
    for x in range(n):
        tiny_a(x)
        tiny_b(x)
        tiny_c(x)
        tiny_d(x)
        tiny_e(x)
        tiny_f(x)


def main(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        round_robin(1000)
    print("shares", *("tiny_%s=%.5f" % (name, 1 / 6) for name in "abcdef"), flush=True)


if __name__ == "__main__":
    print("ready", flush=True)
    sys.stdin.readline()
    main(float(sys.argv[1]))
