"""Traces: what goes upstream, what the collector gets, and that nothing of it is felt by a request."""

import json
import re
import signal
import socket

from harness import OK, TestCase, answer, eventually, fetch, main, metric_sum, simple_config
from otlp_collector import CLIENT, SERVER, Collector

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
SAMPLED = f"traceparent: 00-{TRACE}-{PARENT}-01"
ERROR = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


def traceparents(backend):
    """(trace, span, flags) of each request that the backend got."""
    texts = [received.request.get("traceparent") for received in backend.received]
    return [re.fullmatch(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})", text or "").groups() for text in texts]


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class TracingTest(TestCase):
    def collector(self, port=0):
        collector = Collector(port)
        self.addCleanup(self._close_collector, collector)
        return collector

    def _close_collector(self, collector):
        collector.close()
        self.assertEqual([], collector.violations[:3])

    def traced(self, backend, url, settings="sample = 1.0", interval="100ms", **config):
        toml = f'[tracing]\nendpoint = "{url}"\ninterval = "{interval}"\n{settings}'
        return self.remora(simple_config([backend.endpoint], extra=toml, **config))

    def get(self, proxy, *fields, path="/a", status=200):
        headers = [tuple(field.split(": ", 1)) for field in fields]
        response = fetch(proxy.address("in"), path, headers=headers)
        self.assertEqual(status, response.status)
        return response

    def until(self, proxy, name, value, **labels):
        return eventually(lambda: metric_sum(proxy.metrics(), name, **labels) >= value, f"{name} {value}")

    def test_exchange_and_attempt(self):
        backend, collector = self.backend(answer(OK)), self.collector()
        proxy = self.traced(backend, collector.url, 'sample = 0.0\nservice = "shop"\nheaders = { X-Key = "s3cret" }')
        self.get(proxy, SAMPLED, "tracestate: a=1", "tracestate: b=2", path="/a%20b?secret=1")
        spans = collector.wait(lambda spans: len(spans) == 2 and spans, "two spans")
        resource = collector.spans[0][0]
        server = next(span for span in spans if span["kind"] == SERVER)
        client = next(span for span in spans if span["kind"] == CLIENT)
        self.assertEqual("shop", resource["service.name"])
        self.assertEqual({TRACE}, {span["traceId"] for span in spans})
        self.assertEqual((PARENT, 0x301), (server["parentSpanId"], server["flags"]))
        self.assertEqual((server["spanId"], 0x101), (client["parentSpanId"], client["flags"]))
        self.assertEqual("a=1,b=2", server["traceState"])
        self.assertEqual([(TRACE, client["spanId"], "01")], traceparents(backend))
        self.assertEqual("a=1,b=2", backend.received[0].request.get("tracestate"))
        attributes = server["attributes"]
        self.assertEqual(("GET", 200, "/a%20b", "in", "app"), tuple(attributes[key] for key in (
            "http.request.method", "http.response.status_code", "url.path", "remora.listener", "remora.cluster")))
        self.assertNotIn("secret", json.dumps(spans))
        peer = client["attributes"]
        self.assertEqual(backend.endpoint, f"{peer['network.peer.address']}:{peer['network.peer.port']}")
        self.assertEqual("s3cret", collector.requests[0][1]["X-Key"])
        proxy.access.wait(rf"trace={TRACE}$")
        config = proxy.admin("/config").body.decode()
        self.assertIn("[tracing]", config)
        self.assertNotIn("s3cret", config)
        self.until(proxy, "remora_tracing_spans_delivered_total", 2)

    def test_unsampled(self):
        """Nothing is recorded, and what is passed on is right all the same."""
        backend, collector = self.backend(answer(OK)), self.collector()
        proxy = self.traced(backend, collector.url, "sample = 0.0")
        self.get(proxy, f"traceparent: 00-{TRACE}-{PARENT}-00")
        self.get(proxy)
        self.get(proxy, f"traceparent: 00-{'0' * 32}-{PARENT}-01", "tracestate: a=1")
        passed, begun, invalid = traceparents(backend)
        self.assertEqual((TRACE, PARENT, "00"), passed)
        self.assertEqual(("00", "00"), (begun[2], invalid[2]))
        self.assertNotIn("0" * 32, (begun[0], invalid[0]))
        self.assertIsNone(backend.received[2].request.get("tracestate"))
        self.get(proxy, SAMPLED)  # the caller decides
        spans = collector.wait(lambda spans: len(spans) >= 2 and spans, "the caller's")
        self.assertEqual({TRACE}, {span["traceId"] for span in spans})

    def test_retries_and_replies(self):
        backend, collector = self.backend(), self.collector()
        answers = [ERROR, OK]
        backend.script = lambda upstream, request: upstream.send(answers.pop(0))
        proxy = self.traced(backend, collector.url,
                            cluster='retry = { attempts = 2, on = ["503"], backoff = { base = "1ms", max = "1ms" } }',
                            route='prefix = "/a"')
        self.get(proxy)
        self.get(proxy, path="/elsewhere", status=404)
        spans = collector.wait(lambda spans: len(spans) >= 4 and spans, "four spans")
        clients = sorted((s for s in spans if s["kind"] == CLIENT), key=lambda s: int(s["startTimeUnixNano"]))
        self.assertEqual(["503", None], [s["attributes"].get("error.type") for s in clients])
        self.assertEqual([None, 1], [s["attributes"].get("http.request.resend_count") for s in clients])
        self.assertEqual([s["spanId"] for s in clients], [span for _, span, _ in traceparents(backend)])
        flags = {s["attributes"]["http.response.status_code"]: s["attributes"].get("remora.flag")
                 for s in spans if s["kind"] == SERVER}
        self.assertEqual({200: "UR", 404: "NR"}, flags)

    def test_b3(self):
        backend, collector = self.backend(answer(OK)), self.collector()
        proxy = self.traced(backend, collector.url, 'sample = 0.0\npropagation = ["b3", "b3multi"]')
        self.get(proxy, f"b3: {TRACE}-{PARENT}-d", "traceparent: untouched")
        client = collector.wait(lambda spans: [s for s in spans if s["kind"] == CLIENT], "the attempt")[0]
        request = backend.received[0].request
        self.assertEqual(f"{TRACE}-{client['spanId']}-d", request.get("b3"))
        self.assertEqual((TRACE, client["spanId"], "1"), tuple(
            request.get(f"x-b3-{name}") for name in ("traceid", "spanid", "flags")))
        self.assertEqual("untouched", request.get("traceparent"))

    def test_collector_that_comes_late(self):
        """Requests do not notice that there is no collector; what waited is delivered when it comes."""
        backend, port = self.backend(answer(OK)), free_port()
        proxy = self.traced(backend, f"http://localhost:{port}")
        for _ in range(5):
            self.get(proxy)
        self.until(proxy, "remora_tracing_exports_total", 1, result="failure")
        proxy.log.wait("traces are not delivered.*reason=")
        collector = self.collector(port)
        collector.wait(lambda spans: len(spans) == 10, "ten spans")
        self.assertEqual("/v1/traces", collector.requests[0][0])
        proxy.log.wait("traces are delivered again.*spans_lost=0")

    def test_answers(self):
        """503 is tried again when it says, 400 is not, and what is refused of a batch is counted."""
        backend, collector = self.backend(answer(OK)), self.collector()
        collector.answers = [(503, {"Retry-After": "1"}, b""), (200, {}, b"{}"), (400, {}, b"no such tenant"),
                             (200, {}, b'{"partialSuccess": {"rejectedSpans": "1", "errorMessage": "old"}}')]
        proxy = self.traced(backend, collector.url)
        self.get(proxy)
        collector.wait_requests(2)
        self.until(proxy, "remora_tracing_spans_delivered_total", 2)
        self.get(proxy)
        self.until(proxy, "remora_tracing_spans_dropped_total", 2, reason="rejected")
        self.get(proxy)
        self.until(proxy, "remora_tracing_spans_delivered_total", 3)
        metrics = proxy.metrics()
        self.assertEqual(3, metric_sum(metrics, "remora_tracing_spans_dropped_total", reason="rejected"))
        self.assertEqual([1, 1, 2], [metric_sum(metrics, "remora_tracing_exports_total", result=result)
                                     for result in ("failure", "rejected", "success")])

    def test_collector_that_hangs(self):
        """The queue is bounded, what it cannot take is counted, and no request waits."""
        backend, collector = self.backend(answer(OK)), self.collector()
        collector.answers = ["hang"]
        proxy = self.traced(backend, collector.url, 'sample = 1.0\nbatch = 2\nqueue = 6\ntimeout = "60s"')
        self.get(proxy)
        collector.wait_requests(1)
        for _ in range(10):
            self.get(proxy)
        self.until(proxy, "remora_tracing_spans_dropped_total", 16, reason="queue_full")
        self.assertEqual(6, metric_sum(proxy.metrics(), "remora_tracing_queued_spans"))
        collector.released.set()

    def test_end(self):
        """What waits for its batch is delivered before the process ends."""
        backend, collector = self.backend(answer(OK)), self.collector()
        proxy = self.traced(backend, collector.url, interval="1m")
        self.get(proxy)
        proxy.signal(signal.SIGTERM)
        self.assertEqual(0, proxy.wait())
        self.assertEqual(2, len(collector.spans))

    def test_reload(self):
        """Tracing comes and goes while Remora runs."""
        backend, collector = self.backend(answer(OK)), self.collector()
        plain = simple_config([backend.endpoint], extra="[runtime]\nwatch = false")
        proxy = self.remora(plain)
        self.get(proxy, SAMPLED, "tracestate: a")
        self.assertEqual(f"00-{TRACE}-{PARENT}-01", backend.received[0].request.get("traceparent"))
        self.assertEqual("a", backend.received[0].request.get("tracestate"))
        with_tracing = simple_config(
            [backend.endpoint], extra=f'[runtime]\nwatch = false\n[tracing]\nendpoint = "{collector.url}"\nsample = 1.0\ninterval = "100ms"')
        for text, change in ((with_tracing, "added"), (plain, "removed")):
            with open(proxy.config, "w", encoding="utf-8") as file:
                file.write(text)
            report = json.loads(proxy.admin("/reload", method="POST").body)
            self.assertEqual([(change, "tracing")], [(c["kind"], c["object"]) for c in report["changes"]])
            self.get(proxy)
        collector.wait(lambda spans: len(spans) == 2, "one exchange")
        self.assertEqual([True, True, False], [r.request.get("traceparent") is not None for r in backend.received])


if __name__ == "__main__":
    main()
