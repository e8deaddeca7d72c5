"""The self-test of layers_test.py: every rule is shown to fail on a planted violation, and to let the legitimate pass."""

import tempfile
import unittest
from pathlib import Path

LINE = "int x;\n"

# A tree in which every rule has something to look at and nothing to object to.
CLEAN = {
    "base/time.h": '#pragma once\n#include <chrono>\nclass Wheel { long now(); };\nclass Other { bool final_time() const; };\n',
    "base/time.cc": '#include "base/time.h"\nlong Wheel::now() {\n  return 1\'000;\n}\n// uv_run, rand() and getenv in a comment\n',
    "base/address.cc": "#include <netinet/in.h>\n#include <sys/un.h>\n",
    "lb/balancer.h": '#pragma once\n#include <string>\n#include "base/time.h"\nstruct Settings {};\n',
    "lb/hash.cc": '#include <xxhash.h>\n#include "lb/balancer.h"\nauto h = XXH3_64bits("", 0);\n',
    "config/config.h": '#pragma once\n#include "lb/balancer.h"\n',
    "config/parse.cc": '#include <toml.hpp>\n#include "config/config.h"\nauto t = toml::parse(getenv("X"));\n',
    "proxy/net/loop.cc": '#include <uv.h>\nauto t = std::chrono::steady_clock::now();\nauto r = std::random_device{}();\nauto u = uv_run;\n',
    "proxy/net/resolver.cc": "#include <ares.h>\nauto a = ares_init;\n",
    "proxy/net/tls.cc": "#include <openssl/ssl.h>\nSSL* s = SSL_new(nullptr);\n",
    "proxy/http/h1_parser.cc": "#include <llhttp.h>\nllhttp_t parser;\n",
    "proxy/http/h2_codec.cc": "#include <nghttp2/nghttp2.h>\nnghttp2_session* session;\n",
    "proxy/metrics.cc": "#include <prometheus/registry.h>\nprometheus::Registry r;\n",
    "proxy/router.cc": '#include <re2/re2.h>\n#include "config/config.h"\n#include "proxy/http/message.h"\nRE2 re("");\n',
    "proxy/http/message.h": '#pragma once\n#include "base/time.h"\n',
    "proxy/admin_pages.cc": "#include <nlohmann/json.hpp>\nnlohmann::json j;\n",
    "proxy/command_line.cc": "#include <CLI/CLI.hpp>\n",
    "proxy/main.cc": '#include <signal.h>\nstd::shared_ptr<const int> a;\nstd::shared_ptr<int const> b;\n',
    "proxy/text.cc": 'const char* text = "SSL_new uv_run llhttp_t rand() sleep_' 'for(";\nauto raw = R"x(#include "nowhere.h" " })x";\nchar quote = \'"\';\n',
    "tests/lb/hash_test.cc": '#include <doctest/doctest.h>\n#include <uv.h>\n#include "lb/balancer.h"\nTEST_CASE("is there for now") { uv_run; }\nTEST_SUITE("s") {\n'
    + "void f() {}\n" * 101
    + "}\n",
    "tests/e2e/x_test.py": '"""Never calls time.sl' 'eep(1)."""\nimport time\n\nnow = time.monotonic()\n',
    "scripts/run": "#!/bin/sh\nexit 0\n",
}

