#include "proxy/top.h"

#include <fmt/core.h>

#include <deque>
#include <vector>

#include "proxy/admin_client.h"
#include "proxy/command_line.h"
#include "proxy/terminal.h"
#include "proxy/top_frame.h"
#include "proxy/top_stats.h"

namespace remora::proxy {

namespace {

constexpr Duration kPeriod = 1s;
// Longer than the second that a Remora waits for a worker that hangs.
constexpr Duration kPatience = 2s;
constexpr double kWindowSeconds = 5;  // over which rates are taken
constexpr std::size_t kMostEvents = 256;
constexpr std::size_t kMostRates = 300;  // seconds

// What has been heard of one Remora.
class Observed {
 public:
  explicit Observed(Address server) : server_(std::move(server)) {}

  void ask(Duration patience) {
    auto stats = get("/stats", patience);
    auto parsed = stats ? parse_top_stats(*stats) : std::unexpected(stats.error());
    if (!parsed) {
      gone_ = parsed.error().detail;
      return;
    }
    gone_.clear();
    if (!samples_.empty() && parsed->uptime < samples_.back().uptime) {  // another process
      samples_.clear();
      last_event_ = 0;
    }
    // The counters of a worker that hangs are missing: they would seem to shrink, and then to jump.
    if (!samples_.empty() && samples_.back().worker_ids != parsed->worker_ids) samples_.clear();
    samples_.push_back(*std::move(parsed));
    if (samples_.size() > 1) {
      rates_.push_back(traffic_between(samples_[samples_.size() - 2], samples_.back(), nullptr).rate());
      if (rates_.size() > kMostRates) rates_.erase(rates_.begin());
    }
    while (samples_.size() > 2 && samples_[1].uptime <= samples_.back().uptime - kWindowSeconds) {
      samples_.pop_front();
    }
    if (samples_.back().last_event != last_event_) ask_events(patience);
  }

  TopInput input() const {
    return {.server = server_.to_string(),
            .now = samples_.empty() ? nullptr : &samples_.back(),
            .then = samples_.size() > 1 ? &samples_.front() : nullptr,
            .events = &events_,
            .rates = rates_,
            .gone = gone_};
  }

 private:
  Result<std::string> get(const std::string& target, Duration patience) {
    auto answer = ask_admin(server_, "GET", target, patience);
    if (!answer) return std::unexpected(std::move(answer.error()));
    if (answer->status == 200) return std::move(answer->body);
    return std::unexpected(Error(ErrorCode::kInvalid, Side::kUpstream, Retry::kNo,
                                 fmt::format("{} answers {} with status {}: no Remora, or an older one",
                                             server_.to_string(), target, answer->status)));
  }
  void ask_events(Duration patience) {
    const auto answer = get(fmt::format("/events?since={}", last_event_), patience);
    auto events = answer ? parse_top_events(*answer) : std::unexpected(answer.error());
    if (!events) return;  // the next second asks again
    for (TopEvent& event : *events) {
      last_event_ = event.id;
      events_.push_back(std::move(event));
    }
    while (events_.size() > kMostEvents) events_.pop_front();
  }

  Address server_;
  std::deque<TopStats> samples_;
  std::deque<TopEvent> events_;
  std::vector<double> rates_;
  std::uint64_t last_event_ = 0;
  std::string gone_;
};

int print_once(Observed& observed) {
  constexpr Duration kPatient = 5s;
  observed.ask(kPatient);
  if (observed.input().now != nullptr) {
    Terminal::pause(kPeriod);  // rates need two answers
    observed.ask(kPatient);
  }
  const TopInput input = observed.input();
  if (!input.gone.empty()) {
    fmt::print(stderr, "remora: {}\n", input.gone);
    return kExitCannotStart;
  }
  fmt::print("{}\n", top_frame(input, {.columns = 500, .rows = 0, .colour = false}));
  return kExitOk;
}

int watch(Observed& observed) {
  const bool colour = Terminal::wants_colour();
  const bool utf8 = Terminal::speaks_utf8();
  Terminal terminal;
  for (Terminal::Woken woken = Terminal::Woken::kTime; woken != Terminal::Woken::kQuit;) {
    if (woken == Terminal::Woken::kTime) observed.ask(kPatience);
    const Terminal::Size size = terminal.size();
    terminal.show(top_frame(observed.input(),
                            {.columns = size.columns, .rows = size.rows, .colour = colour, .utf8 = utf8}));
    woken = terminal.wait(kPeriod);
  }
  return kExitOk;
}

}  // namespace

int run_top(const TopOptions& options) {
  const auto address = parse_admin_address(options.server);
  if (!address) {
    fmt::print(stderr, "remora: {}\n", address.error().detail);
    return kExitBadUsage;
  }
  Observed observed(*address);
  if (options.once) return print_once(observed);
  if (!Terminal::is_there()) {
    fmt::print(stderr, "remora: this is no terminal, use remora top --once\n");
    return kExitBadUsage;
  }
  return watch(observed);
}

}  // namespace remora::proxy
