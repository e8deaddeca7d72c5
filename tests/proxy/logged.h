// The operational log of a test, for those that look at it and those that only must not write to stderr.
//
// Thread: the test's. Owner: the test; one at a time.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "tests/support/log_writers.h"

namespace remora::testing {

// What is logged as long as it lives.
class Logged final {
 public:
  Logged() : level_(log_level()), writer_(test::writer_to(pipe_, {.quiet = true})) {
    set_log_level(LogLevel::kInfo);
    set_log_sink(writer_.get(), LogFormat::kText);
  }
  Logged(const Logged&) = delete;
  Logged& operator=(const Logged&) = delete;
  ~Logged() {
    set_log_sink(nullptr, LogFormat::kText);
    set_log_level(level_);
  }
  // All lines without their times; the log ends with them.
  std::vector<std::string> lines() {
    set_log_sink(nullptr, LogFormat::kText);
    set_log_level(LogLevel::kOff);
    writer_.reset();
    auto lines = test::split_lines(pipe_.read_all());
    for (std::string& line : lines) line.erase(0, line.find(' ') + 1);
    return lines;
  }

 private:
  LogLevel level_;
  test::Pipe pipe_;
  std::unique_ptr<LogWriter> writer_;
};

}  // namespace remora::testing
