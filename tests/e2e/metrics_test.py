"""Which series /metrics has, that nothing a client sends makes another one, and that nobody who looks disturbs it."""

import collections
import pathlib
import re
import signal
import subprocess

from harness import TestCase, answer, eventually, fetch, main, metric_sum, request_bytes, simple_config

DOCUMENT = pathlib.Path(__file__).resolve().parents[2] / "docs" / "metrics.md"

EVERYTHING = """
[cluster.limits]
connections = 100
requests = 100
retries = 10
[cluster.adaptive_concurrency]
[cluster.health_check]
protocol = "tcp"
[cluster.outlier]
"""


def wide_config(endpoint, listeners, clusters, endpoints, workers, cluster=""):
    """All listeners lead to all clusters."""
    text = f'[runtime]\nworkers = {workers}\n[admin]\naddress = "127.0.0.1:0"\n'
    weighted = ", ".join(f'{{ name = "c{i}", weight = 1 }}' for i in range(clusters))
    for i in range(listeners):
        text += f'[[listener]]\nname = "l{i}"\naddress = "127.0.0.1:0"\n[[listener.route]]\nclusters = [{weighted}]\n'
    for i in range(clusters):
        addresses = ", ".join(f'"127.0.{i}.{j + 1}:{endpoint[1]}"' for j in range(endpoints))
        text += f'[[cluster]]\nname = "c{i}"\nendpoints = [{addresses}]\n{cluster}'
    return text


def by_owner(samples):
    """How many series there are by the labels that say what they are about."""
    count = collections.Counter()
    for series in samples:
        labels = set(re.findall(r'[{,](\w+)="', series))
        count[" and ".join(label for label in ("listener", "cluster", "endpoint", "worker") if label in labels)] += 1
    return count


def documented():
    """{owner: (fewest series, most)}"""
    rows = re.findall(r"^\| a `([\w`, ]+)` \| (\d+) \| (\d+) \|", DOCUMENT.read_text(encoding="utf-8"), re.M)
    return {owner.replace("`, `", " and "): (int(fewest), int(most)) for owner, fewest, most in rows}


class Series(TestCase):
    def test_as_many_as_documented(self):
        rows = documented()
        self.assertEqual({"listener", "listener and cluster", "cluster", "cluster and endpoint", "worker"}, set(rows))
        backend = self.backend(address=("0.0.0.0", 0))
        listeners, clusters, endpoints, workers = 2, 3, 4, 2
        objects = {"listener": listeners, "listener and cluster": listeners * (clusters + 1), "cluster": clusters,
                   "cluster and endpoint": clusters * endpoints, "worker": workers}
        for index, cluster in enumerate(("", EVERYTHING)):
            with self.subTest(cluster=cluster):
                proxy = self.remora(wide_config(backend.address, listeners, clusters, endpoints, workers, cluster))
                counted = by_owner(proxy.metrics())
                del counted[""]  # the process
                self.assertEqual({owner: number * rows[owner][index] for owner, number in objects.items()}, counted)

    def test_they_go_with_their_objects_and_come_with_them(self):
        """A reload takes a listener, a cluster, an endpoint and features away: what is left is what a new process would have."""
        backend = self.backend(answer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), address=("0.0.0.0", 0))
        much = wide_config(backend.address, 2, 3, 4, 2, EVERYTHING)
        little = wide_config(backend.address, 1, 2, 3, 2)
        with self.remora(little) as fresh:
            expected = set(fresh.metrics())
        proxy = self.remora(much)
        before = set(proxy.metrics())
        self.assertGreater(len(before - expected), 200)
        for _ in range(40):  # every endpoint has its numbers, and an idle connection
            self.assertEqual(200, fetch(proxy.address("l1")).status)
            self.assertEqual(200, fetch(proxy.address("l0")).status)
        kept = self.client(proxy.address("l1"))  # an open connection outlives its listener, the series do not
        self.assertEqual(200, kept.get("/").status)

        def counted(*clusters):
            samples = proxy.metrics()
            return sum(metric_sum(samples, "remora_requests_total", listener="l0", cluster=c) for c in clusters)
        stays, goes = counted("c0", "c1"), counted("c2")
        self.assertEqual(40, stays + goes)
        for text, wanted in ((little, expected), (much, before)):
            pathlib.Path(proxy.config).write_text(text, encoding="utf-8")
            eventually(lambda w=wanted: set(proxy.metrics()) == w, "the series follow the configuration")
        self.assertEqual((stays, 0), (counted("c0", "c1"), counted("c2")))

    def test_no_request_makes_one(self):
        """3,000 requests, each with a path, host, method, query, field and status of its own."""
        def script(upstream, request):
            upstream.body(request)
            number = int(request.target.rpartition("?n=")[2])
            upstream.send(b"HTTP/1.1 %d Status\r\nX-Field-%d: x\r\nContent-Length: 0\r\n\r\n" % (
                200 + number % 400, number))
        backend = self.backend(script)
        proxy = self.remora(simple_config([backend.endpoint], route='prefix = "/app"', extra="""
[log.access]
path = "off"
""", cluster="[cluster.breaker]\nenabled = false"))
        before = set(proxy.metrics())
        client = self.client(proxy.address("in"))
        statuses = collections.Counter()
        for start in range(0, 3000, 50):
            for n in range(start, start + 50):
                path = f"/app/{n}" if n % 3 else f"/nowhere/{n}"
                client.send(request_bytes(f"METHOD{n}", f"{path}?n={n}", [(f"X-Field-{n}", f"{n}")],
                                          body=b"", host=f"host-{n}.test"))
            for n in range(start, start + 50):
                statuses[client.response(f"METHOD{n}").status] += 1
        self.assertGreater(len(statuses), 350)
        self.assertEqual(set(), set(proxy.metrics()) ^ before)
        samples = proxy.metrics()
        for code, cluster in (("2xx", "app"), ("3xx", "app"), ("5xx", "app"), ("4xx", "-")):
            expected = sum(count for status, count in statuses.items() if f"{status // 100}xx" == code)
            key = f'remora_requests_total{{cluster="{cluster}",code="{code}",listener="in"}}'
            if code == "4xx":
                expected = 1000  # no route
            self.assertEqual(expected, samples[key], key)

    def test_whoever_looks_changes_nothing(self):
        """A late event loop is shown to every scraper, and as often as they look."""
        backend = self.backend(answer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
        proxy = self.remora(simple_config([backend.endpoint]))
        name = 'remora_loop_lag_seconds{worker="0"}'
        self.assertIn(name, proxy.metrics())  # the worker runs, and has begun to look
        proxy.signal(signal.SIGSTOP)
        try:
            with self.assertRaises(subprocess.TimeoutExpired):
                proxy.process.wait(0.5)
        finally:
            proxy.signal(signal.SIGCONT)
        seen = eventually(lambda: (lag := proxy.metrics()[name]) > 0.3 and lag, "the lag is shown")
        for _ in range(5):
            proxy.admin("/clusters")
            self.assertGreaterEqual(proxy.metrics()[name], seen)


if __name__ == "__main__":
    main()
