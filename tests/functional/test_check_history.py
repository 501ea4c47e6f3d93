# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Histories of checks, made here as any program could make them: where a metric moved, and that noise does not."""

import json
import random
import re
from pathlib import Path

from harness import once

MACHINE = {"architecture": "x86_64", "cpu": "a CPU", "cpus": 2}


def entry(i, **metrics):
    """A line of a history; metrics by name: a value of head, or a pair of base's and head's runs."""
    runs = {name: {"base": value[0], "head": value[1]} if isinstance(value, tuple) else {"base": [value], "head": [value]}
            for name, value in metrics.items()}
    return {"keelback_check": 1, "time": 1_790_000_000 + i * 3600, "label": f"commit{i}", "machine": MACHINE,
            "python": {"base": "3.12.1", "head": "3.12.1"}, "metrics": runs}


def write(env, entries, name="history.jsonl", end="\n"):
    path = Path(env.tmp, name)
    path.write_text("\n".join(json.dumps(e) for e in entries) + end)
    return path


def look(env, path, *args, status=0):
    done = env.keelback("check", "--against-history", path, "--json", *args, check=False)
    assert done.returncode == status, done
    trend = json.loads(done.stdout)
    return trend, {metric["metric"]: metric for metric in trend["metrics"]}


@once
def test_change_point(env):
    """60 commits: CPU time moves by 6 % at one, calls by one at another, peak RSS only varies."""
    noise = random.Random(1)
    entries = [entry(i, cpu=([1.0] * 5, [(1.06 if i >= 34 else 1) * noise.gauss(1, 0.01) for _ in range(5)]),
                     rss=noise.gauss(5e7, 1e6), calls=1000 + (i >= 47)) for i in range(60)]
    for i, e in enumerate(entries):
        e["functions"] = [{"name": "work", "file": "app.py", "line": 3, "seconds": 0.4 + (0.06 if i >= 34 else 0)},
                          {"name": "main", "file": "app.py", "line": 9, "seconds": 0.3}]
    path = write(env, entries)
    trend, metrics = look(env, path)
    assert trend["label"] == "commit59" and set(metrics) == {"cpu", "rss", "calls"}
    (change,) = metrics["cpu"]["changes"]
    assert change["label"] == "commit34" and change["last"] == "commit33" and change["time"] == entries[34]["time"]
    assert change["low"] < 0.06 < change["high"] and change["low"] > 0.03 and change["p"] <= 0.01, change
    assert (change["n_before"], change["n_after"]) == (34, 26)
    assert [f["name"] for f in change["functions"]] == ["work"], change["functions"]
    assert metrics["rss"]["changes"] == []
    (step,) = metrics["calls"]["changes"]
    assert step["label"] == "commit47" and abs(step["change"] - 0.001) < 1e-9
    text = env.keelback("check", "--against-history", path).stdout
    assert re.search(r"moved at commit34 \(2026-09-23 .* UTC\) by \+[56]\.\d% \(\+.*%\): .* in 34 checks up to commit33, .* in 26 since; p ", text), text
    assert "work (app.py:3)" in text and "main (app.py" not in text, text


@once
def test_noise_only(env):
    """50 histories without a change, of three kinds of noise. At 99 % one in a hundred may show one; 5 of 50 are less
    likely than 1 in 500."""
    kinds = (lambda r: r.gauss(1, 0.05), lambda r: r.uniform(0.8, 1.2), lambda r: r.lognormvariate(0, 0.2))
    changes = regressions = 0
    for seed in range(50):
        noise = random.Random(seed)
        path = write(env, [entry(i, cpu=kinds[seed % 3](noise)) for i in range(60)])
        done = env.keelback("check", "--against-history", path, "--json", "--threshold", "0.1%", check=False)
        changes += bool(json.loads(done.stdout)["metrics"][0]["changes"])
        regressions += done.returncode == 3
    print(f"{changes} changes and {regressions} regressions in 50 histories of noise")
    assert changes < 5 and regressions < 5


