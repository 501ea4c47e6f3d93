# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""tests/bench/bench_stats.py: intervals that cover, windows that pair, shares that add up."""

import math
import random
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bench"))

import bench_stats  # noqa: E402
import report  # noqa: E402
from contenders import Austin, Keelback, parse_stacks  # noqa: E402


def progress(on, slower, end=12.0, noise=0.0, seed=1):
    """Times of a program that does 1,000 pieces of work a second, fewer within the windows `on`."""
    draw = random.Random(seed)
    times, when = [], 0.0
    while when < end:
        inside = any(begin <= when < stop for begin, stop in on)
        when += 0.001 * (1 + slower if inside else 1) * (1 + draw.gauss(0, noise))
        times.append(when)
    return times


class Quantiles(unittest.TestCase):
    def test_table(self):
        for df, expected in ((3, 3.182), (5, 2.571), (9, 2.262), (30, 2.042), (1000, 1.962)):
            self.assertAlmostEqual(bench_stats.t_quantile(0.975, df), expected, delta=expected / 100)

    def test_too_few_values(self):
        with self.assertRaises(ValueError):
            bench_stats.mean_interval([1.0, 2.0])

    def test_coverage(self):
        draw = random.Random(7)
        covered = 0
        for _ in range(1000):
            interval = bench_stats.mean_interval([draw.gauss(5, 2) for _ in range(10)])
            covered += interval.low <= 5 <= interval.high
        self.assertAlmostEqual(covered / 1000, 0.95, delta=0.025)


class Medians(unittest.TestCase):
    def test_coverage(self):
        draw = random.Random(7)
        for n in (6, 9, 20):
            covered = 0
            for _ in range(1000):
                interval = bench_stats.median_interval([draw.expovariate(1) for _ in range(n)])
                self.assertTrue(interval.low <= interval.mean <= interval.high)
                covered += interval.low <= math.log(2) <= interval.high
            self.assertGreater(covered / 1000, 0.93)

    def test_all_values_of_few(self):
        self.assertEqual(bench_stats.median_interval([3, 1, 2, 6, 5, 4])[:3], (3.5, 1, 6))
        with self.assertRaises(ValueError):
            bench_stats.median_interval([1.0] * 5)


class Windows(unittest.TestCase):
    ON = [(1.15 + 0.3 * i, 1.30 + 0.3 * i) for i in range(30)]

    def test_progress_between_two_notes(self):
        self.assertAlmostEqual(bench_stats.progress_at([1.0, 2.0, 3.0], 2.25), 2.25)
        for outside in (0.5, 3.5):
            with self.assertRaises(ValueError):
                bench_stats.progress_at([1.0, 2.0, 3.0], outside)

    def test_neighbours_are_off(self):
        triples = bench_stats.neighbours(self.ON, 0.15, 0.01)
        self.assertEqual(len(triples), len(self.ON))
        for (begin, end), (before, inside, after) in zip(self.ON, triples):
            self.assertAlmostEqual(inside[0], begin + 0.01)
            self.assertAlmostEqual(inside[1], end - 0.01)
            self.assertAlmostEqual(before[1], begin - 0.01)
            self.assertAlmostEqual(before[0], begin - 0.14)
            self.assertAlmostEqual(after[1] - after[0], 0.13)

    def test_known_slowdown(self):
        for slower in (0.0, 0.02, 1.0):
            times = progress(self.ON, slower, noise=0.1)
            result = bench_stats.slowdown(bench_stats.log_ratios(times, self.ON, 0.15, 0.01))
            self.assertLess(abs(result.mean - 100 * slower), 1.0)
            self.assertLess(result.low, result.mean)
            self.assertEqual(result.n, len(self.ON))

    def test_stalls_can_be_left_out(self):
        """Time slices of other programs hit windows at random and by far more than what is measured."""
        draw = random.Random(3)
        times, shift = [], 0.0
        for when in progress(self.ON, 0.02, noise=0.05):
            shift += 0.03 if draw.random() < 0.002 else 0
            times.append(when + shift)
        limit = bench_stats.stall_limit(times)
        self.assertAlmostEqual(limit, 0.005, delta=0.0005)
        on = [pair for pair in self.ON if pair[1] < 10]
        shifted = [  # the windows move with the program's progress only where there are no stalls
            bench_stats.undisturbed_speed(times, begin, end, limit) for begin, end in on
        ]
        self.assertTrue(all(900 < speed < 1100 for speed in shifted))
        self.assertEqual(bench_stats.undisturbed_speed(times, 3.0, 3.0001, limit), 0.0)

    def test_interval_covers_with_shared_windows(self):
        covered = 0
        for seed in range(30):
            times = progress(self.ON, 0.03, noise=0.3, seed=seed)
            result = bench_stats.slowdown(bench_stats.log_ratios(times, self.ON, 0.15, 0.01))
            covered += result.low <= 3 <= result.high
        self.assertGreaterEqual(covered, 25)

    def test_a_program_that_speeds_up_is_no_slowdown(self):
        """A trend hits both neighbours alike."""
        times, when = [], 0.0
        while when < 12:
            when += 0.001 / (1 + when / 10)
            times.append(when)
        result = bench_stats.slowdown(bench_stats.log_ratios(times, self.ON, 0.15, 0.01))
        self.assertLess(abs(result.mean), 0.1)


