// The sets of services that are too large for their members' metadata: which of them are known, and whom to
// ask for those that are not. A set that has changed stays in use until its successor is here.
//
// Bounds: kAtOnce members are asked at a time; kTotal bytes are held of all sets together; a member that does
// not answer is asked again after kAgain, doubling to kLongest.
//
// Pure. Thread: the control thread. Owner: proxy::Gossip.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "discovery/swim/service.h"

namespace remora::discovery::swim {

class ServiceSets final {
 public:
  static constexpr std::size_t kAtOnce = 8;
  static constexpr std::size_t kTotal = std::size_t{16} << 20U;
  static constexpr Duration kAgain = 500ms;
  static constexpr Duration kLongest = 30s;

  struct Announced {
    std::string member;
    std::uint64_t digest = 0;
  };

  // All members that have such a set now; others are forgotten.
  void update(const std::vector<Announced>& members, TimePoint now);
  // A member to be asked now, from now on being asked; nullopt: nobody is.
  std::optional<std::string> next(TimePoint now);
  // When next() may have somebody without anything else happening.
  TimePoint next_wakeup() const;
  // What asking came to; nullopt: nothing. True: find() says something else than before.
  bool on_answer(std::string_view member, std::optional<std::string_view> set, TimePoint now);
  // nullptr: nothing is known.
  const Tags* find(std::string_view member) const;

 private:
  struct Set {
    std::uint64_t announced = 0;
    std::uint64_t asked = 0;
    std::optional<std::uint64_t> known = {};
    Tags tags = {};
    std::size_t bytes = 0;
    bool asking = false;
    unsigned failures = 0;
    TimePoint again{};  // when it may be asked (again)
  };

  std::map<std::string, Set, std::less<>> sets_;
  std::size_t asking_ = 0;
  std::size_t total_ = 0;  // bytes
};

}  // namespace remora::discovery::swim
