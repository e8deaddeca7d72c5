#include "config/memo.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "config/pieces.h"
#include "tests/config/fixture.h"

using namespace remora::config;
using namespace remora::config::fixture;

namespace {

const std::string kFront = kListener + kRoute;

std::string cluster_named(const std::string& name, const std::string& lines = "") {
  return "[[cluster]]\nname = \"" + name + "\"\nendpoints = [\"10.0.0.1:80\"]\n" + lines;
}

// A memo that has loaded a file, whose environment and files may change.
struct Remembering {
  std::expected<Config, Problems> load(const std::string& text) {
    const auto variable = [this](const std::string& name) {
      return name == "WEIGHT" ? std::optional(weight) : std::nullopt;
    };
    const Hooks hooks{.check_regex = {},
                      .cores = [] { return 3U; },
                      .check_cluster_tls =
                          [this](const ClusterTls&) {
                            ++looked_at_files;
                            return broken_files ? std::optional<std::string>("broken") : std::nullopt;
                          }};
    const auto whole = load_text(text, "t", variable, hooks);
    looked_at_files = 0;
    auto loaded = memo.load(text, "t", variable, hooks);
    REQUIRE(loaded.has_value() == whole.has_value());
    CHECK(printed(loaded) == printed(whole));
    if (whole) CHECK(*loaded == *whole);
    return loaded;
  }

  Memo memo;
  std::string weight = "1";
  bool broken_files = false;
  int looked_at_files = 0;
};

}  // namespace

