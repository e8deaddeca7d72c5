// What happens when memory cannot be had: the process says so and ends, for whoever supervises it to start it
// anew. To fail one exchange instead would need memory, too, and a way back through libraries that call us
// and know no exceptions. What peers can make us hold is bounded, and load is shed before the limit of a
// container is reached (docs/limits.md); what remains is a limit set too low.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace remora {

inline constexpr int kExitOutOfMemory = 4;

// The std::new_handler of every command. Thread: any. Allocates nothing: stderr has no buffer.
[[noreturn]] inline void end_out_of_memory() {
  std::fputs("remora: out of memory, the process ends\n", stderr);
  std::_Exit(kExitOutOfMemory);
}

}  // namespace remora
