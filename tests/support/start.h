// The moment at which tests in virtual time begin.
#pragma once

#include "base/time.h"

namespace remora {

// Not zero: what takes zero for "never" would pass.
inline constexpr TimePoint kStart{std::chrono::hours{1}};

}  // namespace remora
