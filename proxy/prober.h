// Active health checks: drives a health::Checker for each target with a Probe, and says when a state changes.
//
// A target has at most one check under way and one idle connection. A check may take `timeout`, connecting
// included. Time in which this process itself did not run is not counted against an endpoint.
//
// Thread: the control thread. Owner: Server. Destroying it ends the checks under way.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

#include "health/checker.h"
#include "proxy/env.h"
#include "proxy/probe.h"

namespace remora::proxy {

class Prober final {
 public:
  using Target = ProbeTarget;

  class Listener {
   public:
    // A target's state has changed, its first result included. `reason`: of the failure, one line; "" when it
    // passes. May call set_targets(); the arguments are valid until then.
    virtual void on_health(const Target& target, health::Checker::State state, std::string_view reason) = 0;

   protected:
    ~Listener() = default;
  };

  Prober(Env& env, Listener& listener);
  ~Prober();
  Prober(const Prober&) = delete;
  Prober& operator=(const Prober&) = delete;

  // What is to be checked from now on. A target of the same cluster and address, with equal settings, stays:
  // state, schedule, connection and a check under way, whatever else about it is new. Others start as
  // unknown. Those that are gone end at once. The listener is not called. Inside an event of the loop only:
  // outside, Env::now() is old, and the first checks would be due all at once.
  void set_targets(std::vector<Target> targets);

  // Every target has had its first result.
  bool settled() const;

  // The targets, in the order in which they were set; valid until they are set again.
  std::size_t size() const { return entries_.size(); }
  const Target& target(std::size_t index) const;
  const health::Checker& checker(std::size_t index) const;

 private:
  class Entry;

  void retire(std::unique_ptr<Entry> entry);

  Env& env_;
  Listener& listener_;
  std::vector<std::unique_ptr<Entry>> entries_;
};

}  // namespace remora::proxy
