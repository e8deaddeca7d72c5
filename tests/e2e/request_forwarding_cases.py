"""What an intermediary must change in a request, answer itself, or refuse to pass on."""

from case_types import NOTHING, Outcome, Reply, Up
from request_words import BAD, GET, POST_ABC, chunked, get, message, passed, post, request_case


def hop_by_hop():
    request_case("Connection: close, X-A", get(b"Connection: close, X-A", b"X-A: 1", b"X-B: 2"),
                 passed(Up(has={"X-B": "2"}, lacks=("X-A",)), close=True), ref="S 7.6.1")
    request_case("Connection on two lines, odd case and spacing",
                 get(b"Connection:  x-a ,,\tX-b", b"cOnNeCtIoN: X-C", b"X-A: 1", b"X-B: 1", b"X-C: 1",
                     b"X-D: 1"),
                 passed(Up(has={"X-D": "1"}, lacks=("X-A", "X-B", "X-C"))), ref="S 7.6.1")
    request_case("Connection after the fields it names", get(b"X-A: 1", b"X-A: 2", b"Connection: x-a"),
                 passed(Up(lacks=("X-A",))), ref="S 7.6.1")
    for name in ("Host", "Content-Length", "Authorization", "X-Forwarded-For", "X-Forwarded-Proto",
                 "X-Forwarded-Host"):
        request_case(f"Connection naming {name}", get(b"Connection: close, " + name.encode(), b"X-A: 1"), BAD,
                     ref="essentials")
        request_case(f"Connection naming {name} in another case",
                     get(b"Connection: " + name.swapcase().encode()), BAD,
                     ref="essentials")
    request_case("Connection naming Transfer-Encoding",
                 chunked(b"3\r\nabc\r\n0\r\n\r\n", b"Connection: Transfer-Encoding"),
                 passed(POST_ABC), BAD, ref="S 7.6.1, framing survives")
    request_case("Connection naming Connection", get(b"Connection: Connection"), passed(GET), BAD,
                 ref="S 7.6.1")
    request_case("Connection that is no token", get(b"Connection: @@;, X-A", b"X-A: 1"),
                 passed(Up(lacks=("X-A",))), BAD,
                 ref="S 7.6.1")
    request_case("Connection with a hundred names",
                 get(b"Connection: " + b", ".join(b"a%d" % i for i in range(100)), b"a7: x"),
                 passed(Up(lacks=("a7",))), BAD, ref="S 7.6.1", dense=False)
    request_case("the standard hop-by-hop fields",
                 get(b"Keep-Alive: timeout=5", b"Proxy-Connection: keep-alive",
                     b"Proxy-Authorization: Basic eA==",
                     b"Connection: keep-alive", b"X-A: 1"),
                 passed(Up(has={"X-A": "1"}, lacks=("Keep-Alive", "Proxy-Connection",
                                                    "Proxy-Authorization"))), ref="S 7.6.1")


