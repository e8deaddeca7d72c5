// Much has arrived at one connection and is to leave by another: it is offered while it is still in the
// kernel, on the way that bytes would take (on_data -> feed -> on_body -> send_body -> send). If both ends
// are plain sockets, the one that it reaches moves it on, without a copy; everybody it passes counts what was
// moved. If nobody moves anything, the bytes come that way as ever.
//
// Thread: the loop's. Valid until the call returns.
#pragma once

#include <cstddef>
#include <cstdint>

namespace remora {

struct Bulk {
  // What came of it if nothing was moved.
  enum class Refusal : std::uint8_t {
    kForGood,  // it did not reach a plain socket: it is of no use to offer again what this connection brings
    kBusy,     // that has something else to send first, or there was nothing
    kNoPipe,   // the system gives no pipe
  };

  int source = -1;  // the socket at which it waits
  int error = 0;    // errno, if that has failed
  std::size_t moved = 0;
  Refusal refusal = Refusal::kForGood;
};

}  // namespace remora
