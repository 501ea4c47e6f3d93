# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""`sample --async`: asyncio's tasks in stacks, against what programs know of themselves and what asyncio says."""

import collections
import itertools
import json
import re
import time

from harness import once, per_python
from programs import TASKS
from sampling import Sampling, base, go, sample

# Two event loops in two threads. Tasks burn CPU time in known shares by their threads' own clocks; what each
# used is printed at the end. From 3.14 also how asyncio itself sees the task `direct` and those that wait for it.
SHARES = """
import asyncio, json, sys, threading, time
clock = getattr(time, "thread_time", time.process_time)
done = threading.Event()
used = {}

def burn(seconds):
    end = clock() + seconds
    while clock() < end:
        pass

async def step(name, ms):
    start = clock()
    burn(ms / 1000)
    used[name] = used.get(name, 0) + clock() - start
    await asyncio.sleep(0)

async def worker(name, ms):
    while not done.is_set():
        await step(name, ms)

def create(coroutine, name):
    loop = asyncio.get_event_loop()
    return loop.create_task(coroutine, name=name) if sys.version_info >= (3, 8) else loop.create_task(coroutine)

async def deeper(task):
    await task

async def awaits(task):
    await deeper(task)

async def groups():
    async with asyncio.TaskGroup() as group:
        group.create_task(worker("grouped", 3), name="grouped")

def graph(task):
    chain = []
    node = asyncio.capture_call_graph(task)
    while node:
        chain.insert(0, [node.future.get_name(), *(e.frame.f_code.co_qualname for e in reversed(node.call_stack))])
        node = node.awaited_by[0] if node.awaited_by else None
    return chain

async def looks(task):
    await asyncio.sleep(.05)
    print(json.dumps(graph(task)), flush=True)

async def main(where):
    direct = create(worker("direct " + where, 4), "direct " + where)
    tasks = [create(awaits(direct), "awaiter"), create(worker("gathered " + where, 2), "gathered " + where)]
    if sys.version_info >= (3, 11) and where == "main":
        tasks.append(create(groups(), "group"))
    if sys.version_info >= (3, 14) and where == "main":
        tasks.append(create(looks(direct), "looks"))
    await asyncio.gather(*tasks)

def run(where):
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.run_until_complete(main(where))

other = threading.Thread(target=run, args=("other",))
other.start()
threading.Thread(target=lambda: (sys.stdin.readline(), done.set()), daemon=True).start()
print("ready", flush=True)
run("main")
other.join()
print("used", json.dumps(used), flush=True)
"""

TASK = re.compile(r"<task(?: (.*?))?(?: \((\d+) parents\))?>")
NAMED = (3, 8)  # tasks have names
CALL_GRAPH = (3, 14)  # asyncio.capture_call_graph()


def tasks_of(stack):
    """The names of the tasks in a stack, from the root on."""
    return [TASK.fullmatch(frame.name)[1] for frame in stack if TASK.fullmatch(frame.name)]


def functions_below(stack, name):
    """The functions that follow the task of that name, up to the next task."""
    names = [frame.name for frame in stack]
    rest = names[names.index(f"<task {name}>") + 1 :]
    return list(itertools.takewhile(lambda name: not TASK.fullmatch(name), rest))


def counts_by(profile, key):
    counts = collections.Counter()
    for stack, count in profile.stacks:
        counts[key(stack)] += count
    return counts


def run_shares(env, *options, seconds=4):
    """A profile of the program, what its tasks used, and asyncio's own call graph (or None)."""
    target = env.py.popen([env.py.script(SHARES)], stdin=-1)
    env.wait_line(target, "ready")
    graph = json.loads(env.wait_line(target, "[[")) if env.py.version >= CALL_GRAPH else None
    profile = sample(env, "-p", target.pid, "-d", seconds, *options)
    go(target)
    used = json.loads(env.wait_line(target, "used ").partition(" ")[2])
    return profile, used, graph


def check_shares(profile, used):
    """Each task's part of the samples is its part of the CPU time."""
    counts = counts_by(profile, lambda stack: (tasks_of(stack) or [None])[-1])
    loops = counts.pop(None, 0)
    total, time = sum(counts.values()), sum(used.values())
    for name, seconds in used.items():
        share, wanted = counts[name] / total, seconds / time
        assert abs(share - wanted) < 0.03, (name, share, wanted, counts)
    # What the loop does between steps of 2 to 4 ms: up to 3.4 % were seen on a busy machine.
    assert loops < 0.08 * total, (loops, counts)


