"""Makes HTTP/1.1 responses from a seed, as generate.py makes requests (response_rules.py has a row for each name)."""

import random
from dataclasses import dataclass, field

from generate import BODY, chunks, coding, damage, field_line, lengths, set_to

OTHER = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
MARK = b"X-Origin: 1"  # tells a response of the origin from one of the proxy


@dataclass
class Message:
    data: bytes
    names: tuple
    method: bytes    # of the request that it answers
    version: bytes
    damaged: bool = False


@dataclass
class Draft:
    """A response in parts, until it is put together."""
    version: bytes = b"HTTP/1.1"
    status: bytes = b"200"
    reason: bytes = b" OK"
    fields: list = field(default_factory=lambda: [MARK])
    framing: list = field(default_factory=lambda: [b"Content-Length: %d" % len(BODY)])
    body: bytes = BODY
    line_end: bytes = b"\r\n"
    before: bytes = b""
    behind: bytes = b""
    start_line: bytes = None
    method: bytes = b"GET"
    asked_version: bytes = b"HTTP/1.1"

    def bytes(self):
        line = self.version + b" " + self.status + self.reason if self.start_line is None else self.start_line
        return self.before + self.line_end.join([line, *self.fields, *self.framing, b"", b""]) + self.body + self.behind


def all_of(*changes):
    def change(draft):
        for each in changes:
            each(draft)
    return change


def keep_status(change):
    """`change` is one that makes a request of it, too; a response has no method of its own."""
    def changed(draft):
        method = draft.method
        change(draft)
        draft.method = method
    return changed


def framed(*lines):
    return keep_status(lengths(*lines))


def length(text):
    return framed(b"Content-Length: " + text)


def chunky(body):
    return keep_status(chunks(body))


def coded(text):
    return keep_status(coding(text))


CHUNKED = coded(b"chunked")
SIZED = framed(b"Content-Length: %d" % len(BODY))
NO_BODY = set_to(framing=[], body=b"")
EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n"


# What the usual is made of.
USUAL = {
    "length": set_to(),
    "chunked": CHUNKED,
    "until-close": set_to(framing=[]),
    "empty-body": set_to(framing=[b"Content-Length: 0"], body=b""),
    "many-fields": lambda draft: draft.fields.extend(b"X-%d: value %d" % (i, i) for i in range(20)),
    "close": field_line(b"Connection: close"),
    "not-found": set_to(status=b"404", reason=b" Not Found"),
    "head": set_to(method=b"HEAD", body=b""),
    "asked-1.0": set_to(asked_version=b"HTTP/1.0"),
}

