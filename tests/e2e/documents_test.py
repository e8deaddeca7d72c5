"""What the binary prints for others to read: the completion of the shells, the manual page. Held against --help."""

import os
import pathlib
import re
import subprocess

from harness import BINARY, TestCase, main, run_remora
from processes import ROOT

BEGINNING = r"^  ([\w-][\w,-]*)(?: (?!REQUIRED)[A-Z:{},a-z]+)?"


def section(text, title):
    """The lines of --help under `title`, up to the empty line."""
    return text.split(f"\n{title}:\n", 1)[1].split("\n\n", 1)[0] if f"\n{title}:\n" in text else ""


def names(text, title):
    return [name for match in re.finditer(BEGINNING, section(text, title), re.MULTILINE)
            for name in match[1].split(",")]


class Help:
    """What `remora --help` and `remora COMMAND --help` say there is."""

    def __init__(self):
        program = run_remora("--help").stdout
        self.commands = names(program, "Subcommands")
        self.options = {"": names(program, "Options")}
        for command in self.commands:
            self.options[command] = names(run_remora(command, "--help").stdout, "Options")


class Documents(TestCase):
    @classmethod
    def setUpClass(cls):
        cls.help = Help()

    def shell(self, name, script, *arguments, flags=()):
        """What a shell prints that has the binary in its PATH."""
        path = f"{pathlib.Path(BINARY).resolve().parent}:{os.environ['PATH']}"
        done = subprocess.run([name, *flags, "-c", script, *arguments], capture_output=True, text=True,
                              timeout=60, cwd=self.directory(),
                              env={"PATH": path, "HOME": self.directory(), "TERM": "dumb", "LC_ALL": "C.UTF-8"})
        self.assertEqual(0, done.returncode, f"{name}: {done.stdout}{done.stderr}")
        return done.stdout

    def complete(self, shell, *words):
        """What is offered for the last of `words`, which may be empty."""
        if shell == "bash":
            script = """source <(remora completion bash) || exit
                        COMP_WORDS=("$0" "$@"); COMP_CWORD=$#; _remora 2>/dev/null; printf '%s\\n' "${COMPREPLY[@]}" """
            return self.shell("bash", script, "remora", *words).split()
        offered = self.shell("fish", "remora completion fish | source; complete -C (string join ' ' -- $argv)",
                             "remora", *words)
        return [line.split("\t")[0] for line in offered.splitlines()]

    def test_help_is_understood_by_this_test(self):
        self.assertLess({"run", "check", "demo", "completion", "manual"}, {*self.help.commands, "and more"})
        self.assertLessEqual({"-h", "--help", "--version"}, set(self.help.options[""]))
        self.assertEqual(["-h", "--help", "-c", "--config"], self.help.options["run"])

    def test_every_command_and_option_is_offered(self):
        for shell in ("bash", "fish"):
            self.assertLessEqual(set(self.help.commands), set(self.complete(shell, "")), shell)
            for command, options in self.help.options.items():
                offered = set(self.complete(shell, *filter(None, [command]), "--"))
                self.assertEqual({o for o in options if o.startswith("--")}, offered, f"{shell}: {command}")

    def test_a_prefix_chooses(self):
        for shell in ("bash", "fish"):
            self.assertEqual(["check"], self.complete(shell, "chec"), shell)
            self.assertEqual(["--config"], self.complete(shell, "run", "--con"), shell)
            self.assertEqual(["fish"], self.complete(shell, "completion", "f"), shell)

    def test_a_configuration_is_a_file(self):
        name = "remora-of-the-test.toml"
        for shell in ("bash", "fish"):
            directory = self.directory()
            pathlib.Path(directory, name).touch()
            for option in ("-c", "--config"):
                offered = self.complete(shell, "run", option, f"{directory}/remora-of")
                self.assertEqual([f"{directory}/{name}"], offered, f"{shell}: {option}")

    def test_bash_knows_an_option_with_its_value_in_one_word(self):
        directory = self.directory()
        pathlib.Path(directory, "a.toml").touch()
        self.assertEqual([f"{directory}/a.toml"], self.complete("bash", "run", "--config", "=", f"{directory}/a"))
        self.assertEqual([], self.complete("bash", "demo", "--requests", "="))

    def test_zsh_gets_every_command_and_option(self):
        # Completing happens in zsh's line editor only: these stand for what the function calls there.
        script = """
            compdef() { : }
            _describe() { print -l ${(P)2} }
            _arguments() { print -l -- "$@"; state=$wanted }
            source <(remora completion zsh) || exit
            wanted=$1 words=(${@:2}); _remora"""
        commands = self.shell("zsh", script, "zsh", "command", flags=["-f"])
        for command in self.help.commands:
            self.assertRegex(commands, rf"(?m)^{command}:\w")
        for command in self.help.commands:
            offered = self.shell("zsh", script, "zsh", "argument", command, flags=["-f"])
            for option in self.help.options[command] + self.help.options[""]:
                self.assertRegex(offered, rf"(?m)^(\([^)]*\))?{option}\[")
        self.assertIn(":FILE:_files", self.shell("zsh", script, "zsh", "argument", "run", flags=["-f"]))

    def test_the_shells_find_no_fault_in_it(self):
        for shell in ("bash", "zsh", "fish"):
            script = run_remora("completion", shell)
            self.assertEqual((0, ""), (script.returncode, script.stderr))
            done = subprocess.run([shell, "-n"], input=script.stdout, capture_output=True, text=True, timeout=60)
            self.assertEqual((0, ""), (done.returncode, done.stderr), shell)

    def test_an_unknown_shell_is_bad_usage(self):
        for arguments in ([], ["tcsh"], ["bash", "zsh"]):
            self.assertEqual(2, run_remora("completion", *arguments).returncode, arguments)

    def rendered(self, page, name):
        """The text of a manual page, in which mandoc and man find no fault."""
        path = pathlib.Path(self.directory(), name)
        path.write_text(page)
        lint = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", path], capture_output=True, text=True,
                              timeout=60)
        self.assertEqual((0, "", ""), (lint.returncode, lint.stdout, lint.stderr))
        man = subprocess.run(["man", "--warnings", "--no-hyphenation", "-l", path], capture_output=True, text=True,
                             timeout=60, env={**os.environ, "MANWIDTH": "100", "LC_ALL": "C.UTF-8", "PAGER": "cat"})
        self.assertEqual((0, ""), (man.returncode, man.stderr))
        return man.stdout

    def test_the_manual_page_is_clean_and_complete(self):
        page = run_remora("manual")
        self.assertEqual((0, ""), (page.returncode, page.stderr))
        text = self.rendered(page.stdout, "remora.1")
        for command in self.help.commands:
            self.assertRegex(text, rf"(?m)^   remora {command}\b")
        for option in {option for options in self.help.options.values() for option in options}:
            self.assertRegex(text, rf"(?m)^ +(-\w, )?{option}\b")
        for title in ("EXIT STATUS", "SIGNALS", "ENVIRONMENT", "FILES", "EXAMPLES"):
            self.assertIn(f"\n{title}\n", text)

    def test_the_manual_page_of_the_configuration_has_every_key_and_example(self):
        document = (ROOT / "docs" / "configuration.md").read_text()
        page = subprocess.run([ROOT / "scripts" / "configuration-man", "1.2.3"], capture_output=True, text=True, timeout=60)
        self.assertEqual((0, ""), (page.returncode, page.stderr))
        text = self.rendered(page.stdout, "remora.toml.5")
        keys = re.findall(r"(?m)^\| `(\w+)` \|.*\|.*\|.*\|$", document)
        self.assertGreater(len(keys), 100)
        for key in set(keys):
            self.assertGreaterEqual(len(re.findall(rf"(?m)^ {{7}}{key}\b", text)), keys.count(key), key)
        # Examples are literal, brackets and dollars included.
        for block in re.findall(r"(?ms)^```toml\n(.*?)^```$", document):
            for line in block.splitlines():
                self.assertIn(line, text)
        self.assertIn("[::1]:8080", text)
        self.assertNotIn("](", text.replace("](/", ""))
        self.assertNotIn("`", text)

    def test_markdown_that_the_manual_page_cannot_say_is_an_error(self):
        for unknown in ("> a quotation", "| a | b |\n|---|---|\n| only one |"):
            path = pathlib.Path(self.directory(), "a.md")
            path.write_text(f"# Title\n\n{unknown}\n")
            done = subprocess.run([ROOT / "scripts" / "configuration-man", "1.2.3", path], capture_output=True, text=True,
                                  timeout=60)
            self.assertEqual(1, done.returncode, done.stdout)


if __name__ == "__main__":
    main()
