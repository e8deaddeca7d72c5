"""Heads of requests: lines, fields, targets, Host, versions, limits."""

from case_types import INCOMPLETE, Up
from request_words import BAD, GET, POST_ABC, chunked, get, message, passed, post, rejected, request_case


def line_endings():
    request_case("one leading CRLF", b"\r\n" + get(), passed(GET), ref="M 2.2")
    for name, lead in [("two leading CRLFs", b"\r\n\r\n"), ("leading LF", b"\n"), ("leading CR", b"\r"),
                       ("leading space", b" "),
                       ("leading NUL", b"\x00")]:
        request_case(name, lead + get(), BAD, ref="gap leading lines")
    request_case("request line ended by LF", b"GET / HTTP/1.1\nHost: test\r\n\r\n", BAD, ref="gap LF line")
    request_case("request line ended by CR", b"GET / HTTP/1.1\rHost: test\r\n\r\n", BAD, ref="gap CR")
    request_case("field line ended by LF", b"GET / HTTP/1.1\r\nHost: test\nX-A: 1\r\n\r\n", BAD, ref="gap LF")
    request_case("field line ended by CR", b"GET / HTTP/1.1\r\nHost: test\rX-A: 1\r\n\r\n", BAD, ref="gap CR")
    request_case("head ended by CRLF LF", b"GET / HTTP/1.1\r\nHost: test\r\n\n\r\n\r\n", BAD,
                 ref="gap LF block")
    request_case("head of LF lines only", b"GET / HTTP/1.1\nHost: test\n\n\r\n\r\n", BAD, ref="gap LF block")
    request_case("head ended by CRLF CR and a letter", b"GET / HTTP/1.1\r\nHost: test\r\n\rX\r\n\r\n", BAD,
                 ref="gap CR X")
    request_case("obs-fold with a space", get(b"X-A: 1", b" 2"), BAD, ref="M 5.2; gap obs-fold")
    request_case("obs-fold with a tab", get(b"X-A: 1", b"\t2"), BAD, ref="M 5.2; gap obs-fold")
    request_case("obs-fold on Content-Length", post(b"Content-Length:", b" 3", body=b"abc"), BAD,
                 ref="gap obs-fold")
    request_case("obs-fold on Transfer-Encoding",
                 post(b"Transfer-Encoding:", b"\tchunked", body=b"0\r\n\r\n"), BAD,
                 ref="gap obs-fold")
    request_case("an empty folded line", get(b"X-A: 1", b" "), BAD, ref="gap obs-fold")
    request_case("space before the first field", b"GET / HTTP/1.1\r\n Host: test\r\n\r\n", BAD,
                 ref="M 2.2; gap leading space")
    request_case("tab before the first field", b"GET / HTTP/1.1\r\n\tX: y\r\nHost: test\r\n\r\n", BAD,
                 ref="M 2.2")


