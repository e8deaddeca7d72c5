#!/usr/bin/env python3
"""Enforces the architecture: who may include whom, what may stand in one place only, and how big files may grow.

    tests/layers_test.py [--root DIR]     checks the tree; exit status 1 with one line per violation
    tests/layers_test.py --self-test      shows that each rule fails on a planted violation

The tables below are the rules; docs/architecture.md says why. No file is exempt: one that belongs to no layer, a library
that is in no table, braces that do not pair up are violations too. A rule that is wrong is changed here, with the reason
in the commit.
"""

import argparse
import re
import sys
import unittest
from collections import defaultdict
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from layers import source

ROOT = Path(__file__).resolve().parent.parent
FILE_EXPLAIN, FILE_MAX = 400, 600  # lines
FUNCTION_REPORT, FUNCTION_MAX = 60, 100  # lines

# Folder -> folders whose headers its files may include. A file belongs to the longest folder that matches.
LAYERS = {
    "base": {"base"},
    "lb": {"lb", "base"},
    "breaker": {"breaker", "base"},
    "health": {"health", "base"},
    "discovery": {"discovery", "base"},
    "discovery/swim": {"discovery/swim", "base"},
    "config": {"config", "base"},  # and of the policies those headers that declare Settings
    "proxy/net": {"proxy/net", "base"},
    "proxy/http": {"proxy/http", "base"},
    "proxy": {"proxy", "proxy/net", "proxy/http", "config", "lb", "breaker", "health", "discovery", "discovery/swim", "base"},
    "tests": {"tests", "proxy", "proxy/net", "proxy/http", "config", "lb", "breaker", "health", "discovery", "discovery/swim", "base"},
}
POLICIES = {"lb", "breaker", "health", "discovery", "discovery/swim"}

# Headers in <> beyond the standard library -> the files that may include them. Tests may include all.
LIBRARIES = [
    (r"uv\.h|uv/.*", ["proxy/net/*"]),
    # Sealing a packet is arithmetic, not I/O: a policy may do it, in one file. TLS and randomness stay in proxy/net.
    (r"openssl/(crypto|evp)\.h", ["proxy/net/*", "discovery/swim/keyring.cc"]),
    (r"openssl/.*", ["proxy/net/*"]),
    (r"zlib\.h", ["discovery/swim/wire.cc"]),
    (r"ares.*\.h", ["proxy/net/resolver.cc"]),
    (r"llhttp.*", ["proxy/http/h1_parser.cc"]),
    (r"nghttp2/.*", ["proxy/http/h2_codec.cc"]),
    (r"toml\.hpp|toml(11)?/.*", ["config/parse.cc"]),
    (r"prometheus/.*", ["proxy/metric*.cc"]),
    (r"re2/.*", ["proxy/router.cc"]),
    (r"nlohmann/.*", ["config/parse_json.cc", "proxy/admin*.cc", "proxy/top_stats.cc"]),
    (r"CLI/.*", ["proxy/command_line.cc"]),
    (r"xxh.*\.h", ["lb/*.cc"]),
    (r"(langinfo|termios)\.h", ["proxy/terminal.cc"]),
    (r"(fmt|spdlog)/.*", ["base/format_library.cc", "base/log*.cc", "config/*.cc", "proxy/*.cc"]),
    # The kernel: sockets in proxy/net; an address knows its sockaddr; a log's file may turn out to be a socket.
    (r"(arpa|netinet)/.*|sys/(socket|un)\.h", ["proxy/net/*", "base/address.*", "base/log_destination.cc"]),
    (r"(grp|pwd)\.h", ["proxy/privileges.cc"]),
    (
        r"(sys|net|linux)/.*|(dirent|endian|fcntl|ifaddrs|malloc|netdb|poll|pthread|sched|signal|strings|unistd)\.h",
        ["proxy/net/*", "proxy/*.cc", "base/log*.cc"],
    ),
]
STANDARD_HEADER = r"[a-z_0-9]+"


@dataclass(frozen=True)
class Place:
    """Code that may stand in few files only. `files` are patterns; `tests` tells whether tests are free of the rule."""

    rule: str
    code: str
    files: tuple
    tests: bool = True
    most: int = 0  # if set: at most so many of the files that match


