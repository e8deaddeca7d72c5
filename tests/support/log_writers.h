// Log writers for tests of logs.
#pragma once

#include <doctest/doctest.h>

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/log_writer.h"
#include "tests/support/pipe.h"

namespace remora::test {

inline std::unique_ptr<LogWriter> writer_to(Pipe& pipe, const LogWriter::Settings& settings = {}) {
  auto writer = LogWriter::from_descriptor(pipe.take_out(), "pipe", settings);
  REQUIRE(writer);
  return std::move(*writer);
}

inline std::unique_ptr<LogWriter> writer_to(const std::string& path,
                                            const LogWriter::Settings& settings = {}) {
  auto writer = LogWriter::open(path, settings);
  REQUIRE(writer);
  return std::move(*writer);
}

// Appends numbered lines of `line_size` bytes until so many were refused; returns those that were not.
inline std::vector<std::string> fill(LogWriter::Producer& producer, std::size_t line_size,
                                     std::size_t refusals) {
  std::vector<std::string> accepted;
  for (std::size_t refused = 0, i = 0; refused < refusals; ++i) {
    std::string line = std::to_string(i);
    line.resize(line_size, '.');
    if (producer.append(line)) {
      accepted.push_back(line);
    } else {
      ++refused;
    }
  }
  return accepted;
}

}  // namespace remora::test
