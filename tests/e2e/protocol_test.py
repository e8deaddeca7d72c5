"""Runs the protocol table against the real binary: whole, byte by byte, and cut in two at every position.

A cut is real: the second piece is sent when the kernel says that Remora has read the first.
"""

import dataclasses
import threading
import unittest

from case_types import INCOMPLETE, Outcome
from harness import (Client, Malformed, PEER_QUEUE, RawBackend, Remora, TimedOut, Truncated, answer, fetch,
                     finish, main)
from matching import reply_errors, upstream_errors
from protocol_cases import REQUEST_CASES, RESPONSE_CASES

PATIENCE = 4.0  # seconds that a table run waits for anything

CONFIG = """
[admin]
address = "127.0.0.1:0"
[log.access]
path = "off"
[[listener]]
name = "in"
address = "127.0.0.1:0"
[[listener.route]]
cluster = "app"
[[listener]]
name = "small"
address = "127.0.0.1:0"
limits = {{ header_bytes = "2KiB", header_fields = 10, body_bytes = "1KiB" }}
[[listener.route]]
cluster = "app"
[[listener]]
name = "untrusted"
address = "127.0.0.1:0"
trusted = ["192.0.2.0/24"]
[[listener.route]]
cluster = "app"
[[listener]]
name = "expect"
address = "127.0.0.1:0"
[[listener.route]]
cluster = "expect"
[[cluster]]
name = "app"
endpoints = ["{app}"]
breaker = {{ enabled = false }}
retry = {{ attempts = 1 }}
[[cluster]]
name = "expect"
endpoints = ["{expect}"]
breaker = {{ enabled = false }}
retry = {{ attempts = 1 }}
"""


def respond(upstream, request):
    """The backend of the request table: reads the request, answers 200."""
    upstream.body(request)
    body = b"" if request.method == "HEAD" else b"ok"
    upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\n" + body)


def respond_with_continue(upstream, request):
    if request.get("expect"):
        upstream.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    respond(upstream, request)


def with_own_name(case, name):
    """The case with @SELF@ filled in."""
    for outcome in case.outcomes:
        for up in outcome.upstream if isinstance(outcome.upstream, list) else ():
            up.has = {n: v and v.replace("@SELF@", name) for n, v in up.has.items()}
    return dataclasses.replace(case, send=case.send.replace(b"@SELF@", name.encode()))