# (rule, path, content): with this file added or replaced, the clean tree violates exactly this rule.
PLANTED = [
    ("direction", "base/a.cc", '#include "lb/balancer.h"\n'),
    ("direction", "lb/a.cc", '#include "config/config.h"\n'),
    ("direction", "breaker/a.cc", '#include "lb/balancer.h"\n'),
    ("direction", "health/a.cc", '#include "proxy/http/message.h"\n'),
    ("direction", "discovery/a.cc", '#include "config/config.h"\n'),
    ("direction", "config/a.cc", '#include "proxy/http/message.h"\n'),
    ("direction", "config/a.cc", '#include "lb/hash.cc"\n'),
    ("direction", "proxy/net/a.cc", '#include "proxy/http/message.h"\n'),
    ("direction", "proxy/net/a.cc", '#include "lb/balancer.h"\n'),
    ("direction", "proxy/http/a.cc", '#include "config/config.h"\n'),
    ("direction", "proxy/a.cc", '#include "tests/lb/hash_test.cc"\n'),
    ("rooted", "lb/a.cc", '#include "balancer.h"\n'),
    ("rooted", "lb/a.cc", '#include "../base/time.h"\n'),
    ("rooted", "lb/a.cc", "#include <base/time.h>\n"),
    ("cycle", "base/time.h", '#pragma once\n#include "base/time.h"\n'),
    ("folder", "extra/a.cc", LINE),
    ("folder", "base/a.cpp", LINE),
    ("pragma-once", "base/a.h", LINE),
    ("library", "base/a.cc", "#include <uv.h>\n"),
    ("library", "proxy/a.cc", "#include <uv.h>\n"),
    ("library", "proxy/http/a.cc", "#include <openssl/ssl.h>\n"),
    ("library", "proxy/http/a.cc", "#include <llhttp.h>\n"),
    ("library", "proxy/http/h1_parser.h", "#pragma once\n#include <llhttp.h>\n"),
    ("library", "proxy/http/a.cc", "#include <sys/socket.h>\n"),
    ("library", "proxy/http/a.cc", "#include <nghttp2/nghttp2.h>\n"),
    ("library", "proxy/net/a.cc", "#include <ares.h>\n"),
    ("library", "config/a.cc", "#include <toml.hpp>\n"),
    ("library", "config/a.cc", "#include <unistd.h>\n"),
    ("library", "proxy/a.cc", "#include <prometheus/registry.h>\n"),
    ("library", "proxy/a.cc", "#include <re2/re2.h>\n"),
    ("library", "proxy/a.cc", "#include <nlohmann/json.hpp>\n"),
    ("library", "proxy/a.cc", "#include <CLI/CLI.hpp>\n"),
    ("library", "base/a.cc", "#include <xxhash.h>\n"),
    ("library", "lb/a.cc", "#include <fmt/format.h>\n"),
    ("library", "proxy/a.cc", "#include <zlib.h>\n"),
    ("clock", "lb/a.cc", "auto t = std::chrono::steady_clock::now();\n"),
    ("clock", "base/log.cc", "using Clock = std::chrono::system_clock;\nauto t = Clock::now();\n"),
    ("clock", "proxy/a.cc", "long f() { return time(nullptr); }\n"),
    ("clock", "proxy/net/a.cc", "auto t = uv_hrtime();\n"),
    ("clock", "tests/lb/a_test.cc", "auto t = std::chrono::steady_clock::now();\n"),
    ("sleep", "proxy/a.cc", "void f() { std::this_thread::sleep_" "for(1s); }\n"),
    ("sleep", "tests/lb/a_test.cc", "void f() { usl" "eep(10); }\n"),
    ("sleep", "tests/e2e/a_test.py", "import time\n\ntime.sl" "eep(1)\n"),
    ("random", "lb/a.cc", "int x = rand();\n"),
    ("random", "tests/lb/a_test.cc", "std::random_device d;\n"),
    ("uv", "proxy/a.cc", "void f() { uv_run(nullptr, UV_RUN_DEFAULT); }\n"),
    ("tls", "proxy/a.cc", "void f(void* p) { SSL_free(p); }\n"),
    ("tls", "discovery/swim/keyring.cc", "void f(void* p) { SSL_free(p); }\n"),
    ("crypto", "discovery/swim/a.cc", "void f(void* p) { EVP_CIPHER_CTX_free(p); }\n"),
    ("direction", "discovery/swim/a.cc", '#include "lb/balancer.h"\n'),
    ("library", "discovery/swim/keyring.cc", "#include <openssl/ssl.h>\n"),
    ("library", "discovery/swim/a.cc", "#include <openssl/evp.h>\n"),
    ("library", "discovery/a.cc", "#include <zlib.h>\n"),
    ("c-ares", "proxy/net/a.cc", "auto a = ares_init;\n"),
    ("llhttp", "proxy/http/a.cc", "int e = HPE_OK;\n"),
    ("nghttp2", "proxy/http/a.cc", "nghttp2_session* s;\n"),
    ("toml11", "config/a.cc", "toml::value v;\n"),
    ("prometheus", "proxy/a.cc", "prometheus::Registry r;\n"),
    ("re2", "proxy/a.cc", 'RE2 r("");\n'),
    ("nlohmann", "proxy/a.cc", "nlohmann::json j;\n"),
    ("xxhash", "base/a.cc", 'auto h = XXH3_64bits("", 0);\n'),
    ("xxhash", "lb/more.cc", 'auto h = XXH3_64bits("", 0);\n'),
    ("environment", "proxy/a.cc", 'auto v = std::getenv("HOME");\n'),
    ("shared-ptr", "proxy/a.cc", "std::shared_ptr<int> p;\n"),
    ("shared-ptr", "proxy/a.cc", "auto p = std::make_shared<int>(1);\n"),
    ("shared-ptr", "proxy/a.cc", "class A : std::enable_shared_from_this<A> {};\n"),
    ("marker", "proxy/a.cc", "// TO" "DO: later\n"),
    ("marker", "tests/lb/a_test.cc", "// FIX" "ME\n"),
    ("marker", "scripts/a", "#!/bin/sh\n# good enough for" " now\n"),
    ("marker", "CMakeLists.txt", "# HA" "CK\n"),
    ("disabled", "tests/lb/a_test.cc", 'TEST_CASE("x" * doctest::' "skip()) {}\n"),
    ("disabled", "tests/e2e/a_test.py", "import unittest\n\n\n@unittest." "skip\ndef f():\n    pass\n"),
    ("disabled", "tests/CMakeLists.txt", "set_tests_properties(a PROPERTIES DIS" "ABLED TRUE)\n"),
    ("disabled", "proxy/a.cc", "#if " "0\n#endif\n"),
    ("test-name", "tests/lb/a_test.cc", 'TEST_CASE("one; two") {}\n'),
    ("test-name", "tests/lb/a_test.cc", 'TEST_CASE("in [0, 1)") {}\n'),
    ("file-size", "proxy/a.cc", LINE * 401),
    ("file-size", "proxy/a.cc", "// Long because of this.\n" + LINE * 600),
    ("file-size", "tests/e2e/a_test.py", "x = 1\n" * 601),
    ("function-size", "proxy/a.cc", "void f() {\n" + "  g();\n" * 99 + "}\n"),
    ("function-size", "proxy/a.cc", "A::A(int x) : a_{x}, b_(2) {\n" + "  g();\n" * 99 + "}\n"),
    ("function-size", "proxy/a.cc", "class A {\n public:\n  int f() const {\n" + "    g();\n" * 99 + "  }\n};\n"),
    ("function-size", "tests/lb/a_test.cc", 'TEST_CASE("long") {\n' + "  g();\n" * 99 + "}\n"),
    ("function-size", "tests/lb/a_test.cc", 'TEST_SUITE("s") {\nTEST_CASE("long") {\n' + "  g();\n" * 99 + "}\n}\n"),
    ("function-size", "tests/e2e/a_test.py", "def f():\n" + "    pass\n" * 100),
    ("braces", "proxy/a.cc", "void f() {\n"),
]


