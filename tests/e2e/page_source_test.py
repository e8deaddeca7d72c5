"""The live page without a browser: what it is made of, what it asks for, and whom the admin server keeps away."""

import base64
import hashlib
import json
import re

from harness import TestCase, fetch, main, simple_config


class Source(TestCase):
    """The page without a browser."""

    def setUp(self):
        self.proxy = self.remora(simple_config([self.backend().endpoint]))

    def test_it_is_one_file_under_a_strict_policy(self):
        page = self.proxy.admin("/")
        text = page.body.decode()
        self.assertEqual((200, "text/html; charset=utf-8", "no-store", "nosniff", "no-referrer"),
                         (page.status, page.get("content-type"), page.get("cache-control"),
                          page.get("x-content-type-options"), page.get("referrer-policy")))
        policy = dict(part.strip().split(" ", 1) for part in page.get("content-security-policy").split(";"))
        self.assertEqual({"default-src": "'none'", "connect-src": "'self'", "img-src": "data:",
                          "frame-ancestors": "'none'", "base-uri": "'none'", "form-action": "'none'"},
                         {k: v for k, v in policy.items() if k not in ("script-src", "style-src")})
        for directive, tag in (("script-src", "script"), ("style-src", "style")):
            inside = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
            self.assertEqual(1, len(inside))
            digest = base64.b64encode(hashlib.sha256(inside[0].encode()).digest()).decode()
            self.assertEqual(f"'sha256-{digest}'", policy[directive])
        self.assertEqual([], re.findall(r"""(?:src|href)\s*=\s*["'](?!data:|#)""", text))
        self.assertNotIn("innerHTML", text)
        self.assertLess(len(page.body), 100_000)

    def test_head_has_the_same_fields_and_no_body(self):
        get, head = self.proxy.admin("/"), self.proxy.admin("/", "HEAD")
        self.assertEqual((200, b""), (head.status, head.body))
        self.assertEqual(get.get("content-length"), head.get("content-length"))
        self.assertEqual(get.get("content-security-policy"), head.get("content-security-policy"))

    def test_help_names_every_page(self):
        text = self.proxy.admin("/help").body.decode()
        for page in json.loads(self.proxy.admin("/stats").body)["pages"]:
            self.assertIn(f"{page} ", text)

    def test_stats_add_up_and_events_are_asked_for_by_number(self):
        for _ in range(5):
            fetch(self.proxy.address("in"))
        stats = json.loads(self.proxy.admin("/stats").body)
        self.assertEqual(5, sum(sum(e["codes"]) for e in stats["exchanges"]))
        self.assertEqual(5, stats["clusters"][0]["endpoints"][0]["requests"])
        self.assertTrue(stats["ready"])
        events = json.loads(self.proxy.admin("/events").body)
        self.assertEqual(events["last"], stats["last_event"])
        self.assertEqual(("process", "ready"), (events["events"][-1]["kind"], events["events"][-1]["to"]))
        after = json.loads(self.proxy.admin(f"/events?since={events['last']}").body)
        self.assertEqual([], after["events"])
        for wrong in ("x", "-1", "1x", "99999999999999999999"):
            self.assertEqual(400, self.proxy.admin(f"/events?since={wrong}").status, wrong)


class Guard(TestCase):
    """Pages of other sites, in a browser beside Remora, must neither read nor change anything."""

    def setUp(self):
        self.app = self.backend()
        self.proxy = self.remora(simple_config([self.app.endpoint]).replace(
            'address = "127.0.0.1:0"', 'address = "127.0.0.1:0"\nhosts = ["remora.internal"]', 1))
        self.order = f"/clusters/app/endpoints/{self.app.endpoint}/drain"

    def test_a_name_that_was_pointed_here_reads_nothing(self):
        for path in ("/", "/help", "/clusters", "/stats", "/events", "/config", "/log", self.order):
            self.assertEqual(403, self.proxy.admin(path, host="evil.example:9901").status, path)
        for host in ("localhost", "127.0.0.1:1", "[::1]:1", "remora.internal:9901"):
            self.assertEqual(200, self.proxy.admin("/config", host=host).status, host)

    def test_machines_may_use_any_name_for_health_and_metrics(self):
        for path in ("/healthz", "/readyz", "/metrics"):
            self.assertEqual(200, self.proxy.admin(path, host="remora.namespace.svc").status, path)

    def draining(self):
        return json.loads(self.proxy.admin("/clusters").body)["clusters"][0]["endpoints"][0]["draining"]

    def test_pages_of_other_sites_change_nothing(self):
        for path in (self.order, "/log?level=debug"):
            for fields in (["Origin: http://evil.example"], ["Origin: null"], ["Sec-Fetch-Site: cross-site"],
                           ["Sec-Fetch-Site: same-site", "Origin: http://localhost"]):
                self.assertEqual(403, self.proxy.admin(path, "POST", fields=fields).status, (path, fields))
            self.assertEqual(403, self.proxy.admin(path, "POST", host="evil.example",
                                                   fields=["Origin: http://evil.example"]).status)
        self.assertFalse(self.draining())
        self.assertEqual(b"info\n", self.proxy.admin("/log").body)

    def test_its_own_page_and_programs_may(self):
        own = ["Origin: http://localhost", "Sec-Fetch-Site: same-origin"]
        self.assertEqual(200, self.proxy.admin(self.order, "POST", fields=own).status)
        self.assertTrue(self.draining())
        self.assertEqual(200, self.proxy.admin(self.order.replace("drain", "undrain"), "POST").status)
        self.assertFalse(self.draining())


if __name__ == "__main__":
    main()
