// Input that could not be processed when it came: part of a head, or requests behind the one being answered. Holds no memory when
// empty.
#pragma once

#include <string>
#include <string_view>

namespace remora::http {

class KeptInput final {
 public:
  bool empty() const { return bytes_.empty(); }

  // Gives `bytes`, behind what is kept, to `run`, which returns how many it has processed; the rest is kept.
  template <typename Run>
  void feed(std::string_view bytes, Run&& run) {
    if (bytes_.empty()) {
      const std::size_t used = run(bytes);
      bytes_.append(bytes.substr(used));
      return;
    }
    bytes_.append(bytes);
    resume(run);
  }

  // The same with nothing new.
  template <typename Run>
  void resume(Run&& run) {
    if (bytes_.empty()) return;
    at_ += run(std::string_view(bytes_).substr(at_));
    if (at_ == bytes_.size()) {
      clear();
    } else if (at_ > bytes_.size() / 2) {
      bytes_.erase(0, at_);  // each byte is moved at most once on average
      at_ = 0;
    }
  }

  void clear() {
    std::string().swap(bytes_);
    at_ = 0;
  }

 private:
  std::string bytes_;
  std::size_t at_ = 0;
};

}  // namespace remora::http
