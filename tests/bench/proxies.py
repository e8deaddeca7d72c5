"""Starts and stops the programs that tests/bench/compare measures, each pinned to a core.

A child lives in its own session and dies with this process (PR_SET_PDEATHSIG), so neither Ctrl-C nor a crash
leaves one behind; `Child.stop` is the ordinary end. Everything a child writes goes below the run's temporary
directory.
"""

import contextlib
import ctypes
import itertools
import os
import random
import shutil
import signal
import socket
import subprocess
import time

START_SECONDS = 10
STOP_SECONDS = 5
PR_SET_PDEATHSIG = 1
LOG_NUMBERS = itertools.count(1)
NGINX_STREAM = "/usr/lib/nginx/modules/ngx_stream_module.so"  # of Debian's libnginx-mod-stream
LIBC = ctypes.CDLL(None, use_errno=True)


class BenchError(Exception):
    """The comparison cannot go on; the text is for the user."""


def find_program(name):
    """Debian puts servers into /usr/sbin, which is not in everybody's PATH."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def free_port():
    """A port nobody listens on; below the ephemeral range, so that no outgoing connection takes it first."""
    for _ in range(1000):
        port = random.randint(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise BenchError("no free port between 20000 and 32000")


def prepare_child(core=None):
    """What a child does between fork and exec."""
    def prepare():
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if core is not None:
            os.sched_setaffinity(0, {core})
    return prepare


def run_build(command, directory):
    """Runs a compiler or build tool to its end, or ends it with all its helpers. Returns (status, output)."""
    build = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, env={**os.environ, "TMPDIR": directory},
                             start_new_session=True, preexec_fn=prepare_child())
    try:
        output, _ = build.communicate()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(build.pid, signal.SIGTERM)
        build.communicate()
        raise
    return build.returncode, output


class Child:
    """One program, pinned to `core`; its output is in `log`."""

    def __init__(self, name, command, core, directory, stop_signal=signal.SIGTERM):
        self.name = name
        self.stop_signal = stop_signal
        self.stopped = False
        self.log = os.path.join(directory, f"{name}-{next(LOG_NUMBERS)}.log")
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                            cwd=directory, start_new_session=True,
                                            preexec_fn=prepare_child(core))

    def pause(self, seconds):
        """Lets time pass; ends early, with an error, if the program does."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=seconds)
        self.check_alive()

    def check_alive(self):
        code = self.process.poll()
        if code is not None:
            raise BenchError(f"{self.name} ended with status {code}:\n{self.log_tail()}")

    def log_tail(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return "".join(log.readlines()[-15:])

    def wait_listening(self, port):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            self.pause(0.01)
        raise BenchError(f"{self.name} does not listen on port {port}:\n{self.log_tail()}")

    def wait_saying(self, word):
        """Until it has written so."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if word in self.log_tail():
                return
            self.pause(0.01)
        raise BenchError(f"{self.name} does not say that it is {word}:\n{self.log_tail()}")

    def pids(self):
        """The program and all that descends from it (nginx: master and worker)."""
        parents = {}
        for entry in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError), open(f"/proc/{entry}/stat", "rb") as f:
                parent = int(f.read().rpartition(b")")[2].split()[1])
                parents.setdefault(parent, []).append(int(entry))
        found = [self.process.pid]
        for pid in found:
            found.extend(parents.get(pid, []))
        return found

    def stop(self):
        """Ends the program and its descendants, by force if need be. May be called again."""
        if self.stopped:
            return
        self.stopped = True
        if self.process.poll() is None:
            self.process.send_signal(self.stop_signal)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=STOP_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)  # the session is ours alone
        self.process.wait()
        os.unlink(self.log)


def make_certificate(directory):
    """One for 127.0.0.1, in the form that each proxy wants. Returns {"certificate", "key", "both"}: paths."""
    files = {name: os.path.join(directory, f"tls.{name}") for name in ("certificate", "key", "both")}
    done = subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                           "-days", "2", "-subj", "/CN=bench", "-addext", "subjectAltName=IP:127.0.0.1",
                           "-keyout", files["key"], "-out", files["certificate"]],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"openssl makes no certificate:\n{done.stderr}")
    with open(files["both"], "w", encoding="ascii") as out:
        for name in ("certificate", "key"):
            with open(files[name], encoding="ascii") as part:
                out.write(part.read())
    return files


def nginx_config(port, backend_port, files, directory, tls=None):
    user = "user root;" if os.geteuid() == 0 else ""
    secure = f"ssl_certificate {tls['certificate']}; ssl_certificate_key {tls['key']}; ssl_protocols TLSv1.3;" if tls else ""
    temp_paths = "\n".join(f"  {kind}_temp_path {directory}/nginx-{kind};"
                           for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    return f"""
worker_processes 1;
daemon off;
{user}
pid {directory}/nginx.pid;
error_log stderr warn;
worker_rlimit_nofile {files};
events {{ worker_connections {files}; }}
http {{
  access_log off;
{temp_paths}
  tcp_nodelay on;
  keepalive_timeout 75s;
  keepalive_requests 1000000000;
  upstream app {{
    server 127.0.0.1:{backend_port};
    keepalive 64;
    keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{port}{" ssl" if tls else ""};
    {secure}
    location / {{
      proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }}
    location /echo {{
      proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection "upgrade";
    }}
  }}
}}
"""


def haproxy_config(port, backend_port, files, tls=None):
    secure = f" ssl crt {tls['both']} ssl-min-ver TLSv1.3" if tls else ""
    return f"""
global
  maxconn {(files - 100) // 2}
  nbthread 1
defaults
  mode http
  no log
  http-reuse always
  timeout connect 5s
  timeout client 75s
  timeout server 75s
  timeout http-keep-alive 75s
frontend bench
  bind 127.0.0.1:{port}{secure}
  default_backend app
backend app
  server app 127.0.0.1:{backend_port}
"""


def nginx_tcp_config(port, backend_port, files, directory):
    user = "user root;" if os.geteuid() == 0 else ""
    return f"""
load_module {NGINX_STREAM};
worker_processes 1;
daemon off;
{user}
pid {directory}/nginx.pid;
error_log stderr warn;
worker_rlimit_nofile {files};
events {{ worker_connections {files}; }}
stream {{
  tcp_nodelay on;
  proxy_timeout 75s;
  server {{
    listen 127.0.0.1:{port};
    proxy_pass 127.0.0.1:{backend_port};
  }}
}}
"""


def haproxy_tcp_config(port, backend_port, files, splice):
    return f"""
global
  maxconn {(files - 400) // 2}
  maxpipes 64
  nbthread 1
defaults
  mode tcp
  no log
  {"option splice-request" if splice else ""}
  {"option splice-response" if splice else ""}
  timeout connect 5s
  timeout client 75s
  timeout server 75s
frontend bench
  bind 127.0.0.1:{port}
  default_backend app
backend app
  server app 127.0.0.1:{backend_port}
"""


def as_tcp(remora):
    """The text of remora_config for a listener that knows no HTTP."""
    return remora.replace('[[listener.route]]\n', 'protocol = "tcp"\n')


def remora_config(port, backend_port, admin_port, access_log, tls=None):
    secure = (f'tls = {{ certificate = "{tls["certificate"]}", key = "{tls["key"]}", min_version = "1.3" }}' if tls else "")
    path = (access_log or "off").replace("\\", "\\\\").replace('"', '\\"')
    return f"""
[runtime]
workers = 1
[admin]
address = "127.0.0.1:{admin_port}"
[log.access]
path = "{path}"
[[listener]]
name = "bench"
address = "127.0.0.1:{port}"
{secure}
[[listener.route]]
cluster = "app"
[[cluster]]
name = "app"
endpoints = ["127.0.0.1:{backend_port}"]
"""


# Everything that may cost something for each request, with limits that nothing reaches.
EVERYTHING = """
limits = { requests = 100000, per_endpoint = { requests = 100000 } }
breaker = { slow_call = { threshold = "1s", ratio = 0.5 } }
retry = { attempts = 3, on = ["connect-failure", "refused", "reset", "timeout", "5xx"], per_try_timeout = "5s" }
health_check = { path = "/", interval = "1s" }
outlier = { consecutive_failures = 5 }
"""


def full_config(port, backend_port, admin_port, directory, tls=None):
    """As remora_config, with everything on, and the access log in a file."""
    text = remora_config(port, backend_port, admin_port, os.path.join(directory, "access.log"), tls)
    text = text.replace('[[listener.route]]', 'rate_limit = { requests = 1000000 }\n[[listener.route]]')
    return text + EVERYTHING


def write(directory, name, text):
    path = os.path.join(directory, name)
    with open(path, "w", encoding="utf-8") as out:
        out.write(text)
    return path


def start_backend(program, core, directory):
    """Returns (child, port)."""
    port = free_port()
    child = Child("backend", [program, str(port)], core, directory)
    child.wait_listening(port)
    return child, port


def start_proxy(name, settings, backend_port):
    """Starts one proxy in front of the backend. Returns (child, port); `settings` is compare's namespace."""
    port, directory, files = free_port(), settings.directory, settings.files
    stop_signal = signal.SIGTERM
    if name == "floor":
        command = [settings.floor, str(port), f"127.0.0.1:{backend_port}"]
    elif name == "nginx":
        text = (nginx_tcp_config(port, backend_port, files, directory) if settings.tcp else
                nginx_config(port, backend_port, files, directory, settings.tls))
        config = write(directory, "nginx.conf", text)
        command = [find_program("nginx"), "-e", "stderr", "-p", directory, "-c", config]
    elif name.startswith("haproxy"):
        text = (haproxy_tcp_config(port, backend_port, files, name == "haproxy") if settings.tcp else
                haproxy_config(port, backend_port, files, settings.tls))
        config = write(directory, "haproxy.cfg", text)
        command = [find_program("haproxy"), "-db", "-f", config]
    else:
        text = (full_config(port, backend_port, free_port(), directory, settings.tls) if name == "full" else
                remora_config(port, backend_port, free_port(), settings.access_log, settings.tls))
        if name == "two-workers":
            text = text.replace("workers = 1", "workers = 2")
        config = write(directory, f"{name}.toml", as_tcp(text) if settings.tcp else text)
        command = [settings.baseline if name == "baseline" else settings.remora, "run", "--config", config]
        stop_signal = signal.SIGINT  # SIGTERM would drain the connections that are still open
    child = Child(name, command, settings.proxy_core, directory, stop_signal)
    try:
        child.wait_listening(port)
    except BaseException:
        child.stop()
        raise
    return child, port