# The log stamps its lines and bounds how long its thread waits; nothing that decides anything reads these.
CLOCK_FILES = ("proxy/net/loop.cc", "proxy/access_log.cc", "base/log_format.cc", "base/log_writer.cc")
PLACES = [
    Place(
        "clock",
        r"\w+::now\s*\(|\b(clock_gettime|gettimeofday|timespec_get|uv_hrtime|uv_now|uv_clock_gettime|__?rdtscp?)\b"
        r"|(?<![\w.>])(std::)?(time|clock)\s*\(\s*(NULL|nullptr|0|&\w+)?\s*\)(?!\s*(const\b|[{=]))",
        (*CLOCK_FILES, "tests/bench/*"),
        tests=False,
    ),
    Place("sleep", r"\b([s]leep_for|sleep_until|[u]sleep|nanosleep|clock_nanosleep)\b|\bsleep\s*\(", (), tests=False),
    Place(
        "random",
        r"\b(s?rand|[dls]rand48|random_device|getrandom|getentropy|uv_random|RAND_\w*bytes|arc4random\w*)\b",
        # Of TLS: the keys of tickets, and the vector that goes with each ticket.
        ("proxy/net/loop.cc", "proxy/net/tls_tickets.cc", "proxy/net/tls_context.cc"),
        tests=False,
    ),
    Place("uv", r"\b(uv|UV)_\w+", ("proxy/net/*",)),
    Place("tls", r"\b(SSL|BIO|X509)_\w+|\bSSL\b", ("proxy/net/*",)),
    Place("crypto", r"\b(EVP|OPENSSL)_\w+", ("proxy/net/*", "discovery/swim/keyring.cc")),
    Place("c-ares", r"\b(ares|ARES)_\w+", ("proxy/net/resolver.cc",)),
    Place("llhttp", r"\b(llhttp|LLHTTP|HPE)_\w+", ("proxy/http/h1_parser.cc",)),
    Place("nghttp2", r"\b(nghttp2|NGHTTP2)_\w+", ("proxy/http/h2_codec.cc",)),
    Place("toml11", r"\btoml::", ("config/parse.cc",)),
    Place("prometheus", r"\bprometheus::", ("proxy/metric*.cc",), most=1),
    Place("re2", r"\bre2::|\bRE2\b", ("proxy/router.cc",)),
    Place("nlohmann", r"\bnlohmann::", ("config/parse_json.cc", "proxy/admin*.cc", "proxy/top_stats.cc")),
    Place("xxhash", r"\bXXH\w*_\w+", ("lb/*.cc",), most=1),
    Place("environment", r"\b(secure_)?getenv\b|\b(set|put|unset)env\b|\benviron\b", ("config/*", "proxy/terminal.cc", "proxy/net/notify_socket.cc")),
    Place(
        "shared-ptr",
        r"\b(shared_ptr|weak_ptr|make_shared|allocate_shared|enable_shared_from_this)\s*<(?!\s*(const\b|[\w:]+\s+const\b|(proxy::)?(Endpoint|Cluster|Listener|RateLimit)State\b))",
        ("base/shared_list.h", "base/rare.h"),  # whose values are const while they are shared
    ),
]

# In every file, tests and scripts included; markers also in comments. ([] keeps this file from finding itself.)
MARKER = r"\b([T]ODO|[F]IXME|[X]XX|[H]ACK)\b|(//|#)[^\"\n]*\b[f]or now\b"
SWITCHED_OFF = (
    r"\bdoctest::(skip|[s]hould_fail|[m]ay_fail|expected_failures)\b|\b[D]ISABLED\w*|\bWILL_FAIL\b"
    r"|\bunittest\.(skip\w*|expectedFailure|SkipTest)|\bself\.[s]kipTest\b|\bpytest\.(mark\.)?(skip\w*|xfail)|^\s*#\s*if\s+0\b"
)
# ctest would take what stands before and after a semicolon for two tests that match nothing, and pass.
TEST_NAME = r'\b(TEST_CASE(?:_FIXTURE)?|SUBCASE|TEST_SUITE)\s*\([^"\n]*"[^"\n]*[][;]'


def layer_of(path):
    layers = [layer for layer in LAYERS if path.startswith(layer + "/")]
    return max(layers, key=len, default=None)


def in_files(path, patterns):
    return any(fnmatchcase(path, pattern) for pattern in patterns)


