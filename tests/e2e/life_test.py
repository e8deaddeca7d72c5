"""The process's life: the command line, starting, privileges, draining, ending.

Long because each way to start and to end has its test, and they are read together.
"""

import os
import pathlib
import re
import signal
import socket
import subprocess
import threading
import time

from certificates import Authority
from harness import (BINARY, Client, OK, Remora, TestCase, answer, die_with_parent, eventually, fetch, is_sanitized, main,
                     metric_sum, request_bytes, run_remora, show_address, simple_config)


class CommandLine(TestCase):
    def write(self, text):
        path = os.path.join(self.directory(), "remora.toml")
        pathlib.Path(path).write_text(text)
        return path

    def test_version_and_help(self):
        version = run_remora("--version")
        self.assertEqual(0, version.returncode)
        self.assertRegex(version.stdout, r"remora \d+\.\d+")
        for arguments in (["--help"], ["run", "--help"], ["check", "--help"]):
            done = run_remora(*arguments)
            self.assertEqual((0, ""), (done.returncode, done.stderr), arguments)
            self.assertTrue(done.stdout)

    def test_bad_usage_exits_2(self):
        path = self.write("")
        for arguments in ([], ["serve"], ["run"], ["check"], ["run", "--confg", path], ["run", "--config"],
                          ["--nonsense"],
                          ["check", "--config", path, "extra"], ["run", "--config", path, "--nonsense"]):
            done = run_remora(*arguments)
            self.assertEqual(2, done.returncode, f"{arguments}: {done.stdout}{done.stderr}")
            self.assertTrue(done.stderr + done.stdout, arguments)

    def test_check_of_a_good_file(self):
        done = run_remora("check", "--config", self.write(simple_config(["127.0.0.1:3000"])))
        self.assertEqual(0, done.returncode, done.stderr)

    def test_check_prints_every_error_with_its_line(self):
        path = self.write("""[runtime]
wrokers = 2
drain_timeout = "soon"

[[listener]]
name = "in"
address = "127.0.0.1:99999"
[[listener.route]]
cluster = "missing"
colour = "blue"
[[listener]]
name = "in"
address = "127.0.0.1:0"
[[listener.route]]
cluster = "app"
timeout = 15
[[cluster]]
name = "app"
endpoints = []
balance = "roundrobin"
""")
        done = run_remora("check", "--config", path)
        self.assertEqual(1, done.returncode)
        text = done.stdout + done.stderr
        lines = {int(m) for m in re.findall(re.escape(path) + r":(\d+):", text)}
        self.assertTrue({2, 3, 7, 9, 10, 16, 19, 20} <= lines, f"lines {sorted(lines)} in\n{text}")
        self.assertTrue(lines & {11, 12, 13}, f"the second listener called `in` is not reported:\n{text}")
        self.assertRegex(text, r"workers", "no did-you-mean")
        self.assertRegex(text, r"round_robin", "no did-you-mean for a value")

    def test_check_knows_a_regular_expression_that_is_none(self):
        good = simple_config(["127.0.0.1:3000"])
        path = self.write(good.replace("[[listener.route]]\n", '[[listener.route]]\nregex = "/a(b"\n', 1))
        for command in ("check", "run"):
            done = run_remora(command, "--config", path)
            self.assertEqual(1, done.returncode, done.stderr)
            self.assertRegex(done.stderr, r"\.toml:\d+: [^ ]*regex: .*missing")

    def test_check_of_files_that_are_no_configuration(self):
        directory = self.directory()
        nested = self.write("a = " + "[" * 100_000)
        binary = self.write("")
        pathlib.Path(binary).write_bytes(b"\x00\xff\xfe" * 100)
        syntax = self.write("[listener\nname = 1\n")
        huge = self.write("# " + "x" * (2 << 20))
        for path in (directory, os.path.join(directory, "missing.toml"), "/dev/null", nested, binary, syntax,
                     huge, self.write("")):
            done = run_remora("check", "--config", path)
            self.assertEqual(1, done.returncode,
                             f"{path}: {done.returncode} {done.stdout[:300]}{done.stderr[:300]}")
            self.assertIn(path, done.stdout + done.stderr)

    def test_run_with_a_bad_file_exits_1(self):
        path = self.write("nonsense = 1\n")
        done = run_remora("run", "--config", path)
        self.assertEqual(1, done.returncode)
        self.assertIn(f"{path}:1:", done.stderr)

    def test_environment_substitution(self):
        config = simple_config(["127.0.0.1:3000"]).replace('name = "in"', 'name = "${E2E_NAME:-fallback}"')
        for env, name in (({}, "fallback"), ({"E2E_NAME": "given"}, "given")):
            with Remora(config, env=env) as proxy:
                self.assertTrue(proxy.port(name))


