#include "proxy/ready.h"

#include <fmt/core.h>

#include <algorithm>

#include "config/units.h"
#include "proxy/admin_client.h"
#include "proxy/command_line.h"
#include "proxy/net/loop.h"

namespace remora::proxy {

namespace {

constexpr Duration kPause = 100ms;  // between two questions
constexpr Duration kPatience = 2s;  // with one question: /readyz is answered at once, or something is wrong

// Lets time pass.
class Clock final {
 public:
  ~Clock() { timer_.cancel(); }
  TimePoint now() {
    pause(0ms);
    return loop_.wheel().now();
  }
  void pause(Duration duration) {
    loop_.post([this, duration] {
      if (duration == 0ms) return loop_.stop();
      loop_.wheel().arm_in(timer_, duration);
    });
    loop_.run();
  }

 private:
  void on_time() { loop_.stop(); }
  net::Loop loop_;
  MemberTimer<Clock, &Clock::on_time> timer_{*this};
};

// "" when it is ready, else why it is not.
std::string why_not(const Address& server, Duration patience) {
  const auto answer = ask_admin(server, "GET", "/readyz", patience);
  if (!answer) return answer.error().detail;
  if (answer->status == 200) return "";
  std::string body = answer->body.substr(0, answer->body.find('\n'));
  return body.empty() ? fmt::format("/readyz answers {}", answer->status) : body;
}

}  // namespace

int run_ready(const ReadyOptions& options) {
  const auto server = parse_admin_address(options.server);
  if (!server) {
    fmt::print(stderr, "remora: {}\n", server.error().detail);
    return kExitBadUsage;
  }
  const auto wait = config::parse_duration(options.wait);
  if (!wait) {
    fmt::print(stderr, "remora: --wait: {}\n", wait.error());
    return kExitBadUsage;
  }
  Clock clock;
  const TimePoint end = clock.now() + *wait;
  Duration left = *wait == 0ms ? kPatience : *wait;
  while (true) {
    const std::string why = why_not(*server, std::min(left, kPatience));
    if (why.empty()) return kExitOk;
    left = end - clock.now();
    if (left <= 0ms) {
      fmt::print(stderr, "remora: not ready: {}\n", why);
      return kExitNotReady;
    }
    clock.pause(std::min(left, kPause));
  }
}

}  // namespace remora::proxy
