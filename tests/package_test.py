#!/usr/bin/env python3
"""Builds the Debian package from a release build and installs it into an empty root.

    tests/package_test.py [BUILD]      BUILD = build/release; needs the packages of `scripts/setup package`
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "release"
MODES = {"./etc/remora/remora.toml": "-rw-r--r--", "./usr/bin/remora": "-rwxr-xr-x"}
FILES = [
    "./usr/lib/systemd/system/remora.service", "./usr/share/man/man1/remora.1.gz", "./usr/share/man/man5/remora.toml.5.gz",
    "./usr/share/bash-completion/completions/remora", "./usr/share/zsh/vendor-completions/_remora",
    "./usr/share/fish/vendor_completions.d/remora.fish", "./usr/share/doc/remora/copyright",
    "./usr/share/doc/remora/changelog.gz", "./usr/share/doc/remora/changelog.Debian.gz",
    "./usr/share/doc/remora/docs/configuration.md", "./usr/share/doc/remora/examples/kubernetes/deployment.yaml",
    "./usr/share/doc/remora/examples/compose/compose.yaml",
]


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=600, **options)
    return done.returncode, done.stdout


class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = pathlib.Path(tempfile.mkdtemp(prefix="remora-package-"))
        cls.addClassCleanup(shutil.rmtree, cls.directory)
        status, text = run("cpack", "--config", BUILD / "CPackConfig.cmake", "-G", "DEB", "-B", cls.directory, cwd=BUILD)
        found = list(cls.directory.glob("*.deb"))
        if status or len(found) != 1:
            raise AssertionError(f"cpack made {found}, exit status {status}:\n{text}")
        cls.package = found[0]
        cls.root = cls.directory / "root"
        (cls.root / "var/lib/dpkg/info").mkdir(parents=True)
        (cls.root / "var/lib/dpkg/updates").mkdir()
        (cls.root / "var/lib/dpkg/status").touch()

    def dpkg(self, *arguments):
        """dpkg on the empty root; the scripts run outside of it and are told so by DPKG_ROOT."""
        status, text = run("dpkg", f"--root={self.root}", "--force-depends", "--force-script-chrootless", "--force-not-root",
                           "--force-confold", *arguments)
        self.assertEqual(0, status, text)
        return text

    def test_fields(self):
        fields = dict(re.findall(r"^([\w-]+): (.*)$", run("dpkg-deb", "--field", self.package)[1], re.MULTILINE))
        self.assertEqual("remora", fields["Package"])
        self.assertEqual("sidecar proxy with one TOML file", fields["Description"])
        self.assertEqual(self.package.name, f"remora_{fields['Version']}_{fields['Architecture']}.deb")
        depends = set(re.findall(r"([a-z][\w.+-]+) \(>= ", fields["Depends"]))
        # What ldd names, by package; nothing for building, and nothing twice.
        self.assertLessEqual({"libc6", "libstdc++6", "libuv1", "libc-ares2", "libre2-9"}, depends)
        self.assertFalse([name for name in depends if name.endswith("-dev")])

    def test_content(self):
        listing = run("dpkg-deb", "--contents", self.package)[1]
        entries = {line.split(None, 5)[5]: line.split() for line in listing.splitlines()}
        for name in (*MODES, *FILES):
            self.assertIn(name, entries)
            self.assertEqual(MODES.get(name, "-rw-r--r--"), entries[name][0], name)
        self.assertEqual({"root/root"}, {entry[1] for entry in entries.values()})

    def test_lintian_has_nothing_to_say(self):
        status, text = run("lintian", "--allow-root", "--tag-display-limit", "0", "--fail-on", "error,warning", self.package)
        self.assertEqual(0, status, text)
        self.assertNotRegex(text, r"(?m)^[EW]: ")

    def test_install_run_upgrade_purge(self):
        self.dpkg("--install", self.package)
        binary, config = self.root / "usr/bin/remora", self.root / "etc/remora/remora.toml"
        status, text = run(binary, "--version")
        self.assertEqual(0, status, text)
        self.assertRegex(text, r"^remora \d+\.\d+\.\d+$")
        self.assertEqual((0, f"{config}: ok\n"), run(binary, "check", "--config", config))
        self.assertNotIn("not found", run("ldd", binary)[1])

        # A changed configuration outlives an upgrade and a removal, not a purge.
        config.write_text(config.read_text() + "# changed by the operator\n")
        self.dpkg("--install", self.package)
        self.assertIn("# changed by the operator", config.read_text())
        self.dpkg("--remove", "remora")
        self.assertFalse(binary.exists())
        self.assertTrue(config.exists())
        self.dpkg("--purge", "remora")
        self.assertFalse(config.parent.exists())


if __name__ == "__main__":
    if len(sys.argv) > 1:
        BUILD = pathlib.Path(sys.argv.pop(1)).resolve()
    os.environ.setdefault("LC_ALL", "C.UTF-8")
    unittest.main(verbosity=1)
