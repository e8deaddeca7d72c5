// What the faulty backend (faulty_backend.cc) is told to do, reads and counts: values, no sockets.
#pragma once

#include <strings.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace remora::bench {

inline constexpr std::uint64_t kSlotMicroseconds = 100'000;
inline constexpr std::size_t kMaxSlots = 36'000;  // an hour
inline constexpr std::size_t kMaxIds = 1'000'000;
inline constexpr std::string_view kHealthPath = "/health";

// The clock of Python's time.monotonic(), so that a test can tell when a slot was.
inline std::uint64_t now_us() {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(
                                        std::chrono::steady_clock::now().time_since_epoch())
                                        .count());
}

enum class Mode : std::uint8_t { kOk, kStatus, kHang, kReset, kRefuse };
inline constexpr std::array<std::pair<std::string_view, Mode>, 5> kModes{{{"ok", Mode::kOk},
                                                                          {"status", Mode::kStatus},
                                                                          {"hang", Mode::kHang},
                                                                          {"reset", Mode::kReset},
                                                                          {"refuse", Mode::kRefuse}}};

struct Behaviour {
  Mode mode = Mode::kOk;
  double share = 1;
  unsigned status = 503;
  unsigned health = 200;
  std::uint64_t delay_us = 0;
  std::uint64_t workers = 0;
  bool record = false;
};

template <typename T>
T number(std::string_view text, T otherwise = {}) {
  std::from_chars(text.data(), text.data() + text.size(), otherwise);
  return otherwise;
}

// Of "/set?a=1&b=2"; unknown keys are a mistake of the test, which should hear of it.
inline std::optional<Behaviour> parse_behaviour(std::string_view query) {
  Behaviour wanted;
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), pair.size() + 1));
    const std::string_view key = pair.substr(0, pair.find('='));
    const std::string_view value = pair.substr(std::min(pair.size(), key.size() + 1));
    if (key == "mode") {
      const auto* mode = std::ranges::find(kModes, value, &std::pair<std::string_view, Mode>::first);
      if (mode == kModes.end()) return std::nullopt;
      wanted.mode = mode->second;
    } else if (key == "share") {
      wanted.share = number<double>(value);
    } else if (key == "status") {
      wanted.status = number<unsigned>(value);
    } else if (key == "health") {
      wanted.health = number<unsigned>(value);
    } else if (key == "delay_us") {
      wanted.delay_us = number<std::uint64_t>(value);
    } else if (key == "workers") {
      wanted.workers = number<std::uint64_t>(value);
    } else if (key == "record") {
      wanted.record = value == "1";
    } else {
      return std::nullopt;
    }
  }
  return wanted;
}

struct Request {
  std::string method;
  std::string path;
  std::string id;
  std::size_t body_left = 0;
  bool close = false;
  bool faulty = false;  // it is one of those that meet the fault

  bool health() const { return path == kHealthPath; }
};

struct Counters {
  std::map<std::string, std::uint64_t> methods;  // requests whose head arrived, without health checks
  std::uint64_t requests = 0;
  std::uint64_t health = 0;
  std::uint64_t accepted = 0;
  std::uint64_t answered = 0;
  std::uint64_t wasted = 0;  // served although the client had left
  std::uint64_t in_flight = 0;
  std::uint64_t most_in_flight = 0;
  std::uint64_t begun_us = now_us();
  std::vector<std::uint32_t> slots;  // requests per 100 ms since begun_us
  std::vector<std::string> ids;

  void count(const Request& request, bool record) {
    if (request.health()) {
      ++health;
      return;
    }
    ++requests;
    ++methods[request.method];
    most_in_flight = std::max(most_in_flight, ++in_flight);
    if (record && ids.size() < kMaxIds) ids.push_back(request.id);
    const auto slot = static_cast<std::size_t>((now_us() - begun_us) / kSlotMicroseconds);
    if (slot >= kMaxSlots) return;
    if (slots.size() <= slot) slots.resize(slot + 1);
    ++slots[slot];
  }

  std::string json() const {
    std::string text = "{\"begun_us\":" + std::to_string(begun_us) +
                       ",\"requests\":" + std::to_string(requests) + ",\"health\":" + std::to_string(health) +
                       ",\"accepted\":" + std::to_string(accepted) +
                       ",\"answered\":" + std::to_string(answered) + ",\"wasted\":" + std::to_string(wasted) +
                       ",\"in_flight\":" + std::to_string(in_flight) +
                       ",\"most_in_flight\":" + std::to_string(most_in_flight) + ",\"methods\":{";
    for (const auto& [method, count] : methods) text += '"' + method + "\":" + std::to_string(count) + ',';
    if (text.back() == ',') text.pop_back();
    text += "},\"slots\":[";
    for (const std::uint32_t count : slots) text += std::to_string(count) + ',';
    if (text.back() == ',') text.pop_back();
    return text + "]}\n";
  }
};

inline std::string_view trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

inline Request parse_head(std::string_view head) {
  Request request;
  request.method = head.substr(0, head.find(' '));
  const std::size_t path_at = request.method.size() + 1;
  request.path = head.substr(path_at, head.find(' ', path_at) - path_at);
  for (std::size_t at = head.find("\r\n"); at + 2 < head.size();) {
    const std::size_t start = at + 2;
    at = std::min(head.find("\r\n", start), head.size());
    const std::string_view line = head.substr(start, at - start);
    const std::size_t colon = std::min(line.find(':'), line.size());
    const std::string name(line.substr(0, colon));
    const std::string value(trim(line.substr(std::min(colon + 1, line.size()))));
    if (strcasecmp(name.c_str(), "content-length") == 0) request.body_left = number<std::size_t>(value);
    if (strcasecmp(name.c_str(), "connection") == 0) request.close = strcasecmp(value.c_str(), "close") == 0;
    if (strcasecmp(name.c_str(), "x-bench-id") == 0) request.id = value;
  }
  return request;
}

}  // namespace remora::bench
