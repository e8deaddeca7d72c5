"""The admin server: its pages, what it refuses, and that the numbers add up."""

import json
import shutil
import subprocess
import tomllib

from harness import (Client, TestCase, answer, eventually, fetch, main, metric_sum, refused_address,
                     request_bytes, simple_config)


class Pages(TestCase):
    def setUp(self):
        self.app = self.backend()
        self.proxy = self.remora(simple_config([self.app.endpoint]))

    def test_health_and_readiness(self):
        for path in ("/healthz", "/readyz"):
            response = self.proxy.admin(path)
            self.assertEqual((200, True), (response.status, response.complete), path)

    def test_metrics_pass_promtool(self):
        promtool = shutil.which("promtool")
        self.assertTrue(promtool, "promtool is missing: scripts/setup test installs it (package prometheus)")
        for _ in range(3):
            fetch(self.proxy.address("in"))
        response = self.proxy.admin("/metrics")
        self.assertEqual(200, response.status)
        self.assertTrue(response.get("content-type").startswith("text/plain; version=0.0.4"),
                        response.get("content-type"))
        done = subprocess.run([promtool, "check", "metrics"], input=response.body, capture_output=True,
                              timeout=30, check=False)
        self.assertEqual((0, b"", b""), (done.returncode, done.stdout, done.stderr))

    def test_the_designs_metrics_are_there(self):
        fetch(self.proxy.address("in"))
        names = {key.partition("{")[0] for key in self.proxy.metrics()}
        for name in ("remora_requests_total", "remora_request_seconds_bucket",
                     "remora_upstream_connect_seconds_bucket",
                     "remora_connections", "remora_local_replies_total", "remora_loop_lag_seconds",
                     "remora_build_info",
                     "remora_access_log_dropped_total"):
            self.assertIn(name, names)

    def test_clusters_is_json(self):
        fetch(self.proxy.address("in"))
        response = self.proxy.admin("/clusters")
        self.assertEqual(200, response.status)
        self.assertTrue(response.get("content-type").startswith("application/json"))
        text = json.dumps(json.loads(response.body))
        self.assertIn(self.app.endpoint, text)
        self.assertIn('"app"', text)

    def test_config_is_complete_and_parses(self):
        response = self.proxy.admin("/config")
        self.assertEqual(200, response.status)
        kind = response.get("content-type")
        parsed = json.loads(response.body) if "json" in kind else tomllib.loads(response.body.decode())
        self.assertEqual("app", parsed["cluster"][0]["name"])
        text = response.body.decode()
        for default in ("keep_alive", "drain_timeout", "header_bytes", self.app.endpoint):
            self.assertIn(default, text, "defaults are shown too")

    def test_the_log_level_changes_with_post_only(self):
        self.assertIn(b"info", self.proxy.admin("/log").body)
        for method in ("GET", "PUT", "DELETE"):
            self.proxy.admin("/log?level=debug", method)
            self.assertIn(b"info", self.proxy.admin("/log").body, method)
        self.assertEqual(200, self.proxy.admin("/log?level=debug", "POST").status)
        self.assertIn(b"debug", self.proxy.admin("/log").body)
        self.assertEqual(400, self.proxy.admin("/log?level=loud", "POST").status)
        self.assertEqual(400, self.proxy.admin("/log", "POST").status)
        self.assertIn(b"debug", self.proxy.admin("/log").body)

    def test_unknown_pages_and_methods(self):
        for path in ("/nothing", "/metrics/", "/healthz/x", "//", "/%2e%2e/etc/passwd"):
            self.assertEqual(404, self.proxy.admin(path).status, path)
        for path in ("/healthz", "/readyz", "/metrics", "/clusters", "/config"):
            for method in ("POST", "PUT", "DELETE"):
                response = self.proxy.admin(path, method)
                self.assertEqual(405, response.status, f"{method} {path}")
                self.assertIn("GET", response.get("allow") or "")

    def test_head_and_queries(self):
        for path in ("/healthz", "/metrics", "/clusters?x=1"):
            response = self.proxy.admin(path, "HEAD")
            self.assertEqual((200, b""), (response.status, response.body), path)

    def test_keep_alive_and_pipelining(self):
        client = self.client(self.proxy.admin_address())
        client.send(request_bytes("GET", "/healthz") * 3 + request_bytes("GET", "/metrics")
                    + request_bytes("GET", "/nothing"))
        self.assertEqual([200, 200, 200, 200, 404], [client.response().status for _ in range(5)])

    def test_malformed_requests_are_refused_like_anywhere(self):
        for data in (b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
                     b"GET /healthz HTTP/1.1\nHost: a\n\n\r\n\r\n",
                     b"POST /log HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n"
                     b"Transfer-Encoding: chunked\r\n\r\n"):
            client = self.client(self.proxy.admin_address())
            client.send(data)
            self.assertEqual(400, client.response().status)
            self.assertEqual(b"", client.closed())

    def test_many_scrapes_at_once(self):
        clients = [self.client(self.proxy.admin_address()) for _ in range(20)]
        for client in clients:
            client.send(request_bytes("GET", "/metrics"))
        for client in clients:
            self.assertEqual(200, client.response().status)

    def test_scrapers_that_leave(self):
        for _ in range(20):
            client = Client(self.proxy.admin_address())
            client.send(request_bytes("GET", "/metrics") * 5)
            client.reset()
        self.assertEqual(200, self.proxy.admin("/healthz").status)


