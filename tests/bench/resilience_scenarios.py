"""The eight scenarios of tests/bench/resilience. Each runs one proxy before three backends and returns
numbers.

`errors`: responses of 400 and more, and requests without a response, as the clients count them. `recovery`:
seconds until they notice nothing any more (Records.disturbed_for). `load`: requests that reached backends for
each one that clients made. None: it never happened.
"""

import contextlib
from dataclasses import dataclass

import measure
import resilience_proxies
from resilience_proxies import Plan
from resilience_tools import SLOT_US, FaultyBackend, Load, now_us, requests_between

MILLISECOND = 1000
SECOND = 1_000_000
SLOWER = 50 * MILLISECOND  # than the p99 of before: a request that suffers


class Stage:
    """Three backends, and one proxy before them, for the length of a `with`. Leaves in settings.disturbance
    for how much of the time the proxy was ready to run and something else had its core."""

    def __init__(self, name, plan, settings, backends=3):
        self.name, self.plan, self.settings, self.count = name, plan, settings, backends
        self.backends = []
        self.ending = contextlib.ExitStack()

    def __enter__(self):
        try:
            for _ in range(self.count):
                self.backends.append(FaultyBackend(self.settings.tools))
                self.ending.callback(self.backends[-1].stop)
            self.proxy, self.port = resilience_proxies.start(
                self.name, self.plan, [backend.address for backend in self.backends], self.settings)
            self.ending.callback(self.proxy.stop)
            self.pause(1.0)  # the first health checks, which decide who gets traffic
            self.begun, self.waited = now_us(), measure.Cpu(self.proxy.pids()).wait
        except BaseException:
            self.ending.close()
            raise
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            waited = (measure.Cpu(self.proxy.pids()).wait - self.waited) * SECOND / (now_us() - self.begun)
            self.settings.disturbance = max(self.settings.disturbance, waited)
        self.ending.close()

    def pause(self, seconds):
        self.proxy.pause(seconds)

    def set(self, **behaviour):
        for backend in self.backends:
            backend.set(**behaviour)

    def load(self, seconds, **options):
        load = Load(self.settings.tools, self.port, seconds, **options)
        self.ending.callback(load.stop)
        return load

    def run(self, seconds, **options):
        return self.load(seconds, **options).wait()

    def upstream_requests(self):
        return sum(backend.counters()["requests"] for backend in self.backends)


def a_killed(name, settings):
    """kill -9 of one of three, twice, under 64 clients."""
    with Stage(name, Plan(slow_start=0), settings) as stage:
        stage.set(delay_us=10 * MILLISECOND)
        load = stage.load(5.0, connections=64, timeout_ms=3000)
        faults = []
        stage.pause(1.0)
        for victim in stage.backends[:2]:
            faults.append(now_us())
            victim.kill()
            stage.pause(1.0)
            victim.start(delay_us=10 * MILLISECOND)
            stage.pause(1.0)
        records = load.wait()
    normal = records.percentile(0.99, end_us=faults[0])
    recovery = [records.disturbed_for(fault, normal + SLOWER, until_us=fault + 2 * SECOND)
                for fault in faults]
    return {"errors": records.errors(), "recovery": None if None in recovery else max(recovery),
            "requests": len(records), "worst_ms": max(records.latency) / 1000}


def b_hanging(name, settings):
    """One of three accepts and never answers."""
    with Stage(name, Plan(slow_start=0), settings) as stage:
        stage.set(delay_us=20 * MILLISECOND)
        hanging = stage.backends[0]
        load = stage.load(9.0, rate=300, connections=600, timeout_ms=3000)
        stage.pause(3.0)
        fault = now_us()
        hanging.set(mode="hang")
        records = load.wait()
        counters = hanging.counters()
        upstream = stage.upstream_requests()
    normal = records.percentile(0.99, begin_us=fault - 2 * SECOND, end_us=fault)
    late = fault + 2 * SECOND
    return {"errors": records.errors(), "recovery": records.disturbed_for(fault, normal + SLOWER),
            "load": upstream / len(records), "requests": len(records),
            "normal_p99_ms": normal / 1000, "late_p99_ms": records.percentile(0.99, begin_us=late) / 1000,
            "hung_early": requests_between(counters, fault, late),
            "hung_late": requests_between(counters, late, 1 << 63)}


