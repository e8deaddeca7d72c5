"""What the resilience tests share: backends that go wrong on request (tests/bench/faulty_backend.cc), a load
that remembers every request, and one place for what the admin pages call things.
"""

import atexit
import functools
import json
import os
import pathlib
import resource
import shutil
import sys
import tempfile

from harness import BINARY, DEADLINE, RawBackend, TestCase, eventually, simple_config

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "bench"))

from measure import Cpu  # noqa: E402
from resilience_tools import FaultyBackend, Load, Tools  # noqa: E402

FILES = 8192  # of the proxy and of the load, under overload
PATIENT = 8000  # milliseconds that a client of a load waits: longer than any hiccup of a busy machine

# No retry is refused for want of budget where a test is about something else.
GENEROUS_BUDGET = "budget = { ratio = 1.0, min_per_second = 1000 }"


@functools.cache
def tools():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard < FILES else FILES, hard))
    directory = tempfile.mkdtemp(prefix="remora-e2e-")
    atexit.register(shutil.rmtree, directory, True)
    beside = os.path.dirname(os.path.realpath(BINARY))
    return Tools(directory, [beside, str(ROOT / "build" / "release")])


class EndpointView:
    """What GET /clusters says of one endpoint."""

    def __init__(self, page):
        self.available = page["available"]
        self.why = page["unavailable_because"]
        self.breaker = page["breaker"]["state"].replace("-", "_")
        self.breaker_reason = page["breaker"]["reason"]
        self.check = (page.get("health_check") or {}).get("state")
        self.check_reason = (page.get("health_check") or {}).get("last_reason")
        self.ejected = (page.get("outlier") or {}).get("ejected")
        self.active = page["active_requests"]


def address_of(backend):
    """As text; of a FaultyBackend or a RawBackend."""
    return backend.endpoint if isinstance(backend, RawBackend) else backend.address


def cpu_seconds(proxy):
    return Cpu([proxy.process.pid]).run


def view(proxy, backend, cluster="app"):
    """The EndpointView of a backend."""
    address = address_of(backend)
    pages = json.loads(proxy.admin("/clusters").body)["clusters"]
    endpoints = next(page["endpoints"] for page in pages if page["name"] == cluster)
    return EndpointView(next(page for page in endpoints if page["address"] == address))


def order(proxy, backend, verb, cluster="app"):
    """POST /clusters/NAME/endpoints/ADDRESS/VERB: the Response."""
    return proxy.admin(f"/clusters/{cluster}/endpoints/{address_of(backend)}/{verb}", method="POST")


class ResilienceCase(TestCase):
    def faulty(self, **behaviour):
        backend = FaultyBackend(tools())
        self.addCleanup(backend.stop)
        if behaviour:
            backend.set(**behaviour)
        return backend

    def faulty_three(self, **behaviour):
        return [self.faulty(**behaviour) for _ in range(3)]

    def before(self, backends, cluster="", **more):
        """A proxy before `backends`, ready; `cluster` is what its [[cluster]] says besides."""
        endpoints = [address_of(backend) for backend in backends]
        proxy = self.remora(simple_config(endpoints, cluster=cluster, **more))
        eventually(lambda: proxy.admin("/readyz").status == 200, "readiness")
        return proxy

    def load(self, proxy, seconds, **options):
        load = Load(tools(), proxy.port("in"), seconds, **{"timeout_ms": PATIENT, **options})
        self.addCleanup(load.stop)
        return load

    def until(self, backend, predicate, what, deadline=DEADLINE):
        """Waits until `predicate(counters of the backend)` holds; the counters."""
        def probe():
            counters = backend.counters()
            return counters if predicate(counters) else None
        return eventually(probe, what, deadline)

    def until_breaker(self, proxy, backend, *states, cluster="app"):
        return eventually(lambda: view(proxy, backend, cluster).breaker in states,
                          f"breaker of {backend.address} {' or '.join(states)}")

    def assert_all(self, status, records):
        """Every request of a load was answered with `status`."""
        report = records.report
        self.assertEqual(({str(status): report["requests"]}, {}), (report["statuses"], report["failures"]))
        self.assertGreater(report["requests"], 0)
