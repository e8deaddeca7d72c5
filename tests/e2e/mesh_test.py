#!/usr/bin/env python3
"""Remoras that know each other by gossip: who is there, who has gone and why, and how a restart finds back."""

import base64
import json
import os
import pathlib
import signal

from harness import TestCase, eventually, fetch, main, metric_sum, named, run_remora, show_address
from serf_test import free_port

PATIENCE = 60
QUICK = """
[mesh.protocol]
probe_interval = "200ms"
probe_timeout = "100ms"
gossip_interval = "50ms"
"""


def config(node, number, mesh="", extra=""):
    return f"""
[admin]
address = "127.0.0.1:0"
[[listener]]
name = "in"
address = "127.0.0.1:0"
[[listener.route]]
respond = {{}}
{extra}
[mesh]
node = "{node}"
bind = "127.0.0.{number}:0"
{mesh}
{QUICK}
"""


def members(remora):
    return json.loads(remora.admin("/members").body)


def states(remora):
    return {member["name"]: member["state"] for member in members(remora)["members"]}


class Mesh(TestCase):
    def node(self, node, number, seed=None, mesh="", **options):
        if seed is not None:
            mesh += f'\njoin = ["{members(seed)["address"]}"]'
        return self.remora(config(node, number, mesh), **options)

    def sees(self, remora, name, state):
        eventually(lambda: states(remora).get(name) in state, f"{name} is {state}", PATIENCE)

    def test_who_comes_fails_and_leaves_is_seen_everywhere(self):
        a = self.node("a", 41)
        b = self.node("b", 42, a)
        c = self.node("c", 43, a)
        for one in (a, b, c):
            for name in "abc":
                self.sees(one, name, {"alive"})
        view = members(b)
        self.assertEqual((True, "b", False), (view["enabled"], view["node"], view["encrypted"]))
        me = next(member for member in view["members"] if member["self"])
        self.assertEqual(("b", view["address"], [{"name": "remora", "value": "1"}]), (me["name"], me["address"], me["tags"]))

        c.process.kill()
        c.process.wait(PATIENCE)
        self.sees(a, "c", {"dead"})
        b.signal(signal.SIGTERM)
        self.assertEqual(0, b.wait(PATIENCE))
        self.sees(a, "b", {"left"})

        listed = run_remora("members", "--admin", show_address(a.admin_address()))
        self.assertEqual(0, listed.returncode)
        self.assertRegex(listed.stdout, r"(?m)^a .* alive .*remora=1 \(this one\)$")
        self.assertRegex(listed.stdout, r"(?m)^b .* left ")
        told = json.loads(a.admin("/events").body)["events"]
        events = [(e["endpoint"], e["to"]) for e in told if e["kind"] == "member"]
        for event in (("b", "alive"), ("c", "suspect"), ("c", "dead"), ("b", "left")):
            self.assertIn(event, events)
        dead = next(e for e in told if e["kind"] == "member" and (e["endpoint"], e["to"]) == ("c", "dead"))
        self.assertRegex(dead["reason"], "^declared dead by [ab]$")
        a.log.wait(r"warn mesh member member=c .*state=suspect reason=\"?suspected by [ab]")
        metrics = a.metrics()
        self.assertGreaterEqual(metrics["remora_mesh_suspicions_total"], 1)
        self.assertEqual(1, metric_sum(metrics, "remora_mesh_members", state="alive"))
        self.assertGreater(metric_sum(metrics, "remora_mesh_probes_total", result="ack"), 0)

    def test_a_restart_finds_back_by_itself(self):
        file = os.path.join(self.directory(), "members")
        a = self.node("a", 41)
        b = self.node("b", 42, a, f'snapshot = "{file}"')
        eventually(lambda: os.path.exists(file), "the members are remembered", PATIENCE)
        b.process.kill()
        b.kill()
        again = self.remora(config("b", 42, f'snapshot = "{file}"'))
        self.sees(again, "a", {"alive"})
        # Under another port its name is refused until it is forgotten; under its own it would be alive at once.
        self.assertEqual("alive", states(again)["b"])

    def test_the_key_is_changed_while_members_run(self):
        old, new = (base64.b64encode(bytes([i] * 32)).decode() for i in (1, 2))
        file = pathlib.Path(self.directory(), "keys")
        file.write_text(old)
        a = self.node("a", 41, mesh=f'key_file = "{file}"')
        b = self.node("b", 42, a, f'key_file = "{file}"')
        self.sees(a, "b", {"alive"})
        for step, keys in enumerate(((old, new), (new, old), (new,))):
            file.write_text("\n".join(keys))
            for one in (a, b):
                self.assertEqual(0, run_remora("reload", "--admin", show_address(one.admin_address())).returncode)
                eventually(lambda o=one, s=step: o.log.text().count("the mesh's keys read") == s + 1, "the keys are read", PATIENCE)
                before = one.metrics()
                eventually(lambda o=one, m=before: metric_sum(o.metrics(), "remora_mesh_probes_total", result="ack")
                           > metric_sum(m, "remora_mesh_probes_total", result="ack") + 1, "probes are answered", PATIENCE)
        file.write_text("hush\n")
        run_remora("reload", "--admin", show_address(a.admin_address()))
        a.log.wait("the mesh's keys cannot be used, those read before stay .*keys:1: not the base64")
        c = self.node("c", 43, a, f'key = "{new}"')
        self.sees(b, "c", {"alive"})
        self.assertEqual({"a": "alive", "b": "alive", "c": "alive"}, states(a))

    def test_what_is_wrong_at_the_start_ends_it(self):
        a = self.node("a", 41)
        keys = pathlib.Path(self.directory(), "keys")
        keys.write_text("hush\n")
        for mesh, complaint in ((f'bind = "{members(a)["address"]}"', "cannot bind the mesh: "),
                                (f'bind = "127.0.0.42:0"\nkey_file = "{keys}"', "keys:1: not the base64")):
            file = pathlib.Path(self.directory(), "remora.toml")
            file.write_text(config("b", 42, "").replace('bind = "127.0.0.42:0"', mesh))
            ended = run_remora("run", "--config", str(file))
            self.assertEqual(3, ended.returncode, ended.stderr)
            self.assertIn(complaint, ended.stderr)
            self.assertNotIn("hush", ended.stderr)

    def test_without_a_mesh_there_is_none_and_a_reload_says_when_there_will_be(self):
        alone = self.remora(config("a", 41).split("[mesh]")[0])
        self.assertEqual({"enabled": False, "members": []}, members(alone))
        admin = show_address(alone.admin_address())
        listed = run_remora("members", "--admin", admin)
        self.assertEqual((1, "there is no [mesh] in the configuration\n"), (listed.returncode, listed.stderr))
        self.assertNotIn("remora_mesh_members", str(alone.metrics()))
        pathlib.Path(alone.config).write_text(config("a", 41))
        done = run_remora("reload", "--admin", admin)
        self.assertIn("added mesh (takes effect at restart)", done.stdout)
        self.assertFalse(members(alone)["enabled"])


