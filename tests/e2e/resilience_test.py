"""Backends that die, hang, refuse, fail and are overrun: what clients notice of it, and what the backends
get.

The scenarios (a) to (h) of docs/resilience.md, asserted by counts; tests/bench/resilience measures times.
"""

from harness import Client, eventually, fetch, is_sanitized, main, request_bytes, resident
from resilience_support import GENEROUS_BUDGET, ResilienceCase, cpu_seconds, view
from resilience_tools import SLOT_US, now_us, requests_between


class Dying(ResilienceCase):
    def test_a_killed_backend_is_noticed_by_no_client(self):
        """(a) kill -9 of one of three: no error for idempotent requests."""
        backends = self.faulty_three(delay_us=5000)
        proxy = self.before(backends, cluster='[cluster.breaker]\nopen_for = "30s"')
        load = self.load(proxy, 20, connections=24)
        self.until(backends[0], lambda c: c["requests"] > 100, "traffic")
        killed = now_us()
        backends[0].kill()
        self.until_breaker(proxy, backends[0], "open")
        seen = backends[1].counters()["requests"]
        self.until(backends[1], lambda c: c["requests"] > seen + 50, "traffic without it")
        records = load.end()
        self.assert_all(200, records)
        self.assertGreater(len(records.between(killed)), 100)

    def test_with_every_backend_dead_a_rejection_is_cheap(self):
        """(c) 503 at once, without dialling, for less than what serving costs."""
        backends = [self.faulty(), self.faulty()]
        proxy = self.before(backends, cluster="""
[cluster.breaker]
consecutive_failures = 2
open_for = "30s"
""")
        served_cpu, served = self.cpu_of_load(proxy)
        self.assert_all(200, served)
        for backend in backends:
            backend.kill()
        eventually(lambda: fetch(proxy.address("in")).flag == "CO", "every breaker open")
        for backend in backends:
            self.assertEqual(2, proxy.metrics()[
                f'remora_breaker_state{{cluster="app",endpoint="{backend.address}"}}'])
        backends[0].start()  # from now on somebody could answer
        client = self.client(proxy.address("in"))
        for _ in range(20):
            response = client.get("/")
            self.assertEqual((503, "CO"), (response.status, response.flag))
            self.assertGreaterEqual(int(response.get("retry-after")), 1)
        rejected_cpu, rejected = self.cpu_of_load(proxy)
        self.assert_all(503, rejected)
        self.assertEqual(["CO"], list(rejected.report["flags"]))
        self.assertEqual(0, backends[0].counters()["accepted"], "an open breaker does not dial")
        self.assertLess(rejected_cpu, served_cpu)

    def cpu_of_load(self, proxy):
        before = cpu_seconds(proxy)
        records = self.load(proxy, 10, requests=2000, connections=4).wait()
        return cpu_seconds(proxy) - before, records

    def test_a_backend_that_returns_gets_traffic_at_once_but_little_at_first(self):
        """(d) within a check's interval, in a ramp."""
        backends = self.faulty_three(delay_us=1000)
        proxy = self.before(backends, cluster="""
slow_start = "2s"
[cluster.breaker]
open_for = "200ms"
max_open_for = "200ms"
[cluster.health_check]
path = "/health"
interval = "300ms"
timeout = "300ms"
rise = 1
fall = 2
""")
        load = self.load(proxy, 20, rate=300, connections=600)
        self.until(backends[0], lambda c: c["requests"] > 30, "traffic")
        backends[0].kill()
        eventually(lambda: view(proxy, backends[0]).check == "failing", "the check failing")
        backends[1].clear()
        backends[0].start(delay_us=1000)
        self.until(backends[0], lambda c: c["requests"] > 0, "traffic after its return", deadline=3)
        load.child.pause(3.2)
        self.assert_all(200, load.end())
        one, other = backends[0].counters(), backends[1].counters()
        first = one["begun_us"] + next(i for i, count in enumerate(one["slots"]) if count) * SLOT_US
        early, late = ((requests_between(c, first, first + 600_000),
                        requests_between(c, first + 2_500_000, first + 3_100_000)) for c in (one, other))
        self.assertLess(early[0], 0.6 * late[0], f"early and late: {early}, of another one: {late}")
        self.assertGreater(early[1], 0.6 * late[1], f"early and late: {early}, of another one: {late}")


