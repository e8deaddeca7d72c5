#include "proxy/reloader.h"

#include <doctest/doctest.h>

#include <semaphore>

#include "tests/proxy/net/net_world.h"

using namespace remora;
using namespace remora::testing;
using proxy::Reloader;
using proxy::ReloadReport;

namespace {

// A reloader whose file takes as long to read as the test wants, and is wrong.
struct Fixture {
  Reloader::Ways ways() {
    return {.load = [this]() -> std::expected<config::Config, config::Problems> {
              reading.release();
              if (!go_on.try_acquire_for(30s)) stuck = true;
              return std::unexpected(config::Problems{});
            },
            .running = [this] { return snapshot; },
            .refusal = [this] { return refusal; },
            .read_tls = {},
            .check_address = {},
            .commit = {},
            .busy = [this](bool now) { busy = now; },
            .tell = [](const ReloadReport&) {},
            .started = snapshot->config.get()};
  }

  // A reload has come to the reading of the file.
  void begin() {
    world.loop().event(
        [this] { reloader.reload("test", [this](const ReloadReport& report) { result = report.result; }); });
    reading.acquire();
    CHECK(busy);
  }

  bool end() {
    return world.run_until([this] { return result.has_value(); });
  }

  std::binary_semaphore reading{0};
  std::binary_semaphore go_on{0};
  std::atomic<bool> stuck = false;
  std::string refusal;
  bool busy = false;
  std::optional<ReloadReport::Result> result;
  std::shared_ptr<const proxy::Snapshot> snapshot = [] {
    auto running = std::make_shared<proxy::Snapshot>();
    running->config = std::make_shared<const config::Config>();
    return running;
  }();
  TcpWorld world;
  net::Resolver resolver{world.loop(), {}};
  Random random{1};
  proxy::EndpointSources sources{
      world.loop(), random, resolver, {.changed = [] {}, .tell = [](const proxy::Event&) {}, .in_mesh = {}}};
  std::vector<std::unique_ptr<proxy::WorkerThread>> workers;
  Reloader reloader{world.loop(), sources, workers, ways()};
};

}  // namespace

TEST_SUITE("reloader") {
  TEST_CASE("the loop turns while the file is read") {
    Fixture f;
    f.begin();
    bool turned = false;
    f.world.loop().post([&] {
      turned = true;
      f.go_on.release();
    });
    REQUIRE(f.end());
    CHECK(turned);
    CHECK_FALSE(f.stuck);
    CHECK_FALSE(f.busy);
    CHECK(f.result == ReloadReport::Result::kRejected);
  }

  TEST_CASE("what forbids a reload may begin while the file is read") {
    Fixture f;
    f.begin();
    f.refusal = "draining";
    f.go_on.release();
    REQUIRE(f.end());
    CHECK(f.result == ReloadReport::Result::kRefused);
    CHECK_FALSE(f.busy);
    CHECK(f.reloader.status().rejected == 0);
  }
}
