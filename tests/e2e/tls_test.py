#!/usr/bin/env python3
"""TLS on both sides: versions, names, certificates that are right and wrong, resumption, truncation, files that change.

Long because each test is a table of what may be wrong, beside the one set of certificates that all of them share.
"""

import os
import pathlib
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import unittest

import harness
from certificates import Authority, BareTls, TlsBackend, TlsClient, client_context, openssl
from harness import DEADLINE, OK, Client, answer, eventually, finish, metric_sum, request_bytes
from websocket import TEXT, WebSocketClient, serve_echo

APP = "spiffe://example.org/ns/shop/app"
OTHER = "spiffe://example.org/ns/bank/app"
BIG = 64 << 20
HEAD = """
[admin]
address = "127.0.0.1:0"
[runtime]
workers = 2
"""


def setUpModule():
    global DIRECTORY, CA, FOREIGN, SERVER, PAIRS, CRL
    DIRECTORY = tempfile.mkdtemp(prefix="remora-tls-")
    CA, FOREIGN = Authority(DIRECTORY), Authority(DIRECTORY, "foreign")
    SERVER = CA.issue("server", "DNS:localhost, IP:127.0.0.1")
    PAIRS = {
        "app": CA.issue("app", f"URI:{APP}, DNS:app.example"),
        "other": CA.issue("other", f"URI:{OTHER}"),
        "expired": CA.issue("expired", f"URI:{APP}, DNS:localhost, IP:127.0.0.1", days=-1),
        "revoked": CA.issue("revoked", f"URI:{APP}, DNS:localhost, IP:127.0.0.1"),
        "foreign": FOREIGN.issue("foreign", f"URI:{APP}, DNS:localhost, IP:127.0.0.1"),
        "self-signed": CA.issue("self-signed", f"URI:{APP}, DNS:localhost, IP:127.0.0.1", self_signed=True),
        "wrong name": CA.issue("wrong", f"URI:{APP}, DNS:elsewhere.example"),
    }
    CRL = CA.revocation_list(PAIRS["revoked"][0])


def tearDownModule():
    shutil.rmtree(DIRECTORY, True)


def listener(name="in", pair=None, tls="", extra="", route=""):
    certificate, key = pair or SERVER
    return f"""
[[listener]]
name = "{name}"
address = "127.0.0.1:0"
{extra}
[listener.tls]
certificate = "{certificate}"
key = "{key}"
{tls}
[[listener.route]]
cluster = "app"
{route}
"""


def cluster(endpoint, name="app", tls=None, extra=""):
    text = f"""
[[cluster]]
name = "{name}"
endpoints = ["{endpoint}"]
{extra}
"""
    return text + (f"[cluster.tls]\n{tls}\n" if tls is not None else "")


class TlsTest(harness.TestCase):
    def tls(self, address, **options):
        context = options.pop("context", None) or client_context(CA, options.pop("pair", None))
        client = TlsClient(address, context, **options)
        self.addCleanup(client.reset)
        return client

    def tls_backend(self, pair=None, script=None, **options):
        backend = TlsBackend(pair or SERVER, script, **options)
        self.addCleanup(self._close, backend)
        return backend

    def refused(self, address, context, name="localhost"):
        """The handshake, or with TLS 1.3 the first read after it, fails."""
        with self.assertRaises(OSError):
            client = TlsClient(address, context, name)
            try:
                client.send(request_bytes("GET", "/"))
                if not client.sock.recv(1):
                    raise ConnectionResetError
            finally:
                client.reset()