class Hanging(ResilienceCase):
    BREAKER = """
[cluster.breaker]
open_for = "{open_for}"
max_open_for = "{open_for}"
[cluster.retry]
on = ["connect-failure", "refused", "reset", "timeout"]
per_try_timeout = "200ms"
"""

    def hanging_proxy(self, backends, open_for):
        return self.before(backends, cluster=self.BREAKER.format(open_for=open_for) + GENEROUS_BUDGET)

    def test_a_hanging_backend_is_left_alone(self):
        """(b) nobody waits for it once its breaker is open."""
        backends = self.faulty_three()
        proxy = self.hanging_proxy(backends, "30s")
        load = self.load(proxy, 20, rate=100, connections=200)
        for backend in backends:
            self.until(backend, lambda c: c["requests"] > 10, "traffic")
        hanging = backends[0]
        before = hanging.counters()["requests"]
        hanging.set(mode="hang")
        self.until_breaker(proxy, hanging, "open")
        opened = now_us()
        then = self.until(hanging, lambda c: c["in_flight"] == 0, "the end of what it held")
        other = backends[1].counters()["requests"]
        self.until(backends[1], lambda c: c["requests"] > other + 60, "traffic to the others")
        self.assertEqual(then["requests"], hanging.counters()["requests"], "no request while it is open")
        records = load.end()
        self.assert_all(200, records)
        self.assertGreaterEqual(then["requests"] - before, 5)
        self.assertLess(then["requests"] - before, 45, "5 failures, and what was in flight meanwhile")
        self.assertLess(records.percentile(0.5, begin_us=opened), 200_000, "nobody waits for its timeout")

    def test_a_hanging_backend_gets_one_probe_at_a_time(self):
        """(b) until it answers again."""
        backends = [self.faulty(mode="hang"), self.faulty()]
        hanging = backends[0]
        proxy = self.hanging_proxy(backends, "250ms")
        load = self.load(proxy, 20, rate=100, connections=200)
        self.until_breaker(proxy, hanging, "open")
        self.until(hanging, lambda c: c["in_flight"] <= 1, "the end of what it held")
        hanging.clear()
        seen = self.until(hanging, lambda c: c["requests"] >= 3, "probes")
        self.assertEqual(1, seen["most_in_flight"])
        hanging.set()
        self.until_breaker(proxy, hanging, "closed")
        self.assert_all(200, load.end())


class Failing(ResilienceCase):
    STORM = """
[cluster.breaker]
enabled = {breaker}
open_for = "30s"
[cluster.retry]
attempts = 3
on = ["5xx"]
backoff = {{ base = "1ms", max = "1ms" }}
budget = {{ ratio = 0.2, min_per_second = 0 }}
"""

    def storm(self, breaker, requests=1500):
        """Every backend answers 503: (requests that reached them, Records)."""
        backends = self.faulty_three(mode="status", status=503)
        proxy = self.before(backends, cluster=self.STORM.format(breaker=breaker))
        records = self.load(proxy, 20, requests=requests, connections=8).wait()
        self.assert_all(503, records)
        self.assertEqual(requests, len(records))
        return sum(backend.counters()["requests"] for backend in backends), records

    def test_the_budget_alone_makes_a_retry_storm_impossible(self):
        """(e) fewer upstream requests than (1 + budget) x client requests."""
        upstream, _ = self.storm("false")
        self.assertLessEqual(upstream, 1500 * 1.2 + 1)
        self.assertGreater(upstream, 1500 * 1.1, "it does retry, within its budget")

    def test_open_breakers_end_a_retry_storm(self):
        """(e) as it is by default: three times five failures, and what was in flight."""
        upstream, records = self.storm("true")
        self.assertLessEqual(upstream, 3 * (5 + 8))
        self.assertGreaterEqual(records.report["flags"]["CO"], 1500 - upstream)

    FOUR_WORKERS = """
[cluster.breaker]
consecutive_failures = 7
open_for = "{open_for}"
max_open_for = "{open_for}"
half_open_requests = 2
success_threshold = 2
[cluster.retry]
attempts = 1
"""

    def four_workers(self, backend, open_for):
        return self.before([backend], cluster=self.FOUR_WORKERS.format(open_for=open_for),
                           extra="[runtime]\nworkers = 4")

    def test_four_workers_count_failures_together(self):
        """(f) one request at a time, on a connection of its own: all workers serve, one breaker counts."""
        backend = self.faulty(mode="status", status=503)
        proxy = self.four_workers(backend, "30s")
        flags = [fetch(proxy.address("in")).flag for _ in range(50)]
        failures = backend.counters()["requests"]
        self.assertIn(failures, (7, 8), "seven, and one that was let in while the seventh was reported")
        self.assertEqual([None] * failures + ["CO"] * (50 - failures), flags)

    def test_four_workers_with_requests_in_flight(self):
        """(f) at most those that were in flight when the last failure came."""
        backend = self.faulty(mode="status", status=503, delay_us=50_000)
        proxy = self.four_workers(backend, "30s")
        records = self.load(proxy, 20, requests=200, connections=20).wait()
        self.assert_all(503, records)
        failures = backend.counters()["requests"]
        self.assertGreaterEqual(failures, 7)
        self.assertLess(failures, 7 + 20)
        self.assertEqual(200 - failures, records.report["flags"]["CO"])

    def test_four_workers_let_exactly_the_probes_through(self):
        """(f) half-open: two, not two for each worker."""
        backend = self.faulty(mode="status", status=503)
        proxy = self.four_workers(backend, "500ms")
        eventually(lambda: fetch(proxy.address("in")).flag == "CO", "the breaker open")
        backend.set(mode="hang")
        backend.clear()
        load = self.load(proxy, 20, rate=200, connections=400, close=True)
        self.until(backend, lambda c: c["requests"] >= 2, "probes")
        self.until_breaker(proxy, backend, "half_open")
        load.child.pause(0.7)
        seen = backend.counters()
        self.assertEqual((2, 2), (seen["requests"], seen["most_in_flight"]))
        backend.set()
        self.until_breaker(proxy, backend, "closed")
        self.assertEqual({"CO"}, set(load.end().report["flags"]))


