"""Shorthand for the request half of the protocol table: how a case is sent, what usually becomes of it."""

from case_types import INCOMPLETE, NOTHING, Outcome, Reply, RequestCase, Up

CASES = []


def request_case(name, send, *outcomes, **options):
    assert outcomes, name
    CASES.append(RequestCase(name, send, list(outcomes), **options))


def message(line, *fields, body=b""):
    return b"\r\n".join([line, *fields, b"", b""]) + body


def get(*fields, target=b"/", host=b"Host: test"):
    return message(b"GET " + target + b" HTTP/1.1", *([host] if host else []), *fields)


def post(*fields, body=b"", target=b"/"):
    return message(b"POST " + target + b" HTTP/1.1", b"Host: test", *fields, body=body)


def chunked(body, *fields):
    return post(b"Transfer-Encoding: chunked", *fields, body=body)


def rejected(status=400, flag="DPE", upstream=NOTHING):
    return Outcome([Reply(status, flag)], upstream, close=True)


def passed(*ups, close=False, status=200, **expect):
    """Forwarded: each request reaches the upstream, each gets the backend's answer."""
    return Outcome([Reply(status, **expect) for _ in ups], list(ups), close)


GET = Up()
BAD = rejected()
BAD_BODY = rejected(upstream=INCOMPLETE)
POST_ABC = Up("POST", body=b"abc")
