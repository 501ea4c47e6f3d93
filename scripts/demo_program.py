#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What `make demo` looks at: builds an index of the names in Python's own standard library.

Reads, tokenizes, parses and compiles module after module for the given number of seconds, then writes the index
as JSON. Nothing in it knows of keelback.
"""

import ast
import collections
import io
import json
import os
import sys
import sysconfig
import time
import tokenize
import warnings


def sources(directory):
    """Yields the modules of the standard library, again and again."""
    while True:
        for path, directories, names in os.walk(directory):
            directories[:] = sorted(set(directories) - {"test", "tests", "dist-packages", "site-packages"})
            yield from (os.path.join(path, name) for name in sorted(names) if name.endswith(".py"))


def read(path):
    with tokenize.open(path) as file:
        return file.read()


def count_comments(text):
    """How many comments a module has, which only the tokenizer sees."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return sum(token.type == tokenize.COMMENT for token in tokens)


def definitions(tree):
    """The functions and classes of a module with the names that they use."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name, sorted({name.id for name in ast.walk(node) if isinstance(name, ast.Name)})


def size_of_code(tree, path):
    """Bytes of bytecode, those of nested functions included."""
    todo, size = [compile(tree, path, "exec")], 0
    while todo:
        code = todo.pop()
        size += len(code.co_code)
        todo += [constant for constant in code.co_consts if isinstance(constant, type(code))]
    return size


def index_module(path, index):
    text = read(path)
    tree = ast.parse(text, path)
    index[path] = {
        "comments": count_comments(text),
        "bytecode": size_of_code(tree, path),
        "definitions": collections.OrderedDict(definitions(tree)),
    }


def main():
    end = time.monotonic() + float(sys.argv[1])
    index, modules = {}, 0
    for path in sources(sysconfig.get_paths()["stdlib"]):
        try:
            index_module(path, index)
        except (SyntaxError, UnicodeDecodeError):
            continue  # some are made to be wrong
        modules += 1
        if time.monotonic() > end:
            break
    print(f"indexed {modules} modules, {len(json.dumps(index)) >> 10} kB of JSON")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
