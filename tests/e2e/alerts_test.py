"""The alerts of deploy/prometheus/remora.rules.yaml: each fires on its cause and not without it (promtool test rules),
and rules, dashboard, docs/metrics.md and docs/operations.md say the same.

promtool evaluates every rule at every minute of every test, so there are two tests and not two for each alert: all series
stand side by side, and the job in their labels says which alert they should make fire or leave silent.
"""

import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
RULES = ROOT / "deploy" / "prometheus" / "remora.rules.yaml"
METRICS = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
JOB = 'job="JOB"'  # becomes the alert's and what is expected of it
WHO = f'{JOB},instance="i"'
END = 60  # minutes into the series at which the alerts are looked at
LATER = 480  # of the one that looks back for six hours
SLOW = "RemoraErrorBudgetBurnsSlowly"
NO_PANEL = {"process_virtual_memory_bytes", "process_threads"}  # they say what the panels beside them say

APP = f'{WHO},cluster="app"'
ENDPOINT = f'{APP},endpoint="a:1"'


def counted(series, per_minute):
    return series, f"0+{per_minute}x{LATER}"


def always(series, value):
    return series, f"{value}+0x{LATER}"


def requests(good, bad):
    labels = f'{APP},listener="in"'
    return [counted(f'remora_requests_total{{{labels},code="2xx"}}', good),
            counted(f'remora_requests_total{{{labels},code="5xx"}}', bad)]


def retries(success, failure):
    return [counted(f'remora_retries_total{{{APP},outcome="success"}}', success),
            counted(f'remora_retries_total{{{APP},outcome="failure"}}', failure)]


def checks(passed, failed):
    return [counted(f'remora_health_checks_total{{{ENDPOINT},result="pass"}}', passed),
            counted(f'remora_health_checks_total{{{ENDPOINT},result="fail"}}', failed)]


def one(name, labels, wrong, right):
    """A gauge with its value when something is wrong, and when it is not."""
    series = f"{name}{{{labels}}}"
    return [always(series, wrong)], [always(series, right)]


def counter(name, labels):
    series = f"{name}{{{labels}}}"
    return [counted(series, 2)], [always(series, 7)]  # what happened long ago is no alert


def descriptors(used):
    return [always(f"process_open_fds{{{WHO}}}", used), always(f"process_max_fds{{{WHO}}}", 100),
            always(f'remora_build_info{{{WHO},version="1"}}', 1)]


def suspicions(members):
    return [counted(f"remora_mesh_suspicions_total{{{WHO}}}", 1),
            always(f'remora_mesh_members{{{WHO},state="alive"}}', members),
            always(f'remora_mesh_members{{{WHO},state="suspect"}}', 1),
            always(f'remora_mesh_members{{{WHO},state="dead"}}', 100)]  # they are no longer asked


WORKER = f'{WHO},worker="0"'
LISTENER = f'{WHO},listener="in"'
WHOLE = f'{APP},endpoint="*"'
# alert: (series on which it fires, series on which it does not)
CASES = {
    "RemoraErrorBudgetBurnsFast": (requests(980, 20), requests(990, 10)),
    SLOW: (requests(990, 10), requests(995, 5)),
    "RemoraNoEndpoints": one("remora_endpoint_available", ENDPOINT, 0, 1),
    "RemoraBreakerOpen": one("remora_breaker_state", ENDPOINT, 2, 1),
    "RemoraClusterBreakerOpen": one("remora_breaker_state", WHOLE, 2, 0),
    "RemoraEndpointFlaps": ([counted(f'remora_breaker_transitions_total{{{ENDPOINT},to="open"}}', 1)],
                            [always(f'remora_breaker_transitions_total{{{ENDPOINT},to="open"}}', 9)]),
    "RemoraEndpointOut": one("remora_endpoint_available", ENDPOINT, 0, 1),
    "RemoraPanic": one("remora_cluster_panic", APP, 1, 0),
    "RemoraHealthCheckUnsteady": (checks(80, 20), checks(95, 5)),
    "RemoraEjectionSuppressed": counter("remora_ejections_suppressed_total", APP),
    "RemoraRetryBudgetExhausted": counter("remora_retry_budget_exhausted_total", APP),
    "RemoraRetriesHideFailures": (requests(100, 0) + retries(6, 0), requests(100, 0) + retries(4, 0)),
    "RemoraRetriesInVain": (retries(1, 2), retries(2, 1)),
    "RemoraFallbackAnswers": counter("remora_fallbacks_total", APP),
    "RemoraLimitHit": counter("remora_limit_hits_total", f'{APP},limit="requests"'),
    "RemoraPendingTimeouts": counter("remora_pending_timeouts_total", APP),
    "RemoraOverloaded": one("remora_load_level", WORKER, 2, 1),
    "RemoraLoopLag": one("remora_loop_lag_seconds", WORKER, 0.2, 0.05),
    "RemoraFileDescriptors": (descriptors(81), descriptors(79)),
    "RemoraAcceptPaused": counter("remora_accept_paused_total", LISTENER),
    "RemoraAccessLogDropped": counter("remora_access_log_dropped_total", WHO),
    "RemoraReloadFailed": one("remora_config_last_reload_rejected", WHO, 1, 0),
    "RemoraSpansDropped": counter("remora_tracing_spans_dropped_total", f'{WHO},reason="queue_full"'),
    "RemoraCertificateExpires": one("remora_tls_certificate_expiry_timestamp_seconds", f'{WHO},file="a"', 86400, 86400000),
    "RemoraTlsFilesRejected": one("remora_tls_files_rejected", WHO, 1, 0),
    "RemoraMeshSuspicionStorm": (suspicions(10), suspicions(30)),
    "RemoraDiscoveryFails": one("remora_discovery_up", f'{APP},source="dns",name="a"', 0, 1),
    "RemoraDown": one("up", WHO, 0, 1),
}


