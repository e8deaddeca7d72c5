"""One line per request, in text and JSON; and the fields that Remora adds for others to log."""

import json
import os
import pathlib
import re

from harness import TestCase, eventually, fetch, main, named, request_bytes, simple_config


class AccessLog(TestCase):
    def run_traffic(self, extra):
        backend = self.backend(named("a"))
        proxy = self.remora(simple_config([backend.endpoint], route='prefix = "/app"', extra=extra))
        client = self.client(proxy.address("in"))
        self.assertEqual(200, client.get("/app/1?q=x",
                                         headers=[("X-Request-Id", "the-request-id"),
                                                  ("User-Agent", 'a "b" \\ c')]).status)
        client.send(request_bytes("POST", "/app/2", body=b"abc"))
        self.assertEqual(200, client.response("POST").status)
        self.assertEqual(404, client.get("/nowhere").status)
        client.send(b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n")
        self.assertEqual(400, client.response().status)
        return proxy, backend

    def test_text_has_one_line_per_request(self):
        proxy, backend = self.run_traffic("")
        for path in ("/app/1", "/app/2", "/nowhere"):
            proxy.access.wait(re.escape(path))
        proxy.access.wait("DPE")
        self.assertEqual(4, len(proxy.access.lines), proxy.access.lines)
        first, second, third, fourth = proxy.access.lines
        self.assertIn("200", first)
        self.assertIn("the-request-id", first)
        self.assertIn(backend.endpoint, first)
        self.assertIn("POST", second)
        self.assertIn("404", third)
        self.assertIn("NR", third)
        self.assertIn("400", fourth)

    def test_json_parses(self):
        proxy, backend = self.run_traffic('[log.access]\nformat = "json"')
        proxy.access.wait("/app/1")
        proxy.access.wait("DPE")
        self.assertEqual(4, len(proxy.access.lines), proxy.access.lines)
        lines = [json.loads(line) for line in proxy.access.lines]
        keys = set(lines[0])
        self.assertTrue(all(isinstance(line, dict) for line in lines))
        values = [str(v) for v in lines[0].values()]
        for wanted in ("200", "GET", "the-request-id", backend.endpoint):
            self.assertTrue(any(wanted in v for v in values), f"{wanted} is not in {lines[0]}")
        self.assertTrue(any("/app/1" in v for v in values), lines[0])
        self.assertTrue({"method", "status", "flag", "upstream"} <= keys, f"keys are {sorted(keys)}")
        self.assertEqual([200, 200, 404, 400], [int(line["status"]) for line in lines])
        self.assertEqual("NR", lines[2]["flag"])
        self.assertEqual("DPE", lines[3]["flag"])

    def test_a_file(self):
        path = os.path.join(self.directory(), "access.log")
        proxy, _ = self.run_traffic(f'[log.access]\npath = "{path}"')
        proxy.stop()
        lines = pathlib.Path(path).read_text().splitlines()
        self.assertEqual(4, len(lines), lines)

    def test_a_sample_has_what_went_wrong_and_a_reload_ends_it(self):
        proxy, backend = self.run_traffic("[log.access]\nsample = 0")
        proxy.access.wait("DPE")
        self.assertEqual(["NR", "DPE"], [re.search(r'" \d+ (\S+)', line)[1] for line in proxy.access.lines])
        pathlib.Path(proxy.config).write_text(simple_config([backend.endpoint], route='prefix = "/app"'))
        eventually(lambda: proxy.metrics()['remora_config_reloads_total{result="success"}'] == 1, "it is taken over")
        self.assertEqual(200, fetch(proxy.address("in"), "/app/all").status)
        proxy.access.wait("/app/all")
        self.assertEqual(3, len(proxy.access.lines), proxy.access.lines)

    def test_off(self):
        proxy, _ = self.run_traffic('[log.access]\npath = "off"')
        proxy.stop()
        self.assertEqual([], proxy.access.lines)


class Forwarding(TestCase):
    def test_a_request_id_is_made_and_is_unique(self):
        backend = self.backend(named("a"))
        proxy = self.remora(simple_config([backend.endpoint]))
        client = self.client(proxy.address("in"))
        for _ in range(20):
            client.get("/")
        ids = [r.get("x-request-id") for r in backend.complete()]
        self.assertEqual(20, len(set(ids)))
        proxy.access.wait(re.escape(ids[0]))

    def test_every_request_carries_the_forwarded_fields(self):
        """RawBackend holds every request against the normal form; this one says it once in the open."""
        backend = self.backend(named("a"))
        proxy = self.remora(simple_config([backend.endpoint]))
        fetch(proxy.address("in"), "/", host="public.test")
        request, = backend.complete()
        self.assertRegex(request.get("via"), r"^1\.1 remora(-[0-9a-z]+)?$")
        self.assertEqual("127.0.0.1", request.get("x-forwarded-for"))
        self.assertEqual("http", request.get("x-forwarded-proto"))
        self.assertEqual("public.test", request.get("host"))
        self.assertTrue(re.fullmatch(r"[0-9A-Za-z-]{8,64}", request.get("x-request-id")),
                        request.get("x-request-id"))


if __name__ == "__main__":
    main()
