# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Formats for other tools, each looked at with the tool that opens it, and all against collapsed stacks."""

import base64
import functools
import json
import re
import time
from pathlib import Path

import exports
from browser import Browser
from exports import collapsed, make_profile, sums
from harness import once, per_python

PROFILES = ("small", "mixed", "timeline", "hostile", "large", "empty")
IN_NS = ("mixed", "timeline")


def write(env, name, *args):
    path = Path(env.tmp, name)
    path.write_bytes(make_profile(*args))
    return path


def stacks_of(name, *options):
    """The collapsed stacks of a profile, in its own unit: in profiles of time they are written in microseconds."""
    scale = 1000 if name in IN_NS else 1
    return [(frames, count * scale) for frames, count in collapsed(make_profile(name, "collapsed", *options).decode())]


@functools.lru_cache(None)
def function_and_line(frame):
    """("f", 3) of "f (a.py:3)", for names that have no bracket in them."""
    match = re.fullmatch(r"(.*?)(?: \(.*?(?::(\d+))?\))?", frame)
    return match[1], int(match[2] or 0)


def names_of(frames):
    return tuple(function_and_line(frame)[0] for frame in frames)


# ---------------------------------------------------------------- pprof


@once(timeout=180)
def test_pprof_numbers(env):
    """go tool pprof reads every profile; stacks, lines and sums are those of the collapsed file."""
    for name in PROFILES:
        path = write(env, name + ".pb.gz", name, "pprof")
        expected = stacks_of(name, "lines")
        types, samples, locations = exports.pprof_raw(env, path)
        assert types == (["wall/nanoseconds"] if name in IN_NS else ["samples/count", "cpu/nanoseconds"]), types
        assert sum(values[0] for values, _, _ in samples) == sum(count for _, count in expected), name
        if name not in IN_NS:
            assert all(values[1] == values[0] * 1000000 for values, _, _ in samples), name
        if name in ("hostile", "empty"):
            continue  # collapsed stacks write names in another way
        stacks = {}
        for values, path, _ in samples:
            key = tuple(locations[id][0] for id in reversed(path))
            stacks[key] = stacks.get(key, 0) + values[0]
        wanted = {}
        for frames, count in expected:
            wanted[names_of(frames)] = wanted.get(names_of(frames), 0) + count
        assert stacks == wanted, name
        lines = {(function, line) for function, _, line, _ in locations.values()}
        assert lines == {function_and_line(frame) for frame in {frame for frames, _ in expected for frame in frames}}, name


@once
def test_pprof_views(env):
    path = write(env, "small.pb.gz", "small", "pprof")
    top = exports.pprof(env, path, "-top", "-nodefraction=0")
    for line in (r"1200ms 53\.76% 53\.76%     1200ms 53\.76%  dumps", r"707ms 31\.68% 85\.44%      707ms 31\.68%  walk",
                 r"200ms  8\.96% 94\.40%     1500ms 67\.20%  Server\.serve", r"25ms .* 2225ms 99\.69%  <module>"):
        assert re.search(line, top), top
    assert "Type: cpu" in top and "Duration: 4.02s" in top and "File: python 3.12.1" in top, top
    tags = exports.pprof(env, path, "-tags")
    for line in (r"2\.2s \(98\.88%\): 100$", r"2\.0s \(89\.61%\): 100$", r"207\.0ms \( 9\.27%\): worker-1$", r": 3\.12\.1$"):
        assert re.search(line, tags, re.M), tags
    only = exports.pprof(env, path, "-top", "-nodefraction=0", "-tagfocus=tid=101")
    assert re.search(r"200ms .*dumps", only) and "info" not in only, only
    traces = exports.pprof(env, path, "-traces")
    assert re.search(r"200ms   walk\n +walk\n +walk\n +<module>\n", traces), traces
    raw = exports.pprof(env, path, "-raw")
    for line in ("samples attempted: 2247", "no_frame: 12", "Period: 1000000", "PeriodType: cpu nanoseconds"):
        assert line in raw, raw
    assert "/srv/shop/app.py:22 s=20" in raw, raw
    grouped = exports.pprof(env, write(env, "g.pb.gz", "small", "pprof", "threads", "processes"), "-traces")
    assert re.search(r"Server\.serve\n +<module>\n +thread 101 worker-1\n +process 100 python3\n", grouped), grouped


