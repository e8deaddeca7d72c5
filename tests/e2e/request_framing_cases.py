"""Bodies of requests: every way to frame one, right and wrong."""

from case_types import INCOMPLETE, NOTHING, Outcome, Reply, Up
from request_words import (BAD, BAD_BODY, GET, POST_ABC, chunked, get, message, passed, post, rejected,
                           request_case)


def plain_requests():
    request_case("a plain GET", get(), passed(GET), ref="M 3")
    request_case("a body with Content-Length", post(b"Content-Length: 3", body=b"abc"), passed(POST_ABC),
                 ref="M 6.2")
    request_case("an empty body with Content-Length 0", post(b"Content-Length: 0"),
                 passed(Up("POST", framing=("length",))), ref="M 6.2")
    request_case("a POST without any body", post(), passed(Up("POST")), ref="M 6.3")
    request_case("a chunked body", chunked(b"3\r\nabc\r\n0\r\n\r\n"),
                 passed(Up("POST", body=b"abc", framing=("chunked",))), ref="M 7.1")
    request_case("a chunked body in several chunks",
                 chunked(b"1\r\na\r\n2\r\nbc\r\nA\r\n0123456789\r\n0\r\n\r\n"),
                 passed(Up("POST", body=b"abc0123456789", framing=("chunked",))), ref="M 7.1")
    request_case("a chunked body of no bytes", chunked(b"0\r\n\r\n"), passed(Up("POST")), ref="M 7.1")
    request_case("a body on GET is forwarded with framing",
                 message(b"GET / HTTP/1.1", b"Host: test", b"Content-Length: 3", body=b"abc"),
                 passed(Up("GET", body=b"abc", framing=("length",))), ref="S 9.3.1")
    request_case("a body on DELETE is forwarded with framing",
                 message(b"DELETE /x HTTP/1.1", b"Host: test", b"Transfer-Encoding: chunked",
                         body=b"3\r\nabc\r\n0\r\n\r\n"),
                 passed(Up("DELETE", "/x", body=b"abc", framing=("chunked",))), ref="S 9.3.5")
    request_case("a body on HEAD is forwarded with framing",
                 message(b"HEAD / HTTP/1.1", b"Host: test", b"Content-Length: 3", body=b"abc"),
                 passed(Up("HEAD", body=b"abc", framing=("length",))), ref="S 9.3.2", methods=("HEAD",))
    request_case("five pipelined requests, in order",
                 b"".join(get(target=b"/%d" % i) for i in range(5)),
                 passed(*[Up(target=f"/{i}") for i in range(5)]), ref="M 9.3.2", methods=("GET",) * 5)
    request_case("pipelined requests with bodies",
                 post(b"Content-Length: 3", body=b"abc") + chunked(b"2\r\nde\r\n0\r\n\r\n")
                 + get(target=b"/last"),
                 passed(POST_ABC, Up("POST", body=b"de"), Up(target="/last")), ref="M 9.3.2",
                 methods=("GET",) * 3)
    request_case("five pipelined requests, the third malformed",
                 get(target=b"/1") + get(target=b"/2") + get(b"Bad Name: x", target=b"/3") + get(target=b"/4")
                 + get(target=b"/5"),
                 Outcome([Reply(), Reply(), Reply(400, "DPE")], [Up(target="/1"), Up(target="/2")],
                         close=True),
                 ref="M 9.3.2", methods=("GET",) * 3)
    request_case("Connection: close cancels what is pipelined after it",
                 get(b"Connection: close", target=b"/1") + get(target=b"/2"),
                 passed(Up(target="/1"), close=True),
                 ref="M 9.6")


