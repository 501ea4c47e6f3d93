# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The arithmetic of the benchmarks: no process, no file, no clock.

A slowdown is measured by switching a profiler on and off within one run of a program that notes its
progress, and comparing each window with the profiler with the two without it beside it. Ratios are
averaged as logarithms, so that noise pulls as much up as down.
"""

import bisect
import collections
import math
import statistics

# Neighbouring comparisons share the window between them: with equal noise in all windows their correlation is
# 1/6, and the variance of their mean 4/3 of what it were if they were independent.
SHARED_WINDOWS = 4 / 3

# An interrupt adds some 20 µs to pieces of work of 100 to 300 µs; a time slice lasts milliseconds.
STALLED = 5

Interval = collections.namedtuple("Interval", "mean low high n")


def t_quantile(p, df):
    """Quantile of Student's t distribution: Cornish and Fisher's expansion, good to 1 % for df ≥ 3."""
    z = statistics.NormalDist().inv_cdf(p)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / df ** (i + 1) for i, term in enumerate(terms))


def mean_interval(values, level=0.95, inflate=1.0):
    """Mean and confidence interval; `inflate` is a factor on the variance of the mean."""
    n = len(values)
    if n < 3:
        raise ValueError(f"{n} values are too few for an interval")
    mean = statistics.fmean(values)
    error = math.sqrt(statistics.variance(values) / n * inflate)
    margin = t_quantile((1 + level) / 2, n - 1) * error
    return Interval(mean, mean - margin, mean + margin, n)


def median_interval(values, level=0.95):
    """Median and its confidence interval, from the order of the values alone: `mean` is the median."""
    n, values = len(values), sorted(values)
    if n < 6:
        raise ValueError(f"{n} values are too few for an interval")
    # The median lies between the values at k and n - 1 - k unless k or fewer are on one side of it.
    k, missed = 0, 2 / 2**n
    while k < (n - 1) // 2:
        missed += 2 * math.comb(n, k + 1) / 2**n
        if missed > 1 - level:
            break
        k += 1
    return Interval(statistics.median(values), values[k], values[n - 1 - k], n)


def progress_at(times, when):
    """How many pieces of work were done at a time, by the (sorted) times at which each was, with fractions."""
    index = bisect.bisect_right(times, when)
    if index == 0 or index == len(times):
        raise ValueError("outside of the time that was noted")
    before, after = times[index - 1], times[index]
    return index + (when - before) / (after - before)


def speed(times, begin, end):
    """Pieces of work per second."""
    return (progress_at(times, end) - progress_at(times, begin)) / (end - begin)


def undisturbed_speed(times, begin, end, limit):
    """Pieces of work per second, from those that lie within the window and took no longer than `limit` seconds."""
    first, last = bisect.bisect_left(times, begin), bisect.bisect_right(times, end)
    took = [after - before for before, after in zip(times[first : last - 1], times[first + 1 : last])]
    took = [seconds for seconds in took if seconds <= limit]
    return len(took) / sum(took) if took else 0.0


def stall_limit(times):
    """What a piece of work only takes when another program had its CPU (or a hypervisor's other guest)."""
    return STALLED * statistics.median(after - before for before, after in zip(times, times[1:]))


def neighbours(on, window, guard):
    """For windows [begin, end] with the profiler: (before, itself, after) each, all cut by `guard` at both ends.

    What lies between two windows, and for one window's time before the first and after the last, is without it.
    """
    edges = [on[0][0] - window] + [edge for pair in on for edge in pair] + [on[-1][1] + window]
    spans = [(begin + guard, end - guard) for begin, end in zip(edges, edges[1:])]
    return [tuple(spans[i : i + 3]) for i in range(0, len(spans) - 2, 2)]


def log_ratios(times, on, window, guard, limit=None):
    """For each window with the profiler the logarithm of how much slower it was than its neighbours.

    With a limit pieces of work that took longer are left out, see stall_limit().
    """
    ratios = []
    for spans in neighbours(on, window, guard):
        if limit:
            speeds = [undisturbed_speed(times, *span, limit) for span in spans]
        else:
            speeds = [speed(times, *span) for span in spans]
        without, with_it = math.sqrt(speeds[0] * speeds[2]), speeds[1]
        if with_it <= 0 or without <= 0:
            raise ValueError("no progress in a whole window")
        ratios.append(math.log(without / with_it))
    return ratios


def slowdown(ratios):
    """Slowdown in percent of running time, from logarithms of ratios."""
    interval = mean_interval(ratios, inflate=SHARED_WINDOWS)
    percent = [100 * math.expm1(value) for value in interval[:3]]
    return Interval(*percent, interval.n)


def cost_per_thousand(slowdown_percent, on_seconds, profiler_cpu, samples):
    """ms of CPU of the whole machine for 1,000 samples: what the target lost and what the profiler used."""
    lost = on_seconds * (1 - 1 / (1 + slowdown_percent / 100))
    return (lost + profiler_cpu) * 1e6 / samples if samples else math.nan


def shares(stacks, names):
    """Share of each name among the samples with one of them; stacks: [(frames as (function, line), count)]."""
    counts = dict.fromkeys(names, 0)
    for frames, count in stacks:
        functions = {function for function, _ in frames}
        for name in functions & counts.keys():
            counts[name] += count
    total = sum(counts.values())
    return {name: count / total if total else math.nan for name, count in counts.items()}, total


def worst_error(measured, truth):
    """Largest difference, in percentage points."""
    return 100 * max(abs(measured[name] - truth[name]) for name in truth)


def spread(measured):
    """Between the largest and the smallest share, in percentage points."""
    return 100 * (max(measured.values()) - min(measured.values()))