def cpu_per_request(stage, seconds):
    """(microseconds of the proxy's CPU for each request, Records)."""
    pids = stage.proxy.pids()
    before = measure.Cpu(pids).run
    records = stage.run(seconds, connections=4, timeout_ms=2000)
    return (measure.Cpu(pids).run - before) * 1e6 / len(records), records


def c_all_dead(name, settings):
    """All three killed: what a rejection costs."""
    with Stage(name, Plan(slow_start=0), settings) as stage:
        served_cpu, served = cpu_per_request(stage, 1.5)
        for backend in stage.backends:
            backend.kill()
        stage.run(2.0, rate=200, timeout_ms=2000, keep_records=False)  # they notice
        rejected_cpu, rejected = cpu_per_request(stage, 2.0)
    statuses = rejected.statuses()
    every = range(len(rejected))
    return {"requests": len(rejected), "statuses": statuses,
            "answered_503": statuses.get(503, 0) / len(rejected),
            "rejected_p50_ms": rejected.percentile(0.5, good_only=False) / 1000,
            "rejected_p99_ms": rejected.percentile(0.99, good_only=False) / 1000,
            "below_1_ms": sum(rejected.latency[i] < MILLISECOND for i in every) / len(rejected),
            "served_p99_ms": served.percentile(0.99) / 1000,
            "served_cpu_us": served_cpu, "rejected_cpu_us": rejected_cpu}


def d_recovery(name, settings):
    """A backend that was dead for 3 s is back: how soon, and how gently."""
    rate, before, dead, after = 600, 1.0, 3.0, 7.0
    with Stage(name, Plan(slow_start=4000), settings) as stage:
        stage.set(delay_us=5 * MILLISECOND)
        load = stage.load(before + dead + after, rate=rate, connections=600, timeout_ms=3000)
        stage.pause(before)
        fault = now_us()
        stage.backends[0].kill()
        stage.pause(dead)
        back = now_us()
        stage.backends[0].start(delay_us=5 * MILLISECOND)
        records = load.wait()
        counters = stage.backends[0].counters()
    slots = counters["slots"]
    first = next((i for i, count in enumerate(slots) if count), None)
    result = {"errors": records.errors(), "requests": len(records),
              "dead_p99_ms": records.percentile(0.99, fault, back) / 1000,
              "first_s": None, "first_half_share": None, "full_s": None}
    if first is None:
        return result
    fair = rate / len(stage.backends) * SLOT_US / 1e6  # for each slot
    windows = [sum(slots[i:i + 5]) / (5 * fair) for i in range(first, len(slots) - 5)]
    full = next((i for i, share in enumerate(windows) if share >= 0.9), None)
    begun = (counters["begun_us"] - back) / 1e6
    result["first_s"] = begun + first * SLOT_US / 1e6
    result["first_half_share"] = windows[0] if windows else None
    result["full_s"] = None if full is None else begun + (first + full) * SLOT_US / 1e6
    return result


def e_storm(name, settings):
    """Every backend answers 503, which is to be retried; their health checks pass."""
    result = {}
    for passive in (True, False):
        with Stage(name, Plan(attempts=3, retry_503=True, passive=passive), settings) as stage:
            stage.set(mode="status", status=503)
            records = stage.run(3.0, rate=1000, connections=600, timeout_ms=3000)
            upstream = stage.upstream_requests()
        if passive:
            result |= {"errors": records.errors(), "requests": len(records), "load": upstream / len(records)}
        else:
            result["load_no_breaker"] = upstream / len(records)
    return result


