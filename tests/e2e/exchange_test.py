"""What a table of bytes cannot say: exchanges in which order and time matter.

Every "before" and "after" is an event (bytes seen by one side, a connection's end), never a pause.
"""

import threading

from harness import (Client, OK, PEER_QUEUE, TestCase, answer, connect_to, eventually, fetch, is_sanitized,
                     main, request_bytes, resident)

SLOW = 'timeouts = { header = "300ms", body_idle = "300ms", keep_alive = "300ms" }'


class Responses(TestCase):
    """What the upstream does with time."""

    def test_a_response_streams(self):
        """Each piece of an event stream is with the client before the upstream sends the next; a 103 too."""
        seen = [threading.Event() for _ in range(3)]

        def script(upstream, request):
            upstream.body(request)
            upstream.send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
            seen[0].wait(10)
            upstream.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\ndata: 1\r\n")
            seen[1].wait(10)
            upstream.send(b"7\r\ndata: 2\r\n")
            seen[2].wait(10)
            upstream.send(b"0\r\n\r\n")
        _, address = connect_to(self, self.backend(script))
        client = self.client(address)
        client.send(request_bytes("GET", "/"))
        for event, text in zip(seen, (b"</x>\r\n", b"data: 1", b"data: 2")):
            while text not in client.source.raw:
                self.assertTrue(client.source.fill(), f"never saw {text!r}")
            event.set()
        response = client.response()
        self.assertEqual((200, b"data: 1data: 2", [103]),
                         (response.status, response.body, [i.status for i in response.interim]))

    def test_a_download_is_bounded_while_the_client_does_not_read(self):
        taken = []
        done = threading.Event()

        def script(upstream, request):
            upstream.body(request)
            upstream.sock.settimeout(1)
            total = 0
            try:
                upstream.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
                while total < 400_000_000:
                    total += upstream.sock.send(b"x" * 262144)
            except TimeoutError:
                pass
            taken.append(total)
            done.set()
            return False
        proxy, address = connect_to(self, self.backend(script))
        before = resident(proxy)
        client = self.client(address)
        client.send(request_bytes("GET", "/"))
        self.assertTrue(done.wait(30))
        self.assertLess(taken[0], 100_000_000)
        self.assertLess(resident(proxy) - before, (8 << 20) if not is_sanitized() else (256 << 20),
                        "memory grows with what the client does not take")

    def test_the_request_timeout_before_the_head(self):
        backend = self.backend(answer(b"", then="stall"))
        proxy, address = connect_to(self, backend, route='timeout = "300ms"')
        response = fetch(address)
        self.assertEqual((504, "UT"), (response.status, response.flag))
        self.assertTrue(backend.connections[0].gone.wait(10), "the upstream connection stays")
        proxy.access.wait("UT")

    def test_a_response_body_that_stalls_longer_than_body_idle(self):
        data = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nok"
        _, address = connect_to(self, self.backend(answer(data, then="stall")), listener=SLOW)
        response = fetch(address)
        self.assertEqual((200, b"ok", False), (response.status, response.body, response.complete))

    def test_pipelined_answers_stay_in_order_when_the_first_is_late(self):
        go_on = threading.Event()

        def script(upstream, request):
            upstream.body(request)
            if request.target == "/1":
                go_on.wait(10)
            upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + request.target.encode())
        backend = self.backend(script)
        _, address = connect_to(self, backend)
        client = self.client(address)
        client.send(b"".join(request_bytes("GET", f"/{i}") for i in range(1, 4)))
        backend.wait(lambda: backend.received, "the first request")
        self.assertFalse(client.readable())
        go_on.set()
        self.assertEqual([b"/1", b"/2", b"/3"], [client.response().body for _ in range(3)])


