"""Where endpoints come from, with the real binary: a file that is watched, a DNS server of the test's own, SRV records;
what happens when they fail, and what is said of it."""

import json
import os
import pathlib
import socket
import struct
import threading

from harness import DEADLINE, TestCase, eventually, fetch, main, metric_sum, named, run_remora, show_address

A, CNAME, SRV = 1, 5, 33
NXDOMAIN, SERVFAIL = 3, 2


class DnsServer(threading.Thread):
    """Answers with `records`, {name: [(type, value)]}, for `ttl` seconds; with `code` if that is set. Others do not exist."""

    def __init__(self):
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.address = show_address(self.socket.getsockname())
        self.records, self.ttl, self.code, self.queries = {}, 1, 0, []
        self.start()

    def run(self):
        while True:
            query, peer = self.socket.recvfrom(4096)
            if query == b"end":
                return
            self.socket.sendto(self.answer(query), peer)

    def close(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.sendto(b"end", self.socket.getsockname())
        self.join(DEADLINE)
        self.socket.close()

    @staticmethod
    def wire(name):
        return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".") if part) + b"\0"

    def answer(self, query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        name, (kind,) = ".".join(labels), struct.unpack_from(">H", query, at + 1)
        self.queries.append((name, kind))
        found = self.records.get(name)
        code = self.code or (NXDOMAIN if found is None else 0)
        rows = [] if code else [(k, v) for k, v in found if k == kind]
        body = b""
        for k, value in rows:
            data = socket.inet_aton(value) if k == A else struct.pack(">HHH", *value[:3]) + self.wire(value[3])
            body += b"\xc0\x0c" + struct.pack(">HHIH", k, 1, self.ttl, len(data)) + data
        return query[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, len(rows), 0, 0) + query[12:at + 5] + body


def config(*clusters, runtime=""):
    """A listener for each cluster; `clusters`: what stands in them."""
    text = f'[runtime]\n{runtime}\n[admin]\naddress = "127.0.0.1:0"\n'
    for number, cluster in enumerate(clusters):
        text += f'[[listener]]\nname = "in{number}"\naddress = "127.0.0.1:0"\n[[listener.route]]\ncluster = "c{number}"\n'
        text += f'[[cluster]]\nname = "c{number}"\nslow_start = "0s"\n{cluster}\n'
    return text


def replace(path, text):
    new = path.with_suffix(".new")
    new.write_text(text)
    new.rename(path)


class Discovery(TestCase):
    def sources(self, proxy, cluster="c0"):
        clusters = json.loads(proxy.admin("/clusters").body)["clusters"]
        return next(c for c in clusters if c["name"] == cluster)["sources"]

    def states(self, proxy, cluster="c0"):
        return [(s["source"], s["state"]) for s in self.sources(proxy, cluster)]

    def asked(self, proxy, name="in0"):
        """Whoever answers, and the statuses of other answers."""
        answers = [fetch(proxy.address(name)) for _ in range(6)]
        return {a.body.split()[0].decode() if a.status == 200 else a.status for a in answers}

    def until_asked(self, proxy, *expected, name="in0"):
        eventually(lambda: self.asked(proxy, name) == set(expected), f"{expected} answer", DEADLINE)

    def dns(self):
        server = DnsServer()
        self.addCleanup(server.close)
        return server

    def test_a_file_is_followed_and_a_bad_one_changes_nothing(self):
        directory = pathlib.Path(self.directory())
        one, two = self.backend(named("one")), self.backend(named("two"))
        path = directory / "endpoints.toml"
        proxy = self.remora(config(f'discover = {{ file = "{path}" }}'))
        self.assertEqual([("file", "failing")], self.states(proxy))  # it is not there yet, and that is no reason not to start
        self.assertEqual({503}, self.asked(proxy))
        replace(path, f'endpoints = ["{one.endpoint}"]\n')
        self.until_asked(proxy, "one")
        self.assertEqual([("file", "good")], self.states(proxy))

        failures = metric_sum(proxy.metrics(), "remora_discovery_failures_total", cluster="c0")
        replace(path, f'endpoints = [\n  "{two.endpoint}",\n  {{ address = "{one.endpoint}", wieght = 2 }},\n]\n')
        proxy.log.wait(r'endpoints error .*endpoints\.toml:3: endpoints#2\.wieght: unknown key, did you mean .*weight')
        source, = self.sources(proxy)
        self.assertEqual(("stale", 1, str(path)), (source["state"], source["endpoints"], source["name"]))
        self.assertIn("endpoints.toml:3: endpoints#2.wieght", source["last_error"])
        self.assertGreater(source["answered_seconds_ago"], source["failed_seconds_ago"])
        self.assertEqual({"one"}, self.asked(proxy))
        metrics = proxy.metrics()
        self.assertEqual(failures + 1, metric_sum(metrics, "remora_discovery_failures_total", source="file"))
        self.assertEqual(0, metric_sum(metrics, "remora_discovery_up", cluster="c0"))
        self.assertIn("endpoints.toml:3", run_remora("top", "--once", "--admin", show_address(proxy.admin_address())).stdout)
        self.assertIn(f"file {path}: stale, 1 endpoint, answered ", proxy.admin("/clusters?format=text").body.decode())

        path.write_text(f'endpoints = ["{two.endpoint}"]\n')  # in place
        self.until_asked(proxy, "two")
        self.assertEqual(1, metric_sum(proxy.metrics(), "remora_discovery_up", cluster="c0"))
        path.unlink()
        eventually(lambda: self.states(proxy) == [("file", "stale")], "it is seen to be gone")
        self.assertIn("no such file", self.sources(proxy)[0]["last_error"])
        self.assertEqual({"two"}, self.asked(proxy))
        path.write_text("endpoints = []\n")
        self.until_asked(proxy, 503)

    def test_a_symbolic_link_is_swapped_and_names_in_a_list_are_looked_up(self):
        directory = pathlib.Path(self.directory())
        server = self.dns()
        one, two = self.backend(named("one")), self.backend(named("two"))
        for name, backend in (("one", one), ("two", two)):
            (directory / name).mkdir()
            entry = {"address": f"{name}.test:{backend.address[1]}", "weight": 3}
            (directory / name / "list.json").write_text(json.dumps([entry], indent=1))
        server.records["one.test"] = server.records["two.test"] = [(A, "127.0.0.1")]
        (directory / "data").symlink_to("one")
        proxy = self.remora(config(f'discover = {{ file = "{directory}/data/list.json" }}', runtime=f'resolvers = ["{server.address}"]'))
        self.assertEqual({"one"}, self.asked(proxy))
        (directory / "new").symlink_to("two")
        os.rename(directory / "new", directory / "data")
        self.until_asked(proxy, "two")
        self.assertEqual([("file", "good"), ("dns", "good")], self.states(proxy))
        self.assertEqual("two.test", self.sources(proxy)[1]["name"])  # the other is not asked any longer

    def test_dns_is_asked_again_and_keeps_the_last_answer_when_it_fails(self):
        server = self.dns()
        # Two hosts with one port.
        one = self.backend(named("one"), address=("127.0.0.51", 0))
        two = self.backend(named("two"), address=("127.0.0.52", one.address[1]))
        server.records["orders.test"] = [(A, "127.0.0.51")]
        proxy = self.remora(config(f'discover = {{ dns = "orders.test:{one.address[1]}" }}', runtime=f'resolvers = ["{server.address}"]'))
        self.assertEqual({"one"}, self.asked(proxy))
        server.records["orders.test"] = [(A, "127.0.0.51"), (A, "127.0.0.52")]
        self.until_asked(proxy, "one", "two")
        for code in (SERVFAIL, NXDOMAIN):
            server.code = code
            eventually(lambda: self.states(proxy) == [("dns", "stale")], "the name fails")
            source, = self.sources(proxy)
            self.assertEqual(2, source["endpoints"])
            self.assertNotEqual(None, source["last_error"])
            self.assertEqual({"one", "two"}, self.asked(proxy))
            server.code = 0
            eventually(lambda: self.states(proxy) == [("dns", "good")], "the name is back")
        self.assertGreater(metric_sum(proxy.metrics(), "remora_discovery_failures_total", cluster="c0", source="dns"), 1)
        proxy.log.wait("name not resolved, the last answer stays.*name=orders.test")

    def test_srv_records_have_hosts_ports_and_priorities(self):
        server = self.dns()
        near, far, spare = (self.backend(named(name)) for name in ("near", "far", "spare"))
        for host in "abc":
            server.records[f"{host}.test"] = [(A, "127.0.0.1")]
        service = "_orders._tcp.test"
        server.records[service] = [(SRV, (10, 5, near.address[1], "a.test")), (SRV, (10, 0, far.address[1], "b.test")),
                                   (SRV, (20, 0, spare.address[1], "c.test"))]
        proxy = self.remora(config(f'discover = {{ srv = "{service}." }}\nbalance = "round_robin"', runtime=f'resolvers = ["{server.address}"]'))
        self.assertEqual({"near", "far"}, self.asked(proxy))
        endpoints = json.loads(proxy.admin("/clusters").body)["clusters"][0]["endpoints"]
        self.assertEqual([(f"a.test:{near.address[1]}", 5, 0), (f"b.test:{far.address[1]}", 1, 0), (f"c.test:{spare.address[1]}", 1, 1)],
                         [(e["name"], e["weight"], e["priority"]) for e in endpoints])
        self.assertEqual([("srv", "good")] + 3 * [("dns", "good")], self.states(proxy))
        server.records[service] = [(SRV, (30, 0, spare.address[1], "c.test"))]
        self.until_asked(proxy, "spare")
        server.records[service] = [(SRV, (0, 0, 0, ""))]  # "this service is not here": no reason to lose who is
        eventually(lambda: ("srv", "stale") in self.states(proxy), "the service fails")
        self.assertEqual({"spare"}, self.asked(proxy))

    def test_a_reload_asks_new_sources_first_and_keeps_the_others(self):
        directory = pathlib.Path(self.directory())
        one, two = self.backend(named("one")), self.backend(named("two"))
        path, other = directory / "a.toml", directory / "b.json"
        path.write_text(f'endpoints = ["{one.endpoint}"]\n')
        other.write_text(json.dumps({"endpoints": [two.endpoint]}))
        off = "watch = false"
        proxy = self.remora(config(f'discover = {{ file = "{path}" }}', f'discover = {{ file = "{path}" }}', runtime=off))
        self.assertEqual(({"one"}, {"one"}), (self.asked(proxy), self.asked(proxy, "in1")))
        text = config(f'discover = {{ file = "{path}" }}', f'discover = {{ file = "{other}" }}', runtime=off)
        pathlib.Path(proxy.config).write_text(text)
        path.write_text("endpoints = [")  # not watched, but a reload reads it: it stays as it was
        said = run_remora("reload", "--admin", show_address(proxy.admin_address()))
        self.assertEqual((0, "changed cluster c1: discover"), (said.returncode, said.stdout.strip()))
        self.assertEqual(({"one"}, {"two"}), (self.asked(proxy), self.asked(proxy, "in1")))
        self.assertEqual(([("file", "stale")], [("file", "good")]), (self.states(proxy), self.states(proxy, "c1")))
        path.write_text(f'endpoints = ["{two.endpoint}"]\n')
        run_remora("reload", "--admin", show_address(proxy.admin_address()))
        self.until_asked(proxy, "two")


if __name__ == "__main__":
    main()
