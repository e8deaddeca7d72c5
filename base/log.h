// The operational log: levelled lines of key=value (or JSON), for people and collectors. Formatting happens
// on the calling thread, writing on the log's own (base/log_writer.h), so that no caller ever waits for a
// disk or a pipe. Cheap when the level is off: one relaxed load.
//
//   log_info("listening", {{"listener", name}, {"address", text}});
//   2026-11-20T12:00:00.123Z info listening listener=in address=127.0.0.1:8080
//
// Thread: any. The level may be changed at any time by any thread.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

namespace remora {

enum class LogLevel : std::uint8_t { kTrace, kDebug, kInfo, kWarn, kError, kOff };
enum class LogFormat : std::uint8_t { kText, kJson };

std::optional<LogLevel> parse_log_level(std::string_view text);
std::string_view to_string(LogLevel level);

// One key and value of a log line. Keys are snake_case literals of ours and written as they are; values are
// quoted and escaped as the format needs, so that no value can pretend to be another field or line. Views are
// read at once. "time", "level" and "message" are taken (JSON).
struct LogField {
  std::string_view key;
  std::string_view value;
};

class LogWriter;

// Where lines go: nullptr (the initial state) writes to stderr directly. Set at start, before other threads
// exist, and to nullptr again before the writer dies.
void set_log_sink(LogWriter* writer, LogFormat format);
void set_log_level(LogLevel level);
LogLevel log_level();

void log_line(LogLevel level, std::string_view message, std::initializer_list<LogField> fields);

inline void log_trace(std::string_view m, std::initializer_list<LogField> f = {}) {
  log_line(LogLevel::kTrace, m, f);
}
inline void log_debug(std::string_view m, std::initializer_list<LogField> f = {}) {
  log_line(LogLevel::kDebug, m, f);
}
inline void log_info(std::string_view m, std::initializer_list<LogField> f = {}) {
  log_line(LogLevel::kInfo, m, f);
}
inline void log_warn(std::string_view m, std::initializer_list<LogField> f = {}) {
  log_line(LogLevel::kWarn, m, f);
}
inline void log_error(std::string_view m, std::initializer_list<LogField> f = {}) {
  log_line(LogLevel::kError, m, f);
}

}  // namespace remora
