"""Descriptors that run out, logs that nobody reads or that cannot be written."""

import fcntl
import json
import os
import pathlib
import resource

from harness import (Client, Remora, TestCase, eventually, is_sanitized, main, metric_sum, request_bytes,
                     simple_config)


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
        crowd = [Client(address) for _ in range(100)]
        proxy.log.wait("out of file descriptors|too many open files")
        self.assertTrue(proxy.alive())
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
