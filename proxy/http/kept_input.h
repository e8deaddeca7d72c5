// Input that could not be processed when it came: part of a head, or requests behind the one being answered.
// Holds no memory when empty.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace remora::http {

class KeptInput final {
 public:
  bool empty() const { return kept_ == nullptr; }

  // Gives `bytes`, behind what is kept, to `run`, which returns how many it has processed; the rest is kept.
  template <typename Run>
  void feed(std::string_view bytes, Run&& run) {
    if (kept_ == nullptr) {
      const std::size_t used = run(bytes);
      if (used < bytes.size()) kept_ = std::make_unique<Kept>(Kept{std::string(bytes.substr(used)), 0});
      return;
    }
    kept_->bytes.append(bytes);
    resume(run);
  }

  // The same with nothing new.
  template <typename Run>
  void resume(Run&& run) {
    if (kept_ == nullptr) return;
    Kept& kept = *kept_;
    kept.at += run(std::string_view(kept.bytes).substr(kept.at));
    if (kept.at == kept.bytes.size()) {
      clear();
    } else if (kept.at > kept.bytes.size() / 2) {
      kept.bytes.erase(0, kept.at);  // each byte is moved at most once on average
      kept.at = 0;
    }
  }

  void clear() { kept_.reset(); }

 private:
  // Apart, so that a codec with nothing to keep is one word larger, not five.
  struct Kept {
    std::string bytes;
    std::size_t at = 0;
  };
  std::unique_ptr<Kept> kept_;
};

}  // namespace remora::http