@once
def test_pprof_native_code(env):
    """Native and kernel frames have mappings of their own, so pprof can tell the files apart."""
    raw = exports.pprof(env, write(env, "mixed.pb.gz", "mixed", "pprof"), "-raw")
    mappings = dict(re.findall(r"^(\d+): 0x0/0x0/0x0 (\S.*?) +\[F", raw.split("Mappings\n")[1], re.M)[::-1])
    found = {name: mappings[id] for id, name in re.findall(r" M=(\d+) (\S+) ", raw)}
    assert found["deflate"] == "/usr/lib/libz.so.1" and found["zlib_compress"] == "/usr/lib/zlib.so", found
    assert found["clear_page_erms"] == "[kernel.kallsyms]" and found["pack"].startswith("python"), found
    tags = exports.pprof(env, Path(env.tmp, "mixed.pb.gz"), "-tags")
    assert re.search(r"opcode: .*\n +300\.0ms .*: BINARY_OP_ADD_INT\n +100\.0ms .*: LOAD_FAST\n", tags), tags
    assert re.search(r": packer_1$", tags, re.M) and re.search(r": MainThread$", tags, re.M), tags


# ---------------------------------------------------------------- callgrind


@once(timeout=180)
def test_callgrind_costs(env):
    """callgrind_annotate's exclusive and inclusive costs are the samples that a function is the leaf of, and is in."""
    for name in ("small", "mixed", "large"):
        path = write(env, "callgrind.out." + name, name, "callgrind")
        # By name: native code's file is an object there.
        stacks = [(names_of(frames), count) for frames, count in stacks_of(name)]
        own, inclusive = sums(stacks)
        for expected, options in ((own, []), (inclusive, ["--inclusive=yes"])):
            costs, total = exports.callgrind_annotate(path, *options)
            found = {}
            for (_, function), count in costs.items():
                if name != "small" or function != "<module>":
                    found[function] = found.get(function, 0) + count
            assert found.pop("(all)", total) == total == sum(own.values()), name
            expected = {f: n for f, n in expected.items() if n and (name != "small" or f != "<module>")}
            assert {f: n for f, n in found.items() if n} == expected, (name, options)


@once
def test_callgrind_text(env):
    text = make_profile("small", "callgrind").decode()
    assert "desc: Calls: not counted" in text and "no_frame 12" in text
    assert "events: Samples ns\nsummary: 2232 2232000000\n" in text and "totals: 2232 2232000000\n" in text
    assert "event: ns : nanoseconds (mode cpu)\n" in text
    assert "events: ns\n" in make_profile("mixed", "callgrind").decode()
    # A target's names stay within their line and are never the first of it.
    for line in make_profile("hostile", "callgrind", "threads", "processes").decode().splitlines():
        assert re.match(r"(# callgrind format|(version|creator|pid|cmd|part|desc|positions|events?|summary|totals): .*"
                        r"|c?(ob|fl|fi|fn)=\(\d+\)( .*)?|calls=1 \d+|\d+ \d+ \d+|)$", line), line
        assert line.isprintable(), line
    costs, _ = exports.callgrind_annotate(write(env, "t", "small", "callgrind", "threads", "processes"), "--inclusive=yes")
    assert costs["???", "thread 101 worker-1"] == 207 and costs["???", "process 100 python3"] == 2207, costs


# ---------------------------------------------------------------- JSON lines