TEST_SUITE("memo") {
  TEST_CASE("only the cluster that has changed is read anew, and the others are shared") {
    Remembering r;
    const auto before = r.load(kFront + cluster_named("app") + cluster_named("b") + cluster_named("c"));
    REQUIRE(before);
    CHECK(r.memo.recalled() == 0);
    const auto after = r.load(kFront + cluster_named("app") + cluster_named("b", "slow_start = \"1s\"\n") +
                              cluster_named("c"));
    REQUIRE(after);
    CHECK(r.memo.recalled() == 2);
    CHECK(after->clusters[0].endpoints.is(before->clusters[0].endpoints));
    CHECK_FALSE(after->clusters[1].endpoints.is(before->clusters[1].endpoints));
    CHECK(after->clusters[2].endpoints.is(before->clusters[2].endpoints));
  }

  TEST_CASE("clusters are found again wherever they stand") {
    Remembering r;
    REQUIRE(
        r.load(kFront + cluster_named("app") + cluster_named("b") + cluster_named("c") + cluster_named("d")));
    REQUIRE(r.load(cluster_named("d") + cluster_named("new") + kFront + cluster_named("c") +
                   cluster_named("app")));
    CHECK(r.memo.recalled() == 3);
    REQUIRE(r.load("[log]\nlevel = \"warn\"\n" + kFront + cluster_named("app") + cluster_named("d")));
    CHECK(r.memo.recalled() == 2);
  }

  TEST_CASE("a fallback goes to the cluster of its name, whose place may be another") {
    Remembering r;
    const std::string app = cluster_named("app", "[cluster.breaker.fallback]\ncluster = \"spare\"\n");
    const auto before = r.load(kFront + app + cluster_named("b") + cluster_named("spare"));
    REQUIRE(before);
    CHECK(before->clusters[0].fallback == Fallback(WeightedCluster{2, 1}));
    const auto after = r.load(kFront + cluster_named("spare") + app);
    REQUIRE(after);
    CHECK(r.memo.recalled() == 2);
    CHECK(after->clusters[1].fallback == Fallback(WeightedCluster{0, 1}));
    CHECK_FALSE(r.load(kFront + app));
  }

  TEST_CASE("what depends on the environment is read anew") {
    Remembering r;
    const std::string text =
        kFront +
        "[[cluster]]\nname = \"app\"\nendpoints = [{ address = \"10.0.0.1:80\", weight = \"${WEIGHT}\" }]\n" +
        cluster_named("b");
    REQUIRE(r.load(text));
    r.weight = "7";
    const auto after = r.load(text);
    REQUIRE(after);
    CHECK(r.memo.recalled() == 1);
    CHECK(after->clusters[0].endpoints[0].weight == 7);
    r.weight = "many";
    CHECK_FALSE(r.load(text));
  }

  TEST_CASE("the files of a cluster's TLS are looked at every time") {
    Remembering r;
    const std::string text = kFront + cluster_named("app", "[cluster.tls]\nca = \"ca.crt\"\n");
    REQUIRE(r.load(text));
    REQUIRE(r.load(text));
    CHECK(r.memo.recalled() == 1);
    CHECK(r.looked_at_files == 1);
    r.broken_files = true;
    CHECK_FALSE(r.load(text));
    r.broken_files = false;
    REQUIRE(r.load(text));
    CHECK(r.memo.recalled() == 1);
  }

  TEST_CASE("a cluster that looks in the mesh needs one, however often it was read before") {
    Remembering r;
    const std::string looking = "[[cluster]]\nname = \"app\"\ndiscover = { swim = \"app\" }\n";
    REQUIRE(r.load(kFront + "[mesh]\n" + looking));
    CHECK_FALSE(r.load(kFront + looking));
  }

  TEST_CASE("two clusters that are written alike are two with one name") {
    Remembering r;
    REQUIRE(r.load(kFront + cluster_named("app") + cluster_named("b")));
    CHECK_FALSE(r.load(kFront + cluster_named("app") + cluster_named("b") + cluster_named("b")));
  }

  TEST_CASE("what is written in every cluster is kept once") {
    Remembering r;
    const std::string checked = "[cluster.health_check]\npath = \"/well\"\n";
    const auto config = r.load(kFront + cluster_named("app", checked) + cluster_named("b", checked));
    REQUIRE(config);
    CHECK(&*config->clusters[0].health_check == &*config->clusters[1].health_check);
  }

  TEST_CASE("headers are where lines begin, outside of strings and lists") {
    const auto pieces = cut(R"(# [[cluster]]
top = """
[[cluster]]
"""
list = [ # [
[["]", '['
]]
]
  [[cluster]] # first
name = "a#[" # ]
text = '''
[listener]
'''
[cluster.limits]
[[cluster.odd]]
[[listener]]
[listener.tls]
[[cluster]]
)");
    REQUIRE(pieces.clusters.size() == 2);
    CHECK(pieces.clusters[0].starts_with("  [[cluster]] # first\n"));
    CHECK(pieces.clusters[0].ends_with("[cluster.limits]\n[[cluster.odd]]\n"));
    CHECK(pieces.clusters[1] == "[[cluster]]\n");
    CHECK(pieces.rest.starts_with("# [[cluster]]\ntop"));
    CHECK(pieces.rest.ends_with("]\n[[listener]]\n[listener.tls]\n"));
  }

  TEST_CASE("other ways of writing a cluster mean the same") {
    const std::string parts = "name = \"b\"\nendpoints = [\"10.0.0.1:80\"]\n";
    for (const std::string header : {"[[ cluster ]]\n", "[[\"cluster\"]]\n", "[['cluster']]\n"}) {
      CAPTURE(header);
      CHECK(load(kFront + kCluster + header + parts));
      CHECK(load(kFront + header + parts + kCluster));
      CHECK(load(kFront + kCluster + header + parts + "[cluster.limits]\nrequests = 5\n"));
    }
    CHECK(load("cluster = [{ name = \"app\", endpoints = [\"10.0.0.1:80\"] }]\n" + kFront));
    CHECK_FALSE(load("cluster = [{ name = \"app\", endpoints = [\"10.0.0.1:80\"] }]\n" + kFront + kCluster));
    CHECK_FALSE(load("cluster.name = \"app\"\n" + kFront + kCluster));
    CHECK_FALSE(load(kFront + kCluster + "[cluster]\n"));
    CHECK_FALSE(load(kFront + kCluster + "[runtime]\n[cluster.limits]\nrequests = x\n"));
    CHECK(load(kFront + kCluster + "[runtime]\n[cluster.limits]\nrequests = 5\n"));
    CHECK_FALSE(load(kFront + kCluster + "[cluster.limits]\n[cluster.limits]\n"));
    CHECK_FALSE(load("text = \"\"\"\n" + kFront + kCluster));
    CHECK_FALSE(load(kFront + "[[cluster]]\nname = \"app\nendpoints = [\n" + kCluster));
  }

  TEST_CASE("files of the fuzzer's corpus are the same in pieces") {
    std::size_t files = 0;
    for (const auto& entry :
         std::filesystem::directory_iterator(REMORA_SOURCE_DIR "/tests/fuzz/corpus/config")) {
      CAPTURE(entry.path().string());
      std::ifstream file(entry.path(), std::ios::binary);
      static_cast<void>(load(std::string(std::istreambuf_iterator<char>(file), {})));
      ++files;
    }
    CHECK(files > 10);
  }

  TEST_CASE("whatever is cut out of a file, it is the same in pieces") {
    std::ifstream file(REMORA_SOURCE_DIR "/tests/fuzz/corpus/config/everything.toml", std::ios::binary);
    const std::string text(std::istreambuf_iterator<char>(file), {});
    REQUIRE(text.find("[[cluster]]") != std::string::npos);
    for (std::size_t at = 0; at < text.size(); at += 13) {
      CAPTURE(at);
      static_cast<void>(load(text.substr(0, at)));
      static_cast<void>(load(text.substr(at)));
      static_cast<void>(load(text.substr(0, at) + text.substr(at + 1)));
    }
  }
}
