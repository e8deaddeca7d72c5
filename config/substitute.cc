#include "config/substitute.h"

#include <fmt/format.h>

#include <algorithm>

#include "config/report.h"

namespace remora::config {

namespace {

bool letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

bool is_name(std::string_view name) {
  return !name.empty() && letter(name.front()) &&
         std::ranges::all_of(name, [](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

}  // namespace

std::expected<std::string, std::string> Substitution::value_of(std::string_view expression) {
  const auto colon = expression.find(":-");
  const std::string name(expression.substr(0, colon));
  if (!is_name(name)) {
    return std::unexpected(fmt::format(
        "{} is not the name of a variable, write ${{NAME}}, ${{NAME:-default}}, or $$ for a plain $",
        in_quotes(name)));
  }
  ++looked_up_;
  auto value = environment_ ? environment_(name) : std::nullopt;
  if (colon != std::string_view::npos && (!value || value->empty())) value = expression.substr(colon + 2);
  if (!value) {
    return std::unexpected(
        fmt::format("environment variable {0} is not set, set it or write ${{{0}:-default}}", name));
  }
  if (value->size() > budget_) {
    return std::unexpected(
        fmt::format("environment variable {} is too large, variables may fill in 4MiB", name));
  }
  if (value->find('\0') != std::string::npos) {
    return std::unexpected(fmt::format("environment variable {} contains a NUL byte, remove it", name));
  }
  budget_ -= value->size();
  return *std::move(value);
}

std::expected<Substitution::Filled, std::string> Substitution::fill(std::string_view text) {
  Filled filled;
  std::size_t at = 0;
  while (at < text.size()) {
    const auto dollar = text.find('$', at);
    filled.text += text.substr(at, dollar - at);
    if (dollar == std::string_view::npos) break;
    const char next = dollar + 1 < text.size() ? text[dollar + 1] : '\0';
    if (next != '{') {
      filled.text += '$';
      at = dollar + (next == '$' ? 2 : 1);
      continue;
    }
    const auto close = text.find('}', dollar);
    if (close == std::string_view::npos) {
      return std::unexpected(
          fmt::format("{} has a ${{ without a }}, write ${{NAME}}, or $$ for a plain $", in_quotes(text)));
    }
    auto value = value_of(text.substr(dollar + 2, close - dollar - 2));
    if (!value) return std::unexpected(std::move(value.error()));
    filled.text += *value;
    filled.from_environment = true;
    at = close + 1;
  }
  return filled;
}

}  // namespace remora::config
