"""Connections to endpoints: dialling, reuse, death; and tunnels after 101."""

import os
import threading

from harness import (Blackhole, Client, OK, TestCase, connect_to, fetch, main, refused_address, request_bytes,
                     simple_config)


class Upstreams(TestCase):
    """Connections to endpoints: dialling, reuse, death."""

    def test_refused(self):
        sock, address = refused_address()
        self.addCleanup(sock.close)
        proxy = self.remora(simple_config([f"127.0.0.1:{address[1]}"]))
        response = fetch(proxy.address("in"))
        self.assertEqual((502, "UF"), (response.status, response.flag))
        proxy.access.wait(r"\bUF\b")

    def test_a_missing_unix_socket(self):
        proxy = self.remora(simple_config([f"unix:{self.directory()}/none.sock"]))
        response = fetch(proxy.address("in"))
        self.assertEqual((502, "UF"), (response.status, response.flag))

    def test_the_connect_timeout(self):
        hole = Blackhole()
        self.addCleanup(hole.close)
        proxy = self.remora(simple_config([hole.endpoint], cluster='timeouts = { connect = "300ms" }'))
        response = fetch(proxy.address("in"))
        self.assertEqual((504, "UF"), (response.status, response.flag))

    def test_no_route(self):
        proxy = self.remora(simple_config([self.backend().endpoint], route='prefix = "/only"'))
        response = fetch(proxy.address("in"), "/other")
        self.assertEqual((404, "NR"), (response.status, response.flag))
        self.assertEqual("text/plain", response.get("content-type").split(";")[0])
        self.assertEqual("length", response.framing)
        self.assertTrue(response.body.strip(), "a local reply says why")
        head = fetch(proxy.address("in"), "/other", method="HEAD")
        self.assertEqual((404, b""), (head.status, head.body))

    def test_a_local_reply_keeps_the_connection(self):
        proxy = self.remora(simple_config([self.backend().endpoint], route='prefix = "/only"'))
        client = self.client(proxy.address("in"))
        self.assertEqual([404, 200, 404, 200],
                         [client.get(p).status for p in ("/a", "/only", "/b", "/only/c")])

    def test_a_pooled_connection_found_dead_is_replaced_once(self):
        """The upstream drops a connection's second request unanswered: a GET is sent again, on a new one."""
        def script(upstream, request):
            upstream.body(request)
            if upstream.requests == 2:
                upstream.reset()
                return False
            upstream.send(OK)
        backend = self.backend(script)
        proxy, address = connect_to(self, backend)
        client = self.client(address)
        self.assertEqual(200, client.get("/1").status)
        self.assertEqual(200, client.get("/2").status)
        self.assertEqual(["/1", "/2", "/2"], [r.target for r in backend.complete()])
        self.assertEqual(2, backend.accepted)
        ids = [r.get("x-request-id") for r in backend.complete()]
        self.assertEqual(ids[1], ids[2], "the request id survives the retry")
        proxy.access.wait(r" 200 .*/2|/2.* 200 ")

    def test_a_post_on_a_dead_pooled_connection_is_not_sent_twice(self):
        def script(upstream, request):
            upstream.body(request)
            if upstream.requests == 2:
                upstream.reset()
                return False
            upstream.send(OK)
        backend = self.backend(script)
        _, address = connect_to(self, backend)
        client = self.client(address)
        self.assertEqual(200, client.get("/1").status)
        client.send(request_bytes("POST", "/2", body=b"abc"))
        response = client.response("POST")
        self.assertEqual((502, "UC"), (response.status, response.flag))
        self.assertEqual(["/1", "/2"], [r.target for r in backend.complete()])

    def test_only_one_transparent_retry(self):
        """When the fresh connection dies too, the client hears of it."""
        def script(upstream, request):
            upstream.body(request)
            if request.target == "/dead":
                upstream.reset()
                return False
            upstream.send(OK)
        backend = self.backend(script)
        _, address = connect_to(self, backend, cluster="retry = { attempts = 1 }")
        client = self.client(address)
        self.assertEqual(200, client.get("/1").status)
        response = client.get("/dead")
        self.assertEqual((502, "UC"), (response.status, response.flag))
        self.assertLessEqual(len([r for r in backend.complete() if r.target == "/dead"]), 2)

    def test_a_pooled_connection_that_the_upstream_closed_while_idle(self):
        closed = threading.Event()

        def script(upstream, request):
            upstream.body(request)
            upstream.send(OK)
            if request.target == "/1":
                upstream.half_close()
                upstream.wait_end()  # Remora has seen it and closed its side
                closed.set()
                return False
            return None
        backend = self.backend(script)
        _, address = connect_to(self, backend)
        client = self.client(address)
        self.assertEqual(200, client.get("/1").status)
        self.assertTrue(closed.wait(10), "a connection that the upstream closed stays in the pool")
        client.send(request_bytes("POST", "/2", body=b"abc"))
        self.assertEqual(200, client.response("POST").status)
        self.assertEqual(["/1", "/2"], [r.target for r in backend.complete()])

    def test_bytes_on_an_idle_upstream_connection_close_it(self):
        """They are nobody's response."""
        ended = threading.Event()
        go_on = threading.Event()

        def script(upstream, request):
            upstream.body(request)
            upstream.send(OK)
            if request.target == "/1":
                go_on.wait(10)
                upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
                upstream.wait_end()
                ended.set()
                return False
            return None
        _, address = connect_to(self, self.backend(script))
        client = self.client(address)
        self.assertEqual(200, client.get("/1").status)
        go_on.set()
        self.assertTrue(ended.wait(10), "the connection stays open")
        self.assertEqual(b"ok", client.get("/2").body)

    def test_upstream_connections_are_used_again_last_in_first_out(self):
        both = threading.Barrier(2)

        def script(upstream, request):
            upstream.body(request)
            if request.target == "/together":
                both.wait(10)
            upstream.send(OK)
        backend = self.backend(script)
        _, address = connect_to(self, backend)
        clients = [self.client(address), self.client(address)]
        for client in clients:
            client.send(request_bytes("GET", "/together"))
        for client in clients:
            self.assertEqual(200, client.response().status)
        for _ in range(5):
            self.assertEqual(200, clients[0].get("/one").status)
        ones = {r.connection.number for r in backend.received if r.request.target == "/one"}
        self.assertEqual((2, 1), (backend.accepted, len(ones)), "one idle connection serves them all")

    def test_an_idle_upstream_connection_expires(self):
        backend = self.backend()
        _, address = connect_to(self, backend, cluster='timeouts = { idle = "300ms" }')
        self.assertEqual(200, fetch(address).status)
        self.assertTrue(backend.connections[0].gone.wait(10))
        self.assertEqual(200, fetch(address).status)

    def test_an_upstream_that_cannot_be_reused_after_an_unfinished_body(self):
        """Final response, body still coming, client gone: that connection is not for anybody else."""
        def script(upstream, request):
            upstream.send(OK)
            try:
                upstream.body(request)
            finally:
                upstream.wait_end()
            return False
        backend = self.backend(script)
        _, address = connect_to(self, backend)
        client = Client(address)
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
        self.assertEqual(200, client.response("POST").status)
        client.reset()
        self.assertTrue(backend.connections[0].gone.wait(10))

    def test_a_loop_through_itself_is_found(self):
        path = os.path.join(self.directory(), "self.sock")
        proxy = self.remora(f"""
[admin]
address = "127.0.0.1:0"
[[listener]]
name = "in"
address = "127.0.0.1:0"
[[listener.route]]
cluster = "self"
[[listener]]
name = "self"
address = "unix:{path}"
[[listener.route]]
cluster = "self"
[[cluster]]
name = "self"
endpoints = ["unix:{path}"]
""")
        response = fetch(proxy.address("in"))
        self.assertEqual(508, response.status)


