// Files that are no configuration: too large, too deep, not text, broken in every way. Refused with a reason,
// in bounded time, never with a crash.
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/random.h"
#include "config/scan.h"
#include "tests/config/fixture.h"

using namespace remora;
using namespace remora::config;
using namespace remora::config::fixture;

namespace {

// A folder that goes away with the test.
class Folder final {
 public:
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "remora-config-XXXXXX").string();
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { std::filesystem::remove_all(path_); }

  std::string file(const std::string& name, const std::string& content) const {
    std::ofstream(path_ / name, std::ios::binary) << content;
    return path(name);
  }
  std::string path(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

std::string message(const std::string& path) {
  const auto config = load_file(path);
  return config ? "" : config.error().front().to_string().substr(path.size());
}

std::string repeated(const std::string& text, std::size_t times) {
  std::string out;
  for (std::size_t i = 0; i < times; ++i) out += text;
  return out;
}

// Either a configuration, or reasons that can be printed. True: a configuration.
bool sane(const std::string& text) {
  const auto config = load(text);
  if (config) return true;
  REQUIRE_FALSE(config.error().empty());
  CHECK(std::ranges::is_sorted(config.error(), {}, &Problem::line));
  for (const auto& problem : config.error()) {
    CHECK_FALSE(problem.message.empty());
    const auto line = problem.to_string();
    CHECK(std::ranges::none_of(line, [](unsigned char c) { return c < 0x20 || c == 0x7f; }));
  }
  return false;
}

const std::string kValid = R"([runtime]
workers = 2
[[listener]]
name = "in"
address = "127.0.0.1:80"
trusted = ["10.0.0.0/8", "::1"]
timeouts = { header = "3s", body_idle = "20s" }
rate_limit = { requests = 100, per = "1m", key = { header = "X-Api-Key" }, keys = 64 }
[[listener.route]]
prefix = "/api"
methods = ["GET", "PUT"]
headers = { "X-Canary" = "yes" }
clusters = [{ name = "app", weight = 9 }, { name = "other" }]
request_headers = { set = { Host = "a" }, remove = ["X"] }
hash = { cookie = "session" }
retry = { attempts = 3, on = ["reset", "5xx"], hedge = { percentile = 0.95 } }
[[listener.route]]
respond = { status = 503, body = """two
lines""" }
[[cluster]]
name = "app"
balance = "maglev"
endpoints = ["127.0.0.1:3000", { address = "b:80", weight = 2 }]
breaker = { open_for = "1s", failures = ["5xx", "429"], fallback = { cluster = "other" } }
[[cluster]]
name = "other"
endpoints = ["c:80"]
health_check = { path = "/healthz", expect = ["200-299"], interval = "2s" }
outlier = { keep_at_least = 2 }
limits = { requests = 10, per_endpoint = { connections = 5 } }
)";

}  // namespace

TEST_CASE("names of the file's own that a message repeats cannot reach the terminal as they are") {
  const auto odd = [](const std::string& name) {
    return kListener + kRoute + "[[cluster]]\nname = \"" + name + "\"\nendpoints = [\"a:1\"]\n";
  };
  CHECK(problems(odd("x y\\t\\u001b[31m")).find("the clusters are \"x y\\x09\\x1b[31m\"") !=
        std::string::npos);
  sane(odd("\\n"));
  sane(odd("ap\\u007f"));
}

