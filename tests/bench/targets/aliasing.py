# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""usage: aliasing.py SECONDS

Has a rhythm of exactly 100 µs, 30 in one function and 70 in another: a profiler that looks every 100 µs, or
every millisecond, always looks at the same place of it.
"""

import sys
import time

UNIT = 100e-6
FIRST = 30e-6


def spin_first(end):
    clock = time.perf_counter
    while clock() < end:
        pass


def spin_second(end):
    clock = time.perf_counter
    while clock() < end:
        pass


def main(seconds):
    clock = time.perf_counter
    # CPU time of the thread, without a function of its own: that would be part of the truth and not of the samples.
    used, thread = time.clock_gettime, time.CLOCK_THREAD_CPUTIME_ID
    first = second = 0.0
    begin = unit = clock()
    while unit < begin + seconds:
        start = used(thread)
        spin_first(unit + FIRST)
        middle = used(thread)
        spin_second(unit + UNIT)
        first += middle - start
        second += used(thread) - middle
        unit += UNIT
        # Something else had the CPU: no catching up, and no new rhythm either. A profiler's own
        # interrupt must not set the rhythm that it is measured against.
        while clock() - unit > FIRST:
            unit += UNIT
    total = first + second
    print("shares spin_first=%.5f spin_second=%.5f" % (first / total, second / total), flush=True)


if __name__ == "__main__":
    print("ready", flush=True)
    sys.stdin.readline()
    main(float(sys.argv[1]))
