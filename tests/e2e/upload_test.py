"""Request bodies that do not go as planned: early answers, Expect, back-pressure."""

import threading

from harness import OK, PEER_QUEUE, TestCase, connect_to, is_sanitized, main, request_bytes, resident


def push(client, head, limit=400_000_000):
    """Sends until the other side takes no more for a while (or `limit`): how much it took."""
    client.send(head)
    client.sock.setblocking(False)
    piece, sent = b"x" * 262144, 0
    while sent < limit:
        try:
            sent += client.sock.send(piece)
        except BlockingIOError:
            unread = PEER_QUEUE.unread(client.sock)
            PEER_QUEUE.settled(client.sock, 0.5)
            if unread == PEER_QUEUE.unread(client.sock):
                return sent
    return sent


class Uploads(TestCase):
    """Bodies that do not go as planned."""

    def test_a_refused_upload_still_gets_its_answer(self):
        """Lingering close (M 9.6): the 400 survives although the client is still sending."""
        _, address = connect_to(self, self.backend())
        client = self.client(address)
        try:
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nBad Name: x\r\nContent-Length: 4000000\r\n\r\n")
            client.send(b"x" * 4000000)
        except (BrokenPipeError, ConnectionResetError):
            pass
        response = client.response("POST")
        self.assertEqual((400, "DPE", True), (response.status, response.flag, response.complete))

    def test_an_early_final_response_ends_a_large_upload(self):
        """A 413 before the body's end reaches the client at once; the rest is not swallowed."""
        def refuse(upstream, _):
            upstream.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
            upstream.half_close()
            upstream.wait_end()
            return False
        _, address = connect_to(self, self.backend(refuse))
        client = self.client(address)
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 104857600\r\n\r\n" + b"x" * 65536)
        sent, response = 65536, None
        piece = b"x" * 65536
        try:
            while sent < 104857600 and not client.readable():
                client.send(piece)
                sent += len(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass
        response = client.response("POST")
        self.assertEqual((413, b"big", None), (response.status, response.body, response.flag))
        self.assertLess(sent, 104857600, "the whole upload was taken after the final response")
        self.assertEqual(b"", client.closed())

    def test_an_early_response_to_a_short_body_keeps_the_connection_in_step(self):
        """The upstream answers before it reads the body; the client sends it nevertheless, and goes on."""
        def early(upstream, request):
            upstream.send(OK)
            upstream.body(request)
        _, address = connect_to(self, self.backend(early))
        client = self.client(address)
        client.send(b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe")
        self.assertEqual(200, client.response("POST").status)
        try:
            client.send(b"llo" + request_bytes("GET", "/2"))
        except (BrokenPipeError, ConnectionResetError):
            return  # closing after an early response is allowed
        second = client.response()
        if second is not None:  # the next answer or an end, never body bytes taken for a request
            self.assertEqual(200, second.status)

    def test_a_request_body_streams(self):
        """The upstream has the first part before the client sends the second."""
        first = threading.Event()

        def script(upstream, request):
            self.assertEqual(b"first", upstream.source.exactly(5))
            first.set()
            self.assertEqual(b"second", upstream.source.exactly(6))
            upstream.send(OK)
        _, address = connect_to(self, self.backend(script))
        client = self.client(address)
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nfirst")
        self.assertTrue(first.wait(10), "the body waits for its end")
        client.send(b"second")
        self.assertEqual(200, client.response("POST").status)

    def test_expect_waits_for_the_upstreams_100(self):
        head_seen = threading.Event()

        def script(upstream, request):
            self.assertEqual("100-continue", request.get("expect"))
            head_seen.set()
            upstream.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            upstream.body(request)
            upstream.send(OK)
        backend = self.backend(script)
        _, address = connect_to(self, backend)
        client = self.client(address)
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        self.assertTrue(head_seen.wait(10), "the head did not travel ahead of the body")
        while b"\r\n\r\n" not in client.source.buffer:
            self.assertTrue(client.source.fill())
        self.assertTrue(client.source.buffer.startswith(b"HTTP/1.1 100"), client.source.buffer)
        client.send(b"abc")
        response = client.response("POST")
        self.assertEqual((200, [100]), (response.status, [i.status for i in response.interim]))
        self.assertEqual([b"abc"], [r.body for r in backend.complete()])

    def test_expect_answered_by_401_without_the_body(self):
        def script(upstream, _):
            upstream.send(b"HTTP/1.1 401 No\r\nContent-Length: 0\r\nWWW-Authenticate: Basic\r\n\r\n")
            upstream.wait_end()
            return False
        backend = self.backend(script)
        _, address = connect_to(self, backend)
        client = self.client(address)
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        response = client.response("POST")
        self.assertEqual((401, [], None), (response.status, response.interim, response.flag))
        self.assertEqual([], backend.complete())

    def test_expect_with_an_upstream_of_http_1_0(self):
        def script(upstream, request):
            upstream.body(request)
            upstream.send(b"HTTP/1.0 200 OK\r\n\r\nold")
            return False
        _, address = connect_to(self, self.backend(script))
        client = self.client(address)
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        client.send(b"abc")  # a client does not wait forever (S 10.1.1)
        response = client.response("POST")
        self.assertEqual((200, b"old", True), (response.status, response.body, response.complete))

    def test_an_upload_is_bounded_while_the_upstream_does_not_read(self):
        """Back-pressure: the client blocks; Remora's memory stays small."""
        stop = threading.Event()

        def script(upstream, _):
            stop.wait(30)
            return False
        proxy, address = connect_to(self, self.backend(script))
        before = resident(proxy)
        client = self.client(address)
        sent = push(client, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n")
        stop.set()
        self.assertLess(sent, 100_000_000)
        self.assertLess(resident(proxy) - before, (8 << 20) if not is_sanitized() else (256 << 20),
                        "memory grows with what the upstream does not take")


if __name__ == "__main__":
    main()
