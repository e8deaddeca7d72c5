"""What the operator can switch on or order, one thing at a time: health checks, ejection, orders to an
endpoint, deadlines, limits, fallbacks, hedging.
"""

import socket

from harness import Client, answer, eventually, fetch, finish, main, request_bytes, simple_config
from resilience_support import GENEROUS_BUDGET, ResilienceCase, address_of, order, view

OK_FROM = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"


def stall(upstream, request):
    """A script that reads the request and answers nothing."""
    upstream.body(request)
    return finish(upstream, "stall")


class Health(ResilienceCase):
    CHECK = """
[cluster.health_check]
path = "/health"
interval = "1s"
timeout = "1s"
fall = 2
"""  # patient: a check of the one that is well that is late on a busy machine is another test

    def test_the_first_check_decides_who_gets_traffic(self):
        bad, good = self.faulty(health=500), self.faulty()
        proxy = self.before([bad, good], cluster=self.CHECK)
        for _ in range(10):
            self.assertEqual(200, fetch(proxy.address("in")).status)
        self.assertEqual((0, 10), (bad.counters()["requests"], good.counters()["requests"]))
        shown = view(proxy, bad)
        self.assertEqual((False, "failing"), (shown.available, shown.check))
        self.assertIn("check", shown.why)
        self.assertIn("500", shown.check_reason, "the page says why")
        self.assertTrue(view(proxy, good).available)

    def test_a_check_that_fails_takes_traffic_away_and_one_that_passes_brings_it_back(self):
        backends = [self.faulty(), self.faulty()]
        first, second = backends
        proxy = self.before(backends, cluster='slow_start = "0s"\n' + self.CHECK)
        first.set(health=503)
        eventually(lambda: view(proxy, first).check == "failing", "the check failing")
        first.clear()
        for _ in range(10):
            self.assertEqual(200, fetch(proxy.address("in")).status)
        self.assertEqual(0, first.counters()["requests"])
        first.set()
        eventually(lambda: view(proxy, first).available, "the check passing")
        for _ in range(10):
            self.assertEqual(200, fetch(proxy.address("in")).status)
        self.assertEqual(5, first.counters()["requests"])

    def test_outliers_are_ejected_but_enough_are_kept(self):
        backends = self.faulty_three()
        proxy = self.before(backends, cluster="""
[cluster.breaker]
enabled = false
[cluster.outlier]
consecutive_failures = 3
interval = "30s"
base_ejection = "30s"
keep_at_least = 2
""")
        client = self.client(proxy.address("in"))
        backends[0].set(mode="status", status=500)

        def ejected():
            client.get("/")
            return view(proxy, backends[0]).ejected
        eventually(ejected, "ejection of the one that fails")
        self.assertFalse(view(proxy, backends[0]).available)
        backends[0].clear()
        self.assertEqual({200}, {client.get("/").status for _ in range(12)})
        self.assertEqual(0, backends[0].counters()["requests"])
        backends[1].set(mode="status", status=500)
        self.assertEqual({200, 500}, {client.get("/").status for _ in range(12)})
        proxy.log.wait(r"(?i)keep_at_least|suppress")
        self.assertFalse(view(proxy, backends[1]).ejected)
        self.assertEqual({200, 500}, {client.get("/").status for _ in range(12)})


class Orders(ResilienceCase):
    def served(self, proxy, requests=8):
        """How many of the next requests each backend serves."""
        for backend in self.backends:
            backend.clear()
        client = self.client(proxy.address("in"))
        for _ in range(requests):
            self.assertEqual(200, client.get("/").status)
        return [backend.counters()["requests"] for backend in self.backends]

    def setUp(self):
        self.backends = [self.faulty(), self.faulty()]
        self.proxy = self.before(self.backends, cluster='slow_start = "0s"')

    def obeys(self, verb):
        response = order(self.proxy, self.backends[0], verb)
        self.assertIn(response.status, (200, 204), response.body)

    def test_open_and_close(self):
        self.obeys("open")
        shown = view(self.proxy, self.backends[0])
        self.assertEqual(("open", "manual", False), (shown.breaker, shown.breaker_reason, shown.available))
        self.assertEqual([0, 8], self.served(self.proxy))
        self.obeys("close")
        self.assertEqual("closed", view(self.proxy, self.backends[0]).breaker)
        self.assertEqual([4, 4], self.served(self.proxy))

    def test_drain_and_undrain(self):
        first, second = self.backends
        for backend in self.backends:
            backend.set(mode="hang")
        clients = [self.client(self.proxy.address("in")) for _ in range(2)]
        for client in clients:
            client.send(request_bytes("GET", "/"))
        for backend in self.backends:
            self.until(backend, lambda c: c["in_flight"] == 1, "a request in flight at each")
        self.obeys("drain")
        shown = view(self.proxy, first)
        self.assertEqual((False, "draining"), (shown.available, shown.why))
        for backend in self.backends:
            backend.set()
        for client in clients:
            self.assertEqual(200, client.response().status, "what was in flight is finished")
        self.assertEqual([0, 8], self.served(self.proxy))
        self.obeys("undrain")
        self.assertEqual([4, 4], self.served(self.proxy))

    def test_orders_that_mean_nothing(self):
        self.assertEqual(404, order(self.proxy, self.backends[0], "open", cluster="other").status)
        nobody = self.proxy.admin("/clusters/app/endpoints/192.0.2.1:1/open", method="POST")
        self.assertEqual(404, nobody.status)
        self.assertIn(order(self.proxy, self.backends[0], "explode").status, (400, 404))
        address = address_of(self.backends[0])
        self.assertEqual(405, self.proxy.admin(f"/clusters/app/endpoints/{address}/open").status)
        self.assertEqual([4, 4], self.served(self.proxy))


