# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Reads the formats that keelback exports, by the formats' own rules, for tests to compare."""

import collections
import json
import os
import re
import socket
import subprocess
import time
from pathlib import Path

from harness import REPO, TOOLS


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


# ---------------------------------------------------------------- gecko

NUMBER, INDEX = (int, float), (int, type(None))
MAYBE = (int, float, type(None))
COLORS = {"transparent", "purple", "green", "orange", "yellow", "lightblue", "blue", "brown", "magenta", "red", "lightred",
          "darkgrey", "grey"}
# Columns of the processed format, version 61 (firefox-devtools/profiler, src/types/profile.ts), with what their values may be.
TABLES = {
    "stackTable": {"frame": int, "prefix": INDEX},
    "frameTable": {"address": int, "inlineDepth": int, "category": INDEX, "subcategory": INDEX, "func": int,
                   "nativeSymbol": INDEX, "innerWindowID": INDEX, "line": INDEX, "column": INDEX},
    "funcTable": {"name": int, "isJS": bool, "relevantForJS": bool, "resource": int, "source": INDEX, "lineNumber": INDEX,
                  "columnNumber": INDEX},
    "resourceTable": {"lib": INDEX, "name": int, "host": INDEX, "type": int},
    "nativeSymbols": {"libIndex": int, "address": int, "name": int, "functionSize": INDEX},
    "sources": {"id": INDEX, "filename": int, "startLine": int, "startColumn": int, "sourceMapURL": INDEX},
}
MARKERS = {"data": dict, "name": int, "startTime": NUMBER, "endTime": MAYBE, "phase": int, "category": int}


def check_table(table, columns, optional=()):
    assert set(columns) <= set(table) <= {*columns, *optional, "length"}, set(table)
    for name in set(table) - {"length", "weightType"}:
        values = table[name]
        assert len(values) == table["length"], name
        assert all(isinstance(value, columns.get(name, MAYBE)) for value in values), name


def check_indices(indices, length, none=None):
    assert all(index == none or 0 <= index < length for index in indices)


def gecko(text):
    """Checks a file by the types of the processed profile format and returns it."""
    file = json.loads(text)
    meta, shared, libs, threads = (file[key] for key in ("meta", "shared", "libs", "threads"))
    assert set(file) == {"meta", "shared", "libs", "threads"}
    assert meta["preprocessedProfileVersion"] == 61 and isinstance(meta["version"], int)
    assert all(isinstance(meta[key], NUMBER) for key in ("interval", "startTime", "profilingStartTime", "profilingEndTime"))
    assert meta["symbolicated"] is True and meta["stackwalk"] == 1 and meta["interval"] > 0
    assert meta["sampleUnits"] == {"time": "ms", "eventDelay": "ms", "threadCPUDelta": "ns"}
    assert any(category["color"] == "grey" for category in meta["categories"])
    for category in meta["categories"]:
        assert category["color"] in COLORS and category["subcategories"] == ["Other"] and category["name"]
    schemas = {schema["name"]: {field["key"] for field in schema["fields"]} for schema in meta["markerSchema"]}
    for schema in meta["markerSchema"]:
        assert set(schema["display"]) <= {"marker-chart", "marker-table"} and isinstance(schema["description"], str)
        assert all(field["format"] in ("string", "integer") for field in schema["fields"])
    for section in meta["extra"]:
        assert all(set(entry) == {"label", "format", "value"} for entry in section["entries"])
    strings = shared["stringArray"]
    assert set(shared) == {*TABLES, "stringArray"} and len(set(strings)) == len(strings)
    for name, columns in TABLES.items():
        check_table(shared[name], columns)
    stacks, frames, funcs, resources = (shared[key] for key in ("stackTable", "frameTable", "funcTable", "resourceTable"))
    check_indices(stacks["frame"], frames["length"])
    assert all(prefix is None or prefix < i for i, prefix in enumerate(stacks["prefix"])), "a caller behind its callee"
    check_indices(frames["func"], funcs["length"])
    check_indices(frames["category"], len(meta["categories"]))
    check_indices(funcs["name"], len(strings))
    check_indices(funcs["resource"], resources["length"], -1)
    check_indices(funcs["source"], shared["sources"]["length"])
    check_indices(resources["lib"], len(libs))
    check_indices(resources["name"] + shared["sources"]["filename"], len(strings))
    for lib in libs:
        assert set(lib) == {"arch", "name", "path", "debugName", "debugPath", "breakpadId", "codeId"}, lib
    assert threads
    for thread in threads:
        check_thread(thread, stacks["length"], strings, len(meta["categories"]), schemas)
    return file


