// Nanoseconds per access-log line: formatting alone, and through the ring with a writer to /dev/null.
//
//   bench_micro_log [LINES]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

#include "base/log_writer.h"
#include "proxy/access_log.h"

namespace {

using remora::LogFormat;
using remora::LogWriter;
using remora::proxy::AccessLog;
using remora::proxy::AccessRecord;

AccessRecord typical() {
  using namespace remora;
  AccessRecord record;
  record.listener = "in";
  record.client = "10.0.0.7";
  record.method = "GET";
  record.host = "shop.example.com";
  record.target = "/api/v1/items/4711?fields=name,price";
  record.request_id = "5f3a9c0e7b1d4a68b2f09d1c6e8a7354";
  record.cluster = "app";
  record.upstream = "127.0.0.1:3000";
  record.status = 200;
  record.attempts = 1;
  record.bytes_out = 64;
  record.duration = 1234us;
  record.response = 1100us;
  return record;
}

template <typename Work>
double nanoseconds_each(long count, Work work) {
  const auto begin = std::chrono::steady_clock::now();
  for (long i = 0; i < count; ++i) work();
  const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - begin;
  return took.count() / static_cast<double>(count);
}

// Batches small enough for the ring, the best of many: what the worker pays, not what the writer's thread
// does meanwhile.
double through_ring(long count, LogFormat format) {
  auto writer = LogWriter::open("/dev/null");
  if (!writer) {
    std::fprintf(stderr, "%s\n", writer.error().detail.c_str());
    std::exit(1);
  }
  constexpr long kBatch = 200;
  double best = 1e9;
  {
    AccessLog log((*writer)->make_producer(), format, 1.0);
    remora::Random random(1);
    const AccessRecord record = typical();
    for (long done = 0; done < count; done += kBatch) {
      best = std::min(best, nanoseconds_each(kBatch, [&] { log.write(record, random); }));
      (*writer)->flush();
    }
  }
  if ((*writer)->dropped() != 0)
    std::printf("dropped %llu lines\n", static_cast<unsigned long long>((*writer)->dropped()));
  return best;
}

}  // namespace

int main(int argc, char** argv) {
  const long lines = argc > 1 ? std::atol(argv[1]) : 1'000'000;
  unsigned long long sink = 0;
  std::printf("wall_clock_ms        %6.1f ns\n", nanoseconds_each(lines, [&] {
                sink += static_cast<unsigned long long>(remora::wall_clock_ms());
              }));
  for (const auto& [name, format] :
       {std::pair{"text", LogFormat::kText}, std::pair{"json", LogFormat::kJson}}) {
    const std::string line = AccessLog::render(typical(), format, 0);
    std::printf("%s (%zu bytes)     %6.1f ns/line\n", name, line.size(), through_ring(lines / 10, format));
  }
  return sink == 0 ? 1 : 0;
}