def schedules(data, dense):
    """The ways in which one input is delivered: (label, positions of the cuts)."""
    size = len(data)
    yield "whole", []
    if dense and size < 3000:
        yield "byte by byte", list(range(1, size))
        for position in range(1, size):
            yield f"cut at {position}", [position]
    elif size > 1:
        yield "in 100 pieces", sorted({max(1, size * i // 100) for i in range(1, 100)} - {size})
        for position in sorted({1, size // 3, size // 2, size - 5, size - 3, size - 2, size - 1} - {0, size}):
            if 0 < position < size:
                yield f"cut at {position}", [position]


class Table(unittest.TestCase):
    """One proxy for all cases; a case that kills it fails, and the next one gets a new one."""

    maxDiff = None
    proxy = None
    half_seen = False  # the last run left half a request at the backend

    @classmethod
    def tearDownClass(cls):
        try:
            if cls.proxy is not None:
                cls.proxy.stop()
        finally:
            cls.stop_backends()

    @classmethod
    def start(cls):
        if cls.proxy is not None and not cls.proxy.alive():
            cls.proxy.kill()
            cls.proxy = None
        if cls.proxy is None:
            cls.proxy = cls.configure()

    def died(self):
        return "" if self.proxy.alive() else f"\nREMORA DIED:\n{self.proxy.log.text()[-3000:]}"

    def settle_on(self, case, data, observe):
        """Runs every schedule; the outcomes that all of them allow must not run out."""
        left = None
        for label, cuts in schedules(data, case.dense):
            complaints = observe(cuts)
            if all(complaints) and self.half_seen:
                # Half a request that an earlier run has abandoned may reach the backend's threads only now, on a busy machine.
                # One of this run's own comes again.
                complaints = observe(cuts)
            fitting = {i for i, bad in enumerate(complaints) if not bad}
            if not fitting or not self.proxy.alive():
                text = "\n".join(f"  outcome {i}: " + "; ".join(bad) for i, bad in enumerate(complaints))
                self.fail(f"{case.name} [{label}] ({case.ref})\n  bytes: {data[:300]!r}\n{text}{self.died()}")
            if left is not None and not left & fitting:
                self.fail(f"{case.name} [{label}]: the verdict depends on the split; bytes: {data[:300]!r}")
            left = fitting if left is None else left & fitting


class RequestTable(Table):
    """What clients send."""

    @classmethod
    def setUpClass(cls):
        cls.app = RawBackend(respond)
        cls.expect = RawBackend(respond_with_continue)
        cls.addresses = {}

    @classmethod
    def stop_backends(cls):
        cls.app.close()
        cls.expect.close()

    @classmethod
    def configure(cls):
        proxy = Remora(CONFIG.format(app=cls.app.endpoint, expect=cls.expect.endpoint))
        cls.addresses = {name: proxy.address(name) for name in ("in", "small", "untrusted", "expect")}
        fetch(cls.addresses["in"])
        (request,), _ = cls.app.take()
        cls.own_name = request.get("via").split()[-1]
        return proxy

    def run_case(self, case):
        self.start()
        case = with_own_name(case, self.own_name)
        backend = self.expect if case.listener == "expect" else self.app
        backend.take()
        del backend.violations[:]
        self.abandoned = []
        self.settle_on(case, case.send, lambda cuts: self.observe(case, cuts, backend))
        self.fence(case, backend)

    def observe(self, case, cuts, backend):
        """One run: for each outcome of the case, what speaks against it."""
        before = backend.bytes
        with Client(self.addresses[case.listener], PATIENCE) as client:
            client.send_cut(case.send, cuts)
            if case.then == "fin":
                try:
                    client.half_close()
                except OSError:
                    pass
            try:
                responses, closed = self.read(case, client)
            except (Malformed, Truncated, TimedOut) as error:
                return [[f"{type(error).__name__}: {error}; got {bytes(client.source.raw[-300:])!r}"]
                        for _ in case.outcomes]
        complete, incomplete = backend.take()
        self.abandoned += [r.connection for r in incomplete]
        self.half_seen = bool(incomplete)
        count = backend.bytes - before
        return [self.against(outcome, responses, closed)
                + upstream_errors(complete, incomplete, count, outcome.upstream)
                + list(backend.violations) for outcome in case.outcomes]

    def read(self, case, client):
        """The responses as far as any outcome expects some, and whether the connection ended after them."""
        responses = []
        most = max(len(o.replies) for o in case.outcomes)
        while len(responses) < most:
            method = case.methods[len(responses)] if len(responses) < len(case.methods) else "GET"
            response = client.response(method, case.http10)
            if response is None:
                return responses, True
            responses.append(response)
            if response.closed:
                return responses, True
        last = responses[-1].tokens("connection") if responses else []
        if "close" in last or case.then == "fin" or (case.http10 and "keep-alive" not in last):
            extra = client.closed()
            if extra:
                raise Malformed(f"bytes after the last response: {extra[:200]!r}")
            return responses, True
        if client.readable():
            raise Malformed("the connection ended, or more came, after a response that did not say close")
        return responses, False

    def against(self, outcome: Outcome, responses, closed):
        bad = []
        if len(responses) != len(outcome.replies):
            got = [(r.status, r.flag) for r in responses]
            bad.append(f"{len(responses)} responses {got}, expected {len(outcome.replies)}")
        for response, reply in zip(responses, outcome.replies):
            bad += reply_errors(response, reply)
        if outcome.close is not None and closed != outcome.close:
            bad.append(f"connection {'ended' if closed else 'stays open'}, expected the opposite")
        return bad

    def fence(self, case, backend):
        """Nothing of the case arrives late: after it, the upstream sees one plain request and no other."""
        response = fetch(self.addresses[case.listener], "/fence")
        self.assertEqual(200, response.status, f"{case.name}: the request after it{self.died()}")
        complete, incomplete = backend.take()
        self.assertEqual(["/fence"], [r.target for r in complete], f"{case.name}: late requests")
        if all(outcome.upstream != INCOMPLETE for outcome in case.outcomes):
            self.assertEqual([], [r.request.target for r in incomplete], f"{case.name}: late, incomplete")
        self.abandoned += [r.connection for r in incomplete]
        for upstream in self.abandoned:
            self.assertTrue(upstream.gone.wait(PATIENCE),
                            f"{case.name}: an upstream connection with half a request stays open")
        backend.forget_ended()


class ResponseTable(Table):
    """What upstreams answer."""

    @classmethod
    def setUpClass(cls):
        cls.backend = RawBackend()

    @classmethod
    def stop_backends(cls):
        cls.backend.close()

    @classmethod
    def configure(cls):
        proxy = Remora(CONFIG.format(app=cls.backend.endpoint, expect=cls.backend.endpoint))
        cls.address = proxy.address("in")
        return proxy

    def run_case(self, case):
        self.start()
        del self.backend.violations[:]
        self.backend.take()
        self.settle_on(case, case.reply, lambda cuts: self.observe(case, cuts))
        self.backend.forget_ended()

    def script(self, case, cuts, sent):
        again = answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nagain")

        def play(upstream, request):
            if request.target == "/again":
                return again(upstream, request)
            try:
                upstream.body(request)
                if case.reply:
                    upstream.send(case.reply, cuts)
                if case.then in ("keep", "stall"):
                    PEER_QUEUE.settled(upstream.sock)  # so that stray bytes are there before the next request
                return None if case.then == "keep" else finish(upstream, case.then)
            finally:
                sent.set()
        return play

    def observe(self, case, cuts):
        sent = threading.Event()
        self.backend.script = self.script(case, cuts, sent)
        with Client(self.address, PATIENCE) as client:
            client.send(case.request)
            try:
                response = client.response(case.method, case.http10)
                bad = self.after(case, client, response, sent)
            except (Malformed, Truncated, TimedOut) as error:
                return [[f"{type(error).__name__}: {error}; got {bytes(client.source.raw[-300:])!r}"]
                        for _ in case.outcomes]
        bad += self.backend.violations
        self.backend.take()
        return [reply_errors(response, reply) + bad for reply in case.outcomes]

    def after(self, case, client, response, sent):
        """After the response: the connection's state, and that the next request gets its own answer."""
        bad = []
        says_close = response is not None and "close" in response.tokens("connection")
        closed = response is None or response.closed or says_close or case.http10
        if closed:
            extra = client.closed()
            if extra:
                bad.append(f"bytes after the response: {extra[:200]!r}")
        if case.close is not None and closed != case.close:
            bad.append(f"connection {'ended' if closed else 'stays open'}, expected the opposite")
        if not sent.wait(PATIENCE):
            bad.append("the upstream's script did not come to its end")
        if case.then == "keep" or (response is not None and response.complete and response.flag is None):
            bad += self.next_request(case, None if closed else client)
        return bad

    def next_request(self, case, client):
        fresh = client or Client(self.address, PATIENCE)
        try:
            again = fresh.get("/again")
            if again is None or (again.status, again.body) != (200, b"again"):
                return [f"the next request got {again and (again.status, again.flag, again.body[:100])}"]
        finally:
            if client is None:
                fresh.reset()
        if case.reuse is None:
            return []
        with self.backend.changed:
            used = [r.connection for r in self.backend.received]
        if len(used) < 2:
            return [f"the upstream saw {len(used)} of the 2 requests"]
        reused = used[-1] is used[-2]
        used_again = "was used again" if reused else "was not used again"
        return [] if reused == case.reuse else [f"the upstream connection {used_again}"]


def add_tests(table, cases):
    for number, case in enumerate(cases, 1):
        def test(self, case=case):
            self.run_case(case)
        test.__doc__ = None
        name = "".join(c if c.isalnum() else "_" for c in case.name)
        setattr(table, f"test_{number:03d}_{name}", test)


add_tests(RequestTable, REQUEST_CASES)
add_tests(ResponseTable, RESPONSE_CASES)

if __name__ == "__main__":
    main()
