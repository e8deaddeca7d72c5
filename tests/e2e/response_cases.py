"""The response half of the protocol table: what an upstream answers, what the client sees of it.

`ref` names the rule as in protocol_cases.py. A case that breaks off must be visible to the client as broken:
never a clean last chunk, never a satisfied Content-Length.

Long because it is a table: one entry per rule, no logic.
"""

from case_types import Reply, ResponseCase

CASES = []
ONE_ZERO = {"request": b"GET / HTTP/1.0\r\nHost: test\r\n\r\n", "http10": True, "close": True}
HEAD = {"request": b"HEAD / HTTP/1.1\r\nHost: test\r\n\r\n", "method": "HEAD"}
UPGRADE = {"request": b"GET /ws HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"}

INVALID = Reply(502, "UPE")
LOST = Reply(502, "UC")


def response_case(name, reply, *outcomes, **options):
    assert outcomes, name
    CASES.append(ResponseCase(name, reply, list(outcomes), **options))


def answer(*fields, body=b"", line=b"HTTP/1.1 200 OK"):
    return b"\r\n".join([line, *fields, b"", b""]) + body


def sized(body, *fields, line=b"HTTP/1.1 200 OK"):
    return answer(b"Content-Length: %d" % len(body), *fields, body=body, line=line)


def chunked(body, *fields):
    return answer(b"Transfer-Encoding: chunked", *fields, body=body)


def cut(*prefixes):
    """A 200 that the client can tell is truncated; it may have got this much of the body."""
    return [Reply(200, complete=False, body=p) for p in prefixes]


def plain():
    response_case("a body with Content-Length", sized(b"hello"), Reply(body=b"hello", framing=("length",)),
                  reuse=True, close=False)
    response_case("an empty body with Content-Length 0", sized(b""), Reply(body=b"", framing=("length",)),
                  reuse=True, close=False)
    response_case("a chunked body", chunked(b"5\r\nhello\r\n0\r\n\r\n"),
                  Reply(body=b"hello", framing=("chunked",)), reuse=True,
                  close=False, ref="M 7.1")
    response_case("a chunked body of many chunks", chunked(b"1\r\nh\r\n2\r\nel\r\n2\r\nlo\r\n0\r\n\r\n"),
                  Reply(body=b"hello", framing=("chunked",)), reuse=True, ref="M 7.1")
    response_case("a chunked body of no bytes", chunked(b"0\r\n\r\n"), Reply(body=b""), reuse=True,
                  ref="M 7.1")
    response_case("a chunked body toward HTTP/1.0", chunked(b"5\r\nhello\r\n0\r\n\r\n"),
                  Reply(body=b"hello", framing=("close", "length"), lacks=("Transfer-Encoding",)),
                  ref="M 6.1", **ONE_ZERO)
    response_case("Content-Length toward HTTP/1.0", sized(b"hello"),
                  Reply(body=b"hello", framing=("length",)), **ONE_ZERO)
    response_case("a close-delimited body becomes chunked", answer(body=b"hello"),
                  Reply(body=b"hello", framing=("chunked",)),
                  then="close", reuse=False, close=False, ref="M 6.3")
    response_case("a close-delimited body by half-close", answer(body=b"hello"),
                  Reply(body=b"hello", framing=("chunked",)),
                  then="half-close", reuse=False, close=False, ref="M 6.3")
    response_case("a close-delimited body toward HTTP/1.0", answer(body=b"hello"),
                  Reply(body=b"hello", framing=("close",)),
                  then="close", ref="M 6.3", **ONE_ZERO)
    response_case("a close-delimited empty body", answer(), Reply(body=b""), then="close", reuse=False,
                  ref="M 6.3")
    response_case("Connection: close from the upstream", sized(b"hello", b"Connection: close"),
                  Reply(body=b"hello"), reuse=False,
                  close=False, ref="M 9.6")
    response_case("Connection: close with a chunked body",
                  chunked(b"5\r\nhello\r\n0\r\n\r\n", b"Connection: close"),
                  Reply(body=b"hello"), reuse=False, close=False, ref="M 9.6")
    response_case("statuses of every class pass", sized(b"x", line=b"HTTP/1.1 599 Odd"),
                  Reply(599, body=b"x"), reuse=True)
    response_case("an unknown status passes", sized(b"x", line=b"HTTP/1.1 299 Odd"), Reply(299, body=b"x"),
                  reuse=True, ref="S 15")
    response_case("an error page of the upstream is not a local reply", sized(b"x", line=b"HTTP/1.1 503 No"),
                  Reply(503, body=b"x"),
                  reuse=True, close=False)
    response_case("a redirect is passed on",
                  sized(b"", b"Location: http://x/y?z#f", line=b"HTTP/1.1 302 Found"),
                  Reply(302, has={"Location": "http://x/y?z#f"}), reuse=True)


