"""Holds what was seen against what a case of the protocol table expects: lists of complaints."""

from case_types import INCOMPLETE, NOTHING


def field_errors(message, expected):
    bad = []
    for name, value in expected.has.items():
        got = message.get(name)
        if got is None or (value is not None and got != value):
            bad.append(f"{name} is {got!r}, expected {'any value' if value is None else repr(value)}")
    for name in expected.lacks:
        if message.get(name) is not None:
            bad.append(f"{name}: {message.get(name)!r} is there")
    names = {n for n, _ in expected.lines}
    got_lines = tuple(line for line in message.headers if line[0] in names)
    if got_lines != tuple(expected.lines):
        bad.append(f"field lines {got_lines!r}, expected {expected.lines!r}")
    if message.framing not in expected.framing:
        bad.append(f"framing {message.framing}, expected {expected.framing}")
    for name, value in expected.trailers.items():
        if message.trailer(name) != value:
            bad.append(f"trailer {name} is {message.trailer(name)!r}, expected {value!r}")
    for name in expected.no_trailers:
        if message.trailer(name) is not None:
            bad.append(f"trailer {name} is there")
    return bad


def request_errors(request, up):
    bad = field_errors(request, up)
    if (request.method, request.target) != (up.method, up.target):
        bad.append(f"{request.method} {request.target}, expected {up.method} {up.target}")
    if request.body != up.body:
        bad.append(f"body {request.body[:80]!r}, expected {up.body[:80]!r}")
    if up.host is not None and request.get("host") != up.host:
        bad.append(f"Host {request.get('host')!r}, expected {up.host!r}")
    return [f"upstream got: {b}" for b in bad]


def reply_errors(response, reply):
    """`response` is a Response, or None when the connection ended without one."""
    if response is None:
        # A cut before the first byte went out is as visible as one after it.
        return [] if not reply.complete else ["the connection ended without a response"]
    bad = field_errors(response, reply)
    if response.status != reply.status:
        bad.append(f"status {response.status} ({response.flag}), expected {reply.status} ({reply.flag})")
    elif response.flag != reply.flag and not reply.any_flag:
        bad.append(f"flag {response.flag}, expected {reply.flag}")
    if response.complete != reply.complete:
        bad.append(f"complete={response.complete} {response.error}, expected complete={reply.complete}")
    if reply.body is not None:
        same = response.body == reply.body if reply.complete else reply.body.startswith(response.body)
        if not same:
            bad.append(f"body {response.body[:80]!r}, expected {reply.body[:80]!r}")
    if reply.interim is not None and tuple(i.status for i in response.interim) != tuple(reply.interim):
        bad.append(f"interim {[i.status for i in response.interim]}, expected {list(reply.interim)}")
    if reply.flag is not None:
        bad += local_reply_errors(response)
    return bad


def local_reply_errors(response):
    """A reply that Remora invents: one line of plain text that says why."""
    bad = []
    if not (response.get("content-type") or "").startswith("text/plain"):
        bad.append(f"local reply of type {response.get('content-type')!r}")
    if response.framing == "length" and response.length and response.body.strip().count(b"\n"):
        bad.append(f"local reply of several lines: {response.body!r}")
    return bad


def upstream_errors(complete, incomplete, byte_count, expected):
    if expected == NOTHING:
        if complete or incomplete or byte_count:
            return [f"upstream got {byte_count} bytes: {[(r.method, r.target) for r in complete]} complete, "
                    f"{len(incomplete)} incomplete; expected nothing"]
        return []
    if expected == INCOMPLETE:
        return [f"upstream got a whole request: {r.method} {r.target} {r.headers} {r.body[:80]!r}"
                for r in complete]
    if len(complete) != len(expected) or incomplete:
        return [f"upstream got {len(complete)} requests and {len(incomplete)} incomplete, expected "
                f"{len(expected)}"]
    return [error for request, up in zip(complete, expected) for error in request_errors(request, up)]
