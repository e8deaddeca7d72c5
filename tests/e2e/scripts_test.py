"""The shell scripts: bash can read each of them, and scripts/setup knows its groups."""

import subprocess

from harness import TestCase, main
from processes import ROOT


def shell_scripts():
    """Every file of these folders that begins with a shell's name."""
    folders = (ROOT / "scripts", ROOT / ".ci", ROOT / "deploy" / "debian", ROOT / "tests" / "bench")
    return [path for folder in folders for path in sorted(folder.iterdir())
            if path.is_file() and path.read_bytes().startswith((b"#!/usr/bin/env bash", b"#!/bin/sh"))]


class Scripts(TestCase):
    def test_bash_can_read_each(self):
        scripts = shell_scripts()
        self.assertLess(8, len(scripts))
        for path in scripts:
            done = subprocess.run(["bash", "-n", path], capture_output=True, text=True, timeout=60)
            self.assertEqual((0, ""), (done.returncode, done.stderr), path)

    def test_setup_refuses_a_group_that_it_does_not_know(self):
        done = subprocess.run([ROOT / "scripts" / "setup", "nonsense"], capture_output=True, text=True, timeout=60)
        self.assertEqual(2, done.returncode, done.stderr)
        self.assertIn("unknown group 'nonsense'", done.stderr)


if __name__ == "__main__":
    main()
