"""Descriptors and memory that run out, logs that nobody reads or that cannot be written, a clock that jumps."""

import calendar
import fcntl
import json
import os
import pathlib
import re
import resource
import signal
import socket
import struct
import subprocess
import time
from email.utils import parsedate_to_datetime

from certificates import Authority, TlsBackend
from harness import (OK, Client, Remora, TestCase, answer, eventually, is_sanitized, main, metric_sum, request_bytes,
                     simple_config)
from processes import parse_metrics


class Exhaustion(TestCase):
    def test_running_out_of_descriptors_pauses_accepting(self):
        def few():
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, 1024))
        backend = self.backend()
        proxy = self.remora(simple_config([backend.endpoint], listener='timeouts = { keep_alive = "30s" }'),
                            preexec=few)
        address = proxy.address("in")
        first = self.client(address)
        self.assertEqual(200, first.get("/").status)
        scraper = self.client(proxy.admin_address())
        before = parse_metrics(scraper.get("/metrics", host="localhost").body.decode())
        crowd = [Client(address) for _ in range(100)]
        proxy.log.wait("out of file descriptors|too many open files")
        self.assertTrue(proxy.alive())
        now = parse_metrics(scraper.get("/metrics", host="localhost").body.decode())
        for name in ("process_resident_memory_bytes", "process_start_time_seconds", "process_open_fds"):
            self.assertGreater(now[name], before[name] * 0.9, f"{name} without descriptors")
        if is_sanitized():
            # UBSan's vptr check opens a pipe to see that an object's memory is readable: let it.
            resource.prlimit(proxy.process.pid, resource.RLIMIT_NOFILE, (1024, 1024))
        before = cpu_seconds(proxy)
        self.assertFalse(first.readable(0.3))  # watches a moment: paused means not spinning
        if not is_sanitized():
            self.assertLess(cpu_seconds(proxy) - before, 0.2, "it spins while out of descriptors")
        response = first.get("/")  # an established connection is served: the upstream one is pooled
        self.assertEqual(200, response.status)
        for client in crowd:
            client.reset()

        def recovered():
            try:
                with Client(address, 1) as client:
                    return client.get("/").status == 200
            except Exception:  # noqa: BLE001
                return False
        eventually(recovered, "service after descriptors are free again")


    def test_without_memory_it_says_so_and_ends(self):
        if is_sanitized():
            return  # its memory is the sanitizer's, which has limits and words of its own
        backend = self.backend(lambda upstream, request: upstream.wait_end())
        proxy = self.remora(simple_config([backend.endpoint]))
        address = proxy.address("in")
        status = pathlib.Path(f"/proc/{proxy.process.pid}/status").read_text(encoding="ascii")
        data = int(re.search(r"VmData:\s+(\d+) kB", status)[1]) * 1024
        resource.prlimit(proxy.process.pid, resource.RLIMIT_DATA, (data + (4 << 20), resource.RLIM_INFINITY))
        for _ in range(2000):
            if not proxy.alive():
                break
            try:
                client = self.client(address)
                client.send(request_bytes("POST", "/", [("Content-Length", "100000")]) + b"x" * 50_000)
            except OSError:
                break
        self.assertEqual(4, proxy.wait())
        proxy.log.wait("^remora: out of memory, the process ends$")


