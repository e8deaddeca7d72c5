// The value of Date (RFC 9110 section 6.6.1), made at most once a second: a gateway with a clock adds it to
// responses that lack it.
//
// Thread: the loop's. Owner: whoever owns the Env.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/time.h"

namespace remora::proxy {

class HttpDate final {
 public:
  // Seconds since 1970.
  using WallClock = std::int64_t (*)();

  explicit HttpDate(WallClock clock) : clock_(clock) {}

  // "Sun, 06 Nov 1994 08:49:37 GMT", not older than a second at `now`. Valid until the next call.
  std::string_view text(TimePoint now) {
    if (text_.empty() || now >= next_) {
      text_ = format(clock_());
      next_ = now + 1s;
    }
    return text_;
  }

  // The wall clock's time, for what a peer has written as a date.
  std::int64_t seconds() const { return clock_(); }

  static std::string format(std::int64_t seconds_since_1970);

 private:
  WallClock clock_;
  std::string text_;
  TimePoint next_{};
};

}  // namespace remora::proxy
