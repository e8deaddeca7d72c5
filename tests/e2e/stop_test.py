"""How Remora ends: the drain in its order, under load, by signal, by order, and with its application."""

import os
import pathlib
import signal
import subprocess
import threading

from harness import (OK, Client, TestCase, die_with_parent, end_process, eventually, fetch, main, refused_address,
                     request_bytes, run_remora, show_address)


def sidecar_config(app, other, runtime=""):
    """Inbound to the application, outbound from it."""
    return f"""
[runtime]
{runtime}
[overload]
loop_lag = "0s"
[admin]
address = "127.0.0.1:0"
[[listener]]
name = "in"
address = "127.0.0.1:0"
[[listener.route]]
cluster = "app"
[[listener]]
name = "out"
address = "127.0.0.1:0"
direction = "outbound"
[[listener.route]]
cluster = "other"
[[cluster]]
name = "app"
endpoints = ["{app}"]
[[cluster]]
name = "other"
endpoints = ["{other}"]
"""


def refuses(address):
    try:
        Client(address, 1).reset()
        return False
    except OSError:
        return True


class Order(TestCase):
    def setUp(self):
        self.go_on = threading.Event()

        def app(upstream, request):
            upstream.body(request)
            if request.target == "/slow":
                self.go_on.wait(60)
            upstream.send(OK)
        self.app = self.backend(app)
        self.other = self.backend()
        self.addCleanup(self.go_on.set)

    def start(self, runtime="", **options):
        proxy = self.remora(sidecar_config(self.app.endpoint, self.other.endpoint, runtime), **options)
        return proxy, proxy.address("in"), proxy.address("out")

    def slow(self, address):
        client = self.client(address)
        client.send(request_bytes("GET", "/slow"))
        self.app.wait(lambda: self.app.complete(), "the slow request")
        return client

    def test_inbound_ends_first_and_outbound_serves_until_then(self):
        proxy, inbound, outbound = self.start('drain_delay = "4s"\ndrain_timeout = "60s"')
        slow = self.slow(inbound)
        called = self.client(outbound)
        self.assertEqual(200, called.get("/").status)
        proxy.signal(signal.SIGTERM)
        proxy.log.wait(r"\bdraining\b.* trigger=SIGTERM what=all delay_seconds=4 timeout_seconds=60")
        # The delay: not ready, and everybody is served; inbound connections are asked to leave.
        ready = proxy.admin("/readyz")
        self.assertEqual((503, b"draining: inbound traffic is asked to leave\n"), (ready.status, ready.body))
        late = self.client(inbound).get("/")
        self.assertEqual((200, ["close"]), (late.status, late.tokens("connection")))
        self.assertEqual((200, []), (lambda r: (r.status, r.tokens("connection")))(called.get("/")))
        # Inbound is closed, the application still answers, and calls others: on old connections and new ones.
        proxy.log.wait("inbound listeners closed")
        eventually(lambda: refuses(inbound), "inbound refuses")
        self.assertEqual(200, called.get("/").status)
        self.assertEqual(200, fetch(outbound, "/").status)
        self.assertIn(b"inbound connections end", proxy.admin("/readyz").body)
        # It has answered: outbound ends, and so does the process.
        self.go_on.set()
        response = slow.response()
        self.assertEqual((200, ["close"]), (response.status, response.tokens("connection")))
        proxy.log.wait("inbound traffic has ended")
        self.assertEqual(b"", called.closed())
        self.assertEqual(0, proxy.wait())
        proxy.log.wait("stopped")

    def test_the_timeout_bounds_all_of_it(self):
        proxy, inbound, _ = self.start('drain_delay = "300ms"\ndrain_timeout = "1s"')
        slow = self.slow(inbound)
        proxy.signal(signal.SIGTERM)
        self.assertEqual(0, proxy.wait())
        proxy.log.wait("warn drain_timeout has passed")
        self.assertIsNone(slow.response())

    def test_a_second_signal_ends_it_at_once_in_every_phase(self):
        for second in (signal.SIGTERM, signal.SIGINT):
            for phase in ("draining", "inbound listeners closed"):
                delay = "60s" if phase == "draining" else "0s"
                proxy, inbound, _ = self.start(f'drain_delay = "{delay}"\ndrain_timeout = "60s"')
                self.slow(inbound)
                proxy.signal(signal.SIGTERM)
                proxy.log.wait(phase)
                proxy.signal(second)
                self.assertEqual(0, proxy.wait(), (second, phase))

    def test_a_signal_that_comes_while_it_ends_does_not_kill_it(self):
        """At any moment up to the end of the process: the exit code is 0."""
        for _ in range(8):
            proxy, _, _ = self.start()
            proxy.signal(signal.SIGTERM)
            while proxy.alive():
                for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                    proxy.signal(number)
                os.sched_yield()
            self.assertEqual(0, proxy.wait(), proxy.log.text())

    def test_orders(self):
        proxy, inbound, outbound = self.start()
        self.assertEqual(405, proxy.admin("/drain").status)
        self.assertEqual(405, proxy.admin("/quit").status)
        for page in ("/drain", "/drain?only=inbound", "/quit"):
            self.assertEqual(403, proxy.admin(page, "POST", fields=["Origin: http://evil.example"]).status, page)
        self.assertEqual(400, proxy.admin("/drain?only=outbound", "POST").status)
        self.assertEqual(200, proxy.admin("/readyz").status)
        # Inbound alone, as a preStop hook does it; nothing ends before the signal.
        slow = self.slow(inbound)
        admin = show_address(proxy.admin_address())
        done = run_remora("drain", "--inbound", "--admin", admin)
        self.assertEqual((0, "draining: inbound traffic is asked to leave\n", ""), (done.returncode, done.stdout, done.stderr))
        self.assertEqual(503, proxy.admin("/readyz").status)
        eventually(lambda: refuses(inbound), "inbound refuses")
        self.go_on.set()
        self.assertEqual(200, slow.response().status)
        proxy.log.wait("inbound traffic has ended")
        self.assertEqual(200, fetch(outbound, "/").status)
        answer = proxy.admin("/drain?only=inbound", "POST")  # again: no harm
        self.assertEqual((200, b"draining: inbound traffic has ended, outbound is served\n"), (answer.status, answer.body))
        self.assertEqual(200, fetch(outbound, "/").status)
        done = run_remora("drain", "--admin", admin)
        self.assertEqual((0, "draining: outbound connections end\n"), (done.returncode, done.stdout))
        self.assertEqual(0, proxy.wait())

    def test_quit(self):
        proxy, inbound, _ = self.start('drain_delay = "60s"\ndrain_timeout = "60s"')
        slow = self.slow(inbound)
        done = run_remora("quit", "--admin", show_address(proxy.admin_address()))
        self.assertEqual((0, "quitting\n", ""), (done.returncode, done.stdout, done.stderr))
        self.assertEqual(0, proxy.wait())
        self.assertIsNone(slow.response())

    def test_orders_to_nobody(self):
        held, address = refused_address()
        self.addCleanup(held.close)
        for command in ("drain", "quit"):
            self.assertEqual(3, run_remora(command, "--admin", show_address(address)).returncode)
            self.assertEqual(2, run_remora(command, "--admin", "nowhere").returncode)