class Repeating(ResilienceCase):
    ON = 'on = ["connect-failure", "refused", "reset", "timeout", "503"]\n'
    CLUSTER = """
[cluster.breaker]
enabled = false
[cluster.retry]
attempts = 3
per_try_timeout = "300ms"
""" + ON + GENEROUS_BUDGET

    def trouble(self, **options):
        """A load on one good backend and two that reset, hang, answer 503 and refuse: (Records, ids seen)."""
        backends = [self.faulty(record=1) for _ in range(3)]
        proxy = self.before(backends, cluster=self.CLUSTER)
        load = self.load(proxy, 20, rate=400, connections=800, id="r", body=300, **options)
        for number, mode in enumerate(("reset", "status", "refuse", "ok", "hang", "refuse", "ok")):
            backends[number % 2].set(mode=mode, share=0.3 if mode in ("reset", "status") else 1, record=1)
            load.child.pause(0.25)
        records = load.end()
        return records, [seen for backend in backends for seen in backend.ids()]

    def test_a_post_arrives_at_most_once(self):
        """(g) whatever becomes of it, once a byte of it has left."""
        records, ids = self.trouble(method="POST")
        self.assertEqual(len(ids), len(set(ids)))
        self.assertGreater(records.report["statuses"].get("200", 0), 100)
        self.assertLess(records.report["statuses"].get("200", 0), len(records), "there was trouble")

    def test_a_post_with_an_idempotency_key_may_arrive_again(self):
        """(g) and so does what is idempotent: then nobody notices the trouble."""
        for options in ({"method": "POST", "header": "Idempotency-Key: {id}"}, {"method": "PUT"}):
            with self.subTest(options):
                records, ids = self.trouble(**options)
                self.assertGreater(len(ids), len(set(ids)))
                self.assert_all(200, records)

    def test_a_post_of_which_only_the_head_was_read(self):
        """(g) to the byte: the backend resets after the head, and the other one never hears of it."""
        def script(upstream, request):
            upstream.reset()
            return False
        first, second = self.backend(script), self.backend(script)
        proxy = self.before([first, second], cluster=self.CLUSTER)
        with Client(proxy.address("in")) as client:
            client.send(request_bytes("POST", "/", body=b"abc"))
            response = client.response("POST")
        self.assertEqual((502, "UC"), (response.status, response.flag))
        self.assertEqual(1, len(first.received) + len(second.received))

    def test_a_post_that_nobody_took_is_sent_elsewhere(self):
        """(g) no byte of it has left: it may go to another endpoint."""
        dead, well = self.faulty(), self.backend()
        dead.kill()
        proxy = self.before([dead, well], cluster=self.CLUSTER)
        for _ in range(4):
            self.assertEqual(200, fetch(proxy.address("in"), method="POST", body=b"abc").status)
        self.assertEqual(4, len(well.complete()))


class Overrun(ResilienceCase):
    def test_an_overload_leaves_goodput_and_bounds_memory(self):
        """(h) far more than the backends can do: they stay busy, and nothing piles up."""
        backends = [self.faulty(delay_us=10_000, workers=2) for _ in range(2)]
        proxy = self.before(backends, cluster="""
[cluster.limits]
pending = 100
pending_timeout = "250ms"
[cluster.limits.per_endpoint]
requests = 4
""")
        possible = self.load(proxy, 1.0, connections=8).wait()
        self.assert_all(200, possible)
        before = resident(proxy)
        rate = 1000 if is_sanitized() else 4000  # what the proxy itself can do is not the question here
        load = self.load(proxy, 2.0, rate=rate, connections=3000, timeout_ms=2000)
        load.child.pause(1.7)
        grown = resident(proxy) - before
        records = load.wait()
        self.assertLessEqual(max(backend.counters()["most_in_flight"] for backend in backends), 4)
        self.assertEqual({"200", "503"}, set(records.report["statuses"]))
        self.assertEqual({"UO"}, set(records.report["flags"]))
        self.assertGreater(records.report["statuses"]["200"], 2 * 0.6 * len(possible))
        if not is_sanitized():
            self.assertLess(grown, 64 << 20)


if __name__ == "__main__":
    main()
