"""What Remora tells a service manager, and what a rotation of its logs costs: nothing."""

import os
import pathlib
import re
import signal
import socket
import threading
import time

from harness import DEADLINE, Blackhole, Client, Remora, TestCase, eventually, fetch, main, simple_config
from processes import HangingThread


class Systemd(TestCase):
    """The service manager's end of NOTIFY_SOCKET is a real socket."""

    def listen(self, name=None):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.socket.close)
        self.socket.settimeout(DEADLINE)
        path = name or os.path.join(self.directory(), "notify.sock")
        self.socket.bind(path.replace("@", "\0"))
        return path

    def hear(self):
        """The next message but signs of life, as a dict."""
        while True:
            message = dict(line.split("=", 1) for line in self.socket.recv(4096).decode().splitlines())
            if message != {"WATCHDOG": "1"}:
                return message

    def start(self, endpoint=None, cluster="", **environment):
        return self.remora(simple_config([endpoint or self.backend().endpoint], cluster=cluster), ready=False,
                           env={key: str(value) for key, value in environment.items()})

    def test_ready_reloading_stopping(self):
        for name in (None, f"@remora-e2e-{os.getpid()}"):
            proxy = self.start(NOTIFY_SOCKET=self.listen(name))
            self.assertEqual({"STATUS": "starting"}, self.hear())
            self.assertEqual({"READY": "1", "STATUS": "ready: 1 listener, 1 cluster, 1 worker"}, self.hear())
            self.assertEqual(200, proxy.admin("/readyz").status)
            before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
            config = pathlib.Path(proxy.config)
            config.write_text(config.read_text() + '[[cluster]]\nname = "b"\nendpoints = ["127.0.0.1:1"]\n')
            reloading = self.hear()
            self.assertEqual(("1", "reloading"), (reloading["RELOADING"], reloading["STATUS"]))
            after = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
            self.assertTrue(before <= int(reloading["MONOTONIC_USEC"]) <= after, (before, reloading, after))
            self.assertEqual({"READY": "1", "STATUS": "ready: 1 listener, 2 clusters, 1 worker"}, self.hear())
            config.write_text("nonsense = 1\n")  # rejected: what was ready still is
            proxy.signal(signal.SIGHUP)
            self.assertEqual("reloading", self.hear()["STATUS"])
            self.assertEqual({"READY": "1", "STATUS": "ready: 1 listener, 2 clusters, 1 worker"}, self.hear())
            proxy.signal(signal.SIGTERM)
            stopping = self.hear()
            while "STOPPING" not in stopping:  # a reload by the file's change may come between, and the drain's status
                stopping = self.hear()
            self.assertRegex(stopping["STATUS"], "^draining")
            self.assertEqual(0, proxy.wait())

    def test_not_ready_before_readyz_is(self):
        silent = Blackhole()
        self.addCleanup(silent.close)
        proxy = self.start(silent.endpoint, '[cluster.health_check]\nprotocol = "tcp"\ntimeout = "500ms"\n',
                           NOTIFY_SOCKET=self.listen())
        self.assertEqual({"STATUS": "starting"}, self.hear())
        proxy.log.wait("health check fails")
        self.assertEqual("1", self.hear()["READY"])
        self.assertEqual(200, proxy.admin("/readyz").status)

    def test_the_watchdog_bites_when_a_worker_hangs(self):
        proxy = self.start(NOTIFY_SOCKET=self.listen(), WATCHDOG_USEC=400_000)
        proxy.log.wait(r"\bready\b")
        self.signs_of_life(3)
        with HangingThread(proxy.process, "worker-0"):
            # What was on its way before it hung; then silence, for much longer than the watchdog waits.
            self.socket.settimeout(1.5)
            with self.assertRaises(TimeoutError):
                for _ in range(8):
                    self.socket.recv(4096)
            self.assertEqual(200, proxy.admin("/healthz").status)  # the control thread is well: that is not enough
        self.socket.settimeout(DEADLINE)
        self.signs_of_life(2)

    def signs_of_life(self, count):
        while count > 0:
            count -= self.socket.recv(4096) == b"WATCHDOG=1\n"

    def test_a_watchdog_of_another_process_is_not_fed(self):
        proxy = self.start(NOTIFY_SOCKET=self.listen(), WATCHDOG_USEC=20_000, WATCHDOG_PID=os.getpid())
        proxy.log.wait(r"\bready\b")
        proxy.signal(signal.SIGTERM)
        self.assertEqual(0, proxy.wait())
        self.socket.setblocking(False)
        with self.assertRaises(BlockingIOError):
            while True:
                self.assertNotIn(b"WATCHDOG", self.socket.recv(4096))

    def test_a_manager_that_has_gone_disturbs_nobody(self):
        path = self.listen()
        self.socket.close()
        proxy = self.start(NOTIFY_SOCKET=path, WATCHDOG_USEC=20_000)
        proxy.log.wait(r"\bready\b")
        self.assertEqual(200, fetch(proxy.address("in"), "/").status)

    def test_an_address_that_is_none_is_told(self):
        for address in ("vsock:2:1234", "/" + "x" * 200):
            proxy = Remora(simple_config(["127.0.0.1:1"]), ready=False, env={"NOTIFY_SOCKET": address})
            self.addCleanup(proxy.kill)
            self.assertEqual(3, proxy.wait())
            proxy.log.wait("NOTIFY_SOCKET")


