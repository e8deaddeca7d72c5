#include "proxy/top_frame.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <ctime>
#include <map>
#include <utility>

namespace remora::proxy {
namespace {

constexpr double kMuch = 0.05;  // of the requests fail
constexpr double kLagMs = 250;
constexpr std::size_t kMostProblems = 5;

std::string show_span(double seconds) {
  const auto s = static_cast<long>(std::max(seconds + 0.5, 0.0));
  if (s < 60) return fmt::format("{} s", s);
  if (s < 3600) return fmt::format("{} min {} s", s / 60, s % 60);
  if (s < 86400) return fmt::format("{} h {} min", s / 3600, s % 3600 / 60);
  return fmt::format("{} d {} h", s / 86400, s % 86400 / 3600);
}

std::string show_rate(double rate) {
  if (rate == 0) return "0";
  return rate < 10 ? fmt::format("{:.1f}", rate) : fmt::format("{:.0f}", rate);
}

std::string show_share(std::optional<double> share) {
  if (!share) return "-";
  const double percent = *share * 100;
  if (percent > 0 && percent < 0.1) return "<0.1 %";
  return percent == 0 ? "0 %" : fmt::format("{:.{}f} %", percent, percent < 10 ? 1 : 0);
}

std::string show_ms(std::optional<double> ms) {
  if (!ms) return "-";
  if (*ms < 10) return fmt::format("{:.1f} ms", *ms);
  return *ms < 1000 ? fmt::format("{:.0f} ms", *ms) : fmt::format("{:.2f} s", *ms / 1e3);
}

// UTC, as in the log.
std::string show_time(double unix_seconds) {
  const auto at = static_cast<std::time_t>(unix_seconds);
  std::tm parts{};
  ::gmtime_r(&at, &parts);
  return fmt::format("{:02}:{:02}:{:02}", parts.tm_hour, parts.tm_min, parts.tm_sec);
}

std::string breaker_words(const TopBreaker& breaker) {
  std::string words = "breaker " + breaker.state;
  if (breaker.state == "closed") return words;
  if (breaker.for_seconds) words += " for " + show_span(*breaker.for_seconds);
  if (breaker.state != "open") return words;
  if (breaker.forced) return words + ", until closed by order";
  if (!breaker.probes_in_seconds) return words;
  return words + (*breaker.probes_in_seconds > 0 ? ", probes in " + show_span(*breaker.probes_in_seconds)
                                                 : ", probes with the next request");
}

struct State {
  TopLevel level = TopLevel::kOk;
  std::string words;
};

State state_of(const TopEndpoint& endpoint) {
  const std::string last = endpoint.last_failure.empty() ? "" : " (" + endpoint.last_failure + ")";
  if (endpoint.why.empty()) {
    if (endpoint.breaker.state != "closed") return {TopLevel::kWarn, breaker_words(endpoint.breaker)};
    if (endpoint.share < 1) return {TopLevel::kOk, "recovering, " + show_share(endpoint.share) + " share"};
    return {TopLevel::kOk, "available"};
  }
  if (endpoint.why == "draining") return {TopLevel::kWarn, "draining by order"};
  if (endpoint.why == "removed") return {TopLevel::kOk, "removed, finishing"};
  if (endpoint.why == "breaker") return {TopLevel::kBad, breaker_words(endpoint.breaker) + last};
  if (endpoint.why == "ejected") {
    return {TopLevel::kBad,
            endpoint.ejected_for ? "ejected, back in " + show_span(*endpoint.ejected_for) : "ejected"};
  }
  if (endpoint.why == "active_check") {
    if (endpoint.check_state == "unknown") return {TopLevel::kWarn, "not checked yet"};
    const std::string why = endpoint.check_reason.empty() ? "" : " (" + endpoint.check_reason + ")";
    return {TopLevel::kBad, "health check fails" + why};
  }
  return {TopLevel::kBad, endpoint.why == "member" ? "left the mesh" : endpoint.why};
}

// The first reason, and how many other endpoints have one.
std::string reasons_of(const std::vector<State>& states) {
  if (states.empty()) return {};
  std::string words = states.front().words;
  if (states.size() > 1) words += fmt::format("; and {} more", states.size() - 1);
  return words;
}

// What is wrong with a cluster; "" when nothing is.
TopProblem problem_of(const TopCluster& cluster) {
  if (cluster.shared_breaker && cluster.shared_breaker->state == "open") {
    return {TopLevel::kBad, "the shared " + breaker_words(*cluster.shared_breaker)};
  }
  std::size_t all = 0;
  std::vector<State> down;
  std::vector<State> probation;
  for (const TopEndpoint& endpoint : cluster.endpoints) {
    if (endpoint.why == "removed") continue;
    ++all;
    State state = state_of(endpoint);
    if (!endpoint.why.empty()) {
      down.push_back(std::move(state));
    } else if (state.level != TopLevel::kOk) {
      probation.push_back(std::move(state));
    }
  }
  if (all == 0 && cluster.anywhere) return {};
  if (all == 0) return {TopLevel::kBad, "no endpoint is known"};
  if (down.size() == all)
    return {TopLevel::kBad, fmt::format("none of {} endpoints is available: {}", all, reasons_of(down))};
  if (!down.empty()) {
    return {TopLevel::kWarn,
            fmt::format("{} of {} endpoints not available: {}", down.size(), all, reasons_of(down))};
  }
  if (cluster.panic) return {TopLevel::kWarn, "too few endpoints pass their checks, so checks are ignored"};
  if (!probation.empty()) {
    return {TopLevel::kWarn,
            fmt::format("{} of {} endpoints on probation: {}", probation.size(), all, reasons_of(probation))};
  }
  return {};
}

std::size_t available(const TopCluster& cluster) {
  return static_cast<std::size_t>(
      std::ranges::count_if(cluster.endpoints, [](const TopEndpoint& e) { return e.why.empty(); }));
}

// Lines of a frame, cut to its width.
class Lines {
 public:
  explicit Lines(const TopLayout& layout) : layout_(layout) {}

