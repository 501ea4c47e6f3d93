# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Servers with a leak in a handler, and a client that keeps them busy.

What leaks is a Session for each request, which a registry keeps; all else that a request needs comes and goes: parsed
bodies, texts, templates, a cache that is bounded.
"""

# The line that allocates what stays, by its comment; filled in by leak_line().
HANDLER = '''
import collections, json, string

class Session:
    def __init__(self, user, number):
        self.user = user
        self.number = number
        self.history = ["GET %s" % user] * 30

class Request:
    def __init__(self, path):
        self.path = path
        self.fields = dict(part.split("=") for part in path.partition("?")[2].split("&") if part)

sessions = {}
cache = collections.OrderedDict()
PAGE = string.Template("<html><body>$name: $rows</body></html>")

def rows_for(request):
    key = int(request.fields["n"]) % 50
    if key not in cache:
        cache[key] = [{"row": i, "text": "row %d of %d" % (i, key)} for i in range(60)]
        if len(cache) > 40:
            cache.popitem(last=False)
    return cache[key]

def begin_session(request):
    user = "user-%s" % request.fields["n"]
    session = Session(user, len(sessions))
    session.page = render(request)  # stays with its session
    sessions[user] = session
    return session

def render(request):
    body = json.dumps(rows_for(request))
    page = PAGE.substitute(name=request.path, rows=body)
    return page * 5  # the leak

def answer(path):
    request = Request(path)
    begin_session(request)
    return ("%s\\n" % len(json.loads(json.dumps(rows_for(request))))).encode()
'''

HTTP = HANDLER + '''
import os, socketserver
from http.server import BaseHTTPRequestHandler, HTTPServer

class Server(socketserver.ThreadingMixIn, HTTPServer):
    daemon_threads = True
    request_queue_size = 100

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = answer(self.path)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass

server = Server(("127.0.0.1", 0), Handler)
os.write(1, b"port %d\\n" % server.server_address[1])
server.serve_forever()
'''

WSGI = HANDLER + '''
import os
from wsgiref.simple_server import WSGIRequestHandler, make_server

class Quiet(WSGIRequestHandler):
    def log_message(self, *args):
        pass

def application(environ, start_response):
    body = answer(environ["PATH_INFO"] + "?" + environ["QUERY_STRING"])
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]

server = make_server("127.0.0.1", 0, application, handler_class=Quiet)
os.write(1, b"port %d\\n" % server.server_port)
server.serve_forever()
'''

ASYNCIO = HANDLER + '''
import asyncio, os

async def serve(reader, writer):
    line = await reader.readline()
    while await reader.readline() not in (b"\\r\\n", b""):
        pass
    body = answer(line.split()[1].decode())
    writer.write(b"HTTP/1.0 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body) + body)
    await writer.drain()
    writer.close()

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    os.write(1, b"port %d\\n" % server.sockets[0].getsockname()[1])
    await server.serve_forever()

asyncio.run(main())
'''

SERVERS = {"http.server": HTTP, "wsgiref": WSGI, "asyncio": ASYNCIO}

# Some hundred requests a second, one after the other, until it is killed.
CLIENT = '''
import socket, sys, time
n = 0
while True:
    with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=20) as connection:
        connection.sendall(b"GET /page?n=%d HTTP/1.0\\r\\nHost: here\\r\\n\\r\\n" % n)
        while connection.recv(65536):
            pass
    n += 1
    if n == 300:
        print("warm", flush=True)
    time.sleep(0.003)
'''


def leak_line(text):
    """The number of the line that allocates what stays."""
    return 1 + next(i for i, line in enumerate(text.splitlines()) if line.endswith("# the leak"))


def start(env, name):
    """(server, client), both under load already."""
    server = env.py.popen([env.py.script(SERVERS[name], "server.py")])
    port = env.wait_line(server, "port").split()[1]
    client = env.python("debian-3.11").popen([env.py.script(CLIENT, "client.py"), port])
    env.wait_line(client, "warm", timeout=60)
    return server, client