@once
def test_regression_of_the_newest(env):
    noise = random.Random(2)
    entries = [entry(i, cpu=noise.gauss(1, 0.01)) for i in range(20)]
    look(env, write(env, entries))
    entries.append(entry(20, cpu=1.1))
    path = write(env, entries)
    trend, metrics = look(env, path, status=3)
    assert trend["verdict"] == "regression" and metrics["cpu"]["since"] == "commit20"
    assert 0.04 < metrics["cpu"]["low"] < 0.1 < metrics["cpu"]["high"] < 0.16
    # Not with a threshold above it, nor where it is not gated.
    assert look(env, path, "--threshold", "20%")[0]["verdict"] == "no-change"
    assert look(env, path, "--threshold", "cpu=off")[0]["verdict"] == "no-change"
    # It is one until it is what is normal.
    entries += [entry(i, cpu=noise.gauss(1.1, 0.01)) for i in range(21, 25)]
    assert look(env, write(env, entries), status=3)[1]["cpu"]["since"] == "commit20"
    entries += [entry(i, cpu=noise.gauss(1.1, 0.01)) for i in range(25, 28)]
    _, metrics = look(env, write(env, entries))
    assert metrics["cpu"]["level"]["first"] == "commit20" and [c["label"] for c in metrics["cpu"]["changes"]] == ["commit20"]


@once
def test_one_base_on_many_machines(env):
    """Twofold differences between machines hide nothing when head is compared with the same base on each."""
    noise = random.Random(3)
    entries = []
    for i in range(40):
        speed = noise.uniform(1, 3)
        runs = [speed * noise.gauss(1, 0.002) for _ in range(10)]
        entries.append({**entry(i, cpu=(runs, [r * (1.02 if i >= 30 else 1) * noise.gauss(1, 0.002) for r in runs])),
                        "machine": {**MACHINE, "cpu": f"CPU {i}"}, "base_label": "v1.0"})
    _, metrics = look(env, write(env, entries))
    (change,) = metrics["cpu"]["changes"]
    assert metrics["cpu"]["ratio"] and change["label"] == "commit30" and abs(change["change"] - 0.02) < 0.003
    for e in entries:
        del e["base_label"]
    _, metrics = look(env, write(env, entries))
    assert metrics["cpu"]["left_out"] == 39 and metrics["cpu"]["verdict"] == "cannot-tell" and metrics["cpu"]["level"] is None


@once
def test_wrong_histories(env):
    good = json.dumps(entry(1, cpu=1))
    cases = [
        ("", 2, "the history has no entry"),
        ("\n\n", 2, "the history has no entry"),
        (good + "\nnonsense\n" + good, 1, "history.jsonl', line 2: not JSON"),
        (good + "\n" + good.replace('"keelback_check": 1', '"keelback_check": 9'), 1, "line 2: written by a newer keelback"),
        (good + "\n" + good.replace("[1]", '["1"]'), 1, "line 2: .*must be a list of numbers"),
        ("\0" * 100, 1, "line 1: not JSON"),
    ]
    path = Path(env.tmp, "history.jsonl")
    for content, status, pattern in cases:
        path.write_text(content)
        done = env.keelback("check", "--against-history", path, check=False)
        assert done.returncode == status and done.stdout == "" and re.search(pattern, done.stderr), (content[:50], done)
        assert len(done.stderr.splitlines()) == 1, done.stderr
    with path.open("wb") as file:
        file.truncate(65 << 20)
    done = env.keelback("check", "--against-history", path, check=False)
    assert done.returncode == 1 and "larger than" in done.stderr, done
    # What a crash cut off is left out, and that is said.
    path = write(env, [entry(i, cpu=1) for i in range(8)], end="\n" + good[:60])
    done = env.keelback("check", "--against-history", path)
    assert "1 lines were cut off" in done.stderr and "commit7 is no change" in done.stdout, done


@once
def test_hostile_labels(env):
    entries = [{**entry(i, cpu=1.0 + (i > 10)), "label": f"\x1b[31m\n{i}\u202e"} for i in range(20)]
    done = env.keelback("check", "--against-history", write(env, entries))
    assert "\x1b" not in done.stdout and "\u202e" not in done.stdout and "moved at \ufffd[31m\ufffd11\ufffd" in done.stdout, done.stdout
