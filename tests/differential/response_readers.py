"""Readings of the bytes that a client gets: llhttp's, h11's, that of Python's http.client, and a plain one.

A reading is a list of responses, and what was wrong ("" = nothing). Field names are in lower case, values without blanks
around them; what a connection is about, and what a proxy says for itself, is left out.
"""

import http.client
import io
from dataclasses import dataclass

from readers import HOPS, h11, read_framed, split_fields

LEFT_OUT = HOPS | {b"proxy-connection", b"via", b"date", b"server", b"content-type"}
BODILESS = (204, 304)


@dataclass(frozen=True)
class Response:
    status: int
    fields: tuple
    body: bytes
    trailers: tuple = ()
    interim: tuple = ()  # statuses of the 1xx before it

    def get(self, name):
        return dict(self.fields).get(name)


def response(status, fields, body, trailers=(), interim=()):
    named = {option.strip(b" \t").lower() for n, v in fields if bytes(n).lower() == b"connection" for option in bytes(v).split(b",")}

    def kept(pairs):
        return tuple((bytes(n).lower(), bytes(v).strip(b" \t")) for n, v in pairs if bytes(n).lower() not in LEFT_OUT | named)
    return Response(status, kept(fields), bytes(body), kept(trailers), tuple(interim))


def read_llhttp(llhttp, data, methods):
    """`llhttp`: readers.Llhttp, which llhttp_reader.c tells what llhttp leaves to its user: that 204 and 304 have no body."""
    found, wrong = [], ""
    status, pairs, trailers, body, interim = 0, [], [], b"", []
    for kind, text in llhttp.lines(data, b"".join(b"H" if m == b"HEAD" else b"G" for m in methods)):
        if kind == b"S":
            status, body, trailers = int.from_bytes(text, "big"), b"", []
        elif kind in b"Nn":
            (pairs if kind == b"N" else trailers).append((text, b""))
        elif kind in b"Vv":
            place = pairs if kind == b"V" else trailers
            place[-1] = (place[-1][0], text)
        elif kind == b"B":
            body += text
        elif kind == b"E" and 100 <= status < 200 and status != 101:
            interim.append(status)
            pairs = []
        elif kind == b"E":
            found.append(response(status, pairs, body, trailers, interim))
            pairs, interim = [], []
        elif kind == b"X":
            wrong = text.decode()
    return found, wrong


def read_h11(data, methods):
    """Each response is read by a connection of its own: h11 counts what else was asked."""
    found = []
    for method in methods:
        connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
        connection.send(h11.Request(method=method, target="/", headers=[("Host", "app.example")]))
        connection.send(h11.EndOfMessage())
        connection.receive_data(data)
        connection.receive_data(b"")
        head, body, interim = None, b"", []
        try:
            while True:
                event = connection.next_event()
                if isinstance(event, h11.InformationalResponse):
                    interim.append(event.status_code)
                    if event.status_code == 101:
                        return found, "switches protocols"
                elif isinstance(event, h11.Response):
                    head = event
                elif isinstance(event, h11.Data):
                    body += event.data
                elif isinstance(event, h11.EndOfMessage):
                    found.append(response(head.status_code, head.headers, body, event.headers, interim))
                    break
                else:
                    return found, f"stops with {event!r}"
        except h11.RemoteProtocolError as error:
            return found, str(error)
        data = connection.trailing_data[0]
        if not data:
            break
    return found, ""


class _Bytes(io.BytesIO):
    """A socket and its file, which more than one response is read from."""

    def makefile(self, *_):
        return self

    def close(self):
        pass


def read_http_client(data, methods):
    """Knows no interim response but 100, and leaves trailers out."""
    found, source = [], _Bytes(data)
    for method in methods:
        if source.tell() == len(data):
            break
        reader = http.client.HTTPResponse(source, method=method.decode())
        try:
            reader.begin()
            pairs = [(n.encode("latin-1", "replace"), str(v).encode("latin-1", "replace")) for n, v in reader.getheaders()]
            found.append(response(reader.status, pairs, reader.read()))
        except (http.client.HTTPException, ValueError, OverflowError) as error:  # its own ones for a size that is none
            return found, f"{type(error).__name__}: {error}"
    return found, ""


def read_plainly(data, methods, broken=False):
    """What looks like a response as proxies write them. `broken`: a reset came behind `data`. Returns ([(response, where
    its head with the interim ones begins, where it ends)], what was wrong)."""
    found, interim, at, begin = [], [], 0, 0
    while at < len(data):
        if len(found) == len(methods):
            return found, "more than was asked for"
        end = data.find(b"\r\n\r\n", at)
        if end < 0:
            return found, "incomplete"
        lines = data[at:end].split(b"\r\n")
        version, _, rest = lines[0].partition(b" ")
        if version not in (b"HTTP/1.1", b"HTTP/1.0") or not rest[:3].isdigit() or rest[3:4] not in (b"", b" "):
            return found, "not a response"
        status, fields, end = int(rest[:3]), split_fields(lines[1:]), end + 4
        if 100 <= status < 200 and status != 101:
            interim.append(status)
            at = end
            continue
        names = {n.lower() for n, _ in fields}
        if methods[len(found)] == b"HEAD" or status in BODILESS or status == 101:
            complete, body, trailers, at = True, b"", (), end
        elif names & {b"transfer-encoding", b"content-length"}:
            complete, body, trailers, at = read_framed(data, end, fields)
        else:
            complete, body, trailers, at = not broken, data[end:], (), len(data)
        if not complete:
            return found, "incomplete"
        found.append((response(status, fields, body, trailers, interim), begin, at))
        interim, begin = [], at
    return found, "incomplete" if interim else ""
