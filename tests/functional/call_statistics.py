# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Files of call statistics from each Python's own cProfile and profile, and what its pstats makes of them."""

import json

# Writes five files into a directory: parts of the standard library at work under cProfile, and one under profile.
# The argument "again" profiles some of it a second time, for what is to be added.
RECORD = r"""
import ast, asyncio, cProfile, io, json.decoder, profile, re, sys, tokenize
from os import path
import _pydecimal
directory = sys.argv[1]

def run_json():
    data = {str(i): [i, {"x": i / 3}, None, "\u00e4"] for i in range(40)}
    for _ in range(3):
        assert json.loads(json.dumps(data, indent=1, sort_keys=True)) == data
    return json.dumps(data, cls=json.JSONEncoder, default=str)

def run_parsers():
    with open(json.decoder.__file__, "rb") as file:
        source = file.read()
    list(tokenize.tokenize(io.BytesIO(source).readline))
    for node in ast.walk(ast.parse("def f(x, *y):\n    return [z for z in y if z > x]\n" * 20)):
        ast.dump(node)

def run_re():
    re.purge()
    for pattern in (r"(a|b)*c[0-9]+(?P<x>\w+?)", r"^(?:\d{1,3}\.){3}\d{1,3}$", r"[^\s,;]+"):
        re.compile(pattern).sub("-", "abc12 10.0.0.1 x,y;z")

def run_decimal():
    total = _pydecimal.Decimal(1)
    for i in range(1, 12):
        total = (total * i + _pydecimal.Decimal(i).sqrt()) / 3
    return str(total)

async def chatter(n):
    if n:
        await asyncio.sleep(0)
        await asyncio.gather(*[chatter(n - 1) for _ in range(2)])

def run_asyncio():
    loop = asyncio.new_event_loop()
    loop.run_until_complete(chatter(4))
    loop.close()

def recurse(n):
    return n if n < 2 else recurse(n - 1) + other(n - 2)

def other(n):
    return recurse(n)

def run_recursion():
    recurse(12)

for name in ("json", "parsers", "re", "decimal", "asyncio", "recursion"):
    profiler = cProfile.Profile()
    profiler.runcall(globals()["run_" + name])
    profiler.dump_stats(path.join(directory, name + ".pstats"))
profiler = profile.Profile()
profiler.runcall(run_recursion)
profiler.dump_stats(path.join(directory, "profile.pstats"))
"""

# Reads a list of requests from stdin; prints the list of answers. strip_dirs() is mended: where callers get the same
# name, pstats keeps the last one and forgets the others.
SHOW = r"""
import io, json, os, pstats, sys

class Stats(pstats.Stats):
    def strip_dirs(self):
        for func, (cc, nc, tt, ct, callers) in list(self.stats.items()):
            merged = {}
            for caller, value in callers.items():
                caller = (os.path.basename(caller[0]),) + tuple(caller[1:])
                if caller in merged and isinstance(value, tuple):
                    value = tuple(i + j for i, j in zip(value, merged[caller]))
                elif caller in merged:
                    value += merged[caller]
                merged[caller] = value
            self.stats[func] = cc, nc, tt, ct, merged
        return super().strip_dirs()

def plain(stats):
    return sorted([list(f), list(v[:4]), sorted([list(c), x] for c, x in v[4].items())] for f, v in stats.items())

def answer(request):
    out = io.StringIO()
    stats = Stats(request["files"][0], stream=out)
    for more in request["files"][1:]:
        stats.add(more)
    if request.get("strip"):
        stats.strip_dirs()
    if request.get("sort"):
        stats.sort_stats(*request["sort"])
    if request.get("reverse"):
        stats.reverse_order()
    view = request.get("view", "stats")
    if view == "dict":
        return plain(stats.stats)
    if view == "profile":
        done = stats.get_stats_profile()
        return [done.total_tt, {name: vars(value) for name, value in done.func_profiles.items()}]
    getattr(stats, "print_" + view)(*request.get("restrict", []))
    return out.getvalue()

print(json.dumps([answer(request) for request in json.load(sys.stdin)]))
"""

NAMES = ("json", "parsers", "re", "decimal", "asyncio", "recursion", "profile")
UTC = {"TZ": "UTC", "LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "utf-8"}


def record(env, name="first"):
    """Files by name, made by env.py."""
    directory = env.temp_dir(name)
    env.py.run([env.py.script(RECORD, "record.py"), directory])
    return {name: f"{directory}/{name}.pstats" for name in NAMES}


def pstats(env, requests, python=None):
    """What the pstats of env.py, or of another Python, answers."""
    python = python or env.py
    process = python.popen([python.script(SHOW, "show.py")], stdin=-1, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **UTC})
    output, _ = process.communicate(json.dumps(requests))
    assert process.returncode == 0, f"pstats of {python.id} ended with status {process.returncode}"
    return json.loads(output)


def options(request):
    """The command line of a request."""
    args = ["stats", *request["files"]]
    if request.get("sort"):
        args += ["--sort", ",".join(map(str, request["sort"]))]
    args += ["--strip-dirs"] if request.get("strip") else []
    args += ["--reverse"] if request.get("reverse") and request.get("sort") else []
    args += ["--" + request["view"]] if request.get("view") in ("callers", "callees") else []
    for what in request.get("restrict", []):
        args += ["--restrict", str(what)]
    return args
