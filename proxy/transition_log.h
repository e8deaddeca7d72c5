// One log line and one event (ClusterState::Events) for each change of an endpoint's state, so many a second
// and no more: a flapping endpoint must not fill the disk. What is left out is counted, and said with the
// next line.
//
// Thread: any.
#pragma once

#include <string_view>

#include "breaker/circuit_breaker.h"
#include "proxy/shared_state.h"

namespace remora::proxy {

// True: write the line, and tell of the event. Else it was counted.
bool may_log_line(ClusterState& cluster, TimePoint now);

// A breaker's. `endpoint`: its address, or "*" for the cluster's own breaker.
void log_transition(ClusterState& cluster, std::string_view name, std::string_view endpoint,
                    const breaker::CircuitBreaker::Transition& transition, TimePoint now);

}  // namespace remora::proxy