class Services(TestCase):
    """`a` asks for a service; the sidecars of `b` and `c` serve it while their applications are well."""

    def sidecar(self, node, number, seed, app, others=0):
        """`others`: so many more services, which others do not ask for."""
        port = free_port(f"127.0.0.{number}")
        return self.remora(f"""
[admin]
address = "127.0.0.1:0"
[[listener]]
name = "in"
address = "127.0.0.{number}:{port}"
[[listener.route]]
cluster = "app"
[[cluster]]
name = "app"
endpoints = ["{app.endpoint}"]
health_check = {{ protocol = "tcp", interval = "100ms", rise = 1, fall = 1 }}
[mesh]
node = "{node}"
bind = "127.0.0.{number}:0"
join = ["{seed}"]
[[mesh.service]]
name = "orders"
port = {port}
cluster = "app"
tags = ["{node}"]
{"".join(f'[[mesh.service]]{chr(10)}name = "other-{i}"{chr(10)}port = {i + 1}{chr(10)}' for i in range(others))}
{QUICK}
"""), f"127.0.0.{number}:{port}"

    def found(self, remora, state=("alive",)):
        clusters = json.loads(remora.admin("/clusters").body)["clusters"]
        endpoints = next(c for c in clusters if c["name"] == "orders")["endpoints"]
        return {e["address"] for e in endpoints if e["member"] in state}

    def asks(self, remora, times=8):
        return {(r.status, r.body.split()[0]) for r in (fetch(remora.address("in")) for _ in range(times))}

    def test_a_cluster_follows_who_serves_and_is_well(self):
        orders = """
[[cluster]]
name = "orders"
slow_start = "0s"
discover = { swim = "orders" }
"""
        a = self.remora(config("a", 41, extra=orders).replace("respond = {}", 'cluster = "orders"'))
        seed = members(a)["address"]
        self.assertEqual(503, fetch(a.address("in")).status)  # nobody serves it yet
        apps = {name: self.backend(named(name)) for name in "bc"}
        b, b_address = self.sidecar("b", 42, seed, apps["b"])
        c, c_address = self.sidecar("c", 43, seed, apps["c"], others=100)  # more than fit into the metadata of a member
        eventually(lambda: self.found(a) == {b_address, c_address}, "both are found", PATIENCE)
        self.assertEqual({(200, b"b"), (200, b"c")}, self.asks(a))
        self.assertRegex(run_remora("members", "--admin", show_address(a.admin_address())).stdout, "(?m)^b .*svc:orders=[0-9]+;t=b")

        # By a reload, only those with the tag; and all of them again.
        text = pathlib.Path(a.config).read_text()
        pathlib.Path(a.config).write_text(text.replace('swim = "orders"', 'swim = "orders", tags = ["c"]'))
        self.assertIn("changed cluster orders: discover", run_remora("reload", "--admin", show_address(a.admin_address())).stdout
                      + a.log.text())
        eventually(lambda: self.found(a) == {c_address}, "only who has the tag", PATIENCE)
        self.assertEqual({(200, b"c")}, self.asks(a))
        pathlib.Path(a.config).write_text(text)
        eventually(lambda: self.found(a) == {b_address, c_address}, "both are found again", PATIENCE)

        # The application of b dies, and its sidecar does not.
        self._close(apps["b"])
        eventually(lambda: self.found(a) == {c_address}, "b is withdrawn", PATIENCE)
        self.assertEqual("alive", states(a)["b"])
        self.assertEqual({(200, b"c")}, self.asks(a))
        b.log.wait("announced in the mesh services=-")

        # The sidecar of c dies: suspected, it is the last resort; dead, nobody is left.
        c.process.kill()
        c.process.wait(PATIENCE)
        eventually(lambda: self.found(a, ("alive", "suspect")) == set(), "c is gone", PATIENCE)
        self.assertEqual(503, fetch(a.address("in")).status)


if __name__ == "__main__":
    main()