@once(timeout=180)
def test_jsonl_sums(env):
    """A reader that knows the types of 3.15 alone gets the sums of the collapsed stacks, and so do our own records."""
    for name in PROFILES:
        text = make_profile(name, "jsonl").decode()
        total, costs = exports.jsonl_sums(text)
        expected = stacks_of(name, "lines")
        assert total == sum(count for _, count in expected) == sum(own for own, _ in costs.values()), name
        stacks = [(frames, count) for frames, _, count in exports.jsonl_stacks(text)]
        own, inclusive = sums(stacks)
        assert {frame: (own[frame], inclusive[frame]) for frame in inclusive} == costs, name
        if name not in ("hostile", "empty"):
            wanted_own, wanted = sums(expected)
            assert sorted(zip(map(wanted_own.get, wanted, [0] * len(wanted)), wanted.values())) == sorted(costs.values()), name
    records = exports.jsonl(make_profile("small", "jsonl").decode())
    assert [thread["tid"] for thread in records["thread"]] == [100, 101, 200] and len(records["process"]) == 2
    ledger = {entry["name"]: entry["count"] for entry in records["ledger"][0]["entries"]}
    assert records["ledger"][0]["attempted"] == 2247 and ledger["no_frame"] == 12 and ledger["good"] == 2225
    assert records["meta"][0]["mode"] == "cpu" and records["meta"][0]["sample_interval_usec"] == 1000
    records = exports.jsonl(make_profile("mixed", "jsonl").decode())
    assert records["meta"][0]["unit"] == "nanoseconds"
    opcodes = {stack.get("opcode") for record in records["stack_table"] for stack in record["stacks"]}
    assert opcodes == {"BINARY_OP_ADD_INT", "LOAD_FAST", None}, opcodes


@once
def test_jsonl_hostile(env):
    text = make_profile("hostile", "jsonl").decode()
    assert all(line.isprintable() for line in text.splitlines())
    _, costs = exports.jsonl_sums(text)
    names = {name for name, _, _ in costs}
    assert "a;b c\nd 12\r\te" in names and "\033[31mred\033]0;title\007" in names, "names are kept as they are"


@per_python(where=lambda py: py.version == (3, 15), timeout=120)
def test_jsonl_reader_of_315(env):
    """The reader of these tests reads what profiling.sampling itself writes, so what it reads of ours is that format."""
    path = Path(env.tmp, "own.jsonl")
    program = "import time\ndef spin():\n    end = time.monotonic() + 0.7\n    while time.monotonic() < end:\n        pass\nspin()\n"
    script = env.py.script(program)
    env.py.run(["-m", "profiling.sampling", "run", "-r", "1khz", "--jsonl", "-o", str(path), script])
    total, costs = exports.jsonl_sums(path.read_text())
    assert total > 100 and total == sum(own for own, _ in costs.values()), costs
    assert sum(own for place, (own, _) in costs.items() if place[:2] == ("spin", script)) > total / 2, costs


# ---------------------------------------------------------------- speedscope


@once(timeout=180)
def test_speedscope_rules(env):
    for name in PROFILES:
        file = exports.speedscope(make_profile(name, "speedscope"))
        stacks = stacks_of(name, "lines")
        first, unit = file["profiles"][0], 1e9 if name in IN_NS else 1e3
        assert first["unit"] == "seconds"
        assert abs(first["endValue"] * unit - sum(count for _, count in stacks)) < 1e-3, name
        if len(file["profiles"]) > 1:
            assert first["name"] == "all threads"
            assert abs(first["endValue"] - sum(p["endValue"] for p in file["profiles"][1:])) < 1e-6, name
        texts = [frame["name"] for frame in file["shared"]["frames"]]
        assert not any("thread 3" in text for text in texts)
    file = exports.speedscope(make_profile("small", "speedscope", "threads", "processes", "lines"))
    frames = file["shared"]["frames"]
    names = {tuple(frames[i]["name"] for i in sample) for sample in file["profiles"][0]["samples"]}
    assert ("process 100 python3", "thread 101 worker-1", "<module>", "Server.serve", "dumps") in names, names
    assert {"name": "walk", "file": "/srv/shop/app.py", "line": 24} in frames, frames
    assert [p["name"] for p in file["profiles"]][1] == "process 100 python3, thread 100 python3"


@once
def test_speedscope_timeline(env):
    """Single samples of a thread stand in the order of time, with those of one stack that follow each other as one."""
    for options, first in (([], ()), (["threads"], ("thread 700 MainThread",))):
        file = exports.speedscope(make_profile("timeline", "speedscope", *options))
        names = [frame["name"] for frame in file["shared"]["frames"]]
        main = next(p for p in file["profiles"] if p["name"] == "process 700 python3, thread 700 MainThread")
        stacks = [tuple(names[frame] for frame in stack) for stack in main["samples"]]
        assert stacks == [(*first, "<module>", *rest) for rest in (["work"], ["work"], ["wait"], ["work", "<GC>"], ["handle"])]
        assert main["weights"] == [0.06, 0.04, 0.05, 0.02, 0.01], main["weights"]


