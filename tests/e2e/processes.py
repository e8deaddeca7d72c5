"""Child processes: Remora itself, with its logs, its ports and its admin server.

Children end by their own pid, and die with this process if it is killed.
"""

import ctypes
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

from wire import DEADLINE, Client, parse_address

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("REMORA_BIN") or str(ROOT / "build" / "release" / "remora")


def is_sanitized():
    """Whether the binary carries a sanitizer, whose shadow and quarantine make memory figures meaningless."""
    return any(mark in pathlib.Path(BINARY).read_bytes()
               for mark in (b"__asan_init", b"__tsan_init", b"__msan_init"))


PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)


def die_with_parent(also=None):
    """A preexec function: the child gets SIGKILL when this process goes away. `also()` runs there too."""
    def prepare():
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if also:
            also()
    return prepare


def end_process(process, deadline=DEADLINE):
    """SIGTERM, then SIGKILL when it does not go; always reaps."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(deadline)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()


class Lines:
    """Collects the lines of a pipe in a thread; `wait` blocks until one matches."""

    def __init__(self, pipe):
        self.lines = []
        self.changed = threading.Condition()
        self.ended = False
        self.pipe = pipe
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        for line in self.pipe:
            with self.changed:
                self.lines.append(line.decode("utf-8", "replace").rstrip("\n"))
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def wait(self, pattern, deadline=DEADLINE, count=1, start=0):
        """The `count`-th match of `pattern` in a line at or after index `start`, else AssertionError."""
        pattern = re.compile(pattern)

        def found():
            return [m for m in map(pattern.search, self.lines[start:]) if m]

        with self.changed:
            self.changed.wait_for(lambda: self.ended or len(found()) >= count, deadline)
            matches = found()
            if len(matches) < count:
                tail = "\n".join(self.lines[-40:])
                found = f"{len(matches)} of {count}"
                raise AssertionError(f"no line matches {pattern.pattern!r} ({found}):\n{tail}")
            return matches[count - 1]

    def text(self):
        with self.changed:
            return "\n".join(self.lines)

    def mark(self):
        with self.changed:
            return len(self.lines)


class Remora:
    """One running proxy, configured by TOML text. `port("name")` is where a listener really is."""

    def __init__(self, toml, ready=True, stdout=None, preexec=None, env=None, command=None):
        self.directory = tempfile.mkdtemp(prefix="remora-e2e-")
        self.config = os.path.join(self.directory, "remora.toml")
        pathlib.Path(self.config).write_text(toml)
        self.process = None
        started = time.monotonic()
        try:
            self.process = subprocess.Popen(
                [*(command or [BINARY]), "run", "--config", self.config], stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if stdout is None else stdout, stderr=subprocess.PIPE,
                preexec_fn=die_with_parent(preexec), cwd=self.directory, env={**os.environ, **(env or {})})
            self.log = Lines(self.process.stderr)
            self.access = Lines(self.process.stdout) if stdout is None else None
            self.start_seconds = None
            if ready:
                self.log.wait(r"\bready\b")
                self.start_seconds = time.monotonic() - started
        except BaseException:
            self.kill()
            raise

    def address(self, listener):
        """What the log says a listener is bound to: (host, port), or a path for a Unix socket."""
        match = self.log.wait(rf"(?<!admin) listening\b.*\blistener={re.escape(listener)} .*?\baddress=(\S+)")
        return parse_address(match[1])

    def port(self, listener):
        return self.address(listener)[1]

    def admin_address(self):
        return parse_address(self.log.wait(r"\badmin listening\b.*\baddress=(\S+)")[1])

    def admin(self, path, method="GET", host="localhost", fields=()):
        """An admin request: the Response. `fields`: more lines of its head."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close", *fields, "", ""]
        with Client(self.admin_address()) as client:
            client.send("\r\n".join(lines).encode())
            return client.response(method)

    def metrics(self):
        """{'name{labels}': value} of what /metrics says now; labels sorted."""
        return parse_metrics(self.admin("/metrics").body.decode())

    def alive(self):
        return self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, deadline=DEADLINE):
        """The exit status; AssertionError when it does not end in time."""
        try:
            return self.process.wait(deadline)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {deadline} s:\n{self.log.text()[-2000:]}") from None

    def kill(self):
        if self.process is not None:
            if self.process.poll() is None:
                self.process.kill()
            self.process.wait()
            for lines in (getattr(self, "log", None), getattr(self, "access", None)):
                if lines:
                    lines.thread.join(DEADLINE)
                    lines.pipe.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def stop(self):
        """Ends it with SIGINT; a crash, a sanitizer report or a hang is a failure."""
        try:
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGINT)
            status = self.wait()
            for lines in filter(None, (self.log, self.access)):
                lines.thread.join(DEADLINE)
            text = self.log.text()
            if status != 0 or "Sanitizer" in text or "runtime error:" in text:
                raise AssertionError(f"remora ended with status {status}:\n{text[-6000:]}")
        finally:
            self.kill()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is None:
            self.stop()
        else:
            sys.stderr.write(f"--- remora log, last lines ---\n{self.log.text()[-3000:]}\n")
            self.kill()


def run_remora(*arguments, deadline=DEADLINE, **options):
    """Runs a short command of the binary to its end: CompletedProcess with text output."""
    return subprocess.run([BINARY, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=deadline, preexec_fn=die_with_parent(), check=False, **options)


def parse_metrics(text):
    samples = {}
    for line in text.splitlines():
        match = re.fullmatch(r"([A-Za-z_:][\w:]*)(?:\{(.*)\})? (\S+)(?: \d+)?", line)
        if match and not line.startswith("#"):
            labels = sorted(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match[2] or ""))
            key = match[1] + ("{" + ",".join(f'{k}="{v}"' for k, v in labels) + "}" if labels else "")
            samples[key] = float(match[3])
    return samples


def metric_sum(samples, name, **labels):
    """The sum over all series of `name` that have all of `labels`."""
    wanted = [f'{k}="{v}"' for k, v in labels.items()]
    total = 0.0
    for key, value in samples.items():
        base, _, rest = key.partition("{")
        if base == name and all(w in rest for w in wanted):
            total += value
    return total


def eventually(probe, what, deadline=DEADLINE):
    """Polls `probe` (which itself waits for something: a request, a select) until it returns true."""
    end = time.monotonic() + deadline
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline} s: {what}")


class HangingThread:
    """Stops one thread of a process, found by its name, until the end of the block; this thread traces it."""

    SEIZE, INTERRUPT, DETACH, WALL = 0x4206, 0x4207, 17, 0x40000000

    def __init__(self, process, name):
        tasks = pathlib.Path(f"/proc/{process.pid}/task")
        self.thread = next(int(t.name) for t in tasks.iterdir() if (t / "comm").read_text().strip() == name)

    def _trace(self, request):
        if LIBC.ptrace(request, self.thread, None, None) != 0:
            raise AssertionError(f"ptrace: {os.strerror(ctypes.get_errno())}")

    def __enter__(self):
        self._trace(self.SEIZE)
        self._trace(self.INTERRUPT)
        os.waitpid(self.thread, self.WALL)

    def __exit__(self, kind, value, trace):
        self._trace(self.DETACH)


def resident(proxy):
    """VmRSS in bytes."""
    with open(f"/proc/{proxy.process.pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) * 1024
