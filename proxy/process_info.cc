#include "proxy/process_info.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <sstream>
#include <string_view>

#include "proxy/process_files.h"

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

}  // namespace

struct ProcessFiles::Open {
  int stat = ::open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
  DIR* descriptors = ::opendir("/proc/self/fd");
  double boot_time = proxy::boot_time();
};

ProcessFiles::ProcessFiles() : open_(std::make_unique<Open>()) {}

ProcessFiles::~ProcessFiles() {
  if (open_->stat >= 0) ::close(open_->stat);
  if (open_->descriptors != nullptr) ::closedir(open_->descriptors);
}

// /proc/self/stat, see proc(5). The second field, the command in parentheses, may contain anything.
ProcessInfo ProcessFiles::read(std::uint64_t access_log_dropped) const {
  ProcessInfo info;
  info.version = REMORA_VERSION;
  info.access_log_dropped = access_log_dropped;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) info.max_fds = limit.rlim_cur;
  if (open_->descriptors != nullptr) {
    ::rewinddir(open_->descriptors);
    while (const dirent* entry = ::readdir(open_->descriptors)) info.open_fds += entry->d_name[0] != '.';
  }
  std::array<char, 1024> text{};  // 52 numbers and a name of 16 bytes
  const ssize_t size = ::pread(open_->stat, text.data(), text.size(), 0);
  const std::string_view line(text.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
  const std::size_t command_end = line.rfind(')');
  if (command_end == std::string_view::npos) return info;
  std::istringstream fields{std::string(line.substr(command_end + 1))};
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
  info.start_time_seconds = open_->boot_time + ticks_to_seconds(started);
  info.resident_bytes = resident_pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  return info;
}

std::uint64_t ProcessFiles::resident_bytes() const { return read(0).resident_bytes; }

}  // namespace remora::proxy
