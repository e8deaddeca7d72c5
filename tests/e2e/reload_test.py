"""Reload: what triggers it, what it keeps, what it refuses, and that nobody notices.

REMORA_RELOADS=200 REMORA_RELOAD_SECONDS=60 makes the load test as long as the promise it stands for.
Long because that test needs two whole configurations that differ in everything.
"""

import contextlib
import json
import os
import pathlib
import signal
import socket
import threading
import time

from harness import (DEADLINE, OK, Client, TestCase, answer, eventually, fetch, is_sanitized, main, metric_sum,
                     refused_address, request_bytes, resident, run_remora, show_address, simple_config)
from reload_broken import broken_files
from websocket import TEXT, WebSocketClient, serve_echo

RELOADS = int(os.environ.get("REMORA_RELOADS", "30"))
SECONDS = float(os.environ.get("REMORA_RELOAD_SECONDS", "0"))
SUCCESS = 'remora_config_reloads_total{result="success"}'
REJECTED = 'remora_config_reloads_total{result="rejected"}'
# Where only this process binds, and nobody's outgoing connection gets its port.
HOST = f"127.{os.getpid() // 250 % 250 + 1}.{os.getpid() % 250}.1"
GROWTH = (6 if is_sanitized() else 2) * 1024 * 1024  # bytes of memory that reloads may take


def respond(body, runtime="", extra=""):
    return f"""
[runtime]
{runtime}
[admin]
address = "127.0.0.1:0"
[overload]
loop_lag = 0  # a machine that is held up is no subject of these tests
[[listener]]
name = "in"
address = "127.0.0.1:0"
[[listener.route]]
respond = {{ body = "{body}" }}
{extra}
"""


def replace(path, text):
    """As editors and tools do: a new file, renamed over the old one."""
    new = path + ".new"
    pathlib.Path(new).write_text(text)
    os.rename(new, path)


