"""A strict reading of HTTP/1.1, for judging what Remora sends.

Requests are read as the most intolerant origin server would read them: the *normal form* that Remora promises
to its upstreams. Responses are read as a careful client would, keeping what tells a whole message from a
truncated one. Nothing here is tolerant on purpose: whatever two parsers could read differently is an error.
"""

import re
import socket
import time
from dataclasses import dataclass, field

TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([!-~]+) HTTP/1\.1")
STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5][0-9][0-9]) ([\t\x20-\x7e\x80-\xff]*)")
FIELD_VALUE = re.compile(rb"(?:[!-~\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[!-~\x80-\xff])?)?")
ORIGIN_FORM = re.compile(rb"/[!\"$-~]*")
CHUNK_SIZE = re.compile(rb"0|[1-9a-fA-F][0-9a-fA-F]{0,15}")
VIA_REMORA = re.compile(r"1\.[01] remora(-[0-9a-z]+)?")

# RFC 9110 7.6.1: these never travel past one connection.
HOP_BY_HOP = {"keep-alive", "proxy-connection", "proxy-authorization", "proxy-authenticate"}
# RFC 9110 6.5.1: what a trailer section must not carry (framing, routing, modifiers, authentication).
NEVER_IN_TRAILERS = {
    "content-length", "transfer-encoding", "host", "trailer", "te", "connection", "upgrade", "expect",
    "max-forwards",
    "authorization", "content-encoding", "content-type", "content-range", "cache-control", "set-cookie",
    "cookie",
}


class Malformed(Exception):
    """What was read is not the normal form; says why."""


class Truncated(Exception):
    """The peer went away in the middle of a message."""


class TimedOut(Exception):
    """Nothing came before the deadline."""


class ByteSource:
    """Buffered reading from a socket, every wait bounded by `deadline` seconds."""

    def __init__(self, sock, deadline=10.0):
        self.sock = sock
        self.deadline = deadline
        self.buffer = b""
        self.eof = False
        self.was_reset = False
        self.raw = bytearray()  # the last of what came, for messages
        self.total = 0

    def fill(self):
        """Appends what the peer sent next; False at the end of the stream (also after a reset)."""
        if self.eof:
            return False
        self.sock.settimeout(self.deadline)
        try:
            data = self.sock.recv(262144)
        except (ConnectionResetError, BrokenPipeError, ConnectionAbortedError):
            self.was_reset = True
            data = b""
        except (TimeoutError, socket.timeout):
            raise TimedOut(f"nothing within {self.deadline} s after {bytes(self.raw[-200:])!r}") from None
        except OSError:
            data = b""
        if not data:
            self.eof = True
            return False
        self.buffer += data
        self.raw += data
        self.total += len(data)
        if len(self.raw) > 1 << 20:
            del self.raw[:-4096]
        return True

    def line(self):
        """One line without its CRLF; a bare CR or LF anywhere is an error."""
        start = 0
        while True:
            end = self.buffer.find(b"\n", start)
            if end >= 0:
                break
            start = len(self.buffer)
            if not self.fill():
                raise Truncated("end of stream inside a line")
        line, self.buffer = self.buffer[:end + 1], self.buffer[end + 1:]
        if not line.endswith(b"\r\n"):
            raise Malformed(f"line ended by a bare LF: {line[:80]!r}")
        if b"\r" in line[:-2]:
            raise Malformed(f"bare CR in {line[:80]!r}")
        return line[:-2]

    def exactly(self, count):
        parts, have = [], 0
        while have < count:
            if not self.buffer and not self.fill():
                raise Truncated(f"end of stream after {have} of {count} bytes")
            piece, self.buffer = self.buffer[:count - have], self.buffer[count - have:]
            parts.append(piece)
            have += len(piece)
        return b"".join(parts)

    def rest(self):
        while self.fill():
            pass
        data, self.buffer = self.buffer, b""
        return data