def open_speedscope(browser, env, directory, path):
    """Opens a file the way speedscope's own command does: with a script that hands it to the page."""
    content = base64.b64encode(path.read_bytes()).decode()
    script = Path(env.tmp, "load.js")
    script.write_text(f"speedscope.loadFileFromBase64({json.dumps(path.name)}, {json.dumps(content)})")
    browser.open(directory / "dist" / "release" / "index.html", f"#localProfilePath={script}")


def wait_for(browser, text, seconds=30):
    end = time.monotonic() + seconds
    while text not in browser.run("return document.body.innerText"):
        assert time.monotonic() < end, f"no {text!r} in {browser.run('return document.body.innerText')}"
        time.sleep(0.1)
    return browser.run("return document.body.innerText")


@once(timeout=180)
def test_speedscope_opens(env):
    """The real speedscope shows the threads and, in its table, every function with its times."""
    directory = exports.npm_tool(env, "speedscope")
    path = write(env, "small.speedscope.json", "small", "speedscope")
    with Browser(env.temp_dir("browser")) as browser:
        open_speedscope(browser, env, directory, path)
        wait_for(browser, "all threads (1/4)")
        assert browser.run("return document.title").startswith("python3 app.py")
        browser.keys("3")  # its table of functions
        text = " ".join(wait_for(browser, "Server.serve").split())
        for row in ("1.20s (54%) 1.20s (54%) dumps", "707.00ms (32%) 707.00ms (32%) walk",
                    "1.50s (67%) 200.00ms (9.0%) Server.serve", "2.20s (99%) 0.00ns (<0.01%) <module>"):
            assert row in text, text
        browser.keys("n")
        text = " ".join(wait_for(browser, "process 100 python3, thread 100 python3 (2/4)").split())
        assert "1.00s (50%) 1.00s (50%) dumps" in text, text
        errors = [line for line in browser.console() if "rror" in line and "WebGL" not in line]
        assert not errors, errors
        path = write(env, "hostile.speedscope.json", "hostile", "speedscope")
        browser.command("/url", {"url": "about:blank"})
        open_speedscope(browser, env, directory, path)
        browser.keys("3")
        wait_for(browser, "größe_日本語_🐍")
        assert browser.run("return window.hacked") is None


# ---------------------------------------------------------------- gecko


@once
def test_gecko_rules(env):
    """Types and sums; without single samples each stack of a thread is one, in preorder."""
    for name in PROFILES:
        file = exports.gecko(make_profile(name, "gecko"))
        if name in ("hostile", "large", "empty"):
            continue  # names that collapsed stacks write in another way, and long stacks for a slow test
        stacks = {}
        for thread in file["threads"]:
            for stack, weight in exports.gecko_stacks(file, thread).items():
                stack = stack[:-1] if stack[-1] == "(off CPU)" else stack
                stacks[stack] = stacks.get(stack, 0) + weight
        wanted, scale = {}, 1e6 if name in IN_NS else 1
        for frames, count in stacks_of(name):
            wanted[names_of(frames)] = wanted.get(names_of(frames), 0) + count / scale
        assert stacks == wanted, name
    names = [thread["name"] for thread in exports.gecko(make_profile("mixed", "gecko"))["threads"]]
    assert names == ["MainThread", "packer_1"], names
    file = exports.gecko(make_profile("mixed", "gecko"))
    shared = file["shared"]
    kinds = {}
    for func, category in zip(shared["frameTable"]["func"], shared["frameTable"]["category"]):
        kinds[shared["stringArray"][shared["funcTable"]["name"][func]]] = file["meta"]["categories"][category]["name"]
    for function, category in {"pack": "Python", "deflate": "Native", "clear_page_erms": "Kernel", "<native>": "Native",
                               "<GC>": "GC", "(off CPU)": "Idle"}.items():
        assert kinds[function] == category, kinds
    assert [lib["path"] for lib in file["libs"]] == ["/usr/lib/zlib.so", "/usr/lib/libz.so.1", "kernel"], file["libs"]


