# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A leak in a server under load is named: by type, and by line."""

import os
import re

import leaking_servers
from harness import per_python

# A minute's watching, as documented in docs/TESTING.md; the tests look for a quarter of one.
SECONDS = int(os.environ.get("KEELBACK_LEAK_SECONDS", "15"))
PYTHONS = ("pyenv-3.8", "debian-3.11", "sid-3.14")


def check_line(env, server, name):
    """`memory --leaks`: the line that allocates what stays is the first."""
    out = env.keelback("memory", "-p", server.pid, "-d", SECONDS, "--leaks", "--limit", 8).stdout
    print(out)
    line = leaking_servers.leak_line(leaking_servers.SERVERS[name])
    rows = re.findall(r"^ *[\d.]+ [KMG]?i?B +(\d+) +([\d.]+)% +[\d.]+ s +[\d.]+ s  (.*)$", out, re.M)
    assert rows and f"server.py:{line} " in rows[0][2], out
    assert ("exact" in out) == ("stripped" not in env.py.traits), out


def check_type(env, server):
    """`census --every`: what grows most is the type that stays, and what comes and goes does not grow."""
    out = env.keelback("census", "-p", server.pid, "--every", max(SECONDS / 4, 3), "-d", SECONDS, "--limit", 8).stdout
    print(out)
    last = re.split(r"\n[\d.]+ s\n", out)[-1]
    rows = [line.split() for line in last.splitlines() if re.match(r" +\d.*[+-]", line)]
    grown = {row[-1].split(".")[-1]: [int(cell.replace(",", "")) for cell in row[:-1]] for row in rows}
    assert "Session" in grown, last
    objects, _, since_start, _, _ = grown["Session"]
    assert 0 < since_start < objects and abs(grown.get("Request", [0] * 3)[2]) <= 3, grown
    # Of the program's own types it is the first; a session's strings and lists are before it.
    own = [name for name in grown if name in ("Session", "Request", "Handler", "Template", "OrderedDict")]
    assert own[0] == "Session", own


def check(env, name):
    server, client = leaking_servers.start(env, name)
    check_line(env, server, name)
    check_type(env, server)
    assert server.poll() is None and client.poll() is None


@per_python(where=lambda py: py.id in PYTHONS, timeout=300)
def test_http_server(env):
    check(env, "http.server")


@per_python(where=lambda py: py.id in PYTHONS, timeout=300)
def test_wsgiref(env):
    check(env, "wsgiref")


@per_python(where=lambda py: py.id in PYTHONS, timeout=300)
def test_asyncio(env):
    check(env, "asyncio")
