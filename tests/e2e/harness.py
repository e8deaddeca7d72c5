"""Drives the real binary on loopback: what the end-to-end tests import.

Every wait is for an event and has a deadline; nothing sleeps. All sockets are on loopback with port 0, and
nothing outlives its test. See processes.py, wire.py (clients), backends.py and http_reference.py (strict).
"""

import json
import os
import shutil
import sys
import tempfile
import unittest

from backends import OK, Blackhole, RawBackend, answer, finish, named, refused_address
from http_reference import Malformed, TimedOut, Truncated
from processes import (BINARY, Remora, die_with_parent, end_process, eventually, is_sanitized, metric_sum,
                       resident, run_remora)
from wire import DEADLINE, PEER_QUEUE, Client, fetch, request_bytes, show_address

__all__ = [
    "BINARY", "Blackhole", "Client", "DEADLINE", "Malformed", "OK", "PEER_QUEUE", "RawBackend", "Remora",
    "TestCase", "TimedOut", "Truncated", "answer", "connect_to", "die_with_parent", "end_process",
    "eventually", "fetch", "finish", "is_sanitized", "main", "metric_sum", "named", "refused_address",
    "request_bytes", "resident", "run_remora", "show_address", "simple_config",
]

sys.setswitchinterval(0.0005)  # clients and backends are threads here: hand over quickly


class TestCase(unittest.TestCase):
    """Starts things that end with the test, in reverse order, whatever happens."""

    maxDiff = None

    def remora(self, toml, **options):
        proxy = Remora(toml, **options)
        self.addCleanup(self._end, proxy)
        return proxy

    def _end(self, proxy):
        if proxy.process.returncode is None:
            proxy.stop()
        else:
            proxy.kill()

    def backend(self, script=None, **options):
        backend = RawBackend(script, **options)
        self.addCleanup(self._close, backend)
        return backend

    def _close(self, backend):
        backend.close()
        self.assertEqual([], backend.violations[:10])

    def client(self, address):
        client = Client(address)
        self.addCleanup(client.reset)
        return client

    def directory(self):
        path = tempfile.mkdtemp(prefix="remora-e2e-")
        self.addCleanup(shutil.rmtree, path, True)
        return path


def simple_config(endpoints, listener="", route="", cluster="", extra=""):
    """One listener `in` with one route to the cluster `app`; admin on a free port."""
    listed = json.dumps(endpoints)
    return f"""
[admin]
address = "127.0.0.1:0"
[log]
level = "info"
{extra}
[[listener]]
name = "in"
address = "127.0.0.1:0"
{listener}
[[listener.route]]
cluster = "app"
{route}
[[cluster]]
name = "app"
endpoints = {listed}
{cluster}
"""


def connect_to(test, backend, **config):
    """A proxy before `backend`: (proxy, address of its listener)."""
    proxy = test.remora(simple_config([backend.endpoint], **config))
    return proxy, proxy.address("in")


def main():
    if not os.access(BINARY, os.X_OK):
        sys.exit(f"{BINARY} is missing; build it first or set REMORA_BIN")
    unittest.main(module="__main__", verbosity=1)
