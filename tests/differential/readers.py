"""Four readings of the bytes that an origin gets: llhttp's, nginx's, h11's, and that of Python's http.server.

A reading is a list of requests, and what was wrong ("" = nothing, and nothing is left over). Field names are in
lower case, values without blanks around them; what a connection is about, and nginx does not pass on, is left out.
"""

import http.server
import io
import os
import subprocess
import sys
from dataclasses import dataclass

try:
    import h11
except ModuleNotFoundError:  # Debian's, for another Python than Debian's: it is pure Python
    sys.path.append("/usr/lib/python3/dist-packages")
    import h11

HERE = os.path.dirname(os.path.abspath(__file__))
HOPS = {b"connection", b"content-length", b"transfer-encoding", b"keep-alive", b"te", b"upgrade", b"expect", b"trailer"}


@dataclass(frozen=True)
class Request:
    method: bytes
    target: bytes
    fields: tuple
    body: bytes
    trailers: tuple = ()


def request(method, target, fields, body, trailers=()):
    def kept(pairs):
        return tuple((n.lower(), v.strip(b" \t")) for n, v in pairs if n.lower() not in HOPS)
    return Request(bytes(method), bytes(target), kept(fields), bytes(body), kept(trailers))


class Llhttp:
    """llhttp, strict as Remora has it, in a process of its own."""

    def __init__(self, directory):
        program = os.path.join(directory, "llhttp_reader")
        sources = [os.path.join("/usr/share/llhttp", name) for name in ("llhttp.c", "api.c", "http.c")]
        subprocess.run(["cc", "-O1", "-w", "-DLLHTTP_STRICT_MODE=1", "-I/usr/share/include", "-I/usr/include/llhttp",
                        "-I/usr/share/include/llhttp", "-I/usr/share/llhttp", "-o", program,
                        os.path.join(HERE, "llhttp_reader.c"), *sources], check=True)
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def close(self):
        self.process.stdin.close()
        self.process.wait()

    def lines(self, data, asked):
        """(letter, text) as llhttp_reader.c says."""
        self.process.stdin.write(b"%d %s\n" % (len(data), asked) + data)
        self.process.stdin.flush()
        for line in iter(self.process.stdout.readline, b".\n"):
            yield line[:1], bytes.fromhex(line[1:].decode())

    def read(self, data):
        found, wrong = [], ""
        method, target, pairs, trailers, body = b"", b"", [], [], b""
        for kind, text in self.lines(data, b"?"):
            if kind == b"M":
                method, target, pairs, trailers, body = text, b"", [], [], b""
            elif kind == b"U":
                target = text
            elif kind in b"Nn":
                (pairs if kind == b"N" else trailers).append((text, b""))
            elif kind in b"Vv":
                place = pairs if kind == b"V" else trailers
                place[-1] = (place[-1][0], text)
            elif kind == b"B":
                body += text
            elif kind == b"E":
                found.append(request(method, target, pairs, body, trailers))
            else:
                wrong = text.decode()
        return found, wrong


def read_h11(data):
    found = []
    while data:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        connection.receive_data(data)
        connection.receive_data(b"")
        head, body = None, b""
        try:
            while True:
                event = connection.next_event()
                if isinstance(event, h11.Request):
                    head = event
                elif isinstance(event, h11.Data):
                    body += event.data
                elif isinstance(event, h11.EndOfMessage):
                    found.append(request(head.method, head.target, head.headers, body, event.headers))
                    break
                else:
                    return found, f"stops with {event!r}"
        except h11.RemoteProtocolError as error:
            return found, str(error)
        data = connection.trailing_data[0]
    return found, ""


class _Head(http.server.BaseHTTPRequestHandler):
    """Parses one head and answers nothing."""

    def __init__(self, data):  # not the base's, which wants a connection
        self.rfile = io.BytesIO(data)
        self.wfile = io.BytesIO()
        self.wrong = ""
        self.raw_requestline = self.rfile.readline(65537)
        self.parsed = self.parse_request()

    def send_error(self, code, message=None, explain=None):
        self.wrong = f"{code} {message}"

    def log_message(self, format, *args):  # noqa: A002
        pass


def read_http_server(data):
    """Its heads; it leaves bodies to whoever uses it."""
    head = _Head(data)
    if not head.parsed:
        return [], head.wrong or "no request"
    latin = [(n.encode("latin-1"), v.encode("latin-1")) for n, v in head.headers.items()]
    return [request(head.command.encode(), head.path.encode("latin-1"), latin, b"")], ""


# ---- The strictest, for what this program itself needs to know

def measure(data):
    """Of the request that begins `data`: (head's end, complete, body, trailers, end). None: not all of the head is there."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    end += 4
    return end, *read_framed(data, end, split_fields(data[:end - 4].split(b"\r\n")[1:]))


def read_framed(data, at, fields):
    """Of a message whose `fields` end at `at`: (complete, body, trailers, end)."""
    codings = [v for n, v in fields if n.lower() == b"transfer-encoding"]
    lengths = [v for n, v in fields if n.lower() == b"content-length"]
    if codings:
        body = b""
        while True:
            line_end = data.find(b"\r\n", at)
            if line_end < 0:
                return False, body, (), len(data)
            try:
                size = int(data[at:line_end].split(b";")[0], 16)
                if size < 0:
                    raise ValueError
            except ValueError:
                return True, body, (), len(data)
            at = line_end + 2
            if size == 0:
                if data[at:at + 2] == b"\r\n":
                    return True, body, (), at + 2
                last = data.find(b"\r\n\r\n", at)
                if last < 0:
                    return False, body, (), len(data)
                return True, body, split_fields(data[at:last].split(b"\r\n")), last + 4
            if len(data) < at + size + 2:
                return False, body, (), len(data)
            body += data[at:at + size]
            at += size + 2
    length = int(lengths[0]) if lengths and lengths[0].isdigit() else 0
    return len(data) >= at + length, data[at:at + length], (), at + length


def split_fields(lines):
    return tuple((name, value.strip(b" \t")) for name, _, value in (line.partition(b":") for line in lines))


def read_plainly(data):
    """What proxies other than Remora have sent, which is taken as it looks."""
    found = []
    while data:
        measured = measure(data)
        if measured is None or not measured[1]:
            return found, "incomplete"
        head_end, _, body, trailers, end = measured
        lines = data[:head_end - 4].split(b"\r\n")
        method, _, rest = lines[0].partition(b" ")
        found.append(request(method, rest.rpartition(b" ")[0], split_fields(lines[1:]), body, trailers))
        data = data[end:]
    return found, ""