def content_length():
    body = b"abcde"
    for name, value in [
            ("plus sign", b"+5"), ("minus sign", b"-5"), ("hexadecimal", b"0x5"), ("empty", b""),
            ("inner space", b"5 5"),
            ("letters after it", b"5a"), ("decimals", b"5.0"), ("quoted", b'"5"'),
            ("a list of equal values", b"5, 5"),
            ("a list of different values", b"5, 6"), ("comma after it", b"5,"), ("semicolon", b"5;q=1"),
            ("overflow of 64 bits that wraps to 5", b"18446744073709551621"),
            ("overflow of 63 bits", b"9223372036854775808"),
            ("very many digits", b"9" * 40), ("vertical tab", b"\x0b5"), ("octets above 127", b"\xb2\xb3"),
            ("NUL after it", b"5\x00")]:
        request_case(f"Content-Length: {name}", post(b"Content-Length: " + value, body=body), BAD,
                     ref="M 6.2; gap CL")
    request_case("Content-Length twice, equal", post(b"Content-Length: 5", b"Content-Length: 5", body=body),
                 BAD, ref="M 6.3")
    request_case("Content-Length twice, different",
                 post(b"Content-Length: 5", b"Content-Length: 3", body=body), BAD,
                 ref="M 6.3")
    request_case("Content-Length twice, case differs",
                 post(b"content-length: 5", b"CONTENT-LENGTH: 5", body=body), BAD,
                 ref="M 6.3")
    request_case("Content-Length on GET, empty", get(b"Content-Length: "), BAD, ref="M 6.2")
    five = passed(Up("POST", body=body, framing=("length",)))
    request_case("Content-Length with trailing space", post(b"Content-Length: 5 ", body=body), five,
                 ref="S 5.5; gap CL")
    request_case("Content-Length behind a tab", post(b"Content-Length:\t5", body=body), five, ref="S 5.5")
    request_case("Content-Length before a tab", post(b"Content-Length: 5\t", body=body), five, BAD,
                 ref="S 5.5; llhttp refuses it")
    request_case("Content-Length without space", post(b"Content-Length:5", body=body), five, ref="S 5.5")
    request_case("Content-Length with leading zeros", post(b"Content-Length: 005", body=body), five,
                 ref="S 8.6")
    request_case("Content-Length with a leading space in its line after a field",
                 post(b"X-A: 1", b" Content-Length: 5", body=body), BAD, ref="gap CVE-2024-27982")
    length = b"Content-Length: 5"
    for name, fields in [
            ("Content-Length first", (length, b"Transfer-Encoding: chunked")),
            ("Transfer-Encoding first", (b"Transfer-Encoding: chunked", length))]:
        request_case(f"Content-Length and Transfer-Encoding: {name}", post(*fields, body=b"0\r\n\r\n"), BAD,
                     ref="M 6.1")
    for name, fields in [
            ("identity", (length, b"Transfer-Encoding: identity")),
            ("an empty coding", (length, b"Transfer-Encoding: ")),
            ("an unknown coding", (b"Transfer-Encoding: xchunked", length))]:
        request_case(f"Content-Length and Transfer-Encoding: {name}", post(*fields, body=b"0\r\n\r\n"), BAD,
                     rejected(501),
                     ref="M 6.1")