@once
def test_gecko_timeline(env):
    """Single samples stand at their times; what is known of them are markers, and waiting is no computing."""
    file = exports.gecko(make_profile("timeline", "gecko"))
    main, worker = file["threads"]
    assert exports.gecko_markers(file, main) == [
        ("GIL held", 0, 100, "GIL"), ("LOAD_FAST", 0, 60, "Python"), ("BINARY_OP", 60, 100, "Python"),
        ("Off CPU", 100, 150, "Idle"), ("GIL held", 150, 170, "GIL"), ("GC", 150, 170, "GC"),
        ("GIL held", 300, 310, "GIL"), ("Exception", 300, 310, "Exception")]
    assert exports.gecko_markers(file, worker) == [("Off CPU", 0, 150, "Idle")]
    stacks = exports.gecko_stacks(file, main)
    assert stacks["<module>", "wait", "(off CPU)"] == 50 and ("<module>", "wait") not in stacks, stacks
    assert main["samples"]["time"][99:103] == [99, 100, 150, 151], "in the order of time, not of arrival"
    # All of the first 100 ms, nothing while it waits, and no more than a sample's share in the gap before 300 ms.
    cpu = dict(zip(main["samples"]["time"], main["samples"]["threadCPUDelta"]))
    assert sum(cpu[at] for at in range(1, 101)) == 100e6 and cpu[150] == 0 and cpu[300] == 1e6, cpu


@once(timeout=180)
def test_gecko_opens(env):
    """The Firefox Profiler's own code loads the files and finds the same sums, threads and markers."""
    with exports.ProfilerCli(env, write(env, "small.gecko.json", "small", "gecko")) as profiler:
        found = {f["name"]: (f["selfSamples"], f["totalSamples"]) for f in profiler.ask("thread", "functions")["functions"]}
        assert found == {"dumps": (1000, 1000), "walk": (700, 700), "Server.serve": (200, 1300), "info": (100, 100),
                         "<module>": (0, 2000)}, found
        meta = profiler.run("profile", "meta")
        assert "Imported from: keelback" in meta and "attempted: 2,247" in meta and "no_frame: 12" in meta, meta
        assert "worker-1 [tid 101]" in profiler.run("profile", "info", "--all")
    with exports.ProfilerCli(env, write(env, "timeline.gecko.json", "timeline", "gecko")) as profiler:
        found = {f["name"]: f["selfSamples"] for f in profiler.ask("thread", "functions")["functions"]}
        assert found == {"work": 100, "<GC>": 20, "handle": 10, "<module>": 0}, f"waiting is idle: {found}"
        markers = profiler.run("thread", "markers")
        assert re.search(r"GIL held +3 markers", markers) and re.search(r"Off CPU +1 markers .*min=50ms", markers), markers
    with exports.ProfilerCli(env, write(env, "hostile.gecko.json", "hostile", "gecko")) as profiler:
        found = {f["name"]: f["selfSamples"] for f in profiler.ask("thread", "functions")["functions"]}
        assert found["größe_日本語_🐍"] == 12 and found["a;b c\nd 12\r\te"] == 16, found


# ---------------------------------------------------------------- all of them


@once(timeout=180)
def test_deep_stacks(env):
    """Twenty thousand frames are no problem, and recursion counts once: 20 samples are in both functions."""
    _, samples, _ = exports.pprof_raw(env, write(env, "deep.pb.gz", "deep", "pprof"))
    assert max(len(path) for _, path, _ in samples) == 20000 and len(samples) == 20
    costs, total = exports.callgrind_annotate(write(env, "callgrind.out.deep", "deep", "callgrind"), "--inclusive=yes")
    assert {name: count for (_, name), count in costs.items()} == {"(all)": 20, "odd": 20, "even": 20} and total == 20
    _, costs = exports.jsonl_sums(make_profile("deep", "jsonl").decode())
    assert sorted(costs.values()) == [(7, 20), (13, 20)], costs
    assert exports.speedscope(make_profile("deep", "speedscope"))["profiles"][0]["endValue"] == 0.02
    assert exports.gecko(make_profile("deep", "gecko"))["shared"]["stackTable"]["length"] == 20000