class Downstream(TlsTest):
    def test_clear_text_beside_certificates_is_told(self):
        clear = '''
[[listener]]
name = "clear"
address = "0.0.0.0:0"
[[listener.route]]
cluster = "app"
'''
        for tls, address, warns in (("", "0.0.0.0", False), (f'client_ca = "{CA.certificate}"', "127.0.0.1", False),
                                    (f'client_ca = "{CA.certificate}"', "0.0.0.0", True)):
            log = self.remora(HEAD + listener(tls=tls) + clear.replace("0.0.0.0", address) + cluster("127.0.0.1:9")).log.text()
            self.assertEqual(warns, "clear text is taken from other machines" in log, log)
            self.assertNotIn("clear text is taken from other machines listener=in", log)

    def test_versions_ciphers_names_and_protocols(self):
        backend = self.backend(answer(OK))
        exact = CA.issue("shop", "DNS:shop.example", file="shop")
        wild = CA.issue("wild", "DNS:*.wild.example", file="wild")
        proxy = self.remora(HEAD + listener(tls=f"""
certificates = [{{ certificate = "{exact[0]}", key = "{exact[1]}" }}, {{ certificate = "{wild[0]}", key = "{wild[1]}" }}]
""") + cluster(backend.endpoint))
        address = proxy.address("in")
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            client = self.tls(address, context=client_context(CA, version=version))
            self.assertEqual(200, client.get("/").status)
        self.assertEqual("https", backend.complete()[-1].get("x-forwarded-proto"))
        for name, subject in (("shop.example", "shop"), ("SHOP.example", "shop"), ("a.wild.example", "wild"),
                              ("localhost", "server")):
            shown = self.tls(address, name=name).sock.getpeercert()["subject"]
            self.assertIn((("commonName", subject),), shown, name)
        anyone = client_context(CA)
        anyone.check_hostname = False
        self.assertIn((("commonName", "server"),), self.tls(address, context=anyone, name="a.b.wild.example").sock.getpeercert()["subject"])

        both = client_context(CA)
        both.set_alpn_protocols(["h2", "http/1.1"])
        self.assertEqual("http/1.1", self.tls(address, context=both).sock.selected_alpn_protocol())
        h2 = client_context(CA)
        h2.set_alpn_protocols(["h2"])
        self.refused(address, h2)
        proxy.log.wait("TLS handshake with a client failed.*no application protocol")
        for option, reason in (("-tls1_1", "unsupported protocol"), ("-cipher AES128-SHA -tls1_2", "no shared cipher")):
            done = subprocess.run(["openssl", "s_client", "-connect", "%s:%d" % address, *option.split()],
                                  stdin=subprocess.DEVNULL, capture_output=True, timeout=DEADLINE)
            self.assertNotEqual(0, done.returncode)
            proxy.log.wait(f"TLS handshake with a client failed.*{reason}")
        with Client(address) as plain:
            plain.send(request_bytes("GET", "/"))
            plain.closed()
        proxy.log.wait("TLS handshake with a client failed.*http request")
        proxy.access.wait(r"\bTF\b", count=4)
        self.assertEqual(4, metric_sum(proxy.metrics(), "remora_tls_handshakes_total", listener="in", result="failed"))
        done = subprocess.run(["curl", "-sS", "--cacert", CA.certificate, f"https://localhost:{address[1]}/",
                               "--resolve", f"localhost:{address[1]}:127.0.0.1"], capture_output=True, timeout=DEADLINE)
        self.assertEqual(b"ok", done.stdout, done.stderr)

    def test_client_certificates(self):
        backend = self.backend(answer(OK))
        proxy = self.remora(HEAD + listener(
            tls=f'client_ca = "{CA.certificate}"\nclient_crl = "{CRL}"',
            extra='allow = [{ identity = "spiffe://example.org/ns/*" }]',
            route=f'prefix = "/shop"\nallow = [{{ identity = "{APP}" }}]\n[[listener.route]]\ncluster = "app"')
            + cluster(backend.endpoint))
        address = proxy.address("in")
        for name, reason in (("expired", "certificate has expired"), ("revoked", "certificate revoked"),
                             ("foreign", "unable to get local issuer certificate"), ("self-signed", "self-signed certificate"),
                             (None, "peer did not return a certificate")):
            with self.subTest(name):
                self.refused(address, client_context(CA, PAIRS[name] if name else None))
                proxy.log.wait(f"TLS handshake with a client failed.*{reason}")
        self.assertEqual([], backend.complete())
        forged = [("X-Forwarded-Client-Cert", "URI=spiffe://forged")]
        for name, path, status, flag in (("app", "/shop/1", 200, None), ("other", "/shop/1", 403, "AD"),
                                         ("other", "/rest", 200, None), ("wrong name", "/rest", 200, None)):
            with self.subTest(name=name, path=path):
                response = self.tls(address, pair=PAIRS[name]).get(path, forged)
                self.assertEqual((status, flag), (response.status, response.get("x-remora-flag")))
        proxy.access.wait(r"/shop/1.* 403 AD ")
        shown = [r.get("x-forwarded-client-cert") for r in backend.complete()]
        self.assertRegex(shown[0], f'^Hash=[0-9a-f]{{64}};Subject="CN=app,O=Test";URI={APP};DNS=app.example$')
        self.assertNotIn("forged", "".join(shown))

    def test_clients_may_be_allowed_to_stay_unknown(self):
        backend = self.backend(answer(OK))
        proxy = self.remora(HEAD + listener(
            tls=f'client_ca = "{CA.certificate}"\nrequire_client_certificate = false\nmin_version = "1.3"',
            route='prefix = "/known"\nallow = [{ identity = "*.example" }]\n[[listener.route]]\ncluster = "app"')
            + cluster(backend.endpoint))
        address = proxy.address("in")
        unknown = self.tls(address)
        self.assertEqual(200, unknown.get("/", [("X-Forwarded-Client-Cert", "URI=x")]).status)
        self.assertIsNone(backend.complete()[-1].get("x-forwarded-client-cert"))
        self.assertEqual(403, unknown.get("/known").status)
        self.assertEqual(200, self.tls(address, pair=PAIRS["app"]).get("/known").status)
        self.refused(address, client_context(CA, PAIRS["foreign"]))
        self.refused(address, client_context(CA, version=ssl.TLSVersion.TLSv1_2))

    def test_a_second_connection_resumes_the_session(self):
        backend = self.backend(answer(OK))
        proxy = self.remora(HEAD + listener(tls=f'client_ca = "{CA.certificate}"') + cluster(backend.endpoint))
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = client_context(CA, PAIRS["app"], version)
            first = self.tls(proxy.address("in"), context=context)
            self.assertEqual(200, first.get("/").status)
            again = self.tls(proxy.address("in"), context=context, session=first.sock.session)
            self.assertEqual(200, again.get("/").status)
            self.assertTrue(again.sock.session_reused, version)
            self.assertIn(APP, backend.complete()[-1].get("x-forwarded-client-cert"))
        self.assertEqual(2, metric_sum(proxy.metrics(), "remora_tls_handshakes_total", listener="in", result="resumed"))

    def test_a_session_does_not_outlive_the_clients_certificate(self):
        backend = self.backend(answer(OK))
        proxy = self.remora(HEAD + listener(tls=f'client_ca = "{CA.certificate}"', extra='timeouts = { keep_alive = "10m" }') +
                            cluster(backend.endpoint))
        address = proxy.address("in")

        def resumed():
            return metric_sum(proxy.metrics(), "remora_tls_handshakes_total", listener="in", result="resumed")
        for seconds in 2, 8, 32:  # more for a machine that is too slow for less
            pair, end = CA.issue_for(seconds, f"short{seconds}", "DNS:short.example")
            context = client_context(CA, pair, ssl.TLSVersion.TLSv1_2)
            first = self.tls(address, context=context)
            self.assertEqual(200, first.get("/").status)
            session = first.sock.session
            again = self.tls(address, context=context, session=session)
            self.assertEqual((200, True), (again.get("/").status, again.sock.session_reused))
            if time.time() < end:
                break
        before = resumed()
        eventually(lambda: time.time() > end + 0.1, "the certificate's end, by the coarse clock as well", 60)
        with self.assertRaises(OSError):
            self.tls(address, context=context, session=session).get("/")
        proxy.log.wait("TLS handshake with a client failed.*certificate has expired")
        self.assertEqual(before, resumed())
        self.assertEqual(200, first.get("/").status)  # who is there stays

    def test_handshakes_of_a_listener_that_goes_end_with_it(self):
        backend = self.backend(answer(OK))
        head = HEAD.replace("workers = 2", 'workers = 1\ndrain_timeout = "500ms"')
        proxy = self.remora(head + listener() + listener("stays") + cluster(backend.endpoint))
        address = proxy.address("in")
        silent = self.client(address)
        silent.send(b"\x16\x03\x01\x02\x00\x01")
        with socket.create_connection(address, DEADLINE) as late:
            eventually(lambda: metric_sum(proxy.metrics(), "remora_connections", side="downstream", listener="in") == 2,
                       "both are there")
            pathlib.Path(proxy.config).write_text(head + listener("stays") + cluster(backend.endpoint))
            proxy.signal(1)
            with client_context(CA).wrap_socket(late, server_hostname="localhost") as client:
                client.sendall(request_bytes("GET", "/"))
                self.assertIn(b"200 OK", client.recv(1000))
        with self.assertRaises(ConnectionResetError):
            while silent.sock.recv(100):
                pass
            raise ConnectionResetError  # closed, which is as good
        eventually(lambda: metric_sum(proxy.metrics(), "remora_connections", side="downstream") == 0, "nobody is left")
        self.assertEqual(200, self.tls(proxy.address("stays")).get("/").status)

    def test_who_stalls_in_the_handshake_keeps_nobody_out(self):
        backend = self.backend(answer(OK))
        proxy = self.remora(HEAD.replace("workers = 2", "workers = 1") + listener(tls="handshakes = 2") + cluster(backend.endpoint))
        address = proxy.address("in")
        established = self.tls(address)
        self.assertEqual(200, established.get("/").status)
        silent = [self.client(address) for _ in range(4)]
        silent[0].send(b"\x16\x03\x01\x02\x00\x01")
        self.assertEqual(200, established.get("/").status)
        self.assertEqual(200, self.tls(address).get("/").status)
        proxy.log.wait("TLS handshake with a client failed.*not done within")
        self.assertEqual(b"", silent[0].closed())

    def test_large_bodies_websockets_and_half_close(self):
        def echo(upstream, request):
            if request.get("upgrade"):
                return serve_echo(upstream, request)
            body = upstream.body(request).body
            upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

        backend = self.tls_backend(script=echo)
        proxy = self.remora(HEAD + listener() + cluster(backend.endpoint, tls=f'ca = "{CA.certificate}"'))
        address = proxy.address("in")
        client = self.tls(address)
        body = os.urandom(1 << 20) * (BIG >> 20)
        # In this thread, since Python's sockets with TLS are not for two at once; the backend answers when it has all of it.
        client.sock.sendall(request_bytes("POST", "/", body=body))
        response = client.response()
        self.assertEqual((200, True), (response.status, response.body == body))
        socket_ = WebSocketClient(self.tls(address))
        for size in (1, 70_000):
            socket_.send(TEXT, b"x" * size)
            self.assertEqual((TEXT, b"x" * size), socket_.receive())
        self.assertEqual(1000, socket_.close())
        half = BareTls(address, client_context(CA))
        self.addCleanup(half.client.reset)
        half.send(request_bytes("POST", "/", [("Connection", "close")], body=b"half"))
        half.half_close()
        self.assertTrue(half.read_all().endswith(b"\r\n\r\nhalf"))

    def test_a_body_that_is_cut_off_is_seen_as_that(self):
        def until_closed(upstream, request):
            if request.target == "/sent":
                upstream.wait_end()
                return False
            upstream.send(b"HTTP/1.1 200 OK\r\n\r\nall of it")
            if request.target == "/fair":
                try:
                    upstream.sock.unwrap()
                except OSError:
                    pass
            return False

        backend = self.tls_backend(script=until_closed)
        proxy = self.remora(HEAD + listener() + cluster(backend.endpoint, tls=f'ca = "{CA.certificate}"'))
        address = proxy.address("in")
        ends = request_bytes("GET", "/fair", [("Connection", "close")])
        fair = BareTls(address, client_context(CA))
        self.addCleanup(fair.client.reset)
        fair.send(ends)
        self.assertIn(b"all of it", fair.read_all())
        for chunked in (True, False):
            cut = BareTls(address, client_context(CA))
            self.addCleanup(cut.client.reset)
            cut.send(ends.replace(b"/fair", b"/cut").replace(b"HTTP/1.1", b"HTTP/1.1" if chunked else b"HTTP/1.0"))
            with self.assertRaises(OSError):
                cut.read_all()
        proxy.access.wait(r"/cut.* UC ", count=2)
        # And of the client's: what the backend has seen is no whole request.
        sender = BareTls(address, client_context(CA))
        self.addCleanup(sender.client.reset)
        sender.send(b"POST /sent HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\nsome")
        backend.wait(lambda: len(backend.received) >= 4, "the cut request")
        sender.client.half_close()
        proxy.access.wait(r"/sent.* DC ")


