// Says when a file may have changed: written in place, replaced by another one, or reached through another
// symbolic link, as Kubernetes swaps `..data`. The directories are watched, not the file: so that one that is
// not there for a moment is seen to come back.
//
// Thread: the loop's. Owner: Server.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/timer_wheel.h"
#include "proxy/net/loop.h"

namespace remora::net {

class FileWatch final {
 public:
  // `changed` is called from an event of the loop when the file is another one than before, by its name, time
  // or size, and has stayed that for so long; and once at first, since it may have changed before it was
  // watched. When it is not there (any longer), only if `missing` is kTold. Whether the content is another
  // one is for the caller to find out.
  static constexpr Duration kQuiet = 200ms;
  enum class Missing : std::uint8_t { kAwaited, kTold };

  FileWatch(Loop& loop, std::string path, std::function<void()> changed, Missing missing = Missing::kAwaited);
  ~FileWatch();
  FileWatch(const FileWatch&) = delete;
  FileWatch& operator=(const FileWatch&) = delete;

 private:
  struct Directory;

  void watch();
  void on_event();
  std::string identity() const;
  void on_quiet();

  Loop& loop_;
  std::string path_;
  std::function<void()> changed_;
  std::vector<std::unique_ptr<Directory>> directories_;
  Missing missing_;
  std::optional<std::string> told_;  // what it was when `changed` was called last; "" = not there
  std::string latest_;               // what it was at the last look
  MemberTimer<FileWatch, &FileWatch::on_quiet> timer_{*this};
};

}  // namespace remora::net
