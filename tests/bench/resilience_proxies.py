"""The three proxies' configurations for tests/bench/resilience, each as a careful operator of that proxy
would write it for the same wishes. What a proxy cannot do is left out of its configuration, and said here.
"""

import os
import signal
from dataclasses import dataclass

import proxies
from proxies import Child


@dataclass
class Plan:
    """What the operator wants. Durations in milliseconds."""

    workers: int = 1
    attempts: int = 2  # all tries, the first included
    retry_503: bool = False  # a 503 is retried like a connection that failed
    per_try_timeout: int = 250
    active: bool = True  # health checks
    check_interval: int = 1000
    check_interval_failing: int = 500
    passive: bool = True  # breaker, or what is nearest to it
    failures: int = 5  # in a row, that open it
    open_for: int = 1000
    max_open_for: int = 8000
    slow_start: int = 4000
    endpoint_requests: int = 0  # in flight at each endpoint; 0 = unlimited
    queue_timeout: int = 250


def remora(plan, port, endpoints, settings):
    listed = ", ".join(f'"{endpoint}"' for endpoint in endpoints)
    conditions = ["connect-failure", "refused", "reset", "timeout"] + (["503"] if plan.retry_503 else [])
    check = f"""
[cluster.health_check]
protocol = "http"
path = "/health"
interval = "{plan.check_interval}ms"
failing_interval = "{plan.check_interval_failing}ms"
timeout = "500ms"
rise = 1
fall = 2
""" if plan.active else ""
    limits = f"""
[cluster.limits]
pending_timeout = "{plan.queue_timeout}ms"
[cluster.limits.per_endpoint]
requests = {plan.endpoint_requests}
""" if plan.endpoint_requests else ""
    return f"""
[runtime]
workers = {plan.workers}
[admin]
address = "127.0.0.1:{proxies.free_port()}"
[log]
level = "warn"
[log.access]
path = "off"
[[listener]]
address = "127.0.0.1:{port}"
[[listener.route]]
cluster = "app"
[[cluster]]
name = "app"
endpoints = [{listed}]
slow_start = "{plan.slow_start}ms"
[cluster.breaker]
enabled = {str(plan.passive).lower()}
consecutive_failures = {plan.failures}
open_for = "{plan.open_for}ms"
max_open_for = "{plan.max_open_for}ms"
[cluster.retry]
attempts = {plan.attempts}
on = {str(conditions).replace("'", '"')}
per_try_timeout = "{plan.per_try_timeout}ms"
{check}{limits}
"""


def haproxy(plan, port, endpoints, settings):
    """A server that `observe` has marked down stays so until a health check passes; there is no probing by
    requests, and no budget for retries. Requests that may not be repeated are kept from layer 7 retries.
    `observe` does not see failures that a layer 7 retry has covered up."""
    retry_on = "conn-failure empty-response junk-response response-timeout"
    if plan.retry_503:
        retry_on += " 503"
    check = f"check inter {plan.check_interval}ms fastinter {plan.check_interval_failing}ms rise 1 fall 2"
    if not plan.active:  # `observe` wants checks: they decide how long a server stays down
        check = f"check inter {plan.check_interval}ms rise 1 fall 2 downinter {plan.open_for}ms"
    else:
        check += f" downinter {plan.check_interval_failing}ms"
    observe = f" observe layer7 error-limit {plan.failures} on-error mark-down" if plan.passive else ""
    limit = f" maxconn {plan.endpoint_requests}" if plan.endpoint_requests else ""
    slow_start = f" slowstart {plan.slow_start}ms" if plan.slow_start else ""
    servers = "\n".join(f"  server s{i} {endpoint}" for i, endpoint in enumerate(endpoints))
    return f"""
global
  maxconn {(settings.files - 100) // 2}
  nbthread {plan.workers}
defaults
  mode http
  no log
  timeout connect 1s
  timeout client 75s
  timeout server {plan.per_try_timeout}ms
  timeout queue {plan.queue_timeout}ms
  timeout check 500ms
  timeout http-keep-alive 75s
  retries {plan.attempts - 1}
  option redispatch 1
  retry-on {retry_on if plan.attempts > 1 else "none"}
frontend in
  bind 127.0.0.1:{port}
  default_backend app
backend app
  balance roundrobin
  option httpchk GET /health
  http-request disable-l7-retry unless {{ method GET HEAD OPTIONS TRACE PUT DELETE }}
  default-server {check}{observe}{limit}{slow_start}
{servers}
"""


def nginx(plan, port, endpoints, settings):
    """No active checks, no slow start, no queue and no budget in the free nginx; `zone` makes the workers
    share what they know. Requests that may not be repeated are not, which is its default."""
    limit = f" max_conns={plan.endpoint_requests}" if plan.endpoint_requests else ""
    fails = plan.failures if plan.passive else 0
    seconds = max(1, round(plan.open_for / 1000))  # the finest it knows
    servers = "\n".join(f"    server {endpoint} max_fails={fails} fail_timeout={seconds}s{limit};"
                        for endpoint in endpoints)
    # A 503 counts as a failure only where it may be retried, so with one attempt there are two.
    next_upstream = "error timeout invalid_header" + (
        " http_503" if plan.retry_503 or plan.attempts == 1 else "")
    temp_paths = "\n".join(f"  {kind}_temp_path {settings.directory}/nginx-{kind};"
                           for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    return f"""
worker_processes {plan.workers};
daemon off;
{"user root;" if os.geteuid() == 0 else ""}
pid {settings.directory}/nginx.pid;
error_log stderr crit;
worker_rlimit_nofile {settings.files};
events {{ worker_connections {settings.files}; }}
http {{
  access_log off;
{temp_paths}
  tcp_nodelay on;
  keepalive_timeout 75s;
  keepalive_requests 1000000000;
  upstream app {{
    zone app 256k;
{servers}
    keepalive 64;
    keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{port} reuseport;
    location / {{
      proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_connect_timeout 1s;
      proxy_read_timeout {plan.per_try_timeout}ms;
      proxy_next_upstream {next_upstream};
      proxy_next_upstream_tries {max(2, plan.attempts)};
    }}
  }}
}}
"""


def start(name, plan, endpoints, settings):
    """Starts one proxy on the proxy's core. Returns (child, port)."""
    port = proxies.free_port()
    text = {"remora": remora, "haproxy": haproxy, "nginx": nginx}[name](plan, port, endpoints, settings)
    config = proxies.write(settings.directory, f"{name}.conf", text)
    if name == "remora":
        command = [settings.remora, "run", "--config", config]
    elif name == "haproxy":
        command = [proxies.find_program("haproxy"), "-db", "-f", config]
    else:
        command = [proxies.find_program("nginx"), "-e", "stderr", "-p", settings.directory, "-c", config]
    # SIGTERM would let Remora wait for its clients.
    child = Child(name, command, settings.proxy_core, settings.directory,
                  signal.SIGINT if name == "remora" else signal.SIGTERM)
    try:
        child.wait_listening(port)
    except BaseException:
        child.stop()
        raise
    return child, port