# One unusual thing each.
ODD = {
    "status-99": set_to(status=b"099"),
    "status-600": set_to(status=b"600"),
    "status-999": set_to(status=b"999"),
    "status-unknown": set_to(status=b"299"),
    "status-two-digits": set_to(status=b"20"),
    "status-four-digits": set_to(status=b"2000"),
    "status-plus": set_to(status=b"+20"),
    "status-letters": set_to(status=b"2x0"),
    "status-none": set_to(start_line=b"HTTP/1.1"),
    "reason-none": set_to(reason=b" "),
    "reason-no-space": set_to(reason=b""),
    "reason-glued": set_to(reason=b"OK"),
    "reason-tab": set_to(reason=b" O\tK"),
    "reason-high": set_to(reason=b" \xfcber"),
    "reason-nul": set_to(reason=b" O\0K"),
    "reason-cr": set_to(reason=b" O\rK"),
    "version-1.0": all_of(SIZED, set_to(version=b"HTTP/1.0")),
    "version-1.0-until-close": set_to(version=b"HTTP/1.0", framing=[]),
    "version-1.2": set_to(version=b"HTTP/1.2"),
    "version-2.0": set_to(version=b"HTTP/2.0"),
    "version-0.9": set_to(version=b"HTTP/0.9"),
    "version-lower": set_to(version=b"http/1.1"),
    "version-zeros": set_to(version=b"HTTP/01.1"),
    "version-icy": set_to(version=b"ICY"),
    "version-none": set_to(start_line=b"<html>hello</html>"),
    "line-space-before": set_to(before=b" "),
    "line-two-spaces": set_to(start_line=b"HTTP/1.1  200 OK"),
    "line-tab": set_to(start_line=b"HTTP/1.1\t200 OK"),
    "lines-lf": set_to(line_end=b"\n"),
    "lines-cr": set_to(line_end=b"\r"),
    "empty-line-before": set_to(before=b"\r\n"),
    "empty-lf-before": set_to(before=b"\n"),
    "nothing": set_to(start_line=b"", fields=[], framing=[], body=b"", line_end=b""),
    "field-space-before-colon": field_line(b"X-A : b"),
    "field-no-colon": field_line(b"X-A b"),
    "field-no-name": field_line(b": b"),
    "field-folded": field_line(b"X-A: b\r\n c"),
    "field-folded-tab": field_line(b"X-A: b\r\n\tc"),
    "field-indented-first": lambda draft: draft.fields.insert(0, b" X-A: b"),
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
    "field-lf-in-value": field_line(b"X-A: b\nX-B: c"),
    "field-cr-smuggles": field_line(b"X-A: b\rTransfer-Encoding: chunked"),
    "connection-names": lambda draft: draft.fields.extend((b"Connection: X-A", b"X-A: b")),
    "connection-content-length": field_line(b"Connection: Content-Length"),
    "connection-transfer-encoding": all_of(CHUNKED, field_line(b"Connection: Transfer-Encoding")),
    "length-zeros": length(b"00014"),
    "length-tab": framed(b"Content-Length:\t14"),
    "length-plus": length(b"+14"),
    "length-minus": length(b"-14"),
    "length-hex": length(b"0xe"),
    "length-empty": length(b""),
    "length-list-same": length(b"14, 14"),
    "length-list-other": length(b"14, 4"),
    "length-twice-same": framed(b"Content-Length: 14", b"Content-Length: 14"),
    "length-twice-other": framed(b"Content-Length: 14", b"Content-Length: 4"),
    "length-huge": length(b"99999999999999999999999"),
    "length-space-inside": length(b"1 4"),
    "length-dot": length(b"14.0"),
    "length-short-body": all_of(SIZED, set_to(body=BODY[:5])),
    "length-space-before-colon": framed(b"Content-Length : 14"),
    "length-folded": framed(b"Content-Length:\r\n 14"),
    "length-underscore": framed(b"Content_Length: 4", b"Content-Length: 14"),
    "length-vertical-tab": length(b"\x0b14"),
    "both-framings": all_of(CHUNKED, lambda draft: draft.framing.append(b"Content-Length: 4")),
    "both-framings-length-first": all_of(CHUNKED, lambda draft: draft.framing.insert(0, b"Content-Length: 4")),
    "chunked-1.0": all_of(CHUNKED, set_to(version=b"HTTP/1.0")),
    "coding-upper": coded(b"CHUNKED"),
    "coding-twice": coded(b"chunked, chunked"),
    "coding-other": coded(b"gzip, chunked"),
    "coding-not-last": coded(b"chunked, gzip"),
    "coding-identity": coded(b"identity"),
    "coding-identity-length": all_of(coded(b"identity"), set_to(body=BODY),
                                     lambda draft: draft.framing.append(b"Content-Length: 14")),
    "coding-unknown": coded(b"xchunked"),
    "coding-empty": coded(b""),
    "coding-quoted": coded(b'"chunked"'),
    "coding-parameter": coded(b"chunked;q=1"),
    "coding-vertical-tab": coded(b"\x0bchunked"),
    "coding-comma": coded(b", chunked"),
    "coding-two-lines": all_of(CHUNKED, lambda draft: draft.framing.append(b"Transfer-Encoding: identity")),
    "coding-space-before-colon": all_of(CHUNKED, set_to(framing=[b"Transfer-Encoding : chunked"])),
    "chunk-upper": chunky(b"A\r\nsome=body&\r\n0\r\n\r\n"),
    "chunk-zeros": chunky(b"0004\r\nsome\r\n000\r\n\r\n"),
    "chunk-extension": chunky(b"4;a=b;c=\"d\"\r\nsome\r\n0;e\r\n\r\n"),
    "chunk-extension-bare": chunky(b"4;\r\nsome\r\n0\r\n\r\n"),
    "chunk-extension-lf": chunky(b"4;a\nb\r\nsome\r\n0\r\n\r\n"),
    "chunk-blank-behind": chunky(b"4 \r\nsome\r\n0\r\n\r\n"),
    "chunk-blank-before": chunky(b" 4\r\nsome\r\n0\r\n\r\n"),
    "chunk-hex-prefix": chunky(b"0x4\r\nsome\r\n0\r\n\r\n"),
    "chunk-minus": chunky(b"-4\r\nsome\r\n0\r\n\r\n"),
    "chunk-underscore": chunky(b"0_4\r\nsome\r\n0\r\n\r\n"),
    "chunk-empty-size": chunky(b"\r\nsome\r\n0\r\n\r\n"),
    "chunk-huge": chunky(b"fffffffffffffffff\r\nsome\r\n0\r\n\r\n"),
    "chunk-lf": chunky(b"4\nsome\n0\n\n"),
    "chunk-cr": chunky(b"4\rsome\r0\r\r"),
    "chunk-too-long": chunky(b"4\r\nsomething\r\n0\r\n\r\n"),
    "chunk-unended": chunky(b"4\r\nsome\r\n0\r\n"),
    "chunk-no-last": chunky(b"4\r\nsome\r\n"),
    "trailer": chunky(b"4\r\nsome\r\n0\r\nX-Sum: 7\r\n\r\n"),
    "trailer-length": chunky(b"4\r\nsome\r\n0\r\nContent-Length: 7\r\n\r\n"),
    "trailer-broken": chunky(b"4\r\nsome\r\n0\r\nX Sum: 7\r\n\r\n"),
    "trailer-lf": chunky(b"4\r\nsome\r\n0\r\nX-Sum: 7\n\r\n"),
    "interim-100": set_to(before=b"HTTP/1.1 100 Continue\r\n\r\n"),
    "interim-103": set_to(before=EARLY),
    "interim-several": set_to(before=EARLY + b"HTTP/1.1 102 Processing\r\n\r\n" + EARLY),
    "interim-unknown": set_to(before=b"HTTP/1.1 199 Odd\r\n\r\n"),
    "interim-length": set_to(before=b"HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n"),
    "interim-chunked": set_to(before=b"HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\n"),
    "interim-only": set_to(start_line=EARLY[:-2], fields=[], framing=[], body=b"", line_end=b""),
    "switching": set_to(status=b"101", reason=b" Switching Protocols", framing=[b"Connection: upgrade", b"Upgrade: x"]),
    "no-content": all_of(NO_BODY, set_to(status=b"204", reason=b" No Content")),
    "no-content-length": all_of(SIZED, set_to(status=b"204", reason=b" No Content")),
    "no-content-chunked": all_of(CHUNKED, set_to(status=b"204", reason=b" No Content")),
    "not-modified": all_of(NO_BODY, set_to(status=b"304", reason=b" Not Modified")),
    "not-modified-length": all_of(SIZED, set_to(status=b"304", reason=b" Not Modified", body=b"")),
    "not-modified-body": all_of(SIZED, set_to(status=b"304", reason=b" Not Modified")),
    "reset-content-body": all_of(SIZED, set_to(status=b"205", reason=b" Reset Content")),
    "head-chunked": set_to(method=b"HEAD", framing=[b"Transfer-Encoding: chunked"], body=b""),
    "head-body": all_of(SIZED, set_to(method=b"HEAD")),
    "head-response": all_of(SIZED, set_to(method=b"HEAD", body=OTHER)),
    "behind-response": set_to(behind=OTHER),
    "behind-line-end": set_to(behind=b"\r\n"),
    "behind-letter": set_to(behind=b"x"),
    "behind-chunks": all_of(CHUNKED, set_to(behind=OTHER)),
    "behind-close": all_of(field_line(b"Connection: close"), set_to(behind=OTHER)),
}


def places(name):
    """What of the message an odd thing is about: two of them that are about the same would undo each other."""
    kind = name.partition("-")[0]
    if kind in ("version", "both", "chunk", "chunked", "coding", "length", "trailer", "no", "not", "reset", "head", "behind") or name in (
            "connection-transfer-encoding", "version-1.0-until-close", "interim-only", "switching", "nothing"):
        return {"framing", "start", "before", "lines"}
    if kind in ("status", "reason", "version", "line", "interim", "empty"):
        return {"start", "before"}
    return {kind}


def messages(seed, count):
    """Yields `count` messages. The first are each odd thing by itself, so that a short run has seen all."""
    for name in ODD:
        if count == 0:
            return
        draft = Draft()
        ODD[name](draft)
        yield Message(draft.bytes(), (name,), draft.method, draft.asked_version)
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
        data = draft.bytes()
        damaged = bool(data) and rng.randrange(3) == 0
        yield Message(damage(rng, data) if damaged else data, tuple(names), draft.method, draft.asked_version, damaged)