class Upstream(TlsTest):
    def test_endpoints_that_are_not_who_they_should_be(self):
        trust = f'ca = "{CA.certificate}"'
        good = self.tls_backend()
        backends = {name: self.tls_backend(pair) for name, pair in PAIRS.items()}
        stalled = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(stalled.close)
        plain = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(plain.close)

        def speak_plainly():
            sock, _ = plain.accept()
            with sock:
                sock.recv(65536)
                sock.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

        threading.Thread(target=speak_plainly, daemon=True).start()
        rows = [
            ("good", good.endpoint, trust, 200, None),
            ("by address", good.endpoint, f'{trust}\nmin_version = "1.3"', 200, None),
            ("unverified", backends["self-signed"].endpoint, "verify = false", 200, None),
            ("identity", backends["app"].endpoint, f'{trust}\nidentity = "{APP}"', 200, None),
            ("named", backends["wrong name"].endpoint, f'{trust}\nserver_name = "elsewhere.example"', 200, None),
            ("expired", backends["expired"].endpoint, trust, 502, "certificate has expired"),
            ("revoked", backends["revoked"].endpoint, f'{trust}\ncrl = "{CRL}"', 502, "certificate revoked"),
            ("foreign", backends["foreign"].endpoint, trust, 502, "unable to get local issuer certificate"),
            ("system", good.endpoint, "", 502, "unable to get local issuer certificate"),
            ("self-signed", backends["self-signed"].endpoint, trust, 502, "self-signed certificate"),
            ("wrong-name", backends["wrong name"].endpoint, f'{trust}\nserver_name = "localhost"', 502, "hostname mismatch"),
            ("wrong-address", backends["wrong name"].endpoint, trust, 502, "IP address mismatch"),
            ("wrong-identity", backends["other"].endpoint, f'{trust}\nidentity = "{APP}"', 502, f"it is not for {APP}"),
            ("plain", "%s:%d" % plain.getsockname(), trust, 502, "wrong version number"),
            ("stalled", "%s:%d" % stalled.getsockname(), trust, 504, "not done in time"),
        ]
        routes = "".join(f'[[listener.route]]\npath = "/{name.replace(" ", "-")}"\ncluster = "{name}"\n' for name, *_ in rows)
        proxy = self.remora(HEAD + '[[listener]]\nname = "in"\naddress = "127.0.0.1:0"\n' + routes + "".join(
            cluster(endpoint, name, tls, extra='timeouts = { connect = "%s" }\nretry = { attempts = 1 }' %
                    ("300ms" if name == "stalled" else "20s")) for name, endpoint, tls, *_ in rows))
        client = self.client(proxy.address("in"))
        for name, _, _, status, reason in rows:
            with self.subTest(name):
                response = client.get("/" + name.replace(" ", "-"))
                self.assertEqual((status, "UF" if reason else None), (response.status, response.get("x-remora-flag")))
                if reason:
                    proxy.log.wait(f"TLS handshake with an endpoint failed.*{name}.*{reason}")
        proxy.log.wait("endpoints are not verified.*unverified")

    def test_mutual_tls_through_two_sidecars(self):
        backend = self.backend(answer(OK))
        inbound = self.remora(HEAD + listener(
            tls=f'client_ca = "{CA.certificate}"', extra=f'allow = [{{ identity = "{APP}" }}]') + cluster(backend.endpoint))
        own = 'certificate = "{}"\nkey = "{}"'
        to = "localhost:%d" % inbound.address("in")[1]
        outbound = self.remora(HEAD + '[[listener]]\nname = "out"\naddress = "127.0.0.1:0"\n'
                               '[[listener.route]]\npath = "/other"\ncluster = "other"\n[[listener.route]]\ncluster = "app"\n'
                               + cluster(to, "app", f'ca = "{CA.certificate}"\n{own.format(*PAIRS["app"])}')
                               + cluster(to, "other", f'ca = "{CA.certificate}"\n{own.format(*PAIRS["other"])}'))
        client = self.client(outbound.address("out"))
        self.assertEqual(200, client.get("/").status)
        request = backend.complete()[0]
        self.assertIn(f"URI={APP}", request.get("x-forwarded-client-cert"))
        self.assertEqual(2, request.get("via").count("remora-"))
        refused = client.get("/other")
        self.assertEqual((403, "AD"), (refused.status, refused.get("x-remora-flag")))

    def test_sessions_are_resumed_and_health_checks_speak_tls(self):
        backend = self.tls_backend(script=answer(OK, then="close"))
        bad = self.tls_backend(PAIRS["expired"])
        check = '[cluster.health_check]\npath = "/check"\ninterval = "2s"\nfall = 1\n'
        proxy = self.remora(HEAD.replace("workers = 2", "workers = 1")
                            + '[[listener]]\nname = "in"\naddress = "127.0.0.1:0"\n[[listener.route]]\npath = "/bad"\ncluster = "bad"\n'
                            '[[listener.route]]\ncluster = "app"\n'
                            + cluster(backend.endpoint, tls=f'ca = "{CA.certificate}"')
                            + cluster(bad.endpoint, "bad", f'ca = "{CA.certificate}"') + check + "panic_below = 0\n")
        client = self.client(proxy.address("in"))
        for _ in range(3):
            self.assertEqual(200, client.get("/").status)
        self.assertIn(True, backend.resumed)
        self.assertLess(0, metric_sum(proxy.metrics(), "remora_tls_handshakes_total", cluster="app", result="resumed"))
        proxy.log.wait("health check fails.*certificate has expired")
        response = client.get("/bad")
        self.assertEqual((503, "UH"), (response.status, response.get("x-remora-flag")))


