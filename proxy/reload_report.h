// What came of a reload, for pages, commands, metrics and the log.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/diff.h"

namespace remora::proxy {

struct ReloadReport {
  enum class Result : std::uint8_t {
    kApplied,    // every worker serves by the new file
    kUnchanged,  // the file says what is running
    kRejected,   // the file, or something it asks for, is wrong: nothing has changed
    kRefused,    // not now: nothing has been looked at
  };
  Result result = Result::kRefused;
  std::vector<config::Change> changes;  // with kApplied, and those that need a restart
  std::vector<std::string> errors;      // with kRejected and kRefused, a line each
  double at = 0.0;                      // when, in seconds since 1970

  bool good() const { return result == Result::kApplied || result == Result::kUnchanged; }
};

// For metrics and /config.
struct ReloadStatus {
  std::uint64_t succeeded = 0;
  std::uint64_t rejected = 0;
  double last_success = 0.0;  // seconds since 1970; the start, if there was none
  bool last_rejected = false;
};

const char* to_string(ReloadReport::Result result);  // "applied", "unchanged", "rejected", "refused"

// {"result": "applied", "at": 1700000000.5, "changes": [{"kind": "changed", "object": "listener in",
//  "details": ["routes"], "restart": false}], "errors": []}
std::string reload_json(const ReloadReport& report);
// For people: a line per change or error.
std::string reload_text(const ReloadReport& report);
// In one line: the first changes or errors, and how many more.
std::string reload_summary(const ReloadReport& report);

}  // namespace remora::proxy
