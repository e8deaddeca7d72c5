// Collects what is wrong with a file while it is read, so that the operator sees every mistake at once.
//
// Thread: any, one at a time. Owner: load_text, for one file.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "config/load.h"

namespace remora::config {

// A place in the file: what a problem is reported against.
struct Where {
  std::size_t line = 0;  // 1-based; 0 = the file as a whole
  std::string key;  // "cluster.app.timeouts.connect"; elements of arrays count from one: "listener#2.route#1"

  Where member(std::string_view name) const;
  Where element(std::string_view name, std::size_t index) const;
};

class Report final {
 public:
  explicit Report(std::string file) : file_(std::move(file)) {}

  // `message` is "what is wrong, what would be right", one line.
  void add(const Where& where, std::string message);

  bool empty() const { return problems_.empty(); }
  // Whether something has been said about this very place. O(problems).
  bool mentions(const Where& where) const;
  // So many problems are kept that more would help nobody: callers may spare themselves the search for
  // remedies.
  bool full() const { return problems_.size() >= kMost; }

  // All problems in order of line; those of one line in the order in which they were found.
  Problems take();

 private:
  static constexpr std::size_t kMost = 1000;
  std::string file_;
  Problems problems_;
  std::size_t dropped_ = 0;
};

// The operator's own text inside a message: in quotes, shortened, with nothing a terminal would obey.
std::string in_quotes(std::string_view text);

}  // namespace remora::config
