#include "config/suggest.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "config/report.h"

namespace remora::config {

namespace {

constexpr std::size_t kLongestWord = 64;
constexpr std::size_t kMostCandidates = 200;
constexpr std::size_t kShortestStem = 3;

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

}  // namespace

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1);
  std::vector<std::size_t> previous(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) previous[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = previous[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({previous[j] + 1, row[j - 1] + 1, replaced});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    before.swap(previous);
    previous.swap(row);
  }
  return previous[b.size()];
}

std::optional<std::string> nearest(std::string_view word, std::span<const std::string_view> candidates) {
  if (word.empty() || word.size() > kLongestWord) return std::nullopt;
  const auto wanted = lower(word);
  const std::size_t allowed = std::max<std::size_t>(1, (word.size() + 1) / 3);
  std::size_t best = std::numeric_limits<std::size_t>::max();
  std::optional<std::string> found;
  for (const auto candidate : candidates.first(std::min(candidates.size(), kMostCandidates))) {
    const auto known = lower(candidate);
    const auto longer = std::max(known.size(), wanted.size());
    const auto shorter = std::min(known.size(), wanted.size());
    const bool shortened =
        shorter >= kShortestStem && (known.starts_with(wanted) || wanted.starts_with(known));
    if ((longer - shorter > allowed && !shortened) || known.size() > kLongestWord) continue;
    const auto distance = shortened ? std::min(allowed, longer - shorter) : edit_distance(wanted, known);
    // A word of which nothing is left is no slip: "a" and "b" differ by one edit, but are not alike.
    if (distance > allowed || distance >= longer || distance >= best) continue;
    best = distance;
    found = candidate;
  }
  return found;
}

std::string did_you_mean(std::string_view word, std::span<const std::string_view> candidates,
                         std::string_view otherwise) {
  if (const auto near = nearest(word, candidates)) return ", did you mean " + in_quotes(*near) + "?";
  return std::string(otherwise);
}

std::string listed(std::span<const std::string_view> words) {
  std::string out;
  for (const auto word : words) {
    if (!out.empty()) out += ", ";
    out += word;
  }
  return out;
}

}  // namespace remora::config
