// Durations ("250ms", "5s", "2m", "1h") and sizes ("512B", "64KiB", "1MiB", "2GiB") as the file writes them:
// a whole number and a unit, nothing else. A plain 0 needs no unit.
//
// Thread: any; pure.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"

namespace remora::config {

// The value, or "what is wrong, what would be right".
std::expected<Duration, std::string> parse_duration(std::string_view text);
std::expected<std::uint64_t, std::string> parse_size(std::string_view text);

// In the largest unit that is exact; what the parsers read back. Durations are cut to milliseconds.
std::string format_duration(Duration duration);
std::string format_size(std::uint64_t bytes);

}  // namespace remora::config
