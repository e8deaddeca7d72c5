"""Backends that go wrong on request, and a load that remembers every request: what tests/bench/resilience and
tests/e2e/resilience_test.py drive. See faulty_backend.cc and load.cc.

All times are microseconds of CLOCK_MONOTONIC, which all processes share.
"""

import array
import json
import os
import signal
import struct
import subprocess
import time
import urllib.parse
import urllib.request

import proxies
from proxies import BenchError, Child

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PROGRAMS = ("faulty_backend", "load")
CONTROL_SECONDS = 5
SLOT_US = 100_000
RECORD = struct.Struct("=QIHBB")  # Record in load_report.h


def now_us():
    return time.monotonic_ns() // 1000


class Tools:
    """Where the helper programs are. Those of a build are used as they are; without one they are compiled."""

    def __init__(self, directory, builds):
        self.directory = directory
        self.core = None  # of backends and load
        self.paths = {}
        for name in PROGRAMS:
            found = [path for path in (os.path.join(build, f"bench_{name}") for build in builds)
                     if os.access(path, os.X_OK)]
            self.paths[name] = found[0] if found else self.compile(name)

    def compile(self, name):
        program = os.path.join(self.directory, f"bench_{name}")
        source = os.path.join(HERE, f"{name}.cc")
        status, output = proxies.run_build(
            [os.environ.get("CXX", "g++"), "-std=c++23", "-O1", "-I", ROOT, "-o", program, source],
            self.directory)
        if status != 0:
            raise BenchError(f"{source} does not compile:\n{output}")
        return program


class FaultyBackend:
    """One process of faulty_backend.cc. It keeps its ports when it is killed and started again."""

    def __init__(self, tools):
        self.tools = tools
        self.child = None
        for last in (False, False, False, True):
            self.port, self.control_port = proxies.free_port(), proxies.free_port()
            try:
                return self.start()
            except BenchError as error:
                self.child.stop()
                if last or "Address already in use" not in str(error):  # somebody else was quicker to take it
                    raise

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def start(self, **behaviour):
        """Starts it; it is listening when this returns, and behaves so at once after."""
        self.child = Child("faulty-backend", [self.tools.paths["faulty_backend"], str(self.port),
                                              str(self.control_port)], self.tools.core, self.tools.directory)
        self.child.wait_saying("listening")  # not until something listens: that may be somebody else
        if behaviour:
            self.set(**behaviour)

    def kill(self):
        """SIGKILL, as the out-of-memory killer would; returns when the process is gone."""
        self.child.process.send_signal(signal.SIGKILL)
        self.child.process.wait()
        self.child.stop()

    def stop(self):
        self.child.stop()

    def control(self, path):
        url = f"http://127.0.0.1:{self.control_port}{path}"
        with urllib.request.urlopen(url, timeout=CONTROL_SECONDS) as reply:
            text = reply.read().decode()
        if text == "not understood\n":
            raise BenchError(f"the faulty backend does not understand {path}")
        return text

    def set(self, mode="ok", **keys):
        self.control("/set?" + urllib.parse.urlencode({"mode": mode, **keys}))

    def clear(self):
        self.control("/clear")

    def counters(self):
        return json.loads(self.control("/counters"))

    def ids(self):
        return self.control("/ids").split()


def requests_between(counters, begin_us, end_us):
    """How many requests a backend saw in the 100 ms slots that begin in [begin_us, end_us)."""
    first = counters["begun_us"]
    return sum(count for index, count in enumerate(counters["slots"])
               if begin_us <= first + index * SLOT_US < end_us)


class Records:
    """What became of each request, in the order in which they were due."""

    def __init__(self, report, data=b""):
        self.report = report
        self.due, self.latency = array.array("Q"), array.array("I")
        self.status, self.flag = array.array("H"), array.array("B")
        for due, latency, status, _, flag in RECORD.iter_unpack(data):
            self.due.append(due)
            self.latency.append(latency)
            self.status.append(status)
            self.flag.append(flag)

    def __len__(self):
        return len(self.due)

    def between(self, begin_us, end_us=1 << 63):
        """Indices of the requests that were due in [begin_us, end_us)."""
        return [i for i, due in enumerate(self.due) if begin_us <= due < end_us]

    def ended_between(self, begin_us, end_us):
        return [i for i, due in enumerate(self.due) if begin_us <= due + self.latency[i] < end_us]

    def good(self, index):
        return 200 <= self.status[index] < 400

    def errors(self, begin_us=0, end_us=1 << 63):
        """Requests that ended with a status of 400 and more, or with none."""
        return sum(not self.good(i) for i in self.between(begin_us, end_us))

    def statuses(self):
        return {int(status): count for status, count in self.report["statuses"].items()}

    def percentile(self, share, begin_us=0, end_us=1 << 63, good_only=True):
        """Of the latencies, in microseconds; None without any."""
        chosen = sorted(self.latency[i] for i in self.between(begin_us, end_us)
                        if self.good(i) or not good_only)
        return chosen[min(int(share * len(chosen)), len(chosen) - 1)] if chosen else None

    def disturbed_for(self, fault_us, slow_us, until_us=1 << 63, tolerated=0.1):
        """Seconds from the fault to the end of the last 100 ms in which more than the tolerated share of the
        requests failed or took longer than slow_us; in which 100 ms a request counts says its end. None: it
        did not end."""
        slots = {}
        for i in self.between(fault_us - 10 * SLOT_US):
            ended = self.due[i] + self.latency[i]
            if fault_us <= ended < until_us:
                slot = slots.setdefault((ended - fault_us) // SLOT_US, [0, 0])
                slot[0] += 1
                slot[1] += not self.good(i) or self.latency[i] > slow_us
        slots = {number: slot for number, slot in slots.items() if slot[0] >= 5}  # fewer are no sample
        disturbed = [number for number, (all_, bad) in slots.items() if bad > tolerated * all_]
        if not disturbed:
            return 0.0
        return None if max(disturbed) >= max(slots) - 1 else (max(disturbed) + 1) * SLOT_US / 1e6


class Load:
    """A run of load.cc under way."""

    def __init__(self, tools, port, seconds, keep_records=True, **options):
        self.seconds = seconds
        self.timeout = options.get("timeout_ms", 10_000) / 1000
        self.file = None
        if keep_records:
            self.file = os.path.join(tools.directory, f"records-{next(proxies.LOG_NUMBERS)}")
        command = [tools.paths["load"], "--port", str(port), "--seconds", str(seconds)]
        for name, value in options.items():
            flag = "--" + name.replace("_", "-")
            if value is True:
                command.append(flag)
            else:
                command += [flag, str(value)]
        if self.file:
            command += ["--records", self.file]
        self.child = Child("load", command, tools.core, tools.directory)

    def wait(self):
        """Its Records, when it has ended."""
        try:
            code = self.child.process.wait(timeout=self.seconds + self.timeout + 10)
            with open(self.child.log, encoding="utf-8") as log:
                text = log.read()
            if code != 0:
                raise BenchError(f"load failed with status {code}:\n{text[-500:]}")
            data = b""
            if self.file:
                with open(self.file, "rb") as file:
                    data = file.read()
            return Records(json.loads(text), data)
        except subprocess.TimeoutExpired as error:
            raise BenchError("load does not end") from error
        finally:
            self.stop()

    def end(self):
        """As wait(), but it sends nothing from now on."""
        if self.child.process.poll() is None:
            self.child.process.send_signal(signal.SIGTERM)
        return self.wait()

    def stop(self):
        self.child.stop()
        if self.file and os.path.exists(self.file):
            os.unlink(self.file)
