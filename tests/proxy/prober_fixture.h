// A Prober in virtual time with backends that answer as they are told to, for its tests.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/log.h"
#include "proxy/prober.h"
#include "tests/support/raw_peer.h"
#include "tests/support/test_env.h"
#include "tests/support/worlds.h"

namespace remora::testing {

inline constexpr std::string_view kWell = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
inline constexpr std::string_view kUnwell = "HTTP/1.1 503 \r\nContent-Length: 0\r\n\r\n";

// A backend that counts what it is asked.
struct Backend {
  Backend(FakeNetwork& network, const Address& address) : server(network, address) {
    server.when_accepted = [this](RawPeer& peer) {
      peer.when_received = [this](RawPeer& asking) {
        if (!contains(asking.take(), "\r\n\r\n")) return;
        ++asked;
        if (!answer.empty()) asking.send(answer);
      };
    };
  }
  RawServer server;
  std::string answer{kWell};  // "": none
  std::size_t asked = 0;
};

struct ProberFixture : proxy::Prober::Listener {
  ProberFixture() : level(log_level()), prober(std::make_unique<proxy::Prober>(t.env, *this)) {
    set_log_level(LogLevel::kOff);
    settings.schedule.interval = 1s;
    settings.schedule.timeout = 500ms;
    settings.schedule.jitter = 0;
  }
  ProberFixture(const ProberFixture&) = delete;
  ProberFixture& operator=(const ProberFixture&) = delete;
  ~ProberFixture() { set_log_level(level); }

  void on_health(const proxy::Prober::Target& target, health::Checker::State state,
                 std::string_view reason) override {
    told.push_back(std::to_string(target.id) + " " + to_string(state));
    if (!reason.empty()) told.back() += ": " + std::string(reason);
    if (const auto call = std::exchange(when_told, nullptr)) call();
  }

  Backend& backend(std::string_view address) {
    auto& found = backends[std::string(address)];
    if (!found) found = std::make_unique<Backend>(t.network, *Address::parse(address));
    return *found;
  }
  // With the settings as they are now.
  proxy::Prober::Target target(std::size_t id, std::string_view address) const {
    proxy::Prober::Target target;
    target.id = id;
    target.cluster = "app";
    target.check = std::make_shared<const config::HealthCheck>(settings);
    target.endpoint.name = std::string(address);
    target.endpoint.address = *Address::parse(address);
    return target;
  }
  void watch(std::string_view address) {
    std::vector<proxy::Prober::Target> targets;
    targets.push_back(target(1, address));
    prober->set_targets(std::move(targets));
  }
  // What was told since the last time.
  std::vector<std::string> news() { return std::exchange(told, {}); }

  LogLevel level;
  TestEnv t;
  std::map<std::string, std::unique_ptr<Backend>> backends;
  config::HealthCheck settings;
  std::vector<std::string> told;
  std::function<void()> when_told;  // called once
  std::unique_ptr<proxy::Prober> prober;
};

using Lines = std::vector<std::string>;

}  // namespace remora::testing