class Tunnels(TestCase):
    """After 101 the bytes are a tunnel; a FIN passes through."""

    UPGRADE = b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
    SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"

    def test_bytes_glued_to_both_heads_belong_to_the_tunnel(self):
        def script(upstream, request):
            upstream.send(self.SWITCH + b"hello")
            self.assertEqual(b"early", upstream.source.exactly(5))
            upstream.send(b"got early")
            upstream.wait_end()
            return False
        _, address = connect_to(self, self.backend(script))
        client = self.client(address)
        client.send(self.UPGRADE + b"early")
        response = client.response()
        self.assertEqual((101, "echo"), (response.status, response.get("upgrade")))
        self.assertIn("upgrade", response.tokens("connection"))
        self.assertEqual(b"hellogot early", client.source.exactly(14))

    def test_the_client_half_closes_first(self):
        def script(upstream, request):
            upstream.send(self.SWITCH)
            data = upstream.source.rest()  # until the client's FIN
            upstream.send(b"you said " + data)
            return False
        _, address = connect_to(self, self.backend(script))
        client = self.client(address)
        client.send(self.UPGRADE)
        self.assertEqual(101, client.response().status)
        client.send(b"bye")
        client.half_close()
        self.assertEqual(b"you said bye", client.closed())

    def test_the_upstream_half_closes_first(self):
        said = []
        done = threading.Event()

        def script(upstream, request):
            upstream.send(self.SWITCH + b"last words")
            upstream.half_close()
            said.append(upstream.source.rest())
            done.set()
            return False
        _, address = connect_to(self, self.backend(script))
        client = self.client(address)
        client.send(self.UPGRADE)
        self.assertEqual(101, client.response().status)
        self.assertEqual(b"last words", client.closed())
        client.send(b"and mine")
        client.half_close()
        self.assertTrue(done.wait(10))
        self.assertEqual([b"and mine"], said)

    def test_a_reset_passes_through(self):
        def script(upstream, request):
            upstream.send(self.SWITCH)
            upstream.source.exactly(2)
            upstream.reset()
            return False
        _, address = connect_to(self, self.backend(script))
        client = self.client(address)
        client.send(self.UPGRADE)
        self.assertEqual(101, client.response().status)
        client.send(b"go")
        self.assertEqual(b"", client.closed())

    def test_a_tunnel_that_is_silent_for_too_long_ends(self):
        def script(upstream, request):
            upstream.send(self.SWITCH)
            upstream.wait_end()
            return False
        backend = self.backend(script)
        _, address = connect_to(self, backend, listener='timeouts = { tunnel_idle = "300ms" }')
        client = self.client(address)
        client.send(self.UPGRADE)
        self.assertEqual(101, client.response().status)
        self.assertEqual(b"", client.closed())
        self.assertTrue(backend.connections[0].gone.wait(10))

    def test_a_tunnel_carries_megabytes_both_ways(self):
        size = 8 << 20

        def script(upstream, request):
            upstream.send(self.SWITCH)
            left = size
            while left:
                if not upstream.source.buffer:
                    upstream.source.fill()
                    upstream.source.raw.clear()
                piece, upstream.source.buffer = upstream.source.buffer, b""
                upstream.sock.sendall(piece)
                left -= len(piece)
            return False
        _, address = connect_to(self, self.backend(script))
        client = self.client(address)
        client.send(self.UPGRADE)
        self.assertEqual(101, client.response().status)
        data = os.urandom(1 << 20) * 8
        sender = threading.Thread(target=client.sock.sendall, args=(data,), daemon=True)
        sender.start()
        self.assertTrue(data == client.source.exactly(size))
        sender.join(10)


if __name__ == "__main__":
    main()
