// Looks for a text in the first 64 KiB of an answer that comes in pieces of any size. Keeps no more of it
// than the text is long.
//
// A value; pure.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace remora::proxy {

class ProbeSearch final {
 public:
  static constexpr std::size_t kWindow = std::size_t{64} * 1024;

  // An empty text is found from the start.
  explicit ProbeSearch(std::string text) : text_(std::move(text)), found_(text_.empty()) {}

  void add(std::string_view bytes) {
    const std::string_view piece = bytes.substr(0, kWindow - std::min(seen_, kWindow));
    seen_ += bytes.size();
    if (found_ || piece.empty()) return;
    tail_ += piece;
    found_ = tail_.contains(text_);
    tail_.erase(0, tail_.size() - std::min(tail_.size(), text_.size() - 1));
  }

  bool found() const { return found_; }
  // Bytes that have come, those beyond the window included.
  std::size_t seen() const { return seen_; }
  // More has come than is looked at.
  bool overflowed() const { return seen_ > kWindow; }

 private:
  std::string text_;
  std::string tail_;  // of what was looked at: what a match may begin with
  std::size_t seen_ = 0;
  bool found_;
};

}  // namespace remora::proxy