@dataclass
class Message:
    headers: list = field(default_factory=list)  # [(name, value)] as sent, in order
    trailers: list = field(default_factory=list)
    body: bytes = b""
    framing: str = "none"  # none | length | chunked | close
    length: int = 0

    def all(self, name):
        return [v for n, v in self.headers if n.lower() == name.lower()]

    def get(self, name):
        values = self.all(name)
        return ", ".join(values) if values else None

    def tokens(self, name):
        return [t.strip().lower() for v in self.all(name) for t in v.split(",") if t.strip()]

    def trailer(self, name):
        values = [v for n, v in self.trailers if n.lower() == name.lower()]
        return ", ".join(values) if values else None


@dataclass
class Request(Message):
    method: str = ""
    target: str = ""


@dataclass
class Response(Message):
    status: int = 0
    reason: str = ""
    interim: list = field(default_factory=list)  # the 1xx responses before this one
    complete: bool = False
    closed: bool = False  # the connection ended with it (close-delimited, or cut)
    error: str = ""  # why it is not complete

    @property
    def flag(self):
        return self.get("x-remora-flag")


def read_fields(source):
    """A field section up to and with its empty line."""
    fields = []
    while True:
        line = source.line()
        if not line:
            return fields
        name, colon, value = line.partition(b":")
        if not colon or not TOKEN.fullmatch(name):
            raise Malformed(f"not a field line: {line[:100]!r}")
        if value.startswith(b" "):
            value = value[1:]
        if not FIELD_VALUE.fullmatch(value):
            raise Malformed(f"field value is not in normal form: {line[:100]!r}")
        fields.append((name.decode(), value.decode("latin-1")))


def read_chunked(source, trailers, body=None):
    """A chunked body; `body` collects what has arrived even when the stream breaks off."""
    body = bytearray() if body is None else body
    while True:
        line = source.line()
        if not CHUNK_SIZE.fullmatch(line):
            raise Malformed(f"chunk size line {line[:60]!r} (extensions and leading zeros do not travel)")
        size = int(line, 16)
        if size == 0:
            trailers.extend(read_fields(source))
            return bytes(body)
        left = size
        while left:
            if not source.buffer and not source.fill():
                raise Truncated("end of stream inside a chunk")
            piece, source.buffer = source.buffer[:left], source.buffer[left:]
            body += piece
            left -= len(piece)
        if source.exactly(2) != b"\r\n":
            raise Malformed("chunk data not followed by CRLF")


def framing_of(message):
    """Sets framing and length from the fields; raises when they are not exactly one way."""
    codings, lengths = message.all("transfer-encoding"), message.all("content-length")
    if codings and lengths:
        raise Malformed("Content-Length and Transfer-Encoding together")
    if codings:
        if [c.lower() for c in codings] != ["chunked"]:
            raise Malformed(f"Transfer-Encoding is {codings!r}")
        message.framing = "chunked"
    elif lengths:
        if len(lengths) != 1 or not re.fullmatch(r"[0-9]{1,18}", lengths[0], re.ASCII):
            raise Malformed(f"Content-Length is {lengths!r}")
        message.framing, message.length = "length", int(lengths[0])


def read_request_head(source):
    """The next request head in normal form, None at a clean end of the stream."""
    if not source.buffer and not source.fill():
        return None
    line = source.line()
    match = REQUEST_LINE.fullmatch(line)
    if not match:
        raise Malformed(f"request line {line[:120]!r}")
    request = Request(method=match[1].decode(), target=match[2].decode())
    request.headers = read_fields(source)
    framing_of(request)
    return request


def read_request_body(source, request):
    if request.framing == "chunked":
        request.body = read_chunked(source, request.trailers)
    elif request.framing == "length":
        request.body = source.exactly(request.length)
    return request


