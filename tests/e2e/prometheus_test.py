"""A real Prometheus scrapes a real Remora: exact counts, series that go stale, alerts that fire on their cause, and every
query of the Grafana dashboard returning data."""

import json
import pathlib
import re
import socket
import subprocess
import tempfile
import urllib.error
import urllib.parse
import urllib.request

from certificates import Authority
from harness import DEADLINE, TestCase, die_with_parent, end_process, eventually, fetch, main, named, refused_address

ROOT = pathlib.Path(__file__).resolve().parents[2]
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "remora.json").read_text(encoding="utf-8"))
RULES = (ROOT / "deploy" / "prometheus" / "remora.rules.yaml").read_text(encoding="utf-8")
WINDOW = "20s"  # instead of minutes and hours
PATIENCE = max(60, DEADLINE)


def shortened(rules):
    """The same rules, with short windows and without waiting."""
    return re.sub(r"\[\d+[mh]\]", f"[{WINDOW}]", re.sub(r"for: \w+", "for: 0s", rules))


class Prometheus:
    def __init__(self, targets):
        self.directory = tempfile.TemporaryDirectory(prefix="remora-prometheus-")
        where = pathlib.Path(self.directory.name)
        (where / "rules.yaml").write_text(shortened(RULES), encoding="utf-8")
        (where / "prometheus.yaml").write_text(f"""
global: {{ scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms }}
rule_files: [ rules.yaml ]
scrape_configs: [ {{ job_name: remora, static_configs: [ {{ targets: {json.dumps(targets)} }} ] }} ]
""", encoding="utf-8")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.log = open(where / "log", "wb")  # noqa: SIM115  closed in stop()
        self.process = subprocess.Popen(
            ["prometheus", f"--config.file={where}/prometheus.yaml", f"--storage.tsdb.path={where}/data",
             f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, preexec_fn=die_with_parent())

    def stop(self):
        end_process(self.process)
        self.log.close()
        self.directory.cleanup()

    def get(self, path, **query):
        """None: it is not up yet."""
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(url, timeout=DEADLINE) as reply:
                return json.load(reply)["data"]
        except urllib.error.HTTPError as error:
            if error.code == 503:
                return None
            raise AssertionError(f"{query}: {error.read().decode()}") from error
        except OSError:
            return None

    def query(self, expression):
        """[(labels, value)]"""
        data = self.get("query", query=expression)
        return [(row["metric"], float(row["value"][1])) for row in data["result"]] if data else []

    def until(self, expression, predicate=bool):
        return eventually(lambda: predicate(rows := self.query(expression)) and rows, expression, PATIENCE)

    def firing(self):
        data = self.get("alerts") or {"alerts": []}
        return {alert["labels"]["alertname"] for alert in data["alerts"] if alert["state"] == "firing"}


def expanded(expression):
    expression = expression.replace("$__rate_interval", WINDOW)
    return re.sub(r"\$(job|instance|listener|cluster)\b", ".*", expression)


def config(good, dead, pair):
    """A cluster for each thing that goes wrong; `app` has an endpoint that fails its checks besides one that serves."""
    routes = "".join(f'[[listener.route]]\nprefix = "/{name}"\ncluster = "{name}"\n'
                     for name in ("app", "dead", "spent", "spare"))
    return f"""
[admin]
address = "127.0.0.1:0"
[mesh]
bind = "127.0.0.1:0"
[tracing]
endpoint = "http://{dead}/v1/traces"
[overload]
loop_lag = "0s"
[[listener]]
name = "in"
address = "127.0.0.1:0"
{routes}
[[listener]]
name = "tls"
address = "127.0.0.1:0"
tls = {{ certificate = "{pair[0]}", key = "{pair[1]}" }}
route = [{{ cluster = "app" }}]
[[cluster]]
name = "app"
endpoints = ["{good}", "{dead}"]
[cluster.health_check]
protocol = "tcp"
[cluster.limits]
requests = 100
[cluster.adaptive_concurrency]
[[cluster]]
name = "dead"
endpoints = ["{dead}"]
retry = {{ attempts = 1 }}
[cluster.breaker]
consecutive_failures = 3
open_for = "10m"
max_open_for = "10m"
[[cluster]]
name = "spent"
endpoints = ["{dead}"]
breaker = {{ enabled = false }}
retry = {{ budget = {{ ratio = 0, min_per_second = 0 }} }}
[[cluster]]
name = "spare"
endpoints = ["{dead}"]
retry = {{ attempts = 1 }}
[cluster.breaker]
scope = "cluster"
consecutive_failures = 1
open_for = "10m"
max_open_for = "10m"
fallback = {{ status = 200, body = "spare" }}
[[cluster]]
name = "found"
discover = {{ dns = "localhost:1" }}
"""


CAUSED = {"RemoraBreakerOpen", "RemoraClusterBreakerOpen", "RemoraNoEndpoints", "RemoraEndpointOut", "RemoraFallbackAnswers",
          "RemoraRetryBudgetExhausted", "RemoraReloadFailed", "RemoraErrorBudgetBurnsFast",
          "RemoraErrorBudgetBurnsSlowly", "RemoraCertificateExpires"}
NOT_CAUSED = {"RemoraDown", "RemoraOverloaded", "RemoraPanic", "RemoraAcceptPaused", "RemoraLimitHit",
              "RemoraFileDescriptors", "RemoraTlsFilesRejected", "RemoraDiscoveryFails"}


class RealPrometheus(TestCase):
    def test_counts_alerts_dashboard_and_staleness(self):
        sock, dead = refused_address()
        self.addCleanup(sock.close)
        pair = Authority(self.directory()).issue("server", "DNS:localhost", days=3)
        proxy = self.remora(config(self.backend(named("a")).endpoint, f"127.0.0.1:{dead[1]}", pair))
        host, port = proxy.admin_address()
        prometheus = Prometheus([f"{host}:{port}"])
        self.addCleanup(prometheus.stop)
        prometheus.until('up{job="remora"} == 1')
        prometheus.until('count(count_over_time(remora_build_info[1m]) > 3)')  # some scrapes before the traffic
        address = proxy.address("in")
        for _ in range(30):
            self.assertEqual(200, fetch(address, "/app").status)
        for _ in range(8):
            self.assertIn(fetch(address, "/dead").status, (502, 503))
        for _ in range(5):
            self.assertEqual(404, fetch(address, "/nowhere").status)
        for expression, expected in (
                ('remora_requests_total{listener="in",cluster="app",code="2xx"}', 30),
                ('remora_requests_total{cluster="dead",code="5xx"}', 8),
                ('remora_request_seconds_count{listener="in",cluster="app"}', 30),
                ('remora_local_replies_total{listener="in",flag="NR"}', 5),
                ('remora_local_replies_total{listener="in",flag="CO"}', 5)):
            rows = prometheus.until(expression, lambda r, e=expected: [v for _, v in r] == [e])
            self.assertEqual("in", rows[0][0]["listener"])
        self.see_alerts(prometheus, proxy)
        self.see_dashboard(prometheus, address)
        proxy.stop()
        prometheus.until("up == 0")
        prometheus.until("count(up) unless count(remora_requests_total)")  # its series are stale at once
        eventually(lambda: "RemoraDown" in prometheus.firing(), "RemoraDown", PATIENCE)

    def see_alerts(self, prometheus, proxy):
        """Each has its cause in config(), but for the reload, which is rejected here, and done right after."""
        right = pathlib.Path(proxy.config).read_text(encoding="utf-8")
        pathlib.Path(proxy.config).write_text("[listener", encoding="utf-8")
        address = proxy.address("in")

        def all_fire():
            fetch(address, "/spent")
            fetch(address, "/spare")
            return prometheus.firing() >= CAUSED
        eventually(all_fire, f"{CAUSED} fire", PATIENCE)
        self.assertEqual(set(), NOT_CAUSED & prometheus.firing())
        pathlib.Path(proxy.config).write_text(right + '[log]\nlevel = "warn"\n', encoding="utf-8")
        prometheus.until('remora_config_reloads_total{result="success"} == 1')
        eventually(lambda: "RemoraReloadFailed" not in prometheus.firing(), "the reload's alert ends", PATIENCE)

    def see_dashboard(self, prometheus, address):
        queries = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]
        self.assertGreater(len(queries), 40)
        for expression in queries:
            self.assertNotIn("$", expanded(expression))

            def has_data(expression=expression):
                for path in ("/app", "/dead", "/nowhere"):
                    fetch(address, path)
                rows = prometheus.query(expanded(expression))
                return rows and any(value == value for _, value in rows)  # not only NaN
            eventually(has_data, expression, PATIENCE)


if __name__ == "__main__":
    main()