  // `style`: of the text, as the inside of an SGR sequence; "": none.
  void add(std::string_view text, std::string_view style = {}) {
    const std::string cut = cut_to(text, layout_.columns);
    lines_.push_back(layout_.colour && !style.empty() ? fmt::format("\x1b[{}m{}\x1b[0m", style, cut) : cut);
  }
  // A sign, then a text that may take two lines.
  void add_wrapped(std::string_view sign, std::string_view text, std::string_view style) {
    constexpr std::size_t kIndent = 4;
    const std::size_t room = layout_.columns > kIndent ? layout_.columns - kIndent : 1;
    std::string first = cut_to(text, room);
    if (first.size() < text.size()) {
      const std::size_t space = first.rfind(' ');
      if (space != std::string::npos && space > 0) first.resize(space);
    }
    add(fmt::format("{:<{}}{}", sign, kIndent, first), style);
    text.remove_prefix(first.size());
    if (!text.empty())
      add(fmt::format("{:<{}}{}", "", kIndent, text.substr(text.starts_with(' ') ? 1 : 0)), style);
  }
  std::size_t left() const {
    if (layout_.rows == 0) return SIZE_MAX;
    return layout_.rows > lines_.size() ? layout_.rows - lines_.size() : 0;
  }
  std::string take() {
    if (layout_.rows != 0 && lines_.size() > layout_.rows) lines_.resize(layout_.rows);
    return fmt::format("{}", fmt::join(lines_, "\n"));
  }

  // At most so many characters of UTF-8.
  static std::string cut_to(std::string_view text, std::size_t columns) {
    std::size_t seen = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if ((static_cast<unsigned char>(text[i]) & 0xc0U) == 0x80) continue;
      if (seen++ == columns) return std::string(text.substr(0, i));
    }
    return std::string(text);
  }

