#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Enforces who may include whom (docs/ARCHITECTURE.md, "Layers").

A file in user/LAYER includes its own directory, earlier layers, bpf/shared and the public headers. The
command line and the live view stand on the public interface alone, and bpf/shared on nothing. No includes
in a circle. Prints `file:line: message` and exits 1 when a rule is broken.
"""

import argparse
import re
import sys
from pathlib import Path

# In order; the members of one group may not include each other.
LAYERS = [
    ["base"],
    ["system"],
    ["python", "kernel"],
    ["symbols"],
    ["model"],
    ["format"],
    ["collect"],
    ["inspect", "export"],
    ["api"],
    ["tui"],
    ["cli"],
]
LEVEL = {name: level for level, group in enumerate(LAYERS) for name in group}

# What these may include of user/ besides their own directory. `cli` starts the live view.
OUTSIDE = {"tui": {"base"}, "cli": {"base", "tui"}}

# bpf/shared is compiled by both sides and for recorded memory: only headers that exist for all of them.
SHARED_SYSTEM_HEADERS = {"linux/types.h", "stdbool.h", "stddef.h", "stdint.h"}

# Made by the build, in no layer.
GENERATED = re.compile(r"(^|/)embed/|\.skel\.h$|\.pb-c\.h$")

INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)')
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


def zone(path):
    """The part of the tree that a path belongs to: a layer's name, "shared", "public" or "elsewhere"."""
    parts = path.parts
    if parts[:1] == ("user",) and len(parts) > 2:
        return parts[1]
    if parts[:2] == ("bpf", "shared"):
        return "shared"
    if parts[:2] == ("include", "keelback"):
        return "public"
    return "elsewhere"


def why_not(path, target):
    """Why the file may not include the target, or None if it may."""
    here, there = zone(path), zone(target)
    if here == there or there == "public" and here != "shared":
        return None
    if here in ("shared", "public"):
        return f"{path.parent} includes nothing outside itself"
    if there == "shared":
        return f"user/{here} stands on the public interface: no bpf/shared" if here in OUTSIDE else None
    if there not in LEVEL:
        return f"{target} belongs to no layer that user/ may include"
    if here not in LEVEL:
        return f"user/{here} is not a layer"
    if here in OUTSIDE:
        if there in OUTSIDE[here]:
            return None
        return f"user/{here} stands on the public interface: no user/{there}"
    if LEVEL[there] == LEVEL[here]:
        return f"user/{here} and user/{there} are siblings"
    return f"user/{here} is below user/{there}" if LEVEL[there] > LEVEL[here] else None


class Checker:
    """Reads the tree below root once; messages collects what is wrong with it."""

    def __init__(self, root):
        self.root = root
        self.messages = []
        self.edges = {}  # path: [(line, included path)], for the search for circles

    def check(self):
        files = [
            path.relative_to(self.root)
            for top in ("user", "include", "bpf/shared")
            for path in sorted((self.root / top).rglob("*.[ch]"))
        ]
        for path in files:
            self.check_file(path)
        self.check_circles()
        return self.messages

    def say(self, path, line, message):
        self.messages.append(f"{path}:{line}: {message}")

    def check_file(self, path):
        edges = self.edges[path] = []
        # Comments go, their line ends stay.
        text = COMMENT.sub(lambda m: "\n" * m[0].count("\n"), (self.root / path).read_text(errors="replace"))
        for number, line in enumerate(text.splitlines(), 1):
            match = INCLUDE.match(line)
            if match and match[1]:
                self.check_include(path, number, match[1], edges)
            elif match and zone(path) == "shared" and match[2] not in SHARED_SYSTEM_HEADERS:
                self.say(path, number, f"bpf/shared includes nothing outside itself: no <{match[2]}>")

    def check_include(self, path, number, name, edges):
        target = self.resolve(path, name)
        if target is None:
            if not GENERATED.search(name):
                self.say(path, number, f'"{name}" is not found')
            return
        edges.append((number, target))
        reason = why_not(path, target)
        if reason:
            self.say(path, number, f'may not include "{name}": {reason}')

    def resolve(self, path, name):
        """The included file as a path below root, found as the compiler does it."""
        for base in (self.root / path.parent, self.root / "user", self.root / "include", self.root):
            target = (base / name).resolve()
            if target.is_file() and self.root in target.parents:
                return target.relative_to(self.root)
        return None

    def check_circles(self):
        """Depth first; an include of a file that is still being visited closes a circle."""
        state = {}  # path: True while being visited, False afterwards

        def visit(path, trail):
            state[path] = True
            for number, target in self.edges.get(path, ()):
                if state.get(target):
                    circle = trail[trail.index(target) :] + [target]
                    self.say(path, number, "includes in a circle: " + " → ".join(map(str, circle)))
                elif target not in state:
                    visit(target, trail + [target])
            state[path] = False

        for path in self.edges:
            if path not in state:
                visit(path, [path])


def main():
    parser = argparse.ArgumentParser(description="Checks who includes whom.")
    parser.add_argument("root", nargs="?", default=Path(__file__).parent.parent, type=Path, help="the tree to check")
    messages = Checker(parser.parse_args().root.resolve()).check()
    for message in messages:
        print(message)
    return 1 if messages else 0


if __name__ == "__main__":
    sys.exit(main())