def te_and_upgrade():
    request_case("TE: gzip, trailers", get(b"TE: gzip, trailers", b"Connection: TE"),
                 passed(Up(has={"TE": "trailers", "Connection": None})), ref="S 10.1.4")
    request_case("TE: trailers without Connection", get(b"TE: trailers"), passed(Up(has={"TE": "trailers"})),
                 passed(Up(lacks=("TE",))),
                 ref="S 10.1.4")
    request_case("TE: trailers;q=0.5 or deflate", get(b"TE: deflate;q=0.5", b"Connection: TE"),
                 passed(Up(lacks=("TE",))),
                 ref="S 10.1.4")
    request_case("TE: gzip", get(b"TE: gzip", b"Connection: TE"), passed(Up(lacks=("TE",))), ref="S 10.1.4")
    request_case("h2c upgrade is stripped",
                 get(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c",
                     b"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"),
                 passed(Up(lacks=("Upgrade", "HTTP2-Settings"))), ref="h2c")
    request_case("h2c beside another protocol is stripped",
                 get(b"Connection: Upgrade", b"Upgrade: h2c, websocket"),
                 passed(Up(has={"Upgrade": "websocket"}), close=None),
                 passed(Up(lacks=("Upgrade",)), close=None), ref="h2c")
    request_case("Upgrade without Connection is stripped", get(b"Upgrade: websocket"),
                 passed(Up(lacks=("Upgrade",))),
                 ref="S 7.8")
    request_case("Connection: upgrade without Upgrade", get(b"Connection: upgrade"),
                 passed(Up(lacks=("Upgrade",))), ref="S 7.8")
    request_case("Upgrade on HTTP/1.0 is ignored",
                 message(b"GET / HTTP/1.0", b"Host: test", b"Connection: upgrade", b"Upgrade: websocket"),
                 passed(Up(lacks=("Upgrade",)), close=True), ref="S 7.8", http10=True)
    request_case("an upgrade that the upstream ignores",
                 get(b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13"),
                 passed(Up(has={"Upgrade": "websocket", "Sec-WebSocket-Version": "13"}), close=None),
                 ref="S 7.8")


def added_fields():
    request_case("Via: another proxy's stays first", get(b"Via: 1.0 fred, 1.1 p.example"),
                 passed(Up(has={"Via": "1.0 fred, 1.1 p.example, 1.1 @SELF@"})), ref="S 7.6.3")
    request_case("Via: another proxy of a similar name", get(b"Via: 1.1 remora2, 1.1 xremora"),
                 passed(Up(has={"Via": "1.1 remora2, 1.1 xremora, 1.1 @SELF@"})), ref="S 7.6.3")
    loop = [Outcome([Reply(508, "LD")], NOTHING, None)]
    request_case("Via: our own", get(b"Via: 1.1 @SELF@"), *loop, ref="S 7.6.3, 508")
    request_case("Via: our own among others", get(b"Via: 1.0 a", b"Via: 1.1 b (x, y), 1.1 @SELF@ (c), 1.1 d"),
                 *loop, ref="S 7.6.3")
    request_case("X-Forwarded-For is appended for a trusted peer", get(b"X-Forwarded-For: 192.0.2.1"),
                 passed(Up(has={"X-Forwarded-For": "192.0.2.1, 127.0.0.1"})), ref="X-Forwarded")
    request_case("X-Forwarded-For lines are joined",
                 get(b"X-Forwarded-For: 192.0.2.1", b"x-forwarded-for: 192.0.2.2, 192.0.2.3"),
                 passed(Up(has={"X-Forwarded-For": "192.0.2.1, 192.0.2.2, 192.0.2.3, 127.0.0.1"})),
                 ref="X-Forwarded")
    request_case("X-Forwarded-Proto of a trusted peer is kept", get(b"X-Forwarded-Proto: https"),
                 passed(Up(has={"X-Forwarded-Proto": "https"})), ref="X-Forwarded")
    request_case("X-Forwarded-Proto twice", get(b"X-Forwarded-Proto: https", b"X-Forwarded-Proto: http"),
                 passed(Up(has={"X-Forwarded-Proto": None})), BAD, ref="X-Forwarded")
    request_case("X-Forwarded-For that is empty", get(b"X-Forwarded-For: ", b"X-Forwarded-Proto: "),
                 passed(Up(has={"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http"})),
                 ref="X-Forwarded")
    request_case("X-Forwarded-* of an untrusted peer are replaced",
                 get(b"X-Forwarded-For: 192.0.2.1", b"X-Forwarded-Proto: https"),
                 passed(Up(has={"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http"})),
                 ref="X-Forwarded",
                 listener="untrusted")
    request_case("X-Forwarded-Host and Forwarded of an untrusted peer do not pass",
                 get(b"X-Forwarded-Host: evil", b"Forwarded: for=192.0.2.1"),
                 passed(Up(lacks=("X-Forwarded-Host", "Forwarded"))),
                 passed(Up(lacks=("Forwarded",), has={"X-Forwarded-Host": "test"})), ref="X-Forwarded",
                 listener="untrusted")
    request_case("X-Forwarded fields are added", get(),
                 passed(Up(has={"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http"})),
                 ref="X-Forwarded")
    request_case("X-Request-Id of a trusted peer is kept", get(b"X-Request-Id: abc-123"),
                 passed(Up(has={"X-Request-Id": "abc-123"})),
                 ref="X-Request-Id")
    request_case("X-Request-Id twice", get(b"X-Request-Id: a", b"X-Request-Id: b"),
                 passed(Up(has={"X-Request-Id": None})), BAD,
                 ref="X-Request-Id")


def max_forwards():
    traced = message(b"TRACE /t HTTP/1.1", b"Host: test", b"Max-Forwards: 0", b"Authorization: secret",
                     b"Cookie: secret", b"X-A: 1")
    here = Reply(200, any_flag=True, has={"Content-Type": "message/http"}, lacks=("Set-Cookie",))
    request_case("TRACE with Max-Forwards: 0 is answered here", traced, Outcome([here], NOTHING),
                 ref="S 7.6.2, 9.3.8")
    request_case("TRACE with Max-Forwards: 5",
                 message(b"TRACE /t HTTP/1.1", b"Host: test", b"Max-Forwards: 5"),
                 passed(Up("TRACE", "/t", has={"Max-Forwards": "4"})), ref="S 7.6.2")
    request_case("TRACE without Max-Forwards", message(b"TRACE /t HTTP/1.1", b"Host: test"),
                 passed(Up("TRACE", "/t", lacks=("Max-Forwards",))), ref="S 9.3.8")
    request_case("OPTIONS with Max-Forwards: 0 is answered here",
                 message(b"OPTIONS /t HTTP/1.1", b"Host: test", b"Max-Forwards: 0"),
                 Outcome([Reply(200, any_flag=True)], NOTHING), ref="S 7.6.2")
    request_case("OPTIONS * with Max-Forwards: 1",
                 message(b"OPTIONS * HTTP/1.1", b"Host: test", b"Max-Forwards: 1"),
                 passed(Up("OPTIONS", "*", has={"Max-Forwards": "0"})), ref="S 7.6.2")
    request_case("OPTIONS with Max-Forwards twice",
                 message(b"OPTIONS /t HTTP/1.1", b"Host: test", b"Max-Forwards: 3", b"Max-Forwards: 0"),
                 passed(Up("OPTIONS", "/t", has={"Max-Forwards": "2"})), BAD,
                 Outcome([Reply(200, any_flag=True)], NOTHING), ref="S 7.6.2")
    request_case("GET ignores Max-Forwards", get(b"Max-Forwards: 0"), passed(Up(has={"Max-Forwards": "0"})),
                 ref="S 7.6.2")
    request_case("TRACE with Max-Forwards that is no number",
                 message(b"TRACE /t HTTP/1.1", b"Host: test", b"Max-Forwards: x"),
                 passed(Up("TRACE", "/t")), BAD, ref="S 7.6.2")


def expectations():
    request_case("Expect: 100-continue is forwarded",
                 post(b"Expect: 100-continue", b"Content-Length: 3", body=b"abc"),
                 passed(Up("POST", body=b"abc", has={"Expect": "100-continue"}), interim=(100,)),
                 ref="S 10.1.1",
                 listener="expect")
    request_case("Expect: foo is forwarded", get(b"Expect: foo"), passed(Up(has={"Expect": "foo"})),
                 ref="S 10.1.1")
    request_case("Expect from HTTP/1.0 brings no 100",
                 message(b"POST / HTTP/1.0", b"Host: test", b"Expect: 100-continue", b"Content-Length: 3",
                         body=b"abc"),
                 passed(POST_ABC, close=True), ref="S 10.1.1", http10=True, listener="expect")


for section in (hop_by_hop, te_and_upgrade, added_fields, max_forwards, expectations):
    section()