def bodiless():
    length = sized(b"hello")[:-5]
    response_case("HEAD with Content-Length", length, Reply(body=b"", has={"Content-Length": "5"}),
                  reuse=True, close=False,
                  ref="S 9.3.2", **HEAD)
    response_case("HEAD with Transfer-Encoding", answer(b"Transfer-Encoding: chunked"), Reply(body=b""),
                  reuse=True, ref="S 9.3.2",
                  **HEAD)
    response_case("HEAD with neither", answer(), Reply(body=b""), reuse=True, ref="S 9.3.2", **HEAD)
    response_case("HEAD with a stray body", sized(b"hello"), Reply(body=b""), reuse=False, ref="S 9.3.2",
                  **HEAD)
    response_case("HEAD with a stray response", length + sized(b"evil"), Reply(body=b""), reuse=False,
                  ref="S 9.3.2", **HEAD)
    line = b"HTTP/1.1 204 No Content"
    none = Reply(204, body=b"", lacks=("Content-Length", "Transfer-Encoding"))
    response_case("204", answer(line=line), none, reuse=True, close=False, ref="S 15.3.5")
    response_case("204 with Content-Length 0", answer(b"Content-Length: 0", line=line), none, reuse=True,
                  ref="S 8.6")
    response_case("204 with a body by Content-Length", sized(b"hello", line=line), none, reuse=False,
                  ref="S 15.3.5; gap 204")
    response_case("204 with a chunked body",
                  answer(b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\n\r\n", line=line), none,
                  INVALID, reuse=False, ref="gap 204")
    line = b"HTTP/1.1 304 Not Modified"
    response_case("304", answer(b'ETag: "x"', line=line), Reply(304, body=b"", has={"ETag": '"x"'}),
                  reuse=True, close=False,
                  ref="S 15.4.5")
    response_case("304 with Content-Length of the 200", answer(b"Content-Length: 5", line=line),
                  Reply(304, body=b""), reuse=True,
                  ref="S 8.6")
    response_case("304 with a body by Content-Length", sized(b"hello", line=line), Reply(304, body=b""),
                  reuse=False, ref="gap 304")
    response_case("304 with a chunked body",
                  answer(b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\n\r\n", line=line),
                  Reply(304, body=b""), INVALID, reuse=False, ref="gap 304")
    response_case("205 with Content-Length 0", sized(b"", line=b"HTTP/1.1 205 Reset"), Reply(205, body=b""),
                  reuse=True)


def interim():
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n"
    go_on = b"HTTP/1.1 100 Continue\r\n\r\n"
    response_case("103 then 200", early + sized(b"ok"), Reply(body=b"ok", interim=(103,)), reuse=True,
                  close=False, ref="S 15.2")
    response_case("several interim responses",
                  go_on + early + early + b"HTTP/1.1 102 Processing\r\n\r\n" + sized(b"ok"),
                  Reply(body=b"ok", interim=(100, 103, 103, 102)), reuse=True, ref="S 15.2")
    response_case("twenty interim responses", early * 20 + sized(b"ok"),
                  Reply(body=b"ok", interim=(103,) * 20), dense=False,
                  ref="S 15.2")
    response_case("an unknown interim status", b"HTTP/1.1 199 Odd\r\n\r\n" + sized(b"ok"),
                  Reply(body=b"ok", interim=(199,)),
                  ref="S 15.2")
    response_case("interim responses stay away from HTTP/1.0", go_on + early + sized(b"ok"),
                  Reply(body=b"ok"), ref="S 15.2",
                  **ONE_ZERO)
    response_case("an interim response with Content-Length",
                  b"HTTP/1.1 103 E\r\nContent-Length: 2\r\n\r\n" + sized(b"ok"),
                  Reply(body=b"ok", interim=(103,)), INVALID, ref="S 8.6")
    response_case("the upstream ends after an interim response", early, Reply(502, "UC", interim=(103,)),
                  then="close", ref="S 15.2")
    response_case("garbage after an interim response", early + b"garbage\r\n\r\n",
                  Reply(502, "UPE", interim=(103,)), ref="S 15.2")
    response_case("101 that nobody asked for",
                  answer(b"Connection: upgrade", b"Upgrade: x", line=b"HTTP/1.1 101 Switching"),
                  INVALID, ref="S 7.8")
    response_case("101 without Upgrade fields, unasked",
                  answer(line=b"HTTP/1.1 101 Switching") + sized(b"evil"), INVALID,
                  ref="gap 101")
    response_case("101 without Upgrade fields, asked", answer(line=b"HTTP/1.1 101 Switching"), INVALID,
                  ref="S 7.8; gap 101",
                  then="close", **UPGRADE)
    response_case("an upgrade refused with 426",
                  sized(b"no", b"Upgrade: other", b"Connection: upgrade", line=b"HTTP/1.1 426 Upgrade"),
                  Reply(426, body=b"no"), reuse=True, close=False, ref="S 7.8", **UPGRADE)
    response_case("an upgrade refused with 403", sized(b"no", line=b"HTTP/1.1 403 Forbidden"),
                  Reply(403, body=b"no"), reuse=True,
                  close=False, ref="S 7.8", **UPGRADE)
    response_case("an upgrade answered by an ordinary 200", chunked(b"2\r\nok\r\n0\r\n\r\n"),
                  Reply(body=b"ok"), reuse=True,
                  close=False, ref="S 7.8", **UPGRADE)


def invalid_framing():
    for name, value in [
            ("plus sign", b"+5"), ("minus sign", b"-5"), ("hexadecimal", b"0x5"), ("empty", b""),
            ("a list of equal values", b"5, 5"),
            ("a list of different values", b"5, 6"),
            ("overflow of 64 bits that wraps to 5", b"18446744073709551621"),
            ("many digits", b"9" * 40), ("letters", b"abc"), ("inner space", b"5 5"),
            ("vertical tab", b"\x0b5")]:
        response_case(f"Content-Length: {name}", answer(b"Content-Length: " + value, body=b"hello"), INVALID,
                      ref="M 6.3")
    response_case("Content-Length twice, equal",
                  answer(b"Content-Length: 5", b"Content-Length: 5", body=b"hello"), INVALID,
                  ref="M 6.3")
    response_case("Content-Length twice, different",
                  answer(b"Content-Length: 5", b"Content-Length: 6", body=b"hello"), INVALID,
                  ref="M 6.3")
    response_case("Content-Length with space around", answer(b"Content-Length:\t5 ", body=b"hello"),
                  Reply(body=b"hello"), reuse=True,
                  ref="S 5.5")
    both = (b"Content-Length: 5", b"Transfer-Encoding: chunked")
    response_case("Content-Length and Transfer-Encoding", answer(*both, body=b"5\r\nhello\r\n0\r\n\r\n"),
                  INVALID, ref="M 6.1")
    response_case("Transfer-Encoding and Content-Length",
                  answer(*both[::-1], body=b"5\r\nhello\r\n0\r\n\r\n"), INVALID, ref="M 6.1")
    one = b"5\r\nhello\r\n0\r\n\r\n"
    for name, value in [
            ("gzip", b"gzip"), ("gzip, chunked", b"gzip, chunked"), ("chunked, gzip", b"chunked, gzip"),
            ("identity", b"identity"),
            ("chunked, chunked", b"chunked, chunked"), ("chunked, identity", b"chunked, identity"),
            ("xchunked", b"xchunked"),
            ("empty", b""), ("quoted", b'"chunked"'), ("with a parameter", b"chunked;q=1"),
            ("an empty list element", b", chunked")]:
        response_case(f"Transfer-Encoding: {name}", answer(b"Transfer-Encoding: " + value, body=one), INVALID,
                      then="close",
                      ref="M 6.1; gap response TE")
    response_case("Transfer-Encoding on two lines", chunked(one, b"Transfer-Encoding: chunked"), INVALID,
                  ref="gap TE")
    response_case("Transfer-Encoding with HTTP/1.0",
                  answer(b"Transfer-Encoding: chunked", body=one, line=b"HTTP/1.0 200 OK"), INVALID,
                  then="close", ref="gap TE on 1.0")
    response_case("Transfer-Encoding: Chunked in another case",
                  answer(b"transfer-encoding: CHUNKED", body=one), Reply(body=b"hello"),
                  reuse=True, ref="M 7")


def invalid_heads():
    for name, line in [
            ("status 99", b"HTTP/1.1 99 X"), ("status 099", b"HTTP/1.1 099 X"),
            ("status 000", b"HTTP/1.1 000 X"),
            ("status 600", b"HTTP/1.1 600 X"), ("status 999", b"HTTP/1.1 999 X"),
            ("status 2000", b"HTTP/1.1 2000 X"),
            ("status 20", b"HTTP/1.1 20 X"), ("status 2x0", b"HTTP/1.1 2x0 X"), ("no status", b"HTTP/1.1 OK"),
            ("only a version", b"HTTP/1.1"),
            ("two spaces", b"HTTP/1.1  200 OK"), ("a tab", b"HTTP/1.1\t200 OK"),
            ("HTTP/2.0", b"HTTP/2.0 200 OK"),
            ("HTTP/0.9", b"HTTP/0.9 200 OK"), ("HTTP/1", b"HTTP/1 200 OK"), ("ICY", b"ICY 200 OK"),
            ("RTSP", b"RTSP/1.0 200 OK"),
            ("http in lower case", b"http/1.1 200 OK"), ("HTTP/1.1x", b"HTTP/1.1x 200 OK"),
            ("a leading space", b" HTTP/1.1 200 OK"),
            ("a CR in the reason", b"HTTP/1.1 200 O\rK"), ("a NUL in the reason", b"HTTP/1.1 200 O\x00K"),
            ("an SSH banner", b"SSH-2.0-OpenSSH_9"),
            ("HTML", b"<html>hello</html>"), ("a request", b"GET / HTTP/1.1"),
            ("a letter after the status", b"HTTP/1.1 200OK")]:
        response_case(f"status line: {name}", sized(b"hello", line=line), INVALID, ref="M 4; gap status",
                      then="close")
    response_case("status line: HTTP/1.2", sized(b"hello", line=b"HTTP/1.2 200 OK"), Reply(body=b"hello"),
                  INVALID, ref="S 2.5")
    response_case("status line: empty reason", sized(b"hello", line=b"HTTP/1.1 200 "), Reply(body=b"hello"),
                  reuse=True, ref="M 4")
    response_case("status line: no space before an empty reason", sized(b"hello", line=b"HTTP/1.1 200"),
                  Reply(body=b"hello"), INVALID,
                  ref="M 4")
    response_case("status line: obs-text in the reason", sized(b"hello", line=b"HTTP/1.1 200 \xe4h"),
                  Reply(body=b"hello"), reuse=True,
                  ref="M 4")


def invalid_fields():
    for name, line in [
            ("an empty name", b": v"), ("no colon", b"XA"), ("a space inside the name", b"X A: 1"),
            ("a NUL in the value", b"X-A: a\x00b"),
            ("0x01 in the value", b"X-A: a\x01b"), ("0x7f in the value", b"X-A: a\x7fb"),
            ("a bare CR in the value", b"X-A: a\rb"),
            ("a bare LF in the value", b"X-A: a\nX-B: 1"),
            ("a smuggled field behind a CR", b"X-A: \rTransfer-Encoding: chunked")]:
        response_case(f"field with {name}", sized(b"hello", line), INVALID, ref="S 5.5; M 5.1; gaps")
    merged = Reply(body=b"hello", has={"X-A": "1 2"})
    response_case("obs-fold", sized(b"hello", b"X-A: 1", b" 2"), merged, INVALID, ref="M 5.2; gap obs-fold")
    response_case("obs-fold on Content-Length", answer(b"Content-Length:", b" 5", body=b"hello"), INVALID,
                  Reply(body=b"hello"),
                  ref="gap obs-fold")
    response_case("obs-fold on Transfer-Encoding",
                  answer(b"Transfer-Encoding:", b" chunked", body=b"5\r\nhello\r\n0\r\n\r\n"),
                  INVALID, Reply(body=b"hello"), ref="gap obs-fold", then="close")
    response_case("a space before the colon", sized(b"hello", b"X-A : 1"),
                  Reply(body=b"hello", has={"X-A": "1"}), INVALID, ref="M 5.1")
    response_case("a space before the first field",
                  b"HTTP/1.1 200 OK\r\n X: y\r\nContent-Length: 2\r\n\r\nok", INVALID, ref="M 2.2")
    response_case("lines ended by LF", b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", INVALID, LOST,
                  ref="gap LF", then="close")
    response_case("head ended by CRLF LF", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\nok", INVALID, LOST,
                  ref="gap LF block", then="close")
    response_case("status line ended by LF", b"HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\nok", INVALID,
                  ref="gap LF line")
    response_case("head ended by CR and a letter", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\rXok", INVALID,
                  LOST, ref="gap CR X",
                  then="close")
    response_case("an empty line before the status line", b"\r\n" + sized(b"hello"), INVALID,
                  Reply(body=b"hello"), ref="M 2.2")
    response_case("a head of 300 KiB", answer(b"X-A: " + b"a" * 300 * 1024, b"Content-Length: 0"), INVALID,
                  ref="limits", dense=False)
    response_case("a head that never ends", b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 40000, INVALID,
                  ref="limits", dense=False)
    response_case("garbage without line ends", b"\x00\xff" * 150 * 1024, INVALID, ref="limits", dense=False,
                  then="close")


def lost():
    response_case("closed before any byte", b"", LOST, then="close", ref="reset before headers")
    response_case("half-closed before any byte", b"", LOST, then="half-close", ref="reset before headers")
    response_case("reset before any byte", b"", LOST, then="reset", ref="reset before headers")
    response_case("closed inside the head", b"HTTP/1.1 200 OK\r\nContent-Le", LOST, then="close",
                  ref="reset before headers")
    response_case("reset inside the head", b"HTTP/1.1 200 OK\r\nContent-Le", LOST, then="reset",
                  ref="reset before headers")
    response_case("closed before the head's last LF", sized(b"")[:-1], LOST, then="close",
                  ref="reset before headers")
    short = answer(b"Content-Length: 10", body=b"hello")
    for then in ("close", "reset", "half-close"):
        response_case(f"Content-Length cut short by {then}", short, *cut(b"hello"), then=then,
                      ref="M 8, truncated", close=True)
        response_case(f"cut by {then} inside a chunk", chunked(b"A\r\nhello"), *cut(b"hello"), then=then,
                      ref="M 8", close=True)
        response_case(f"cut by {then} before the last chunk", chunked(b"5\r\nhello\r\n"), *cut(b"hello"),
                      then=then, ref="M 8",
                      close=True)
    response_case("cut inside the last chunk's line", chunked(b"5\r\nhello\r\n0"), *cut(b"hello"),
                  then="close", ref="M 8")
    response_case("cut after the last chunk's line", chunked(b"5\r\nhello\r\n0\r\n"), *cut(b"hello"),
                  then="close", ref="M 8")
    response_case("cut inside a trailer", chunked(b"5\r\nhello\r\n0\r\nX-A: 1\r\n"), *cut(b"hello"),
                  then="close", ref="M 8")
    response_case("a close-delimited body ended by a reset", answer(body=b"hello"), *cut(b"hello"),
                  then="reset", ref="M 8")
    response_case("no body byte at all", answer(b"Content-Length: 10"), *cut(b""), then="close", ref="M 8")
    ten = {"request": b"GET / HTTP/1.0\r\nHost: test\r\n\r\n", "http10": True}
    response_case("Content-Length cut short toward HTTP/1.0", short, *cut(b"hello"), then="close", ref="M 8",
                  **ten)
    response_case("cut inside a chunk toward HTTP/1.0", chunked(b"A\r\nhello"), *cut(b"hello"), then="close",
                  ref="M 8, by reset", **ten)


def broken_chunks():
    maybe = [*cut(b"", b"hello"), INVALID]
    for name, body in [
            ("size overflow", b"FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n"),
            ("size 0x5", b"0x5\r\nhello\r\n0\r\n\r\n"),
            ("no size", b"\r\nhello\r\n0\r\n\r\n"), ("negative size", b"-5\r\nhello\r\n0\r\n\r\n"),
            ("not hexadecimal", b"Z\r\nhello\r\n0\r\n\r\n"),
            ("space before the size", b" 5\r\nhello\r\n0\r\n\r\n"),
            ("size ended by LF", b"5\nhello\r\n0\r\n\r\n"),
            ("data too long", b"5\r\nhelloXX\r\n0\r\n\r\n"), ("data ended by LF", b"5\r\nhello\n0\r\n\r\n"),
            ("last chunk ended by LF", b"5\r\nhello\r\n0\r\n\n"),
            ("obs-fold in a trailer", b"5\r\nhello\r\n0\r\nX: a\r\n b\r\n\r\n"),
            ("a NUL in a trailer", b"5\r\nhello\r\n0\r\nX: \x00\r\n\r\n"),
            ("a trailer without name", b"5\r\nhello\r\n0\r\n: a\r\n\r\n")]:
        response_case(f"broken chunk: {name}", chunked(body), *maybe, ref="M 7.1; gap chunks", then="close")
    response_case("broken chunk: 64 kB of extension",
                  chunked(b"5;" + b"a" * 65536 + b"\r\nhello\r\n0\r\n\r\n"), *maybe, ref="M 7.1.1",
                  dense=False, then="close")
    response_case("broken chunk: 64 kB of trailers",
                  chunked(b"5\r\nhello\r\n0\r\nX: " + b"a" * 65536 + b"\r\n\r\n"), *maybe, dense=False,
                  ref="gap trailer limit", then="close")
    response_case("chunk extensions do not travel", chunked(b'5;a=b\r\nhello\r\n0;c="d;e"\r\n\r\n'),
                  Reply(body=b"hello"), reuse=True,
                  ref="M 7.1.1")
    response_case("two chunk extensions", chunked(b"5;a=b;c=d\r\nhello\r\n0\r\n\r\n"), Reply(body=b"hello"),
                  reuse=True, ref="M 7.1.1")
    response_case("leading zeros", chunked(b"0005\r\nhello\r\n000\r\n\r\n"), Reply(body=b"hello"), reuse=True,
                  ref="M 7.1")
    response_case("trailers are forwarded",
                  chunked(b"5\r\nhello\r\n0\r\nX-Sum: abc\r\nX-B: 2\r\n\r\n", b"Trailer: X-Sum"),
                  Reply(body=b"hello", trailers={"X-Sum": "abc", "X-B": "2"}), reuse=True, ref="S 6.5")
    response_case("trailers toward HTTP/1.0 are dropped", chunked(b"5\r\nhello\r\n0\r\nX-Sum: abc\r\n\r\n"),
                  Reply(body=b"hello", lacks=("X-Sum",)), ref="S 6.5", **ONE_ZERO)
    for name in (b"Content-Length: 3", b"Transfer-Encoding: chunked", b"Set-Cookie: a=b",
                 b"Content-Type: text/html", b"Connection: close"):
        field_name = name.split(b":")[0].decode()
        response_case(f"forbidden trailer {field_name}",
                      chunked(b"5\r\nhello\r\n0\r\n" + name + b"\r\nX-Ok: 1\r\n\r\n"),
                      Reply(body=b"hello", no_trailers=(field_name,)), *cut(b"hello"), INVALID, ref="S 6.5.1",
                      then="close")


def stray_bytes():
    for name, stray in [("a second response", sized(b"evil")), ("a line end", b"\r\n"), ("one letter", b"x"),
                        ("a NUL", b"\x00")]:
        response_case(f"{name} after the body", sized(b"hello") + stray, Reply(body=b"hello"), reuse=False,
                      close=False,
                      ref="stray bytes")
        response_case(f"{name} after the last chunk", chunked(b"5\r\nhello\r\n0\r\n\r\n") + stray,
                      Reply(body=b"hello"), reuse=False,
                      close=False, ref="stray bytes")
    response_case("bytes after Connection: close", sized(b"hello", b"Connection: close") + b"evil",
                  Reply(body=b"hello"), reuse=False,
                  close=False, ref="gap HPE_CLOSED_CONNECTION", then="close")


def fields():
    response_case("hop-by-hop fields are removed",
                  sized(b"hello", b"Connection: X-A, keep-alive", b"X-A: 1", b"Keep-Alive: timeout=5",
                        b"Proxy-Connection: keep-alive",
                        b"X-B: 2"),
                  Reply(body=b"hello", has={"X-B": "2"}, lacks=("X-A", "Keep-Alive", "Proxy-Connection")),
                  reuse=True, close=False,
                  ref="S 7.6.1")
    response_case("Upgrade without 101 or 426 does not travel bare",
                  sized(b"hello", b"Upgrade: h2c", b"Connection: upgrade"),
                  Reply(body=b"hello", lacks=("Upgrade",)), reuse=True, ref="S 7.8")
    response_case("Proxy-Authenticate is removed",
                  sized(b"x", b"Proxy-Authenticate: Basic", line=b"HTTP/1.1 407 P"),
                  Reply(407, lacks=("Proxy-Authenticate",)), ref="standard list")
    response_case("Connection naming Content-Length", sized(b"hello", b"Connection: Content-Length"),
                  Reply(body=b"hello"), INVALID,
                  ref="essentials")
    response_case("repeated fields keep order, Set-Cookie is not merged",
                  sized(b"", b"Set-Cookie: a=1", b"x-LoWeR: 1",
                        b"Set-Cookie: b=2; Expires=Thu, 01 Jan 2026 00:00:00 GMT", b"X_u: 1"),
                  Reply(lines=(("Set-Cookie", "a=1"), ("x-LoWeR", "1"),
                               ("Set-Cookie", "b=2; Expires=Thu, 01 Jan 2026 00:00:00 GMT"),
                               ("X_u", "1"))), reuse=True, ref="S 5.3")
    response_case("field values: tab, obs-text, empty",
                  sized(b"", b"X-A: a\tb", b"X-B: \xe4\xff", b"X-C:", b"X-D:d  "),
                  Reply(lines=(("X-A", "a\tb"), ("X-B", "\xe4\xff"), ("X-C", ""), ("X-D", "d"))), reuse=True,
                  ref="S 5.5")
    response_case("Date is added when absent", sized(b""), Reply(has={"Date": None}), reuse=True,
                  ref="S 6.6.1")
    response_case("Date is kept", sized(b"", b"Date: Thu, 01 Jan 2026 00:00:00 GMT"),
                  Reply(has={"Date": "Thu, 01 Jan 2026 00:00:00 GMT"}), reuse=True, ref="S 6.6.1")
    response_case("content fields are untouched",
                  sized(b"\x1f\x8b", b"Content-Encoding: gzip", b"Cache-Control: no-transform", b"Age: 5",
                        b"Server: x", b"Vary: *"),
                  Reply(body=b"\x1f\x8b", has={"Content-Encoding": "gzip", "Cache-Control": "no-transform",
                                               "Age": "5", "Server": "x",
                                               "Vary": "*"}), reuse=True, ref="S 7.7")
    response_case("HTTP/1.0 upstream with Content-Length", sized(b"hello", line=b"HTTP/1.0 200 OK"),
                  Reply(body=b"hello"), then="close",
                  reuse=False, close=False, ref="S 2.5")
    response_case("HTTP/1.0 upstream, close-delimited", answer(body=b"hello", line=b"HTTP/1.0 200 OK"),
                  Reply(body=b"hello", framing=("chunked",)), then="close", reuse=False, close=False,
                  ref="S 2.5")
    response_case("HTTP/1.0 upstream that keeps alive",
                  sized(b"hello", b"Connection: keep-alive", line=b"HTTP/1.0 200 OK"),
                  Reply(body=b"hello"), ref="M 9.3")


for section in (plain, bodiless, interim, invalid_framing, invalid_heads, invalid_fields, lost, broken_chunks,
                stray_bytes, fields):
    section()
