#!/usr/bin/env python3
"""TCP listeners: Redis and PostgreSQL through the real binary, and every way in which a connection can end.

Long because each of these ways takes both of its ends by hand.
"""

import hashlib
import os
import pathlib
import resource
import select
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time

import harness
from certificates import Authority, client_context
from harness import DEADLINE, Client, eventually, metric_sum, refused_address, show_address
from tcp_backends import PostgreSQL, Redis, TcpBackend

BIG = 64 << 20


def tcp_config(endpoints, listener="", cluster="", workers=1):
    listed = ", ".join(f'"{endpoint}"' for endpoint in endpoints)
    return f"""
[admin]
address = "127.0.0.1:0"
[runtime]
workers = {workers}
[log.access]
format = "json"
[[listener]]
name = "in"
address = "127.0.0.1:0"
protocol = "tcp"
cluster = "db"
{listener}
[[cluster]]
name = "db"
endpoints = [{listed}]
{cluster}
"""


def echo(sock):
    while data := sock.recv(65536):
        sock.sendall(data)


def read(sock, size):
    """So many bytes, or those until the end."""
    data = b""
    while len(data) < size and (more := sock.recv(size - len(data))):
        data += more
    return data


class TcpTestCase(harness.TestCase):
    def serve(self, script):
        backend = TcpBackend(script)
        self.addCleanup(backend.close)
        return backend

    def through(self, endpoints, **config):
        proxy = self.remora(tcp_config(endpoints, **config))
        return proxy, proxy.address("in")

    def run_client(self, *command, **options):
        done = subprocess.run(command, capture_output=True, timeout=6 * DEADLINE, **options)
        self.assertEqual((0, b""), (done.returncode, done.stderr))
        return done.stdout

    def assert_reset(self, client):
        with self.assertRaises(ConnectionResetError):
            while client.sock.recv(65536):
                pass
            self.fail("closed as if that were all")


class ServersTest(TcpTestCase):
    def test_redis(self):
        redis = Redis()
        self.addCleanup(redis.close)
        proxy, (host, port) = self.through([redis.endpoint], workers=2)

        def cli(*words, **options):
            return self.run_client("redis-cli", "-h", host, "-p", str(port), *words, **options)
        self.assertEqual(b"PONG\n", cli("PING"))
        value = os.urandom(1 << 20)
        self.assertEqual(b"OK\n", cli("-x", "SET", "big", input=value))
        self.assertEqual(value + b"\n", cli("GET", "big"))
        commands = b"".join(b"SET key%d %d\r\n" % (i, i) for i in range(5000))
        self.assertIn(b"replies: 5000", cli("--pipe", input=commands))
        self.assertEqual(b"4999\n", cli("GET", "key4999"))
        proxy.access.wait(r'"method":"".*"flag":"-".*"bytes_in":1048\d\d\d,.*"cluster":"db"')
        self.assertLessEqual(5, metric_sum(proxy.metrics(), "remora_requests_total", listener="in", code="2xx"))

    def test_postgresql(self):
        database = PostgreSQL()
        self.addCleanup(database.close)
        _, (host, port) = self.through([database.endpoint])
        base = f"host={host} port={port} user=remora dbname=postgres connect_timeout={int(DEADLINE)}"

        def psql(sql, **options):
            return self.run_client("psql", "-XAtqd", base, "-v", "ON_ERROR_STOP=1", "-c", sql, **options)
        self.assertEqual(b"42\n", psql("select 6 * 7"))
        self.assertEqual(b"x" * (1 << 20) + b"\n", psql("select repeat('x', 1048576)"))
        psql("create table t (n int)")
        psql("copy t from stdin", input=b"".join(b"%d\n" % i for i in range(20_000)))
        self.assertEqual(b"20000|199990000\n", psql("select count(*), sum(n) from t"))


