# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Reads the formats that keelback exports, by the formats' own rules, for tests to compare."""

import collections
import json
import os
import re
import subprocess
from pathlib import Path

from harness import REPO

TOOLS = Path(os.environ.get("KEELBACK_TOOLS", REPO / "build" / "tests" / "tools"))


def make_profile(*args):
    """A profile that is always the same (tests/tools/make_profile.c), in a format."""
    return subprocess.run([TOOLS / "make_profile", *args], stdout=subprocess.PIPE, check=True).stdout


def npm_tool(env, name):
    """The directory of a viewer that npm installs; skips when it cannot be had."""
    done = subprocess.run([REPO / "scripts" / "npm-tools.sh", name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode == 4:
        env.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


def collapsed(text):
    """[(frames from the root to the leaf, count)] of collapsed stacks."""
    pairs = (line.rsplit(" ", 1) for line in text.splitlines())
    return [(tuple(stack.split(";")), int(count)) for stack, count in pairs]


def sums(stacks):
    """(self, inclusive) counts by frame; a stack counts once for a frame however often that is in it."""
    own, inclusive = collections.Counter(), collections.Counter()
    for frames, count in stacks:
        own[frames[-1]] += count
        for frame in set(frames):
            inclusive[frame] += count
    return own, inclusive


# ---------------------------------------------------------------- pprof


def pprof(env, path, *options):
    """What `go tool pprof` prints. Its complaints fail the test."""
    done = subprocess.run(["go", "tool", "pprof", *options, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, env={**os.environ, "HOME": str(env.tmp), "PPROF_TMPDIR": str(env.tmp)})
    complaints = [line for line in done.stderr.splitlines() if "as range, not regexp" not in line]
    assert done.returncode == 0 and not complaints, done.stderr
    return done.stdout


def pprof_raw(env, path):
    """(sample types, [(values, [location id from the leaf], labels)], {location id: (function, file, line)}) of -raw."""
    text = pprof(env, path, "-raw")
    head, rest = text.split("Samples:\n", 1)
    types, body = rest.split("\n", 1)
    samples_text, rest = body.split("Locations\n", 1)
    samples = []
    for line in samples_text.splitlines():
        match = re.match(r"^([ \d]+): ([\d ]*)$", line)
        if match:
            samples.append(([int(v) for v in match[1].split()], [int(v) for v in match[2].split()], {}))
        else:
            samples[-1][2].update(re.findall(r"(\w+):\[([^]]*)\]", line))
    locations = {}
    for line in rest.split("Mappings\n")[0].splitlines():
        match = re.match(r"^ *(\d+): 0x0 (?:M=\d+ )?(.*) (\S*):(-?\d+) s=(-?\d+)", line)
        assert match, line
        locations[int(match[1])] = (match[2], match[3], int(match[4]), int(match[5]))
    return [t.split("[")[0] for t in types.split()], samples, locations


# ---------------------------------------------------------------- callgrind


def callgrind_annotate(path, *options):
    """{(file, function): cost of the first event} as callgrind_annotate sees it, and the total."""
    done = subprocess.run(["callgrind_annotate", "--auto=no", "--threshold=100", *options, str(path)], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == 0 and not done.stderr, done.stderr
    costs, total = {}, None
    for line in done.stdout.splitlines():
        match = re.match(r"^ *([\d,]+) \( *[\d.]+%\)(?: +[\d,]+ \( *[\d.]+%\))? +(\S.*)$", line)
        if not match:
            continue
        count = int(match[1].replace(",", ""))
        if match[2] == "PROGRAM TOTALS":
            total = count
        else:
            place = re.match(r"^(.*?):(.*?)(?: \[.*\])?$", match[2])
            costs[place[1], place[2]] = count
    return costs, total


# ---------------------------------------------------------------- JSON lines


def jsonl(text, known=None):
    """Records by type, chunks joined. known: types that the reader knows, all others are passed over."""
    records = collections.defaultdict(list)
    lines = [json.loads(line) for line in text.splitlines()]
    assert lines[0]["type"] == "meta" and lines[-1]["type"] == "end"
    assert len({(line["run_id"], line["v"]) for line in lines}) == 1 and lines[0]["v"] == 0
    assert re.fullmatch("[0-9a-f]{32}", lines[0]["run_id"]), lines[0]
    for line in lines:
        if known is None or line["type"] in known:
            records[line["type"]].append(line)
    return records


TYPES_OF_315 = {"meta", "string_table", "frame_table", "agg", "end"}


def jsonl_sums(text):
    """What a reader of profiling.sampling's files (3.15) makes of a file: total, and (self, cumulative) by frame."""
    records = jsonl(text, TYPES_OF_315)
    assert len(records["meta"]) == len(records["end"]) == 1
    assert isinstance(records["meta"][0]["sample_interval_usec"], int)
    strings = {entry["str_id"]: entry["value"] for record in records["string_table"] for entry in record["strings"]}
    frames = {}
    for record in records["frame_table"]:
        for frame in record["frames"]:
            assert all(isinstance(frame[key], int) for key in ("frame_id", "path_str_id", "func_str_id", "line"))
            columns = tuple(frame[key] for key in ("end_line", "col", "end_col") if key in frame)
            place = (strings[frame["func_str_id"]], strings[frame["path_str_id"]], frame["line"])
            frames[frame["frame_id"]] = (*place, columns) if columns else place
    assert sorted(frames) == list(range(len(frames))) and sorted(strings) == list(range(len(strings)))
    total, costs = records["end"][0]["samples_total"], {}
    for record in records["agg"]:
        assert (record["kind"], record["scope"], record["samples_total"]) == ("frame", "final", total)
        assert len(record["entries"]) <= 256
        for entry in record["entries"]:
            assert frames[entry["frame_id"]] not in costs, "a frame twice"
            costs[frames[entry["frame_id"]]] = (entry["self"], entry["cumulative"])
    return total, costs


def jsonl_stacks(text):
    """[(frames from the root, thread id, count)] from keelback's own records."""
    records = jsonl(text)
    strings = {entry["str_id"]: entry["value"] for record in records["string_table"] for entry in record["strings"]}
    frames = {f["frame_id"]: (strings[f["func_str_id"]], strings[f["path_str_id"]], f["line"])
              for record in records["frame_table"] for f in record["frames"]}
    stacks = {}
    for record in records["stack_table"]:
        for entry in record["stacks"]:
            above = stacks[entry["parent_id"]] if "parent_id" in entry else ()
            stacks[entry["stack_id"]] = (*above, frames[entry["frame_id"]])
    return [(stacks[entry["stack_id"]], entry["thread_id"], entry["count"])
            for record in records["stack_agg"] for entry in record["entries"]]


# ---------------------------------------------------------------- speedscope


def speedscope(text):
    """Checks a file by speedscope's rules (src/lib/file-format-spec.ts) and returns it."""
    file = json.loads(text)
    assert file["$schema"] == "https://www.speedscope.app/file-format-schema.json"
    assert set(file) <= {"$schema", "shared", "profiles", "name", "activeProfileIndex", "exporter"}, set(file)
    assert isinstance(file["exporter"], str) and isinstance(file["name"], str)
    frames = file["shared"]["frames"]
    for frame in frames:
        assert isinstance(frame["name"], str) and set(frame) <= {"name", "file", "line", "col"}, frame
        assert isinstance(frame.get("file", ""), str) and isinstance(frame.get("line", 1), int), frame
    assert file["profiles"] and 0 <= file["activeProfileIndex"] < len(file["profiles"])
    for profile in file["profiles"]:
        assert set(profile) == {"type", "name", "unit", "startValue", "endValue", "samples", "weights"}, set(profile)
        assert profile["type"] == "sampled" and profile["unit"] in ("seconds", "none")
        assert len(profile["samples"]) == len(profile["weights"])
        assert all(weight > 0 for weight in profile["weights"])
        assert all(0 <= frame < len(frames) for sample in profile["samples"] for frame in sample)
        assert profile["startValue"] == 0
        assert abs(profile["endValue"] - sum(profile["weights"])) < 1e-6 * (1 + profile["endValue"])
    return file
