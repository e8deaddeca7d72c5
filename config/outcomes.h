// Lists of outcomes: what counts as a failure, what is tried again, what means well. An element is a word
// such as "reset", or statuses: "503", "500-504", "5xx". Only those that end an exchange, 200 to 599.
//
// Thread: any; pure but for the report.
#pragma once

#include <expected>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status_set.h"
#include "config/reader.h"

namespace remora::config {

// Both ends included; {0, 0} = none.
struct StatusRange {
  unsigned first = 0;
  unsigned last = 0;
};

// The range, or "what is wrong, what would be right".
std::expected<StatusRange, std::string> parse_statuses(std::string_view text);

// The shortest list that parses to the statuses of the set, in ascending order.
std::vector<std::string> format_statuses(const StatusSet& set);

// A word, and what it switches on: a flag, or statuses.
struct OutcomeWord {
  std::string_view word;
  bool* flag = nullptr;
  StatusRange statuses;
};

// Reads the list that is this member: what it names is on, everything else is off. What is not there, or
// wrong, changes nothing. `if_empty`: the complaint about a list without elements; "" = such a list is fine.
void read_outcomes(const TableReader& reader, std::string_view key, std::span<const OutcomeWord> words,
                   StatusSet& statuses, std::string_view if_empty);

}  // namespace remora::config
