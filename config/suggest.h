// "Did you mean ...?": the nearest of a few known words.
//
// Thread: any; pure.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace remora::config {

// Insertions, deletions, replacements and swaps of neighbours that turn one into the other (optimal string
// alignment). O(a.size() * b.size()).
std::size_t edit_distance(std::string_view a, std::string_view b);

// The candidate nearest to `word`, if near enough to be a slip of the fingers: at most one edit per three
// letters, or one of them the beginning of the other ("warning", "warn"). The first of equals. Case does not
// count as a difference. Words beyond 64 bytes and candidates beyond the 200th are not looked at.
std::optional<std::string> nearest(std::string_view word, std::span<const std::string_view> candidates);

// `, did you mean "x"?` or, with nothing near, `otherwise`.
std::string did_you_mean(std::string_view word, std::span<const std::string_view> candidates,
                         std::string_view otherwise);

// "a, b, c": for messages that list what is possible. The words are ours: the operator's would need
// in_quotes().
std::string listed(std::span<const std::string_view> words);

}  // namespace remora::config
