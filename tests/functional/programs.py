# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Target programs whose truth is known, for Python 3.6 and later."""

import ast
import collections

# Each function burns CPU time until its quota by the thread's own clock is used up, so that shares
# are what they are whatever the interpreter's speed. Prints what each really used.
SHARES = '''
import sys, time

try:
    clock = time.thread_time
except AttributeError:  # 3.6
    clock = time.process_time

def burn(seconds):
    end = clock() + seconds
    while clock() < end:
        pass

def tenth(): burn(.010)
def fifth(): burn(.020)
def three(): burn(.030)
def rest(): burn(.040)

def main(seconds):
    used = dict.fromkeys(("tenth", "fifth", "three", "rest"), 0.0)
    end = clock() + seconds
    while clock() < end:
        for function in (tenth, fifth, three, rest):
            start = clock()
            function()
            used[function.__name__] += clock() - start
    total = sum(used.values())
    print("shares", *("%s=%.5f" % (name, part / total) for name, part in used.items()), flush=True)

if sys.argv[2:] == ["wait"]:
    print("ready", flush=True)
    sys.stdin.readline()
main(float(sys.argv[1]))
'''

# Millions of tiny calls per second: stacks change all the time.
TINY_CALLS = '''
import sys, time

def leaf_a(n):
    return n + 1

def leaf_b(n):
    return n - 1

def leaf_c(n):
    n = leaf_a(n)
    n = leaf_b(n)
    return n

class Shape:
    def __init__(self, side):
        self.side = side

    def area(self):
        return self.scale() * self.side

    def scale(self):
        return leaf_a(self.side)

def numbers(n):
    for i in range(n):
        yield leaf_b(i)

def total(n):
    return sum(
        i
        for i in numbers(n))

def down(n):
    if n:
        return down(n - 1)
    return leaf_c(n)

def raises(n):
    raise ValueError(n)

def catches(n):
    try:
        raises(n)
    except ValueError:
        return leaf_c(n)

def work():
    for i in range(50):
        leaf_c(i)
        Shape(i).area()
        down(9)
        catches(i)
        total(8)
        list(map(lambda x: leaf_a(x), range(5)))

def main(seconds):
    print("ready", flush=True)
    end = time.process_time() + seconds
    while time.process_time() < end:
        work()

main(float(sys.argv[1]))
'''

# Four ways to spend time, each measured by the program. What the others wait for comes from threads of its own.
SPENDING = '''
import os, sys, threading, time
clock = getattr(time, "thread_time", time.process_time)  # 3.7+

def computing():
    end = clock() + .03
    while clock() < end:
        pass

def sleeping():
    time.sleep(.04)

def reading():
    request.release()
    os.read(pipe[0], 1)

def locking():
    lock.acquire()
    unlock.release()
    lock.acquire()
    lock.release()

def writer():
    while request.acquire():
        time.sleep(.02)
        os.write(pipe[1], b"x")

def unlocker():
    while unlock.acquire():
        time.sleep(.01)
        lock.release()

pipe, lock = os.pipe(), threading.Lock()
request, unlock = threading.Semaphore(0), threading.Semaphore(0)
for function in (writer, unlocker):
    thread = threading.Thread(target=function)
    thread.daemon = True
    thread.start()
functions = (computing, sleeping, reading, locking)
used = dict.fromkeys(functions, 0.0)
end = time.perf_counter() + float(sys.argv[1])
while time.perf_counter() < end:
    for function in functions:
        start = time.perf_counter()
        function()
        used[function] += time.perf_counter() - start
print("used", *("%s=%.5f" % (function.__name__, t) for function, t in used.items()), flush=True)
os._exit(0)
'''

# Two threads that hold the GIL as long as they may. What each waited: the gaps in its own time, and how much of
# that may have been for a processor (schedstat: ns waiting in a run queue).
FIGHT = '''
import os, threading
from time import perf_counter

def queued(tid):
    with open("/proc/self/task/%d/schedstat" % tid) as file:
        return int(file.read().split()[1]) / 1e9

def fight(seconds):
    waited = 0.0
    last = perf_counter()
    end = last + seconds
    while last < end:
        now = perf_counter()
        if now - last > 1e-3:
            waited += now - last
        last = now
    return waited

def first(): return fight(1)
def second(): return fight(1)

def run(function):
    tid = gettid()
    before = queued(tid)
    used[function.__name__] = function()
    used["queued_" + function.__name__] = queued(tid) - before

if hasattr(threading, "get_native_id"):
    gettid = threading.get_native_id
else:  # up to 3.7
    import ctypes
    gettid = lambda: ctypes.CDLL(None).syscall(186)
try:
    os.nice(-19)
except OSError:
    pass
used = {}
threads = [threading.Thread(target=run, args=(function,)) for function in (first, second)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print("used", *("%s=%.5f" % item for item in used.items()), flush=True)
'''