def f_four_workers(name, settings):
    """One of two answers 503 (its health checks pass), four workers, one request at a time: what it gets."""
    plan = Plan(workers=4, attempts=1, active=False, slow_start=0)
    with Stage(name, plan, settings, backends=2) as stage:
        bad = stage.backends[0]
        bad.set(mode="status", status=503)
        records = stage.run(8.0, rate=200, connections=200, close=True, timeout_ms=3000)
        slots = bad.counters()["slots"]
    bursts, quiet = [], True
    for count in slots:
        if count and quiet:
            bursts.append(0)
        if count:
            bursts[-1] += count
        quiet = not count
    return {"errors": records.errors(), "requests": len(records),
            "first_burst": bursts[0] if bursts else 0, "later_bursts": len(bursts) - 1,
            "largest_later": max(bursts[1:], default=0), "later": sum(bursts[1:])}


def sent_twice(stage):
    """(how many requests reached backends more than once, how many reached them at all)."""
    seen = [number for backend in stage.backends for number in backend.ids()]
    return len(seen) - len(set(seen)), len(set(seen))


def g_posts(name, settings):
    """POSTs to backends that reset, hang and vanish: none of them may arrive twice, unless it says so."""
    result = {}
    for keyed in (False, True):
        with Stage(name, Plan(slow_start=0), settings) as stage:
            stage.backends[0].set(mode="reset", share=0.2, record=1, delay_us=2 * MILLISECOND)
            stage.backends[1].set(record=1, delay_us=2 * MILLISECOND)
            stage.backends[2].set(mode="hang", share=0.01, record=1, delay_us=2 * MILLISECOND)
            key = {"header": "Idempotency-Key: {id}"} if keyed else {}
            load = stage.load(3.0, rate=500, connections=500, method="POST", body=500, id="post",
                              timeout_ms=3000, keep_records=False, **key)
            for mode in ("refuse", "ok", "refuse", "ok"):
                stage.pause(0.6)
                stage.backends[1].set(mode=mode, record=1, delay_us=2 * MILLISECOND)
            records = load.wait()
            twice, arrived = sent_twice(stage)
        report = records.report
        errors = report["requests"] - records.statuses().get(200, 0)
        if keyed:
            result |= {"keyed_errors": errors / report["requests"], "keyed_repeated": twice}
        else:
            result |= {"errors": errors, "requests": report["requests"], "twice": twice, "arrived": arrived,
                       "failed_share": errors / report["requests"]}
    return result


@dataclass
class Memory:
    start: int = 0
    most: int = 0

    def look(self, pids):
        now = measure.resident(pids)
        self.start = self.start or now
        self.most = max(self.most, now)


def h_overload(name, settings):
    """Ten times what the backends can do, for 4 s; clients give up after a second."""
    workers, service_us = 2, 10 * MILLISECOND
    capacity = 3 * workers * SECOND / service_us
    plan = Plan(endpoint_requests=2 * workers, queue_timeout=250, per_try_timeout=2000, slow_start=0)
    with Stage(name, plan, settings) as stage:
        stage.set(delay_us=service_us, workers=workers)
        memory = Memory()
        memory.look(stage.proxy.pids())
        warm = stage.run(1.0, connections=12, timeout_ms=1000)  # closed loop at the brim: what is possible
        possible = len(warm) / 1.0
        load = stage.load(4.0, rate=10 * capacity, connections=8000, timeout_ms=1000)
        for _ in range(16):
            stage.pause(0.25)
            memory.look(stage.proxy.pids())
        records = load.wait()
        most = max(backend.counters()["most_in_flight"] for backend in stage.backends)
        wasted = sum(backend.counters()["wasted"] for backend in stage.backends)
    begun = records.report["begun_us"]
    steady = records.ended_between(begun + SECOND, begun + 4 * SECOND)
    good = [i for i in steady if records.good(i)]
    return {"errors": len(steady) - len(good), "requests": len(steady),
            "capacity": capacity, "possible": possible, "goodput": len(good) / 3,
            "goodput_share": len(good) / 3 / capacity,
            "good_p99_ms": (records.percentile(0.99, begun + SECOND) or 0) / 1000,
            "unanswered": sum(records.status[i] == 0 for i in steady) / len(steady),
            "memory_start": memory.start, "memory_most": memory.most, "most_in_flight": most,
            "wasted": wasted}


SCENARIOS = {"a": a_killed, "b": b_hanging, "c": c_all_dead, "d": d_recovery, "e": e_storm,
             "f": f_four_workers, "g": g_posts, "h": h_overload}
