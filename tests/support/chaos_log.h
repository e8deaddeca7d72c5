// The access log of tests/support/chaos.cc, and what is read in it.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "base/log_writer.h"
#include "proxy/access_log.h"
#include "tests/support/chaos.h"
#include "tests/support/chaos_words.h"

namespace remora::testing {

inline void require(bool condition, const std::string& what) {
  if (!condition) throw std::runtime_error(what);
}

using Codes = std::array<std::uint64_t, 6>;  // by status / 100

// Exchanges as the access log has them. A line of TCP has no status, although it is counted by one.
struct Logged {
  Codes codes{};
  std::uint64_t tcp = 0;
  std::string lines;
};

// One access log for all runs: a thread per run would be most of its cost.
class ChaosLog final {
 public:
  explicit ChaosLog(Chaos::LogTo to)
      : full_(to == Chaos::LogTo::kFullDisk),
        fd_(full_ ? open("/dev/full", O_WRONLY | O_CLOEXEC) : memfd_create("access-log", MFD_CLOEXEC)) {
    // `drain`: whether all of it is written must not depend on how busy the machine is.
    auto writer = LogWriter::from_descriptor(dup(fd_), "memory", {.drain = 2min, .quiet = true});
    require(writer.has_value(), "the log writer starts");
    writer_ = std::move(*writer);
    log_ = std::make_unique<proxy::AccessLog>(writer_->make_producer(), LogFormat::kJson, 1.0);
  }
  ~ChaosLog() {
    log_.reset();
    writer_.reset();
    close(fd_);
  }
  ChaosLog(const ChaosLog&) = delete;
  ChaosLog& operator=(const ChaosLog&) = delete;

  proxy::AccessLog& access_log() { return *log_; }
  bool full() const { return full_; }
  // Since the last call; without those of the listener that comes and goes, whose counts go with it.
  Logged new_lines() {
    require(writer_->flush(), "the log is flushed");
    Logged logged;
    std::array<char, 65536> buffer;
    while (const auto got = full_ ? 0 : pread(fd_, buffer.data(), buffer.size(), at_)) {
      require(got > 0, "the log is read");
      at_ += got;
      text_.append(buffer.data(), static_cast<std::size_t>(got));
    }
    std::size_t from = 0;
    for (auto end = text_.find('\n'); end != std::string::npos; end = text_.find('\n', from)) {
      count(std::string_view(text_).substr(from, end - from), logged);
      from = end + 1;
    }
    logged.lines = text_.substr(0, from);
    text_.erase(0, from);
    require(text_.empty(), "every line of the log is whole");
    if (at_ > 16 * 1024 * 1024) {
      require(ftruncate(fd_, 0) == 0 && lseek(fd_, 0, SEEK_SET) == 0, "the log is emptied");
      at_ = 0;
    }
    return logged;
  }
  std::uint64_t new_drops() {
    require(writer_->flush(), "the log is flushed");
    return writer_->dropped() - std::exchange(dropped_, writer_->dropped());
  }

 private:
  static bool has(std::string_view line, const std::string& part) {
    return line.find(part) != std::string_view::npos;
  }
  static void count(std::string_view line, Logged& logged) {
    constexpr std::string_view kStatus = "\"status\":";
    const auto at = line.find(kStatus);
    require(at != std::string_view::npos && line.back() == '}', "a line of the log has a status");
    if (has(line, "\"listener\":\"" + std::string(kComesAndGoes) + '"')) return;
    const char digit = line[at + kStatus.size()];
    require(digit >= '0' && digit <= '5', "a status is logged");
    if (digit != '0' || !has(line, R"("method":"")")) {
      ++logged.codes[static_cast<std::size_t>(digit - '0')];
    } else {
      // Refused before it could ask for anything: no exchange.
      const bool refused =
          has(line, R"("cluster":"")") &&
          (has(line, R"("flag":"DT")") || has(line, R"("flag":"DPE")") || has(line, R"("flag":"TF")"));
      if (!refused) ++logged.tcp;
    }
  }

  bool full_;
  int fd_;
  off_t at_ = 0;
  std::string text_;
  std::uint64_t dropped_ = 0;
  std::unique_ptr<LogWriter> writer_;
  std::unique_ptr<proxy::AccessLog> log_;
};

}  // namespace remora::testing