 private:
  const TopLayout& layout_;
  std::vector<std::string> lines_;
};

std::string padded(std::string_view text, std::size_t columns) {
  std::string cut = Lines::cut_to(text, columns);
  const auto characters = static_cast<std::size_t>(
      std::ranges::count_if(cut, [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80; }));
  return cut + std::string(columns - characters, ' ');
}

constexpr std::string_view style_of(TopLevel level) {
  return level == TopLevel::kBad ? "1;31" : level == TopLevel::kWarn ? "1;33" : "32";
}
constexpr std::string_view sign_of(TopLevel level) {
  return level == TopLevel::kBad ? "X" : level == TopLevel::kWarn ? "!" : " ";
}
constexpr std::string_view kTitle = "1";
constexpr std::string_view kQuiet = "2";

void add_header(Lines& out, const TopInput& input) {
  std::string text = "remora";
  if (input.now != nullptr) text += " " + input.now->version;
  text += "  " + input.server;
  if (input.now != nullptr) {
    const TopStats& now = *input.now;
    text += fmt::format("  {}  up {}  {} worker{}  lag {}  {:.1f} MiB", now.ready ? "ready" : "NOT READY",
                        show_span(now.uptime), now.workers, now.workers == 1 ? "" : "s",
                        show_ms(now.loop_lag_ms), static_cast<double>(now.resident_bytes) / 1048576.0);
  }
  out.add(text, kTitle);
}

void add_problems(Lines& out, const TopInput& input) {
  const auto problems = top_problems(input);
  if (problems.empty()) {
    out.add("OK  Everything is well", style_of(TopLevel::kOk));
    return;
  }
  for (std::size_t i = 0; i < std::min(problems.size(), kMostProblems); ++i) {
    out.add_wrapped(sign_of(problems[i].level), problems[i].text, style_of(problems[i].level));
  }
  if (problems.size() > kMostProblems) {
    out.add(fmt::format("    and {} more, see below", problems.size() - kMostProblems), kQuiet);
  }
}

std::string numbers(std::string_view name, std::string_view up, const TopTraffic& traffic, bool rates,
                    const std::vector<double>& bounds, std::uint64_t active) {
  return fmt::format("{}{:>8}{:>10}{:>8}{:>10}{:>10}{:>10}", padded(name, 24), up,
                     rates ? show_rate(traffic.rate()) : "-", rates ? show_share(traffic.error_share()) : "-",
                     show_ms(rates ? traffic.quantile(bounds, 0.5) : std::nullopt),
                     show_ms(rates ? traffic.quantile(bounds, 0.99) : std::nullopt), active);
}

std::uint64_t active_in(const TopCluster& cluster) {
  std::uint64_t active = 0;
  for (const TopEndpoint& endpoint : cluster.endpoints) active += endpoint.active;
  return active;
}

TopTraffic traffic_of(const TopInput& input, const std::string* cluster) {
  return input.then != nullptr ? traffic_between(*input.then, *input.now, cluster) : TopTraffic{};
}

// Of a cluster: its line, and its endpoints, those that are not well first. `room`: so many lines at most.
void add_cluster(Lines& out, const TopInput& input, const TopCluster& cluster, std::size_t room) {
  const TopProblem problem = problem_of(cluster);
  const TopTraffic traffic = traffic_of(input, &cluster.name);
  out.add(numbers(fmt::format("{} {}", sign_of(problem.level), cluster.name),
                  fmt::format("{}/{}", available(cluster), cluster.endpoints.size()), traffic,
                  input.then != nullptr, input.now->bounds_ms, active_in(cluster)),
          problem.level == TopLevel::kOk ? std::string_view() : style_of(problem.level));
  std::vector<std::pair<State, const TopEndpoint*>> endpoints;
  endpoints.reserve(cluster.endpoints.size());
  for (const TopEndpoint& endpoint : cluster.endpoints) endpoints.emplace_back(state_of(endpoint), &endpoint);
  std::ranges::stable_sort(endpoints, std::ranges::greater(), [](const auto& e) { return e.first.level; });
  const std::size_t shown = std::min(endpoints.size(), room > 0 ? room - 1 : 0);
  for (std::size_t i = 0; i < shown; ++i) {
    const auto& [state, endpoint] = endpoints[i];
    const std::string rate = input.then != nullptr
                                 ? show_rate(endpoint_rate(*input.then, *input.now, cluster.name, *endpoint))
                                 : "-";
    out.add(fmt::format("    {} {}{:>8}/s  {}", sign_of(state.level), padded(endpoint->address, 24), rate,
                        state.words),
            state.level == TopLevel::kOk ? kQuiet : style_of(state.level));
  }
}

// One character for each second, eight heights.
void add_graph(Lines& out, const std::vector<double>& rates, std::size_t columns) {
  constexpr std::array<std::string_view, 8> kBars{"\u2581", "\u2582", "\u2583", "\u2584",
                                                  "\u2585", "\u2586", "\u2587", "\u2588"};
  constexpr std::size_t kLabel = 24;
  if (rates.size() < 2 || columns <= kLabel) return;
  const std::size_t shown = std::min(rates.size(), columns - kLabel);
  const double most = std::max(*std::max_element(rates.end() - static_cast<long>(shown), rates.end()), 1.0);
  std::string line = padded(fmt::format("  requests/s, to {}", show_rate(most)), kLabel);
  for (std::size_t i = rates.size() - shown; i < rates.size(); ++i) {
    const auto height = static_cast<std::size_t>(std::lround(rates[i] / most * 7.0));
    line += kBars[std::min<std::size_t>(height, 7)];
  }
  out.add(line, kQuiet);
}

void add_clusters(Lines& out, const TopInput& input, std::size_t keep) {
  std::vector<const TopCluster*> clusters;
  clusters.reserve(input.now->clusters.size());
  for (const TopCluster& cluster : input.now->clusters) clusters.push_back(&cluster);
  std::ranges::stable_sort(clusters, std::ranges::greater(),
                           [](const TopCluster* c) { return problem_of(*c).level; });
  for (std::size_t i = 0; i < clusters.size(); ++i) {
    const std::size_t room = out.left() == SIZE_MAX ? SIZE_MAX : out.left() - std::min(out.left(), keep);
    const std::size_t others = clusters.size() - i - 1;
    if (room == 0) return;
    if (room == 1 && others > 0) {
      out.add(fmt::format("  and {} more clusters", others + 1), kQuiet);
      return;
    }
    // Each of the others gets its line, if that leaves room for anything.
    const bool well = problem_of(*clusters[i]).level == TopLevel::kOk;
    const std::size_t endpoints_at_most = well ? (room > others ? room - others : 1) : room;
    add_cluster(out, input, *clusters[i], std::max<std::size_t>(std::min(room, endpoints_at_most), 1));
  }
}

void add_events(Lines& out, const TopInput& input, std::size_t most) {
  if (input.events == nullptr || input.events->empty() || most < 2) return;
  out.add("RECENT CHANGES (UTC)", kTitle);
  const std::size_t shown = std::min(input.events->size(), most - 1);
  for (std::size_t i = 0; i < shown; ++i) {
    const TopEvent& event = (*input.events)[input.events->size() - 1 - i];
    out.add(fmt::format("{}  {}", show_time(event.time), event.what));
  }
}

}  // namespace

