// Small configuration files around the few lines that a test is about.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "config/load.h"
#include "config/memo.h"

namespace remora::config::fixture {

inline const std::string kListener = "[[listener]]\naddress = \"127.0.0.1:80\"\n";
inline const std::string kRoute = "[[listener.route]]\ncluster = \"app\"\n";
inline const std::string kCluster = "[[cluster]]\nname = \"app\"\nendpoints = [\"127.0.0.1:3000\"]\n";

// A whole file with these lines: at the top, from line 1 on...
inline std::string top(const std::string& lines) { return lines + "\n" + kListener + kRoute + kCluster; }
// ... in the listener, from line 3 on ...
inline std::string listener(const std::string& lines) { return kListener + lines + "\n" + kRoute + kCluster; }
// ... as all that the route has, from line 4 on ...
inline std::string route(const std::string& lines) {
  return kListener + "[[listener.route]]\n" + lines + "\n" + kCluster;
}
// ... as all that the cluster has, from line 6 on ...
inline std::string cluster(const std::string& lines) {
  return kListener + kRoute + "[[cluster]]\n" + lines + "\n";
}
// ... or just these.
inline std::string whole(const std::string& lines) { return lines; }

inline std::optional<std::string> environment(const std::string& name) {
  if (name == "ONE") return "1";
  if (name == "WORD") return "four";
  if (name == "EMPTY") return "";
  if (name == "DOLLARS") return "${ONE}$$";
  return std::nullopt;
}

// A stand-in for RE2, which belongs to the router.
inline std::optional<std::string> check_regex(const std::string& pattern) {
  if (std::ranges::count(pattern, '(') == std::ranges::count(pattern, ')')) return std::nullopt;
  return "missing ): " + pattern;
}

inline std::vector<std::string> printed(const std::expected<Config, Problems>& loaded) {
  std::vector<std::string> lines;
  if (loaded) return lines;
  for (const auto& problem : loaded.error()) lines.push_back(problem.to_string());
  return lines;
}

// Whatever is loaded here is also loaded piece by piece, and once more by what is remembered of that. Of a
// file with a mistake nothing is.
inline auto load(const std::string& text) {
  const Hooks hooks{.check_regex = check_regex, .cores = [] { return 3U; }};
  auto whole = load_text(text, "t", environment, hooks);
  Memo memo;
  for (int again = 0; again < (whole ? 2 : 1); ++again) {
    CAPTURE(again);
    const auto pieces = memo.load(text, "t", environment, hooks);
    REQUIRE(pieces.has_value() == whole.has_value());
    CHECK(printed(pieces) == printed(whole));
    if (whole) CHECK(*pieces == *whole);
  }
  return whole;
}

// All problems, one per line, without the file's name: "2: runtime.workers: ..."; "" if there are none.
inline std::string problems(const std::expected<Config, Problems>& config) {
  std::string out;
  if (config) return out;
  for (const auto& problem : config.error()) {
    if (!out.empty()) out += '\n';
    out += problem.to_string().substr(problem.line > 0 ? 2 : 3);  // "t:" or "t: "
  }
  return out;
}
inline std::string problems(const std::string& text) { return problems(load(text)); }

// One row of a table of mistakes.
struct Mistake {
  std::string (*file)(const std::string& lines);
  std::string lines;
  std::string expected;
};

inline void expect(const std::vector<Mistake>& mistakes) {
  for (const auto& mistake : mistakes) {
    CAPTURE(mistake.lines);
    CHECK(problems(mistake.file(mistake.lines)) == mistake.expected);
  }
}

}  // namespace remora::config::fixture
