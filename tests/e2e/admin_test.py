"""The admin server: its pages, what it refuses, and that the numbers add up."""

import json
import shutil
import subprocess
import threading
import tomllib

from harness import (OK, Client, TestCase, answer, eventually, fetch, main, metric_sum, refused_address,
                     request_bytes, simple_config)

EVERYTHING = """
[cluster.limits]
connections = 100
requests = 50
retries = 10
[cluster.health_check]
protocol = "tcp"
interval = "100ms"
fall = 1
panic_below = 0
[cluster.outlier]
interval = "60s"
[cluster.adaptive_concurrency]
"""


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


class Resilience(TestCase):
    """What /clusters and /metrics say while something is wrong: the same."""

    def shown(self, proxy, cluster="app"):
        """What /clusters says of a cluster."""
        pages = json.loads(proxy.admin("/clusters").body)["clusters"]
        return next(page for page in pages if page["name"] == cluster)

    def refused(self):
        sock, address = refused_address()
        self.addCleanup(sock.close)
        return f"127.0.0.1:{address[1]}"

    def assert_samples(self, proxy, expected):
        samples = proxy.metrics()
        self.assertEqual(expected, {key: samples.get(key) for key in expected})

    def test_an_open_breaker(self):
        dead = self.refused()
        proxy = self.remora(simple_config([dead], cluster="""
[cluster.breaker]
consecutive_failures = 2
open_for = "50s"
jitter = 0
[cluster.retry]
attempts = 1
"""))
        self.assertEqual(["UF", "UF", "CO"], [fetch(proxy.address("in")).flag for _ in range(3)])
        app = self.shown(proxy)
        self.assertIsNone(app["breaker"], "each endpoint has its own")
        endpoint = app["endpoints"][0]
        self.assertEqual((False, "breaker", 2), (endpoint["available"], endpoint["unavailable_because"],
                                                 endpoint["requests"]))
        breaker = endpoint["breaker"]
        self.assertEqual(("open", False, 1), (breaker["state"], breaker["forced"], breaker["openings"]))
        self.assertTrue(breaker["reason"])
        self.assertTrue(0 < breaker["probes_in_seconds"] <= 50, breaker)
        self.assertTrue(0 <= breaker["changed_seconds_ago"] < 50, breaker)
        labels = f'cluster="app",endpoint="{dead}"'
        self.assert_samples(proxy, {
            f"remora_breaker_state{{{labels}}}": 2,
            f'remora_breaker_transitions_total{{{labels},to="open"}}': 1,
            f"remora_endpoint_available{{{labels}}}": 0,
            f'remora_endpoint_healthy{{{labels},source="breaker"}}': 0})
        self.assertEqual(200, proxy.admin(f"/clusters/app/endpoints/{dead}/close", "POST").status)
        breaker = self.shown(proxy)["endpoints"][0]["breaker"]
        self.assertEqual(("closed", "manual", None), (breaker["state"], breaker["reason"],
                                                      breaker["probes_in_seconds"]))
        self.assert_samples(proxy, {f"remora_breaker_state{{{labels}}}": 0,
                                    f"remora_endpoint_available{{{labels}}}": 1})

    def test_a_breaker_of_the_whole_cluster(self):
        dead = self.refused()
        proxy = self.remora(simple_config([dead], cluster="""
[cluster.breaker]
scope = "cluster"
consecutive_failures = 1
[cluster.retry]
attempts = 1
"""))
        self.assertEqual(["UF", "CO"], [fetch(proxy.address("in")).flag for _ in range(2)])
        app = self.shown(proxy)
        self.assertEqual("open", app["breaker"]["state"])
        self.assertIsNone(app["endpoints"][0]["breaker"])
        states = {key: value for key, value in proxy.metrics().items() if key.startswith("remora_breaker_state")}
        self.assertEqual({'remora_breaker_state{cluster="app",endpoint="*"}': 2}, states)

    def test_a_failing_check(self):
        bad, good = self.refused(), self.backend().endpoint
        proxy = self.remora(simple_config([bad, good], cluster=EVERYTHING))
        for _ in range(4):
            self.assertEqual(200, fetch(proxy.address("in")).status)
        first, second = self.shown(proxy)["endpoints"]
        self.assertEqual((False, "active_check", "failing"),
                         (first["available"], first["unavailable_because"], first["health_check"]["state"]))
        self.assertIn("connect", first["health_check"]["last_reason"])
        self.assertLess(first["health_check"]["failed_seconds_ago"], 60)
        self.assertGreaterEqual(first["health_check"]["failures"], 1)
        self.assertEqual((True, None, "passing", 4),
                         (second["available"], second["unavailable_because"],
                          second["health_check"]["state"], second["requests"]))
        self.assertEqual({"ejected": False, "for_seconds": None, "ejections": 0, "last_reason": None,
                          "last_detail": None}, second["outlier"])
        good_labels, bad_labels = (f'cluster="app",endpoint="{address}"' for address in (good, bad))
        self.assert_samples(proxy, {
            f'remora_endpoint_healthy{{{bad_labels},source="active"}}': 0,
            f'remora_endpoint_healthy{{{bad_labels},source="breaker"}}': 1,
            f'remora_endpoint_healthy{{{bad_labels},source="outlier"}}': 1,
            f'remora_endpoint_healthy{{{good_labels},source="active"}}': 1,
            f"remora_endpoint_available{{{bad_labels}}}": 0,
            f"remora_endpoint_available{{{good_labels}}}": 1,
            'remora_cluster_panic{cluster="app"}': 0})
        failed = proxy.metrics()[f'remora_health_checks_total{{{bad_labels},result="fail"}}']
        self.assertGreaterEqual(failed, first["health_check"]["failures"])

    def test_everything_on_passes_promtool(self):
        proxy = self.remora(simple_config([self.backend().endpoint], cluster=EVERYTHING))
        self.assertEqual(200, fetch(proxy.address("in")).status)
        body = proxy.admin("/metrics").body
        done = subprocess.run([shutil.which("promtool"), "check", "metrics"], input=body, capture_output=True,
                              timeout=30, check=False)
        self.assertEqual((0, b"", b""), (done.returncode, done.stdout, done.stderr))
        for name in (b"remora_concurrency_limit", b"remora_limit_in_use", b"remora_retry_budget_left",
                     b"remora_load_level", b"remora_health_checks_total"):
            self.assertIn(b"\n# TYPE " + name + b" ", body)
        limits = self.shown(proxy)["limits"]
        self.assertEqual([100, 50, 10], [limits[key]["limit"] for key in ("connections", "requests", "retries")])
        self.assertGreaterEqual(limits["adaptive"]["limit"], 1)

    def test_retries(self):
        proxy = self.remora(simple_config([self.refused(), self.backend().endpoint], cluster="""
[cluster.breaker]
enabled = false
"""))
        for _ in range(8):
            self.assertEqual(200, fetch(proxy.address("in")).status)
        app = self.shown(proxy)
        retried = app["endpoints"][0]["requests"]
        self.assertGreaterEqual(retried, 4, "every second pick is the dead one")
        self.assertEqual({"made": retried, "succeeded": retried, "failed": 0, "hedges": 0, "hedge_wins": 0,
                          "budget_exhausted": 0, "transparent": 0}, app["retries"])
        self.assert_samples(proxy, {
            'remora_retries_total{cluster="app",outcome="success"}': retried,
            'remora_retries_total{cluster="app",outcome="failure"}': 0,
            'remora_retries_total{cluster="app",outcome="transparent"}': 0})

    def test_a_full_cluster(self):
        """One request in flight, one that waits, one that is turned away."""
        go = threading.Event()

        def script(upstream, request):
            upstream.body(request)
            go.wait()
            upstream.send(OK)
        backend = self.backend(script)
        self.addCleanup(go.set)
        proxy = self.remora(simple_config([backend.endpoint], cluster="""
[cluster.limits]
requests = 1
pending = 1
pending_timeout = "60s"
"""))
        clients = [self.client(proxy.address("in")) for _ in range(2)]
        for n, client in enumerate(clients):
            client.send(request_bytes("GET", "/"))
            eventually(lambda n=n: self.shown(proxy)["limits"]["pending"]["in_use"] == n
                       and self.shown(proxy)["limits"]["requests"]["in_use"] == 1, "the request's place")
        self.assertEqual((503, "UO"), ((r := fetch(proxy.address("in"))).status, r.flag))
        self.assertEqual({"limit": 1, "in_use": 1}, self.shown(proxy)["limits"]["requests"])
        self.assert_samples(proxy, {
            'remora_limit_in_use{cluster="app",limit="requests"}': 1,
            'remora_limit_in_use{cluster="app",limit="pending"}': 1,
            'remora_limit_hits_total{cluster="app",limit="requests"}': 2,
            'remora_limit_hits_total{cluster="app",limit="pending"}': 1,
            'remora_pending_requests{cluster="app"}': 1})
        go.set()
        self.assertEqual([200, 200], [client.response().status for client in clients])
        self.assert_samples(proxy, {'remora_limit_in_use{cluster="app",limit="requests"}': 0,
                                    'remora_pending_requests{cluster="app"}': 0,
                                    'remora_pending_timeouts_total{cluster="app"}': 0})


if __name__ == "__main__":
    main()