class Clients(TestCase):
    """Clients that are slow, or leave."""

    def test_a_client_that_half_closes_gets_its_response(self):
        go_on = threading.Event()

        def script(upstream, request):
            upstream.body(request)
            go_on.wait(10)
            upstream.send(OK)
        backend = self.backend(script)
        _, address = connect_to(self, backend)
        client = self.client(address)
        client.send(request_bytes("GET", "/"))
        client.half_close()
        backend.wait(lambda: backend.complete(), "the request")
        PEER_QUEUE.settled(client.sock)
        go_on.set()
        self.assertEqual(200, client.response().status)
        self.assertEqual(b"", client.closed())

    def test_a_client_that_leaves_cancels_its_upstream(self):
        backend = self.backend(answer(b"", then="stall"))
        proxy, address = connect_to(self, backend)
        client = Client(address)
        client.send(request_bytes("GET", "/"))
        backend.wait(lambda: backend.complete(), "the request")
        client.reset()
        self.assertTrue(backend.connections[0].gone.wait(10), "the upstream goes on working for nobody")
        proxy.access.wait(r"\bDC\b")

    def test_a_client_that_leaves_inside_its_body(self):
        backend = self.backend()
        proxy, address = connect_to(self, backend)
        client = Client(address)
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
        backend.wait(lambda: backend.received, "the head")
        client.reset()
        self.assertTrue(backend.connections[0].gone.wait(10), "the upstream waits for the rest for ever")
        self.assertEqual([], backend.complete())
        proxy.access.wait(r"\bDC\b")

    def test_a_client_that_leaves_inside_the_response(self):
        data = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nok"
        backend = self.backend(answer(data, then="stall"))
        proxy, address = connect_to(self, backend)
        client = Client(address)
        client.send(request_bytes("GET", "/"))
        while not client.source.raw.endswith(b"ok"):
            self.assertTrue(client.source.fill())
        client.reset()
        self.assertTrue(backend.connections[0].gone.wait(10), "the upstream goes on working for nobody")
        proxy.access.wait(r"\bDC\b")

    def test_a_slow_head(self):
        backend = self.backend()
        _, address = connect_to(self, backend, listener=SLOW)
        client = self.client(address)
        client.send(b"GET / HTTP/1.1\r\nHo")
        response = client.response()
        self.assertEqual((408, "DT"), (response.status, response.flag))
        self.assertEqual(b"", client.closed())
        self.assertEqual([], backend.received)

    def test_a_slow_head_of_the_second_request(self):
        _, address = connect_to(self, self.backend(), listener=SLOW)
        client = self.client(address)
        self.assertEqual(200, client.get("/").status)
        client.send(b"G")
        response = client.response()
        self.assertEqual((408, "DT"), (response.status, response.flag))

    def test_a_head_that_dribbles_does_not_buy_time(self):
        """The header timeout runs from the first byte, whatever keeps coming."""
        _, address = connect_to(self, self.backend(), listener=SLOW)
        client = self.client(address)
        client.send(b"GET / HTTP/1.1\r\nX: ")
        for _ in range(200):
            if client.readable(0.05):
                break
            try:
                client.send(b"x")
            except (BrokenPipeError, ConnectionResetError):
                break
        else:
            self.fail("no 408 after 10 s of dribbling")
        self.assertEqual(408, client.response().status)

    def test_a_slow_body(self):
        backend = self.backend()
        _, address = connect_to(self, backend, listener=SLOW)
        client = self.client(address)
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
        response = client.response("POST")
        self.assertEqual((408, "DT"), (response.status, response.flag))
        self.assertEqual(b"", client.closed())
        self.assertEqual([], backend.complete())
        eventually(lambda: all(c.gone.wait(1) for c in backend.connections),
                   "the upstream connection is given up")

    def test_an_idle_connection_expires_silently(self):
        _, address = connect_to(self, self.backend(), listener=SLOW)
        used = self.client(address)
        self.assertEqual(200, used.get("/").status)
        self.assertEqual(b"", used.closed(), "no 408 for an idle connection")

    def test_a_connection_that_never_says_anything_ends(self):
        _, address = connect_to(self, self.backend(), listener=SLOW)
        self.assertIn(self.client(address).closed()[:12], (b"", b"HTTP/1.1 408"))

    def test_the_connection_limit(self):
        """Over the limit: no service; it is free again when one leaves."""
        _, address = connect_to(self, self.backend(), listener="limits = { connections = 2 }")
        held = [Client(address), Client(address)]
        for client in held:
            self.assertEqual(200, client.get("/").status)
        third = self.client(address)
        third.sock.settimeout(0.3)
        third.source.deadline = 0.3
        try:
            third.send(request_bytes("GET", "/"))
            response = third.response()
            self.assertTrue(response is None or response.status == 503, response)
        except Exception as error:  # noqa: BLE001  (waiting in the backlog is as good)
            self.assertIn(type(error).__name__, ("TimedOut", "BrokenPipeError", "ConnectionResetError"))
        for client in held:
            client.reset()

        def served():
            try:
                return fetch(address).status == 200
            except (OSError, AttributeError):
                return False
        eventually(served, "service after a connection ended")


class Traces(TestCase):
    def test_trace_answered_here_hides_secrets(self):
        backend = self.backend()
        _, address = connect_to(self, backend)
        response = fetch(address, "/t?a=b", method="TRACE", headers=[
            ("Max-Forwards", "0"), ("Authorization", "Basic c2VjcmV0"), ("Cookie", "a=secret"),
            ("Proxy-Authorization", "secret"),
            ("X-Seen", "yes")])
        self.assertEqual(200, response.status)
        self.assertEqual("message/http", response.get("content-type"))
        self.assertTrue(response.body.startswith(b"TRACE /t?a=b HTTP/1.1\r\n"), response.body)
        self.assertIn(b"X-Seen: yes", response.body)
        for secret in (b"secret", b"c2VjcmV0", b"Authorization", b"Cookie"):
            self.assertNotIn(secret, response.body)
        self.assertEqual([], backend.received)


if __name__ == "__main__":
    main()