class Triggers(TestCase):
    def serves(self, proxy, body):
        address = proxy.address("in")
        eventually(lambda: fetch(address).body == body, f"{body!r} is served")

    def test_the_file_changes_in_every_way_that_files_change(self):
        proxy = self.remora(respond("one"))
        self.serves(proxy, b"one")
        pathlib.Path(proxy.config).write_text(respond("in place"))
        self.serves(proxy, b"in place")
        replace(proxy.config, respond("renamed"))
        self.serves(proxy, b"renamed")
        # As Kubernetes does it: remora.toml -> ..data/remora.toml, ..data -> a directory, which is swapped.
        for number in (1, 2, 3):
            folder = pathlib.Path(proxy.directory, f"..{number}")
            folder.mkdir()
            (folder / "remora.toml").write_text(respond(f"map {number}"))
            os.symlink(folder.name, os.path.join(proxy.directory, "..tmp"))
            os.rename(os.path.join(proxy.directory, "..tmp"), os.path.join(proxy.directory, "..data"))
            if number == 1:
                os.symlink("..data/remora.toml", proxy.config + ".link")
                os.rename(proxy.config + ".link", proxy.config)
            self.serves(proxy, f"map {number}".encode())

    def test_a_file_that_vanishes_for_a_moment_or_says_nothing_new_is_no_reload(self):
        proxy = self.remora(respond("one"))
        long = 0

        def vanish(bring_back):
            """Counts the times that were no moment, because this machine had other things to do."""
            nonlocal long
            began = time.monotonic()
            os.rename(proxy.config, proxy.config + ".away")
            bring_back()
            long += time.monotonic() - began > 0.15
        vanish(lambda: os.rename(proxy.config + ".away", proxy.config))
        replace(proxy.config, "# a comment\n" + respond("one"))
        pathlib.Path(proxy.config).touch()
        vanish(lambda: replace(proxy.config, respond("two")))
        self.serves(proxy, b"two")
        metrics = proxy.metrics()
        self.assertIn(metrics[SUCCESS], range(1, 2 + long))
        self.assertIn(metrics[REJECTED], range(1 + long))

    def test_sighup_and_post_work_where_the_file_is_not_watched(self):
        proxy = self.remora(respond("one", "watch = false"))
        replace(proxy.config, respond("two", "watch = false"))
        proxy.signal(signal.SIGHUP)
        proxy.log.wait(r"reloaded trigger=SIGHUP\b")
        self.serves(proxy, b"two")
        replace(proxy.config, respond("three", "watch = false"))
        done = proxy.admin("/reload", "POST")
        self.assertEqual(200, done.status)
        self.assertEqual(b"three", fetch(proxy.address("in")).body)
        answer_ = json.loads(done.body)
        self.assertEqual("applied", answer_["result"])
        self.assertEqual([{"kind": "changed", "object": "listener in", "details": ["routes"], "restart": False}],
                         answer_["changes"])
        self.assertEqual(answer_, json.loads(proxy.admin("/reload").body))
        self.assertEqual("unchanged", json.loads(proxy.admin("/reload", "POST").body)["result"])
        proxy.signal(signal.SIGHUP)
        proxy.log.wait(r"reload found nothing new trigger=SIGHUP\b")
        self.assertEqual(4, proxy.metrics()[SUCCESS])

    def watches(self, proxy):
        """How many directories the process watches."""
        watched = 0
        for info in pathlib.Path(f"/proc/{proxy.process.pid}/fdinfo").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                watched += info.read_text().count("inotify wd:")
        return watched

    def test_watching_is_switched_by_reloads_too(self):
        proxy = self.remora(respond("one", "watch = false"))
        self.assertEqual(0, self.watches(proxy))
        replace(proxy.config, respond("one", "watch = true"))
        self.assertEqual(200, proxy.admin("/reload", "POST").status)
        self.assertGreater(self.watches(proxy), 0)
        replace(proxy.config, respond("two", "watch = false"))
        self.serves(proxy, b"two")
        eventually(lambda: self.watches(proxy) == 0, "nothing is watched any more")

    def test_reloads_are_done_one_after_the_other(self):
        proxy = self.remora(respond("one", "watch = false\nworkers = 2"))
        replace(proxy.config, respond("two", "watch = false\nworkers = 2"))
        clients = [self.client(proxy.admin_address()) for _ in range(5)]
        for client in clients:
            client.send(request_bytes("POST", "/reload", [], None, "localhost"))
        results = [json.loads(client.response("POST").body)["result"] for client in clients]
        self.assertEqual(["applied"] + 4 * ["unchanged"], sorted(results))

    def test_new_names_are_looked_up_before_the_switch(self):
        port = self.backend().endpoint.rpartition(":")[2]
        proxy = self.remora(respond("one", "watch = false"))
        for path in ("/", "/other"):  # a new name, then one that stays
            replace(proxy.config, f"""
[runtime]
watch = false
[admin]
address = "127.0.0.1:0"
[overload]
loop_lag = 0
[[listener]]
name = "in"
address = "127.0.0.1:0"
[[listener.route]]
prefix = "{path}"
cluster = "app"
[[cluster]]
name = "app"
endpoints = ["localhost:{port}"]
""")
            self.assertEqual(200, proxy.admin("/reload", "POST").status)
            self.assertEqual(200, fetch(proxy.address("in"), path).status)

    def test_the_command_says_what_has_changed_or_every_error(self):
        proxy = self.remora(respond("one", "watch = false"))
        admin = show_address(proxy.admin_address())
        extra = '[log]\nlevel = "debug"\n[[cluster]]\nname = "app"\nendpoints = ["127.0.0.1:1"]'
        before = os.path.join(proxy.directory, "before.toml")
        pathlib.Path(before).write_text(respond("one", "watch = false"))
        replace(proxy.config, respond("two", "watch = false\nworkers = 2", extra))
        lines = ("changed runtime: workers 1 -> 2 (takes effect at restart)\nchanged log: level\n"
                 "changed listener in: routes\nadded cluster app\n")
        told = run_remora("check", "--diff", before, proxy.config)
        self.assertEqual((0, lines), (told.returncode, told.stdout))
        done = run_remora("reload", "--admin", admin)
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertEqual(sorted(lines.splitlines()), sorted(done.stdout.splitlines()))
        self.assertEqual(b"debug\n", proxy.admin("/log").body)
        # It is said until there is a restart.
        again = run_remora("reload", "--admin", admin)
        self.assertIn("workers 1 -> 2 (takes effect at restart)", again.stdout)
        replace(proxy.config, respond("x", "watch = 1") + "\n[nonsense]\n")
        bad = run_remora("reload", "--admin", admin)
        self.assertEqual(1, bad.returncode)
        self.assertIn("runtime.watch", bad.stderr)
        self.assertIn("nonsense", bad.stderr)
        self.assertEqual(2, run_remora("check").returncode)
        nobody, address = refused_address()
        with nobody:
            self.assertEqual(3, run_remora("reload", "--admin", show_address(address)).returncode)


