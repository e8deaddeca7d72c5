"""The other proxies' examples in docs/migrating.md are real: HAProxy and nginx accept theirs, and each has its counterpart.

Remora's examples, on that page and on all others, are loaded by tests/config/documentation_test.cc.
"""

import pathlib
import re
import subprocess

import yaml

from harness import TestCase, main
from processes import ROOT

DOCUMENT = (ROOT / "docs" / "migrating.md").read_text()


def example(language):
    (text,) = re.findall(rf"(?ms)^```{language}\n(.*?)^```$", DOCUMENT)
    return text


class Examples(TestCase):
    def check(self, name, text, *command):
        """What the proxy says of the file; {} in the command stands for it."""
        directory = pathlib.Path(self.directory())
        (directory / name).write_text(text)
        done = subprocess.run([part.format(directory / name) for part in command], capture_output=True, text=True, timeout=60,
                              cwd=directory)
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def test_haproxy(self):
        said = self.check("haproxy.cfg", example("haproxy"), "haproxy", "-c", "-f", "{}")
        self.assertNotRegex(said, r"\[(WARNING|ALERT)\]")

    def test_nginx(self):
        # Where it would write its process id has nothing to do with the example.
        said = self.check("nginx.conf", f"pid {self.directory()}/nginx.pid;\n" + example("nginx"), "nginx", "-t", "-e", "stderr", "-c", "{}")
        self.assertNotRegex(said, r"\[(warn|error|emerg)\]")

    def test_envoy(self):
        resources = yaml.safe_load(example("yaml"))["static_resources"]
        manager = resources["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
        routes = manager["route_config"]["virtual_hosts"][0]["routes"]
        self.assertEqual({route["route"]["cluster"] for route in routes}, {cluster["name"] for cluster in resources["clusters"]})

    def test_each_has_its_counterpart(self):
        for title in ("Envoy", "HAProxy", "nginx"):
            part = DOCUMENT.split(f"\n## From {title}\n", 1)[1].split("\n## ", 1)[0]
            self.assertRegex(part, r"(?s)```\n\nbecomes\n\n```toml\n.*\[\[listener\]\].*\n```\n\nWhat bites:\n\n\* ", title)

    def test_links_lead_somewhere(self):
        """Of this document and docs/deployment.md: the file is there, and has a heading of that name."""
        for name in ("migrating.md", "deployment.md"):
            text = (ROOT / "docs" / name).read_text()
            for path, anchor in re.findall(r"\]\(((?!http)[^)#\s]*)#?([^)\s]*)\)", text):
                target = ROOT / "docs" / (path or name)
                self.assertTrue(target.exists(), f"{name}: {path}")
                if anchor:
                    headings = re.findall(r"(?m)^#+ (.*)$", target.read_text())
                    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
                    self.assertIn(anchor, anchors, f"{name}: {path}#{anchor}")


if __name__ == "__main__":
    main()
