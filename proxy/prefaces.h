// Accepted connections whose first bytes say something about them, until it has been read. Each stay is for
// one thing; a connection may come twice.
//
//   state       waits for                                 leaves by
//   kHeader     the PROXY header of somebody who is       the header: handed on; wrong, or out of time:
//   refused
//               believed (listener.proxy_protocol)
//   kName       whom a TLS client asks for, where a TCP   a ClientHello, anything that is no TLS, the end, or
//   out
//               listener has routes for that              of time: handed on; a broken ClientHello: refused
//   kProtocol   HTTP or not (protocol = "detect")         known, the end, or out of time: handed on
//
// With TLS the latter two come after the handshake. Who is refused is reset, and logged; who goes without a
// byte has only looked whether somebody listens.
//
// Thread: the worker's. Owner: Worker. Destroying it resets them. Of each at most 64 KiB and one read are
// kept.
#pragma once

#include <memory>

#include "base/slot_list.h"
#include "proxy/arrival.h"

namespace remora::proxy {

class Prefaces final {
 public:
  // The references outlive it.
  Prefaces(Env& env, AccessLog& log, Arrival::Owner& owner);
  ~Prefaces();
  Prefaces(const Prefaces&) = delete;
  Prefaces& operator=(const Prefaces&) = delete;

  // Something is to be read before this connection can be served, or can shake hands.
  static bool wanted(const Arrival& arrival);
  void begin(Arrival arrival);
  // Ends those of listeners whose time is over.
  void close_late();

 private:
  class One;

  Env& env_;
  Arrival::Owner& owner_;
  Refusals refusals_;
  SlotList<One> all_;
};

}  // namespace remora::proxy
