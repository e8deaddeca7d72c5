"""Makes HTTP/1.1 requests from a seed: valid ones, odd ones, broken ones, and ones with damaged bytes.

A message is bytes and the names of what is unusual about it (rules.py has a row for each name).
"""

import random
from dataclasses import dataclass, field

BODY = b"some=body&more"
NEXT = b"GET /next HTTP/1.1\r\nHost: second.example\r\n\r\n"


@dataclass
class Message:
    data: bytes
    names: tuple
    damaged: bool = False


@dataclass
class Draft:
    """A request in parts, until it is put together."""
    method: bytes = b"GET"
    target: bytes = b"/"
    version: bytes = b"HTTP/1.1"
    host: list = field(default_factory=lambda: [b"Host: app.example"])
    fields: list = field(default_factory=list)
    framing: list = field(default_factory=list)
    body: bytes = b""
    line_end: bytes = b"\r\n"
    before: bytes = b""
    start_line: bytes = None

    def bytes(self):
        line = self.start_line or b" ".join((self.method, self.target, self.version))
        return self.before + self.line_end.join([line, *self.host, *self.fields, *self.framing, b"", b""]) + self.body


def with_length(draft, text=None):
    draft.method, draft.body = b"POST", BODY
    draft.framing = [b"Content-Length: " + (b"%d" % len(BODY) if text is None else text)]


def chunked(draft, body=None, coding=b"chunked"):
    draft.method = b"POST"
    draft.framing = [b"Transfer-Encoding: " + coding]
    draft.body = b"4\r\nsome\r\na\r\n=body&more\r\n0\r\n\r\n" if body is None else body


def set_to(**parts):
    def change(draft):
        for name, value in parts.items():
            setattr(draft, name, value)
    return change


def field_line(line):
    return lambda draft: draft.fields.append(line)


def lengths(*lines):
    def change(draft):
        with_length(draft)
        draft.framing = list(lines)
    return change


def chunks(body):
    return lambda draft: chunked(draft, body)


def coding(text):
    return lambda draft: chunked(draft, None, text)


def both(draft):
    chunked(draft)
    draft.framing.append(b"Content-Length: 4")


def old_chunked(draft):
    chunked(draft)
    draft.version = b"HTTP/1.0"


# What the usual is made of.
USUAL = {
    "plain": set_to(),
    "head": set_to(method=b"HEAD"),
    "length": with_length,
    "chunked": chunked,
    "empty-body": lengths(b"Content-Length: 0"),
    "query": set_to(target=b"/a/b?c=d&e=%2F"),
    "http-1.0": set_to(version=b"HTTP/1.0"),
    "many-fields": lambda draft: draft.fields.extend(b"X-%d: value %d" % (i, i) for i in range(20)),
    "close": field_line(b"Connection: close"),
}

