# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What scripts/record_memory.py records: three threads with stacks of every kind of Python code.

usage: record_target.py main|sub

Each thread ends in a C function, `main` or `sub` (which runs in a sub-interpreter) in one that never
ends and holds the GIL, the others asleep without it. Before that it prints its stack as the
interpreter itself sees it, as lines of a recording's header (tests/host_bpf/recording.h). Runs on
Python 3.6 and later, with nothing but the standard library.
"""
import itertools
import os
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
DEPTH = 60


def thread_id():
    return int(os.readlink("/proc/thread-self").rsplit("/", 1)[1])


def lines_of(frame, kind):
    while frame is not None:
        code = frame.f_code
        name = getattr(code, "co_qualname", code.co_name)
        yield "%s %s|%s|%d\n" % (kind, name, os.path.basename(code.co_filename), frame.f_lineno)
        frame = frame.f_back


def report(name, frame):
    text = "thread %s %d\n" % (name, thread_id()) + "".join(lines_of(frame, "frame"))
    os.write(1, text.encode())


def wait(name, spins):
    pause, call, argument = (0.5, all, itertools.repeat(1)) if spins else (0, time.sleep, 3600)
    # One line, so that it is the same when the report is made and when memory is recorded.
    time.sleep(pause); report(name, sys._getframe()); call(argument)


class Outer:
    class Inner:
        def method(self, function):
            return function()

        @staticmethod
        def static(function):
            def nested():
                return [function() for _ in range(1)]

            return nested()


def größe(function):
    return function()


def 名前(function):
    return größe(function)


def 𠮷野(function):
    return 名前(function)


def generator(function):
    yield 1
    yield function()


def delegating(function):
    yield from generator(function)


async def coroutine(function):
    return function()


def recurse(n, function):
    if n == 0:
        return function()
    return recurse(n - 1, function)


def over_lines(function):
    return max(
        [1],
        key=lambda _: (
            function()
            or 0
        ),
    )


def class_body(function):
    class Body:
        value = function()

    return Body


def executed(function):
    code = compile("\n\ndef läuft():\n    return function()\n\nläuft()\n", HERE + "/ausgeführt.py", "exec")
    exec(code, {"function": function})


def run_coroutine(function):
    try:
        coroutine(function).send(None)
    except StopIteration:
        pass


def in_handler(function):
    try:
        raise ValueError
    except ValueError:
        return function()


def stack_of_everything(function):
    def chain(outer, inner):
        return lambda: outer(inner)

    steps = [
        Outer().Inner().method,
        Outer.Inner.static,
        𠮷野,
        lambda f: list(delegating(f)),
        run_coroutine,
        over_lines,
        class_body,
        executed,
        in_handler,
        lambda f: recurse(DEPTH, f),
        lambda f: {key: f() for key in range(1)},
        lambda f: list(map(lambda _: f(), [1])),
    ]
    for step in steps:
        function = chain(step, function)
    return function()


def sleeper():
    Outer.Inner.static(lambda: wait("sleeper", False))


def in_sub_interpreter(spins):
    recurse(3, lambda: wait("sub", spins))


def import_interpreters():
    """The module for sub-interpreters, or None where there is none."""
    try:
        import _interpreters as interpreters
    except ImportError:
        try:
            import _xxsubinterpreters as interpreters
        except ImportError:
            interpreters = None
    return interpreters


def calling_sub(interpreters, new, text):
    # Up to 3.11 code runs with the thread state, and the thread id, of the interpreter's creator.
    new = new or interpreters.create()
    run = getattr(interpreters, "exec", None) or interpreters.run_string
    # The report of this thread's frames in the calling interpreter is finished by the one within.
    os.write(1, "".join(lines_of(sys._getframe(), "hold")).encode()); run(new, text)


def main():
    spinning = sys.argv[1]
    threads = [threading.Thread(target=sleeper, daemon=True)]
    interpreters = import_interpreters()
    if interpreters:
        new = interpreters.create() if sys.version_info >= (3, 12) else None
        text = "import sys; sys.path.insert(0, %r); import record_target; record_target.in_sub_interpreter(%r)"
        text = text % (HERE, spinning == "sub")
        threads.append(threading.Thread(target=calling_sub, args=(interpreters, new, text), daemon=True))
    for thread in threads:
        thread.start()
        time.sleep(0.3)
    stack_of_everything(lambda: wait("main", spinning == "main"))


if __name__ == "__main__":
    main()