class Load(TestCase):
    """The application answers what it is asked by asking somebody itself, both by Remora and with keep-alive."""

    def test_sigterm_under_load_fails_no_request(self):
        other = self.backend()
        calls = threading.local()
        outbound = []

        def app(upstream, request):
            upstream.body(request)
            client = getattr(calls, "client", None)
            if client is None:
                client = calls.client = self.client(outbound[0])
            client.send(request_bytes("POST", "/other", body=b"x"))
            answer = client.response("POST")
            if answer is None or answer.status != 200:
                upstream.send(b"HTTP/1.1 599 Not answered\r\nContent-Length: 0\r\n\r\n")
                return
            if "close" in answer.tokens("connection"):
                calls.client = None
            upstream.send(OK)
        backend = self.backend(app)
        proxy = self.remora(sidecar_config(backend.endpoint, other.endpoint,
                                           'workers = 2\ndrain_delay = "4s"\ndrain_timeout = "60s"'))
        inbound = proxy.address("in")
        outbound.append(proxy.address("out"))
        ready = threading.Event()
        ready.set()
        failures, served = [], []

        def load():
            """A client that nothing retries: it goes where its balancer sends it, and honours Connection: close."""
            client, count = None, 0
            try:
                while True:
                    if client is None:
                        if not ready.is_set():
                            break
                        client = Client(inbound)
                    client.send(request_bytes("POST", "/", body=b"x"))
                    answer = client.response("POST")
                    if answer is None or answer.status != 200:
                        failures.append(answer and answer.status)
                        break
                    count += 1
                    if "close" in answer.tokens("connection"):
                        client.close()
                        client = None
            except Exception as error:  # noqa: BLE001  a thread's failure is the test's
                failures.append(repr(error))
            served.append(count)
        clients = [threading.Thread(target=load) for _ in range(8)]
        for client in clients:
            client.start()
        try:
            eventually(lambda: len(backend.received) > 200 and fetch(inbound, "/", "POST", body=b"x").status == 200, "load")
            proxy.signal(signal.SIGTERM)
            # The balancer: it asks, and sends nobody any more.
            eventually(lambda: proxy.admin("/readyz").status == 503, "/readyz says no")
            self.assertNotIn("inbound listeners closed", proxy.log.text())
        finally:
            ready.clear()
            for client in clients:
                client.join()
        self.assertEqual([], failures)
        self.assertEqual(8, len(served))
        self.assertEqual(0, proxy.wait())
        self.assertNotIn("warn", proxy.log.text())


