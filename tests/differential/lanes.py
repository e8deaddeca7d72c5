"""The proxies beside each other, each before an origin of its own: one that keeps the bytes it gets, or one that sends
what it was told.

Everything is in one loop. Requests: a message is sent on a connection of its own and the sending side is closed behind
it; the origin answers each request and closes, so that a connection of an origin carries one request, or shows that it
carries more. Responses: a client asks twice on one connection, and the origin's first answer is the message.
"""

import asyncio
import contextlib
import os
import pwd
import re
import socket
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, os.pardir, "bench"))

from proxies import Child, find_program, write  # noqa: E402
from readers import measure  # noqa: E402

PATIENCE = 20.0  # seconds that any wait may take
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
SECOND = b"HTTP/1.1 200 OK\r\nX-Second: 2\r\nContent-Length: 6\r\n\r\nsecond"
STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])")

REMORA = """
[admin]
address = "127.0.0.1:{admin}"
[log.access]
path = "off"
[log]
level = "error"
[[listener]]
name = "in"
address = "127.0.0.1:{port}"
timeouts = {{ body_idle = "5s" }}
[[listener.route]]
cluster = "app"
timeout = "5s"
[[cluster]]
name = "app"
endpoints = ["127.0.0.1:{origin}"]
breaker = {{ enabled = false }}
retry = {{ attempts = 1 }}
"""

NGINX = """
{user}
worker_processes 1;
daemon off;
pid {directory}/{name}.pid;
error_log /dev/null;
events {{ worker_connections 256; }}
http {{
  access_log off;
{temporary}
  client_max_body_size 0;
  ignore_invalid_headers {ignore};
  underscores_in_headers {underscores};
  merge_slashes off;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://127.0.0.1:{origin};
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_ignore_client_abort on;
      proxy_next_upstream off;
      proxy_read_timeout {wait};
    }}
  }}
}}
"""

HAPROXY = """
global
  maxconn 200
  nbthread 1
defaults
  mode http
  no log
  retries 0
  timeout connect 5s
  timeout client 10s
  timeout server {wait}
frontend in
  bind 127.0.0.1:{port}
  default_backend app
backend app
  http-reuse never
  server app 127.0.0.1:{origin}
"""


class Origin:
    """Answers whatever comes, and keeps it, connection by connection. One that nothing has come on is somebody's spare."""

    WAIT = "5s"  # that nginx and HAProxy wait for an answer

    def __init__(self):
        self.connections = []
        self.busy = 0
        self.idle = asyncio.Event()
        self.server = None
        self.port = 0

    async def start(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]

    async def serve(self, reader, writer):
        data = bytearray()
        answered = False
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            while piece := await (asyncio.wait_for(reader.read(65536), PATIENCE) if data else reader.read(65536)):
                if not data:
                    self.connections.append(data)
                    self.busy += 1
                    self.idle.clear()
                data += piece
                measured = measure(bytes(data))
                if measured is not None and measured[1] and not answered:
                    answered = True
                    writer.write(ANSWER)
                    writer.write_eof()
        writer.close()
        self.busy -= 1 if data else 0
        if self.busy == 0:
            self.idle.set()

    async def take(self):
        """What has come since the last time, when nobody sends any more."""
        if self.busy:
            await asyncio.wait_for(self.idle.wait(), PATIENCE * 2)
        taken, self.connections = self.connections, []
        return [bytes(data) for data in taken]


class Replier:
    """Answers a request for /first with `reply`, and any other one with SECOND."""

    WAIT = "200ms"  # for one who looks for an end somewhere else

    def __init__(self):
        self.reply = b""
        self.closes = True  # behind `reply`
        self.server = None
        self.port = 0

    async def start(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]

    async def serve(self, reader, writer):
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):  # the last: all ends
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                first = head.split(b" ", 2)[1] == b"/first"
                writer.write(self.reply if first else SECOND)
                if first and self.closes:
                    writer.write_eof()
                    break
            while await reader.read(65536):  # so that no reset destroys the reply
                pass
        writer.close()


class Lane:
    """A proxy with its origin."""

    def __init__(self, name, port, origin):
        self.name = name
        self.port = port
        self.origin = origin
        self.child = None

    async def send(self, data):
        """Returns (statuses that the client saw, what the origin got by connection)."""
        answer, _ = await self.converse(data, True)
        return [int(s) for s in STATUS.findall(answer)], await self.origin.take()

    async def ask(self, requests, reply, closes):
        """Returns (what the client got, whether its connection was reset), when the origin answers /first with `reply`."""
        self.origin.reply, self.origin.closes = reply, closes
        return await self.converse(requests, False)

    async def converse(self, data, ends):
        """Returns (what came back, whether a reset ended it). `ends`: the sending side is closed behind `data`."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        answer, broken = b"", False
        try:
            writer.write(data)
            if ends:
                writer.write_eof()
            while piece := await asyncio.wait_for(reader.read(65536), PATIENCE):
                answer += piece
        except OSError:
            broken = True
        writer.close()
        return answer, broken


def free_ports(count):
    """Bound at once, so that all differ; released for those who will bind them."""
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


async def start_lane(name, remora, directory, origin):
    port, admin = free_ports(2)
    lane = Lane(name, port, origin)
    await lane.origin.start()
    if name == "remora":
        config = write(directory, "remora.toml", REMORA.format(port=port, admin=admin, origin=lane.origin.port))
        command = [remora, "run", "--config", config]
    elif name == "haproxy":
        config = write(directory, "haproxy.cfg", HAPROXY.format(port=port, origin=lane.origin.port, wait=origin.WAIT))
        command = [find_program("haproxy"), "-db", "-f", config]
    else:  # nginx as it comes, or as an origin that shows all it has read
        shows = name == "nginx-origin"
        temporary = "\n".join(f"  {kind}_temp_path {directory}/{name}-{kind};"
                              for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        user = f"user {pwd.getpwuid(os.getuid()).pw_name};" if os.getuid() == 0 else ""
        config = write(directory, f"{name}.conf", NGINX.format(
            user=user, directory=directory, name=name, temporary=temporary, port=port, origin=lane.origin.port, wait=origin.WAIT,
            ignore="off" if shows else "on", underscores="on" if shows else "off"))
        command = [find_program("nginx"), "-e", "stderr", "-p", directory, "-c", config]
    lane.child = Child(name, command, None, directory)
    await asyncio.to_thread(lane.child.wait_listening, port)
    return lane
