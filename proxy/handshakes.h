// Accepted connections of TLS listeners until they are through: the handshakes of one worker, with their
// limit and their timeout, and what is counted and logged of those that fail.
//
//   under way     begin()             done -> the owner; failed, or out of time -> refused
//   refused       failed              a second, in which the peer can read why; or it is gone already
//
// Handshakes cost a thousand times what a request does. When a listener has as many under way as
// `listener.tls.handshakes` allows, it stops accepting, so that a storm of them waits in the kernel and not
// before the requests of established connections; and who takes longer than a second gives up the place, so
// that silent peers cannot hold all of them.
//
// Thread: the worker's. Owner: Worker. Destroying it resets them.
#pragma once

#include <memory>
#include <string>

#include "base/slot_list.h"
#include "breaker/limiter.h"
#include "breaker/rate_limiter.h"
#include "proxy/access_log.h"
#include "proxy/env.h"
#include "proxy/net/tls_peer.h"
#include "proxy/worker_listener.h"

namespace remora::proxy {

// A connection on its way in.
struct Arrival {
  WorkerListener* listener = nullptr;
  std::unique_ptr<net::Stream> stream;
  breaker::Permit permit;
  bool over_limit = false;  // accepted only to be told that there are too many
  bool tls = false;
  unsigned epoch = 0;                      // of the listener's settings of TLS when it was accepted
  std::unique_ptr<net::TlsPeer> identity;  // null: not shown
};

class Handshakes final {
 public:
  class Owner {
   public:
    // The handshake is done, and the connection is the owner's.
    virtual void on_arrival(Arrival arrival) = 0;
    // A refused connection is over.
    virtual void on_refused(WorkerListener& listener) = 0;
    // WorkerListener::handshakes has reached its limit, or has left it.
    virtual void on_room_changed(WorkerListener& listener) = 0;

   protected:
    ~Owner() = default;
  };

  // The references outlive it.
  Handshakes(Env& env, AccessLog& log, Owner& owner);
  ~Handshakes();
  Handshakes(const Handshakes&) = delete;
  Handshakes& operator=(const Handshakes&) = delete;

  // The listener has settings of TLS. Without a context for them the connection is reset.
  void begin(Arrival arrival);
  // Ends those of listeners whose time is over.
  void close_late();

  static bool full(const WorkerListener& listener);

 private:
  class One;

  void hurry(const WorkerListener& listener);
  void leave(WorkerListener& listener);
  void tell(const One& one, std::string_view reason);

  Env& env_;
  AccessLog& log_;
  Owner& owner_;
  SlotList<One> all_;
  breaker::TokenBucket log_lines_{{.requests = 5, .per = 1s, .burst = 20}};
  std::uint64_t left_out_ = 0;
};

}  // namespace remora::proxy