TEST_CASE("strings are made literal only where that says the same") {
  struct Case {
    std::string_view text;
    std::string_view literal;  // empty: as it is
  };
  for (const auto& [text, literal] : {
           Case{R"(a = "b")", R"(a = 'b')"},
           Case{R"(a = "")", R"(a = '')"},
           Case{R"("a b" = ["c", "d # e", "f=g"])", R"('a b' = ['c', 'd # e', 'f=g'])"},
           Case{"a = \"b\" # \"c\"\nd = \"e\"", "a = 'b' # \"c\"\nd = 'e'"},
           Case{R"(a = "it's")", ""},
           Case{R"(a = "b\tc")", ""},
           Case{R"(a = "b\"c")", ""},
           Case{R"(a = "b\\")", ""},
           Case{R"(a = 'b"c"d')", ""},
           Case{"a = \"\"\"b \"c\" d\"\"\"", ""},
           Case{"a = \"\"\"\nb \"c\"\n\"\"\"\"\"\nd = \"e\"", "a = \"\"\"\nb \"c\"\n\"\"\"\"\"\nd = 'e'"},
           Case{"a = '''\"b\"\n\"c\"'''", ""},
           Case{"a = \"b\nc = \"d\"", "a = \"b\nc = 'd'"},
           Case{"a = \"", ""},
           Case{"a = \"b\\", ""},
           Case{"\"", ""},
           Case{"", ""},
       }) {
    CAPTURE(text);
    CHECK(with_literal_strings(text) == (literal.empty() ? text : literal));
  }
}

TEST_CASE("files that cannot be read are refused in words") {
  const Folder folder;
  CHECK(message(folder.path("missing")) == ": there is no such file, give the path of a TOML file");
  CHECK(message(folder.path("")) == ": this is a directory, give the path of a TOML file");
  REQUIRE(mkfifo(folder.path("fifo").c_str(), 0600) == 0);
  CHECK(message(folder.path("fifo")) == ": this is not a regular file, give the path of a TOML file");
  CHECK(message(folder.file("empty", "")) ==
        ": listener: there is none, add [[listener]] with address = \"0.0.0.0:8080\" and a route");
  CHECK(message(folder.file("large", std::string(kMostBytes + 1, '\n'))) ==
        ": file is larger than 16777216 bytes, is this the right file?");
  CHECK(message(folder.file("binary", std::string("\x7f"
                                                  "ELF\x02\x01\0\0",
                                                  8))) ==
        ":1: control character 0x7f is not allowed here, remove it");
}

TEST_CASE("a file is read with the process's environment") {
  const Folder folder;
  REQUIRE(setenv("REMORA_TEST_PORT", "3007", 1) == 0);
  const auto file =
      folder.file("a.toml", cluster("name = \"app\"\nendpoints = [\"127.0.0.1:${REMORA_TEST_PORT}\"]"));
  const auto config = load_file(file);
  REQUIRE(config.has_value());
  CHECK(config->clusters[0].endpoints[0].name == "127.0.0.1:3007");
  CHECK(config->file == file);
}

TEST_CASE("a file without read permission is refused") {
  if (geteuid() == 0) return;  // root may read everything
  const Folder folder;
  const auto file = folder.file("secret", kValid);
  std::filesystem::permissions(file, std::filesystem::perms::none);
  CHECK(message(file) == ": cannot be read, check its permissions");
}

TEST_CASE("bytes that are no text are refused with their line") {
  const std::vector<std::pair<std::string, std::string>> rows{
      {std::string("a = 1\n\0b", 8), "2: a NUL byte is no text, is this a TOML file?"},
      {"\n\n# \xff\n", "3: byte 0xff is not UTF-8, save the file as UTF-8"},
      {"# \xc0\x80", "1: byte 0xc0 is not UTF-8, save the file as UTF-8"},
      {"# \xed\xa0\x80", "1: byte 0xed is not UTF-8, save the file as UTF-8"},
      {"# \xf4\x90\x80\x80", "1: byte 0xf4 is not UTF-8, save the file as UTF-8"},
      {"# \xe2\x82", "1: byte 0xe2 is not UTF-8, save the file as UTF-8"},
      {"a = 1\rb = 2", "1: control character 0x0d is not allowed here, remove it"},
      {"a = \"\x1b[31m\"", "1: control character 0x1b is not allowed here, remove it"},
      {"\n#" + std::string(kMostLineBytes, 'x'), "2: line is longer than 16384 bytes, break it into several"},
  };
  for (const auto& [text, expected] : rows) {
    CAPTURE(expected);
    CHECK(problems(text) == expected);
  }
}

TEST_CASE("a byte order mark and line ends of two bytes are fine") {
  CHECK(problems("\xef\xbb\xbf" + top("")) == "");
  std::string text;
  for (const char c : top("[runtime]\nworkers = 0"))
    text += c == '\n' ? std::string("\r\n") : std::string(1, c);
  CHECK(problems(text) == "2: runtime.workers: 0 is out of range, write a whole number from 1 to 256");
  CHECK(problems(whole(kListener + kRoute + "[[cluster]]\nname = \"app\"\nendpoints = [\"a:1\"]")) == "");
}

TEST_CASE("nesting that would exhaust the stack is refused before the parser sees it") {
  const std::string expected = ": nested deeper than 32 levels, flatten it";
  CHECK(problems("a = " + repeated("[", 10000) + repeated("]", 5000)) == "1" + expected);
  CHECK(problems("a = " + repeated("{a=", 5000)) == "1" + expected);
  CHECK(problems("a = " + repeated("[\n", 100000)) == "33" + expected);
  CHECK(problems(repeated("a.", 8000) + "a = 1") == "1" + expected);
  CHECK(problems(repeated("\"a\".", 4000) + "a = 1") == "1" + expected);
  CHECK(problems("[" + repeated("a . ", 4000) + "a]") == "1" + expected);
  CHECK(problems("a = [\"\"\"x\"\"\"\", " + repeated("[", 10000)) == "1" + expected);
  CHECK(problems("a = '''x''''' # \nb = " + repeated("[", 10000)) == "2" + expected);
  sane("a = " + repeated("[", 30) + repeated("]", 30));
}

TEST_CASE("brackets and dots in strings and comments are not nesting") {
  const std::string many = repeated("[{", 100) + repeated(".", 100);
  CHECK(problems(top("# " + many + "\n[runtime]\nzone = \"" + repeated("[", 100) + "\"")) == "");
  CHECK(problems(top("[runtime]\nzone = '" + repeated("{", 100) + "' # " + many)) == "");
  CHECK(problems(route("[listener.route.respond]\nbody = \"\"\"" + many + "\n\\\"" + many + "\"\"\"\"")) ==
        "");
}

TEST_CASE("large files of any shape are read in bounded time") {
  const std::vector<std::string> files{
      repeated("#\n", 200000),
      top("") + repeated("[[cluster]]\nname = \"a\"\n", 8000),
      kListener + repeated("[[listener.route]]\nprefix = \"/a\"\ncluster = \"appp\"\n", 2000) + kCluster,
      route("cluster = \"app\"\n[listener.route.request_headers.set]\n" + repeated("\n", 100000)),
      "a = [\n" + repeated("1,\n", 80000) + "]",
      "a = {" + repeated("b=1,", 4000) + "}",
  };
  for (const auto& file : files) sane(file);
}

TEST_CASE("a listener takes only so many routes") {
  const auto routes = repeated("[[listener.route]]\ncluster = \"app\"\n", 10001);
  CHECK(problems(kListener + routes + kCluster) ==
        "20003: listener#1.route#10001: there are 10001 routes, a listener takes at most 10000");
}

TEST_CASE("random bytes are refused, not crashed on") {
  Random random(1);
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    const auto size = random.below(200);
    for (std::uint32_t i = 0; i < size; ++i) text += static_cast<char>(random.below(256));
    sane(text);
  }
}

TEST_CASE("random words of the language are refused or accepted, not crashed on") {
  static const std::vector<std::string> kWords{"[[listener]]\n",
                                               "[[listener.route]]\n",
                                               "[[cluster]]\n",
                                               "[runtime]\n",
                                               "[listener.timeouts]\n",
                                               "[cluster.breaker]\n",
                                               "[cluster.health_check]\n",
                                               "fallback = ",
                                               "failures = ",
                                               "retry = ",
                                               "rate_limit = ",
                                               "{ cluster = \"app\" }\n",
                                               "[\"5xx\", \"x\", 1]\n",
                                               "name = ",
                                               "address = ",
                                               "cluster = ",
                                               "endpoints = ",
                                               "clusters = ",
                                               "respond = ",
                                               "hash = ",
                                               "\"app\"\n",
                                               "\"127.0.0.1:80\"\n",
                                               "[\"a:1\"]\n",
                                               "{}\n",
                                               "{ header = \"x\" }\n",
                                               "[",
                                               "]",
                                               "{",
                                               "}",
                                               "\n",
                                               "\"\"\"",
                                               "'''",
                                               "\"${ONE}\"\n",
                                               "\"${\"\n",
                                               "1e999\n",
                                               "-0\n",
                                               "0x7f\n",
                                               "1979-05-27\n",
                                               ", ",
                                               "# x\n",
                                               "a.b.c = ",
                                               "\"\\u0000\"\n",
                                               "\"\\ud800\"\n",
                                               "inf\n"};
  Random random(2);
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    const auto count = random.below(25);
    for (std::uint32_t i = 0; i < count; ++i)
      text += kWords[random.below(static_cast<std::uint32_t>(kWords.size()))];
    sane(text);
  }
}

TEST_CASE("a valid file broken at 200 places is refused or still valid, each time with a reason") {
  CHECK(problems(kValid) == "");
  Random random(3);
  std::size_t refused = 0;
  const auto size = static_cast<std::uint32_t>(kValid.size());
  for (int round = 0; round < 200; ++round) {
    std::string text = kValid;
    const auto at = random.below(size);
    switch (random.below(4)) {
      case 0: text.erase(at, 1 + random.below(10)); break;
      case 1: text.insert(at, 1, static_cast<char>(random.below(256))); break;
      case 2: text[at] = static_cast<char>(random.below(256)); break;
      default: {
        const auto from = random.below(size);
        text.insert(at, text.substr(from, random.below(30)));
      }
    }
    CAPTURE(text);
    refused += sane(text) ? 0 : 1;
  }
  CHECK(refused > 150);
}

TEST_CASE("a valid file cut off anywhere is refused or still valid") {
  for (std::size_t length = 0; length < kValid.size(); ++length) sane(kValid.substr(0, length));
}
