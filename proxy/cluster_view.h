// What is known of a cluster and its endpoints at one instant, for the pages and the metrics: the three
// sources of health, each with its reason, and what became of them. Values, made by the Supervisor.
//
// Thread: the control thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "breaker/circuit_breaker.h"
#include "breaker/outcome.h"
#include "discovery/source_record.h"
#include "health/availability.h"
#include "health/checker.h"
#include "health/outlier.h"

namespace remora::proxy {

struct EndpointView {
  struct ActiveCheck {
    health::Checker::State state = health::Checker::State::kUnknown;
    std::string last_reason;  // of the last failure
    std::optional<Duration> failed_ago;
    std::optional<Duration> changed_ago;
    std::uint64_t passes = 0;
    std::uint64_t failures = 0;
  };
  struct Outlier {
    bool ejected = false;
    Duration ejected_for{};  // from now
    std::uint32_t ejections = 0;
    health::OutlierDetector::Reason last_reason = health::OutlierDetector::Reason::kNone;
    std::string last_detail;
  };
  struct LastFailure {
    breaker::Outcome outcome;
    Duration ago{};
  };

  std::string name;
  std::string address;
  health::Why why = health::Why::kAvailable;
  bool draining = false;
  double share = 1.0;  // of its weight, while it ramps up
  breaker::CircuitBreaker::View breaker;
  std::optional<Duration> breaker_changed_ago;
  std::optional<Duration> breaker_opens_for;  // from now
  std::optional<ActiveCheck> check;           // nullopt: not checked
  std::optional<Outlier> outlier;             // nullopt: not watched
  std::optional<LastFailure> last_failure;    // of an attempt; nullopt: none yet
  health::Sources::Member member = health::Sources::Member::kNone;
};

// A limit and how much of it is used. 0 = unlimited, and then nobody counts; but of pending requests, 0 =
// none.
struct LimitView {
  std::uint32_t most = 0;
  std::uint32_t in_use = 0;
};

// A source of a cluster's endpoints.
struct SourceView {
  enum class Kind : std::uint8_t { kStatic, kFile, kDns, kSrv, kSwim, kOriginalDestination };
  Kind kind = Kind::kStatic;
  std::string name;  // the path, the DNS name, the service; "" with kStatic and kOriginalDestination
  discovery::SourceRecord::State state = discovery::SourceRecord::State::kGood;
  std::size_t endpoints = 0;           // that it knows now
  std::optional<Duration> answer_age;  // of the last good one; nullopt: there was none
  std::optional<Duration> failed_ago;
  std::string last_error;  // "": none so far. May quote what a peer sent
  std::uint64_t failures = 0;
};

constexpr const char* to_string(SourceView::Kind kind) {
  switch (kind) {
    case SourceView::Kind::kStatic: return "static";
    case SourceView::Kind::kFile: return "file";
    case SourceView::Kind::kDns: return "dns";
    case SourceView::Kind::kSrv: return "srv";
    case SourceView::Kind::kOriginalDestination: return "original_destination";
    case SourceView::Kind::kSwim: break;
  }
  return "swim";
}

struct ClusterView {
  std::string name;
  bool panic = false;
  bool cluster_breaker = false;  // breaker_scope is the cluster: this breaker decides, not the endpoints'
  breaker::CircuitBreaker::View breaker;
  std::optional<Duration> breaker_changed_ago = std::nullopt;
  std::optional<Duration> breaker_opens_for = std::nullopt;  // from now
  LimitView requests;
  LimitView connections;
  LimitView pending;
  LimitView retries;
  std::optional<LimitView> adaptive;
  std::uint64_t retry_budget_left = 0;
  std::uint64_t ejections_suppressed = 0;
  std::vector<EndpointView> endpoints;
  std::vector<SourceView> sources = {};  // of the endpoints; for whoever knows them to fill in

  // Its endpoints are wherever connections were going: workers alone know them.
  bool goes_anywhere() const {
    return !sources.empty() && sources.front().kind == SourceView::Kind::kOriginalDestination;
  }
};

}  // namespace remora::proxy
