"""Addresses of every kind, routes, edits, weights and balancing, each seen from both sides."""

import collections

from harness import RawBackend, TestCase, fetch, main, named, simple_config


class Addresses(TestCase):
    def test_ipv6_and_unix_on_both_sides(self):
        directory = self.directory()
        backends = {"4": RawBackend(named("four")), "6": RawBackend(named("six"), address=("::1", 0)),
                    "unix": RawBackend(named("unix"), address=f"{directory}/app.sock")}
        for backend in backends.values():
            self.addCleanup(backend.close)
        listeners = "".join(f'''
[[listener]]
name = "{name}"
address = "{address}"
''' + "".join(f'''
[[listener.route]]
path = "/to-{to}"
cluster = "c{to}"
''' for to in backends) for name, address in [("v4", "127.0.0.1:0"), ("v6", "[::1]:0"),
                                              ("u", f"unix:{directory}/in.sock")])
        clusters = "".join(f'[[cluster]]\nname = "c{n}"\nendpoints = ["{b.endpoint}"]\n' for n,
                           b in backends.items())
        proxy = self.remora('[admin]\naddress = "127.0.0.1:0"\n' + listeners + clusters)
        names = {"4": b"four", "6": b"six", "unix": b"unix"}
        for listener in ("v4", "v6", "u"):
            address = proxy.address(listener)
            for to, name in names.items():
                self.assertEqual(name + b" /to-" + to.encode(), fetch(address, f"/to-{to}").body,
                                 (listener, to))
        forwarded = {r.get("x-forwarded-for") for b in backends.values() for r in b.complete()}
        self.assertIn("127.0.0.1", forwarded)
        self.assertIn("::1", forwarded)
        for backend in backends.values():
            self.assertEqual([], backend.violations)

    def test_a_name_is_resolved(self):
        """localhost may be ::1 too, where nobody listens: as an endpoint of its own that one refuses."""
        backend = self.backend(named("local"))
        proxy = self.remora(simple_config([f"localhost:{backend.address[1]}"]))
        statuses = [fetch(proxy.address("in")).status for _ in range(4)]
        self.assertIn(200, statuses)
        self.assertLessEqual(set(statuses), {200, 502})


