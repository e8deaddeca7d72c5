// A connection on its way in: accepted, counted, and not yet served. What stands between is done in stages
// (Prefaces, Handshakes), each of which hands it on or refuses it.
//
// Thread: the worker's. A value.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "breaker/limiter.h"
#include "breaker/rate_limiter.h"
#include "proxy/access_log.h"
#include "proxy/env.h"
#include "proxy/net/tls_peer.h"
#include "proxy/worker_listener.h"

namespace remora::proxy {

struct Arrival {
  // Whom a stage hands it to.
  class Owner {
   public:
    // The stage is done with it.
    virtual void on_arrival(Arrival arrival) = 0;
    // A refused connection is over.
    virtual void on_refused(WorkerListener& listener) = 0;

   protected:
    ~Owner() = default;
  };

  WorkerListener* listener = nullptr;
  std::unique_ptr<net::Stream> stream;
  breaker::Permit permit;
  bool over_limit = false;  // accepted only to be told that there are too many
  bool introduced = false;  // its PROXY header has been read, if there was to be one
  bool known = false;       // its first bytes have been looked at, if they were to be
  Downstream::Carries carries = Downstream::Carries::kBytes;
  // That its TLS, which goes on behind us, asks for; "" = none, or nobody has looked.
  std::string server_name;
  std::unique_ptr<Address> destination;  // where it was going before it was redirected; null: nobody asks
  bool tls = false;
  unsigned epoch = 0;                      // of the listener's settings of TLS when it was accepted
  std::unique_ptr<net::TlsPeer> identity;  // null: not shown
};

// What is logged of arrivals that are refused: a line of the access log each, and why in the operational log,
// as long as there are not too many.
class Refusals final {
 public:
  // `what`: that goes wrong with them, for the operational log.
  Refusals(Env& env, AccessLog& log, std::string_view what) : env_(env), log_(log), what_(what) {}

  void tell(const Arrival& arrival, Flag flag, TimePoint began, std::string_view reason);

 private:
  Env& env_;
  AccessLog& log_;
  std::string_view what_;
  breaker::TokenBucket log_lines_{{.requests = 5, .per = 1s, .burst = 20}};
  std::uint64_t left_out_ = 0;
};

}  // namespace remora::proxy