@per_python
def test_running(env):
    profile, used, graph = run_shares(env, "--async", "running")
    profile.check_unknown()
    stacks = [stack for stack, _ in profile.stacks if tasks_of(stack)]
    # The event loop is not part of a task, and the task is not part of the event loop.
    assert not any(base(frame) in ("_run_once", "run_forever") for stack in stacks for frame in stack), stacks
    assert all(TASK.fullmatch(stack[0].name) for stack in stacks), stacks
    if env.py.version < NAMED:
        depths = counts_by(profile, lambda stack: len(tasks_of(stack)))
        shares = {depth: count / profile.total for depth, count in depths.items()}
        # main, awaiter, direct, which uses two thirds; main, gathered. In 3.6 nothing tells who waits.
        wanted = {1: 1} if env.py.version == (3, 6) else {2: 1 / 3, 3: 2 / 3}
        assert all(abs(shares[depth] - share) < 0.04 for depth, share in wanted.items()), shares
        return
    check_shares(profile, used)
    for stack in stacks:
        tasks = tasks_of(stack)
        if "direct" in tasks[-1]:
            assert tasks[-2] == "awaiter" and functions_below(stack, "awaiter") == ["awaits", "deeper"], stack
        # gather() is what waits for the first ones, a TaskGroup for others.
        assert re.fullmatch(r"Task-\d+", tasks[0]) and functions_below(stack, tasks[0]) == ["main"], stack
        assert tasks[-1] != "grouped" or tasks[-2] == "group", stack
    if graph:
        # What waits is the same, frame by frame; of the task itself, where it began.
        wanted = [name if i else f"<task {name}>" for task in graph[:-1] for i, name in enumerate(task)]
        wanted += ["<task direct main>", graph[-1][1]]
        seen = [[frame.name for frame in stack] for stack in stacks if tasks_of(stack)[-1] == "direct main"]
        assert all(names[: len(wanted)] == wanted for names in seen), (wanted, seen)


@per_python(where=lambda py: py.version >= NAMED)
def test_running_from_the_start(env):
    """A command is observed before it has imported asyncio: what is not known until it is found is counted."""
    command = env.py.command([env.py.script(SHARES)])
    sampling = Sampling(env, "--async", "running", "--", *command, stdin=-1).ready()
    env.wait_line(sampling.process, "ready")
    time.sleep(3)
    go(sampling.process)
    profile = sampling.finish().check()
    counts = counts_by(profile, lambda stack: (tasks_of(stack) or [None])[-1])
    known = sum(count for name, count in counts.items() if name and name.startswith(("direct", "gathered")))
    assert known > 0.6 * profile.total, counts
    assert env.py.version >= CALL_GRAPH or profile.notes.get("tasks_not_found", 0) < 0.3 * profile.total, profile.notes


@per_python(where=lambda py: py.version >= NAMED)
def test_other_modes(env):
    """Waits, native frames and opcodes are of tasks likewise."""
    program = """
import asyncio, hashlib, time
data = b"x" * (1 << 20)
async def sleeps():
    while True:
        time.sleep(.02)
        await asyncio.sleep(0)
async def hashes():
    while True:
        hashlib.sha256(data).digest()
        await asyncio.sleep(0)
async def main():
    names = {sleeps: "sleeper", hashes: "hasher"}
    tasks = [asyncio.get_running_loop().create_task(f(), name=name) for f, name in names.items()]
    print("ready", flush=True)
    await asyncio.gather(*tasks)
asyncio.run(main())
"""
    target = env.py.popen([env.py.script(program)])
    env.wait_line(target, "ready")
    profile = sample(env, "-p", target.pid, "-d", 2, "--async", "running", "--native")
    hashing = [stack for stack, _ in profile.stacks if tasks_of(stack) and tasks_of(stack)[-1] == "hasher"]
    leaves = [stack for stack in hashing if any("sha" in frame.name.lower() for frame in stack[-3:])]
    assert leaves, profile.stacks
    for stack in leaves:
        names = [frame.name for frame in stack]
        assert "_start" not in names and base(stack[names.index("<task hasher>") + 1]) == "hashes", stack
    profile = Sampling(env, "-p", target.pid, "-d", 2, "--async", "running", "--mode", "wall").finish()
    waits = counts_by(profile, lambda stack: (tasks_of(stack) or [None])[-1])
    assert waits["sleeper"] > 0.5 * profile.total and waits["hasher"] > 0.02 * profile.total, waits


# Names to be shown, and more of them than are kept apart.
NAMES = """
import asyncio, time
def burn(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass
async def short(ms):
    burn(ms / 1000)
async def main():
    loop = asyncio.get_running_loop()
    print("ready", flush=True)
    while True:
        for name in ("semi;colon\\nline", "Wei\\u00df", "\\u6771\\u4eac", "\\U0001f40d", "x" * 1000, "Task-x", "Task-07"):
            await loop.create_task(short(8), name=name)
        for _ in range(40):
            task = loop.create_task(short(2))
            if _ % 2:
                task.get_name()  # from 3.13 an int until then
            await task
asyncio.run(main())
"""


