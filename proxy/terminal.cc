#include "proxy/terminal.h"

#include <langinfo.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <clocale>
#include <csignal>
#include <cstdlib>

namespace remora::proxy {

namespace {

// Another screen, no cursor; and back.
constexpr std::string_view kEnter = "\x1b[?1049h\x1b[?25l\x1b[2J";
constexpr std::string_view kLeave = "\x1b[?25h\x1b[?1049l";

void write_all(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(STDOUT_FILENO, text.data(), text.size());
    if (written < 0 && errno != EINTR && errno != EAGAIN) return;  // the terminal is gone: so will we be
    if (written > 0) text.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace

struct Terminal::Saved {
  termios settings{};
  sigset_t mask{};
  int signals = -1;
};

void Terminal::pause(Duration patience) { ::poll(nullptr, 0, static_cast<int>(patience / 1ms)); }

bool Terminal::is_there() { return ::isatty(STDIN_FILENO) == 1 && ::isatty(STDOUT_FILENO) == 1; }

bool Terminal::wants_colour() {
  const char* const no = std::getenv("NO_COLOR");
  return ::isatty(STDOUT_FILENO) == 1 && (no == nullptr || *no == '\0');
}

Terminal::Terminal() : saved_(std::make_unique<Saved>()) {
  sigset_t wanted;
  sigemptyset(&wanted);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH}) sigaddset(&wanted, signal);
  ::sigprocmask(SIG_BLOCK, &wanted, &saved_->mask);
  saved_->signals = ::signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
  ::tcgetattr(STDIN_FILENO, &saved_->settings);
  termios raw = saved_->settings;
  raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
  raw.c_cc[VMIN] = 0;
  raw.c_cc[VTIME] = 0;
  raw.c_cc[VSUSP] = _POSIX_VDISABLE;  // a stopped process would leave its screen behind
  ::tcsetattr(STDIN_FILENO, TCSANOW, &raw);
  write_all(kEnter);
}

Terminal::~Terminal() {
  write_all(kLeave);
  ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &saved_->settings);
  ::close(saved_->signals);
  ::sigprocmask(SIG_SETMASK, &saved_->mask, nullptr);
}

bool Terminal::speaks_utf8() {
  std::setlocale(LC_CTYPE, "");
  return std::string_view(::nl_langinfo(CODESET)) == "UTF-8";
}

Terminal::Size Terminal::size() const {
  winsize window{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) != 0 || window.ws_col == 0 || window.ws_row == 0) return {};
  return {.columns = window.ws_col, .rows = window.ws_row};
}

void Terminal::show(std::string_view lines) {
  // Over what is there, line by line: no flicker.
  std::string screen = "\x1b[H";
  while (!lines.empty()) {
    const std::string_view line = lines.substr(0, lines.find('\n'));
    lines.remove_prefix(std::min(line.size() + 1, lines.size()));
    screen.append(line).append("\x1b[K");
    if (!lines.empty()) screen += '\n';
  }
  write_all(screen + "\x1b[J");
}

Terminal::Woken Terminal::wait(Duration patience) {
  std::array<pollfd, 2> sources{{{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0},
                                 {.fd = saved_->signals, .events = POLLIN, .revents = 0}}};
  if (::poll(sources.data(), sources.size(), static_cast<int>(patience / 1ms)) <= 0) return Woken::kTime;
  if (sources[1].revents != 0) {
    signalfd_siginfo signal{};
    while (::read(saved_->signals, &signal, sizeof signal) == sizeof signal) {
      if (signal.ssi_signo != SIGWINCH) return Woken::kQuit;
    }
    return Woken::kResized;
  }
  std::array<char, 64> keys{};
  const ssize_t typed = ::read(STDIN_FILENO, keys.data(), keys.size());
  if (typed <= 0) return Woken::kQuit;  // hung up
  const std::string_view text(keys.data(), static_cast<std::size_t>(typed));
  return text.find_first_of("qQ") != std::string_view::npos ? Woken::kQuit : Woken::kTime;
}

}  // namespace remora::proxy