# One unusual thing each.
ODD = {
    "method-unknown": set_to(method=b"BREW"),
    "method-lower": set_to(method=b"get"),
    "method-search": set_to(method=b"M-SEARCH"),
    "method-broken": set_to(method=b"G(T"),
    "target-absolute": set_to(target=b"http://other.example/x?y"),
    "target-absolute-bare": set_to(target=b"http://other.example"),
    "target-star": set_to(target=b"*"),
    "target-star-options": set_to(method=b"OPTIONS", target=b"*"),
    "target-fragment": set_to(target=b"/a#b"),
    "target-dots": set_to(target=b"/a/../b/./c"),
    "target-slashes": set_to(target=b"//a///b"),
    "target-percent-bad": set_to(target=b"/a%zz%"),
    "target-nul-encoded": set_to(target=b"/a%00b"),
    "target-high-bytes": set_to(target=b"/\xc3\xbc"),
    "target-space": set_to(target=b"/a b"),
    "target-quote": set_to(target=b'/"<>^`{|}'),
    "target-no-slash": set_to(target=b"a"),
    "version-2.0": set_to(version=b"HTTP/2.0"),
    "version-1.2": set_to(version=b"HTTP/1.2"),
    "version-lower": set_to(version=b"http/1.1"),
    "version-zeros": set_to(version=b"HTTP/01.1"),
    "version-none": set_to(start_line=b"GET /"),
    "line-two-spaces": set_to(start_line=b"GET  / HTTP/1.1"),
    "line-tab": set_to(start_line=b"GET\t/ HTTP/1.1"),
    "line-space-behind": set_to(start_line=b"GET / HTTP/1.1 "),
    "lines-lf": set_to(line_end=b"\n"),
    "lines-cr": set_to(line_end=b"\r"),
    "empty-line-before": set_to(before=b"\r\n"),
    "empty-lf-before": set_to(before=b"\n"),
    "host-none": set_to(host=[]),
    "host-twice": set_to(host=[b"Host: app.example", b"Host: other.example"]),
    "host-twice-same": set_to(host=[b"Host: app.example", b"Host: app.example"]),
    "host-empty": set_to(host=[b"Host:"]),
    "host-port": set_to(host=[b"Host: app.example:8080"]),
    "host-broken": set_to(host=[b"Host: app example"]),
    "host-slash": set_to(host=[b"Host: app.example/x"]),
    "host-at": set_to(host=[b"Host: user@app.example"]),
    "field-space-before-colon": field_line(b"X-A : b"),
    "field-no-colon": field_line(b"X-A b"),
    "field-no-name": field_line(b": b"),
    "field-folded": field_line(b"X-A: b\r\n c"),
    "field-folded-tab": field_line(b"X-A: b\r\n\tc"),
    "field-indented-first": lambda draft: draft.host.insert(0, b" X-A: b"),
    "field-empty": field_line(b"X-A:"),
    "field-blanks": field_line(b"X-A: \t b \t "),
    "field-nul": field_line(b"X-A: b\0c"),
    "field-cr": field_line(b"X-A: b\rc"),
    "field-control": field_line(b"X-A: b\x01c"),
    "field-del": field_line(b"X-A: b\x7fc"),
    "field-high-bytes": field_line(b"X-A: b\xfc\xffc"),
    "field-name-high": field_line(b"X-\xfc: b"),
    "field-name-underscore": field_line(b"X_A: b"),
    "field-name-odd": field_line(b"X!#$%&'*+.^`|~: b"),
    "field-name-broken": field_line(b"X[A]: b"),
    "field-twice": lambda draft: draft.fields.extend((b"X-A: b", b"X-A: c")),
    "connection-names": lambda draft: draft.fields.extend((b"Connection: X-A", b"X-A: b")),
    "connection-content-length": lambda draft: (with_length(draft), draft.fields.append(b"Connection: Content-Length")),
    "connection-host": field_line(b"Connection: Host"),
    "length-zeros": lambda draft: with_length(draft, b"00014"),
    "length-plus": lambda draft: with_length(draft, b"+14"),
    "length-minus": lambda draft: with_length(draft, b"-14"),
    "length-hex": lambda draft: with_length(draft, b"0xe"),
    "length-empty": lambda draft: with_length(draft, b""),
    "length-list-same": lambda draft: with_length(draft, b"14, 14"),
    "length-list-other": lambda draft: with_length(draft, b"14, 4"),
    "length-twice-same": lengths(b"Content-Length: 14", b"Content-Length: 14"),
    "length-twice-other": lengths(b"Content-Length: 14", b"Content-Length: 4"),
    "length-huge": lambda draft: with_length(draft, b"99999999999999999999999"),
    "length-space-inside": lambda draft: with_length(draft, b"1 4"),
    "length-dot": lambda draft: with_length(draft, b"14.0"),
    "length-short-body": lambda draft: (with_length(draft), setattr(draft, "body", BODY[:5])),
    "length-space-before-colon": lengths(b"Content-Length : 14"),
    "length-folded": lengths(b"Content-Length:\r\n 14"),
    "length-underscore": lengths(b"Content_Length: 4", b"Content-Length: 14"),
    "length-with-get": lambda draft: (with_length(draft), setattr(draft, "method", b"GET")),
    "both-framings": both,
    "chunked-1.0": old_chunked,
    "coding-upper": coding(b"CHUNKED"),
    "coding-twice": coding(b"chunked, chunked"),
    "coding-other": coding(b"gzip, chunked"),
    "coding-not-last": coding(b"chunked, gzip"),
    "coding-identity": coding(b"identity"),
    "coding-unknown": coding(b"xchunked"),
    "coding-empty": coding(b""),
    "coding-quoted": coding(b'"chunked"'),
    "coding-parameter": coding(b"chunked;q=1"),
    "coding-vertical-tab": coding(b"\x0bchunked"),
    "coding-comma": coding(b", chunked"),
    "coding-two-lines": lambda draft: (chunked(draft), draft.framing.append(b"Transfer-Encoding: identity")),
    "coding-space-before-colon": lambda draft: (chunked(draft), setattr(draft, "framing", [b"Transfer-Encoding : chunked"])),
    "chunk-upper": chunks(b"A\r\nsome=body&\r\n0\r\n\r\n"),
    "chunk-zeros": chunks(b"0004\r\nsome\r\n000\r\n\r\n"),
    "chunk-extension": chunks(b"4;a=b;c=\"d\"\r\nsome\r\n0;e\r\n\r\n"),
    "chunk-extension-bare": chunks(b"4;\r\nsome\r\n0\r\n\r\n"),
    "chunk-extension-lf": chunks(b"4;a\nb\r\nsome\r\n0\r\n\r\n"),
    "chunk-blank-behind": chunks(b"4 \r\nsome\r\n0\r\n\r\n"),
    "chunk-blank-before": chunks(b" 4\r\nsome\r\n0\r\n\r\n"),
    "chunk-hex-prefix": chunks(b"0x4\r\nsome\r\n0\r\n\r\n"),
    "chunk-minus": chunks(b"-4\r\nsome\r\n0\r\n\r\n"),
    "chunk-empty-size": chunks(b"\r\nsome\r\n0\r\n\r\n"),
    "chunk-huge": chunks(b"fffffffffffffffff\r\nsome\r\n0\r\n\r\n"),
    "chunk-lf": chunks(b"4\nsome\n0\n\n"),
    "chunk-cr": chunks(b"4\rsome\r0\r\r"),
    "chunk-too-long": chunks(b"4\r\nsomething\r\n0\r\n\r\n"),
    "chunk-unended": chunks(b"4\r\nsome\r\n0\r\n"),
    "chunk-no-last": chunks(b"4\r\nsome\r\n"),
    "trailer": chunks(b"4\r\nsome\r\n0\r\nX-Sum: 7\r\n\r\n"),
    "trailer-length": chunks(b"4\r\nsome\r\n0\r\nContent-Length: 7\r\n\r\n"),
    "trailer-broken": chunks(b"4\r\nsome\r\n0\r\nX Sum: 7\r\n\r\n"),
    "trailer-lf": chunks(b"4\r\nsome\r\n0\r\nX-Sum: 7\n\r\n"),
}
INTERESTING = [b"\r", b"\n", b"\r\n", b"\0", b" ", b"\t", b":", b",", b";", b"0", b"1", b"\x7f", b"\x80", b"\xff", b"\x0b", b"a", b"-",
               b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: x\r\n"]


def damage(rng, data):
    """A few bytes flipped, dropped, doubled or put in."""
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        at = rng.randrange(len(data))
        how = rng.randrange(5)
        if how == 0:
            data[at] = rng.randrange(256)
        elif how == 1:
            del data[at:at + rng.choice((1, 1, 2, 5))]
        elif how == 2:
            data[at:at] = rng.choice(INTERESTING)
        elif how == 3:
            data[at:at + 1] = rng.choice(INTERESTING)
        else:
            end = at + rng.randrange(1, 12)
            data[at:at] = data[at:end]
        if not data:
            data = bytearray(b"x")
    return bytes(data)


def places(name):
    """What of the message an odd thing is about: two of them that are about the same would undo each other."""
    kind = name.partition("-")[0]
    if kind in ("both", "chunk", "chunked", "coding", "length", "trailer") or name == "connection-content-length":
        return {"framing", "method"}
    if kind in ("method", "target", "version", "line"):
        return {"start", "method"}
    if name == "field-indented-first":
        return {"field", "host"}
    return {kind}


def messages(seed, count):
    """Yields `count` messages. The first are each odd thing by itself, so that a short run has seen all."""
    for name in ODD:
        if count == 0:
            return
        draft = Draft()
        ODD[name](draft)
        yield Message(draft.bytes() + NEXT, (name,))
        count -= 1
    for number in range(count):
        rng = random.Random(f"{seed}/{number}")
        draft, names = Draft(), [rng.choice(sorted(USUAL))]
        USUAL[names[0]](draft)
        kind = rng.randrange(10)
        taken = set()
        for name in rng.sample(sorted(ODD), 0 if kind < 2 else 1 if kind < 7 else 2):
            if not taken & places(name):
                taken |= places(name)
                ODD[name](draft)
                names.append(name)
        data = draft.bytes() + (NEXT if rng.randrange(2) else b"")
        if rng.randrange(3) == 0:
            yield Message(damage(rng, data), tuple(names), True)
        else:
            yield Message(data, tuple(names))
