// What everything on one thread shares. No methods but the time: an object that gets an Env can be run by a
// loop or by a test.
//
// Thread: one per loop; nothing in it may be touched from another thread. Owner: WorkerThread, Server, or a
// test's World; it outlives everything that holds it.
#pragma once

#include "base/buffer_pool.h"
#include "base/random.h"
#include "base/timer_wheel.h"
#include "base/turn.h"
#include "proxy/codecs.h"
#include "proxy/http/h1.h"
#include "proxy/http_date.h"
#include "proxy/net/network.h"

namespace remora::proxy {

class OwnDials;
class SpanRing;

struct Env {
  TimerWheel& wheel;
  Turn& turn;
  net::Network& network;
  Random& random;
  BufferPool& buffers;
  http::H1Scratch& scratch;
  HttpDate& date;
  Codecs codecs{};
  SpanRing* spans = nullptr;  // where spans of traces go; null: nobody takes any
  OwnDials* dials = nullptr;  // null: no listener takes redirected connections

  // The instant of the current event.
  TimePoint now() const { return wheel.now(); }
};

}  // namespace remora::proxy