class Routes(TestCase):
    """Routing, rewriting and editing, each seen from both sides."""

    CONFIG = """
[admin]
address = "127.0.0.1:0"
[[listener]]
name = "in"
address = "127.0.0.1:0"
%s
[[cluster]]
name = "a"
endpoints = ["%s"]
[[cluster]]
name = "b"
endpoints = ["%s"]
"""

    def start(self, routes):
        self.a, self.b = self.backend(named("a")), self.backend(named("b"))
        self.proxy = self.remora(self.CONFIG % (routes, self.a.endpoint, self.b.endpoint))
        return self.proxy.address("in")

    def test_route_kinds(self):
        address = self.start("""
[[listener.route]]
host = "Exact.test"
cluster = "a"
rewrite = "/by-host"
path = "/h"
[[listener.route]]
host = "*.suffix.test"
respond = { status = 200, body = "suffix" }
[[listener.route]]
path = "/exact"
respond = { status = 200, body = "exact" }
[[listener.route]]
prefix = "/pre/"
cluster = "a"
rewrite = "/new/"
[[listener.route]]
regex = "/items/[0-9]+"
respond = { status = 201, body = "item" }
[[listener.route]]
methods = ["DELETE", "PURGE"]
respond = { status = 405, body = "no deletes" }
[[listener.route]]
headers = { "X-Variant" = "b", "X-Flag" = "*" }
cluster = "b"
[[listener.route]]
path = "/fixed"
respond = { status = 418, body = "{}", content_type = "application/json" }
""")

        def body(path, host="test", **options):
            return fetch(address, path, host=host, **options).body.decode()
        self.assertEqual("a /by-host?q=1", body("/h?q=1", host="exact.TEST:8080"))
        self.assertEqual("suffix", body("/x", host="a.b.suffix.test"))
        self.assertEqual(404, fetch(address, "/x", host="suffix.test").status)
        self.assertEqual("exact", body("/exact"))
        self.assertEqual("exact", body("/exact?with=query"))
        self.assertEqual(404, fetch(address, "/exact/more").status)
        self.assertEqual("a /new/x/y?z", body("/pre/x/y?z"))
        self.assertEqual("item", body("/items/42"))
        self.assertEqual(404, fetch(address, "/items/42x").status, "a regex matches the whole path")
        self.assertEqual("no deletes", body("/any", method="DELETE"))
        self.assertEqual("b /any", body("/any", headers=[("x-variant", "b"), ("X-Flag", "whatever")]))
        self.assertEqual(404, fetch(address, "/any", headers=[("X-Variant", "b")]).status)
        fixed = fetch(address, "/fixed")
        self.assertEqual((418, b"{}", "application/json"),
                         (fixed.status, fixed.body, fixed.get("content-type")))
        nothing = fetch(address, "/nothing")
        self.assertEqual((404, "NR"), (nothing.status, nothing.flag))

    def test_first_match_wins(self):
        address = self.start("""
[[listener.route]]
prefix = "/a/b"
cluster = "a"
[[listener.route]]
prefix = "/a"
cluster = "b"
""")
        self.assertEqual([b"a /a/b/c", b"b /a/x"], [fetch(address, p).body for p in ("/a/b/c", "/a/x")])

    def test_redirects(self):
        address = self.start("""
[[listener.route]]
path = "/to"
redirect = { to = "https://other.test/x" }
[[listener.route]]
path = "/status"
redirect = { to = "https://other.test/", status = 302 }
[[listener.route]]
path = "/scheme"
redirect = { scheme = "https" }
[[listener.route]]
path = "/parts"
redirect = { scheme = "https", host = "new.test", path = "/p", status = 301 }
""")
        for path, status, location in [
                ("/to", 308, "https://other.test/x"), ("/status", 302, "https://other.test/"),
                ("/scheme?q=1", 308, "https://old.test/scheme?q=1"), ("/parts", 301, "https://new.test/p")]:
            response = fetch(address, path, host="old.test")
            self.assertEqual((status, location), (response.status, response.get("location")), path)
        self.assertEqual([], self.a.received)

    def test_header_edits(self):
        address = self.start("""
[[listener.route]]
cluster = "a"
request_headers = { set = { "X-Set" = "new" }, add = { "X-Add" = "2" }, remove = ["X-Gone"] }
response_headers = { set = { "X-Set" = "resp" }, add = { "X-Keep" = "2" }, remove = ["X-Remove"] }
""")
        response = fetch(address, "/", headers=[("X-Set", "old"), ("x-set", "old2"), ("X-Add", "1"),
                                                ("X-Gone", "1"), ("x-gone", "2")])
        request, = self.a.complete()
        self.assertEqual((["new"], ["1", "2"], []),
                         (request.all("x-set"), request.all("x-add"), request.all("x-gone")))
        self.assertEqual((["resp"], ["1", "2"], []),
                         (response.all("x-set"), response.all("x-keep"), response.all("x-remove")))

    def test_weighted_clusters(self):
        address = self.start("""
[[listener.route]]
clusters = [{ name = "a", weight = 3 }, { name = "b", weight = 1 }]
""")
        client = self.client(address)
        counts = collections.Counter(client.get("/").body.split()[0] for _ in range(400))
        self.assertEqual(400, counts[b"a"] + counts[b"b"])
        self.assertTrue(240 <= counts[b"a"] <= 360, counts)

    def test_weighted_endpoints(self):
        a, b = self.backend(named("a")), self.backend(named("b"))
        proxy = self.remora(f"""
[admin]
address = "127.0.0.1:0"
[[listener]]
name = "in"
address = "127.0.0.1:0"
[[listener.route]]
cluster = "app"
[[cluster]]
name = "app"
endpoints = [{{ address = "{a.endpoint}", weight = 3 }}, "{b.endpoint}"]
""")
        client = self.client(proxy.address("in"))
        counts = collections.Counter(client.get("/").body.split()[0] for _ in range(40))
        self.assertEqual({b"a": 30, b"b": 10}, counts, "smooth weighted round robin is exact")

    def test_priorities(self):
        good, other = self.backend(named("good")), self.backend(named("other"))
        proxy = self.remora(f"""
[admin]
address = "127.0.0.1:0"
[[listener]]
name = "in"
address = "127.0.0.1:0"
[[listener.route]]
cluster = "app"
[[cluster]]
name = "app"
endpoints = [
  {{ address = "{good.endpoint}", priority = 0 }},
  {{ address = "{other.endpoint}", priority = 1 }},
]
""")
        self.assertEqual({b"good /"}, {fetch(proxy.address("in")).body for _ in range(10)})

    def sticky(self, balance, hash_key, requests):
        backends = [self.backend(named(str(i))) for i in range(3)]
        proxy = self.remora(simple_config([b.endpoint for b in backends], route=f"hash = {hash_key}",
                                          cluster=f'balance = "{balance}"'))
        address = proxy.address("in")
        chosen = {}
        for key, (path, headers) in requests.items():
            owners = {fetch(address, path, headers=headers).body.split()[0] for _ in range(4)}
            self.assertEqual(1, len(owners), f"{key} moved between {owners}")
            chosen[key] = owners.pop()
        return chosen

    def test_hash_by_header_is_sticky(self):
        for balance in ("ring_hash", "maglev"):
            chosen = self.sticky(balance, '{ header = "X-User" }',
                                 {n: ("/", [("x-user", f"user-{n}")]) for n in range(30)})
            self.assertEqual(3, len(set(chosen.values())), f"{balance} leaves a backend without keys")

    def test_hash_by_cookie_query_and_path(self):
        for hash_key, requests in [
                ('{ cookie = "sid" }', {n: ("/", [("Cookie", f"a=b; sid={n}; c=d")]) for n in range(20)}),
                ('{ query = "q" }', {n: (f"/?x=1&q={n}", []) for n in range(20)}),
                ("{ path = true }", {n: (f"/{n}", []) for n in range(20)})]:
            chosen = self.sticky("ring_hash", hash_key, requests)
            self.assertGreater(len(set(chosen.values())), 1, hash_key)

    def test_hash_by_source_keeps_one_client_on_one_backend(self):
        self.assertEqual(1, len(set(self.sticky("maglev", "{ source = true }",
                                                {n: (f"/{n}", []) for n in range(5)}).values())))

    def test_every_balancer_serves(self):
        backends = [self.backend(named(str(i))) for i in range(3)]
        for balance in ("round_robin", "least_request", "random", "peak_ewma", "ring_hash", "maglev"):
            proxy = self.remora(simple_config([b.endpoint for b in backends],
                                              cluster=f'balance = "{balance}"'))
            client = self.client(proxy.address("in"))
            owners = {client.get(f"/{balance}").body.split()[0] for _ in range(30)}
            if balance in ("round_robin", "least_request", "random"):
                self.assertEqual({b"0", b"1", b"2"}, owners, balance)
            proxy.stop()


if __name__ == "__main__":
    main()