class Deadlines(ResilienceCase):
    def test_a_callers_deadline_is_kept_and_passed_on(self):
        backend = self.backend(stall)
        proxy = self.before([backend])
        response = fetch(proxy.address("in"), headers=[("x-request-timeout-ms", "300")])
        self.assertEqual((504, "UT"), (response.status, response.flag))
        backend.wait(lambda: backend.received, "the request")
        passed_on = int(backend.received[0].request.get("x-request-timeout-ms"))
        self.assertLessEqual(passed_on, 300)
        self.assertGreater(passed_on, 0)

    def test_a_deadline_that_is_none_is_ignored(self):
        backend = self.backend()
        proxy = self.before([backend])
        for text in ("soon", "-1", "12345678901", "1.5"):
            self.assertEqual(200, fetch(proxy.address("in"), headers=[("x-request-timeout-ms", text)]).status)

    def test_a_try_has_its_own_timeout(self):
        backends = [self.faulty(mode="hang"), self.faulty()]
        proxy = self.before(backends, cluster="""
[cluster.retry]
on = ["timeout"]
per_try_timeout = "100ms"
""" + GENEROUS_BUDGET)
        self.assertEqual([200] * 4, [fetch(proxy.address("in")).status for _ in range(4)])
        self.assertGreaterEqual(backends[0].counters()["requests"], 1)
        proxy.access.wait(r" 200 .*attempts=2")


class Limits(ResilienceCase):
    def test_a_listeners_rate_limit(self):
        proxy = self.before([self.backend()], listener='rate_limit = { requests = 3, per = "1h", burst = 3 }')
        client = self.client(proxy.address("in"))
        replies = [client.get("/") for _ in range(5)]
        self.assertEqual([200, 200, 200, 429, 429], [reply.status for reply in replies])
        self.assertEqual("RL", replies[3].flag)
        self.assertGreaterEqual(int(replies[3].get("retry-after")), 1)

    def test_a_routes_rate_limit_for_each_key(self):
        limit = 'rate_limit = { requests = 1, per = "1h", burst = 1, key = { header = "X-Api-Key" } }'
        proxy = self.before([self.backend()], route=limit)
        client = self.client(proxy.address("in"))
        statuses = [client.get("/", [("X-Api-Key", key)]).status for key in ("a", "b", "a", "b", "c")]
        self.assertEqual([200, 200, 429, 429, 200], statuses)

    def test_requests_beyond_the_limit_wait_and_beyond_the_queue_are_refused(self):
        backend = self.faulty(mode="hang")
        proxy = self.before([backend], cluster="""
[cluster.limits]
requests = 1
pending = 1
pending_timeout = "30s"
""")
        first, *others = (self.client(proxy.address("in")) for _ in range(3))
        first.send(request_bytes("GET", "/"))
        self.until(backend, lambda c: c["in_flight"] == 1, "the first request")
        for client in others:
            client.send(request_bytes("GET", "/"))
        eventually(lambda: others[0].readable(0.05) or others[1].readable(0.05), "a refusal")
        refused, waiting = sorted(others, key=lambda client: not client.readable())
        response = refused.response()
        self.assertEqual((503, "UO"), (response.status, response.flag))
        self.assertEqual(1, backend.counters()["requests"])
        backend.set()
        self.assertEqual([200, 200], [client.response().status for client in (first, waiting)])

    def test_who_waits_too_long_is_refused(self):
        backend = self.faulty(mode="hang")
        proxy = self.before([backend], cluster="""
[cluster.limits.per_endpoint]
requests = 1
[cluster.limits]
pending_timeout = "100ms"
""")
        first = self.client(proxy.address("in"))
        first.send(request_bytes("GET", "/"))
        self.until(backend, lambda c: c["in_flight"] == 1, "the first request")
        response = fetch(proxy.address("in"))
        self.assertEqual((503, "UO"), (response.status, response.flag))
        self.assertEqual(1, backend.counters()["requests"])