# A task that waits for a task, one that gathers two, one in an asynchronous generator, one that is done.
TASKS = '''
import asyncio, sys, threading, time
async def leaf():
    await asyncio.sleep(600)
async def middle(n):
    if n:
        await middle(n - 1)
    else:
        await leaf()
async def waits(task):
    await task
async def generator():
    yield 1
    await leaf()
async def iterates():
    async for x in generator():
        pass
async def gathers():
    await asyncio.gather(middle(0), leaf())
async def group():
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(leaf())
async def ends():
    pass
async def blocks():
    print("ready", flush=True)
    time.sleep(600)
async def main():
    inner = create(middle(2), "inner")
    create(waits(inner), "waits"), create(iterates(), "iterates"), create(gathers(), "gathers"), create(ends(), "ends")
    if sys.version_info >= (3, 11) and sys.argv[2] == "c":
        create(group(), "group")
    await asyncio.sleep(.1)
    if sys.argv[1] == "blocked":
        create(blocks(), "blocks")
    else:
        print("ready", flush=True)
    await asyncio.sleep(600)
def create(coroutine, name):
    task = loop.create_task(coroutine)
    kept.append(task)
    if hasattr(task, "set_name"):
        task.set_name(name)
    return task
kept = []
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
if sys.argv[2] == "python":
    loop.set_task_factory(lambda loop, coroutine, **options: asyncio.tasks._PyTask(coroutine, loop=loop, **options))
if sys.argv[3] == "thread":
    thread = threading.Thread(target=lambda: loop.run_until_complete(main()))
    thread.start()
    thread.join()
loop.run_until_complete(main())
'''


class CallGraph:
    """Which function may call which from which line, read from a program's text.

    version: of the interpreter that runs it, for the lines that it gives to a generator expression's loop.
    """

    IMPLIED = {"Shape": "__init__", "map": "<lambda>", "list": "<lambda>", "sum": "<genexpr>"}

    def __init__(self, text, version):
        self.version = version
        self.lines = collections.defaultdict(set)  # function → its lines
        self.calls = collections.defaultdict(set)  # (function, line) → names that it may call
        self._visit(ast.parse(text), "<module>")

    def _visit(self, node, function):
        if hasattr(node, "lineno"):
            self.lines[function].update(range(node.lineno, node.end_lineno + 1))
        if isinstance(node, ast.GeneratorExp):
            self._generator(node, function)
            return
        if isinstance(node, ast.Call):
            self._call(node, function, range(node.lineno, node.end_lineno + 1))
        elif isinstance(node, ast.For):
            self._loop(node.iter, function, node.iter.lineno)
        for child in ast.iter_child_nodes(node):
            inner = function
            if isinstance(child, (ast.FunctionDef, ast.ClassDef, ast.Lambda)):
                inner = getattr(child, "name", "<lambda>")
                self.lines[function].add(child.lineno)  # where it is made
            if isinstance(child, ast.ClassDef):
                self.calls[function, child.lineno].add(inner)
            self._visit(child, inner)

    def _generator(self, node, function):
        """Its first iterator is evaluated outside; its loop and element run in what consumes it."""
        loop = node.generators[0].iter
        self._visit(loop, function)
        if self.version < (3, 8):
            line = node.elt.lineno
        elif self.version < (3, 13):
            line = node.lineno  # the whole expression's place
        else:
            line = loop.lineno
        self._loop(loop, "<genexpr>", line)
        self.lines["<genexpr>"].update(range(node.lineno, node.end_lineno + 1))
        self._visit(node.elt, "<genexpr>")

    def _call(self, call, function, lines):
        name = getattr(call.func, "id", getattr(call.func, "attr", None))
        for line in lines:
            self.calls[function, line].update({name, self.IMPLIED.get(name)})

    def _loop(self, expression, function, line):
        """A generator that a loop runs over is entered from the loop's line each time."""
        for node in ast.walk(expression):
            if isinstance(node, ast.Call):
                self._call(node, function, [line])

    def impossible(self, stack):
        """What is wrong with a stack of (function, line), root first; None: it can be."""
        for (caller, line), (callee, _) in zip(stack, stack[1:]):
            if callee not in self.calls.get((caller, line), ()):
                return f"{caller} line {line} does not call {callee}"
        for function, line in stack:
            if line and line not in self.lines[function]:  # 3.10+ has instructions without a line
                return f"{function} has no line {line}"
        return None
