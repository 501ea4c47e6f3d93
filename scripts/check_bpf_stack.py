#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""usage: check_bpf_stack.py OBJECT…

The stacks of BPF functions that call each other may have 512 bytes together, each rounded up to 32 (Linux 6.1,
kernel/bpf/verifier.c, check_max_stack_depth()). Newer kernels are more lenient with global functions, so a chain of
calls that is too deep is noticed on none of them: this adds it up from the linked objects. Callbacks are counted
as calls.
"""

import functools
import re
import subprocess
import sys

LIMIT = 512
OBJDUMP, READELF = "llvm-objdump", "llvm-readelf"
CALL, PSEUDO_CALL, LOAD_WIDE = "85", "10", "18"
INSTRUCTION = re.compile(r"\s+(\d+):\t((?:[0-9a-f]{2}[ \t]){8,16})\s*(.*)")
RELOCATION = re.compile(r"R_BPF_64_(?:32|64)\s+(\S+)")


def output_of(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def functions_of(path):
    """{(section, address): name}"""
    sections = dict(re.findall(r"^\s*\[\s*(\d+)\] (\S+)", output_of(READELF, "-SW", path), re.MULTILINE))
    rows = (line.split() for line in output_of(READELF, "-sW", path).splitlines())
    return {(sections[row[6]], int(row[1], 16)): row[7] for row in rows if len(row) >= 8 and row[3] == "FUNC"}


def called(section, address, raw, relocation, places):
    """The function that an instruction calls or takes the address of; None: none."""
    value = int.from_bytes(bytes.fromhex("".join(raw[4:8])), "little", signed=True)
    call = raw[0] == CALL and raw[1] == PSEUDO_CALL
    if not call and not (raw[0] == LOAD_WIDE and relocation):
        return None
    if not relocation:
        return (section, address + 8 + 8 * value)
    if relocation == ".text":
        return (".text", 8 * (value + 1) if call else value)
    return places.get(relocation)


def stacks_of(path):
    """({function: bytes}, {function: functions that it calls}, names)"""
    names = functions_of(path)
    places = {name: place for place, name in names.items()}
    lines = output_of(OBJDUMP, "-dr", path).splitlines()
    stack, calls, section, current, pointers = {}, {}, None, None, set()
    for index, line in enumerate(lines):
        header = re.match(r"Disassembly of section (\S+):", line)
        section = header[1] if header else section
        match = INSTRUCTION.match(line)
        if not match:
            continue
        address, raw, text = 8 * int(match[1]), match[2].split(), match[3].strip()
        if (section, address) in names:
            current, pointers = (section, address), set()
            stack[current], calls[current] = 0, set()
        depths = [int(depth) for depth in re.findall(r"r10 - (\d+)\)", text)]
        copy = re.fullmatch(r"r(\d+) = r10", text)
        if copy:
            pointers.add(copy[1])
        moved = re.fullmatch(r"r(\d+) \+= -(\d+)", text)
        if moved and moved[1] in pointers:
            pointers.remove(moved[1])
            depths.append(int(moved[2]))
        stack[current] = max(stack[current], *depths, 0)
        relocation = None
        for below in lines[index + 1 : index + (3 if raw[0] == LOAD_WIDE else 2)]:
            relocation = relocation or RELOCATION.search(below)
        calls[current].add(called(section, address, raw, relocation and relocation[1], places))
    return stack, calls, names


def deepest(path):
    """(bytes, [names]) of the deepest chain of calls of each program."""
    stack, calls, names = stacks_of(path)

    @functools.lru_cache(None)
    def below(function):
        own = max((stack[function] + 31) // 32 * 32, 32)
        chains = [below(callee) for callee in calls[function] if callee in stack and callee != function]
        depth, chain = max(chains, default=(0, ()))
        return own + depth, ((names[function], own), *chain)

    roots = [function for function in stack if function[0] != ".text"]
    return [below(function) for function in roots]


def main():
    failed = False
    for path in sys.argv[1:]:
        for depth, chain in deepest(path):
            if depth > LIMIT:
                failed = True
                print(f"{path}: {depth} bytes of stack, the limit is {LIMIT}: {' → '.join(f'{n} {b}' for n, b in chain)}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