class Start(TestCase):
    def test_a_taken_port_exits_3(self):
        taken = socket.socket()
        self.addCleanup(taken.close)
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        address = show_address(taken.getsockname())
        for config in (simple_config(["127.0.0.1:3000"]).replace('name = "in"\naddress = "127.0.0.1:0"',
                                                                 f'name = "in"\naddress = "{address}"'),
                       simple_config(["127.0.0.1:3000"]).replace('[admin]\naddress = "127.0.0.1:0"',
                                                                 f'[admin]\naddress = "{address}"')):
            self.assertIn(address, config)
            proxy = Remora(config, ready=False)
            try:
                self.assertEqual(3, proxy.wait())
                proxy.log.wait(re.escape(address))
                self.assertRegex(proxy.log.text(), r"(?i)in use|taken")
            finally:
                proxy.kill()

    def test_a_second_remora_does_not_share_the_port(self):
        first = self.remora(simple_config(["127.0.0.1:3000"]))
        address = show_address(first.address("in"))
        second = Remora(simple_config(["127.0.0.1:3000"]).replace('name = "in"\naddress = "127.0.0.1:0"',
                                                                  f'name = "in"\naddress = "{address}"'),
                        ready=False)
        try:
            self.assertEqual(3, second.wait())
        finally:
            second.kill()

    def test_an_address_of_nobody_exits_3(self):
        config = simple_config(["127.0.0.1:3000"]).replace('name = "in"\naddress = "127.0.0.1:0"',
                                                           'name = "in"\naddress = "192.0.2.1:8080"')
        proxy = Remora(config, ready=False)
        try:
            self.assertEqual(3, proxy.wait())
            proxy.log.wait("192.0.2.1:8080")
        finally:
            proxy.kill()

    def test_starts_fast(self):
        best = 99.0
        for _ in range(5):
            with Remora(simple_config(["127.0.0.1:3000"])) as proxy:
                best = min(best, proxy.start_seconds)
        print(f"start to `ready`: {best * 1000:.1f} ms (best of 5, process creation included)")
        self.assertLess(best, 1.0)

    def test_several_workers_share_the_load(self):
        backend = self.backend()
        proxy = self.remora(simple_config([backend.endpoint], extra="[runtime]\nworkers = 2"))
        statuses = [fetch(proxy.address("in")).status for _ in range(40)]
        self.assertEqual([200] * 40, statuses)
        self.assertEqual(40, metric_sum(proxy.metrics(), "remora_requests_total", listener="in"))

    def test_a_unix_socket_left_behind_is_replaced_and_removed(self):
        path = os.path.join(self.directory(), "in.sock")
        config = simple_config([self.backend().endpoint]).replace('name = "in"\naddress = "127.0.0.1:0"',
                                                                  f'name = "in"\naddress = "unix:{path}"')
        first = Remora(config)
        first.process.kill()  # leaves the file
        first.process.wait()
        first.kill()
        self.assertTrue(os.path.exists(path))
        proxy = self.remora(config)
        self.assertEqual(200, fetch(path).status)
        proxy.stop()
        self.assertFalse(os.path.exists(path), "the socket file stays after a clean exit")

    def test_a_unix_socket_in_use_exits_3(self):
        path = os.path.join(self.directory(), "in.sock")
        config = simple_config([self.backend().endpoint]).replace('name = "in"\naddress = "127.0.0.1:0"',
                                                                  f'name = "in"\naddress = "unix:{path}"')
        self.remora(config)
        second = Remora(config, ready=False)
        try:
            self.assertEqual(3, second.wait())
        finally:
            second.kill()
        self.assertEqual(200, fetch(path).status, "the first one lost its socket")


