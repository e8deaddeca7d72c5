"""The live page in a browser: of a Remora that is well, that has a breaker open, that is called strange names, whose
worker hangs, and that is gone. What it is made of is in page_source_test.py.
"""

import contextlib
import json
import pathlib
import socket
import threading

from browser import Browser
from harness import Client, TestCase, eventually, fetch, main, named, run_remora, show_address, simple_config
from mesh_test import config as mesh_config, members
from processes import HangingThread

BREAKER = """
[cluster.breaker]
consecutive_failures = 3
open_for = "50s"
[cluster.retry]
attempts = 2
"""
# Names that would run if they were ever taken for markup.
HOSTILE = ['<img src=x onerror=document.title=\\"owned\\">', '\\"><script>document.title=\\"owned\\"</script>',
           "' onmouseover='document.title=1", "</script><script>document.title=1</script>", "<svg/onload=document.title=1>"]


class InBrowser(TestCase):
    """One browser for all, since it starts slowly."""

    @classmethod
    def setUpClass(cls):
        cls.browser = Browser()
        cls.addClassCleanup(cls.browser.close)

    def show(self, proxy):
        address = proxy.admin_address()
        self.url = f"http://{address[0]}:{address[1]}/"
        self.browser.resize(1280, 900)
        self.browser.open("about:blank")
        self.browser.errors()
        self.browser.requested()
        self.browser.open(self.url)

    def traffic(self, proxy):
        """Requests, one after the other, until the test ends."""
        stop = threading.Event()
        address = proxy.address("in")

        def run():
            while not stop.is_set():
                try:
                    with Client(address) as client:
                        while not stop.wait(0.01):
                            client.get("/")
                except (OSError, AssertionError):
                    stop.wait(0.1)
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(stop.set)

    def assert_quiet(self):
        """Nothing was said on the console, nothing was asked of anybody else."""
        self.assertEqual([], self.browser.errors())
        foreign = [u for u in self.browser.requested() if not u.startswith((self.url, "data:", "about:"))]
        self.assertEqual([], foreign)

    def test_a_breaker_is_seen_opening(self):
        first, second = self.backend(named("first")), self.backend(named("second"))
        proxy = self.remora(simple_config([first.endpoint, second.endpoint], cluster=BREAKER))
        self.traffic(proxy)
        self.show(proxy)
        self.browser.wait_text("Everything is well", "#verdict")
        self.browser.wait_text("2 endpoints available", "#clusters")
        eventually(lambda: self.browser.run(
            "return document.querySelector('#graphs .main').getAttribute('d').length") > 20, "the graph is drawn")
        self.browser.wait_text("starting", "#events")
        second.close()
        self.browser.wait_text("app: 1 of 2 endpoints is not available: breaker open", "#verdict")
        self.browser.wait_text("connect failure", "#verdict")
        self.browser.wait_text("closed \u2192 open", "#events")
        self.browser.wait_text("probes in", "#clusters")
        self.assertEqual("warn", self.browser.run("return document.getElementById('headline').className"))
        self.assertIn("!", self.browser.run("return document.title"))
        self.assert_quiet()

    def test_members_of_the_mesh_come_and_go(self):
        first = self.remora(mesh_config("first", 46))
        second = self.remora(mesh_config("second", 47, f'join = ["{members(first)["address"]}"]'))
        self.show(first)
        self.browser.wait_text("first (this one)", "#members")
        self.browser.wait_text("second", "#members")
        self.assertNotIn("dead", self.browser.text("#members"))
        second.process.kill()
        second.process.wait()
        self.browser.wait_text("\u2715 dead", "#members")
        self.browser.wait_text("declared dead", "#events")
        self.assertTrue(self.browser.text("#members tbody").startswith("second"), "the worst is first")
        self.assert_quiet()

    def test_orders_are_given_once_confirmed(self):
        app = self.backend()
        proxy = self.remora(simple_config([app.endpoint]))
        self.show(proxy)
        self.browser.wait_text("Everything is well", "#verdict")
        drain = f"button[aria-label='Drain {app.endpoint}']"

        def draining():
            return json.loads(proxy.admin("/clusters").body)["clusters"][0]["endpoints"][0]["draining"]
        self.browser.click(drain)
        self.browser.wait_text(f"Drain {app.endpoint} of app?", "#confirm")
        self.browser.click("#confirm-no")
        self.assertFalse(draining())
        self.browser.click(drain)
        self.browser.click("#confirm-yes")
        self.browser.wait_text("Drain: done", "#toast")
        self.assertTrue(draining())
        self.browser.wait_text("app: its only endpoint is not available: draining by order", "#verdict")
        self.browser.click(f"button[aria-label='Undrain {app.endpoint}']")
        self.browser.click("#confirm-yes")
        self.browser.wait_text("Everything is well", "#verdict")
        self.assert_quiet()

    def test_a_breaker_that_all_share_has_one_button(self):
        name = "a/b c%"
        proxy = self.remora(simple_config([self.backend().endpoint, "127.0.0.2:1"], cluster="""
[cluster.breaker]
scope = "cluster"
""").replace('"app"', f'"{name}"'))
        self.show(proxy)
        self.browser.wait_text("One breaker for all endpoints: breaker closed.", "#clusters")
        self.assertEqual(2, self.browser.run("return document.querySelectorAll('td.buttons button:not([hidden])').length"),
                         "endpoints can only be drained")
        self.browser.click(f"button[aria-label='Open breaker {name}']")
        self.browser.wait_text(f"Open the breaker of {name}?", "#confirm")
        self.browser.click("#confirm-yes")
        self.browser.wait_text(f"{name}: the shared breaker open", "#verdict")
        self.browser.wait_text("until closed by order", "#verdict")
        self.browser.wait_text(f"{name} (all endpoints)", "#events")
        self.browser.click(f"button[aria-label='Close breaker {name}']")
        self.browser.click("#confirm-yes")
        self.browser.wait_text("Everything is well", "#verdict")
        self.assert_quiet()

    def test_everything_is_reached_with_the_keyboard(self):
        proxy = self.remora(simple_config([self.backend().endpoint]))
        self.show(proxy)
        self.browser.wait_text("Everything is well", "#verdict")
        reached = []
        for _ in range(9):
            self.browser.press("Tab")
            reached.append(self.browser.run("const n = document.activeElement; return n.getAttribute('href') || n.id "
                                            "|| n.className || n.textContent.trim()"))
        self.assertEqual(["#clusters", "only-problems", "filter", "row", "Open breaker", "Drain", "events"], reached[:7])
        self.assertIn("Effective configuration", self.browser.run("return document.activeElement.textContent")
                      + reached[7])

    def test_it_fits_a_phone_in_light_and_dark(self):
        long = "a" * 60
        proxy = self.remora(simple_config([self.backend().endpoint, "127.0.0.2:1"], cluster=BREAKER).replace(
            '"app"', f'"{long}"'))
        self.traffic(proxy)
        self.show(proxy)
        self.browser.wait_text("breaker open", "#verdict")
        backs = set()
        for dark in (False, True):
            self.browser.dark(dark)
            self.browser.resize(360, 740, phone=True)
            eventually(lambda: self.browser.run("return innerWidth") == 360, "the width of a phone")
            self.assertEqual(360, self.browser.run("return document.documentElement.scrollWidth"))
            backs.add(self.browser.run("return getComputedStyle(document.body).backgroundColor"))
            for low in self.browser.run(CONTRAST):
                self.assertGreaterEqual(low["ratio"], 4.5, (low, dark))
        self.assertEqual(2, len(backs))
        self.browser.click("#config summary")
        self.browser.wait_text("[[listener]]", "#config pre")
        self.assertEqual(360, self.browser.run("return document.documentElement.scrollWidth"))
        self.assert_quiet()

    def test_names_are_text_whatever_they_look_like(self):
        clusters = "".join(f'[[cluster]]\nname = "{name}"\nendpoints = ["127.0.0.1:{9 + i}"]\n'
                           for i, name in enumerate(HOSTILE))
        peer = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(peer.close)

        def answer_checks():
            with contextlib.suppress(OSError):  # closed: the end
                while True:
                    with peer.accept()[0] as check:
                        check.sendall(b"no")
        threading.Thread(target=answer_checks, daemon=True).start()
        clusters += f"""
[[cluster]]
name = "rude"
endpoints = ["127.0.0.1:{peer.getsockname()[1]}"]
[cluster.health_check]
protocol = "tcp"
receive = "<img src=x onerror=document.title=1>"
panic_below = 0
"""
        secret = 'request_headers = { set = { Authorization = "Bearer hunter2" } }'
        proxy = self.remora(simple_config([self.backend().endpoint], route=secret) + clusters)
        self.show(proxy)
        self.browser.wait_text("rude: its only endpoint is not available: health check fails", "#verdict")
        self.browser.wait_text("<img src=x", "#verdict")
        text = self.browser.text("#clusters")
        for name in HOSTILE:
            self.assertIn(name.replace('\\"', '"'), text)
        self.browser.click("#config summary")
        self.browser.wait_text("***", "#config pre")
        self.assertNotIn("hunter2", self.browser.text())
        self.assertEqual([0, 1], self.browser.run(
            "return [document.images.length, document.scripts.length]"))
        self.assertEqual("\u2715 Remora " + self.url[7:-1], self.browser.run("return document.title"))
        self.assert_quiet()

    def test_two_thousand_endpoints_stay_fluid(self):
        clusters = "".join(
            f'[[cluster]]\nname = "service-{i}"\nendpoints = '
            + json.dumps([f"10.{i}.0.{n}:80" for n in range(1, 11)]) + "\n" for i in range(200))
        proxy = self.remora(simple_config([self.backend().endpoint]) + clusters)
        self.assertEqual(200, proxy.admin("/clusters/service-150/endpoints/10.150.0.3:80/drain", "POST").status)
        self.show(proxy)
        self.browser.wait_text("service-150: 1 of 10 endpoints is not available: draining by order", "#verdict")
        self.assertTrue(self.browser.text("#clusters").lstrip("\u25be \n").startswith("service-150"), "problems first")
        self.assertLess(self.browser.run("return document.querySelectorAll('*').length"), 6000)
        self.browser.run("const f = document.getElementById('filter'); f.value = '10.42.0.7:';"
                         "f.dispatchEvent(new Event('input'))")
        self.browser.wait_text("1 shown", "#clusters-count")
        self.browser.wait_text("10.42.0.7:80", "#clusters")
        self.assert_quiet()

    def test_a_worker_that_hangs_is_named(self):
        proxy = self.remora(simple_config([self.backend().endpoint], extra="[runtime]\nworkers = 2"))
        self.show(proxy)
        self.browser.wait_text("Everything is well", "#verdict")
        with HangingThread(proxy.process, "worker-1"):
            self.browser.wait_text("1 of 2 workers does not answer", "#verdict")
            done = run_remora("top", "--once", "--admin", show_address(proxy.admin_address()))
            self.assertIn("X   1 of 2 workers does not answer", done.stdout)
        self.browser.wait_text("1 endpoint available", "#clusters")
        eventually(lambda: "does not answer" not in self.browser.text("#headline"), "the worker answers again")
        self.assert_quiet()

    def test_a_rejected_configuration_is_told_until_it_is_mended(self):
        proxy = self.remora(simple_config([self.backend().endpoint]))
        file = pathlib.Path(proxy.config)
        good = file.read_text()
        self.show(proxy)
        self.browser.wait_text("Everything is well", "#verdict")
        self.browser.click("#config summary")
        self.browser.wait_text("[[listener]]", "#config pre")
        file.write_text(good + "[nonsense]\n[<b>]\n")
        self.browser.wait_text("The configuration was rejected", "#verdict")
        self.browser.wait_text("the one before it is at work: " + proxy.config + ":", "#verdict")
        self.browser.wait_text("\u2715 rejected", "#events")
        self.browser.wait_text("# The last reload was rejected", "#config pre")
        done = run_remora("top", "--once", "--admin", show_address(proxy.admin_address()))
        self.assertRegex(done.stdout, r"(?m)^!   configuration rejected \d+ s ago, the one before it is at work")
        file.write_text(good.replace('"info"', '"debug"'))
        self.browser.wait_text("Everything is well", "#verdict")
        self.browser.wait_text("\u2713 applied", "#events")
        self.browser.wait_text("changed log: level", "#events")
        self.browser.wait_text('level = "debug"', "#config pre")
        self.assertNotIn("rejected", self.browser.text("#config pre"))
        self.assert_quiet()

    def test_rates_and_quantiles_are_right(self):
        self.show(self.remora(simple_config([self.backend().endpoint])))
        self.browser.wait_text("Everything is well", "#verdict")
        run = self.browser.run(MODEL)
        self.assertEqual([10, 0.1, 1, 15], run["steady"], "requests/s, share of 5xx, p50 and p99 in ms")
        self.assertEqual([2, 0], run["restarted"], "a new process: what it has counted since, and no memory of the old")
        self.assertEqual([None, None, 1.5], run["missing"], "no rate across a worker that comes or goes, then as ever")
        self.assertEqual([None, 1, 4, 16], run["quantiles"], "of nothing, within, at a bound, beyond all")

    def test_no_cluster_at_all(self):
        proxy = self.remora('[admin]\naddress = "127.0.0.1:0"\n[[listener]]\nname = "in"\naddress = "127.0.0.1:0"\n'
                            '[[listener.route]]\nrespond = { status = 200, body = "hello" }\n')
        self.show(proxy)
        self.browser.wait_text("No cluster is configured", "#headline")
        self.browser.wait_text("No cluster is configured", "#clusters")
        self.assert_quiet()

    def test_a_proxy_that_is_gone_and_comes_back(self):
        config = simple_config([self.backend().endpoint])
        proxy = self.remora(config)
        self.show(proxy)
        self.browser.wait_text("Everything is well", "#verdict")
        port = proxy.admin_address()[1]
        proxy.stop()
        self.browser.wait_text("Remora is not reachable", "#verdict")
        self.browser.wait_text("The last data are from", "#detail")
        self.remora(config.replace("127.0.0.1:0", f"127.0.0.1:{port}", 1))
        self.browser.wait_text("Everything is well", "#verdict")