class Numbers(TestCase):
    """Every request is counted once, where it belongs."""

    def test_requests_add_up(self):
        def script(upstream, request):
            upstream.body(request)
            status = request.target.strip("/").split("/")[-1].encode()
            upstream.send(b"HTTP/1.1 " + status + b" X\r\nContent-Length: 0\r\n\r\n")
        backend = self.backend(script)
        sock, address = refused_address()
        self.addCleanup(sock.close)
        proxy = self.remora(simple_config([backend.endpoint], route='prefix = "/app/"') + f"""
[[listener]]
name = "dead"
address = "127.0.0.1:0"
[[listener.route]]
cluster = "dead"
[[cluster]]
name = "dead"
endpoints = ["127.0.0.1:{address[1]}"]
""")
        client = self.client(proxy.address("in"))
        for _ in range(7):
            self.assertEqual(200, client.get("/app/200").status)
        for _ in range(3):
            self.assertEqual(503, client.get("/app/503").status)
        for _ in range(2):
            self.assertEqual(404, client.get("/app/404").status)
        for _ in range(4):
            self.assertEqual(404, client.get("/elsewhere").status)
        for _ in range(2):
            self.assertEqual(502, fetch(proxy.address("dead")).status)
        bad = self.client(proxy.address("in"))
        bad.send(b"garbage\r\n\r\n")
        self.assertEqual(400, bad.response().status)

        samples = proxy.metrics()

        def count(**labels):
            return metric_sum(samples, "remora_requests_total", **labels)
        self.assertEqual(7, count(listener="in", cluster="app", code="2xx"))
        self.assertEqual(3, count(listener="in", cluster="app", code="5xx"))
        self.assertEqual(2, count(listener="in", cluster="app", code="4xx"))
        self.assertEqual(2, count(listener="dead", code="5xx"))
        self.assertEqual(4, metric_sum(samples, "remora_local_replies_total", listener="in", flag="NR"))
        self.assertEqual(1, metric_sum(samples, "remora_local_replies_total", listener="in", flag="DPE"))
        self.assertEqual(2, metric_sum(samples, "remora_local_replies_total", listener="dead", flag="UF"))
        self.assertEqual(12, metric_sum(samples, "remora_request_seconds_count", listener="in",
                                        cluster="app"))
        total = count()
        self.assertEqual(total, metric_sum(samples, "remora_request_seconds_count"),
                         "histogram and counter agree")
        self.assertIn(total, (18, 19), "a malformed head may or may not count as a request")

    def test_connections_are_counted_and_given_back(self):
        backend = self.backend()
        proxy = self.remora(simple_config([backend.endpoint]))
        clients = [Client(proxy.address("in")) for _ in range(5)]
        for client in clients:
            self.assertEqual(200, client.get("/").status)

        def downstream():
            return {k: v for k, v in proxy.metrics().items() if k.startswith("remora_connections{")
                    and "downstream" in k}
        self.assertEqual(5, sum(downstream().values()), downstream())
        for client in clients:
            client.reset()
        eventually(lambda: sum(downstream().values()) == 0, "no downstream connection is left")

    def test_counters_never_go_down(self):
        proxy = self.remora(simple_config([self.backend().endpoint], extra="[runtime]\nworkers = 2"))
        before = {}
        for _ in range(5):
            for _ in range(4):
                fetch(proxy.address("in"))
            now = {k: v for k, v in proxy.metrics().items()
                   if k.partition("{")[0].endswith(("_total", "_count", "_bucket"))}
            for key, value in before.items():
                self.assertGreaterEqual(now[key], value, key)
            before = now
        self.assertEqual(20, metric_sum(before, "remora_requests_total", listener="in"))

    def test_the_transparent_retry_is_counted(self):
        ok = answer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        def script(upstream, request):
            if upstream.requests == 2:
                upstream.reset()
                return False
            return ok(upstream, request)
        proxy = self.remora(simple_config([self.backend(script).endpoint]))
        client = self.client(proxy.address("in"))
        self.assertEqual([200, 200], [client.get("/").status for _ in range(2)])
        self.assertEqual(1, metric_sum(proxy.metrics(), "remora_retries_total", cluster="app"))
        proxy.access.wait(r"\bUR\b")


if __name__ == "__main__":
    main()