class Stop(TestCase):
    """Signals."""

    def slow_exchange(self, **config):
        """A proxy with one request in flight; `go_on` lets the upstream answer it."""
        self.go_on = threading.Event()

        def script(upstream, request):
            upstream.body(request)
            if request.target == "/slow":
                self.go_on.wait(20)
            upstream.send(OK)
        backend = self.backend(script)
        self.addCleanup(self.go_on.set)  # before the backend's end, which waits for its scripts
        proxy = self.remora(simple_config([backend.endpoint], **config))
        client = self.client(proxy.address("in"))
        client.send(request_bytes("GET", "/slow"))
        backend.wait(lambda: backend.complete(), "the slow request")
        return proxy, client

    def refuses(self, address):
        """Waits until connecting to `address` fails."""
        def probe():
            try:
                with Client(address, 1) as client:
                    return client.closed() == b""  # accepted by the kernel's queue at most
            except OSError:
                return True
            except Exception:  # noqa: BLE001
                return False
        eventually(probe, "new connections are refused")

    def test_sigterm_finishes_what_is_in_flight(self):
        proxy, client = self.slow_exchange()
        idle = self.client(proxy.address("in"))
        self.assertEqual(200, idle.get("/").status)
        address = proxy.address("in")
        proxy.signal(signal.SIGTERM)
        proxy.log.wait("draining")
        self.refuses(address)
        self.assertEqual(b"", idle.closed(), "an idle connection ends when the drain begins")
        self.assertTrue(proxy.alive(), "it left while a request was in flight")
        self.go_on.set()
        response = client.response()
        self.assertEqual((200, b"ok", True), (response.status, response.body, response.complete))
        self.assertIn("close", response.tokens("connection"))
        self.assertEqual(0, proxy.wait())

    def test_readyz_says_draining(self):
        proxy, client = self.slow_exchange()
        self.assertEqual(200, proxy.admin("/readyz").status)
        proxy.signal(signal.SIGTERM)
        proxy.log.wait("draining")
        self.assertEqual(503, proxy.admin("/readyz").status)
        self.assertEqual(200, proxy.admin("/healthz").status)
        self.go_on.set()
        self.assertEqual(200, client.response().status)
        self.assertEqual(0, proxy.wait())

    def test_sigterm_without_traffic_exits_at_once(self):
        proxy = self.remora(simple_config([self.backend().endpoint]))
        started = time.monotonic()
        proxy.signal(signal.SIGTERM)
        self.assertEqual(0, proxy.wait())
        self.assertLess(time.monotonic() - started, 3)

    def test_drain_timeout_bounds_it(self):
        proxy, client = self.slow_exchange(extra='[runtime]\ndrain_timeout = "500ms"')
        started = time.monotonic()
        proxy.signal(signal.SIGTERM)
        self.assertEqual(0, proxy.wait())
        self.assertGreater(time.monotonic() - started, 0.4)
        self.assertIsNone(client.response())

    def test_a_second_sigterm_exits_at_once(self):
        proxy, _ = self.slow_exchange()
        proxy.signal(signal.SIGTERM)
        proxy.log.wait("draining")
        proxy.signal(signal.SIGTERM)
        self.assertEqual(0, proxy.wait())

    def test_sigint_exits_at_once(self):
        proxy, client = self.slow_exchange()
        started = time.monotonic()
        proxy.signal(signal.SIGINT)
        self.assertEqual(0, proxy.wait())
        self.assertLess(time.monotonic() - started, 3)
        self.assertIsNone(client.response())

    def test_a_download_in_flight_is_finished(self):
        go_on = threading.Event()
        size = 4 << 20

        def script(upstream, request):
            upstream.body(request)
            upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * 1000)
            go_on.wait(20)
            upstream.sock.sendall(b"x" * (size - 1000))
        proxy = self.remora(simple_config([self.backend(script).endpoint]))
        self.addCleanup(go_on.set)
        client = self.client(proxy.address("in"))
        client.send(request_bytes("GET", "/"))
        while len(client.source.raw) < 1000:
            self.assertTrue(client.source.fill())
        proxy.signal(signal.SIGTERM)
        proxy.log.wait("draining")
        go_on.set()
        response = client.response()
        self.assertEqual((size, True), (len(response.body), response.complete))
        self.assertEqual(0, proxy.wait())

    def test_lines_of_the_last_requests_are_written(self):
        proxy, client = self.slow_exchange()
        proxy.signal(signal.SIGTERM)
        proxy.log.wait("draining")
        self.go_on.set()
        self.assertEqual(200, client.response().status)
        self.assertEqual(0, proxy.wait())
        proxy.access.wait("/slow")


class Demo(TestCase):
    def test_the_demo_ends_by_itself(self):
        done = subprocess.run([BINARY, "demo", "--requests", "50"], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=60,
                              check=False, preexec_fn=die_with_parent())
        self.assertEqual(0, done.returncode, done.stdout[-1000:] + done.stderr[-1000:])
        self.assertRegex(done.stdout, r"50 requests answered with 200, 0 otherwise")


def facts(proxy):
    """[{field: value}] of /proc/PID/task/*/status, the first of them the control thread's."""
    tasks = sorted(pathlib.Path(f"/proc/{proxy.process.pid}/task").iterdir(), key=lambda task: int(task.name))
    return [dict(line.split(":\t", 1) for line in (task / "status").read_text().splitlines() if ":\t" in line) for task in tasks]


