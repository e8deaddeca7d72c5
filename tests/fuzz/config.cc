// Any bytes as a configuration file: no crash; a refusal says why, in order of line and in printable text;
// what is accepted prints as a file that loads to the same configuration, and is the same when it is read
// piece by piece.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "config/effective.h"
#include "config/load.h"
#include "config/memo.h"
#include "config/scan.h"

namespace {

using remora::config::load_text;
using remora::config::Problem;

void require(bool holds, std::string_view what) {
  if (holds) return;
  std::fprintf(stderr, "violated: %.*s\n", static_cast<int>(what.size()), what.data());
  std::abort();
}

std::optional<std::string> environment(const std::string& name) {
  if (name == "A") return "1";
  if (name == "B") return "x$y${A}\"\n\\";
  if (name == "E") return "";
  return std::nullopt;
}

// Stands in for the router's engine: the fuzzer is after this folder's code.
std::optional<std::string> check_regex(const std::string& pattern) {
  return pattern.ends_with('(') ? std::optional<std::string>("missing ): " + pattern) : std::nullopt;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const remora::config::Hooks hooks{.check_regex = check_regex, .cores = [] { return 3U; }};
  const auto config = load_text(text, "fuzz.toml", environment, hooks);
  remora::config::Memo memo;
  for (int again = 0; again < 2; ++again) {
    const auto pieces = memo.load(text, "fuzz.toml", environment, hooks);
    require(pieces.has_value() == config.has_value(), "what loads does so in pieces, and nothing else");
    if (config) require(*pieces == *config, "the pieces make the same configuration");
  }
  if (!config) {
    const auto& problems = config.error();
    require(!problems.empty(), "a refusal has a reason");
    require(std::ranges::is_sorted(problems, {}, &Problem::line), "problems come in order of line");
    for (const auto& problem : problems) {
      require(!problem.message.empty(), "a problem has a message");
      const auto line = problem.to_string();
      require(std::ranges::none_of(line, [](unsigned char c) { return c < 0x20 || c == 0x7f; }),
              "messages are printable");
    }
    return 0;
  }
  const auto printed = remora::config::effective_toml(*config, remora::config::Secrets::kShow);
  if (printed.size() > remora::config::kMostBytes) return 0;
  const auto again = load_text(printed, "fuzz.toml", environment, hooks);
  if (!again) std::fprintf(stderr, "%s\n%s\n", printed.c_str(), again.error().front().to_string().c_str());
  require(again.has_value(), "the effective configuration loads");
  require(*again == *config, "the effective configuration is equal");
  const auto masked = load_text(remora::config::effective_toml(*config), "fuzz.toml", environment, hooks);
  require(masked.has_value(), "the masked configuration loads");
  return 0;
}
