// The files of /proc about this process, open from the start: what they say is wanted most when no
// descriptors are left, by the judge of memory among others. When the process started does not change with
// the wall clock either.
//
// Thread: the control thread. Owner: Server. Reading does file I/O on /proc, which does not wait.
#pragma once

#include <cstdint>
#include <memory>

namespace remora::proxy {

struct ProcessInfo;

class ProcessFiles final {
 public:
  ProcessFiles();
  ~ProcessFiles();
  ProcessFiles(const ProcessFiles&) = delete;
  ProcessFiles& operator=(const ProcessFiles&) = delete;

  // Fields that cannot be read are 0.
  ProcessInfo read(std::uint64_t access_log_dropped) const;
  std::uint64_t resident_bytes() const;

 private:
  struct Open;
  std::unique_ptr<Open> open_;
};

}  // namespace remora::proxy
