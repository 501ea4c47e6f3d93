# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Programs whose calls cProfile and keelback count, for Python 3.6 and later.

Each is a function work() that does the same whenever it has been called twice. COUNTED calls it once more, when a line
comes on stdin or under cProfile if a file is named for what that says.
"""

COUNTED = '''
import json, os, sys

def label(code):
    return [code.co_filename, code.co_firstlineno, code.co_name] if hasattr(code, "co_name") else ["~", 0, code]

def dump(profiles, path):
    """Sums by label: pstats keeps one of several functions with the same."""
    functions, edges = {}, {}
    for entry in (entry for profile in profiles for entry in profile.getstats()):
        key = json.dumps(label(entry.code))
        calls = functions.setdefault(key, [0, 0])
        calls[0] += entry.callcount
        calls[1] += entry.callcount - entry.reccallcount
        for sub in entry.calls or ():
            edge = edges.setdefault(json.dumps([label(entry.code), label(sub.code)]), [0])
            edge[0] += sub.callcount
    with open(path, "w") as file:
        json.dump([functions, edges], file)

def main():
    path = sys.argv[1:]
    for _ in range(2):
        work()
    if path:
        import cProfile
        builtins = path[1:] == ["builtins"]
        profiles = [cProfile.Profile(builtins=builtins)]
        if sys.version_info < (3, 12) and "threading" in sys.modules:  # later ones see all threads
            def begin(*_):
                profiles.append(cProfile.Profile(builtins=builtins))
                profiles[-1].enable()
            sys.modules["threading"].setprofile(begin)
        profiles[0].runcall(work)
        dump(profiles, path[0])
    else:
        print("ready", flush=True)
        sys.stdin.readline()
        work()
        os._exit(0)  # the interpreter's end is not asked for

main()
'''

JSON = '''
import json.decoder, json.encoder, json.scanner
# The parts in C are left out, so that Python's are called.
json.decoder.scanstring = json.decoder.py_scanstring
scan = json.scanner.py_make_scanner
DATA = {"a": [1, 2.5, "x" * 20, None, True] * 10, "b": {"c": ["y", {"d": "e"}] * 8}, "f": "\\u00e9\\n" * 5}

def work():
    decoder = json.decoder.JSONDecoder()
    decoder.parse_string = json.decoder.py_scanstring
    decoder.scan_once = scan(decoder)
    for _ in range(5):
        text = "".join(json.encoder.JSONEncoder(indent=1, sort_keys=True).iterencode(DATA))
        assert decoder.decode(text) == DATA
'''

TOKENIZE = '''
import ast, io, tokenize, keyword
SOURCE = open(keyword.__file__, encoding="utf-8").read() + "def f(a, *b, c=1, **d):\\n  return [x for x in b if x]\\n"

class Names(ast.NodeVisitor):
    def __init__(self):
        self.names = []
    def visit_Name(self, node):
        self.names.append(node.id)
        self.generic_visit(node)

def work():
    tokens = list(tokenize.generate_tokens(io.StringIO(SOURCE).readline))
    names = Names()
    names.visit(ast.parse(SOURCE))
    assert len(tokens) > 100 and names.names
'''

REGEX = '''
import re
PATTERNS = [r"(?P<a>\\d+)-(?P<b>\\w*)", r"[a-z0-9._%+-]+@(?:[a-z]+\\.)+[a-z]{2,4}", r"(a|bc|d*e)+?(?=f)", r"^\\s*#.*$|x{3,5}"]

def work():
    re.purge()
    for pattern in PATTERNS:
        assert re.compile(pattern, re.I | re.M).search("xxxx" * 3 + "#a 1-b u@v.org bcdef") or True
        re.sub(pattern, lambda match: match.group(0).upper(), "12-ab xxxx u@v.org")
'''

ASYNCIO = '''
import asyncio

async def leaf(n):
    await asyncio.sleep(0)
    return n

async def middle(n):
    total = 0
    for i in range(n):
        total += await leaf(i)
    return total

async def numbers(n):
    for i in range(n):
        await asyncio.sleep(0)
        yield i

async def cancelled():
    try:
        await asyncio.get_event_loop().create_future()
    finally:
        await asyncio.sleep(0)

async def everything():
    tasks = [asyncio.ensure_future(middle(n)) for n in range(6)]
    waits = asyncio.ensure_future(cancelled())
    total = sum(await asyncio.gather(*tasks))
    async for n in numbers(5):
        total += n
    waits.cancel()
    try:
        await waits
    except asyncio.CancelledError:
        total += 1
    return total

def work():
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(everything())
    finally:
        loop.close()
'''

DECIMAL = '''
import _pydecimal as decimal

def work():
    with decimal.localcontext() as context:
        context.prec = 20
        x = decimal.Decimal("1.5")
        for i in range(1, 12):
            x = (x * x + decimal.Decimal(i)).sqrt() / decimal.Decimal(3) - decimal.Decimal("0.1") ** 2
        assert str(x) and hash(x) and x.quantize(decimal.Decimal("0.001"))
'''

# Which thread runs when is open, what each calls is not.
THREADS = '''
import queue, threading

def square(n):
    return n * n

def worker(numbers, results):
    for n in iter(numbers.get_nowait, None):
        results.append(square(n) + helper(n))

def helper(n):
    return n if n < 2 else helper(n - 1)

def work():
    threads = []
    for _ in range(4):
        numbers, results = queue.Queue(), []
        for n in list(range(40)) + [None]:
            numbers.put(n)
        threads.append(threading.Thread(target=worker, args=(numbers, results)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
'''

# Generators in every way, exceptions, recursion of two functions, classes, C code that calls Python.
MIX = '''
import contextlib, functools

def generator(n):
    for i in range(n):
        try:
            got = yield i
        except KeyError:
            yield -1

def delegating(n):
    result = yield from generator(n)
    yield from inner(3)

def inner(n):
    yield from (i for i in range(n))

def even(n):
    return n == 0 or odd(n - 1)

def odd(n):
    return n != 0 and even(n - 1)

def fails(n):
    if n == 0:
        raise ValueError
    fails(n - 1)

class Thing:
    def __init__(self, n):
        self.n = n
    def __lt__(self, other):
        return self.n < other.n
    def __eq__(self, other):
        return self.n == other.n
    __hash__ = None
    @property
    def double(self):
        return 2 * self.n
    @classmethod
    def make(cls, n):
        return cls(n)
    def __iter__(self):
        return iter(self.items())
    def items(self):
        for i in range(self.n):
            yield i
    def __getattr__(self, name):
        return self.n

@contextlib.contextmanager
def managed(swallow):
    try:
        yield
    except ValueError:
        if not swallow:
            raise

@functools.lru_cache(maxsize=None)
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)

def decorated(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)
    return wrapper

@decorated
def plus(a, b=1, *rest, **more):
    return a + b + len(rest) + len(more)

def work():
    g = generator(3)
    next(g), g.send(1)
    g.throw(KeyError("x"))
    list(g)
    d = delegating(4)
    next(d)
    d.throw(KeyError("y"))
    list(d)
    even(10), odd(7)
    for n in range(4):
        try:
            fails(n)
        except ValueError:
            pass
    things = [Thing.make(n) for n in (3, 1, 2)]
    sorted(things), max(things, key=lambda thing: thing.n), things.index(things[2])
    [thing.double + thing.other for thing in things], [list(thing) for thing in things]
    with managed(True):
        raise ValueError
    try:
        with managed(False):
            raise ValueError
    except ValueError:
        pass
    fib.cache_clear()
    fib(15)
    plus(1, 2, 3, x=4), functools.reduce(plus, range(5)), list(map(plus, range(3)))
    {x: plus(x) for x in range(3)}, {plus(x) for x in range(2)}
    exec(compile("def made(n):\\n  return n\\nfor i in range(3): made(i)", "<made>", "exec"), {})
'''

# Each way to call each kind of callable; C functions that call Python, which calls them again.
BUILTINS = '''
import functools, itertools, operator, sys, types

class Numbers(list):
    def append(self, value):
        super().append(value)
    def __lt__(self, other):
        return len(self) < len(other)
    def __iter__(self):
        return super().__iter__()
    def __getitem__(self, index):
        return super().__getitem__(index)

def negative(value):
    return -value

def nested(depth):
    return sorted(range(3), key=lambda value: nested(depth - 1) if depth and not value else value) and depth

def reduced(depth):
    return functools.reduce(lambda a, b: a + (reduced(depth - 1) if depth else b), [1, 2, 3])

def generated(n):
    for i in range(n):
        yield len(str(i))

def calling(functions, value):
    total = []
    for function in functions:  # one instruction calls all of them
        total.append(function(value))
    return total

def failing():
    for function in (int, len, operator.index, negative, [].pop, {}.popitem):
        try:
            function("x")
        except (TypeError, ValueError, IndexError, KeyError):
            pass

# Up to 3.13 cProfile sees it begin, but not end.
bound = types.MethodType(len, [1, 2]) if sys.version_info >= (3, 14) else negative.__get__(1)

def work():
    numbers = Numbers([3, 1, 2])
    list.append(numbers, 4), list.append(*(numbers, 5)), Numbers.append(numbers, 6), numbers.append(7)
    numbers.sort(key=negative), sorted(numbers, key=negative, reverse=True), sorted(*(numbers,), **{"key": negative})
    max(numbers, key=negative), min(*[1, 2]), print(*[], end="", sep=""), "{}".format(*"a"), "{a}".format(**{"a": 1})
    dict.fromkeys("abc"), int.from_bytes(b"a", "big"), str.maketrans("a", "b"), list.__new__(Numbers), Numbers.mro()
    Numbers() < numbers, bound(), (1).__add__(2), [].__len__(), operator.itemgetter(1)(numbers), "a".join("bc")
    functools.partial(max, 1)(2), list(map(negative, numbers)), list(map(len, ["a"])), list(itertools.chain(numbers))
    nested(3), reduced(3)
    g = generated(4)
    next(g), g.send(None), list(g), sum(generated(3)), dict(enumerate(generated(2))), [*generated(2)]
    for order in ((len, negative, len), (repr, repr, len), (negative, len, len, negative, repr, Numbers, len)):
        for value in ([1], ()) if negative not in order else ():
            calling(order, value)
        for value in range(3):
            calling([f for f in order if f not in (len, Numbers)] + [abs, bin, negative, abs], value)
    for i in range(30):
        calling([abs, negative] if i % 3 else [abs, abs, hash], i)
    # Long enough for the instruction to be specialized anew, also while it does not fit.
    calling(([abs] * 150 + [round] * 150 + [negative] * 150) * 2, 1.5), calling([abs, negative, round] * 200, 2)
    failing()
    getattr(numbers, "append")(1), isinstance(1, int), hasattr(numbers, "x"), callable(len), vars(types).get("x")
    any(len(x) > 9 for x in ["a", "bcd"]), next(iter([1])), iter(negative, -1), eval("negative(len([1]))")
'''

PROGRAMS = dict(json=JSON, tokenize=TOKENIZE, regex=REGEX, asyncio=ASYNCIO, decimal=DECIMAL, threads=THREADS, mix=MIX,
                builtins=BUILTINS)


# Something that calls a lot and a loop that calls nothing take turns, made so that both take as long. On stdin are
# the rounds to do; seconds in each are printed.
EQUAL = '''
import sys, time
clock = time.process_time

def leaf(x):
    return x

class Thing:
    def method(self, a, b, c):
        self.total = a + b
        return c

thing = Thing()

def generator(n):
    for i in range(n):
        yield i

def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)

def longer(n):
    total = 0
    for i in range(12):
        total += n & i
    return total

def leaves():
    for i in range(20000): leaf(i)

def methods():
    t = thing
    for i in range(20000): t.method(i, 1, 2)

def resumptions():
    for i in generator(20000): pass

def recursion():
    for i in range(20): fib(14)

def longer_calls():
    for i in range(5000): longer(i)

def loop():
    s = 0
    for i in range(turns): s += i

def both(n):
    totals = [0, 0]
    for i in range(n):
        began = clock()
        calls()
        between = clock()
        loop()
        totals[0] += between - began
        totals[1] += clock() - between
    return totals

calls, turns = globals()[sys.argv[1]], 20000
for i in range(4):
    mine, its = both(30)
    turns = int(turns * mine / its)
print("ready", flush=True)
for line in sys.stdin:
    how, n = line.split()
    if how == "cProfile":
        import cProfile, pstats
        profile = cProfile.Profile()
        profile.runcall(both, int(n))
        times = {name: row[3] for (_, _, name), row in pstats.Stats(profile).stats.items()}
        print(times[sys.argv[1]], times["loop"], flush=True)
    else:
        print(*both(int(n)), flush=True)
'''