class Files(TlsTest):
    def link_to(self, link, target):
        os.symlink(target, f"{link}.new")
        os.replace(f"{link}.new", link)

    def version(self, root, number, names="DNS:localhost"):
        folder = root / str(number)
        folder.mkdir()
        for source, name in zip(CA.issue(f"v{number}", names, file=f"v{number}"), ("tls.crt", "tls.key")):
            shutil.copy(source, folder / name)
        return folder

    def common_name(self, address):
        with self.tls(address) as client:
            return dict(pair[0] for pair in client.sock.getpeercert()["subject"])["commonName"]

    def test_a_certificate_is_swapped_under_load(self):
        backend = self.backend(answer(OK))
        root = pathlib.Path(self.directory())
        first, second = self.version(root, 1), self.version(root, 2)
        link = root / "current"
        self.link_to(link, first)
        os.chmod(first / "tls.key", 0o644)
        text = HEAD + listener(pair=(link / "tls.crt", link / "tls.key")) + cluster(backend.endpoint)
        proxy = self.remora(text)
        address = proxy.address("in")
        proxy.log.wait("TLS file.*every user can read this private key")
        expiry = metric_sum(proxy.metrics(), "remora_tls_certificate_expiry_timestamp_seconds", file=str(link / "tls.crt"))
        self.assertEqual(expiry, ssl.cert_time_to_seconds(
            openssl("x509", "-in", first / "tls.crt", "-noout", "-enddate").decode().strip().split("=")[1]))
        stop, failures, done = threading.Event(), [], []

        def load():
            context = client_context(CA)
            while not stop.is_set():
                try:
                    with TlsClient(address, context) as client:
                        for _ in range(3):
                            if client.get("/").status != 200:
                                failures.append("not 200")
                    done.append(1)
                except Exception as error:  # noqa: BLE001
                    failures.append(repr(error))

        threads = [threading.Thread(target=load) for _ in range(2)]
        self.addCleanup(stop.set)
        for thread in threads:
            thread.start()
        self.assertEqual("v1", self.common_name(address))
        self.link_to(link, second)
        eventually(lambda: self.common_name(address) == "v2", "the second certificate")
        # Half of a pair: what is there goes on.
        broken = self.version(root, 3)
        shutil.copy(first / "tls.key", broken / "tls.key")
        self.link_to(link, broken)
        proxy.log.wait("TLS files cannot be used.*not the key of the certificate")
        self.assertEqual("v2", self.common_name(address))
        enough = len(done) + 5
        eventually(lambda: len(done) >= enough, "connections after the swaps")
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual([], failures)
        self.assertLess(0, metric_sum(proxy.metrics(), "remora_tls_file_reads_total", result="rejected"))
        self.assertEqual(1, metric_sum(proxy.metrics(), "remora_tls_file_reads_total", result="success"))
        self.assertEqual(1, metric_sum(proxy.metrics(), "remora_tls_files_rejected"))
        secret = (second / "tls.key").read_text().splitlines()[1]
        self.assertNotIn(secret, proxy.admin("/config").body.decode() + proxy.log.text())

        # Another section in the file: new connections go by it.
        shutil.copy(second / "tls.key", broken / "tls.key")
        shutil.copy(second / "tls.crt", broken / "tls.crt")
        eventually(lambda: metric_sum(proxy.metrics(), "remora_tls_files_rejected") == 0, "the files are right again")
        kept = self.tls(address)
        self.assertEqual(200, kept.get("/").status)
        pathlib.Path(proxy.config).write_text(text.replace("[listener.tls]", f'[listener.tls]\nclient_ca = "{CA.certificate}"'))
        proxy.signal(1)
        proxy.log.wait("configuration changed.*tls")
        self.refused(address, client_context(CA))
        self.assertEqual(200, self.tls(address, pair=PAIRS["app"]).get("/").status)

    def test_health_checks_show_the_certificate_that_there_is_now(self):
        backend = self.tls_backend(CA.issue("six", "IP:::1"), answer(OK, then="close"), authority=CA)
        root = pathlib.Path(self.directory())
        link = root / "current"
        self.link_to(link, self.version(root, 7))
        tls = (f'ca = "{CA.certificate}"\ncertificate = "{link}/tls.crt"\nkey = "{link}/tls.key"\n'
               'server_name = "[::1]"')  # an address, in the form that has brackets
        proxy = self.remora(HEAD + '[[listener]]\nname = "in"\naddress = "127.0.0.1:0"\n[[listener.route]]\ncluster = "app"\n'
                            + cluster(backend.endpoint, tls=tls) + '[cluster.health_check]\nprotocol = "tcp"\ninterval = "100ms"\n')

        def shown():
            return backend.peers and dict(pair[0] for pair in backend.peers[-1]["subject"])["commonName"]
        eventually(lambda: shown() == "v7", "the first certificate")
        self.link_to(link, self.version(root, 8))
        eventually(lambda: shown() == "v8", "the second certificate")
        self.assertEqual(200, self.client(proxy.address("in")).get("/").status)

    def test_an_ocsp_response_is_shown_with_its_certificate(self):
        other = CA.issue("stapled", "DNS:other.example", file="stapled")
        responses = [CA.ocsp_response(SERVER[0]), os.path.join(self.directory(), "other.ocsp")]
        shutil.copy(responses[0], responses[1])
        text = HEAD + listener(tls=f'ocsp = "{responses[0]}"\ncertificates = '
                               f'[{{ certificate = "{other[0]}", key = "{other[1]}", ocsp = "{responses[1]}" }}]')
        path = os.path.join(self.directory(), "remora.toml")
        pathlib.Path(path).write_text(text + cluster("127.0.0.1:1"))
        done = harness.run_remora("check", "--config", path)
        self.assertRegex(done.stderr + done.stdout, f"{responses[1]}: not for the certificate in {other[0]}")
        shutil.copy(CA.ocsp_response(other[0]), responses[1])
        proxy = self.remora(text + cluster("127.0.0.1:1"))

        def shown(name):
            done = subprocess.run(["openssl", "s_client", "-connect", "%s:%d" % proxy.address("in"), "-servername", name,
                                   "-status"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE)
            serial = re.search(r"^ +Serial Number: (\w+)$", done.stdout, re.M)
            return re.findall(r"Cert Status: (\w+)", done.stdout), serial and serial[1]

        serials = [openssl("x509", "-in", pair[0], "-noout", "-serial").decode().strip().split("=")[1] for pair in (SERVER, other)]
        self.assertEqual((["good"], serials[0]), shown("localhost"))
        self.assertEqual((["good"], serials[1]), shown("other.example"))
        shutil.copy(responses[1], responses[0] + ".new")
        os.replace(responses[0] + ".new", responses[0])
        proxy.log.wait("TLS files cannot be used.*not for the certificate")
        self.assertEqual((["good"], serials[0]), shown("localhost"))

    def test_files_that_cannot_be_used_are_errors_of_the_configuration(self):
        wrong = f'[listener.tls]\ncertificate = "{SERVER[0]}"\nkey = "{PAIRS["app"][1]}"'
        plain = '[[listener]]\naddress = "127.0.0.1:0"\n{}\n[[listener.route]]\ncluster = "app"\n' + cluster("127.0.0.1:1")
        for text, reason in ((plain.format(wrong), "not the key of the certificate"),
                             (plain.format(wrong.replace(SERVER[0], "/nowhere")), "/nowhere: No such file"),
                             (plain.format("") + f'[cluster.tls]\nca = "{SERVER[1]}"', "no PEM certificate is in it")):
            path = os.path.join(self.directory(), "remora.toml")
            pathlib.Path(path).write_text(text)
            done = harness.run_remora("check", "--config", path)
            self.assertEqual(1, done.returncode)
            self.assertRegex(done.stdout + done.stderr, rf":\d+: .*tls: .*{re.escape(reason)}")


if __name__ == "__main__":
    harness.main()
