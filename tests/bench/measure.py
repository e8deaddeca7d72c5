"""What tests/bench/compare reads and drives: /proc, wrk and our own generator."""

import contextlib
import glob
import json
import os
import re
import socket
import ssl
import subprocess
import time

from proxies import BenchError, Child

SECONDS_PER_TICK = 1 / os.sysconf("SC_CLK_TCK")
MARK = "bench-result "
WARM_UP_SECONDS = 1.5  # of a fixed rate: an active health check must have found the backend, too
FIELD_BYTES = 512  # of each that makes a request's head large
TLS_CIPHER = ("TLS_AES_256_GCM_SHA384", "TLSv1.3", 256)  # what OpenSSL's clients ask for first; checked of each proxy
TLS_TEXT = "TLS 1.3, TLS_AES_256_GCM_SHA384, X25519, a P-256 certificate"

# wrk calls done() once, after the run; a script without request() and response() costs nothing per request.
WRK_SCRIPT = f"""
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('{MARK}{{"requests":%d,"bytes":%d,"duration_us":%d,"p50_us":%d,"p99_us":%d,'
    .. '"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}}\\n',
    summary.requests, summary.bytes, summary.duration, latency:percentile(50), latency:percentile(99),
    e.connect, e.read, e.write, e.status, e.timeout))
end
"""


class Cpu:
    """Processor time of some processes so far, in seconds.

    `run` and `wait` come from /proc/PID/task/*/schedstat (nanoseconds; wait = ready to run but not running);
    `user` and `system` from /proc/PID/stat, which splits by sampling and is coarse.
    """

    def __init__(self, pids):
        self.run = self.wait = self.user = self.system = 0.0
        for pid in pids:
            for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
                with contextlib.suppress(OSError), open(path, encoding="ascii") as f:
                    run, wait, _ = f.read().split()
                    self.run += int(run) / 1e9
                    self.wait += int(wait) / 1e9
            with contextlib.suppress(OSError), open(f"/proc/{pid}/stat", encoding="ascii") as f:
                fields = f.read().rpartition(")")[2].split()
                self.user += int(fields[11]) * SECONDS_PER_TICK
                self.system += int(fields[12]) * SECONDS_PER_TICK


def resident(pids):
    """Resident bytes of all `pids` together. smaps_rollup is exact, where status is off by some 100 KiB."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
            total += int(re.search(r"^Rss:\s+(\d+) kB", f.read(), re.M).group(1)) * 1024
    return total


def stolen_seconds():
    """Time the hypervisor gave to others, over all cores, so far."""
    with open("/proc/stat", encoding="ascii") as f:
        return int(f.readline().split()[8]) * SECONDS_PER_TICK


def read_response(connection):
    """Reads one response with a Content-Length or chunked; returns (status, body). Raises OSError on a short one."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            raise ConnectionError("closed within a response head")
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    if re.search(rb"(?im)^transfer-encoding:\s*chunked", head):
        while not body.endswith(b"\r\n0\r\n\r\n"):
            more = connection.recv(65536)
            if not more:
                raise ConnectionError("closed within a chunked body")
            body += more
        return int(head.split()[1]), join_chunks(body)
    length = int(re.search(rb"(?im)^content-length:\s*(\d+)", head).group(1))
    parts = [body]
    missing = length - len(body)
    while missing > 0:
        more = connection.recv(min(missing, 1 << 20))
        if not more:
            raise ConnectionError("closed within a response body")
        parts.append(more)
        missing -= len(more)
    return int(head.split()[1]), b"".join(parts)


def join_chunks(framed):
    """The body of whole chunks."""
    body = b""
    while framed:
        size, _, rest = framed.partition(b"\r\n")
        body += rest[:int(size, 16)]
        framed = rest[int(size, 16) + 2:]
    return body


def request_bytes(port, path):
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()