class Refusals(TestCase):
    def test_a_rejected_file_changes_nothing_and_is_shown_everywhere(self):
        proxy = self.remora(respond("one", "watch = false"))
        replace(proxy.config, respond("two", "watch = false\nworkerz = 2") + "\n[listenr]\n")
        done = proxy.admin("/reload", "POST")
        self.assertEqual(422, done.status)
        errors = json.loads(done.body)["errors"]
        self.assertEqual(2, len(errors))
        self.assertEqual(b"one", fetch(proxy.address("in")).body)
        shown = proxy.admin("/config").body.decode()
        for error in errors:
            self.assertRegex(error, r"remora\.toml:\d+: ")
            self.assertIn("# " + error, shown)
        self.assertIn('"one"', shown)
        proxy.log.wait("reload rejected.*errors=2")
        metrics = proxy.metrics()
        self.assertEqual((0, 1), (metrics[SUCCESS], metrics[REJECTED]))
        self.assertEqual(1, metrics["remora_config_last_reload_rejected"])
        started = metrics["remora_config_last_reload_success_timestamp_seconds"]
        replace(proxy.config, respond("three", "watch = false"))
        self.assertEqual(200, proxy.admin("/reload", "POST").status)
        metrics = proxy.metrics()
        self.assertEqual(0, metrics["remora_config_last_reload_rejected"])
        self.assertGreaterEqual(metrics["remora_config_last_reload_success_timestamp_seconds"], started)
        self.assertNotIn("#", proxy.admin("/config").body.decode())

    def test_an_address_that_is_taken_is_an_error_and_nothing_has_changed(self):
        proxy = self.remora(respond("one", "watch = false\nworkers = 2"))
        with socket.socket() as other:
            other.bind((HOST, 8082))
            other.listen()
            taken = f"{HOST}:8082"
            extra = f'[[listener]]\nname = "more"\naddress = "{taken}"\n[[listener.route]]\nrespond = {{ body = "m" }}'
            replace(proxy.config, respond("two", "watch = false\nworkers = 2", extra))
            done = proxy.admin("/reload", "POST")
            self.assertEqual(422, done.status)
            self.assertIn("more", json.loads(done.body)["errors"][0])
            self.assertEqual(b"one", fetch(proxy.address("in")).body)
        self.assertEqual(200, proxy.admin("/reload", "POST").status)
        self.assertEqual(b"two", fetch(proxy.address("in")).body)
        self.assertEqual(b"m", fetch((HOST, 8082)).body)

    def test_no_reload_while_draining(self):
        release = threading.Event()
        self.addCleanup(release.set)

        def script(upstream, request):
            release.wait(DEADLINE)
            return answer(OK)(upstream, request)
        proxy = self.remora(simple_config([self.backend(script).endpoint]))
        client = self.client(proxy.address("in"))
        client.send(request_bytes("GET", "/", []))
        eventually(lambda: metric_sum(proxy.metrics(), "remora_endpoint_active_requests") == 1, "it is under way")
        proxy.signal(signal.SIGTERM)
        proxy.log.wait("draining")
        done = proxy.admin("/reload", "POST")
        self.assertEqual(409, done.status)
        self.assertEqual(["draining"], json.loads(done.body)["errors"])
        release.set()
        self.assertEqual(200, client.response().status)
        self.assertEqual(0, proxy.wait())

    def test_broken_files_are_all_rejected_and_none_does_harm(self):
        proxy = self.remora(respond("good", "watch = false"))
        address = proxy.address("in")
        count = 0
        for name, write in broken_files(respond("bad")):
            write(proxy.config)
            done = proxy.admin("/reload", "POST")
            with self.subTest(name):
                self.assertEqual(422, done.status, done.body)
                errors = json.loads(done.body)["errors"]
                self.assertTrue(errors)
                for error in errors:
                    self.assertRegex(error, r"remora\.toml:(\d+:)? ")
                self.assertEqual(b"good", fetch(address).body)
            count += 1
        self.assertGreaterEqual(count, 200)
        self.assertTrue(proxy.alive())
        metrics = proxy.metrics()
        self.assertEqual((0, count), (metrics[SUCCESS], metrics[REJECTED]))
        if os.path.isdir(proxy.config):
            os.rmdir(proxy.config)