class Privileges(TestCase):
    """What Remora gives up once everything is bound. Started as root; as anybody else, there is nothing to give up."""

    OTHER = 65533

    def start(self, runtime="", extra=""):
        self.answers = self.backend(answer(OK))
        return self.remora(simple_config([self.answers.endpoint], extra=f"[runtime]\n{runtime}\n{extra}"))

    def low_port(self):
        for port in range(600, 1024):
            with socket.socket() as tried:
                try:
                    tried.bind(("127.0.0.1", port))
                    return port
                except OSError:
                    continue
        raise AssertionError("no port below 1024 is free")

    def listener(self, port):
        return f'''
[[listener]]
name = "low"
address = "127.0.0.1:{port}"
[[listener.route]]
cluster = "app"
'''

    def test_no_program_can_gain_rights(self):
        for thread in facts(self.start()):
            self.assertEqual("1", thread["NoNewPrivs"], thread["Name"])

    def test_another_user_with_no_right_but_to_bind(self):
        if os.getuid() != 0:
            return  # root alone can become somebody else
        proxy = self.start(f'user = "{self.OTHER}:{self.OTHER}"', self.listener(self.low_port()))
        proxy.log.wait(f"privileges given up user={self.OTHER}:{self.OTHER} uid={self.OTHER}")
        self.assertEqual(200, fetch(proxy.address("low"), "/").status)
        threads = facts(proxy)
        self.assertIn("worker-0", [thread["Name"] for thread in threads])
        for thread in threads:
            self.assertEqual([str(self.OTHER)] * 4, thread["Uid"].split(), thread["Name"])
            self.assertEqual([str(self.OTHER)] * 4, thread["Gid"].split(), thread["Name"])
            self.assertEqual("", thread["Groups"].strip(), thread["Name"])
            self.assertIn(int(thread["CapPrm"], 16), (0, 1 << 10), thread["Name"])
            self.assertEqual("1", thread["NoNewPrivs"], thread["Name"])
        # The directory of the configuration is root's alone.
        proxy.log.wait(f"a file cannot be read any more.* file={proxy.config} user={self.OTHER}:{self.OTHER}")
        os.chmod(os.path.dirname(proxy.config), 0o755)
        port = self.low_port()
        path = pathlib.Path(proxy.config)
        path.write_text(path.read_text() + self.listener(port).replace('"low"', '"lower"'))
        proxy.signal(signal.SIGHUP)
        proxy.log.wait("reloaded trigger=SIGHUP")
        self.assertEqual(200, fetch(("127.0.0.1", port), "/").status)

    def test_an_access_log_that_rotation_would_end(self):
        if os.getuid() != 0:
            return  # root alone can become somebody else
        log = os.path.join(self.directory(), "access.log")
        self.start(f'user = "{self.OTHER}:{self.OTHER}"', f'[log.access]\npath = "{log}"').log.wait(
            f"the access log cannot be opened any more.* file={log}")

    def test_users_that_cannot_be(self):
        path = os.path.join(self.directory(), "remora.toml")
        root = os.getuid() == 0
        for user, reason in (("nobody-of-that-name", "the system does not know the user nobody-of-that-name"),
                             (str(self.OTHER), f"does not know the user {self.OTHER}, write its group"),
                             ("4294967295:7", "no user or group can have"), ("7:4294967295", "no user or group can have"),
                             ("0:0", "0:0 is root"), ("root", "root is root"),
                             (f"{self.OTHER}:1" if not root else "0", "may not become" if not root else "0 is root")):
            pathlib.Path(path).write_text(simple_config(["127.0.0.1:9"], extra=f'[runtime]\nuser = "{user}"'))
            done = run_remora("run", "--config", path)
            self.assertEqual(3, done.returncode, done.stderr)
            self.assertIn("remora: runtime.user: ", done.stderr)
            self.assertIn(reason, done.stderr)

    def test_keys_never_reach_a_core_dump(self):
        if os.getuid() != 0 or is_sanitized():
            return  # seen by whose the process's files are: root's, once nobody else may look into it
        authority = Authority(self.directory())
        certificate, key = authority.issue("server", "DNS:localhost")
        tls = self.listener(0) + f'[listener.tls]\ncertificate = "{certificate}"\nkey = "{key}"\n'
        user = f'user = "{self.OTHER}:{self.OTHER}"'
        for runtime, extra, owner in ((user, "", self.OTHER), (user, tls, 0), (user + "\ncore_dumps = true", tls, self.OTHER)):
            proxy = self.start(runtime, extra)
            self.assertEqual(owner, os.stat(f"/proc/{proxy.process.pid}/environ").st_uid, runtime)


if __name__ == "__main__":
    main()