def connect(port, tls):
    """`tls`: the files of proxies.make_certificate, or None."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    if not tls:
        return connection
    context = ssl.create_default_context(cafile=tls["certificate"])
    connection = context.wrap_socket(connection, server_hostname="127.0.0.1")
    if connection.cipher() != TLS_CIPHER:
        raise BenchError(f"port {port} speaks {connection.cipher()}, wanted is {TLS_CIPHER}")
    return connection


def verify(name, port, path, size, tls=None):
    """One request by hand before any is counted: the proxy answers, with the backend's very bytes."""
    try:
        with connect(port, tls) as connection:
            connection.sendall(request_bytes(port, path))
            status, body = read_response(connection)
    except (OSError, AttributeError, IndexError, ValueError) as error:
        raise BenchError(f"{name}: GET {path}: no good response: {error}") from error
    pattern = (b"abcdefghijklmnopqrstuvwxyz" * (size // 26 + 1))[:size]
    if status != 200 or body != pattern:
        raise BenchError(f"{name}: GET {path}: status {status}, {len(body)} bytes, wanted {size} known ones")


class Wrk:
    """Runs wrk against a proxy, on the load core."""

    def __init__(self, program, core, directory, tls=False):
        self.program = program
        self.scheme = "https" if tls else "http"
        self.core = core
        self.directory = directory
        self.script = os.path.join(directory, "wrk.lua")
        with open(self.script, "w", encoding="ascii") as out:
            out.write(WRK_SCRIPT)

    def run(self, port, scenario, seconds, midway=None):
        """Returns wrk's result; calls `midway` once while the load is on."""
        command = [self.program, "-t1", f"-c{scenario.connections}", f"-d{seconds}s", "--timeout", "10s",
                   "-s", self.script, f"{self.scheme}://127.0.0.1:{port}{scenario.path}"]
        if scenario.close:
            command += ["-H", "Connection: close"]
        for number in range(scenario.header_bytes // FIELD_BYTES):
            name = f"X-Bench-{number:02}: "
            command += ["-H", name + "v" * (FIELD_BYTES - 2 - len(name))]
        wrk = Child("wrk", command, self.core, self.directory)
        try:
            if midway:
                wrk.pause(seconds * 0.8)
                midway()
            code = wrk.process.wait(timeout=seconds + 30)
            with open(wrk.log, encoding="utf-8", errors="replace") as out:
                text = out.read()
        except subprocess.TimeoutExpired as error:
            raise BenchError("wrk does not end") from error
        finally:
            wrk.stop()
        found = re.search("^" + re.escape(MARK) + "(.*)$", text, re.M)
        if code != 0 or not found:
            raise BenchError(f"wrk failed with status {code}:\n{text}")
        result = json.loads(found.group(1))
        result["errors"] = sum(result.pop(kind) for kind in ("connect", "read", "write", "status", "timeout"))
        return result


class Meter:
    """What a proxy costs from here on."""

    def __init__(self, proxy):
        self.proxy = proxy
        self.pids = proxy.pids()
        self.stolen, self.begun, self.before = stolen_seconds(), time.monotonic(), Cpu(self.pids)

    def read(self, count, **others):
        """The costs, each for one of `count`, with `others`: a round's flat dict of numbers."""
        after, wall, before = Cpu(self.pids), time.monotonic() - self.begun, self.before
        self.proxy.check_alive()
        if count == 0:
            raise BenchError(f"{self.proxy.name}: nothing was answered in {wall:.1f} s")
        return {"requests_per_second": count / wall, "mib_per_second": 0.0, "p50_us": 0.0, "p99_us": 0.0,
                "cpu_us": (after.run - before.run) * 1e6 / count, "user_us": (after.user - before.user) * 1e6 / count,
                "system_us": (after.system - before.system) * 1e6 / count, "busy": (after.run - before.run) / wall,
                "wait": (after.wait - before.wait) / wall, "stolen": (stolen_seconds() - self.stolen) / wall,
                "rss": resident(self.pids), "errors": 0, "requests": count, **others}


def under_load(proxy, port, wrk, scenario, seconds):
    """One measured round. Returns a flat dict of numbers."""
    wrk.run(port, scenario, 1)  # warms caches, pools and the allocator; not counted
    rss = []
    meter = Meter(proxy)
    result = wrk.run(port, scenario, seconds, midway=lambda: rss.append(resident(meter.pids)))
    took = result["duration_us"] / 1e6
    return meter.read(result["requests"], requests_per_second=result["requests"] / took,
                      mib_per_second=result["bytes"] / took / (1 << 20), p50_us=result["p50_us"],
                      p99_us=result["p99_us"], rss=rss[0], errors=result["errors"])


def open_loop(port, backend_port, settings, seconds, rate=0):
    """Runs the generator that is the backend, too, at a fixed rate if one is given; returns what it prints."""
    words = (port, backend_port, rate, WARM_UP_SECONDS, seconds)
    done = subprocess.run([settings.open_loop, *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          check=False, timeout=seconds + 60)
    if done.returncode != 0:
        raise BenchError(f"open_loop failed with status {done.returncode}:\n{done.stderr}")
    return json.loads(done.stdout)


def capacity(port, backend_port, settings):
    return open_loop(port, backend_port, settings, 2)["measured"] / 2


def at_rate(proxy, port, backend_port, scenario, settings):
    """Requests that are due at even intervals; latency counts from when they were. Returns a flat dict of numbers."""
    meter = Meter(proxy)
    result = open_loop(port, backend_port, settings, settings.seconds, settings.capacity * scenario.share)
    return meter.read(result["requests"], requests_per_second=result["measured"] / settings.seconds, p50_us=result["p50_us"],
                      p99_us=result["p99_us"], errors=result["failed"])


def handshakes(proxy, port, scenario, settings):
    """Full handshakes, each with a request, by openssl s_time: one connection at a time. Returns a flat dict of numbers."""
    def run(seconds):
        done = subprocess.run(["openssl", "s_time", "-connect", f"127.0.0.1:{port}", "-new", "-time", str(seconds),
                               "-www", scenario.path, "-CAfile", settings.tls["certificate"], "-verify", "1"],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                              timeout=seconds + 30)
        found = re.search(r"^(\d+) connections in (\d+) real seconds", done.stdout, re.M)
        if done.returncode != 0 or not found or int(found[1]) == 0:
            raise BenchError(f"openssl s_time failed with status {done.returncode}:\n{done.stdout}{done.stderr}")
        return int(found[1])

    run(1)
    meter = Meter(proxy)
    count = run(settings.seconds)
    each = (time.monotonic() - meter.begun) * 1e6 / count
    return meter.read(count, p50_us=each, p99_us=each)
