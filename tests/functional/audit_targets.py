# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Programs that raise audit events, and what a hook in them sees, in the same form as keelback's JSON.

RECORDER is put before a program's text. It installs a hook that appends a JSON line for each event to the
file in sys.argv[1], of this process and those that it forks. The values' form and the limits are those
of docs/AUDIT.md.
"""

RECORDER = r'''
import sys, os, json, pathlib, types

LIMITS = dict(string=1024, digits=16, items=64, depth=3)
_repr, _isinstance, _str = object.__repr__, isinstance, str
_file = os.environ.get("KEELBACK_HOOK") or sys.argv[1]
_fd = os.open(_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
_dir_entry = type(next(iter(os.scandir(os.path.dirname(_file)))))

def _address(value):
    return "0x" + _repr(value).rpartition(" at 0x")[2].rstrip(">").lstrip("0")

def _text(value):
    kind = 1 if all(c < "\u0100" for c in value) else 2 if all(c < "\U00010000" for c in value) else 4
    limit = LIMITS["string"] // kind
    return value if len(value) <= limit else {"str": value[:limit], "length": len(value)}

def _plain(value):
    text = _text(value)
    return text if _isinstance(text, _str) else text["str"]

def encode(value, depth=0):
    """A value as docs/AUDIT.md has it."""
    if value is None or value is True or value is False:
        return value
    if _isinstance(value, int):
        value = int(value)
        if abs(value) >= 1 << 30 * LIMITS["digits"]:
            return {"int": None, "bits": (abs(value).bit_length() + 29) // 30 * 30}
        return value
    if type(value) is float:
        return value if value - value == 0 else {"float": repr(value)}
    if _isinstance(value, _str):
        return _text(_str.__str__(value))
    if _isinstance(value, bytes):
        cut = {"length": len(value)} if len(value) > LIMITS["string"] else {}
        return {"bytes": bytes(value)[:LIMITS["string"]].hex(), **cut}
    if _isinstance(value, (tuple, list, dict)):
        is_dict = _isinstance(value, dict)
        items = list(dict.items(value)) if is_dict else list(value)
        kept = [] if depth >= LIMITS["depth"] else items[:LIMITS["items"]]
        if is_dict:
            kept = [[encode(k, depth + 1), encode(v, depth + 1)] for k, v in kept]
        else:
            kept = [encode(item, depth + 1) for item in kept]
        cut = {"length": len(items)} if len(kept) < len(items) else {}
        if _isinstance(value, list) and not cut:
            return kept
        return {"dict" if is_dict else "list" if _isinstance(value, list) else "tuple": kept, **cut}
    if _isinstance(value, types.CodeType):
        name = value.co_qualname if sys.version_info >= (3, 11) else value.co_name
        return {"code": _plain(name), "file": _plain(value.co_filename), "line": value.co_firstlineno}
    if _isinstance(value, pathlib.PurePath) and hasattr(value, "_str"):
        return {"path": _plain(value._str)}
    if type(value) is _dir_entry:
        return {"path": _plain(value.path)}
    return {"type": type(value).__name__, "address": _address(value)}

def encode_args(args):
    return [encode(arg) for arg in args[:LIMITS["items"]]]

def write(line):
    os.write(_fd, (json.dumps(line) + "\n").encode())

_tid = __import__("threading").get_native_id

def hook(event, args):
    write({"pid": os.getpid(), "tid": _tid(), "event": event, "args": encode_args(args)})

def record():
    sys.addaudithook(hook)
    sys.audit("keelback.begin", os.getpid())

json.dumps({"warm": [1.5, None, "\u2603"]})
'''

# Each event of Python's table of audit events that can be raised on Linux without a network or privileges.
TOUCH = r'''
import contextlib, ctypes, fcntl, gc, glob, io, marshal, mmap, pickle, resource, shutil, signal, socket, sqlite3
import subprocess, syslog, tempfile, threading, time, urllib.request, array, warnings, pty, code, importlib, builtins
import http.client, ftplib, imaplib, poplib, smtplib, webbrowser, asyncio, ipaddress
for name in ("telnetlib", "nntplib", "ensurepip", "pdb"):
    with contextlib.suppress(Exception), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        globals()[name] = importlib.import_module(name)
warnings.simplefilter("ignore")
signal.alarm(100)
DIR = tempfile.mkdtemp(dir=os.path.dirname(sys.argv[1]))
P = lambda *names: os.path.join(DIR, *names)
done = []

def step(function):
    """Runs one of the groups; what this build does not have is passed over."""
    done.append(function)
    return function

@step
def values():
    class Name(str): pass
    class Number(int): pass
    class Pair(tuple): pass
    class Cutoff(dict): pass
    sys.audit("keelback.ints", 0, 1, -1, 2**29, -2**30, 2**31, 2**62, 2**63, -2**64, 10**100, -10**100, 1 << 479, 1 << 480, Number(7))
    sys.audit("keelback.floats", 0.0, -0.0, 1.5, 1e300, 1e-300, 0.1, 123456789012345678.0, float("inf"), float("nan"))
    sys.audit("keelback.strings", "", "a", "h\xe9", "\u2603", "\U0001f600", "\ud800", "a\0b", "'\"\\\n\x1b", Name("name"), "x" * 1024,
              "x" * 1025, "\xe9" * 1025, "\u2603" * 512, "\u2603" * 513, "\U0001f600" * 256, "\U0001f600" * 300)
    sys.audit("keelback.bytes", b"", b"a\0b\xff", b"y" * 1024, b"z" * 5000, bytearray(b"other"))
    sys.audit("keelback.tuples", (), (1,), (1, (2, (3, (4, (5,))))), Pair((1, 2)), tuple(range(64)), tuple(range(65)))
    sys.audit("keelback.lists", [], [1, [2, [3, [4]]]], list(range(100)), [[]] * 3)
    sys.audit("keelback.dicts", {}, {"a": 1, 2: "b"}, {(1, 2): {"x": {"y": {"z": 1}}}}, Cutoff(a=1), {str(i): i for i in range(70)})
    deleted = {i: str(i) for i in range(20)}
    for i in range(0, 20, 2): del deleted[i]
    sys.audit("keelback.dicts", deleted, dict.fromkeys("abc"), {1.5: b"x", None: True})
    class Attributes:
        def __init__(self): self.a, self.b = 1, "two"
    one, two = Attributes(), Attributes()
    two.c = 3
    sys.audit("keelback.attributes", one.__dict__, two.__dict__, vars(Attributes())) # split tables, 3.6 on
    sys.audit("keelback.others", object(), type("Other", (), {})(), lambda: 0, len, [].append, {1, 2}, range(3), 1j, Ellipsis, sys)
    sys.audit("keelback.code", values.__code__, compile("1", "/tmp/no such file", "eval"), compile("x" * 10, "f" * 2000, "eval"))
    path = pathlib.Path("/a/b"); str(path)
    pure = pathlib.PurePosixPath("c/\u2603"); str(pure)
    class Own(type(path)): pass
    own = Own("d"); str(own)
    entry = next(iter(os.scandir(os.path.dirname(DIR))))
    sys.audit("keelback.paths", path, pure, own, entry)
    sys.audit("keelback.many", *range(63))
    sys.audit("keelback.many", *range(200))
    sys.audit("keelback.large", *["w" * 900 for _ in range(8)])
    sys.audit("keelback.caf\xe9", 1)
    sys.audit("keelback.\u2603", 2)
    sys.audit("keelback.none")
    for bad in ((), (5,), (b"bytes",)):
        try: sys.audit(*bad)
        except TypeError: pass

@step
def language():
    exec("z = 1" + " " * 3000); exec("z = 1" + " " * 1018); exec("z = 1" + " " * 1019); exec("z = 1" + " " * 1020)
    compile("1+1", "<text>", "eval"); compile(b"x=1", P("name"), "exec"); eval("1"); exec("y = 2")
    import ast; compile(ast.parse("1"), "<tree>", "exec")
    f = lambda: 0
    f.__code__.replace(co_name="other")
    types.FunctionType(f.__code__, {})
    id(1)
    object.__getattribute__(f, "__code__"); f.__code__; f.__code__ = (lambda: 1).__code__
    f.__defaults__; f.__defaults__ = (1,); f.__defaults__ = None; f.__kwdefaults__; f.__kwdefaults__ = {};
    with contextlib.suppress(Exception): del f.__defaults__
    class A: pass
    class B: pass
    a = A(); a.__class__ = B
    A.__bases__ = A.__bases__
    with contextlib.suppress(Exception): del A.__name__
    A.__name__ = "C"
    sys._getframe(); sys._getframe(0)
    if hasattr(sys, "_getframemodulename"): sys._getframemodulename()
    sys._current_frames()
    if hasattr(sys, "_current_exceptions"): sys._current_exceptions()
    sys.setprofile(None); sys.settrace(None)
    hooks = sys.get_asyncgen_hooks(); sys.set_asyncgen_hooks(lambda g: 0, lambda g: 0); sys.set_asyncgen_hooks(*hooks)
    sys.addaudithook(lambda event, args: None)
    try: 1 / 0
    except ZeroDivisionError as error:
        frame = error.__traceback__.tb_frame; frame.f_code; frame.f_globals
        generator = (i for i in [1]); generator.gi_code; generator.gi_frame
    async def coroutine(): pass
    c = coroutine(); c.cr_code; c.cr_frame; c.close()
    (lambda: 0).__get__(a)
    class Raises:
        def __del__(self): raise ValueError("unraisable")
    keep, sys.unraisablehook = sys.unraisablehook, lambda args: None
    Raises(); sys.unraisablehook = keep
    threading.excepthook
    gc.get_objects(); gc.get_referrers(a); gc.get_referents(a, f); gc.get_objects(generation=0)
    if hasattr(sys, "monitoring"):
        sys.monitoring.use_tool_id(3, "x"); sys.monitoring.register_callback(3, sys.monitoring.events.CALL, None); sys.monitoring.free_tool_id(3)

@step
def interactive():
    keep = sys.stdin, sys.stdout, sys.breakpointhook
    sys.stdin, sys.stdout = io.StringIO("line\n"), io.StringIO()
    input("prompt "); sys.breakpointhook = lambda *a: None; breakpoint()
    sys.stdin, sys.stdout, sys.breakpointhook = keep
    if "pdb" in globals(): pdb.Pdb(stdout=io.StringIO())

@step
def imports():
    import this_is_no_module
@step
def imports_more():
    import colorsys, plistlib; importlib.reload(colorsys); importlib.import_module("html.entities")

@step
def serializing():
    marshal.dumps([1, 2]); marshal.loads(marshal.dumps("x")); open(P("m"), "wb").write(marshal.dumps(1)); marshal.load(open(P("m"), "rb"))
    marshal.dump((1,), open(P("m"), "wb"))
    pickle.loads(pickle.dumps(pathlib.PurePosixPath("/x"))); pickle.loads(b"cbuiltins\nlen\n.")
    pickle._loads(b"cbuiltins\nlen\n.")
    array.array("i", [1, 2]); array.array("b"); array.array("u", "x") if sys.version_info < (3, 13) else array.array("w", "x")

@step
def files():
    open(P("a"), "w").write("x"); open(P("a")).read(); open(P("a"), "rb").close(); os.close(os.open(P("a"), os.O_RDONLY)); io.open_code(P("a")).close()
    open(pathlib.Path(P("a"))).close(); open(P("a").encode()).close(); io.FileIO(P("a")).close(); os.fdopen(os.open(P("a"), os.O_RDONLY)).close()
    os.listdir(DIR); os.listdir(pathlib.Path(DIR)); os.listdir(DIR.encode()); os.listdir(); list(os.scandir(DIR)); list(os.scandir()); list(os.walk(DIR)); list(os.fwalk(DIR))
    os.chmod(P("a"), 0o600); os.truncate(P("a"), 1); os.utime(P("a")); os.utime(P("a"), (1, 2.5)); os.utime(P("a"), ns=(1, 2))
    fd = os.open(P("a"), os.O_RDWR); os.truncate(fd, 0); os.ftruncate(fd, 0); os.lockf(fd, os.F_LOCK, 0); os.lockf(fd, os.F_ULOCK, 0); os.fchmod(fd, 0o600)
    os.fchown(fd, -1, -1); os.listdir(fd) if False else None
    with contextlib.suppress(OSError): os.setxattr(P("a"), "user.x", b"v\0w")
    with contextlib.suppress(OSError): os.getxattr(P("a"), "user.x")
    with contextlib.suppress(OSError): os.listxattr(P("a")); os.listxattr()
    with contextlib.suppress(OSError): os.removexattr(P("a"), "user.x")
    fcntl.fcntl(fd, fcntl.F_GETFD); fcntl.fcntl(fd, fcntl.F_SETFD, b"\0\0\0\0"); fcntl.flock(fd, fcntl.LOCK_EX); fcntl.flock(fd, fcntl.LOCK_UN); fcntl.lockf(fd, fcntl.LOCK_EX); fcntl.lockf(fd, fcntl.LOCK_UN, 1, 2, 0)
    with contextlib.suppress(OSError): fcntl.ioctl(fd, 0x5401, b"\0" * 60)
    with contextlib.suppress(OSError): fcntl.ioctl(fd, 0x541b, 0)
    with contextlib.suppress(OSError): fcntl.ioctl(fd, 0x541b, bytearray(4))
    os.close(fd)
    os.mkdir(P("d")); os.rename(P("a"), P("b")); os.replace(P("b"), P("a")); os.symlink("a", P("s")); os.link(P("a"), P("l")); os.unlink(P("l")); os.remove(P("s"))
    os.chown(P("a"), -1, -1); os.lchown(P("a"), -1, -1); os.chdir(DIR); os.chdir("/"); os.fchdir(os.open(DIR, os.O_RDONLY)); os.chdir("/"); os.rmdir(P("d"))
    os.stat(P("a")); os.access(P("a"), os.R_OK)
    glob.glob(P("*")); list(glob.iglob("*", recursive=True)); list(pathlib.Path(DIR).glob("*")); list(pathlib.Path(DIR).rglob("*")); list(pathlib.Path(DIR).iterdir())
    os.putenv("KB_X", "y"); os.unsetenv("KB_X"); os.environ["KB_Y"] = "z"; del os.environ["KB_Y"]
    m = mmap.mmap(-1, 4096); m.close()
    with open(P("a"), "r+b") as file:
        file.write(b"x" * 5000); file.flush(); mmap.mmap(file.fileno(), 0).close(); mmap.mmap(file.fileno(), 100, access=mmap.ACCESS_READ).close()

@step
def copies():
    os.mkdir(P("from")); open(P("from", "x"), "w").close()
    shutil.copyfile(P("a"), P("c")); shutil.copymode(P("a"), P("c")); shutil.copystat(P("a"), P("c")); shutil.copy2(P("a"), P("c")); shutil.copytree(P("from"), P("to"))
    shutil.move(P("c"), P("e")); shutil.make_archive(P("arc"), "tar", P("from"));
    with contextlib.suppress(Exception): shutil.unpack_archive(P("arc.tar"), P("un"), "tar", **({"filter": "data"} if sys.version_info >= (3, 12) else {}))
    with contextlib.suppress(Exception): shutil.chown(P("e"), os.getuid())
    shutil.rmtree(P("to")); tempfile.mkdtemp(dir=DIR); os.close(tempfile.mkstemp(dir=DIR)[0]); tempfile.NamedTemporaryFile(dir=DIR).close(); tempfile.TemporaryDirectory(dir=DIR).cleanup()

@step
def ctypes_events():
    c = ctypes.CDLL(None); c.getpid; c["getppid"]; ctypes.CDLL("libc.so.6").getpid()
    ctypes.addressof(ctypes.c_int(1)); ctypes.create_string_buffer(10); ctypes.create_string_buffer(b"x"); ctypes.create_unicode_buffer("x")
    b = ctypes.create_string_buffer(b"text"); ctypes.string_at(ctypes.addressof(b)); ctypes.string_at(b, 2); ctypes.wstring_at(ctypes.create_unicode_buffer("w"))
    ctypes.c_int.from_address(ctypes.addressof(b)); ctypes.c_int.from_buffer(bytearray(8)); ctypes.c_int.from_buffer_copy(b"12345678", 2)
    ctypes.get_errno(); ctypes.set_errno(0)
    ctypes.c_int.in_dll(ctypes.pythonapi, "Py_OptimizeFlag") if sys.version_info < (3, 12) else None
    ctypes.CFUNCTYPE(ctypes.c_int)(("getpid", c))()
    if hasattr(ctypes, "memoryview_at"): ctypes.memoryview_at(ctypes.addressof(b), 2)

@step
def processes():
    subprocess.run(["true"]); subprocess.run("exit 0", shell=True); subprocess.Popen(["env"], env={"A": "b"}, cwd="/", stdout=subprocess.DEVNULL).wait(); os.system("true")
    child = os.fork()
    if not child:
        try: os.execve("/no/such/file", ["x", "y"], {"K": "v", "L": "w"})
        except OSError: os._exit(0)
    os.waitpid(child, 0)
    os.waitpid(os.posix_spawn("/bin/true", ["true"], os.environ), 0); os.spawnv(os.P_WAIT, "/bin/true", ["true", "x"])
    with contextlib.suppress(OSError): os.execv("/no/such/file", ("a",))
    with contextlib.suppress(OSError): os.execvpe("no-such-file", ["a"], {})
    os.kill(os.getpid(), 0); os.killpg(os.getpgrp(), 0) if os.getpgrp() == os.getpid() else None
    pid, fd = os.forkpty()
    if not pid: os._exit(0)
    os.waitpid(pid, 0); os.close(fd)
    resource.setrlimit(resource.RLIMIT_CORE, resource.getrlimit(resource.RLIMIT_CORE)); resource.prlimit(0, resource.RLIMIT_CORE); resource.prlimit(0, resource.RLIMIT_CORE, resource.getrlimit(resource.RLIMIT_CORE))
    signal.pthread_kill(threading.get_ident(), 0)
    with contextlib.suppress(OSError): pty.spawn(["true"], lambda fd: b"") if False else None

@step
def threads():
    t = threading.Thread(target=len, args=("x",), kwargs={}); t.start(); t.join()
    import _thread; lock = _thread.allocate_lock(); lock.acquire(); _thread.start_new_thread(lock.release, ()); lock.acquire()
    time.sleep(0); time.sleep(0.001); time.sleep(1e-9)

@step
def sockets():
    s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(); c = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0); c.connect(s.getsockname()); c.sendall(b"x"); c.close(); s.close()
    u = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); u.bind(P("u")); u.sendto(b"x", P("u")); u.sendmsg([b"y"], [], 0, P("u")); u.close()
    with contextlib.suppress(OSError): socket.socket().connect_ex(("127.0.0.1", 1))
    d = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); d.sendto(b"x", 0, ("127.0.0.1", 9)); d.close()
    socket.socketpair()[0].close(); socket.gethostname()
    for call in (lambda: socket.getaddrinfo("127.0.0.1", 80), lambda: socket.getaddrinfo("localhost", "http"), lambda: socket.gethostbyname("localhost"), lambda: socket.gethostbyname_ex("localhost"), lambda: socket.gethostbyaddr("127.0.0.1"),
                 lambda: socket.getnameinfo(("127.0.0.1", 80), 0), lambda: socket.getservbyname("http"), lambda: socket.getservbyname("http", "tcp"), lambda: socket.getservbyport(80), lambda: socket.if_nameindex()):
        with contextlib.suppress(OSError): call()

@step
def clients():
    server = socket.socket(); server.bind(("127.0.0.1", 0)); server.listen(); host, port = server.getsockname(); server.settimeout(0.01)
    closed = socket.socket(); closed.bind((host, 0)); refused = closed.getsockname()[1]; closed.close()
    h = http.client.HTTPConnection(host, port); h.request("GET", "/"); h.close()
    with contextlib.suppress(OSError): urllib.request.urlopen("http://127.0.0.1:%d/x" % refused)
    for call in (lambda: ftplib.FTP(host, timeout=0.01), lambda: imaplib.IMAP4(host, refused), lambda: poplib.POP3(host, refused), lambda: smtplib.SMTP(host, refused),
                 lambda: telnetlib.Telnet(host, refused), lambda: nntplib.NNTP(host, refused)):
        with contextlib.suppress(Exception): call()
    server.close()
    sqlite3.connect(":memory:").close(); sqlite3.connect(P("db")).close(); db = sqlite3.connect(":memory:")
    with contextlib.suppress(Exception): db.enable_load_extension(False)
    with contextlib.suppress(Exception): db.load_extension("no such")
    syslog.openlog("kb", 0, syslog.LOG_USER); syslog.setlogmask(0xff); syslog.closelog()
    with contextlib.suppress(Exception): webbrowser.get("true %s").open("http://x")
    if "ensurepip" in globals():
        with contextlib.suppress(BaseException): ensurepip._bootstrap(root="/no/such/place", verbosity=-1, user=False) if False else ensurepip._disable_pip_configuration_settings() and None

@step
def servers():
    def serve(greeting):
        """A server that says the same to everything."""
        listening = socket.socket(); listening.bind(("127.0.0.1", 0)); listening.listen()
        def run():
            listening.settimeout(1)
            with contextlib.suppress(OSError):
                peer, _ = listening.accept()
                peer.settimeout(1); peer.sendall(greeting)
                while peer.recv(1000): peer.sendall(greeting)
        thread = threading.Thread(target=run, daemon=True); thread.start()
        return listening.getsockname()[1], thread
    def use(greeting, client):
        port, thread = serve(greeting)
        with contextlib.suppress(Exception): client(port)
        gc.collect(); thread.join()
    use(b"220 ok\r\n", lambda port: [f := ftplib.FTP(), f.connect("127.0.0.1", port, 2), f.sendcmd("NOOP"), f.close()])
    use(b"220 ok\r\n", lambda port: [m := smtplib.SMTP("127.0.0.1", port, "here", 2), m.noop(), m.close()])
    use(b"+OK\r\n", lambda port: [m := poplib.POP3("127.0.0.1", port, 2), m.noop(), m.close()])
    use(b"* OK\r\n", lambda port: [m := imaplib.IMAP4("127.0.0.1", port)])
    if "nntplib" in globals(): use(b"200 ok\r\n", lambda port: [m := nntplib.NNTP("127.0.0.1", port, timeout=2)])
    if "telnetlib" in globals(): use(b"hello", lambda port: [m := telnetlib.Telnet("127.0.0.1", port, 2), m.write(b"x"), m.close()])
    use(b"HTTP/1.0 200 OK\r\n\r\n", lambda port: [h := http.client.HTTPConnection("127.0.0.1", port, timeout=2), h.request("GET", "/"), h.close()])

@step
def rare():
    import _ctypes
    c = ctypes.CDLL(None); _ctypes.dlsym(c._handle, "getpid"); _ctypes.call_function(_ctypes.dlsym(c._handle, "getpid"), ())
    ctypes.pythonapi.PyFile_SetOpenCodeHook(None, None)
    with contextlib.suppress(OSError): socket.sethostname(socket.gethostname())
    syslog.syslog(syslog.LOG_DEBUG, "test")
    sys.excepthook = lambda *args: None
    ctypes.pythonapi.PyRun_SimpleString(b"1/0")
    sys.excepthook = sys.__excepthook__
    if "ensurepip" in globals():
        ensurepip._run_pip = lambda *args, **kwargs: 0
        with contextlib.suppress(BaseException), contextlib.redirect_stderr(io.StringIO()): ensurepip._bootstrap()
    child = os.fork()
    if not child:
        os.setpgid(0, 0); os.killpg(os.getpid(), 0); os._exit(0)
    os.waitpid(child, 0)
    child, fd = os.forkpty()
    if not child:
        input("what? "); os._exit(0)
    os.write(fd, b"that\n"); os.waitpid(child, 0); os.close(fd)
    child = os.fork()
    if not child:
        signal.setitimer(signal.ITIMER_REAL, 0.5); pty.spawn(["true"]); os._exit(0)
    os.waitpid(child, 0)
    if hasattr(sys, "remote_exec"):
        open(P("remote.py"), "w").write("x = 1")
        with contextlib.suppress(OSError, RuntimeError): sys.remote_exec(os.getpid(), P("remote.py"))
        for i in range(1000): pass

@step
def interpreters():
    for module in ("_xxsubinterpreters", "_interpreters"):
        with contextlib.suppress(ImportError):
            m = importlib.import_module(module); i = m.create(); m.run_string(i, "x = 1") if hasattr(m, "run_string") else m.exec(i, "x = 1"); m.destroy(i)

@step
def errors():
    keep, sys.excepthook = sys.excepthook, lambda *args: None
    t = threading.Thread(target=lambda: 1 / 0); threading.excepthook = lambda args: None; t.start(); t.join()
    sys.excepthook = keep

def main():
    for function in done:
        sys.audit("keelback.step", function.__name__)
        try:
            function()
        except Exception as error:
            sys.audit("keelback.stopped", function.__name__, repr(error))
'''

RUN = r'''
if len(sys.argv) > 2 and sys.argv[2] == "wait":
    print("ready", flush=True)
    sys.stdin.readline()
record()
main()
sys.audit("keelback.end")
os._exit(0)
'''