def check_thread(thread, n_stacks, strings, n_categories, schemas):
    assert isinstance(thread["pid"], str) and isinstance(thread["tid"], int) and isinstance(thread["name"], str)
    assert isinstance(thread["isMainThread"], bool) and thread["processType"] == "default" and thread["pausedRanges"] == []
    assert isinstance(thread["processStartupTime"], NUMBER) and thread["processShutdownTime"] is None
    assert isinstance(thread["registerTime"], NUMBER) and thread["unregisterTime"] is None
    samples, markers = thread["samples"], thread["markers"]
    if samples["weight"] is None:
        assert samples["length"] == 0
        samples = {**samples, "weight": []}
    check_table(samples, {"stack": INDEX, "time": NUMBER, "weight": NUMBER}, ("weightType", "threadCPUDelta"))
    assert samples["weightType"] in ("samples", "tracing-ms")
    check_indices(samples["stack"], n_stacks)
    assert samples["time"] == sorted(samples["time"]) and min(samples["time"], default=0) >= 0
    check_table(markers, MARKERS)
    check_indices(markers["name"], len(strings))
    check_indices(markers["category"], n_categories)
    assert set(markers["phase"]) <= {1} and markers["startTime"] == sorted(markers["startTime"])
    assert all(start <= end for start, end in zip(markers["startTime"], markers["endTime"]))
    assert all(set(data) - {"type"} <= schemas[data["type"]] for data in markers["data"])


def gecko_stacks(file, thread):
    """{names from the root: weight} of a thread."""
    shared, stacks = file["shared"], {}
    names = [shared["stringArray"][name] for name in shared["funcTable"]["name"]]
    paths = []
    for frame, prefix in zip(shared["stackTable"]["frame"], shared["stackTable"]["prefix"]):
        above = () if prefix is None else paths[prefix]
        paths.append((*above, names[shared["frameTable"]["func"][frame]]))
    for stack, weight in zip(thread["samples"]["stack"], thread["samples"]["weight"] or []):
        stacks[paths[stack]] = stacks.get(paths[stack], 0) + weight
    return stacks


def gecko_markers(file, thread):
    """[(name, start, end, category)] of a thread."""
    strings, categories = file["shared"]["stringArray"], file["meta"]["categories"]
    table = thread["markers"]
    return [(strings[name], start, end, categories[category]["name"]) for name, start, end, category
            in zip(table["name"], table["startTime"], table["endTime"], table["category"])]


class ProfilerCli:
    """The Firefox Profiler's own code with a file loaded, in a process that answers questions.

    `profiler-cli load` starts it, too, but waits only half a second for it.
    """

    def __init__(self, env, path):
        version = subprocess.run(["node", "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout
        if int(version[1:].split(".")[0]) < 20:
            env.skip(f"the Firefox Profiler's loader needs Node.js 20, this is {version.strip()}")
        self.command = ["node", str(npm_tool(env, "profiler-cli") / "dist" / "profiler-cli.js")]
        self.directory = Path(env.temp_dir("sessions"))
        self.environment = {**os.environ, "HOME": str(env.tmp), "PROFILER_CLI_NO_SYMBOLICATE": "1",
                            "PROFILER_CLI_SESSION_DIR": str(self.directory)}
        self.path = path

    def try_run(self, *args):
        return subprocess.run([*self.command, *map(str, args), "--session", "test"], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, env=self.environment, timeout=60)

    def run(self, *args):
        done = self.try_run(*args)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def ask(self, *args):
        return json.loads(self.run(*args, "--json"))

    def __enter__(self):
        self.process = subprocess.Popen([*self.command, "--daemon", str(self.path), "--session", "test"],
                                        stdout=subprocess.DEVNULL, env=self.environment)
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _wait(self):
        """Until it listens (asked earlier, it would be taken for gone and cleaned up), then until the file is loaded."""
        deadline = time.monotonic() + 60
        listens = loaded = False
        while not loaded:
            assert self.process.poll() is None, "the loader ended"
            assert time.monotonic() < deadline, "the file was not loaded"
            time.sleep(0.1)
            if not listens:
                with socket.socket(socket.AF_UNIX) as connection:
                    listens = connection.connect_ex(str(self.directory / "test.sock")) == 0
            else:
                done = self.try_run("profile", "info")
                loaded = done.returncode == 0
                assert loaded or "oading" in done.stdout, done.stdout

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
