#include "proxy/net/process_watch.h"

#include <sys/syscall.h>
#include <unistd.h>
#include <uv.h>

#include <cerrno>
#include <charconv>
#include <fstream>

#include "proxy/net/fd.h"
#include "proxy/net/uv_handle.h"

namespace remora::net {

namespace {

// The pid at the beginning of a text; 0: there is none.
pid_t parse_pid(const std::string& text) {
  pid_t pid = 0;
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, pid);
  const bool alone = parsed.ptr == end || *parsed.ptr == '\n' || *parsed.ptr == ' ' || *parsed.ptr == '\r';
  return parsed.ec == std::errc() && alone && pid > 0 ? pid : 0;
}

// The C library of Debian 12 declares its own for C only.
Fd open_pidfd(pid_t pid) { return Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0U))); }

// Whether it runs, by /proc: one that has ended and was not waited for does not.
bool runs(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  if (!std::getline(file, text)) return false;
  const auto name_end = text.rfind(") ");  // the name before may have anything in it
  return name_end != std::string::npos && text[name_end + 2] != 'Z' && text[name_end + 2] != 'X';
}

}  // namespace

// The fd is declared first, so that it is closed after the handle has let go of it.
struct ProcessWatch::Handle {
  Fd fd;
  UvHandle<uv_poll_t> poll;
};

ProcessWatch::ProcessWatch(Loop& loop, std::string whom, std::function<void(pid_t)> found,
                           std::function<void(pid_t)> gone)
    : loop_(loop), whom_(std::move(whom)), found_(std::move(found)), gone_(std::move(gone)) {
  loop_.wheel().arm_in(timer_, 0ms);
}

ProcessWatch::~ProcessWatch() = default;

bool ProcessWatch::is_file() const { return whom_.find_first_not_of("0123456789") != std::string::npos; }

pid_t ProcessWatch::read_pid() const {
  if (!is_file()) return parse_pid(whom_);
  std::ifstream file(whom_);
  std::string text;
  return std::getline(file, text) ? parse_pid(text) : 0;
}

void ProcessWatch::look() {
  if (pid_ == 0) {
    const pid_t pid = read_pid();
    if (pid > 0) return begin(pid);
  } else if (!runs(pid_)) {
    return end();
  }
  loop_.wheel().arm_in(timer_, kEvery);
}

void ProcessWatch::begin(pid_t pid) {
  auto handle = std::make_unique<Handle>();
  handle->fd = open_pidfd(pid);
  if (!handle->fd && (errno == ESRCH || errno == EINVAL)) {
    if (is_file()) return loop_.wheel().arm_in(timer_, kEvery);
    pid_ = pid;
    return end();
  }
  pid_ = pid;
  const auto readable = [](uv_poll_t* poll, int, int) {
    if (poll->data == nullptr) return;
    auto& watch = *static_cast<ProcessWatch*>(poll->data);
    watch.loop_.event([&] { watch.end(); });
  };
  bool by_fd = handle->fd && handle->poll.open([&](uv_poll_t* poll) {
    return uv_poll_init(loop_.uv(), poll, handle->fd.get());
  }) >= 0;
  if (by_fd) {
    handle->poll->data = this;
    by_fd = uv_poll_start(handle->poll.get(), UV_READABLE, readable) >= 0;
  }
  if (by_fd) {
    handle_ = std::move(handle);
  } else {
    loop_.wheel().arm_in(timer_, kEvery);
  }
  found_(pid);
}

void ProcessWatch::end() {
  handle_ = nullptr;
  gone_(pid_);
}

}  // namespace remora::net
