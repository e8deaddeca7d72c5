"""Connections that tests/bench/compare drives itself: with large responses, with WebSocket frames, and a crowd of idle ones."""

import contextlib
import select
import socket
import time

from measure import Cpu, Meter, connect, read_response, request_bytes, resident
from proxies import BenchError

BATCH = 64
SETTLE_SECONDS = 1.0
FRAME = b"\x82\xfd" + bytes(4) + b"f" * 125  # binary, masked by zeros


def frames(proxy, port, scenario, seconds):
    """A frame to and fro on each of some WebSocket connections. Returns a flat dict of numbers, for a frame there and back."""
    request = (f"GET {scenario.path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
               "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n").encode()
    with contextlib.ExitStack() as stack:
        poll = select.epoll()
        stack.callback(poll.close)
        crowd = {}  # by descriptor: the connection, and how much of its frame has come back
        for _ in range(scenario.connections):
            connection = stack.enter_context(connect(port, None))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(request)
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                piece = connection.recv(4096)
                if not piece:
                    raise BenchError(f"{proxy.name} closed instead of switching protocols")
                head += piece
            if not head.startswith(b"HTTP/1.1 101"):
                raise BenchError(f"{proxy.name} does not switch protocols:\n{head.decode(errors='replace')}")
            crowd[connection.fileno()] = [connection, 0]
            poll.register(connection, select.EPOLLIN)
            connection.sendall(FRAME)

        def run(until):
            count = 0
            while time.monotonic() < until:
                for number, _ in poll.poll(1):
                    one = crowd[number]
                    piece = one[0].recv(4096)
                    if not piece:
                        raise BenchError(f"{proxy.name} has closed a connection")
                    one[1] += len(piece)
                    if one[1] == len(FRAME):
                        one[1] = 0
                        count += 1
                        one[0].sendall(FRAME)
            return count

        run(time.monotonic() + 0.5)
        meter = Meter(proxy)
        return meter.read(run(meter.begun + seconds))


def bulk(proxy, port, scenario, seconds):
    """One large response after the other on each connection, thrown away unread (MSG_TRUNC), so that the proxy is the limit.

    A flat dict of numbers; what is otherwise per request is per MiB.
    """
    with contextlib.ExitStack() as stack:
        request = request_bytes(port, scenario.path)
        buffer = bytearray(1 << 20)
        left = {}  # by descriptor: the connection, and how much of its response is to come
        poll = select.epoll()
        stack.callback(poll.close)
        for _ in range(scenario.connections):
            connection = stack.enter_context(connect(port, None))
            connection.sendall(request)
            read_response(connection)
            connection.sendall(request)
            connection.setblocking(False)
            poll.register(connection, select.EPOLLIN)
            left[connection.fileno()] = [connection, 0]
        size = response_size(port, request)

        def run(until):
            total = 0
            while time.monotonic() < until:
                for number, _ in poll.poll(1):
                    one = left[number]
                    got = one[0].recv_into(buffer, len(buffer), socket.MSG_TRUNC)
                    if got == 0:
                        raise BenchError(f"{proxy.name} has closed a connection")
                    total += got
                    one[1] += got
                    if one[1] >= size:
                        one[1] -= size
                        one[0].sendall(request)
            return total

        run(time.monotonic() + 0.5)
        meter = Meter(proxy)
        moved = run(meter.begun + seconds) / (1 << 20)
        numbers = meter.read(moved)
        return {**numbers, "mib_per_second": numbers["requests_per_second"]}


def response_size(port, request):
    """Bytes of one response, its head included."""
    with connect(port, None) as connection:
        connection.sendall(request)
        head = connection.recv(65536, socket.MSG_PEEK)
        _, body = read_response(connection)
    return head.index(b"\r\n\r\n") + 4 + len(body)


def open_crowd(port, count, crowd, tls):
    """Adds `count` connections to `crowd`, in batches; each makes one request. Returns the errors."""
    request = request_bytes(port, "/64")
    errors = 0
    while count > 0:
        batch = []
        for _ in range(min(BATCH, count)):
            try:
                batch.append(connect(port, tls))
                crowd.append(batch[-1])
                batch[-1].sendall(request)
            except OSError as error:
                raise BenchError(f"connection {len(crowd) + 1} of the crowd failed: {error}") from error
        count -= len(batch)
        for connection in batch:
            try:
                errors += read_response(connection)[0] != 200
            except OSError:
                errors += 1
    return errors


def dropped(crowd):
    """How many of the idle connections the proxy has closed (or sent stray bytes on)."""
    poll = select.poll()
    for connection in crowd:
        poll.register(connection, select.POLLIN)
    return len(poll.poll(0))


def idle(proxy, port, count, tls=None):
    """Memory of `count` idle keep-alive connections. Returns a flat dict of numbers."""
    with contextlib.ExitStack() as stack:
        crowd = []
        stack.callback(lambda: [connection.close() for connection in crowd])
        errors = open_crowd(port, BATCH, crowd, tls)  # what the first requests allocate once is not per connection
        while crowd:
            crowd.pop().close()
        proxy.pause(SETTLE_SECONDS)
        pids = proxy.pids()
        before = resident(pids)
        errors += open_crowd(port, count, crowd, tls)
        proxy.pause(SETTLE_SECONDS)
        cpu = Cpu(pids).run
        after = resident(pids)
        proxy.pause(SETTLE_SECONDS)
        idle_cpu = (Cpu(pids).run - cpu) / SETTLE_SECONDS
        errors += dropped(crowd)
        proxy.stop()  # before its clients: the proxy's side keeps TIME_WAIT, not the client's ports
    return {"rss_warm": before, "rss": after, "per_connection": (after - before) / count,
            "idle_cpu": idle_cpu, "errors": errors, "requests": count}
