// The latest changes of state, for whoever looks at the live page after the fact: breakers, health checks,
// ejections, orders, names, members of the mesh, the configuration, the process itself. The same changes are
// in the log; these are bounded and typed.
//
// Thread: the control thread; an Event is a value, made on any. Owner: Server.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "base/time.h"

namespace remora::proxy {

struct Event {
  enum class Kind : std::uint8_t {
    kBreaker,
    kHealthCheck,
    kOutlier,
    kOrder,
    kDns,
    kFile,
    kMember,
    kReload,
    kProcess
  };

  std::uint64_t id = 0;  // given by the ring: 1, 2, 3 ...
  TimePoint at{};
  Kind kind = Kind::kProcess;
  std::string cluster;   // "": of the process
  std::string endpoint;  // an address, "*" for a cluster's own breaker, a name with kDns and kMember, a path
                         // with kFile; may be ""
  std::string from;      // the state before; "": unknown, or does not matter
  std::string to;
  std::string reason;  // may quote what a peer sent; may be ""
};

const char* to_string(Event::Kind kind);

class EventRing final {
 public:
  static constexpr std::size_t kMost = 256;
  static constexpr std::size_t kLongestText = 512;  // of each text; more of it is cut off

  // The oldest goes when there are kMost.
  void add(Event event);

  // Those after `id`, oldest first. All of them when `id` is none that has been given yet: who asks has seen
  // another process.
  std::vector<const Event*> since(std::uint64_t id) const;
  // The id of the latest; 0: none.
  std::uint64_t last() const { return last_; }

 private:
  std::deque<Event> events_;
  std::uint64_t last_ = 0;
};

}  // namespace remora::proxy
