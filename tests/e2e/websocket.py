"""A minimal WebSocket (RFC 6455): enough of both roles to prove that a proxy leaves the frames alone."""

import base64
import hashlib
import os
import struct

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA


def accept_key(key):
    return base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()


def encode_frame(opcode, payload, masked):
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", 0x80 | opcode, size | (0x80 if masked else 0))
    elif size < 65536:
        head = struct.pack("!BBH", 0x80 | opcode, 126 | (0x80 if masked else 0), size)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 127 | (0x80 if masked else 0), size)
    if not masked:
        return head + payload
    mask = os.urandom(4)
    return head + mask + apply_mask(payload, mask)


def apply_mask(payload, mask):
    repeated = (mask * (len(payload) // 4 + 1))[:len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")).to_bytes(len(payload), "big")


def read_frame(source, expect_masked):
    """(opcode, payload) of the next frame from a ByteSource."""
    first, second = source.exactly(2)
    assert first & 0xF0 == 0x80, f"frame byte {first:#x}: fragments and extensions are not used here"
    assert bool(second & 0x80) == expect_masked, "masking is wrong for this direction"
    size = second & 0x7F
    if size == 126:
        size, = struct.unpack("!H", source.exactly(2))
    elif size == 127:
        size, = struct.unpack("!Q", source.exactly(8))
    mask = source.exactly(4) if expect_masked else None
    payload = source.exactly(size)
    return first & 0x0F, apply_mask(payload, mask) if mask else payload


def serve_echo(upstream, request, greeting=b""):
    """A backend script: accepts the handshake (the greeting glued to the 101), echoes until a close frame."""
    switch = (f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
              f"Sec-WebSocket-Accept: {accept_key(request.get('sec-websocket-key'))}\r\n\r\n").encode()
    upstream.send(switch + (encode_frame(TEXT, greeting, masked=False) if greeting else b""))
    while True:
        opcode, payload = read_frame(upstream.source, expect_masked=True)
        if opcode == PING:
            upstream.send(encode_frame(PONG, payload, masked=False))
        elif opcode == CLOSE:
            upstream.send(encode_frame(CLOSE, payload, masked=False))
            return False
        else:
            upstream.send(encode_frame(opcode, payload, masked=False))


class WebSocketClient:
    """On top of a harness Client."""

    def __init__(self, client, path="/", first_frame=b""):
        self.client = client
        key = base64.b64encode(os.urandom(16)).decode()
        client.send((f"GET {path} HTTP/1.1\r\nHost: ws.test\r\nUpgrade: websocket\r\n"
                     f"Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
                     f"Sec-WebSocket-Version: 13\r\n\r\n").encode() + first_frame)
        self.handshake = client.response()
        assert self.handshake.status == 101, self.handshake
        assert self.handshake.get("sec-websocket-accept") == accept_key(key), "not the answer to this key"

    def send(self, opcode, payload):
        self.client.send(encode_frame(opcode, payload, masked=True))

    def receive(self):
        return read_frame(self.client.source, expect_masked=False)

    def close(self):
        """The closing handshake; returns the code that came back."""
        self.send(CLOSE, struct.pack("!H", 1000))
        opcode, payload = self.receive()
        assert opcode == CLOSE, opcode
        return struct.unpack("!H", payload)[0]
