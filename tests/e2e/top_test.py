"""`remora top`: one frame for scripts, and the live screen in a terminal of its own (a pty)."""

import fcntl
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import termios
import threading
import time

from harness import (BINARY, DEADLINE, TestCase, die_with_parent, end_process, eventually, fetch, main, run_remora,
                     show_address, simple_config)

ENTER, LEAVE = b"\x1b[?1049h", b"\x1b[?1049l"


class Screen:
    """A process in a terminal. `frame()` is the text of its latest whole frame."""

    def __init__(self, *arguments, rows=24, columns=80, env=None):
        self.master, slave = pty.openpty()
        self.slave = slave
        self.resize(rows, columns)
        self.before = termios.tcgetattr(slave)
        environment = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
        self.process = subprocess.Popen([BINARY, *arguments], stdin=slave, stdout=slave, stderr=slave,
                                        start_new_session=True, env={**environment, **(env or {})},
                                        preexec_fn=die_with_parent(lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0)))
        self.output = b""

    def resize(self, rows, columns):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self):
        while select.select([self.master], [], [], 0.1)[0]:
            try:
                self.output += os.read(self.master, 65536)
            except OSError:
                return

    def frame(self):
        self.read()
        frames = self.output.split(b"\x1b[H")[1:]
        whole = [f for f in frames if b"\x1b[J" in f]
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", whole[-1].decode()) if whole else ""

    def lines(self):
        return self.frame().split("\r\n")

    def wait_text(self, text):
        return eventually(lambda: text in self.frame(), f"{text!r} in the terminal, which shows\n{self.output[-2000:]}")

    def type(self, keys):
        os.write(self.master, keys)

    def end(self):
        """Its exit status, once it has ended by itself."""
        deadline = time.monotonic() + DEADLINE
        while self.process.poll() is None and time.monotonic() < deadline:
            self.read()
        self.read()
        return self.process.poll()

    def close(self):
        end_process(self.process)
        os.close(self.master)
        os.close(self.slave)