# Known answers given to the page's own model.
MODEL = """
const answer = (t, good, bad, workers) => ({
  uptime_seconds: t, bounds_ms: [2, 4, 16], listeners: [], clusters: [],
  workers: workers.map((worker) => ({ worker })),
  exchanges: [{ listener: "in", cluster: "app", codes: [0, 0, good, 0, 0, bad], buckets: [good, 0, bad, 0] }],
});
const now = (model) => model.total.points[model.total.points.length - 1];
const steady = new Model();
steady.add(answer(10, 100, 0, [0]));
steady.add(answer(12, 118, 2, [0]));
const { rate, errors } = now(steady);
const p = (q) => Math.round(quantile(steady.recent.total.buckets, [2, 4, 16], q));
const again = new Model();
again.add(answer(10, 100, 0, [0]));
again.add(answer(1, 4, 0, [0]));
const kept = again.total.points.length;
again.add(answer(2, 6, 0, [0]));
const missing = new Model();
missing.add(answer(10, 1000, 0, [0, 1]));
missing.add(answer(11, 500, 0, [0]));
const gone = now(missing);
missing.add(answer(12, 1010, 0, [0, 1]));
const back = now(missing);
missing.add(answer(14, 1013, 0, [0, 1]));
return {
  steady: [rate, errors, p(0.5), Math.ceil(quantile(steady.recent.total.buckets, [2, 4, 16], 0.99))],
  restarted: [now(again).rate, kept],
  missing: [gone ? gone.rate : null, back ? back.rate : null, now(missing).rate],
  quantiles: [[0, 0], [2, 0], [0, 2, 0], [0, 0, 0, 5]].map((b, i) => {
    const value = quantile(b, [2, 4, 16], [0.5, 0.5, 1, 0.5][i]);
    return Number.isNaN(value) ? null : value;
  }),
};
"""

# The texts whose contrast against what is behind them is the lowest: [{ratio, text}].
CONTRAST = """
const parse = (c) => (c.match(/[\\d.]+/g) || []).map(Number);
const linear = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : Math.pow((v + 0.055) / 1.055, 2.4);
const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
const behind = (n) => {
  for (; n; n = n.parentElement) {
    const c = parse(getComputedStyle(n).backgroundColor);
    if (c.length === 3 || c[3] === 1) return c;
  }
  return [255, 255, 255];
};
const found = [];
const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walk.nextNode()) {
  const n = walk.currentNode.parentElement;
  if (!walk.currentNode.data.trim() || !n.getClientRects().length) continue;
  const style = getComputedStyle(n);
  const color = n instanceof SVGElement ? style.fill : style.color;
  const [a, b] = [light(parse(color)), light(behind(n))].sort((x, y) => y - x);
  found.push({ ratio: (a + 0.05) / (b + 0.05), text: walk.currentNode.data.slice(0, 40) });
}
return found.sort((a, b) => a.ratio - b.ratio).slice(0, 3);
"""


if __name__ == "__main__":
    main()
