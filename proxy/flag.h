// Why an exchange did not go as asked: the short code that the access log, `x-remora-flag` and the metrics
// share. The table "everything that can go wrong" in docs/architecture.md says which event gets which.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace remora::proxy {

enum class Flag : std::uint8_t {
  kNone,
  kDownstreamProtocolError,  // DPE
  kDownstreamLimit,          // DL   a limit on what the client sent
  kDownstreamTimeout,        // DT   the client was too slow
  kNoRoute,                  // NR
  kLoopDetected,             // LD
  kNoHealthyEndpoint,        // UH
  kOverflow,                 // UO   a limit of ours towards the upstream
  kUpstreamConnectFailure,   // UF
  kUpstreamClosed,           // UC   reset or closed before or inside the response
  kUpstreamProtocolError,    // UPE
  kUpstreamTimeout,          // UT
  kUpstreamRetried,          // UR   tried again, with success: the client noticed nothing
  kDownstreamClosed,         // DC   the client left
  kBreakerOpen,              // CO   every candidate's circuit breaker is open
  kRateLimited,              // RL
  kShed,                     // SH   Remora itself is overloaded
  kDenied,                   // AD   who calls is not among those allowed
  kTlsFailed,                // TF   a client's TLS handshake failed
  kCount,
};

inline constexpr std::size_t kFlagCount = static_cast<std::size_t>(Flag::kCount);

// "-" for kNone.
constexpr std::string_view to_string(Flag flag) {
  constexpr std::array<std::string_view, kFlagCount> kNames{"-",  "DPE", "DL", "DT",  "NR", "LD", "UH",
                                                            "UO", "UF",  "UC", "UPE", "UT", "UR", "DC",
                                                            "CO", "RL",  "SH", "AD",  "TF"};
  return kNames[static_cast<std::size_t>(flag)];
}

}  // namespace remora::proxy
