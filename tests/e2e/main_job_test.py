"""The main job on real input: curl, wrk, nginx and Python servers, megabytes with checksums."""

import collections
import hashlib
import http.server
import json
import os
import pathlib
import re
import shutil
import socketserver
import subprocess
import threading

from harness import Client, TestCase, die_with_parent, fetch, main, show_address, simple_config
from nginx import Nginx


BIG = 64 << 20


def curl(*arguments, deadline=60):
    """Runs curl; its standard output."""
    binary = shutil.which("curl")
    assert binary, "curl is missing: scripts/setup test installs it"
    done = subprocess.run([binary, "-sS", "--max-time", "50", *arguments], capture_output=True,
                          timeout=deadline,
                          check=False, preexec_fn=die_with_parent())
    assert done.returncode == 0, f"curl {arguments}: {done.returncode} {done.stderr.decode()}"
    return done.stdout


class Handler(http.server.BaseHTTPRequestHandler):
    """An ordinary Python application: knows its name, hashes uploads, serves megabytes."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_GET(self):
        if self.path == "/big-chunked":
            return self.big_chunked()
        if self.path == "/big":
            return self.reply(self.server.big)
        return self.reply(json.dumps({"server": self.server.name, "path": self.path,
                                      "headers": list(self.headers.items())}).encode())

    def big_chunked(self):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        view = memoryview(self.server.big)
        for start in range(0, len(view), 100_000):
            piece = view[start:start + 100_000]
            self.wfile.write(b"%x\r\n" % len(piece) + piece + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")

    def do_POST(self):
        digest, size = hashlib.sha256(), 0
        for piece in self.body_pieces():
            digest.update(piece)
            size += len(piece)
        self.reply(json.dumps({"server": self.server.name, "sha256": digest.hexdigest(),
                               "size": size}).encode())

    do_PUT = do_POST

    def body_pieces(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            left = int(self.headers.get("Content-Length", 0))
            while left:
                piece = self.rfile.read(min(left, 1 << 20))
                left -= len(piece)
                yield piece

    def reply(self, body):
        self.send_response(200)
        self.send_header("X-Backend", self.server.name)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Application(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def __init__(self, name, big=b""):
        super().__init__(("127.0.0.1", 0), Handler)
        self.name, self.big = name, big
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def endpoint(self):
        return show_address(self.server_address)

    def handle_error(self, *_):
        pass  # clients that leave are part of the game

    def close(self):
        self.shutdown()
        self.server_close()


class ThreeBackends(TestCase):
    """nginx and two Python applications behind one listener, round robin."""

    @classmethod
    def setUpClass(cls):
        cls.big = os.urandom(1 << 20) * (BIG >> 20)
        cls.digest = hashlib.sha256(cls.big).hexdigest()
        cls.nginx = Nginx({"big": cls.big, "who": b"nginx"})
        cls.addClassCleanup(cls.nginx.close)
        cls.applications = [Application("python-1", cls.big), Application("python-2", cls.big)]
        for application in cls.applications:
            cls.addClassCleanup(application.close)

    def all_three(self, **config):
        endpoints = [self.nginx.endpoint, *[a.endpoint for a in self.applications]]
        proxy = self.remora(simple_config(endpoints, **config))
        return proxy, proxy.address("in")

    def one(self, endpoint, **config):
        proxy = self.remora(simple_config([endpoint], **config))
        return proxy, "http://" + show_address(proxy.address("in"))

    def test_round_robin_over_all_three(self):
        _, address = self.all_three()
        names = [fetch(address, "/hello").get("x-backend") for _ in range(9)]
        self.assertEqual({"nginx": 3, "python-1": 3, "python-2": 3}, collections.Counter(names))
        self.assertEqual(names[:3] * 3, names, "round robin keeps its order")

    def test_curl_sees_what_the_backend_says(self):
        _, url = self.one(self.nginx.endpoint)
        out = curl("-i", url + "/hello").decode()
        self.assertTrue(out.startswith("HTTP/1.1 200 OK\r\n"), out)
        self.assertIn("hello from nginx", out)
        self.assertIn("X-Seen-Via: 1.1 remora", out)
        out = curl("-I", url + "/big").decode()
        self.assertIn(f"Content-Length: {BIG}", out)
        out = curl("-s", "-o", "/dev/null", "-w", "%{http_code} %{num_connects}\\n", url + "/hello", "-o",
                   "/dev/null", url + "/empty",
                   "-o", "/dev/null", url + "/missing", "-o", "/dev/null", url + "/hello").decode().split()
        self.assertEqual(["200", "1", "204", "0", "404", "0", "200", "0"], out,
                         "one client connection carries them all")

    def test_download_64_mib_with_content_length_from_nginx(self):
        _, url = self.one(self.nginx.endpoint)
        self.assertEqual(self.digest, hashlib.sha256(curl(url + "/big")).hexdigest())

    def test_download_64_mib_chunked(self):
        _, url = self.one(self.applications[0].endpoint)
        self.assertEqual(self.digest, hashlib.sha256(curl(url + "/big-chunked")).hexdigest())

    def test_download_64_mib_toward_http_1_0(self):
        _, url = self.one(self.applications[0].endpoint)
        self.assertEqual(self.digest, hashlib.sha256(curl("--http1.0", url + "/big-chunked")).hexdigest())

    def test_download_a_range(self):
        _, url = self.one(self.nginx.endpoint)
        self.assertEqual(self.big[1000:2000], curl("-r", "1000-1999", url + "/big"))

    def upload(self, *arguments):
        _, url = self.one(self.applications[1].endpoint)
        path = os.path.join(self.directory(), "upload")
        pathlib.Path(path).write_bytes(self.big)
        return json.loads(curl(*arguments, "-T", path, url + "/up"))

    def test_upload_64_mib_with_content_length(self):
        self.assertEqual({"server": "python-2", "sha256": self.digest, "size": BIG}, self.upload())

    def test_upload_64_mib_chunked(self):
        self.assertEqual({"server": "python-2", "sha256": self.digest, "size": BIG},
                         self.upload("-H", "Transfer-Encoding: chunked"))

    def test_upload_64_mib_without_waiting_for_100(self):
        self.assertEqual(self.digest, self.upload("-H", "Expect:")["sha256"])

    def test_many_clients_at_once(self):
        _, address = self.all_three()
        failures = []

        def work():
            try:
                with Client(address) as client:
                    for number in range(20):
                        response = client.get(f"/hello?{number}")
                        if response.status != 200 or not response.complete:
                            failures.append(response)
            except Exception as error:  # noqa: BLE001
                failures.append(error)
        threads = [threading.Thread(target=work, daemon=True) for _ in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        self.assertEqual([], failures)

    def test_wrk(self):
        """A second of load without one error, and the metrics agree that it happened."""
        binary = shutil.which("wrk")
        self.assertTrue(binary, "wrk is missing: scripts/setup test installs it")
        proxy, url = self.one(self.nginx.endpoint, extra='[log.access]\npath = "off"')
        done = subprocess.run([binary, "-t1", "-c32", "-d1s", url + "/hello"], capture_output=True, text=True,
                              timeout=30, check=True,
                              preexec_fn=die_with_parent())
        self.assertNotIn("Non-2xx", done.stdout)
        self.assertNotIn("Socket errors", done.stdout)
        count = int(re.search(r"(\d+) requests in", done.stdout)[1])
        self.assertGreater(count, 100, done.stdout)
        total = sum(v for k, v in proxy.metrics().items() if k.startswith("remora_requests_total"))
        self.assertGreaterEqual(total, count)


if __name__ == "__main__":
    main()