def violations(check, files):
    with tempfile.TemporaryDirectory() as root:
        for path, content in files.items():
            file = Path(root, path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content, encoding="utf-8")
        found = check(root)
    return found.violations, found.reports


def suite(check, places):
    class SelfTest(unittest.TestCase):
        def test_a_clean_tree_passes(self):
            self.assertEqual(violations(check, CLEAN), ([], []))

        def test_every_planted_violation_is_found_and_nothing_else(self):
            for rule, path, content in PLANTED:
                with self.subTest(rule=rule, path=path, content=content[:60]):
                    found, _ = violations(check, CLEAN | {path: content})
                    self.assertEqual({(violation[2], violation[0]) for violation in found}, {(rule, path)})

        def test_every_rule_has_a_planted_violation(self):
            planted = {rule for rule, _, _ in PLANTED}
            self.assertLessEqual({place.rule for place in places}, planted)

        def test_a_long_file_may_explain_itself(self):
            files = CLEAN | {"proxy/a.cc": "// Long because of this.\n" + LINE * 500}
            self.assertEqual(violations(check, files), ([], []))

        def test_a_function_above_the_budget_is_reported(self):
            _, reports = violations(check, CLEAN | {"proxy/a.cc": "void f() {\n" + "  g();\n" * 70 + "}\n"})
            self.assertEqual(reports, ["proxy/a.cc:1: f has 72 lines"])

    return unittest.defaultTestLoader.loadTestsFromTestCase(SelfTest)
