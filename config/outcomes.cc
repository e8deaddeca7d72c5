#include "config/outcomes.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "config/suggest.h"

namespace remora::config {

namespace {

constexpr unsigned kFirst = 200;  // 1xx are never the last response (RFC 9110 section 15.2)
constexpr unsigned kLast = StatusSet::kLast;
constexpr std::string_view kSuch = "statuses such as \"503\", \"500-504\" or \"5xx\"";

bool digit(char c) { return c >= '0' && c <= '9'; }

std::optional<unsigned> number(std::string_view text) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc{} && end == text.data() + text.size();
  return whole && !text.empty() ? std::optional(value) : std::nullopt;
}

// Any of the three forms, whatever the numbers.
std::optional<StatusRange> shape(std::string_view text) {
  if (text.size() == 3 && digit(text.front()) && text.ends_with("xx")) {
    const auto hundreds = static_cast<unsigned>(text.front() - '0') * 100;
    return StatusRange{hundreds, hundreds + 99};
  }
  const auto dash = text.find('-');
  const auto first = number(text.substr(0, dash));
  if (dash == std::string_view::npos)
    return first ? std::optional(StatusRange{*first, *first}) : std::nullopt;
  const auto last = number(text.substr(dash + 1));
  return first && last ? std::optional(StatusRange{*first, *last}) : std::nullopt;
}

std::string written(StatusRange range) {
  if (range.first % 100 == 0 && range.last == range.first + 99) return fmt::format("{}xx", range.first / 100);
  if (range.first == range.last) return std::to_string(range.first);
  return fmt::format("{}-{}", range.first, range.last);
}

// "5XX" and "500 - 504" are near enough to say what was meant.
std::string tidied(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c != ' ') out += c == 'X' ? 'x' : c;
  }
  return out;
}

std::string about(std::string_view text, std::span<const OutcomeWord> words) {
  std::vector<std::string_view> known;
  for (const auto& word : words) known.push_back(word.word);
  const auto otherwise = fmt::format(", write one of {}, or {}", listed(known), kSuch);
  return fmt::format("{} is not an outcome{}", in_quotes(text), did_you_mean(text, known, otherwise));
}

void read_outcome(const Item& item, std::span<const OutcomeWord> words, StatusSet& statuses, Report& report) {
  if (item.node->kind == Node::Kind::kInteger) {
    return report.add(item.where, fmt::format("{}, write it in quotes: {}", describe(*item.node),
                                              in_quotes(item.node->text)));
  }
  const auto text = read_string(item, words.empty() ? "\"200-399\"" : "\"5xx\"", report);
  if (!text) return;
  StatusRange meant;
  const auto word = std::ranges::find(words, *text, &OutcomeWord::word);
  if (word != words.end()) {
    if (word->flag != nullptr) *word->flag = true;
    meant = word->statuses;
  } else if (!words.empty() && (text->empty() || !digit(text->front()))) {
    return report.add(item.where, about(*text, words));
  } else if (const auto parsed = parse_statuses(*text)) {
    meant = *parsed;
  } else {
    return report.add(item.where, parsed.error());
  }
  if (meant.first > 0) statuses.add(meant.first, meant.last);
}

}  // namespace

std::expected<StatusRange, std::string> parse_statuses(std::string_view text) {
  const auto range = shape(text);
  if (!range) {
    const auto tidy = tidied(text);
    const auto remedy =
        shape(tidy) ? fmt::format("did you mean {}?", in_quotes(tidy)) : fmt::format("write {}", kSuch);
    return std::unexpected(fmt::format("{} is not a status, {}", in_quotes(text), remedy));
  }
  if (range->last < range->first) {
    return std::unexpected(
        fmt::format("{} runs backwards, write \"{}-{}\"", in_quotes(text), range->last, range->first));
  }
  if (range->first < kFirst || range->last > kLast) {
    return std::unexpected(
        fmt::format("{} is out of range, write statuses from {} to {}", in_quotes(text), kFirst, kLast));
  }
  return *range;
}

std::vector<std::string> format_statuses(const StatusSet& set) {
  std::vector<std::string> out;
  for (unsigned first = StatusSet::kFirst; first <= kLast; ++first) {
    if (!set.contains(first)) continue;
    unsigned last = first;
    while (set.contains(last + 1)) ++last;
    out.push_back(written({first, last}));
    first = last;
  }
  return out;
}

void read_outcomes(const TableReader& reader, std::string_view key, std::span<const OutcomeWord> words,
                   StatusSet& statuses, std::string_view if_empty) {
  const auto* list = reader.find(key);
  const auto items = reader.elements(key, words.empty() ? "[\"200-399\"]" : "[\"5xx\"]");
  if (list == nullptr || list->kind != Node::Kind::kArray) return;
  if (items.empty() && !if_empty.empty()) reader.problem(key, std::string(if_empty));
  for (const auto& word : words) {
    if (word.flag != nullptr) *word.flag = false;
  }
  statuses = {};
  for (const auto& item : items) read_outcome(item, words, statuses, reader.report());
}

}  // namespace remora::config
