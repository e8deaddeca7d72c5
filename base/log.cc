#include "base/log.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <mutex>

#include "base/log_format.h"
#include "base/log_repeats.h"
#include "base/log_writer.h"

namespace remora {
namespace {

constexpr std::array<std::string_view, 6> kLevels{"trace", "debug", "info", "warn", "error", "off"};

std::atomic<LogLevel> level_now{LogLevel::kInfo};
std::atomic<LogWriter*> sink{nullptr};
std::atomic<LogFormat> format_now{LogFormat::kText};

std::mutex repeats_mutex;  // guards `repeats`
LogRepeats repeats;

// One line under construction.
class Line final {
 public:
  void raw(std::string_view text) { text_.append(text); }
  void stamp() {
    append(UtcStamp::kSize, [](char* out) { return UtcStamp().write(out, wall_clock_ms()); });
  }
  void value(std::string_view text) {
    append(escaped_room(text.size()), [text](char* out) { return write_value(out, text); });
  }
  void escaped(std::string_view text) {
    append(escaped_room(text.size()), [text](char* out) { return escape_text(out, text); });
  }
  void json(std::string_view text) {
    raw("\"");
    append(escaped_room(text.size()), [text](char* out) { return escape_json(out, text); });
    raw("\"");
  }
  const std::string& text() const { return text_; }

 private:
  template <typename Write>
  void append(std::size_t room, Write write) {
    const std::size_t before = text_.size();
    text_.resize(before + room);
    char* const end = write(text_.data() + before);
    text_.resize(static_cast<std::size_t>(end - text_.data()));
  }

  std::string text_;
};

void write_text(Line& line, LogLevel level, std::string_view message,
                std::initializer_list<LogField> fields) {
  line.stamp();
  line.raw(" ");
  line.raw(to_string(level));
  line.raw(" ");
  line.escaped(message);
  for (const auto& [key, value] : fields) {
    line.raw(" ");
    line.raw(key);
    line.raw("=");
    line.value(value);
  }
}

void write_json(Line& line, LogLevel level, std::string_view message,
                std::initializer_list<LogField> fields) {
  line.raw("{\"time\":\"");
  line.stamp();
  line.raw("\",\"level\":");
  line.json(to_string(level));
  line.raw(",\"message\":");
  line.json(message);
  for (const auto& [key, value] : fields) {
    line.raw(",");
    line.json(key);
    line.raw(":");
    line.json(value);
  }
  line.raw("}");
}

// Before there is a sink: at start, and in tests.
void write_to_stderr(std::string line) {
  line.push_back('\n');
  for (std::string_view rest = line; !rest.empty();) {
    const ssize_t written = ::write(STDERR_FILENO, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
}

void emit(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  Line line;
  if (format_now.load(std::memory_order_relaxed) == LogFormat::kJson) {
    write_json(line, level, message, fields);
  } else {
    write_text(line, level, message, fields);
  }
  if (LogWriter* const writer = sink.load(std::memory_order_acquire)) {
    writer->write_line(line.text());
  } else {
    write_to_stderr(line.text());
  }
}

void emit(const std::vector<LogRepeats::LeftOut>& left_out) {
  for (const auto& [message, count] : left_out) {
    emit(LogLevel::kWarn, "repeated lines were left out",
         {{"repeated", message}, {"count", std::to_string(count)}});
  }
}

// FNV-1a of everything but the time.
std::uint64_t digest_of(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  std::uint64_t digest = 0xcbf29ce484222325U + static_cast<std::uint64_t>(level);
  const auto add = [&digest](std::string_view text) {
    for (const char c : text) digest = (digest ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
    digest = (digest ^ 0xffU) * 0x100000001b3U;  // in no UTF-8: ends the text
  };
  add(message);
  for (const auto& [key, value] : fields) {
    add(key);
    add(value);
  }
  return digest;
}

}  // namespace

std::optional<LogLevel> parse_log_level(std::string_view text) {
  for (std::size_t i = 0; i < kLevels.size(); ++i) {
    if (kLevels[i] == text) return static_cast<LogLevel>(i);
  }
  return std::nullopt;
}

std::string_view to_string(LogLevel level) { return kLevels[static_cast<std::size_t>(level)]; }

void set_log_sink(LogWriter* writer, LogFormat format) {
  if (writer == nullptr && sink.load(std::memory_order_acquire) != nullptr) {  // the log ends
    std::unique_lock lock(repeats_mutex);
    const auto left_out = repeats.take_left_out(0, true);
    lock.unlock();
    emit(left_out);
  }
  format_now.store(format, std::memory_order_relaxed);
  sink.store(writer, std::memory_order_release);
}

void set_log_level(LogLevel level) { level_now.store(level, std::memory_order_relaxed); }

LogLevel log_level() { return level_now.load(std::memory_order_relaxed); }

void log_line(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  if (level < log_level() || level == LogLevel::kOff) return;
  const std::int64_t now_ms = wall_clock_ms();
  const std::uint64_t digest = digest_of(level, message, fields);
  std::unique_lock lock(repeats_mutex);
  const auto left_out = repeats.take_left_out(now_ms);
  const bool may_write = repeats.may_write(digest, message, now_ms);
  lock.unlock();
  emit(left_out);
  if (may_write) emit(level, message, fields);
}

}  // namespace remora
