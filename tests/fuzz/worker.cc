// libFuzzer over a whole worker in virtual time: the input is a script (tests/support/chaos.h).
//
//   fuzz_worker tests/fuzz/corpus/worker -max_len=600 -timeout=20
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "tests/support/chaos.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static remora::testing::Chaos chaos;
  const auto violated = chaos.play({reinterpret_cast<const char*>(data), size});
  if (violated.empty()) return 0;
  std::fprintf(stderr, "violated: %s\n", violated.c_str());
  std::abort();
}
