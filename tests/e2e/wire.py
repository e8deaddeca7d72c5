"""Sockets in a test's hands: addresses, cuts that are real cuts, and clients that send literal bytes."""

import os
import select
import socket
import struct
import threading
import time

from http_reference import ByteSource, read_response

DEADLINE = float(os.environ.get("REMORA_E2E_DEADLINE", "10"))  # seconds that any single wait may take


def parse_address(text):
    """'127.0.0.1:80', '[::1]:80' -> (host, port); 'unix:/path' -> '/path'."""
    if text.startswith("unix:"):
        return text[len("unix:"):]
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def show_address(address):
    if isinstance(address, str):
        return f"unix:{address}"
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class PeerQueue:
    """How many bytes that we sent the other end (on this machine) has not read yet, from NETLINK_SOCK_DIAG.

    Lets a test send [0:i], know that Remora has read it, then send [i:]: a real cut, without a sleep.
    Where the kernel does not offer it (or for Unix sockets), `settled` only yields the processor.
    """

    def __init__(self):
        self.netlink = None
        self.lock = threading.Lock()
        try:
            self.netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4)
            self.netlink.settimeout(1)
        except OSError:
            pass

    def unread(self, sock):
        """Bytes in the peer's receive queue; 0 when it is gone, None when the kernel does not tell."""
        if self.netlink is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
            return None
        try:
            own, peer = sock.getsockname(), sock.getpeername()
        except OSError:
            return 0
        pack = lambda a: socket.inet_pton(sock.family, a[0]).ljust(16, b"\0")  # noqa: E731
        identity = (struct.pack("!HH", peer[1], own[1]) + pack(peer) + pack(own)
                    + struct.pack("=III", 0, 0xffffffff, 0xffffffff))
        request = struct.pack("=BBBBI", sock.family, socket.IPPROTO_TCP, 0, 0, 0xffffffff) + identity
        header = struct.pack("=IHHII", 16 + len(request), 20, 1, 1, 0)
        with self.lock:
            try:
                self.netlink.send(header + request)
                reply = self.netlink.recv(8192)
            except OSError:
                return None
        kind = struct.unpack_from("=IH", reply)[1]
        if kind != 20:
            error = struct.unpack_from("=i", reply, 16)[0]
            return 0 if error == -2 else None
        return struct.unpack_from("=I", reply, 16 + 4 + 48 + 4)[0]

    def settled(self, sock, deadline=0.25):
        """Returns when the peer has read everything, has answered, or does not want to read."""
        end = time.monotonic() + deadline
        while time.monotonic() < end:
            unread = self.unread(sock)
            if unread is None:
                os.sched_yield()
                return
            if unread == 0:
                return
            if select.select([sock], [], [], 0)[0]:
                return
            os.sched_yield()


PEER_QUEUE = PeerQueue()


def send_cut(sock, data, cuts):
    """Sends `data` in pieces that end at `cuts` (sorted positions), each read by the peer before the next."""
    start = 0
    for cut in [*cuts, len(data)]:
        sock.sendall(data[start:cut])
        start = cut
        if cut < len(data):
            PEER_QUEUE.settled(sock)


def reset_socket(sock):
    """Closes with RST instead of FIN (SO_LINGER 0)."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    except OSError:
        pass
    sock.close()


class Client:
    """A client connection that sends literal bytes and reads strictly."""

    def __init__(self, address, deadline=DEADLINE):
        if isinstance(address, str):
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(deadline)
            self.sock.connect(address)
        else:
            self.sock = socket.create_connection(address, deadline)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.source = ByteSource(self.sock, deadline)

    def send(self, data):
        self.sock.settimeout(self.source.deadline)
        self.sock.sendall(data)

    def send_cut(self, data, cuts):
        """As `send`, in pieces; a peer that stops listening half-way is no error: its reply counts."""
        self.sock.settimeout(self.source.deadline)
        try:
            send_cut(self.sock, data, cuts)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def response(self, method="GET", http10=False):
        """The next final response (incomplete ones included), None when the connection ended before it."""
        return read_response(self.source, method, http10)

    def get(self, path, headers=(), host="test"):
        self.send(request_bytes("GET", path, headers, host=host))
        return self.response()

    def closed(self):
        """Waits for the end of the stream; returns what came before it (b"" when nothing)."""
        return self.source.rest()

    def readable(self, seconds=0.0):
        return bool(self.source.buffer) or bool(select.select([self.sock], [], [], seconds)[0])

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    def close(self):
        self.sock.close()

    def reset(self):
        reset_socket(self.sock)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.reset()


def request_bytes(method, target, headers=(), body=None, host="test", version="1.1"):
    lines = [f"{method} {target} HTTP/{version}"]
    if host is not None:
        lines.append(f"Host: {host}")
    lines += [f"{name}: {value}" for name, value in headers]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b"")


def fetch(address, path="/", method="GET", headers=(), body=None, host="test"):
    """One request on its own connection: the Response."""
    with Client(address) as client:
        client.send(request_bytes(method, path, [*headers, ("Connection", "close")], body, host))
        return client.response(method)
