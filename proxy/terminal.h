// The terminal as `remora top` uses it: another screen, keys as they are typed, its size, and everything as
// it was at the end, by whatever way that comes (a key, SIGINT, SIGTERM, SIGHUP).
//
// Thread: main's, alone in the process: signals are blocked and read by wait().
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/time.h"

namespace remora::proxy {

class Terminal final {
 public:
  struct Size {
    std::size_t columns = 80;
    std::size_t rows = 24;
  };
  enum class Woken { kTime, kQuit, kResized };

  // Lets time pass, without a terminal.
  static void pause(Duration patience);

  // Standard input and output are both one.
  static bool is_there();
  // May what is printed be coloured: the output is a terminal, and NO_COLOR is not set (no-color.org).
  static bool wants_colour();

  // By the locale.
  static bool speaks_utf8();

  Terminal();
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  Size size() const;
  // `lines`: the whole screen, none wider than it; escape codes for colours count for nothing.
  void show(std::string_view lines);
  // Until `patience` is over, q or Ctrl-C was typed, a signal ends the process, or the size has changed.
  Woken wait(Duration patience);

 private:
  struct Saved;
  std::unique_ptr<Saved> saved_;
};

}  // namespace remora::proxy
