#include "config/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>

namespace remora::config {

namespace {

constexpr std::size_t kLongest = 60;

bool bare(std::string_view name) {
  return !name.empty() && name.size() <= kLongest && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}

}  // namespace

std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  std::size_t shown = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool continuation = (byte & 0xc0U) == 0x80U;  // never cut inside a UTF-8 sequence
    if (shown++ >= kLongest && !continuation) {
      out += "...";
      break;
    }
    if (c == '\n') {
      out += "\\n";
    } else if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  return out + '"';
}

Where Where::member(std::string_view name) const {
  const auto shown = bare(name) ? std::string(name) : in_quotes(name);
  return {line, key.empty() ? shown : key + "." + shown};
}

Where Where::element(std::string_view name, std::size_t index) const {
  auto where = member(name);
  where.key += "#" + std::to_string(index + 1);
  return where;
}

void Report::add(const Where& where, std::string message) {
  if (full()) {
    ++dropped_;
    return;
  }
  problems_.push_back({file_, where.line, where.key, std::move(message)});
}

bool Report::mentions(const Where& where) const {
  return std::ranges::any_of(problems_, [&](const Problem& problem) {
    return problem.line == where.line && problem.key == where.key;
  });
}

Problems Report::take() {
  // A stable sort by hand: the library's uses a function that newer compilers warn about.
  std::vector<std::size_t> order(problems_.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, {}, [&](std::size_t i) { return std::pair(problems_[i].line, i); });
  Problems sorted;
  for (const auto i : order) sorted.push_back(std::move(problems_[i]));
  if (dropped_ > 0) {
    const auto last = sorted.back().line;
    sorted.push_back({file_, last, "", fmt::format("and {} more problems, mend these first", dropped_)});
  }
  return sorted;
}

std::string Problem::to_string() const {
  std::string out = file;
  if (line > 0) out += ":" + std::to_string(line);
  if (!key.empty()) out += ": " + key;
  return out + ": " + message;
}

}  // namespace remora::config
