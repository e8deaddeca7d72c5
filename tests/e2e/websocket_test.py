"""WebSocket conversations through the proxy."""

import os

from harness import TestCase, answer, fetch, main, simple_config
from websocket import BINARY, PING, PONG, TEXT, WebSocketClient, encode_frame, serve_echo


class WebSockets(TestCase):
    def test_a_conversation(self):
        def script(upstream, request):
            self.assertEqual("websocket", request.get("upgrade"))
            return serve_echo(upstream, request, greeting=b"welcome")
        backend = self.backend(script)
        proxy = self.remora(simple_config([backend.endpoint]))
        client = self.client(proxy.address("in"))
        glued = encode_frame(TEXT, b"glued to the request", masked=True)
        chat = WebSocketClient(client, "/chat", first_frame=glued)
        self.assertEqual((TEXT, b"welcome"), chat.receive())
        self.assertEqual((TEXT, b"glued to the request"), chat.receive())
        chat.send(TEXT, "grüße".encode())
        self.assertEqual((TEXT, "grüße".encode()), chat.receive())
        chat.send(PING, b"are you there")
        self.assertEqual((PONG, b"are you there"), chat.receive())
        data = os.urandom(300_000)
        chat.send(BINARY, data)
        self.assertEqual((BINARY, data), chat.receive())
        self.assertEqual(1000, chat.close())
        self.assertEqual(b"", client.closed())
        client.half_close()
        line = proxy.access.wait(r"^.*/chat.*$")[0]
        self.assertIn(" 101 ", line)

    def test_ordinary_requests_go_on_beside_a_tunnel(self):
        def script(upstream, request):
            if request.get("upgrade"):
                return serve_echo(upstream, request)
            return answer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")(upstream, request)
        proxy = self.remora(simple_config([self.backend(script).endpoint]))
        chat = WebSocketClient(self.client(proxy.address("in")))
        for _ in range(10):
            self.assertEqual(200, fetch(proxy.address("in")).status)
        chat.send(TEXT, b"still here")
        self.assertEqual((TEXT, b"still here"), chat.receive())


if __name__ == "__main__":
    main()