class ExitWith(TestCase):
    """Ends when the application has: a real process."""

    def application(self):
        child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, preexec_fn=die_with_parent())
        self.addCleanup(child.stdin.close)
        self.addCleanup(end_process, child)
        return child

    def start(self, whom):
        other = self.backend()
        return self.remora(sidecar_config(other.endpoint, other.endpoint, f'exit_with = "{whom}"'))

    def test_by_pid(self):
        child = self.application()
        proxy = self.start(child.pid)
        proxy.log.wait(f"will exit with the application pid={child.pid}")
        self.assertEqual(200, fetch(proxy.address("in"), "/").status)
        child.kill()  # and not waited for: what is left of it is no application
        proxy.log.wait(f"the application has gone pid={child.pid}")
        proxy.log.wait("draining.* trigger=exit_with")
        self.assertEqual(0, proxy.wait())

    def test_by_a_pid_that_nobody_has(self):
        child = self.application()
        child.kill()
        child.wait()
        proxy = self.start(child.pid)
        self.assertEqual(0, proxy.wait())

    def test_by_a_file_that_comes_later(self):
        path = pathlib.Path(self.directory(), "app.pid")
        child = self.application()
        proxy = self.start(path)
        before = self.application()
        before.kill()
        before.wait()
        for content in ("", "soon\n", f"{before.pid}\n"):  # left over from before: waited for, too
            path.write_text(content)
        self.assertEqual(200, fetch(proxy.address("in"), "/").status)
        path.write_text(f"{child.pid}\n")
        proxy.log.wait(f"will exit with the application pid={child.pid}")
        self.assertTrue(proxy.alive())
        child.kill()
        self.assertEqual(0, proxy.wait())

    def test_by_another_process_after_a_reload(self):
        first, second = self.application(), self.application()
        proxy = self.start(first.pid)
        proxy.log.wait(f"will exit with the application pid={first.pid}")
        text = pathlib.Path(proxy.config).read_text()
        pathlib.Path(proxy.config).write_text(text.replace(f'"{first.pid}"', f'"{second.pid}"'))
        proxy.signal(signal.SIGHUP)
        proxy.log.wait(f"will exit with the application pid={second.pid}")
        first.kill()
        first.wait()
        self.assertEqual(200, fetch(proxy.address("in"), "/").status)
        second.kill()
        self.assertEqual(0, proxy.wait())


if __name__ == "__main__":
    main()
