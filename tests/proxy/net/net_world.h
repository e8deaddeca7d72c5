// The places in which the contract of Stream and Network is tested: real sockets on a real loop, and the fake
// network of tests/support. A world turns until a predicate holds; nothing sleeps.
#pragma once

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>

#include "base/address.h"
#include "base/timer_wheel.h"
#include "base/turn.h"
#include "proxy/net/loop.h"
#include "proxy/net/tcp.h"
#include "tests/support/fake_network.h"

namespace remora::testing {

// A directory of its own, removed at the end.
class TempDir final {
 public:
  TempDir() {
    std::string name = (std::filesystem::temp_directory_path() / "remora-test-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  std::string file(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

using Predicate = std::function<bool()>;

class RealWorld {
 public:
  static constexpr bool kSeesReset = true;   // a reset differs from a clean end
  static constexpr bool kFindsPeers = true;  // an acceptor sees who connected

  RealWorld() { std::signal(SIGPIPE, SIG_IGN); }

  net::Loop& loop() { return loop_; }
  net::Network& network() { return network_; }
  Turn& turn() { return loop_.turn(); }
  TimerWheel& wheel() { return loop_.wheel(); }
  Address listen_address() const { return *Address::parse("127.0.0.1:0"); }
  Address nobody_listens_at() const { return *Address::parse("127.0.0.1:1"); }

  // False: it did not hold within ten seconds.
  bool run_until(const Predicate& holds) {
    bool met = false;
    const TimePoint limit = start() + 10s;
    std::function<void()> check = [&] {
      met = holds();
      if (met || wheel().now() > limit) {
        loop_.stop();
      } else {
        loop_.post([&] { check(); });  // the next turn, after whatever is ready by then
      }
    };
    loop_.post([&] { check(); });
    loop_.run();
    return met;
  }

  // Long enough for anything that was already under way to show.
  void run_a_while() {
    int turns = 100;
    run_until([&] { return --turns == 0; });
  }

 private:
  // The wheel's instant may be an old one between runs: an event brings it up to date.
  TimePoint start() {
    loop_.event([] {});
    return wheel().now();
  }

  net::Loop loop_;
  net::UvNetwork network_{loop_};
};

class TcpWorld final : public RealWorld {};

class Tcp6World final : public RealWorld {
 public:
  Address listen_address() const { return *Address::parse("[::1]:0"); }
};

class UnixWorld final : public RealWorld {
 public:
  static constexpr bool kSeesReset = false;  // but for unread bytes
  static constexpr bool kFindsPeers = false;
  Address listen_address() const { return Address::unix_path(dir_.file("socket")); }
  Address nobody_listens_at() const { return Address::unix_path(dir_.file("nobody")); }

 private:
  TempDir dir_;
};

class FakeWorld final {
 public:
  static constexpr bool kSeesReset = true;
  static constexpr bool kFindsPeers = true;

  FakeNetwork& network() { return network_; }
  Turn& turn() { return turn_; }
  TimerWheel& wheel() { return wheel_; }
  Address listen_address() const { return *Address::parse("127.0.0.1:0"); }
  Address nobody_listens_at() const { return *Address::parse("127.0.0.1:1"); }

  bool run_until(const Predicate& holds) {
    const TimePoint limit = wheel_.now() + 10s;
    int idle = 0;  // the predicate may act, too: quiet means that it was asked often
    while (!holds()) {
      if (network_.pump()) continue;
      const auto next = wheel_.next_expiry();
      if (next && *next <= limit) {
        wheel_.advance(*next);
        turn_.finish();
      } else if (++idle == 100) {
        return false;
      }
    }
    return true;
  }
  void run_a_while() { network_.settle(); }

 private:
  Turn turn_;
  TimerWheel wheel_{TimePoint(1h)};
  FakeNetwork network_{wheel_, turn_};
};

}  // namespace remora::testing
