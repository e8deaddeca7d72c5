"""Scripted origin servers: literal bytes out, every request held against the normal form."""

import os
import select
import socket
import threading

from http_reference import (ByteSource, Malformed, TimedOut, Truncated, normal_form_errors, read_request_body,
                            read_request_head)
from wire import DEADLINE, PEER_QUEUE, reset_socket, send_cut, show_address


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nok"


class Received:
    """One request that reached a backend: its head, and its body once complete."""

    def __init__(self, connection, request):
        self.connection = connection
        self.request = request
        self.complete = False


class Upstream:
    """A backend's end of one connection from Remora, in a script's hands (blocking calls, own thread)."""

    def __init__(self, backend, sock, number):
        self.backend = backend
        self.sock = sock
        self.number = number  # 0 for the first connection that the backend accepted
        self.requests = 0
        self.source = ByteSource(sock, DEADLINE * 3)
        self.gone = threading.Event()  # the other end closed or reset it
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def head(self):
        """The next request head, None when Remora closed the connection in between two requests."""
        before = self.source.total
        try:
            request = read_request_head(self.source)
        finally:
            self.backend.count_bytes(self, self.source.total - before)
        if request is not None:
            self.requests += 1
            self.backend.note(Received(self, request))
        return request

    def body(self, request):
        read_request_body(self.source, request)
        self.backend.note_complete(request)
        return request

    def send(self, data, cuts=()):
        send_cut(self.sock, data, cuts)

    def close(self):
        self.sock.close()

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self):
        reset_socket(self.sock)

    def wait_end(self):
        """Blocks until Remora closes or resets this connection; what it sent meanwhile."""
        data = self.source.rest()
        self.gone.set()
        return data

    @property
    def open(self):
        return self.sock.fileno() >= 0


