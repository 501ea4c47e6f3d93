# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Makes a root file system for a virtual machine out of this machine's files.

The kernel unpacks it into memory (Documentation/driver-api/early-userspace/buffer-format.rst, format "newc"). It holds
what was asked for and nothing else: programs with the libraries that they load, and the modules that a Python program
imports.
"""

import gzip
import os
import re
import stat
import subprocess
from pathlib import Path

# Names of the files that hold the modules which importing its arguments loads.
LIST_MODULES = """
import glob, importlib, sys, sysconfig
for name in sys.argv[1:]:
    importlib.import_module(name)
sysconfig.get_paths()  # imports a module that is called after the platform
for module in list(sys.modules.values()):
    file = getattr(module, "__file__", None)
    if file:
        print(file)
    if file and file.endswith("/__init__.py"):  # codecs and others are imported when they are needed
        print(*glob.glob(file[:-len("__init__.py")] + "*.py"), sep="\\n")
"""


def libraries(path):
    """The shared libraries of a program, its dynamic linker included; none if it is static."""
    done = subprocess.run(["ldd", path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return re.findall(r"(/\S+) \(0x", done.stdout)


class Initramfs:
    """Files by their path in the root. Directories are made as needed."""

    def __init__(self):
        self.entries = {}  # path → (mode, bytes, mtime)

    def directory(self, path):
        """Adds a directory and those above it."""
        for above in (*reversed(Path(path).parents), Path(path)):
            if above != Path("/"):
                self.entries.setdefault(str(above), (stat.S_IFDIR | 0o755, b"", 0))

    def text(self, path, text, mode=0o644):
        """Adds a file with that text."""
        self.directory(Path(path).parent)
        self.entries[str(path)] = (stat.S_IFREG | mode, text.encode(), 0)

    def link(self, path, target):
        """Adds a symbolic link."""
        self.directory(Path(path).parent)
        self.entries[str(path)] = (stat.S_IFLNK | 0o777, target.encode(), 0)

    def file(self, source, path=None):
        """Adds a copy of a file of this machine, by default under its own path. Python's compiled modules are valid
        for sources of their time stamp, so it is kept."""
        info = os.stat(source)
        self.directory(Path(path or source).parent)
        content = Path(source).read_bytes()
        self.entries[str(path or source)] = (stat.S_IFREG | info.st_mode & 0o777, content, int(info.st_mtime))

    def program(self, source, path=None):
        """Adds a program with its libraries."""
        self.file(source, path)
        for library in libraries(source):
            self.file(library)

    def python(self, interpreter, modules):
        """Adds an interpreter with those modules of its standard library and all that they import."""
        self.program(os.path.realpath(interpreter))
        for library in libraries(os.path.realpath(interpreter)):
            # Loaded by the C library when a thread ends by pthread_exit().
            if os.path.basename(library) == "libc.so.6":
                self.file(os.path.join(os.path.dirname(library), "libgcc_s.so.1"))
        done = subprocess.run(
            [interpreter, "-I", "-S", "-c", LIST_MODULES, *modules], stdout=subprocess.PIPE, text=True, check=True
        )
        for name in done.stdout.split():
            self.program(name) if name.endswith(".so") else self.file(name)
            for compiled in Path(name).parent.glob(f"__pycache__/{Path(name).stem}.*.pyc"):
                self.file(str(compiled))

    def write(self, path):
        """Writes the archive, compressed."""
        with gzip.open(path, "wb", compresslevel=1) as out:
            for number, (name, entry) in enumerate(sorted(self.entries.items()), 1):
                out.write(newc_entry(number, name.lstrip("/"), *entry))
            out.write(newc_entry(0, "TRAILER!!!", 0, b"", 0))


def newc_entry(number, name, mode, content, mtime):
    """One file of the archive: a header of thirteen numbers, the name and the content, each filled up to four bytes."""
    encoded = name.encode() + b"\0"
    fields = [number, mode, 0, 0, 1, mtime, len(content), 0, 0, 0, 0, len(encoded), 0]
    header = b"070701" + b"".join(b"%08X" % field for field in fields) + encoded
    return header + bytes(-len(header) % 4) + content + bytes(-len(content) % 4)