@per_python(where=lambda py: py.version >= NAMED)
def test_names(env):
    target = env.py.popen([env.py.script(NAMES)])
    env.wait_line(target, "ready")
    profile = sample(env, "-p", target.pid, "-d", 3, "--async", "running")
    names = {tasks_of(stack)[-1] for stack, _ in profile.stacks if tasks_of(stack)}
    assert {"Weiß", "東京", "🐍", "Task-x", "Task-07"} <= names, names
    assert any(name and re.fullmatch("x{253,256}…?", name) for name in names), names
    assert any(name and name.startswith("semi") and name.endswith("line") for name in names), names
    numbers = {name for name in names if name and re.fullmatch(r"Task-[1-9]\d*", name)}
    assert 200 < len(numbers) <= 257, (len(numbers), profile.log)  # 256, and main's
    others = sum(count for stack, count in profile.stacks if any(frame.name == "<other tasks>" for frame in stack))
    assert others and profile.notes["task_names_full"] >= others, (others, profile.notes)


def linear(process):
    """The stacks of a dump's tasks: of each that waits for none, from the task that nobody waits for."""
    tasks = process["tasks"]
    waited_by = {i for task in tasks for i in task["awaited_by"]}
    stacks = []
    for i, task in enumerate(tasks):
        if i in waited_by:
            continue
        stack = []
        while task:
            label = f"<task {task['name']}>" if task["name"] else "<task>"
            stack = [label, *(frame["name"] for frame in reversed(task["frames"])), *stack]
            assert len(task["awaited_by"]) <= 1, tasks
            task = tasks[task["awaited_by"][0]] if task["awaited_by"] else None
        stacks.append(tuple(stack))
    return sorted(stacks)


@per_python
def test_all(env):
    """Tasks that only wait: at each look all of them, as `dump --async` has them."""
    target = env.py.popen([env.py.script(TASKS), "waiting", "c", "no thread"])
    env.wait_line(target, "ready")
    profile = sample(env, "-p", target.pid, "-d", 2, "--async", "all", "-r", 50)
    [process] = json.loads(env.keelback("dump", "-p", target.pid, "--async", "all", "--json").stdout)
    wanted = linear(process)
    seen = counts_by(profile, lambda stack: tuple(map(base, stack)))
    assert set(seen) == set(wanted), (seen, wanted)
    looks = profile.total / len(wanted)
    times = collections.Counter(wanted)
    assert looks >= 10 and all(count == looks * times[stack] for stack, count in seen.items()), (looks, seen)
    assert profile.ledger == {"good": profile.total}, profile.log


@per_python
def test_all_while_they_run(env):
    """What changes while it is read is thrown away and counted; what waits is there at each look."""
    profile, _, _ = run_shares(env, "--async", "all", seconds=3)
    assert set(profile.ledger) <= {"good", "task_changed"} and profile.ledger["good"] > 0.5 * profile.attempted, profile.log
    roots = {stack[0].name for stack, _ in profile.stacks}
    assert all(TASK.fullmatch(root) for root in roots), roots
    waiting = [stack for stack, _ in profile.stacks if len(tasks_of(stack)) >= 2]
    assert any([base(frame) for frame in stack[:2]][1] == "main" for stack in waiting), profile.stacks
    running = sum(count for stack, count in profile.stacks if stack[-1].name == "<running>")
    assert running, profile.stacks
    if env.py.version >= NAMED:
        counts = counts_by(profile, lambda stack: tasks_of(stack)[-1])
        wanted = {f"{what} {where}" for what in ("direct", "gathered") for where in ("main", "other")}
        wanted |= {"grouped"} if env.py.version >= (3, 11) else set()
        assert set(counts) == wanted, counts
        # One each at each look, but for those that were thrown away.
        assert min(counts.values()) > 0.5 * max(counts.values()), counts


@once
def test_nothing_to_show(env):
    """A program without asyncio: threads are sampled as they are, and there are no tasks to read."""
    py = env.python("3.13")
    target = py.popen([py.script("print('ready', flush=True)\nwhile True: pass\n")])
    env.wait_line(target, "ready")
    profile = sample(env, "-p", target.pid, "-d", 1, "--async", "running")
    assert profile.total and not any(tasks_of(stack) for stack, _ in profile.stacks)
    done = env.keelback("sample", "-p", target.pid, "-d", 1, "--async", "all")
    assert "no tasks: the target has no asyncio event loop with one" in done.stderr, done.stderr


@once
def test_recording_of_tasks(env):
    """A recording says what its samples are, and is not compared with one of threads."""
    py = env.python("3.14")
    target = py.popen([py.script(TASKS), "waiting", "c", "no thread"])
    env.wait_line(target, "ready")
    tasks, threads = env.tmp + "/tasks.kb", env.tmp + "/threads.kb"
    env.keelback("sample", "-p", target.pid, "-d", 1, "--async", "all", "-o", tasks)
    env.keelback("sample", "-p", target.pid, "-d", 1, "-o", threads)
    text = env.keelback("convert", tasks).stdout
    assert "<task waits>" in text and "seconds of tasks" in text, text
    head = json.loads(env.keelback("convert", tasks, "-f", "jsonl").stdout.splitlines()[0])
    assert head["mode"] == "tasks", head
    done = env.keelback("diff", threads, tasks, check=False)
    assert done.returncode == 2 and "mode" in done.stderr, done