# ---------------------------------------------------------------- a recording of a real program

PROGRAM = """
import threading, time
def leaf(n):
    return sum(i * i for i in range(n))
def work(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        leaf(200)
thread = threading.Thread(target=work, args=(0.6,), name="second")
thread.start()
work(0.6)
thread.join()
"""


@once(timeout=120)
def test_recording_to_all(env):
    """One recording of a real program: convert makes all formats of it by the file's ending, with the same sums."""
    python = env.python("3.12")
    recording = Path(env.tmp, "run.kb")
    env.keelback("sample", "-o", recording, "--", *python.command([python.script(PROGRAM)]))

    def convert(name, *options):
        path = Path(env.tmp, name)
        env.keelback("convert", recording, "-o", path, *options)
        return path

    total = sum(count for _, count in collapsed(convert("run.folded").read_text()))
    assert total > 100, total
    _, samples, locations = exports.pprof_raw(env, convert("run.pb.gz"))
    assert sum(values[0] for values, _, _ in samples) == total
    assert {"work", "leaf"} <= {name.split(".")[-1] for name, _, _, _ in locations.values()}
    assert len({labels["tid"] for _, _, labels in samples}) == 2
    costs, annotated = exports.callgrind_annotate(convert("callgrind.out.1"), "--inclusive=yes")
    assert annotated == total == sum(own for own, _ in exports.jsonl_sums(convert("run.jsonl").read_text())[1].values())
    assert sum(n for (_, function), n in costs.items() if function == "work") > total / 2
    file = exports.gecko(convert("run.gecko.json").read_text())
    weights = sum(sum(exports.gecko_stacks(file, thread).values()) for thread in file["threads"])
    assert weights == total and len(file["threads"]) == 2, weights
    file = exports.speedscope(convert("run.speedscope.json").read_text())
    assert len(file["profiles"]) == 3 and file["profiles"][0]["endValue"] > 0.1


STEPS = """
import time
def compute():
    end = time.thread_time() + 0.2
    while time.thread_time() < end:
        pass
def rest():
    time.sleep(0.3)
compute()
rest()
"""


@once(timeout=120)
def test_recording_with_times(env):
    """A wait stands in the timeline where it was, and the sums stay what they are; gecko asks for single samples itself."""
    python = env.python("3.12")
    recording, direct = Path(env.tmp, "run.kb"), Path(env.tmp, "direct.gecko.json")
    command = python.command([python.script(STEPS)])
    env.keelback("sample", "--mode", "wall", "--timeline", "-o", recording, "--", *command)
    file = exports.gecko(env.keelback("convert", recording, "-f", "gecko").stdout)
    (thread,) = file["threads"]
    stacks = exports.gecko_stacks(file, thread)
    rested = sum(weight for stack, weight in stacks.items() if stack[-2:] == ("rest", "(off CPU)"))
    assert 299 < rested < 2000, stacks
    computed = sum(weight for stack, weight in stacks.items() if stack[-1] == "compute")
    assert 150 < computed < 300, stacks
    waits = [(start, end) for name, start, end, _ in exports.gecko_markers(file, thread) if name == "Off CPU" and end - start > 299]
    assert waits, "no marker for the longest wait"
    assert not any(start < at < end for start, end in waits for at in thread["samples"]["time"]), "it computes while it waits"
    collapsed_us = sum(count for _, count in collapsed(env.keelback("convert", recording, "-f", "collapsed").stdout))
    assert abs(sum(stacks.values()) - collapsed_us / 1000) < 1 + 0.01 * sum(stacks.values()), "sums differ"
    env.keelback("sample", "-o", direct, "--", *command)
    file = exports.gecko(direct.read_text())
    assert any(name == "GIL held" for name, *_ in exports.gecko_markers(file, file["threads"][0]))
    assert "threadCPUDelta" in file["threads"][0]["samples"]
