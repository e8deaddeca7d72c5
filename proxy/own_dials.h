// Where this worker's own connections to endpoints come from, so that one which the firewall sends back to it
// is known for what it is. Kept only while some listener takes redirected connections: it costs a system call
// each.
//
// Thread: the worker's. Owner: the worker thread; it outlives the connections.
#pragma once

#include <string>
#include <unordered_map>
#include <unordered_set>

#include "base/address.h"

namespace remora::proxy {

class OwnDials final {
 public:
  void set_wanted(bool wanted) { wanted_ = wanted; }
  bool wanted() const { return wanted_; }

  void note(const void* connection, const Address& local) {
    const auto [place, fresh] = addresses_.insert(local.to_string());
    if (fresh) of_.emplace(connection, *place);
  }
  void forget(const void* connection) {
    const auto noted = of_.find(connection);
    if (noted == of_.end()) return;
    addresses_.erase(noted->second);
    of_.erase(noted);
  }
  bool contains(const Address& peer) const {
    return !addresses_.empty() && addresses_.contains(peer.to_string());
  }

 private:
  bool wanted_ = false;
  std::unordered_set<std::string> addresses_;
  std::unordered_map<const void*, std::string> of_;
};

}  // namespace remora::proxy
