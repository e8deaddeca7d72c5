// `remora demo`: three small backends and a client of their own loop, so that a newcomer sees the proxy work
// without having anything to put behind it. They speak through the same codecs and pools as the proxy, over
// real sockets.
//
// Thread: made and prepared on main, then its own. Owner: main.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "base/address.h"
#include "base/error.h"

namespace remora::proxy {

class Demo final {
 public:
  Demo();
  ~Demo();  // ends the thread
  Demo(const Demo&) = delete;
  Demo& operator=(const Demo&) = delete;

  // Binds the backends to free ports of 127.0.0.1.
  Result<void> prepare();
  // A configuration that balances over them, as TOML text: what the user could have written.
  std::string config_text() const;

  // Starts the backends, and a client that sends requests to `proxy`, 20 a second; 0 requests: until stop().
  // After the last one `metrics` (from the admin server at `admin`) is fetched and printed in excerpts, and
  // `finished` is called on the demo's thread.
  void start(const Address& proxy, const Address& admin, std::uint64_t requests,
             std::function<void()> finished);
  void stop();

  // How many responses had status 200, and how many did not. After stop().
  std::uint64_t good() const;
  std::uint64_t bad() const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
  std::thread thread_;
};

}  // namespace remora::proxy