class Load(threading.Thread):
    """Keep-alive clients that are never idle; whatever is not a 200 on the same connection is a failure."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.address = address
        self.ending = threading.Event()
        self.requests = 0
        self.failures = []

    def run(self):
        request = request_bytes("GET", "/", [])
        try:
            with Client(self.address) as client:
                while not self.ending.is_set():
                    client.send(request)
                    response = client.response()
                    self.requests += 1
                    if response.status != 200 or response.get("connection") == "close":
                        self.failures.append(f"{response.status} {response.fields}")
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a failed request
            self.failures.append(repr(error))


class UnderLoad(TestCase):
    def setUp(self):
        def script(upstream, request):
            if request.get("upgrade"):
                return serve_echo(upstream, request)
            return answer(OK)(upstream, request)
        self.backends = [self.backend(script) for _ in range(3)]
        self.dead_socket, dead = refused_address()
        self.addCleanup(self.dead_socket.close)
        self.dead = show_address(dead)

    def config(self, even):
        one, two, three = (backend.endpoint for backend in self.backends)
        broken = f"""
[[cluster]]
name = "broken"
endpoints = ["{self.dead}"]
breaker = {{ consecutive_failures = 1, open_for = "10m", max_open_for = "10m" }}
retry = {{ attempts = 1 }}
"""
        head = f"""
[runtime]
workers = 2
watch = false
[admin]
address = "127.0.0.1:0"
[log]
access = {{ path = "off" }}
[overload]
loop_lag = 0
[[listener]]
name = "in"
address = "127.0.0.1:0"
timeouts = {{ keep_alive = "{60 if even else 90}s" }}
[[listener.route]]
path = "/broken"
cluster = "broken"
"""
        if even:
            return head + f"""
[[listener.route]]
cluster = "app"
[[listener]]
name = "moving"
address = "{HOST}:8080"
[[listener.route]]
cluster = "app"
[[cluster]]
name = "app"
endpoints = ["{one}", "{two}"]
""" + broken
        return head + f"""
