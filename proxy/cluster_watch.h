// What the control thread does for one cluster: outlier detection and the adaptive limit, each in its own
// interval, on the numbers that the workers leave in the shared state.
//
// Thread: the control thread. Owner: Supervisor.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "breaker/adaptive_limit.h"
#include "health/outlier.h"
#include "proxy/env.h"
#include "proxy/state_registry.h"

namespace remora::proxy {

class ClusterWatch final {
 public:
  ClusterWatch(Env& env, const config::Cluster& settings, std::shared_ptr<ClusterState> state);
  ~ClusterWatch();
  ClusterWatch(const ClusterWatch&) = delete;
  ClusterWatch& operator=(const ClusterWatch&) = delete;

  // There is something to do with these settings.
  static bool needed(const config::Cluster& settings) {
    return settings.outlier.enabled || settings.adaptive.enabled;
  }
  // It works as these settings say.
  bool watches(const config::Cluster& settings) const;
  // Who exists now. Those that stay keep their ejections.
  void set_endpoints(const EndpointList& endpoints);
  // The availability of endpoints has changed for other reasons than ejection.
  void refresh_usable();
  void on_failures_in_a_row(const EndpointState& endpoint);

  // nullptr: not watched.
  const health::OutlierDetector::Standing* standing(const EndpointState& endpoint) const;
  std::uint64_t suppressed() const { return detector_ ? detector_->suppressed() : 0; }
  const ClusterState& state() const { return *state_; }

 private:
  struct Slot {
    std::string address;
    std::shared_ptr<EndpointState> state;  // null: free
  };

  void on_outlier_timer();
  void on_adaptive_timer();
  void carry_out(const std::vector<health::OutlierDetector::Change>& changes);
  void log_change(const Slot& slot, const health::OutlierDetector::Change& change);
  void tell(const Slot& slot, const health::OutlierDetector::Change& change);
  std::optional<std::size_t> slot_of(const EndpointState& endpoint) const;
  void arm();

  Env& env_;
  std::string name_;
  health::OutlierDetector::Settings outlier_settings_;
  breaker::AdaptiveLimit::Settings adaptive_settings_;
  double panic_below_;
  std::shared_ptr<ClusterState> state_;
  std::optional<health::OutlierDetector> detector_;
  std::optional<breaker::AdaptiveLimit> adaptive_;
  std::vector<Slot> slots_;  // the detector's indices
  MemberTimer<ClusterWatch, &ClusterWatch::on_outlier_timer> outlier_timer_{*this};
  MemberTimer<ClusterWatch, &ClusterWatch::on_adaptive_timer> adaptive_timer_{*this};
};

}  // namespace remora::proxy
