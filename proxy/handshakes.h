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

#include "base/slot_list.h"
#include "proxy/arrival.h"

namespace remora::proxy {

class Handshakes final {
 public:
  class Owner : public Arrival::Owner {
   public:
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

  Env& env_;
  Owner& owner_;
  Refusals refusals_;
  SlotList<One> all_;
};

}  // namespace remora::proxy