def rules():
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def alerts():
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def promtool(*arguments):
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout + done.stderr


def job(name, fires):
    return f"remora-{name}-{'fires' if fires else 'is-silent'}"


def rule_test(title, end, names):
    return {"name": title, "interval": "1m",
            "input_series": [{"series": line.replace(JOB, f'job="{job(name, fires)}"'), "values": values}
                             for name in names for fires, series in zip((True, False), CASES[name])
                             for line, values in series],
            "promql_expr_test": [
                {"expr": f'count by (job) (ALERTS{{alertname="{name}",alertstate="firing",job=~"remora-{name}-.*"}})',
                 "eval_time": f"{end}m", "exp_samples": [{"labels": f'{{job="{job(name, True)}"}}', "value": 1}]}
                for name in names]}


class Alerts(unittest.TestCase):
    maxDiff = None

    def test_promtool_accepts_the_rules(self):
        status, said = promtool("check", "rules", str(RULES))
        self.assertEqual(0, status, said)

    def test_each_fires_on_its_cause_and_is_silent_without(self):
        self.assertEqual(set(alerts()), set(CASES))
        tests = [rule_test("all but one", END, [name for name in CASES if name != SLOW]),
                 rule_test("the slow one", LATER, [SLOW])]
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "tests.yaml")
            with open(path, "w", encoding="utf-8") as out:
                yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}, out)
            status, said = promtool("test", "rules", path)
        self.assertEqual(0, status, said)

    def test_each_says_how_bad_it_is_and_what_to_do(self):
        for name, rule in alerts().items():
            with self.subTest(name):
                self.assertIn(rule["labels"]["severity"], ("page", "ticket"))
                self.assertEqual({"summary", "description", "runbook"}, set(rule["annotations"]))
                self.assertEqual(f"docs/operations.md#{name.lower()}", rule["annotations"]["runbook"])
                section = re.search(rf"^### {name}\n(.*?)(?=^#|\Z)", OPERATIONS, re.M | re.S)
                self.assertIsNotNone(section, "a run book")
                self.assertIn("**Look at**", section[1])
                self.assertIn("**Do**", section[1])

    def test_the_table_in_the_documentation_is_the_rules(self):
        rows = re.findall(r"^\| \[(\w+)\]\(operations\.md#(\w+)\) \| `(.*)` \| (\w+) \| (\w+) \|$", METRICS, re.M)
        written = [(name, anchor, " ".join(expression.split()), hold, severity)
                   for name, anchor, expression, hold, severity in rows]
        self.assertEqual([(name, name.lower(), rule["expr"], rule["for"], rule["labels"]["severity"])
                          for name, rule in alerts().items()], written)

    def test_the_rules_use_metrics_that_are_documented(self):
        documented = set(re.findall(r"^\| `(\w+)", METRICS, re.M))
        recorded = {rule["record"] for rule in rules() if "record" in rule}
        for rule in rules():
            for name in re.findall(r"\b(?:remora|process)[\w:]+", rule["expr"]):
                name = re.sub(r"_bucket$", "", name)
                self.assertTrue(name in documented or name in recorded or "remora.*" in rule["expr"], name)


class Dashboard(unittest.TestCase):
    def test_every_metric_has_a_panel(self):
        dashboard = json.loads((ROOT / "deploy" / "grafana" / "remora.json").read_text(encoding="utf-8"))
        queries = " ".join(target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ()))
        shown = {re.sub(r"_bucket$", "", name) for name in re.findall(r"\b(?:remora|process)_\w+", queries)}
        self.assertEqual(set(re.findall(r"^\| `(\w+)[`{]", METRICS, re.M)) - NO_PANEL, shown)

    def test_it_is_whole(self):
        dashboard = json.loads((ROOT / "deploy" / "grafana" / "remora.json").read_text(encoding="utf-8"))
        self.assertEqual(["datasource", "job", "instance", "listener", "cluster"],
                         [variable["name"] for variable in dashboard["templating"]["list"]])
        self.assertEqual(["Overview", "Clusters", "Endpoints", "Resilience", "Process", "Mesh", "TLS"],
                         [panel["title"] for panel in dashboard["panels"] if panel["type"] == "row"])
        for key in ("id", "gridPos"):  # none is another's, none lies on another
            values = [json.dumps(panel[key]) for panel in dashboard["panels"]]
            self.assertEqual(len(values), len(set(values)))


class RunBooks(unittest.TestCase):
    def test_every_flag_has_a_row(self):
        source = (ROOT / "proxy" / "flag.h").read_text(encoding="utf-8")
        names = re.findall(r'"([A-Z]{2,3})"', source[source.index("kNames{"):])
        self.assertGreater(len(names), 15)
        rows = re.findall(r"^\| `([A-Z]+)` \| [^|]+ \| [^|]+ \| [^|]+ \|$", OPERATIONS, re.M)
        self.assertEqual(set(names), set(rows))
        architecture = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
        table = re.search(r"^\| event \| client sees \| flag \|\n(.*?)\n\n", architecture, re.M | re.S)[1]
        self.assertEqual(set(names), set(re.findall(r"`([A-Z]{2,3})`", table)))

    def test_its_links_lead_somewhere(self):
        anchors = {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-")
                   for title in re.findall(r"^#+ (.*)$", OPERATIONS, re.M)}
        for target in re.findall(r"\]\(#([\w-]+)\)", OPERATIONS):
            self.assertIn(target, anchors)


if __name__ == "__main__":
    unittest.main()
