"""What tests/bench/compare reads and drives: /proc, wrk, and a crowd of idle connections."""

import contextlib
import glob
import json
import os
import re
import select
import socket
import ssl
import subprocess
import time

from proxies import BenchError, Child

SECONDS_PER_TICK = 1 / os.sysconf("SC_CLK_TCK")
BATCH = 64
SETTLE_SECONDS = 1.0
MARK = "bench-result "
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
    """Reads one response with a Content-Length; returns (status, body). Raises OSError on a short one."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            raise ConnectionError("closed within a response head")
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
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


def under_load(proxy, port, wrk, scenario, seconds):
    """One measured round. Returns a flat dict of numbers."""
    wrk.run(port, scenario, 1)  # warms caches, pools and the allocator; not counted
    pids = proxy.pids()
    rss = []
    stolen, begun, before = stolen_seconds(), time.monotonic(), Cpu(pids)
    result = wrk.run(port, scenario, seconds, midway=lambda: rss.append(resident(pids)))
    after, wall = Cpu(pids), time.monotonic() - begun
    proxy.check_alive()
    requests = result["requests"]
    if requests == 0:
        raise BenchError(f"{proxy.name}: no request of scenario {scenario.name} was answered in {seconds} s")
    return {
        "requests_per_second": requests / (result["duration_us"] / 1e6),
        "mib_per_second": result["bytes"] / (result["duration_us"] / 1e6) / (1 << 20),
        "p50_us": result["p50_us"],
        "p99_us": result["p99_us"],
        "cpu_us": (after.run - before.run) * 1e6 / requests,
        "user_us": (after.user - before.user) * 1e6 / requests,
        "system_us": (after.system - before.system) * 1e6 / requests,
        "busy": (after.run - before.run) / wall,
        "wait": (after.wait - before.wait) / wall,
        "stolen": (stolen_seconds() - stolen) / wall,
        "rss": rss[0],
        "errors": result["errors"],
        "requests": requests,
    }


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
    pids = proxy.pids()
    stolen, begun, before = stolen_seconds(), time.monotonic(), Cpu(pids)
    count = run(settings.seconds)
    after, wall = Cpu(pids), time.monotonic() - begun
    proxy.check_alive()
    each = wall * 1e6 / count
    return {"requests_per_second": count / wall, "mib_per_second": 0.0, "p50_us": each, "p99_us": each,
            "cpu_us": (after.run - before.run) * 1e6 / count, "user_us": (after.user - before.user) * 1e6 / count,
            "system_us": (after.system - before.system) * 1e6 / count, "busy": (after.run - before.run) / wall,
            "wait": (after.wait - before.wait) / wall, "stolen": (stolen_seconds() - stolen) / wall,
            "rss": resident(pids), "errors": 0, "requests": count}


def bulk(proxy, port, scenario, seconds):
    """One large response after the other on each connection, thrown away unread (MSG_TRUNC), so that the proxy is the limit.

    A flat dict of numbers; what is otherwise per request is per MiB.
    """
    with contextlib.ExitStack() as stack:
        request = request_bytes(port, scenario.path)
        buffer = bytearray(1 << 20)
        left = {}  # by descriptor: the connection, and how much of its response is to come
        poll = select.epoll()
        stack.callback(poll.close)
        for _ in range(scenario.connections):
            connection = stack.enter_context(connect(port, None))
            connection.sendall(request)
            read_response(connection)
            connection.sendall(request)
            connection.setblocking(False)
            poll.register(connection, select.EPOLLIN)
            left[connection.fileno()] = [connection, 0]
        size = response_size(port, request)

        def run(until):
            total = 0
            while time.monotonic() < until:
                for number, _ in poll.poll(1):
                    one = left[number]
                    got = one[0].recv_into(buffer, len(buffer), socket.MSG_TRUNC)
                    if got == 0:
                        raise BenchError(f"{proxy.name} has closed a connection")
                    total += got
                    one[1] += got
                    if one[1] >= size:
                        one[1] -= size
                        one[0].sendall(request)
            return total

        run(time.monotonic() + 0.5)
        pids = proxy.pids()
        stolen, begun, before = stolen_seconds(), time.monotonic(), Cpu(pids)
        moved = run(begun + seconds) / (1 << 20)
        after, wall = Cpu(pids), time.monotonic() - begun
        rss = resident(pids)
        proxy.check_alive()
    return {"requests_per_second": moved / wall, "mib_per_second": moved / wall, "p50_us": 0.0, "p99_us": 0.0,
            "cpu_us": (after.run - before.run) * 1e6 / moved, "user_us": (after.user - before.user) * 1e6 / moved,
            "system_us": (after.system - before.system) * 1e6 / moved, "busy": (after.run - before.run) / wall,
            "wait": (after.wait - before.wait) / wall, "stolen": (stolen_seconds() - stolen) / wall,
            "rss": rss, "errors": 0, "requests": moved}


def response_size(port, request):
    """Bytes of one response, its head included."""
    with connect(port, None) as connection:
        connection.sendall(request)
        head = connection.recv(65536, socket.MSG_PEEK)
        _, body = read_response(connection)
    return head.index(b"\r\n\r\n") + 4 + len(body)


def open_crowd(port, count, crowd, tls):
    """Adds `count` connections to `crowd`, in batches; each makes one request. Returns the errors."""
    request = request_bytes(port, "/64")
    errors = 0
    while count > 0:
        batch = []
        for _ in range(min(BATCH, count)):
            try:
                batch.append(connect(port, tls))
                crowd.append(batch[-1])
                batch[-1].sendall(request)
            except OSError as error:
                raise BenchError(f"connection {len(crowd) + 1} of the crowd failed: {error}") from error
        count -= len(batch)
        for connection in batch:
            try:
                errors += read_response(connection)[0] != 200
            except OSError:
                errors += 1
    return errors


def dropped(crowd):
    """How many of the idle connections the proxy has closed (or sent stray bytes on)."""
    poll = select.poll()
    for connection in crowd:
        poll.register(connection, select.POLLIN)
    return len(poll.poll(0))


def idle(proxy, port, count, tls=None):
    """Memory of `count` idle keep-alive connections. Returns a flat dict of numbers."""
    with contextlib.ExitStack() as stack:
        crowd = []
        stack.callback(lambda: [connection.close() for connection in crowd])
        errors = open_crowd(port, BATCH, crowd, tls)  # what the first requests allocate once is not per connection
        while crowd:
            crowd.pop().close()
        proxy.pause(SETTLE_SECONDS)
        pids = proxy.pids()
        before = resident(pids)
        errors += open_crowd(port, count, crowd, tls)
        proxy.pause(SETTLE_SECONDS)
        cpu = Cpu(pids).run
        after = resident(pids)
        proxy.pause(SETTLE_SECONDS)
        idle_cpu = (Cpu(pids).run - cpu) / SETTLE_SECONDS
        errors += dropped(crowd)
        proxy.stop()  # before its clients: the proxy's side keeps TIME_WAIT, not the client's ports
    return {"rss_warm": before, "rss": after, "per_connection": (after - before) / count,
            "idle_cpu": idle_cpu, "errors": errors, "requests": count}