def field_syntax():
    for name, line in [
            ("a space before the colon", b"X-A : 1"), ("a tab before the colon", b"X-A\t: 1"),
            ("an empty name", b": v"),
            ("no colon", b"X-A"), ("a space inside the name", b"X A: 1"),
            ("a parenthesis in the name", b"X(A: 1"),
            ("an octet above 127 in the name", b"X\x80A: 1"), ("a quote in the name", b'X"A: 1'),
            ("a slash in the name", b"X/A: 1"),
            ("a NUL in the name", b"X\x00A: 1"), ("a NUL in the value", b"X-A: a\x00b"),
            ("0x01 in the value", b"X-A: a\x01b"),
            ("0x7f in the value", b"X-A: a\x7fb"), ("0x0b in the value", b"X-A: a\x0bb"),
            ("a bare CR in the value", b"X-A: a\rb"),
            ("a bare CR at the value's end", b"X-A: a\r"), ("a bare LF in the value", b"X-A: a\nb"),
            ("a smuggled field behind a CR", b"X-Abc: \rTransfer-Encoding: chunked")]:
        request_case(f"field with {name}", get(line, b"X-B: 2"), BAD, ref="S 5.1, 5.5; M 5.1; gaps")
    request_case("field names of every token character", get(b"!#$%&'*+-.^_`|~09aZ: v"),
                 passed(Up(has={"!#$%&'*+-.^_`|~09aZ": "v"})), ref="S 5.6.2")
    request_case("field values: tab, obs-text, empty, spaces trimmed",
                 get(b"X-A: a\tb", b"X-B: \xe4\xff\x80", b"X-C:", b"X-D:  \t d \t ", b"X-E:e"),
                 passed(Up(lines=(("X-A", "a\tb"), ("X-B", "\xe4\xff\x80"), ("X-C", ""), ("X-D", "d"),
                                  ("X-E", "e")))), ref="S 5.5")
    request_case("unknown fields keep case, order and repetition",
                 get(b"x-LoWeR: 1", b"X-Rep: a", b"Y: 1", b"X-Rep: b", b"x-rep: c"),
                 passed(Up(lines=(("x-LoWeR", "1"), ("X-Rep", "a"), ("Y", "1"), ("X-Rep", "b"),
                                  ("x-rep", "c")))), ref="S 5.3")
    request_case("names with _ are forwarded", get(b"X_A: 1", b"X-A: 2"),
                 passed(Up(lines=(("X_A", "1"), ("X-A", "2")))),
                 ref="names with _")
    request_case("end-to-end fields are untouched",
                 get(b"Cache-Control: no-transform", b"Accept-Encoding: gzip", b"Cookie: a=b; c",
                     b"Authorization: Basic eA==",
                     b"Range: bytes=0-1",
                     b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
                 passed(Up(has={"Cache-Control": "no-transform", "Accept-Encoding": "gzip",
                                "Cookie": "a=b; c",
                                "Authorization": "Basic eA==", "Range": "bytes=0-1",
                                "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"})),
                 ref="S 7.6, 7.7")


def request_lines():
    for name, line in [
            ("two spaces after the method", b"GET  / HTTP/1.1"),
            ("two spaces after the target", b"GET /  HTTP/1.1"),
            ("a space at the end", b"GET / HTTP/1.1 "), ("a tab as separator", b"GET\t/ HTTP/1.1"),
            ("no target", b"GET HTTP/1.1"), ("no version", b"GET /"), ("only a method", b"GET"),
            ("a fragment", b"GET /a#b HTTP/1.1"), ("a tab in the target", b"GET /a\tb HTTP/1.1"),
            ("a space in the target", b"GET /a b HTTP/1.1"),
            ("an octet above 127 in the target", b"GET /\xe4 HTTP/1.1"),
            ("0x7f in the target", b"GET /\x7f HTTP/1.1"), ("a NUL in the target", b"GET /\x00 HTTP/1.1"),
            ("a CR in the target", b"GET /a\rb HTTP/1.1"),
            ("a target without slash", b"GET index.html HTTP/1.1"),
            ("a parenthesis in the method", b"G(T / HTTP/1.1"), ("a colon in the method", b"GET: / HTTP/1.1"),
            ("an octet above 127 in the method", b"G\xc9T / HTTP/1.1"), ("an empty method", b" / HTTP/1.1"),
            ("version RTSP/1.0", b"GET / RTSP/1.0"), ("SOURCE and ICE/1.0", b"SOURCE / ICE/1.0"),
            ("version HTTP/1", b"GET / HTTP/1"), ("version HTTP/11", b"GET / HTTP/11"),
            ("version HTTP/1.1x", b"GET / HTTP/1.1x"),
            ("version HTTP/1.", b"GET / HTTP/1."), ("version http/1.1", b"GET / http/1.1"),
            ("version HTTP 1.1", b"GET / HTTP 1.1"),
            ("version HTTP/01.1", b"GET / HTTP/01.1"), ("asterisk with GET", b"GET * HTTP/1.1"),
            ("authority-form with GET", b"GET test:80 HTTP/1.1")]:
        request_case(f"request line: {name}", message(line, b"Host: test"), BAD, ref="M 3; gaps")
    for name, line in [("2.0", b"GET / HTTP/2.0"), ("0.9", b"GET / HTTP/0.9"), ("3.0", b"GET / HTTP/3.0")]:
        request_case(f"version HTTP/{name}", message(line, b"Host: test"), rejected(505),
                     ref="S 15.6.6; gap versions")
    request_case("the HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", rejected(505), BAD,
                 ref="RFC 9113 3.4")
    request_case("version HTTP/1.2 is 1.1 or refused", message(b"GET / HTTP/1.2", b"Host: test"), passed(GET),
                 BAD, rejected(505),
                 ref="S 2.5; gap 1.2")
    request_case("version HTTP/1.10", message(b"GET / HTTP/1.10", b"Host: test"), BAD, rejected(505),
                 ref="gap 1.10")
    request_case("TLS on a clear-text port", b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03\r\n\r\n", BAD,
                 ref="garbage")
    for method in ("PUT", "PATCH", "PROPFIND", "PURGE", "OPTIONS"):
        request_case(f"method {method}", message(f"{method} /m HTTP/1.1".encode(), b"Host: test"),
                     passed(Up(method, "/m")),
                     ref="S 9")
    for method in ("BREW", "get", "M-SEARCHX", "x" * 64):
        request_case(f"unknown method {method[:12]}",
                     message(f"{method} /m HTTP/1.1".encode(), b"Host: test"),
                     passed(Up(method, "/m")), rejected(501), ref="S 9.1")
    request_case("method HEAD", message(b"HEAD / HTTP/1.1", b"Host: test"), passed(Up("HEAD")), ref="S 9.3.2",
                 methods=("HEAD",))


def targets():
    for name, target in [
            ("dots and escapes", "/a/../b/./%2f%2F%41?x=%00&y=a/b?c"), ("double slashes", "//a///b"),
            ("only a query", "/?a=b"), ("empty query", "/a?"), ("sub-delimiters", "/a;b=c,d:e@f!$&'()*+~-._"),
            ("a URL in the query", "/r?u=http://x/y")]:
        request_case(f"target unchanged: {name}", get(target=target.encode()), passed(Up(target=target)),
                     ref="S 7.7; M 3.2.1")
    for name, target in [("bad escape", "/%zz"), ("printable but not allowed", '/a"<>\\^`{|}')]:
        request_case(f"target: {name}", get(target=target.encode()), passed(Up(target=target)), BAD,
                     ref="M 3.2")
    request_case("a 9000-octet target", get(target=b"/" + b"a" * 8999), passed(Up(target="/" + "a" * 8999)),
                 ref="S 4.1",
                 dense=False)
    for name, target, host, up_target in [
            ("absolute-form overrides Host", b"http://a/", "a", "/"),
            ("absolute-form without a path", b"http://a", "a", "/"),
            ("absolute-form with only a query", b"http://a?x=1", "a", "/?x=1"),
            ("absolute-form with port, path and query", b"http://a:8080/p/q?r=s", "a:8080", "/p/q?r=s"),
            ("absolute-form, scheme in upper case", b"HTTP://a/x", "a", "/x"),
            ("absolute-form with an IPv6 literal", b"http://[::1]:80/x", "[::1]:80", "/x")]:
        request_case(name, get(target=target, host=b"Host: b"), passed(Up(target=up_target, host=host)),
                     ref="M 3.2.2")
    request_case("absolute-form with HTTP/1.0 and no Host", b"GET http://a/x HTTP/1.0\r\n\r\n",
                 passed(Up(target="/x", host="a"), close=True), ref="M 3.2.2", http10=True)
    request_case("absolute-form still needs a Host field", get(target=b"http://a/", host=None), BAD,
                 ref="M 3.2")
    for name, target in [
            ("https over clear text", b"https://a/"), ("ftp", b"ftp://a/"), ("no authority", b"http:///x"),
            ("userinfo", b"http://u:p@a/"),
            ("a fragment", b"http://a/x#y"), ("a bad port", b"http://a:b/"), ("only a scheme", b"http://"),
            ("one slash", b"http:/a/"), ("a space in the authority", b"http://a b/"),
            ("backslash in the authority", b"http://a\\b/")]:
        request_case(f"absolute-form: {name}", get(target=target), BAD, ref="M 3.2.2; S 4.2.4")
    request_case("OPTIONS * is passed", message(b"OPTIONS * HTTP/1.1", b"Host: test"),
                 passed(Up("OPTIONS", "*")), ref="M 3.2.4")
    request_case("OPTIONS of an absolute-form without path becomes *",
                 message(b"OPTIONS http://a HTTP/1.1", b"Host: a"),
                 passed(Up("OPTIONS", "*", host="a")), ref="M 3.2.4")
    request_case("OPTIONS of an absolute-form with path", message(b"OPTIONS http://a/x HTTP/1.1", b"Host: a"),
                 passed(Up("OPTIONS", "/x", host="a")), ref="M 3.2.4")
    not_allowed = rejected(405)
    request_case("CONNECT is not offered", message(b"CONNECT test:443 HTTP/1.1", b"Host: test:443"),
                 not_allowed, ref="S 9.3.6",
                 methods=("CONNECT",))
    request_case("CONNECT without a port", message(b"CONNECT test HTTP/1.1", b"Host: test"), BAD, not_allowed,
                 ref="M 3.2.3",
                 methods=("CONNECT",))
    request_case("CONNECT with a path", message(b"CONNECT / HTTP/1.1", b"Host: test"), BAD, not_allowed,
                 ref="M 3.2.3",
                 methods=("CONNECT",))


def hosts():
    request_case("no Host on HTTP/1.1", get(host=None), BAD, ref="M 3.2; gap Host")
    request_case("Host twice, equal", get(b"Host: test"), BAD, ref="M 3.2; gap Host")
    request_case("Host twice, different", get(b"Host: other"), BAD, ref="M 3.2; gap Host")
    request_case("Host twice on HTTP/1.0", message(b"GET / HTTP/1.0", b"Host: a", b"host: b"), BAD,
                 ref="M 3.2", http10=True)
    for name, value in [
            ("a space", b"te st"), ("userinfo", b"u@test"), ("a slash", b"test/x"), ("a comma list", b"a, b"),
            ("two ports", b"a:1:2"),
            ("letters as port", b"a:80x"), ("port above 65535", b"a:65536"), ("an unclosed bracket", b"[::1"),
            ("brackets around a name", b"[test]"),
            ("an octet above 127", b"t\xe4st"), ("a quote", b'te"st'), ("a question mark", b"test?x"),
            ("a hash", b"test#x"),
            ("a tab", b"te\tst"), ("a backslash", b"te\\st"), ("a negative port", b"a:-1"),
            ("only a port", b":80"), ("a scheme", b"http://test")]:
        request_case(f"Host with {name}", get(host=b"Host: " + value), BAD, ref="M 3.2; S 7.2")
    for value in (b"test:8080", b"[::1]:80", b"[2001:db8::1]", b"127.0.0.1", b"a-b.c_d.example", b"TeSt"):
        request_case(f"Host: {value.decode()}", get(host=b"Host: " + value), passed(Up(host=value.decode())),
                     ref="S 7.2")
    request_case("Host with an empty port", get(host=b"Host: test:"), passed(Up(host=None)), BAD,
                 ref="S 4.2.3")
    request_case("an empty Host", get(host=b"Host:"), passed(Up(host=None)), BAD, ref="M 3.2")
    request_case("HTTP/1.0 without Host", b"GET / HTTP/1.0\r\n\r\n", passed(Up(host=None), close=True),
                 ref="M 3.2", http10=True)


def http10():
    line = b"GET / HTTP/1.0"
    request_case("HTTP/1.0 closes", message(line, b"Host: test"), passed(GET, close=True), ref="M 9.3",
                 http10=True)
    request_case("HTTP/1.0 keep-alive", message(line, b"Host: test", b"Connection: keep-alive"),
                 passed(GET, close=None), ref="M 9.3",
                 http10=True)
    request_case("HTTP/1.0 with a body",
                 message(b"POST / HTTP/1.0", b"Host: test", b"Content-Length: 3", body=b"abc"),
                 passed(POST_ABC, close=True), ref="M 6.3", http10=True)
    request_case("Connection: close on HTTP/1.1", get(b"Connection: close"), passed(GET, close=True),
                 ref="M 9.6")
    request_case("Connection: Close, in another case", get(b"Connection: Close"), passed(GET, close=True),
                 ref="M 9.6")
    request_case("HTTP/0.9", b"GET /\r\n\r\n", BAD, ref="M appendix A")


def limits():
    small = {"listener": "small"}
    long_line = b"a" * 3000
    request_case("request line over the limit", get(target=b"/" + long_line), rejected(414, "DL"),
                 ref="S 15.5.15", dense=False,
                 **small)
    request_case("a field over the limit", get(b"X-A: " + long_line), rejected(431, "DL"), ref="RFC 6585 5",
                 dense=False, **small)
    request_case("a field name over the limit", get(long_line + b": a"), rejected(431, "DL"),
                 ref="RFC 6585 5", dense=False, **small)
    request_case("a head that never ends", b"GET / HTTP/1.1\r\nHost: test\r\nX-A: " + long_line,
                 rejected(431, "DL"), dense=False,
                 ref="RFC 6585 5", **small)
    request_case("too many fields", get(*[b"X-%d: 1" % i for i in range(20)]), rejected(431, "DL"),
                 ref="RFC 6585 5", **small)
    request_case("as many fields as allowed", get(*[b"X-%d: 1" % i for i in range(9)]), passed(GET),
                 ref="RFC 6585 5", **small)
    request_case("Content-Length over the limit", post(b"Content-Length: 1025", body=b"x" * 1025),
                 rejected(413, "DL"), dense=False,
                 ref="S 15.5.14", **small)
    request_case("a body at the limit", post(b"Content-Length: 1024", body=b"x" * 1024),
                 passed(Up("POST", body=b"x" * 1024)),
                 dense=False, ref="S 15.5.14", **small)
    request_case("a chunked body over the limit",
                 chunked(b"400\r\n" + b"x" * 1024 + b"\r\n1\r\nx\r\n0\r\n\r\n"),
                 rejected(413, "DL", INCOMPLETE), ref="S 15.5.14", dense=False, **small)
    request_case("a chunk over the limit", chunked(b"7fffffff\r\n" + b"x" * 1025),
                 rejected(413, "DL", INCOMPLETE),
                 ref="S 15.5.14", dense=False, **small)
    request_case("Expect and a body over the limit: no 100",
                 post(b"Expect: 100-continue", b"Content-Length: 9999"),
                 rejected(413, "DL"), ref="S 10.1.1", **small)
    request_case("61 KiB of fields", get(*[b"X-%d: " % i + b"a" * 1017 for i in range(61)]),
                 rejected(431, "DL"), ref="default limits", dense=False)
    request_case("a target of 61 KiB", get(target=b"/" + b"a" * 61 * 1024), rejected(414, "DL"),
                 ref="default limits",
                 dense=False)
    request_case("101 fields", get(*[b"X-%d: 1" % i for i in range(101)]), rejected(431, "DL"),
                 ref="default limits",
                 dense=False)
    request_case("1 MiB of leading line ends", b"\r\n" * 524288, BAD, ref="gap leading CRLF", dense=False)


for section in (line_endings, field_syntax, request_lines, targets, hosts, http10, limits):
    section()