[[listener.route]]
headers = {{ x-never = "*" }}
cluster = "more"
[[listener.route]]
clusters = [{{ name = "app", weight = 1 }}, {{ name = "more", weight = 1 }}]
[[listener]]
name = "moving"
address = "{HOST}:8081"
[[listener.route]]
cluster = "more"
[[listener]]
name = "extra"
address = "127.0.0.1:0"
[[listener.route]]
cluster = "app"
""" + broken + f"""
[[cluster]]
name = "more"
endpoints = ["{three}"]
[[cluster]]
name = "app"
endpoints = ["{one}", "{three}"]
limits = {{ requests = 500 }}
breaker = {{ consecutive_failures = 7 }}
"""

    def breaker(self, proxy):
        clusters = json.loads(proxy.admin("/clusters").body)["clusters"]
        broken, = [c for c in clusters if c["name"] == "broken"]
        state = broken["endpoints"][0]["breaker"]
        return state["state"], state.get("openings")

    def test_nobody_notices(self):
        proxy = self.remora(self.config(True))
        address = proxy.address("in")
        chat = WebSocketClient(self.client(address))
        self.assertEqual(502, fetch(address, "/broken").status)
        self.assertEqual(503, fetch(address, "/broken").status)
        breaker = self.breaker(proxy)
        loads = [Load(address) for _ in range(6)]
        for load in loads:
            load.start()
        measured = None
        counted = 0
        began = time.monotonic()
        admin = Client(proxy.admin_address())
        self.addCleanup(admin.reset)
        for number in range(RELOADS):
            replace(proxy.config, self.config(number % 2 == 1))
            admin.send(request_bytes("POST", "/reload", [], None, "localhost"))
            done = admin.response("POST")
            self.assertEqual(200, done.status, done.body)
            self.assertEqual(200, fetch((HOST, 8080 if number % 2 == 1 else 8081)).status)
            # The numbers of what is there all the time do not go back.
            if number % 5 == 0:
                before, counted = counted, metric_sum(proxy.metrics(), "remora_requests_total", listener="in",
                                                      cluster="app")
                self.assertGreaterEqual(counted, before)
                chat.send(TEXT, b"still here")  # often enough for the backend of the test
                self.assertEqual((TEXT, b"still here"), chat.receive())
            if number == RELOADS // 3 or (number == RELOADS - 1 and measured):
                now = (len(os.listdir(f"/proc/{proxy.process.pid}/fd")), resident(proxy))
                first, measured = measured or now, now
            if SECONDS:
                threading.Event().wait(max(0, began + SECONDS * (number + 1) / RELOADS - time.monotonic()))
        took = time.monotonic() - began
        for load in loads:
            load.ending.set()
        for load in loads:
            load.join(DEADLINE)
        total = sum(load.requests for load in loads)
        self.assertEqual([], [failure for load in loads for failure in load.failures])
        self.assertGreater(total, RELOADS)
        self.assertEqual(breaker, self.breaker(proxy))
        self.assertEqual(503, fetch(address, "/broken").status)
        chat.send(TEXT, b"still here")
        self.assertEqual((TEXT, b"still here"), chat.receive())
        self.assertEqual(RELOADS, proxy.metrics()[SUCCESS])
        self.assertEqual(self.config(True), pathlib.Path(proxy.config).read_text())  # an even number of reloads
        gone = ('cluster="more"', 'listener="extra"')
        eventually(lambda: not [key for key in proxy.metrics() if any(name in key for name in gone)],
                   "the series of what has gone are gone")
        # As many as before, but for a listener more or less, and what is just being closed.
        self.assertLess(measured[0], first[0] + 40, f"descriptors {first[0]} -> {measured[0]}")
        if not is_sanitized():  # whose quarantine grows: the test below does without
            self.assertLess(measured[1] - first[1], GROWTH, f"memory {first[1]} -> {measured[1]}")
        print(f"{RELOADS} reloads in {took:.1f} s, {total} requests, 0 failed, descriptors {first[0]} -> "
              f"{measured[0]}, resident {first[1] >> 10} -> {measured[1] >> 10} KiB, breaker {breaker[0]}")

    def test_what_is_replaced_is_freed(self):
        """Four configurations of this size, were they kept, cost more than GROWTH."""
        def config(number):
            clusters = "".join(
                f'[[cluster]]\nname = "c{i}"\nendpoints = ['
                + ", ".join(f'"10.{i // 250}.{i % 250}.{e}:80"' for e in range(1, 9)) + "]\n" for i in range(400))
            return respond(f"number {number}", "watch = false", clusters)
        # AddressSanitizer keeps what is freed, to find whoever uses it: here, that would look like growth.
        options = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=0:thread_local_quarantine_size_kb=0"
        proxy = self.remora(config(0), env={"ASAN_OPTIONS": options})
        sizes = []
        for number in range(1, 8):
            replace(proxy.config, config(number))
            self.assertEqual(200, proxy.admin("/reload", "POST").status)
            self.assertEqual(f"number {number}".encode(), fetch(proxy.address("in")).body)
            sizes.append(resident(proxy))
        self.assertLess(sizes[-1] - sizes[2], GROWTH, f"memory {sizes}")


if __name__ == "__main__":
    main()
