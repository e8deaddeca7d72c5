"""`remora ready`: an exit code for hooks and health checks."""

import signal
import socket
import subprocess

from harness import (BINARY, Blackhole, Remora, TestCase, connect_to, die_with_parent, end_process, eventually, main,
                     refused_address, request_bytes, run_remora, show_address, simple_config)


def ready(address, *arguments):
    return run_remora("ready", "--admin", show_address(address), *arguments)


class Ready(TestCase):
    def test_a_running_one_is_ready(self):
        proxy, _ = connect_to(self, self.backend())
        for wait in ([], ["--wait", "0"], ["--wait", "20s"]):
            eventually(lambda: ready(proxy.admin_address()).returncode == 0, "ready")
            done = ready(proxy.admin_address(), *wait)
            self.assertEqual((0, "", ""), (done.returncode, done.stdout, done.stderr), wait)

    def test_over_a_unix_socket(self):
        path = self.directory() + "/admin.sock"
        proxy = self.remora(simple_config([self.backend().endpoint]).replace('address = "127.0.0.1:0"', f'address = "unix:{path}"', 1))
        self.assertEqual(0, ready(path, "--wait", "20s").returncode, proxy.log.text())

    def test_nobody_there(self):
        held, address = refused_address()
        self.addCleanup(held.close)
        for wait in ([], ["--wait", "300ms"]):
            done = ready(address, *wait)
            self.assertEqual((1, ""), (done.returncode, done.stdout), wait)
            self.assertIn("not ready: no answer from", done.stderr)
            self.assertEqual(1, len(done.stderr.splitlines()))

    def test_somebody_who_never_answers(self):
        listener = socket.socket()
        self.addCleanup(listener.close)
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        done = ready(listener.getsockname(), "--wait", "300ms")
        self.assertEqual(1, done.returncode)
        self.assertIn("no answer in time", done.stderr)

    def test_a_draining_one_is_not_and_says_why(self):
        def hold(upstream, request):
            upstream.body(request)
            upstream.wait_end()

        backend = self.backend(hold)
        proxy, address = connect_to(self, backend)
        client = self.client(address)
        client.send(request_bytes("GET", "/"))
        eventually(lambda: backend.received, "the request is in flight")
        proxy.signal(signal.SIGTERM)
        proxy.log.wait("drain")
        done = ready(proxy.admin_address())
        self.assertEqual(1, done.returncode)
        self.assertRegex(done.stderr, r"not ready: .*drain")
        client.reset()
        self.assertEqual(0, proxy.wait(), "the last client has left")

    def test_it_waits_for_one_that_starts(self):
        """Not ready as long as an endpoint's first check hangs, ready when it has failed."""
        silent = Blackhole()
        self.addCleanup(silent.close)
        check = '[cluster.health_check]\nprotocol = "tcp"\ntimeout = "2s"\n'
        proxy = Remora(simple_config([show_address(silent.address)], cluster=check), ready=False)
        self.addCleanup(self._end, proxy)
        waiting = subprocess.Popen([BINARY, "ready", "--admin", show_address(proxy.admin_address()), "--wait", "60s"],
                                   preexec_fn=die_with_parent())
        self.addCleanup(end_process, waiting)
        self.assertEqual(0, waiting.wait(60))
        self.assertEqual(200, proxy.admin("/readyz").status)

    def test_bad_usage(self):
        for arguments in (["--admin", "nowhere"], ["--wait", "soon"], ["--wait", "5"], ["--nonsense"], ["extra"]):
            self.assertEqual(2, run_remora("ready", *arguments).returncode, arguments)


if __name__ == "__main__":
    main()