class Check:
    """One walk over a tree. `violations` are (path, line, rule, message); `reports` fail nothing."""

    def __init__(self, root):
        self.root = Path(root)
        self.sources = {s.path: s for s in source.read_tree(root)}
        self.violations = []
        self.reports = []
        for s in self.sources.values():
            self.check_text(s)
            self.check_size(s)
            if s.kind == "c++":
                self.check_layer(s)
                self.check_test_names(s)
                self.check_includes(s)
                self.check_places(s)
            elif s.kind == "python":
                self.check_places(s)
        self.check_cycles()
        self.check_once()
        self.check_suffixes()
        self.violations.sort()

    def fail(self, path, line, rule, message):
        self.violations.append((path, line, rule, message))

    def check_layer(self, s):
        if layer_of(s.path) is None:
            self.fail(s.path, 1, "folder", "C++ outside the layers: " + " ".join(LAYERS))
        if s.path.endswith(".h") and not re.search(r"^#pragma once$", s.code, re.MULTILINE):
            self.fail(s.path, 1, "pragma-once", "a header begins with #pragma once")

    def check_includes(self, s):
        layer = layer_of(s.path)
        for include in s.includes():
            if include.angled and not (self.root / include.name).is_file():
                if layer != "tests":
                    self.check_library(s, include)
            elif include.angled or not (self.root / include.name).is_file():
                self.fail(s.path, include.line, "rooted", f'"{include.name}" is no path from the root of the tree, in quotes')
            elif layer and not self.may_include(layer, include.name):
                target = layer_of(include.name) or include.name
                self.fail(s.path, include.line, "direction", f"{layer} may not include {target} ({include.name})")

    def may_include(self, layer, header):
        target = layer_of(header)
        if layer == "config" and target in POLICIES:
            return re.search(r"\bstruct \w*Settings\b", self.sources[header].code) is not None
        return target in LAYERS[layer]

    def check_library(self, s, include):
        if re.fullmatch(STANDARD_HEADER, include.name):
            return
        for name, files in LIBRARIES:
            if re.fullmatch(name, include.name):
                if not in_files(s.path, files):
                    self.fail(s.path, include.line, "library", f"<{include.name}> belongs in {' '.join(files)}")
                return
        self.fail(s.path, include.line, "library", f"<{include.name}> is in no table of tests/layers_test.py")

    def check_places(self, s):
        in_tests = layer_of(s.path) == "tests"
        for place in PLACES:
            if in_files(s.path, place.files) or (in_tests and place.tests):
                continue
            if s.kind == "python" and place.rule != "sleep":
                continue
            for match in re.finditer(place.code, s.code):
                if place.rule == "clock" and is_definition(s.code, match):
                    continue
                where = " ".join(place.files) or "no file"
                self.fail(s.path, s.line_at(match.start()), place.rule, f"'{match[0].strip()}' may stand in {where}")

    def check_once(self):
        for place in PLACES:
            users = [s for s in self.sources.values() if in_files(s.path, place.files) and re.search(place.code, s.code)]
            for s in users[place.most or len(users) :]:
                self.fail(s.path, 1, place.rule, f"may stand in {place.most} file only, and stands in {users[0].path}")

    def check_text(self, s):
        for match in re.finditer(MARKER, s.text):
            self.fail(s.path, s.line_at(match.start()), "marker", f"'{match[0]}': do it, or open an issue")
        for match in re.finditer(SWITCHED_OFF, s.code, re.MULTILINE):
            self.fail(s.path, s.line_at(match.start()), "disabled", f"'{match[0].strip()}': no test and no code is switched off")

    def check_test_names(self, s):
        for match in re.finditer(TEST_NAME, s.text):
            self.fail(s.path, s.line_at(match.start()), "test-name", "no semicolon and no bracket in the name of a test: ctest would split it")

    def check_size(self, s):
        head = "\n".join(s.text.splitlines()[:30])
        if s.lines > FILE_MAX:
            self.fail(s.path, s.lines, "file-size", f"{s.lines} lines; {FILE_MAX} is the most")
        elif s.lines > FILE_EXPLAIN and "Long because" not in head:
            self.fail(s.path, s.lines, "file-size", f'{s.lines} lines, and no "Long because" in the first 30 says why')
        if s.kind not in ("c++", "python"):
            return
        try:
            functions = s.functions()
        except ValueError as error:
            self.fail(s.path, 1, "braces", f"functions cannot be measured: {error}")
            return
        for function in functions:
            if function.length > FUNCTION_MAX:
                message = f"{function.name} has {function.length} lines; {FUNCTION_MAX} is the most"
                self.fail(s.path, function.line, "function-size", message)
            elif function.length > FUNCTION_REPORT:
                self.reports.append(f"{s.path}:{function.line}: {function.name} has {function.length} lines")

    def check_cycles(self):
        includes = defaultdict(list)
        for s in self.sources.values():
            if s.kind == "c++":
                includes[s.path] = [i.name for i in s.includes() if i.name in self.sources]
        done, open_files = set(), []

        def visit(path):
            if path in open_files:
                chain = open_files[open_files.index(path) :] + [path]
                self.fail(path, 1, "cycle", "headers include each other: " + " -> ".join(chain))
            elif path not in done:
                open_files.append(path)
                for name in includes[path]:
                    visit(name)
                done.add(open_files.pop())

        for path in list(includes):
            visit(path)

    def check_suffixes(self):
        for suffix in ("cpp", "cxx", "hpp", "hh", "hxx"):
            for path in self.root.rglob(f"*.{suffix}"):
                name = path.relative_to(self.root).as_posix()
                if not name.startswith(("build/", ".")):
                    self.fail(name, 1, "folder", "C++ files are named .cc and .h")


def is_definition(code, match):
    """Whether `Type::now(` is the definition of a member function, not a call."""
    line = code[code.rfind("\n", 0, match.start()) + 1 :].split("\n", 1)[0]
    return re.match(r"[\w:<>&*]+\s+\w+::now\(\)\s*(const\s*)?(noexcept\s*)?\{", line) is not None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", default=ROOT)
    parser.add_argument("--self-test", action="store_true")
    arguments = parser.parse_args()
    if arguments.self_test:
        from layers import planted

        return not unittest.TextTestRunner().run(planted.suite(Check, PLACES)).wasSuccessful()
    check = Check(arguments.root)
    for path, line, rule, message in check.violations:
        print(f"{path}:{line}: {rule}: {message}")
    for report in check.reports:
        print(f"report: {report}")
    print(f"layers: {len(check.sources)} files, {len(check.violations)} violations, {len(check.reports)} long functions")
    return bool(check.violations)


if __name__ == "__main__":
    sys.exit(main())
