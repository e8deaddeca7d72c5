"""Remora with many clusters under a steady load, in turns left alone and disturbed: what tests/bench/scrape and
tests/bench/reload have in common.

The load is open-loop, and its latencies count from when a request was due. Proxy and load have a core each, so what disturbs
has no core of its own: the control thread competes with the worker, which is the bad case.
"""

import os
import resource
import signal
import statistics
import sys
import tempfile
import threading
import time

import proxies
from proxies import BenchError, Child
from resilience_tools import ROOT, FaultyBackend, Load, Tools

RELEASE = os.path.join(ROOT, "build", "release")
SETTLE = 1  # seconds at the start of a round that do not count: the load's connections are opened
CONNECTIONS = 512


def add_arguments(parser, clusters, endpoints, interval, of_interval):
    parser.add_argument("--clusters", type=int, default=clusters)
    parser.add_argument("--endpoints", type=int, default=endpoints, help="of each cluster; one of them serves")
    parser.add_argument("--rounds", type=int, default=5, help="of each kind")
    parser.add_argument("--seconds", type=int, default=10, help="of a round")
    parser.add_argument("--interval", type=float, default=interval, help=of_interval)
    parser.add_argument("--rate", type=int, default=3000, help="requests per second")
    parser.add_argument("--remora", default=os.path.join(RELEASE, "remora"), metavar="PATH")


def config(port, admin_port, backend_port, settings, asked):
    """`asked`: so many of the clusters get the requests, each at its first endpoint; the others come after it in priority."""
    names = [f"service-{i:03}" for i in range(settings.clusters)]
    weighted = ", ".join(f'{{ name = "{name}", weight = 1 }}' for name in names[:asked])
    text = f"""
[runtime]
watch = false
[admin]
address = "127.0.0.1:{admin_port}"
[log.access]
path = "off"
[[listener]]
name = "in"
address = "127.0.0.1:{port}"
[[listener.route]]
clusters = [{weighted}]
"""
    for i, name in enumerate(names):
        others = "".join(f', {{ address = "127.{i // 250}.{i % 250}.{j + 1}:9", priority = 1 }}'
                         for j in range(1, settings.endpoints))
        text += f'[[cluster]]\nname = "{name}"\nendpoints = ["127.0.0.1:{backend_port}"{others}]\n'
    return text


class Disturber:
    """Does `once` again and again in a thread of its own, while a round lasts, and notes when."""

    def __init__(self, once, interval):
        self.once = once
        self.interval = interval
        self.times = []
        self.stop = threading.Event()

    def timed(self):
        begun = time.monotonic()
        result = self.once()
        self.times.append((begun, time.monotonic()))
        return result

    def milliseconds(self):
        return [(end - begun) * 1e3 for begun, end in self.times]

    def run(self):
        # It shares the load's core, and what is asked is what the proxy's work does to requests, not what its own does.
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
        first = min(self.interval, 2 * SETTLE)
        while not self.stop.wait(first):
            self.timed()
            if self.stop.wait(self.interval - first):
                return


class Bench:
    """One Remora with its load. `with Bench(settings, asked) as bench`."""

    def __init__(self, settings, asked):
        self.settings = settings
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < 2:
            raise BenchError("two cores are needed, one for the proxy and one for the load; here is only one")
        os.sched_setaffinity(0, {cores[0]})
        self.tools = Tools(settings.directory, [RELEASE])
        self.tools.core = cores[0]
        self.backend = FaultyBackend(self.tools)
        self.port, self.admin_port = proxies.free_port(), proxies.free_port()
        self.text = config(self.port, self.admin_port, self.backend.port, settings, asked)
        self.file = proxies.write(settings.directory, "remora.toml", self.text)
        self.proxy = Child("remora", [settings.remora, "run", "--config", self.file], cores[-1], settings.directory, signal.SIGINT)

    def __enter__(self):
        try:
            self.proxy.wait_listening(self.port)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.proxy.stop()
        self.backend.stop()

    def load(self, seconds, **options):
        return Load(self.tools, self.port, seconds, rate=self.settings.rate, connections=CONNECTIONS, **options)

    def take_turns(self, disturber):
        """Returns the records of the rounds without and with it."""
        self.load(2, keep_records=False).wait()  # warms up
        alone, disturbed = [], []
        for number in range(self.settings.rounds):
            for disturbs in (False, True) if number % 2 == 0 else (True, False):
                load = self.load(self.settings.seconds)
                disturber.stop.clear()
                thread = threading.Thread(target=disturber.run if disturbs else (lambda: None))
                thread.start()
                records = load.wait()
                disturber.stop.set()
                thread.join()
                (disturbed if disturbs else alone).append(records)
        self.proxy.check_alive()
        return alone, disturbed


def spread(values):
    return f"median {statistics.median(values):.1f} ms, worst of {len(values)}: {max(values):.1f} ms"


def percentiles(rounds):
    """p50, p99 and p99.9 in microseconds: medians over the rounds, and the p99 of each; without the first second."""
    shares = {share: [records.percentile(share, records.due[0] + SETTLE * 1_000_000) for records in rounds]
              for share in (0.5, 0.99, 0.999)}
    return [statistics.median(values) for values in shares.values()], shares[0.99]


def show(settings, disturber, what, alone, disturbed):
    """`what` disturbs, in the plural and one of it: ("scrapes", "a scrape")."""
    many, one = what
    print(f"\n{settings.rate} requests per second, {settings.rounds} rounds of {settings.seconds} s of each kind, "
          "in turns; medians over the rounds\n")
    print("| | requests | failed | p50 us | p99 us | p99.9 us | p99 of each round |")
    print("|---|---:|---:|---:|---:|---:|---|")
    for name, rounds in ((f"no {many}", alone), (f"{one} every {settings.interval:g} s", disturbed)):
        figures, each = percentiles(rounds)
        counts = f"{sum(map(len, rounds))} | {sum(records.errors() for records in rounds)}"
        print(f"| {name} | {counts} | " + " | ".join(f"{value:.0f}" for value in figures)
              + f" | {' '.join(str(value) for value in each)} |")
    during = [records.latency[i] for records in disturbed for begun, end in disturber.times
              for i in records.between(begun * 1e6, end * 1e6)]
    share = statistics.quantiles(during, n=100, method="inclusive")  # nothing beyond what was seen
    print(f"\nof these, due while {one} was under way: {len(during)} requests, p50 {share[49]:.0f}, p90 {share[89]:.0f}, "
          f"p95 {share[94]:.0f}, p99 {share[98]:.0f}, worst {max(during)} us")


def main(name, settings, measure):
    """Calls measure(settings) with a directory that is gone afterwards, and returns the exit status."""
    settings.remora = os.path.realpath(settings.remora)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, hard) if hard > 0 else max(soft, 8192), hard))
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda got, _: sys.exit(128 + got))  # unwinds, so every `finally` runs
    try:
        with tempfile.TemporaryDirectory(prefix="remora-bench-") as settings.directory:
            measure(settings)
    except BenchError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0
