# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""docs/COMPARISON.md names every option of the other tools, and nothing of keelback that it does not have."""

import re
import subprocess

from harness import MATRIX, REPO, once, per_python

TEXT = (REPO / "docs" / "COMPARISON.md").read_text()


def rows(title):
    """The rows of the table below a heading, as lists of cells."""
    section = next(part for part in TEXT.split("\n## ") if part.startswith(title))
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def spans(cell):
    return re.findall(r"`([^`]*)`", cell)


def options_of(help):
    """The names of each option in the help of argparse or argp: [{"-o", "--output"}, …]."""
    found = []
    for line in help.splitlines():
        match = re.match(r"^  +(-\S(?:[ ,].*|$)|--\S.*)", line)
        if match:
            names = re.match(r"(-[^\s,=]+(?: [A-Z{][^\s,]*)?(?:, )?)+", match[1])
            found.append(set(re.findall(r"(?<![\w-])--?[\w?-]+", names[0])))
    return found


@per_python(where=lambda py: py.version == (3, 15))
def test_profiling_sampling_is_complete(env):
    table = [(set(spans(option)), commands.split()) for option, commands, *_ in rows("profiling.sampling")]
    seen = set()
    for command in ("run", "attach", "dump", "replay"):
        help = env.py.run(["-m", "profiling.sampling", command, "--help"])
        options = options_of(help)
        assert len(options) > 3 and {"-h", "--help"} in options, f"nothing found in the help of {command}: {help}"
        for names in options:
            assert any(names <= listed and command in commands for listed, commands in table), f"{command}: {names} has no row"
            seen |= {(name, command) for name in names}
    for listed, commands in table:
        extra = {(name, command) for name in listed for command in commands if name.startswith("-")} - seen
        assert not extra, f"3.15 does not have {extra}"


@once
def test_austin_is_complete(env):
    peers = subprocess.run([MATRIX, "peers"], stdout=subprocess.PIPE, text=True, check=True).stdout
    found = [line.split("\t") for line in peers.splitlines() if line.startswith("austin\t")]
    if not found:
        env.skip("no austin in the root file systems")
    _, root, path = found[0]
    done = subprocess.run([REPO / "scripts" / "in-rootfs.sh", root, path, "--help"], stdout=subprocess.PIPE, text=True)
    table = [set(spans(row[0])) for row in rows("austin")]
    options = options_of(done.stdout)
    assert len(options) > 10, done.stdout
    for names in options:
        assert any(names <= listed for listed in table), f"{names} has no row"


def help_of(env, command, known={}):
    if command not in known:
        known[command] = env.keelback(command, "--help").stdout
    return known[command]


@once
def test_named_options_exist(env):
    """Whatever the tables say of keelback is in its help: commands, options, formats and modes."""
    cells = [row[-2] + row[-1] for title in ("profiling.sampling", "py-spy", "austin") for row in rows(title)]
    cells.append(TEXT.split("\n## ")[-1])
    named = [span.split() for cell in cells for span in spans(cell)]
    commands = set(re.findall(r"^  ([a-z]+) ", env.keelback("--help").stdout, re.M))
    named = [words for words in named if words[0] in commands]
    assert len(named) > 60, named
    for command, *words in named:
        if words[:1] in (["--"], ["FILE.kb"]):
            continue
        help = help_of(env, command)
        options = set().union(*options_of(help))
        for word, value in zip(words, [*words[1:], None]):
            if word.startswith("-"):
                assert word in options, f"{command} has no {word}"
                if value and word == "-f":
                    assert re.search(rf"(^  |[ (]){value}[ ,;.]", help, re.M), f"{command} has no format {value}"
                elif value:
                    assert re.search(rf"\b{value}\b", help), f"{command} {word}: no {value}"
