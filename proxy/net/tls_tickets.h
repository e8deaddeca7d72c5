// The keys of session tickets: with them a client resumes its session at any worker, and no worker remembers
// it. A ticket can be read with the latest two keys; whoever steals the memory later cannot read older ones.
//
// Thread: any; a handshake takes its mutex for the copy of a key. Owner: the process, which rotates them; it
// outlives the contexts.
#pragma once

#include <array>
#include <mutex>
#include <optional>
#include <span>

#include "base/time.h"

namespace remora::net {

class TlsTickets final {
 public:
  // How often to rotate. A ticket is good for this long, so that its key is always among the latest two.
  static constexpr Duration kLifetime = 1h;

  struct Key {
    std::array<unsigned char, 16> name{};
    std::array<unsigned char, 32> cipher{};
    std::array<unsigned char, 32> mac{};
  };

  TlsTickets();
  ~TlsTickets();  // forgets the keys
  TlsTickets(const TlsTickets&) = delete;
  TlsTickets& operator=(const TlsTickets&) = delete;

  // A new key for tickets from now on.
  void rotate();

  Key latest() const;
  // The key of that name.
  std::optional<Key> find(std::span<const unsigned char, 16> name) const;

 private:
  mutable std::mutex mutex_;
  Key latest_;
  Key previous_;
};

}  // namespace remora::net