class Top(TestCase):
    def screen(self, proxy, *more, **options):
        screen = Screen("top", "--admin", show_address(proxy.admin_address()), *more, **options)
        self.addCleanup(screen.close)
        return screen

    def before(self, *endpoints):
        return self.remora(simple_config(list(endpoints), cluster="""
[cluster.breaker]
consecutive_failures = 2
open_for = "50s"
"""))

    def assert_restored(self, screen):
        self.assertEqual(screen.before, termios.tcgetattr(screen.slave))
        self.assertEqual(1, screen.output.count(ENTER))
        self.assertTrue(screen.output.rstrip().endswith(LEAVE), screen.output[-60:])
        self.assertIn(b"\x1b[?25h", screen.output)

    def test_once_prints_one_plain_frame(self):
        proxy = self.before(self.backend().endpoint)
        fetch(proxy.address("in"))
        done = run_remora("top", "--once", "--admin", show_address(proxy.admin_address()))
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        self.assertNotIn("\x1b", done.stdout)
        self.assertIn("OK  Everything is well\n", done.stdout)
        self.assertRegex(done.stdout, r"(?m)^  app +1/1 +\d")
        self.assertIn("remora starting -> ready\n", done.stdout)

    def test_once_fails_when_nobody_answers(self):
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            address = show_address(nobody.getsockname())
            done = run_remora("top", "--once", "--admin", address)
        self.assertEqual((3, "", f"remora: no answer from {address}: connection refused\n"),
                         (done.returncode, done.stdout, done.stderr))

    def test_once_fails_when_it_is_no_remora(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            def answer():
                with server.accept()[0] as connection:
                    connection.recv(4096)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
            thread = threading.Thread(target=answer)
            thread.start()
            done = run_remora("top", "--once", "--admin", show_address(server.getsockname()))
            thread.join()
        self.assertEqual(3, done.returncode)
        self.assertIn("this is not what the admin server of a Remora answers", done.stderr)

    def test_an_address_that_is_none(self):
        for address in ("example.org:9901", "9901", "", "localhost:x", "https://127.0.0.1:9901"):
            done = run_remora("top", "--once", "--admin", address)
            self.assertEqual(2, done.returncode, address)
            self.assertIn('write "127.0.0.1:9901"', done.stderr)

    def test_without_a_terminal_it_says_what_to_do(self):
        proxy = self.before(self.backend().endpoint)
        done = run_remora("top", "--admin", show_address(proxy.admin_address()))
        self.assertEqual(2, done.returncode)
        self.assertIn("use remora top --once", done.stderr)

    def test_a_breaker_is_seen_opening_and_q_quits(self):
        good, bad = self.backend(), self.backend()
        proxy = self.before(good.endpoint, bad.endpoint)
        screen = self.screen(proxy)
        screen.wait_text("OK  Everything is well")
        bad.close()
        for _ in range(8):
            self.assertEqual(200, fetch(proxy.address("in")).status)
        screen.wait_text("app: 1 of 2 endpoints not available: breaker open for")
        screen.wait_text("breaker closed -> open, failures in a row")
        lines = screen.lines()
        self.assertLessEqual(len(lines), 24)
        self.assertLessEqual(max(map(len, lines)), 80)
        self.assertIn(b"\x1b[1;33m", screen.output)
        screen.type(b"q")
        self.assertEqual(0, screen.end())
        self.assert_restored(screen)

    def test_no_color_is_honoured(self):
        screen = self.screen(self.before("127.0.0.1:1"), env={"NO_COLOR": "1"})
        screen.wait_text("app")
        self.assertEqual([], re.findall(rb"\x1b\[[\d;]*m", screen.output))

    def test_it_follows_the_size_of_the_terminal(self):
        screen = self.screen(self.before(*(f"127.0.0.1:{i}" for i in range(1, 30))))
        screen.wait_text("127.0.0.1:1 ")
        self.assertLessEqual(len(screen.lines()), 24)
        screen.resize(50, 120)
        eventually(lambda: 24 < len(screen.lines()) <= 50, "a taller frame")
        screen.resize(10, 40)
        eventually(lambda: len(screen.lines()) <= 10 and max(map(len, screen.lines())) <= 40, "a small frame")

    def test_signals_leave_the_terminal_as_it_was(self):
        proxy = self.before(self.backend().endpoint)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            screen = self.screen(proxy)
            screen.wait_text("app")
            screen.process.send_signal(number)
            self.assertEqual(0, screen.end(), number)
            self.assert_restored(screen)
        screen = self.screen(proxy)
        screen.wait_text("app")
        screen.type(b"\x03")  # Ctrl-C
        self.assertEqual(0, screen.end())
        self.assert_restored(screen)

    def test_a_proxy_that_goes_and_comes_back(self):
        config = simple_config([self.backend().endpoint])
        proxy = self.remora(config)
        screen = self.screen(proxy)
        screen.wait_text("OK  Everything is well")
        port = proxy.admin_address()[1]
        proxy.stop()
        screen.wait_text("connection refused; what is")
        self.remora(config.replace("127.0.0.1:0", f"127.0.0.1:{port}", 1))
        screen.wait_text("OK  Everything is well")

    def test_a_server_that_hangs_does_not_hang_it(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            accepted = []

            def accept():
                try:
                    while True:
                        accepted.append(silent.accept()[0])
                except OSError:
                    pass
            threading.Thread(target=accept, daemon=True).start()
            screen = Screen("top", "--admin", show_address(silent.getsockname()))
            self.addCleanup(screen.close)
            screen.wait_text("no answer in time")
            screen.type(b"q")
            self.assertEqual(0, screen.end())
            silent.shutdown(socket.SHUT_RDWR)
        for connection in accepted:
            connection.close()


if __name__ == "__main__":
    main()