class Costs(unittest.TestCase):
    def test_target_and_profiler_are_added(self):
        # Of 10 s the target lost 1 (11.1 % slower), the profiler used 1 more, for 10,000 samples.
        self.assertAlmostEqual(bench_stats.cost_per_thousand(100 / 9, 10, 1, 10000), 200)

    def test_no_samples(self):
        self.assertTrue(math.isnan(bench_stats.cost_per_thousand(1, 1, 1, 0)))


class Shares(unittest.TestCase):
    STACKS = [
        ([("<module>", 9), ("main", 5), ("a", 1)], 30),
        ([("<module>", 9), ("main", 6), ("b", 2), ("a", 1)], 0),
        ([("<module>", 9), ("main", 6), ("b", 2)], 10),
        ([("<module>", 9), ("main", 7)], 60),
    ]

    def test_only_named_functions_count(self):
        measured, total = bench_stats.shares(self.STACKS, ("a", "b"))
        self.assertEqual(total, 40)
        self.assertEqual(measured, {"a": 0.75, "b": 0.25})

    def test_errors_in_points(self):
        self.assertAlmostEqual(bench_stats.worst_error({"a": 0.75, "b": 0.25}, {"a": 0.7, "b": 0.3}), 5)
        self.assertAlmostEqual(bench_stats.spread({"a": 0.75, "b": 0.25}), 50)


class Report(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = Path(directory.name, "sub", "BENCHMARKS.md")

    def test_only_what_is_between_the_marks_is_replaced(self):
        report.write(self.path, "first")
        self.path.write_text("by hand\n" + self.path.read_text() + "at the end\n")
        report.write(self.path, "second")
        text = self.path.read_text()
        self.assertTrue(text.startswith("by hand\n# Benchmarks"))
        self.assertTrue(text.endswith(f"second\n{report.END}\nat the end\n"))
        self.assertNotIn("first", text)
        self.assertEqual(text.count(report.BEGIN), 1)

    def test_goals_say_what_falls_short(self):
        goals = report.Goals()
        goals.at_most("memory", 63.9, 64, "MiB")
        self.assertIn("All 1 goals were reached", goals.text())
        goals.at_most("CPU", 0.6, 0.5, "%")
        self.assertIn("1 of 2 goals were not reached in this run: CPU (0.60 %).", goals.text())
        self.assertIn("| CPU | ≤ 0.5 % | 0.60 % | **not reached** |", goals.text())

    def test_stacks_of_keelback(self):
        self.path.parent.mkdir()
        self.path.write_text("<module> (/t/a b.py:7);A.f (x) (/t/a b.py:3);<truncated> 5\nno_line (/t/c.py) 1\n")
        stacks = parse_stacks(self.path, Keelback.FRAME, (2, 1, 3))
        self.assertEqual(stacks[1], ([("/t/c.py", "no_line", 0)], 1))
        frames, count = stacks[0]
        self.assertEqual(count, 5)
        self.assertEqual(frames[0], ("/t/a b.py", "<module>", 7))
        self.assertEqual(frames[1], ("/t/a b.py", "A.f (x)", 3))
        self.assertEqual(frames[2], ("", "<truncated>", 0))

    def test_invalid_stacks_of_austin(self):
        self.path.parent.mkdir()
        self.path.write_text("# mode: wall\n\nP1;T0:1;/t/a.py:f:3 1000\nP1;T0:1;:INVALID:;/t/a.py:f:3 1000\n")
        stacks = parse_stacks(self.path, Austin.FRAME, (1, 2, 3), metric=True)
        self.assertEqual(stacks, [([("/t/a.py", "f", 3)], 1)])


if __name__ == "__main__":
    unittest.main()