class EndsTest(TcpTestCase):
    def test_each_direction_ends_by_itself(self):
        def answer_at_the_end(sock):
            digest = hashlib.sha256()
            while data := sock.recv(65536):
                digest.update(data)
            sock.sendall(digest.digest())
        _, address = self.through([self.serve(answer_at_the_end).endpoint])
        client = self.client(address)
        data = os.urandom(100_000)
        client.send(data)
        client.half_close()
        self.assertEqual(hashlib.sha256(data).digest(), client.closed())

        said = []
        done = threading.Event()

        def end_first(sock):
            sock.sendall(b"I am done")
            sock.shutdown(socket.SHUT_WR)
            said.append(read(sock, 100))
            done.set()
        _, address = self.through([self.serve(end_first).endpoint])
        client = self.client(address)
        self.assertEqual(b"I am done", client.closed())
        client.send(b"and so am I")
        client.half_close()
        self.assertTrue(done.wait(DEADLINE))
        self.assertEqual([b"and so am I"], said)

    def test_megabytes_go_both_ways_at_once(self):
        block = os.urandom(1 << 20)
        received = []

        def send_and_receive(sock):
            left = []
            reader = threading.Thread(target=lambda: left.append(self.read_all(sock)))
            reader.start()
            for _ in range(BIG // len(block)):
                sock.sendall(block)
            sock.shutdown(socket.SHUT_WR)
            reader.join()
            received.extend(left)
        backend = self.serve(send_and_receive)
        proxy, address = self.through([backend.endpoint])
        client = self.client(address)
        got = []
        reader = threading.Thread(target=lambda: got.append(self.read_all(client.sock)))
        reader.start()
        client.sock.settimeout(6 * DEADLINE)
        for _ in range(BIG // len(block)):
            client.sock.sendall(block)
        client.half_close()
        reader.join(6 * DEADLINE)
        proxy.access.wait(rf'"bytes_in":{BIG},"bytes_out":{BIG},')
        expected = hashlib.sha256(block * (BIG // len(block))).digest()
        self.assertEqual([expected], got)
        eventually(lambda: received, "the backend has read all")
        self.assertEqual([expected], received)
        samples = proxy.metrics()
        self.assertGreater(metric_sum(samples, "remora_spliced_bytes_total", listener="in"), BIG)
        self.assertEqual(2 * BIG, metric_sum(samples, "remora_received_bytes_total", listener="in") +
                         metric_sum(samples, "remora_sent_bytes_total", listener="in"))

    @staticmethod
    def read_all(sock):
        sock.settimeout(6 * DEADLINE)
        digest = hashlib.sha256()
        while data := sock.recv(1 << 18):
            digest.update(data)
        return digest.digest()

    def test_a_reset_in_the_middle_passes_through_both_ways(self):
        gone = threading.Event()

        def reset_when_told(sock):
            sock.sendall(b"half of")
            if sock.recv(1) == b"r":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            try:
                sock.recv(1)
            except ConnectionResetError:
                gone.set()
        proxy, address = self.through([self.serve(reset_when_told).endpoint])
        client = self.client(address)
        self.assertEqual(b"half of", client.source.exactly(7))
        client.send(b"r")
        self.assert_reset(client)
        proxy.access.wait('"flag":"UC"')
        client = self.client(address)
        self.assertEqual(b"half of", client.source.exactly(7))
        client.send(b"x")
        client.reset()
        self.assertTrue(gone.wait(DEADLINE))
        proxy.access.wait('"flag":"DC"')

    def test_silence_ends_it(self):
        proxy, address = self.through([self.serve(echo).endpoint], listener='timeouts = { tunnel_idle = "300ms" }')
        client = self.client(address)
        client.send(b"ping")
        self.assertEqual(b"ping", client.source.exactly(4))
        self.assert_reset(client)
        proxy.access.wait('"flag":"DT".*"bytes_in":4,"bytes_out":4')

    def test_a_connect_that_fails_is_tried_elsewhere(self):
        held, nobody = refused_address()
        self.addCleanup(held.close)
        proxy, address = self.through([show_address(nobody), self.serve(echo).endpoint],
                                      cluster="[cluster.breaker]\nenabled = false")
        for _ in range(4):
            client = self.client(address)
            client.send(b"still served")
            self.assertEqual(b"still served", client.source.exactly(12))
            client.half_close()
            self.assertEqual(b"", client.closed())
        proxy.access.wait('"flag":"UR".*"attempts":2', count=2)
        self.assertEqual(0, metric_sum(proxy.metrics(), "remora_local_replies_total", flag="UF"))

    def test_when_nobody_can_be_reached_the_client_is_reset(self):
        held, nobody = refused_address()
        self.addCleanup(held.close)
        proxy, address = self.through([show_address(nobody)])
        client = self.client(address)
        client.send(b"hello?")
        self.assert_reset(client)
        line = proxy.access.wait('.*"flag":"UF".*')[0]
        self.assertIn('"status":0', line)
        self.assertEqual(1, metric_sum(proxy.metrics(), "remora_local_replies_total", listener="in", flag="UF"))

    def test_a_drain_lets_connections_end_by_themselves(self):
        proxy, address = self.through([self.serve(echo).endpoint])
        client = self.client(address)
        client.send(b"one")
        self.assertEqual(b"one", client.source.exactly(3))
        proxy.signal(15)
        proxy.log.wait("draining")
        client.send(b"two")
        self.assertEqual(b"two", client.source.exactly(3))
        self.assertTrue(proxy.alive())
        client.half_close()
        self.assertEqual(b"", client.closed())
        self.assertEqual(0, proxy.wait())


class TlsTest(TcpTestCase):
    def test_tls_ends_and_begins_here(self):
        directory = self.directory()
        authority = Authority(directory)
        certificate, key = authority.issue("server", "DNS:localhost, IP:127.0.0.1")
        app = authority.issue("app", "URI:spiffe://example.org/app")
        other = authority.issue("other", "URI:spiffe://example.org/other")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)

        def serve(sock):
            with context.wrap_socket(sock, server_side=True) as inner:
                while data := inner.recv(65536):
                    inner.sendall(data)
                inner.unwrap()
        proxy, address = self.through(
            [self.serve(serve).endpoint], cluster=f'tls = {{ ca = "{authority.certificate}" }}',
            listener=f'tls = {{ certificate = "{certificate}", key = "{key}", client_ca = "{authority.certificate}" }}\n'
                     'allow = [{ identity = "spiffe://example.org/app" }]')

        def connect(pair):
            return client_context(authority, pair).wrap_socket(
                socket.create_connection(address, DEADLINE), server_hostname="localhost",
                suppress_ragged_eofs=False)
        with connect(app) as client:
            client.sendall(b"sealed twice")
            self.assertEqual(b"sealed twice", client.recv(100))
        with self.assertRaises(OSError), connect(other) as client:
            if client.recv(1) == b"":
                self.fail("closed as if that were all")
        proxy.access.wait('"flag":"AD"')


class NamesTest(TcpTestCase):
    def test_tls_goes_by_name_and_ends_behind(self):
        directory = self.directory()
        authority = Authority(directory)

        def server(name):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*authority.issue(name, f"DNS:{name}.example"))

            def serve(sock):
                with context.wrap_socket(sock, server_side=True) as inner:
                    inner.sendall(f"I am {name}".encode())
                    inner.recv(1)
            return self.serve(serve).endpoint
        plain = self.serve(echo).endpoint
        proxy, address = self.through([plain], listener="""
[[listener.route]]
host = "one.example"
cluster = "one"
[[listener.route]]
host = "*.example"
cluster = "two"
""", cluster=f"""
[[cluster]]
name = "one"
endpoints = ["{server('one')}"]
[[cluster]]
name = "two"
endpoints = ["{server('two')}"]
""")
        context = client_context(authority)
        for name in "one", "two":
            with context.wrap_socket(socket.create_connection(address, DEADLINE),
                                     server_hostname=f"{name}.example") as client:
                self.assertEqual(f"I am {name}".encode(), client.recv(100))
            proxy.access.wait(rf'"host":"{name}\.example".*"cluster":"{name}"')
        client = self.client(address)
        client.send(b"no TLS at all")
        self.assertEqual(b"no TLS at all", client.source.exactly(13))


class ConnectTest(TcpTestCase):
    def setUp(self):
        super().setUp()
        def answer(sock):
            while b"\r\n\r\n" not in sock.recv(65536):
                pass
            sock.sendall(harness.OK)
        self.web = self.serve(answer)
        self.start()

    def start(self, listener=""):
        held, nobody = refused_address()
        self.addCleanup(held.close)
        route = '''
[[listener.route]]
connect = true
host = "{host}"
cluster = "{cluster}"
'''
        cluster = '[[cluster]]\nname = "{name}"\nendpoints = ["{at}"]\n{more}'
        self.proxy = self.remora(harness.simple_config(
            [self.web.endpoint], listener=listener,
            extra=cluster.format(name="echo", at=self.serve(echo).endpoint, more="") +
            cluster.format(name="gone", at=show_address(nobody), more="")).replace(
                "[[listener.route]]", route.format(host="web.example", cluster="app") +
                route.format(host="*.echo.example", cluster="echo") + route.format(host="gone.example", cluster="gone") +
                "[[listener.route]]", 1))
        self.address = self.proxy.address("in")

    def ask(self, target, more=b""):
        client = self.client(self.address)
        client.send(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode() + more)
        return client

    @staticmethod
    def head(client):
        lines = [client.source.line()]
        while lines[-1]:
            lines.append(client.source.line())
        return lines

    def test_curl_goes_through_to_where_a_route_leads(self):
        host, port = self.address
        self.assertEqual(b"ok", self.run_client("curl", "-sSf", "--proxytunnel", "-x", f"http://{host}:{port}",
                                                "http://web.example:1234/"))
        self.proxy.access.wait(r'"CONNECT web\.example:1234 web\.example:1234" 200 - ')
        self.assertEqual(b"ok", self.run_client("curl", "-sSf", f"http://{host}:{port}/"))

    def test_bytes_sent_at_once_and_the_end_pass_through(self):
        client = self.ask("a.echo.example:7", b"GET /at-once HTTP/1.1\r\n\r\n")
        head = b"\n".join(self.head(client)).lower()
        self.assertTrue(head.startswith(b"http/1.1 200 "), head)
        self.assertNotRegex(head, rb"content-length|transfer-encoding|\nconnection")
        self.assertEqual(b"GET /at-once HTTP/1.1\r\n\r\n", client.source.exactly(25))
        client.half_close()
        self.assertEqual(b"", client.closed())

    def test_silence_ends_the_tunnel(self):
        self.start('timeouts = { tunnel_idle = "500ms" }')
        client = self.ask("a.echo.example:7")
        self.head(client)
        self.assert_reset(client)
        self.proxy.access.wait(" DT ")

    def test_what_is_not_configured_is_refused_and_what_follows_is_no_request(self):
        for target, status, flag in (("other.example:80", 404, "NR"), ("gone.example:80", 502, "UF"),
                                     ("echo.example", 400, "DPE"), ("[::1]:80", 404, "NR")):
            client = self.ask(target, b"GET /smuggled HTTP/1.1\r\nHost: web.example\r\n\r\n")
            response = client.response("CONNECT")
            self.assertEqual((status, flag), (response.status, response.flag))
            self.assertEqual(b"", client.closed())
        self.assertNotIn("smuggled", "".join(self.proxy.access.lines))

    def test_without_such_a_route_there_are_no_tunnels(self):
        proxy = self.remora(harness.simple_config([self.web.endpoint]))
        self.address = proxy.address("in")
        response = self.ask("web.example:80").response("CONNECT")
        self.assertEqual((405, "DPE"), (response.status, response.flag))


class DetectTest(TcpTestCase):
    def test_http_and_the_rest_share_a_port(self):
        web = self.backend(harness.answer(harness.OK))
        rest = self.serve(echo).endpoint
        proxy = self.remora(harness.simple_config(
            [web.endpoint], listener='protocol = "detect"\ncluster = "rest"\ntimeouts = { detect = "300ms" }',
            extra=f'[[cluster]]\nname = "rest"\nendpoints = ["{rest}"]'))
        host, port = proxy.address("in")
        self.run_client("curl", "-sSf", f"http://{host}:{port}/")
        for bytes_ in b"\x00\x01 no HTTP", b"GE":  # the latter after a while
            client = self.client((host, port))
            client.send(bytes_)
            self.assertEqual(bytes_, client.source.exactly(len(bytes_)))


class ProxyProtocolTest(TcpTestCase):
    def test_headers_are_read_and_written(self):
        seen = []
        sent = b"PROXY TCP4 192.0.2.1 192.0.2.2 1234 80\r\nhello"

        def note(sock):
            seen.append(read(sock, len(sent)))
            sock.sendall(b"bye")
        backend = self.serve(note)
        _, address = self.through([backend.endpoint], cluster='proxy_protocol = "v1"',
                                  listener='proxy_protocol = { from = ["127.0.0.0/8"] }')
        client = self.client(address)
        client.send(sent)
        self.assertEqual(b"bye", client.closed())
        self.assertEqual([sent], seen)
        wrong = self.client(address)
        wrong.send(b"hello\r\n")
        self.assert_reset(wrong)
        http = self.backend(harness.answer(harness.OK))
        proxy = self.remora(harness.simple_config(
            [http.endpoint], listener='proxy_protocol = { from = ["127.0.0.0/8"] }'))
        host, port = proxy.address("in")
        self.run_client("curl", "-sS", "--haproxy-protocol", f"http://{host}:{port}/")
        proxy.access.wait(r" in 127\.0\.0\.1 .* 200 ")


    def test_haproxys_checksums_are_right(self):
        proxy = self.remora(harness.simple_config(
            [self.backend(harness.answer(harness.OK)).endpoint], listener='proxy_protocol = { from = ["127.0.0.0/8"] }'))
        host, port = proxy.address("in")
        with socket.create_server(("127.0.0.1", 0)) as front:
            config = pathlib.Path(self.directory(), "haproxy.cfg")
            config.write_text(f"""
defaults
  mode tcp
  timeout connect 10s
  timeout client 60s
  timeout server 60s
listen front
  bind fd@{front.fileno()}
  server remora {host}:{port} send-proxy-v2 proxy-v2-options crc32c,unique-id
""", encoding="ascii")
            haproxy = subprocess.Popen([shutil.which("haproxy", path=os.environ["PATH"] + ":/usr/sbin"), "-db", "-f", config],
                                       pass_fds=[front.fileno()], stderr=subprocess.DEVNULL,
                                       preexec_fn=harness.die_with_parent())
            self.addCleanup(harness.end_process, haproxy)
            url = "http://{}:{}/".format(*front.getsockname())
            self.run_client("curl", "-sSf", url)
        proxy.access.wait(r" in 127\.0\.0\.1 .* 200 ")


class ManyTest(TcpTestCase):
    """Ten thousand clients at once, where the system lets this process have so many descriptors."""

    SERVED = 500

    def test_a_crowd_is_bounded_by_the_limits(self):
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, before)
        hard = before[1] if before[1] != resource.RLIM_INFINITY else 1 << 20
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        crowd = min(10_000, hard - 2 * self.SERVED - 200)
        self.assertLess(2 * self.SERVED, crowd, f"only {hard} descriptors")
        backend = EchoForMany()
        self.addCleanup(backend.close)
        proxy, address = self.through([backend.endpoint], listener=f"limits = {{ connections = {self.SERVED} }}",
                                      workers=2)
        served, refused, clients = self.storm(address, crowd)
        self.assertEqual(crowd, served + refused)
        self.assertGreaterEqual(served, self.SERVED)
        for client in clients:
            client.close()
        samples = proxy.metrics()
        self.assertEqual(refused, metric_sum(samples, "remora_limit_hits_total", listener="in", limit="connections"))
        eventually(lambda: metric_sum(proxy.metrics(), "remora_connections", side="downstream") == 0,
                   "every connection has ended")
        client = self.client(address)
        client.send(b"as if nothing had been")
        self.assertEqual(b"as if nothing had been", client.source.exactly(22))

    @staticmethod
    def storm(address, crowd):
        """Opens all at once; each says a byte. How many got it back, how many were reset, and the sockets."""
        poller = select.epoll()
        waiting = {}
        clients = []
        for _ in range(crowd):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(address)
            poller.register(sock, select.EPOLLOUT | select.EPOLLIN)
            waiting[sock.fileno()] = sock
            clients.append(sock)
        served = refused = 0
        end = time.monotonic() + 6 * DEADLINE
        while waiting and time.monotonic() < end:
            for number, events in poller.poll(1):
                sock = waiting[number]
                try:
                    if events & (select.EPOLLIN | select.EPOLLERR | select.EPOLLHUP):
                        served += len(sock.recv(1))
                        del waiting[number]
                        poller.unregister(number)
                    else:
                        sock.send(b"x")
                        poller.modify(number, select.EPOLLIN)
                except OSError:
                    refused += 1
                    waiting.pop(number)
                    poller.unregister(number)
                    sock.close()
        poller.close()
        return served, refused, clients


class EchoForMany:
    """Many connections in one thread."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.endpoint = show_address(self.listener.getsockname())
        self.poller = select.epoll()
        self.poller.register(self.listener, select.EPOLLIN)
        self.sockets = {}
        self.ended = False
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        while not self.ended:
            for number, _ in self.poller.poll(0.2):
                if number == self.listener.fileno():
                    sock, _ = self.listener.accept()
                    self.sockets[sock.fileno()] = sock
                    self.poller.register(sock, select.EPOLLIN)
                    continue
                try:
                    data = self.sockets[number].recv(100)
                    self.sockets[number].send(data)
                except OSError:
                    data = b""
                if not data:
                    self.sockets.pop(number).close()

    def close(self):
        self.ended = True
        self.thread.join()
        for sock in [self.listener, *self.sockets.values()]:
            sock.close()
        self.poller.close()


if __name__ == "__main__":
    harness.main()