class RawBackend:
    """A scripted origin server. `script(connection, request_head)` answers one request.

    The script reads the body (or not) and sends literal bytes; returning False ends the connection, anything
    else waits for the next request on it. Every request is recorded and held against the normal form; what
    breaks it is kept in `violations`.
    """

    def __init__(self, script=None, address=("127.0.0.1", 0), backlog=512):
        self.script = script or answer(OK)
        self.address = address
        family = socket.AF_UNIX if isinstance(address, str) else (
            socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
        self.listener = socket.socket(family)
        if family != socket.AF_UNIX:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(address)
        self.listener.listen(backlog)
        if family != socket.AF_UNIX:
            self.address = self.listener.getsockname()[:2]
        self.changed = threading.Condition()
        self.received = []  # [Received], in order of arrival
        self.violations = []  # what was not in normal form
        self.connections = []
        self.accepted = 0
        self.bytes = 0
        self.stopping = False
        self.accepter = threading.Thread(target=self._accept, daemon=True)
        self.accepter.start()

    @property
    def endpoint(self):
        """Its address as a configuration string."""
        return show_address(self.address)

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            with self.changed:
                if self.stopping:
                    sock.close()
                    return
                upstream = Upstream(self, sock, self.accepted)
                self.accepted += 1
                self.connections.append(upstream)
                upstream.thread = threading.Thread(target=self._serve, args=(upstream,), daemon=True)
                self.changed.notify_all()
            upstream.thread.start()

    def _serve(self, upstream):
        request = None
        try:
            while upstream.open:
                request = None
                request = upstream.head()
                if request is None or self.script(upstream, request) is False:
                    break
        except Truncated:
            pass  # Remora gave up half-way: the record stays incomplete
        except Malformed as error:
            self.violate(f"{error} in {bytes(upstream.source.raw[-400:])!r}")
        except TimedOut:
            if not self.stopping:
                self.violate("a backend waited for the rest of a request until its deadline")
        except OSError:
            pass  # Remora closed while the script was sending
        except Exception as error:  # noqa: BLE001  an assertion in a script fails its test
            self.violate(f"{type(error).__name__} in a script: {error}")
        finally:
            upstream.sock.close()
            upstream.gone.set()
            with self.changed:
                self.changed.notify_all()

    def violate(self, text):
        with self.changed:
            self.violations.append(text)
            self.changed.notify_all()

    def count_bytes(self, upstream, count):
        with self.changed:
            self.bytes += count
            if upstream.source.eof:
                upstream.gone.set()
            self.changed.notify_all()

    def note(self, received):
        with self.changed:
            self.received.append(received)
            request = received.request
            self.violations += [f"{e} in {request.method} {request.target} {request.headers}"
                                for e in normal_form_errors(received.request)]
            self.changed.notify_all()

    def note_complete(self, request):
        with self.changed:
            for received in reversed(self.received):
                if received.request is request:
                    received.complete = True
            self.violations += [e for e in normal_form_errors(request) if "trailer" in e]
            self.changed.notify_all()

    def wait(self, predicate, what, deadline=DEADLINE):
        """Blocks until `predicate()` holds; looked at whenever something arrives or a connection ends."""
        with self.changed:
            if not self.changed.wait_for(predicate, deadline):
                raise AssertionError(f"backend never saw: {what}")

    def complete(self):
        with self.changed:
            return [r.request for r in self.received if r.complete]

    def take(self):
        """(complete requests, incomplete ones) since the last call; forgets them."""
        with self.changed:
            records, self.received = self.received, []
        return [r.request for r in records if r.complete], [r for r in records if not r.complete]

    def forget_ended(self):
        """Drops the records of connections that have ended, for tests that make thousands."""
        with self.changed:
            self.connections = [c for c in self.connections if not c.gone.is_set()]

    def close(self):
        with self.changed:
            self.stopping = True
            connections = list(self.connections)
        for sock in [self.listener, *[c.sock for c in connections]]:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.listener.close()
        self.accepter.join(DEADLINE)
        for connection in connections:
            if connection.thread.ident is not None:
                connection.thread.join(DEADLINE)
        if isinstance(self.address, str):
            try:
                os.unlink(self.address)
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.close()
        if kind is None and self.violations:
            raise AssertionError("not in normal form:\n" + "\n".join(self.violations[:10]))


def answer(data, then="keep", cuts=(), read_body=True):
    """A script: reads the request, sends `data`, then keeps, closes, resets or stalls the connection."""
    def script(upstream, request):
        if read_body:
            upstream.body(request)
        if data:
            upstream.send(data, cuts)
        return finish(upstream, then)
    return script


def named(name):
    """A script that answers with its name and the target it saw."""
    def script(upstream, request):
        upstream.body(request)
        body = f"{name} {request.target}".encode()
        head = b"HTTP/1.1 200 OK\r\nX-Remove: me\r\nX-Keep: 1\r\nContent-Length: %d\r\n\r\n" % len(body)
        upstream.send(head + body)
    return script


def finish(upstream, then):
    """What a script does with its connection after its last byte."""
    if then == "keep":
        return True
    if then == "reset":
        PEER_QUEUE.settled(upstream.sock)  # an RST overtakes what was not read yet
        upstream.reset()
    elif then == "half-close":
        upstream.half_close()
        upstream.wait_end()
    elif then == "stall":
        upstream.wait_end()
    else:
        assert then == "close", then
    return False


def refused_address():
    """A loopback address that refuses: bound, never listening. Keep the returned socket alive."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    return sock, sock.getsockname()


class Blackhole:
    """A loopback address that neither accepts nor refuses: its backlog is full, SYNs are dropped."""

    def __init__(self):
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(0)
        self.address = self.listener.getsockname()
        self.fillers = []
        for _ in range(8):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(self.address)
            self.fillers.append(filler)
            if not select.select([], [filler], [], 0.05)[1]:
                break  # this one hangs: so will everybody after it

    @property
    def endpoint(self):
        return show_address(self.address)

    def close(self):
        for sock in [*self.fillers, self.listener]:
            sock.close()
