// One frame of `remora top`: what is wrong in words, then numbers, clusters with their endpoints (those with
// problems first), recent changes; as much of it as fits. The words are those of the live page (proxy/ui/).
//
// Pure.
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <vector>

#include "proxy/top_stats.h"

namespace remora::proxy {

struct TopInput {
  std::string server;                            // whom it is about
  const TopStats* now = nullptr;                 // nullptr: it has not answered yet
  const TopStats* then = nullptr;                // some seconds older; nullptr: none, and no rates
  const std::deque<TopEvent>* events = nullptr;  // oldest first; nullptr: none
  std::vector<double> rates{};                   // requests per second of the last seconds, oldest first
  std::string gone{};                            // why there is no answer; "": there is one
};

struct TopLayout {
  std::size_t columns = 80;
  std::size_t rows = 24;  // 0: as many as it takes
  bool colour = false;
  bool utf8 = false;  // may draw
};

enum class TopLevel { kOk, kWarn, kBad };
struct TopProblem {
  TopLevel level = TopLevel::kOk;
  std::string text;
};

// Everything that is wrong, the worst first.
std::vector<TopProblem> top_problems(const TopInput& input);

// Lines, each ending in \n but the last, none longer than the layout's columns (codes of colours not
// counted).
std::string top_frame(const TopInput& input, const TopLayout& layout);

}  // namespace remora::proxy
