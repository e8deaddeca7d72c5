// A whole worker in trouble, in virtual time: a script of bytes says what clients, backends, the network, the
// clock, reloads and the operator do. Whatever it is, the numbers must add up at any time, and nothing may be
// left behind at the end. The fuzzer (tests/fuzz/worker.cc) finds scripts that reach new code; chaos_script()
// makes likely ones from a seed.
//
// Thread: one; the access log has a thread of its own. Owner: the test. It has state for all runs: make one
// per process.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace remora::testing {

class Chaos final {
 public:
  // Where the access log goes.
  enum class LogTo : std::uint8_t {
    kMemory,
    kFullDisk,  // every write fails: lines are lost, and nothing else
  };
  // What was seen in all runs: a test that sees nothing shows nothing.
  struct Seen {
    std::uint64_t exchanges = 0;
    std::uint64_t succeeded = 0;  // 2xx
    std::uint64_t retries = 0;
    std::uint64_t hedges = 0;
    std::uint64_t openings = 0;  // of breakers
    std::uint64_t ejected = 0;   // times that an endpoint was found ejected
    std::uint64_t reloads = 0;
    std::uint64_t tunnels = 0;
    std::uint64_t handshakes = 0;  // TLS, of clients
    std::uint64_t dropped_lines = 0;
    std::uint64_t flags = 0;  // one bit for each flag of a local reply
  };

  explicit Chaos(LogTo log = LogTo::kMemory);
  ~Chaos();
  Chaos(const Chaos&) = delete;
  Chaos& operator=(const Chaos&) = delete;

  // Plays the script to its end, and longer. Returns what was violated, with the place in the script; "":
  // nothing.
  std::string play(std::string_view script);
  const Seen& seen() const;

 private:
  struct Shared;
  std::unique_ptr<Shared> shared_;
};

// The script of this seed: the same on every machine.
std::string chaos_script(std::uint64_t seed);

}  // namespace remora::testing
