// What a second configuration changes: object by object, for people and programs. It says what a reload does
// before it is done; deciding how each part of the process takes it over is theirs.
//
// Pure. O(n) in the size of both.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/config.h"

namespace remora::config {

struct Change {
  enum class Kind : std::uint8_t { kAdded, kRemoved, kChanged };
  Kind kind = Kind::kChanged;
  std::string object;  // "listener in", "cluster app", "endpoint 10.0.0.1:80 of cluster app", "log"
  std::vector<std::string>
      details;           // with kChanged: what, as the keys are called ("routes", "address a -> b")
  bool restart = false;  // takes effect when the process starts anew
  bool operator==(const Change&) const = default;
  // One line: "changed listener in: routes, address a -> b".
  std::string to_string() const;
};

const char* to_string(Change::Kind kind);

// In the order process, listeners, clusters; within each that of the file, what was removed last. Empty: both
// mean the same. Listeners and clusters are matched by name, endpoints by cluster and name.
[[gnu::cold]] std::vector<Change> diff(const Config& before, const Config& after);

// Of it, what takes effect when the process starts anew. Looks at neither listeners nor clusters.
[[gnu::cold]] std::vector<Change> diff_restart(const Config& started, const Config& after);

}  // namespace remora::config
