# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""usage: six.py SECONDS: six functions that do equal work in tiny calls, millions per second.

Where their code objects happen to lie makes one or the other up to a tenth slower (caches, branch prediction), which is
true of that process and no error of a profiler. So the functions are made anew every 5 ms, at other
addresses, and called in another order: what they take then differs by chance alone.
"""

import random
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


def round_robin(n, p, q, r, s, t, u):
    for x in range(n):
        p(x)
        q(x)
        r(x)
        s(x)
        t(x)
        u(x)


def copies(kept):
    """The functions with code objects of their own, in a random order, made among objects of random sizes."""
    made = []
    for function in random.sample(SIX, len(SIX)):
        kept.append(bytearray(random.randrange(400)))
        code = function.__code__
        made.append(type(function)(code.replace(co_name=code.co_name), globals()))
    return made


def main(seconds):
    now = time.monotonic()
    end = now + seconds
    while now < end:
        kept = []
        functions = copies(kept)
        until = now + 0.005
        while now < until:
            round_robin(200, *functions)
            now = time.monotonic()
    print("shares", *("tiny_%s=%.5f" % (name, 1 / 6) for name in "abcdef"), flush=True)


SIX = [tiny_a, tiny_b, tiny_c, tiny_d, tiny_e, tiny_f]

if __name__ == "__main__":
    print("ready", flush=True)
    sys.stdin.readline()
    main(float(sys.argv[1]))