class Fallbacks(ResilienceCase):
    BREAKER = """
[cluster.breaker]
consecutive_failures = 1
open_for = "30s"
[cluster.breaker.fallback]
"""

    def dead(self):
        backend = self.faulty()
        backend.kill()
        return backend

    def test_a_response(self):
        proxy = self.before([self.dead()], cluster=self.BREAKER + 'status = 200\nbody = "from memory"')
        self.assertEqual("UF", fetch(proxy.address("in")).flag, "no breaker is open yet")
        response = fetch(proxy.address("in"))
        self.assertEqual((200, b"from memory", "CO"), (response.status, response.body, response.flag))

    def test_another_cluster(self):
        spare = self.backend(answer(OK_FROM + b"spare"))
        config = simple_config([self.dead().address], cluster=self.BREAKER + 'cluster = "spare"')
        proxy = self.remora(f'{config}\n[[cluster]]\nname = "spare"\nendpoints = ["{spare.endpoint}"]\n')
        self.assertEqual("UF", fetch(proxy.address("in")).flag, "no breaker is open yet")
        response = fetch(proxy.address("in"))
        self.assertEqual((200, b"spare"), (response.status, response.body))


class Retries(ResilienceCase):
    HEDGE = """
[cluster.retry]
hedge = { after = "50ms" }
""" + GENEROUS_BUDGET

    def test_a_hedge_wins(self):
        slow, quick = self.faulty(delay_us=1_500_000), self.faulty()
        proxy = self.before([slow, quick], cluster=self.HEDGE)
        for _ in range(4):
            response = fetch(proxy.address("in"))
            self.assertEqual((200, str(quick.port)), (response.status, response.get("x-backend")))
        self.assertEqual(4, quick.counters()["requests"])
        self.assertGreaterEqual(slow.counters()["requests"], 1)
        self.until(slow, lambda c: c["in_flight"] == 0, "the losers are cancelled")
        proxy.access.wait(r" 200 .*attempts=2")

    def test_a_post_is_not_hedged(self):
        backends = [self.faulty(delay_us=300_000), self.faulty(delay_us=300_000)]
        proxy = self.before(backends, cluster=self.HEDGE)
        self.assertEqual(200, fetch(proxy.address("in"), method="POST", body=b"x").status)
        self.assertEqual(1, sum(backend.counters()["requests"] for backend in backends))

    def test_a_body_too_large_to_keep_is_not_sent_again(self):
        backends = [self.faulty(mode="reset"), self.faulty(mode="reset")]
        proxy = self.before(backends, cluster="[cluster.breaker]\nenabled = false\n")
        for size, tries in ((1000, 2), (200_000, 1)):
            for backend in backends:
                backend.clear()
            response = fetch(proxy.address("in"), method="PUT", body=b"x" * size)
            self.assertEqual((502, "UC"), (response.status, response.flag))
            seen = sum(backend.counters()["requests"] for backend in backends)
            self.assertEqual(tries, seen, f"{size} bytes")

    def test_retries_do_not_multiply_along_a_chain(self):
        """Each of two hops would try twice: the second one sees that it is a retry, and tries it once."""
        retry = """
[cluster.breaker]
enabled = false
[cluster.retry]
on = ["503"]
backoff = { base = "1ms", max = "1ms" }
""" + GENEROUS_BUDGET
        backends = [self.faulty(mode="status", status=503) for _ in range(2)]
        second = self.remora(simple_config([backend.address for backend in backends], cluster=retry) + """
[[listener]]
name = "too"
address = "127.0.0.1:0"
[[listener.route]]
cluster = "app"
""")
        hops = [f"127.0.0.1:{second.port(name)}" for name in ("in", "too")]
        first = self.remora(simple_config(hops, cluster=retry))
        self.assertEqual(503, fetch(first.address("in")).status)
        self.assertEqual(3, sum(backend.counters()["requests"] for backend in backends))

    def test_what_another_proxy_has_rejected_is_not_retried(self):
        backend = self.backend(answer(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nx-remora-flag: UO\r\n\r\n"))
        proxy = self.before([backend], cluster='[cluster.retry]\non = ["503"]\n' + GENEROUS_BUDGET)
        self.assertEqual(503, fetch(proxy.address("in")).status)
        self.assertEqual(1, len(backend.complete()))


if __name__ == "__main__":
    main()