std::vector<TopProblem> top_problems(const TopInput& input) {
  std::vector<TopProblem> problems;
  if (!input.gone.empty()) {
    const std::string_view old = input.now != nullptr ? "; what is below is from its last answer" : "";
    problems.push_back({TopLevel::kBad, fmt::format("{}{}", input.gone, old)});
  }
  if (input.now == nullptr) return problems;
  const TopStats& now = *input.now;
  if (!now.ready) problems.push_back({TopLevel::kBad, "not ready: " + now.not_ready_because});
  if (now.rejected_ago) {
    problems.push_back(
        {TopLevel::kWarn, fmt::format("configuration rejected {} ago, the one before it is at work: {}",
                                      show_span(*now.rejected_ago), now.rejected_because)});
  }
  for (const TopCluster& cluster : now.clusters) {
    TopProblem problem = problem_of(cluster);
    if (!problem.text.empty()) problems.push_back({problem.level, cluster.name + ": " + problem.text});
    for (const std::string& source : cluster.failing_sources) {
      problems.push_back({TopLevel::kWarn, cluster.name + ": " + source});
    }
    const TopTraffic traffic = traffic_of(input, &cluster.name);
    const double share = traffic.error_share().value_or(0);
    if (share >= kMuch && traffic.rate() >= 1) {
      problems.push_back(
          {share >= 0.5 ? TopLevel::kBad : TopLevel::kWarn,
           fmt::format("{}: {} of the requests end with 5xx", cluster.name, show_share(share))});
    }
  }
  if (now.workers_missing > 0) {
    problems.push_back(
        {TopLevel::kBad,
         fmt::format("{} of {} workers {} not answer: nobody is served there, and the numbers are missing",
                     now.workers_missing, now.workers + now.workers_missing,
                     now.workers_missing == 1 ? "does" : "do")});
  }
  for (const std::string& load : now.loads)
    problems.push_back({TopLevel::kBad, "worker " + load + ": it sheds load"});
  if (now.loop_lag_ms >= kLagMs) {
    problems.push_back({TopLevel::kWarn, "a worker was held up for " + show_ms(now.loop_lag_ms)});
  }
  std::ranges::stable_sort(problems, std::ranges::greater(), &TopProblem::level);
  return problems;
}

std::string top_frame(const TopInput& input, const TopLayout& layout) {
  Lines out(layout);
  add_header(out, input);
  add_problems(out, input);
  if (input.now == nullptr) return out.take();
  out.add("");
  out.add(fmt::format("{}{:>8}{:>10}{:>8}{:>10}{:>10}{:>10}", padded("  CLUSTER", 24), "UP", "REQ/S", "5XX",
                      "P50", "P99", "IN FLIGHT"),
          kTitle);
  std::uint64_t active = 0;
  for (const TopCluster& cluster : input.now->clusters) active += active_in(cluster);
  out.add(
      numbers("  all", "", traffic_of(input, nullptr), input.then != nullptr, input.now->bounds_ms, active));
  if (layout.utf8) add_graph(out, input.rates, layout.columns);
  const bool whole = layout.rows == 0;
  const std::size_t changes = input.events == nullptr || input.events->empty() ? 0 : input.events->size() + 2;
  const std::size_t keep = std::min(changes, whole ? 12 : std::max<std::size_t>(layout.rows / 3, 3));
  add_clusters(out, input, whole ? 0 : keep);
  if (out.left() > 1) out.add("");
  add_events(out, input, whole ? keep : out.left());
  return out.take();
}

}  // namespace remora::proxy