def cpu_seconds(proxy):
    fields = pathlib.Path(f"/proc/{proxy.process.pid}/stat").read_text(encoding="ascii").rsplit(")",
                                                                                                1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class LogsThatBlock(TestCase):
    """A log that cannot be written loses lines, counts them, and holds up nobody."""

    def traffic(self, proxy, requests, target="/" + "x" * 500):
        """`requests` pipelined in batches on one connection; all are answered."""
        client = self.client(proxy.address("in"))
        batch = request_bytes("GET", target) * 50
        for _ in range(requests // 50):
            client.send(batch)
            for _ in range(50):
                response = client.response()
                self.assertEqual((200, True), (response.status, response.complete))

    def dropped(self, proxy):
        return metric_sum(proxy.metrics(), "remora_access_log_dropped_total")

    def test_a_stalled_pipe(self):
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        fcntl.fcntl(writer, 1031, 4096)  # F_SETPIPE_SZ: full soon
        try:
            proxy = self.remora(simple_config([self.backend().endpoint]), stdout=writer)
        finally:
            os.close(writer)
        self.traffic(proxy, 500)
        for _ in range(40):
            if self.dropped(proxy) > 0:
                break
            self.traffic(proxy, 500)
        self.assertGreater(self.dropped(proxy), 0, "20,000 lines of 600 bytes are in nobody's memory")
        self.assertEqual(200, proxy.admin("/healthz").status)
        proxy.stop()  # and ends, although the pipe is still full

    def test_a_full_disk(self):
        proxy = self.remora(simple_config([self.backend().endpoint],
                                          extra='[log.access]\npath = "/dev/full"'))
        for _ in range(40):
            self.traffic(proxy, 500)
            if self.dropped(proxy) > 0:
                break
        self.assertGreater(self.dropped(proxy), 0)

    def test_a_disk_that_is_full_for_a_while(self):
        path = os.path.join(self.directory(), "access.log")
        proxy = self.remora(simple_config([self.backend().endpoint], extra=f'[log.access]\npath = "{path}"'))
        _, hard = resource.prlimit(proxy.process.pid, resource.RLIMIT_FSIZE)
        # As with a full disk, the last write before it takes a part of a line.
        resource.prlimit(proxy.process.pid, resource.RLIMIT_FSIZE, (100_000, hard))
        sent = 0
        while self.dropped(proxy) == 0:
            self.traffic(proxy, 100)
            sent += 100
        proxy.log.wait(r"log cannot be written\b.*\breason=")
        resource.prlimit(proxy.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
        # What failed before the limit was raised may still be under way.
        eventually(lambda: self.traffic(proxy, 50) or os.path.getsize(path) > 200_000, "lines are written again", 60)
        requests = metric_sum(proxy.metrics(), "remora_requests_total")
        dropped = self.dropped(proxy)
        proxy.stop()
        lines = pathlib.Path(path).read_text(encoding="utf-8").splitlines()
        whole = [line for line in lines if re.fullmatch(r'\S+T\S+Z in .*"GET test/x+" 200 .* id=\S{36}', line)]
        self.assertEqual(requests, len(whole) + dropped, "each is in the log or counted")
        self.assertLessEqual(len(lines) - len(whole), 2, "a line that was torn ends before the next begins")
        self.assertGreater(requests, sent)

    def test_a_reader_that_went_away(self):
        reader, writer = os.pipe()
        try:
            proxy = self.remora(simple_config([self.backend().endpoint]), stdout=writer)
        finally:
            os.close(writer)
        os.close(reader)
        self.traffic(proxy, 200)
        self.assertTrue(proxy.alive(), "SIGPIPE killed it")

    def test_an_access_log_that_cannot_be_opened_exits_3(self):
        proxy = Remora(simple_config(["127.0.0.1:3000"],
                                     extra='[log.access]\npath = "/nonexistent/dir/access.log"'), ready=False)
        try:
            self.assertEqual(3, proxy.wait())
            proxy.log.wait("/nonexistent/dir/access.log")
        finally:
            proxy.kill()


# Stands between the process and the C library: an offset, in seconds, that the test keeps in a file.
CLOCK = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static volatile long* offset;
__attribute__((constructor)) static void begin(void) {
  offset = mmap(0, sizeof *offset, PROT_READ, MAP_SHARED, open(getenv("CLOCK_OFFSET"), O_RDONLY), 0);
}
int clock_gettime(clockid_t id, struct timespec* at) {
  const int result = (int)syscall(SYS_clock_gettime, id, at);
  if (offset && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) at->tv_sec += *offset;
  return result;
}
time_t time(time_t* to) {
  struct timespec at;
  clock_gettime(CLOCK_REALTIME, &at);
  if (to) *to = at.tv_sec;
  return at.tv_sec;
}
int gettimeofday(struct timeval* to, void* zone) {
  struct timespec at;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &at);
  to->tv_sec = at.tv_sec;
  to->tv_usec = at.tv_nsec / 1000;
  return 0;
}
"""
DAY = 86400


class WallClock(TestCase):
    """It is for people and for certificates: what is waited for does not go by it."""

    def jump(self, seconds):
        self.offset = seconds
        with open(self.file, "r+b") as file:
            file.write(struct.pack("=q", seconds))

    def is_now(self, seconds):
        """Whether that is about now for the process."""
        return abs(seconds - time.time() - self.offset) < 3600

    def start(self):
        directory = self.directory()
        source, library = (os.path.join(directory, name) for name in ("clock.c", "clock.so"))
        pathlib.Path(source).write_text(CLOCK)
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
        self.file = os.path.join(directory, "offset")
        pathlib.Path(self.file).write_bytes(bytes(8))
        authority = Authority(directory)
        secure = TlsBackend(authority.issue("server", "IP:127.0.0.1"), answer(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")))
        self.addCleanup(secure.close)
        silent = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(silent.close)
        config = simple_config([self.backend().endpoint], cluster='health_check = { protocol = "tcp", interval = "50ms", timeout = "50ms" }\nbreaker = { enabled = false }',
                               route=f"""
[[listener.route]]
prefix = "/silent"
cluster = "silent"
timeout = "200ms"
[[listener.route]]
prefix = "/secure"
cluster = "secure"
""")
        config = config.replace('[[listener.route]]\ncluster = "app"', '[[listener.route]]\nprefix = "/plain"\ncluster = "app"')
        config += f"""
[[cluster]]
name = "silent"
endpoints = ["127.0.0.1:{silent.getsockname()[1]}"]
breaker = {{ enabled = false }}
[[cluster]]
name = "secure"
endpoints = ["{secure.endpoint}"]
breaker = {{ enabled = false }}
[cluster.tls]
ca = "{authority.certificate}"
"""
        return self.remora(config, env={"LD_PRELOAD": library, "CLOCK_OFFSET": self.file})

    def test_nothing_but_dates_and_certificates_follows_its_jumps(self):
        proxy = self.start()
        client = self.client(proxy.address("in"))
        for step, (offset, secure) in enumerate(((0, 200), (-DAY, 502), (3650 * DAY, 502), (0, 200))):
            self.jump(offset)
            checks = metric_sum(proxy.metrics(), "remora_health_checks_total")
            self.assertEqual(200, client.get(f"/plain/{step}").status)
            stamp = proxy.access.wait(rf"^(\S+)T(\S+?)(?:\.\d+)?Z .*/plain/{step}\b")
            self.assertTrue(self.is_now(calendar.timegm(time.strptime(f"{stamp[1]} {stamp[2]}", "%Y-%m-%d %H:%M:%S"))), stamp[0])
            eventually(lambda: self.is_now(parsedate_to_datetime(client.get("/plain").get("Date")).timestamp()), "Date follows")
            self.assertEqual(504, client.get("/silent").status, "a timeout ends as it would have")
            self.assertEqual(secure, client.get("/secure").status, f"certificates at {offset} s")
            eventually(lambda: metric_sum(proxy.metrics(), "remora_health_checks_total") > checks, "checks go on")
        self.jump(-DAY)
        proxy.signal(signal.SIGTERM)  # and a drain ends
        client.reset()
        self.assertEqual(0, proxy.wait())


class OperationalLog(TestCase):
    def test_json(self):
        config = simple_config([self.backend().endpoint])
        proxy = self.remora(config.replace('level = "info"', 'level = "info"\nformat = "json"'), ready=False)
        proxy.log.wait("ready")
        lines = [json.loads(line) for line in proxy.log.lines]
        listening = [line for line in lines if line["message"] == "listening"]
        self.assertEqual(["in"], [line["listener"] for line in listening])
        self.assertTrue(all(line["level"] == "info" for line in listening))


if __name__ == "__main__":
    main()
