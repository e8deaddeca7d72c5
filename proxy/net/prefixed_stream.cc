#include "proxy/net/prefixed_stream.h"

#include <utility>

namespace remora::net {

PrefixedStream::PrefixedStream(Turn& turn, std::unique_ptr<Stream> below, std::string prefix, bool ended,
                               Ends ends)
    : turn_(turn),
      below_(std::move(below)),
      prefix_(std::move(prefix)),
      ended_(ended),
      ends_(std::move(ends)) {
  if (!prefix_.empty()) below_->pause();
}

void PrefixedStream::set_events(Events* events) {
  events_ = events;
  below_->set_events(events);
  prepare();
}

void PrefixedStream::pause() {
  paused_ = true;
  below_->pause();
}

void PrefixedStream::resume() {
  paused_ = false;
  if (prefix_.empty()) below_->resume();
  prepare();
}

void PrefixedStream::reset() {
  prefix_.clear();
  ended_ = false;
  below_->reset();
}

// What comes behind the prefix waits for it, in the stream below.
void PrefixedStream::prepare() {
  if ((!prefix_.empty() || ended_) && events_ != nullptr && !paused_) turn_.defer(*this);
}

void PrefixedStream::at_end_of_turn() {
  if (events_ == nullptr || paused_) return;
  if (!prefix_.empty()) {
    const std::string bytes = std::exchange(prefix_, {});
    below_->resume();
    events_->on_data(bytes);
  }
  if (ended_ && events_ != nullptr && !paused_) {
    ended_ = false;
    events_->on_end();
  }
}

}  // namespace remora::net