class Rotation(TestCase):
    def test_no_line_is_lost_when_the_access_log_is_rotated_under_load(self):
        path = pathlib.Path(self.directory(), "access.log")
        backend = self.backend()
        proxy = self.remora(simple_config([backend.endpoint], extra=f'[log.access]\npath = "{path}"\n[runtime]\nworkers = 2'))
        address = proxy.address("in")
        stop, sent, failures = threading.Event(), [], []

        def load(name):
            count = 0
            with Client(address) as client:
                while not stop.is_set() or count == 0:
                    if client.get(f"/{name}-{count}").status != 200:
                        failures.append(f"{name}-{count}")
                    count += 1
            sent.append((name, count))
        clients = [threading.Thread(target=load, args=(name,)) for name in "abcd"]
        for client in clients:
            client.start()
        rotated = []
        try:
            for number in range(3):
                eventually(lambda: path.exists() and path.stat().st_size > 2000, "lines in the file")
                rotated.append(path.with_suffix(f".{number}"))
                path.rename(rotated[-1])
                proxy.signal(signal.SIGUSR1)
                proxy.log.wait("log files opened anew", count=number + 1)
                eventually(path.exists, "a new file")
        finally:
            stop.set()
            for client in clients:
                client.join()
        proxy.signal(signal.SIGTERM)
        self.assertEqual(0, proxy.wait())
        self.assertEqual(([], 4), (failures, len(sent)))
        lines = "".join(file.read_text() for file in [*rotated, path]).splitlines()
        logged = sorted(re.findall(r'/([abcd]-\d+)" 200 ', "\n".join(lines)))
        self.assertEqual(sorted(f"{name}-{i}" for name, count in sent for i in range(count)), logged)
        self.assertEqual(len(logged), len(lines))

    def test_a_directory_that_is_gone_keeps_the_old_file(self):
        directory = pathlib.Path(self.directory(), "logs")
        directory.mkdir()
        backend = self.backend()
        proxy = self.remora(simple_config([backend.endpoint], extra=f'[log.access]\npath = "{directory}/access.log"'))
        moved = directory.rename(directory.with_name("moved"))
        proxy.signal(signal.SIGUSR1)
        proxy.log.wait("cannot reopen")
        self.assertEqual(200, fetch(proxy.address("in"), "/kept").status)
        eventually(lambda: "/kept" in (moved / "access.log").read_text(), "the line is in the old file")


if __name__ == "__main__":
    main()