def normal_form_errors(request):
    """Everything about a request that came from Remora which breaks its promise to upstreams."""
    bad = []
    target = request.target.encode()
    if not ORIGIN_FORM.fullmatch(target) and not (request.method == "OPTIONS" and target == b"*"):
        bad.append(f"target {request.target!r} is not origin-form")
    if len(request.all("host")) != 1:
        bad.append(f"{len(request.all('host'))} Host fields: {request.all('host')!r}")
    for name in HOP_BY_HOP:
        if request.all(name):
            bad.append(f"hop-by-hop field {name} travelled")
    bad += connection_errors(request)
    bad += added_field_errors(request)
    for name, _ in request.trailers:
        if name.lower() in NEVER_IN_TRAILERS:
            bad.append(f"forbidden trailer {name} travelled")
    return bad


def connection_errors(message):
    """`Connection` says exactly what Remora itself means: TE, Upgrade, close or keep-alive."""
    bad = []
    tokens = message.tokens("connection")
    for token in tokens:
        if token not in ("te", "upgrade", "close", "keep-alive"):
            bad.append(f"Connection names {token!r}")
    te = message.tokens("te")
    if te and te != ["trailers"]:
        bad.append(f"TE is {te!r}")
    if bool(te) != ("te" in tokens):
        bad.append("TE and `Connection: TE` must come together")
    if bool(message.all("upgrade")) != ("upgrade" in tokens):
        bad.append("Upgrade and `Connection: Upgrade` must come together")
    if any(u.startswith("h2c") or u.startswith("h2") for u in message.tokens("upgrade")):
        bad.append("h2c upgrade travelled")
    return bad


def added_field_errors(request):
    bad = []
    via = [t.strip() for v in request.all("via") for t in v.split(",")]
    if not via or not VIA_REMORA.fullmatch(via[-1]):
        bad.append(f"Via does not end in Remora's element: {via!r}")
    for name in ("x-forwarded-for", "x-forwarded-proto", "x-request-id"):
        if len(request.all(name)) != 1 or not request.all(name)[0]:
            bad.append(f"{name} is {request.all(name)!r}, expected one line with a value")
    return bad


def read_response(source, method="GET", http10=False):
    """The next final response with the interim ones before it, as far as it came.

    A message that breaks off is returned with complete=False; a reply that is not HTTP raises Malformed. None
    at a clean end of the stream. `http10` only forbids what must never be sent to an HTTP/1.0 client.
    """
    interim = []
    while True:
        if not source.buffer and not source.fill():
            if interim:
                raise Truncated("end of stream after an interim response")
            return None
        line = source.line()
        match = STATUS_LINE.fullmatch(line)
        if not match:
            raise Malformed(f"status line {line[:120]!r}")
        response = Response(status=int(match[1]), reason=match[2].decode("latin-1"))
        response.headers = read_fields(source)
        if response.status >= 200 or response.status == 101:
            break
        if response.all("content-length") or response.all("transfer-encoding"):
            raise Malformed("an interim response carries framing fields")
        interim.append(response)
    response.interim = interim
    if http10 and (interim or response.all("transfer-encoding")):
        raise Malformed("interim response or Transfer-Encoding sent to an HTTP/1.0 client")
    read_response_body(source, response, method)
    return response


def read_response_body(source, response, method):
    if response.status in (204, 101) and (response.all("content-length")
                                          or response.all("transfer-encoding")):
        raise Malformed(f"{response.status} carries framing fields")
    framing_of(response)
    body = bytearray()
    try:
        if method == "HEAD" or response.status in (204, 304, 101):
            response.framing, response.length = "none", 0
        elif response.framing == "chunked":
            read_chunked(source, response.trailers, body)
        elif response.framing == "length":
            while len(body) < response.length:
                if not source.buffer and not source.fill():
                    raise Truncated(f"{len(body)} of {response.length} bytes")
                take = response.length - len(body)
                body += source.buffer[:take]
                source.buffer = source.buffer[take:]
        else:
            response.framing = "close"
            body += source.rest()
            response.closed = True
            if source.was_reset:
                raise Truncated("close-delimited body ended by a reset")
        response.complete = True
    except Truncated as error:
        response.error = str(error)
        response.closed = True
    response.body = bytes(body)


def monotonic_deadline(seconds):
    return time.monotonic() + seconds
