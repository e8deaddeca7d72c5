#include "proxy/process_info.h"

#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>

namespace remora::proxy {
namespace {

double ticks_to_seconds(double ticks) {
  const long per_second = ::sysconf(_SC_CLK_TCK);
  return per_second > 0 ? ticks / static_cast<double>(per_second) : 0.0;
}

// When the machine started, in seconds since 1970.
double boot_time() {
  std::ifstream stat("/proc/stat");
  for (std::string word; stat >> word;) {
    double seconds = 0.0;
    if (word == "btime" && stat >> seconds) return seconds;
  }
  return 0.0;
}

// /proc/self/stat, see proc(5). The second field, the command in parentheses, may contain anything.
void read_stat(ProcessInfo& info) {
  std::ifstream file("/proc/self/stat");
  std::string line;
  std::getline(file, line);
  const std::size_t command_end = line.rfind(')');
  if (command_end == std::string::npos) return;
  std::istringstream fields(line.substr(command_end + 1));
  std::string skipped;
  const auto skip = [&](int count) {
    while (count-- > 0) fields >> skipped;
  };
  double user = 0.0;
  double system = 0.0;
  double started = 0.0;
  std::uint64_t resident_pages = 0;
  skip(11);  // 3 to 13
  fields >> user >> system;
  skip(4);  // 16 to 19
  fields >> info.threads;
  skip(1);
  fields >> started >> info.virtual_bytes >> resident_pages;
  info.cpu_seconds = ticks_to_seconds(user + system);
  info.start_time_seconds = boot_time() + ticks_to_seconds(started);
  info.resident_bytes = resident_pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

std::uint64_t count_open_fds() {
  std::error_code error;
  std::uint64_t count = 0;
  for (std::filesystem::directory_iterator it("/proc/self/fd", error), end; !error && it != end;
       it.increment(error))
    ++count;
  return count > 0 ? count - 1 : 0;  // without the one that looks
}

}  // namespace

ProcessInfo read_process_info(std::uint64_t access_log_dropped) {
  ProcessInfo info;
  info.version = REMORA_VERSION;
  info.access_log_dropped = access_log_dropped;
  read_stat(info);
  info.open_fds = count_open_fds();
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) info.max_fds = limit.rlim_cur;
  return info;
}

}  // namespace remora::proxy
