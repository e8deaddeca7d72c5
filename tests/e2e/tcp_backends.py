"""Servers without HTTP for the tests of TCP listeners: scripted sockets, Redis and PostgreSQL of Debian."""

import glob
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import threading

from processes import DEADLINE, Lines, die_with_parent, end_process, eventually
from wire import show_address


class TcpBackend:
    """Calls `serve(socket)` in a thread for each connection, and closes it after that."""

    def __init__(self, serve, address=("127.0.0.1", 0)):
        self.serve = serve
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.listener = socket.create_server(address, family=family, backlog=4096)
        self.endpoint = show_address(self.listener.getsockname())
        self.sockets = []
        self.errors = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.settimeout(DEADLINE)
            self.sockets.append(sock)
            threading.Thread(target=self._run, args=(sock,), daemon=True).start()

    def _run(self, sock):
        try:
            self.serve(sock)
        except OSError as error:
            self.errors.append(error)
        finally:
            sock.close()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for sock in self.sockets:
            sock.close()


def unprivileged():
    """Options of Popen: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    return {"user": "nobody", "group": "nogroup", "extra_groups": []}


class Redis:
    """A server of its own at a Unix socket."""

    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="remora-redis-")
        path = os.path.join(self.directory, "redis.sock")
        self.endpoint = f"unix:{path}"
        self.process = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--dir", self.directory],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, preexec_fn=die_with_parent())
        eventually(lambda: os.path.exists(path), "Redis listens")

    def close(self):
        end_process(self.process)
        shutil.rmtree(self.directory, True)


class PostgreSQL:
    """A server of its own, fresh, on a free TCP port. Whoever connects is believed."""

    def __init__(self):
        programs = max(glob.glob("/usr/lib/postgresql/*/bin"))
        self.directory = tempfile.mkdtemp(prefix="remora-pg-")
        self.process = None
        try:
            options = unprivileged()
            if options:
                shutil.chown(self.directory, options["user"], options["group"])
            data = os.path.join(self.directory, "data")
            made = subprocess.run(
                [f"{programs}/initdb", "--pgdata", data, "--username", "remora", "--auth", "trust", "--no-sync",
                 "--no-instructions", "--locale", "C", "--encoding", "UTF8"],
                capture_output=True, text=True, timeout=6 * DEADLINE, cwd=self.directory, **options)
            if made.returncode != 0:
                raise AssertionError(made.stderr)
            with socket.create_server(("127.0.0.1", 0)) as free:
                port = free.getsockname()[1]
            self.endpoint = f"127.0.0.1:{port}"
            self.process = subprocess.Popen(
                [f"{programs}/postgres", "-D", data, "-k", "", "-h", "127.0.0.1", "-p", str(port), "-c", "fsync=off"],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=self.directory,
                preexec_fn=die_with_parent(), **options)
            self.log = Lines(self.process.stderr)
            self.log.wait("ready to accept connections", 3 * DEADLINE)
        except BaseException:
            self.close()
            raise

    def close(self):
        if self.process is not None:
            self.process.send_signal(2)  # "fast": it does not wait for clients
            end_process(self.process)
            self.process.stderr.close()
        shutil.rmtree(self.directory, True)
        assert not pathlib.Path(self.directory).exists()