def transfer_coding():
    one = b"3\r\nabc\r\n0\r\n\r\n"
    unknown = rejected(501)
    for name, value in [("gzip, chunked", b"gzip, chunked"), ("xchunked", b"xchunked"),
                        ("chunkedx", b"chunkedx")]:
        request_case(f"Transfer-Encoding: {name}", post(b"Transfer-Encoding: " + value, body=one), unknown,
                     ref="M 6.1 (501); gap TE")
    request_case("Transfer-Encoding: chunked, chunked",
                 post(b"Transfer-Encoding: chunked, chunked", body=one), BAD,
                 ref="M 6.1, applied twice")
    for name, value in [
            ("chunked, gzip", b"chunked, gzip"), ("gzip alone", b"gzip"), ("identity", b"identity"),
            ("chunked, identity", b"chunked, identity"), ("an empty list element first", b", chunked"),
            ("an empty list element last", b"chunked,"), ("quoted", b'"chunked"'),
            ("with a parameter", b"chunked;q=1"),
            ("empty", b""), ("chun ked", b"chun ked")]:
        request_case(f"Transfer-Encoding: {name}", post(b"Transfer-Encoding: " + value, body=one), BAD,
                     unknown,
                     ref="M 6.3; gap TE")
    request_case("Transfer-Encoding: vertical tab before it",
                 post(b"Transfer-Encoding: \x0bchunked", body=one), BAD,
                 ref="S 5.5")
    request_case("Transfer-Encoding on two lines, chunked twice",
                 post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=one), BAD, unknown,
                 ref="gap TE")
    request_case("Transfer-Encoding on two lines, identity and chunked",
                 post(b"Transfer-Encoding: identity", b"Transfer-Encoding: chunked", body=one), BAD, unknown,
                 ref="gap TE")
    request_case("Transfer-Encoding on two lines, gzip and chunked",
                 post(b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked", body=one), BAD, unknown,
                 ref="gap TE")
    request_case("Transfer-Encoding with HTTP/1.0",
                 message(b"POST / HTTP/1.0", b"Host: test", b"Transfer-Encoding: chunked", body=one), BAD,
                 ref="M 6.1; gap TE on 1.0", http10=True)
    fine = passed(Up("POST", body=b"abc", framing=("chunked",)))
    request_case("Transfer-Encoding: Chunked in another case", post(b"transfer-encoding: CHUNKED", body=one),
                 fine,
                 ref="M 7")
    request_case("Transfer-Encoding with spaces around", post(b"Transfer-Encoding:  \tchunked  ", body=one),
                 fine,
                 ref="S 5.5")
    request_case("Transfer-Encoding before a tab", post(b"Transfer-Encoding: chunked\t", body=one), fine, BAD,
                 ref="S 5.5; llhttp refuses it")
    request_case("Transfer-Encoding with a space before its colon",
                 post(b"Transfer-Encoding : chunked", body=one), BAD,
                 ref="M 5.1")
    request_case("Transfer_Encoding is just a field",
                 post(b"Transfer_Encoding: chunked", b"Content-Length: 3", body=b"abc"),
                 passed(Up("POST", body=b"abc", framing=("length",), has={"Transfer_Encoding": "chunked"})),
                 ref="names with _")


def chunks():
    for name, body in [
            ("17 digits", b"FFFFFFFFFFFFFFFFF\r\nabc\r\n0\r\n\r\n"),
            ("wraps to 3", b"10000000000000003\r\nabc\r\n0\r\n\r\n"),
            ("0x prefix", b"0x3\r\nabc\r\n0\r\n\r\n"),
            ("no digits", b"\r\nabc\r\n0\r\n\r\n"), ("negative", b"-1\r\nabc\r\n0\r\n\r\n"),
            ("plus", b"+3\r\nabc\r\n0\r\n\r\n"),
            ("space before", b" 3\r\nabc\r\n0\r\n\r\n"), ("space after", b"3 \r\nabc\r\n0\r\n\r\n"),
            ("tab after", b"3\t\r\nabc\r\n0\r\n\r\n"), ("not hexadecimal", b"G\r\nabc\r\n0\r\n\r\n"),
            ("underscore", b"0_3\r\nabc\r\n0\r\n\r\n"), ("ended by LF", b"3\nabc\r\n0\r\n\r\n"),
            ("ended by CR and a letter", b"3\rXabc\r\n0\r\n\r\n"),
            ("only an extension", b";a=b\r\nabc\r\n0\r\n\r\n")]:
        request_case(f"chunk size: {name}", chunked(body), BAD_BODY, ref="M 7.1; gap chunks")
    for name, body in [
            ("longer than its size", b"3\r\nabcXX\r\n0\r\n\r\n"),
            ("shorter than its size", b"3\r\nab\r\n0\r\n\r\n"),
            ("not followed by CRLF", b"3\r\nabc0\r\n\r\n"), ("followed by LF only", b"3\r\nabc\n0\r\n\r\n"),
            ("followed by CR only", b"3\r\nabc\r0\r\n\r\n")]:
        request_case(f"chunk data: {name}", chunked(body), BAD_BODY, ref="M 7.1; gap chunk data")
    fine = passed(Up("POST", body=b"abc", framing=("chunked",)))
    request_case("chunk size with a few leading zeros", chunked(b"0003\r\nabc\r\n000\r\n\r\n"), fine,
                 ref="M 7.1")
    request_case("chunk size in upper and lower case",
                 chunked(b"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n"),
                 passed(Up("POST", body=b"0123456789" * 2)), ref="M 7.1")
    request_case("chunk extension", chunked(b"3;a=b\r\nabc\r\n0\r\n\r\n"), fine, ref="M 7.1.1")
    request_case("chunk extension without value", chunked(b"3;a\r\nabc\r\n0;b\r\n\r\n"), fine, ref="M 7.1.1")
    request_case("chunk extension, quoted", chunked(b'3;a="x;y"\r\nabc\r\n0\r\n\r\n'), fine, ref="M 7.1.1")
    request_case("two chunk extensions", chunked(b"3;a=b;c=d\r\nabc\r\n0\r\n\r\n"), fine,
                 ref="M 7.1.1; gap extensions")
    request_case("chunk extension with a bare CR", chunked(b"3;a=\rb\r\nabc\r\n0\r\n\r\n"), BAD_BODY,
                 ref="M 2.2")
    request_case("chunk extension with a LF", chunked(b"3;a=b\nabc\r\n0\r\n\r\n"), BAD_BODY, ref="M 2.2")
    request_case("chunk extension with a NUL", chunked(b"3;a=\x00\r\nabc\r\n0\r\n\r\n"), BAD_BODY,
                 ref="M 7.1.1")
    bounded = [rejected(400, upstream=INCOMPLETE), rejected(413, "DL", INCOMPLETE),
               rejected(431, "DL", INCOMPLETE)]
    request_case("chunk extension of 64 kB", chunked(b"3;" + b"a" * 65536 + b"\r\nabc\r\n0\r\n\r\n"),
                 *bounded,
                 ref="M 7.1.1, total bounded", dense=False)
    request_case("chunk size of 64 kB of zeros", chunked(b"0" * 65536 + b"3\r\nabc\r\n0\r\n\r\n"), *bounded,
                 ref="gap zeros, bounded", dense=False)
    request_case("very many small extensions",
                 chunked(b"1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n" * 4000 + b"0\r\n\r\n"),
                 *bounded, ref="gap extension flood", dense=False)


def trailers():
    body = b"3\r\nabc\r\n0\r\n"
    request_case("trailers are forwarded",
                 chunked(body + b"X-Sum: abc\r\nX-B: 2\r\n\r\n", b"Trailer: X-Sum, X-B"),
                 passed(Up("POST", body=b"abc", framing=("chunked",), has={"Trailer": "X-Sum, X-B"},
                           trailers={"X-Sum": "abc", "X-B": "2"})),
                 ref="S 6.5")
    request_case("trailers unannounced", chunked(body + b"X-Sum: abc\r\n\r\n"),
                 passed(Up("POST", body=b"abc", trailers={"X-Sum": "abc"})), ref="S 6.5")
    for name in (b"Content-Length: 3", b"Transfer-Encoding: chunked", b"Host: evil", b"Authorization: x",
                 b"Content-Type: a/b",
                 b"Connection: close", b"TE: trailers", b"Set-Cookie: a=b", b"X-Forwarded-For: 1.2.3.4"):
        field_name = name.split(b":")[0].decode()
        request_case(f"forbidden trailer {field_name}", chunked(body + name + b"\r\nX-Ok: 1\r\n\r\n"),
                     passed(Up("POST", body=b"abc", no_trailers=(field_name,)), close=None), BAD_BODY,
                     ref="S 6.5.1, never merged")
    for name, tail in [
            ("obs-fold", b"X-A: 1\r\n b\r\n\r\n"), ("a LF at its end", b"\n\r\n\r\n"),
            ("a field ended by LF", b"X-A: 1\n\r\n\r\n"),
            ("an empty name", b": v\r\n\r\n"), ("a space before the colon", b"X-A : v\r\n\r\n"),
            ("no colon", b"XA\r\n\r\n"),
            ("a NUL", b"X-A: \x00\r\n\r\n"), ("a bare CR", b"X-A: a\rb\r\n\r\n"),
            ("leading space", b" X-A: a\r\n\r\n")]:
        request_case(f"trailer section with {name}", chunked(body + tail), BAD_BODY,
                     ref="M 7.1.2; gap trailers")
    request_case("trailers of 64 kB", chunked(body + b"X-A: " + b"a" * 65536 + b"\r\n\r\n"),
                 rejected(431, "DL", INCOMPLETE), rejected(400, "DPE", INCOMPLETE), ref="gap trailer limit",
                 dense=False)
    request_case("a thousand trailers", chunked(body + b"X-A: a\r\n" * 1000 + b"\r\n"),
                 rejected(431, "DL", INCOMPLETE), rejected(400, "DPE", INCOMPLETE), ref="gap trailer limit",
                 dense=False)


def truncated_requests():
    cut = Outcome([Reply(400, "DPE")], INCOMPLETE, close=True)
    gone = Outcome([], INCOMPLETE, close=True)
    request_case("the client ends inside a Content-Length body", post(b"Content-Length: 10", body=b"abc"),
                 cut, gone,
                 ref="M 8, truncated request", then="fin")
    request_case("the client ends inside a chunk", chunked(b"5\r\nab"), cut, gone, ref="M 8", then="fin")
    request_case("the client ends before the last chunk", chunked(b"3\r\nabc\r\n"), cut, gone, ref="M 8",
                 then="fin")
    request_case("the client ends inside the last chunk", chunked(b"3\r\nabc\r\n0\r\n"), cut, gone, ref="M 8",
                 then="fin")
    request_case("the client ends inside a trailer", chunked(b"3\r\nabc\r\n0\r\nX-A: 1\r\n"), cut, gone,
                 ref="M 8", then="fin")
    nothing = [Outcome([Reply(400, "DPE")], NOTHING, True), Outcome([], NOTHING, True)]
    request_case("the client ends inside the head", b"GET / HTTP/1.1\r\nHost: te", *nothing, ref="M 8",
                 then="fin")
    request_case("the client ends before the last LF of the head", get()[:-1], *nothing, ref="M 8",
                 then="fin")
    request_case("the client half-closes after a whole request", get(), passed(GET, close=True),
                 ref="half-close", then="fin")
    request_case("the client half-closes after a whole body", chunked(b"3\r\nabc\r\n0\r\n\r\n"),
                 passed(POST_ABC, close=True),
                 ref="half-close", then="fin")


for section in (plain_requests, content_length, transfer_coding, chunks, trailers, truncated_requests):
    section()
