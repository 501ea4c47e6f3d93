# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Programs that die in known ways, for Python 3.6 and later, and what faulthandler says of it."""

import re

# argv[1]: how. Runs with or without faulthandler enabled: importing it enables nothing.
CRASH = '''
import ctypes, faulthandler, mmap, os, signal, sys, threading, time

class Class:
    def method(self, how):
        return (lambda: dig(3, how))()

def dig(n, how):
    if n:
        return dig(n - 1, how)
    for value in generator(how):
        return value

def generator(how):
    yield [globals()[how]() for _ in range(1)]

def null():
    ctypes.string_at(0)

def write_null():
    ctypes.memset(24, 1, 1)

def abort():
    os.abort()

def overflow():
    faulthandler._stack_overflow()

def bus():
    with open(sys.argv[2], "w+b") as file:
        file.write(bytes(8192))
        file.flush()
        memory = mmap.mmap(file.fileno(), 8192)
        file.truncate(0)
        memory[5000]

def division():
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(bytes.fromhex("31c9 31d2 b801000000 f7f9 c3"))  # xor ecx, ecx; xor edx, edx; mov eax, 1; idiv ecx
    ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()

def illegal():
    os.kill(os.getpid(), signal.SIGILL)
    time.sleep(10)

def deep(n=150):
    if n:
        return deep(n - 1)
    null()

def in_sort():
    sorted([2, 1], key=lambda key: null())

def sleeper(): time.sleep(100)
def waiter(): lock.acquire()
def joiner(): threads[0].join()

def threaded():
    global lock, threads
    lock = threading.Lock()
    lock.acquire()
    threads = [threading.Thread(target=sleeper, daemon=True)]
    threads += [threading.Thread(target=target, daemon=True) for target in (waiter, joiner)]
    for thread in threads: thread.start()
    time.sleep(.3)
    null()

def in_thread():
    thread = threading.Thread(target=null)
    thread.start()
    thread.join()

def forked():
    child = os.fork()
    if not child:
        time.sleep(.05)
        null()
    os.waitpid(child, 0)
    os._exit(0)

if __name__ == "__main__":
    Class().method(sys.argv[1])
'''

# How → signal, what the guess must say.
WAYS = {
    "null": ("SIGSEGV", r"^NULL dereference$"),
    "write_null": ("SIGSEGV", r"^NULL dereference, at offset 24$"),
    "abort": ("SIGABRT", r"^abort\(\)$"),
    "overflow": ("SIGSEGV", r"^stack overflow$"),
    "bus": ("SIGBUS", r"mapped file"),
    "division": ("SIGFPE", r"integer division"),
    "illegal": ("SIGILL", r"^$"),
    "deep": ("SIGSEGV", r"^NULL dereference$"),
    "in_sort": ("SIGSEGV", r"^NULL dereference$"),
    "threaded": ("SIGSEGV", r"^NULL dereference$"),
    "in_thread": ("SIGSEGV", r"^NULL dereference$"),
    "forked": ("SIGSEGV", r"^NULL dereference$"),
}

# Runs the other program in each way, without and with faulthandler; what that wrote goes to FILE.WAY.
DRIVER = '''
import subprocess, sys
script, file, ways = sys.argv[1], sys.argv[2], sys.argv[3:]
for way in ways:
    for option in ([], ["-X", "faulthandler"]):
        with open(file + "." + way, "wb") as out:
            subprocess.call([sys.executable] + option + [script, way, file + ".bus"], stderr=out)
'''


def parse(text):
    """Threads of a text in faulthandler's format: (is the current one, [(file, line, function), …])."""
    threads = []
    for line in text.splitlines():
        head = re.match(r"(Current thread|Thread) 0x[0-9a-f]+ .*\(most recent call first\):$", line)
        frame = re.match(r'  File "(.*)", line (\d+|\?\?\?) in (.*)$', line)
        if head:
            threads.append((head[1] == "Current thread", []))
        elif frame and threads:
            threads[-1][1].append((frame[1], frame[2], frame[3]))
    return threads


def of_json(report):
    """The same of a report in JSON."""
    return [
        (thread["current"], [(f["file"], str(f["line"] or "???"), f["name"]) for f in thread["frames"]])
        for thread in report["threads"]
    ]


# Waits for a line before it dies, so that who watches can come late.
WAITS = """
import sys
sys.path.insert(0, sys.argv[2])
import crash
def after_line():
    print("ready", flush=True)
    sys.stdin.readline()
    getattr(crash, sys.argv[1])()
crash.lock = None
after_line()
"""

# N children at once, or one after another, all dead of SIGABRT or a NULL.
MANY = """
import ctypes, os, sys
def child():
    os.read(gate[0], 1)
    die()
def die():
    if sys.argv[1] == "once":
        os.abort()
    ctypes.string_at(0)
gate = os.pipe()
children = []
for i in range(int(sys.argv[2])):
    pid = os.fork()
    if not pid:
        os.close(gate[1])
        child() if sys.argv[1] == "once" else die()
    if sys.argv[1] == "once":
        children.append(pid)
    else:
        os.waitpid(pid, 0)
os.close(gate[1])
for pid in children: os.waitpid(pid, 0)
"""
