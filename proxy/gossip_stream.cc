#include "proxy/gossip_stream.h"

#include <array>
#include <utility>

namespace remora::proxy {

using discovery::swim::StreamReader;

GossipStream::GossipStream(Env& env, const discovery::swim::Wire& wire, Host& host, Purpose purpose,
                           Duration patience)
    : host_(host), purpose_(std::move(purpose)), reader_(wire, false), accepted_(false) {
  stream_ = env.network.connect(purpose_.to, *this);
  env.wheel.arm_in(timer_, patience);
}

GossipStream::GossipStream(Env& env, const discovery::swim::Wire& wire, Host& host,
                           std::unique_ptr<net::Stream> accepted, Duration patience)
    : host_(host),
      purpose_{.to = accepted->peer()},
      reader_(wire, true),
      stream_(std::move(accepted)),
      accepted_(true) {
  stream_->set_events(this);
  env.wheel.arm_in(timer_, patience);
}

GossipStream::~GossipStream() = default;

void GossipStream::on_open() {
  const std::string message = host_.on_stream_open(*this);
  const std::array<std::string_view, 1> pieces{message};
  stream_->send(pieces);
}

void GossipStream::on_data(std::string_view bytes) {
  if (answered_ || over_) return;
  held_ += bytes.size();
  if (!host_.hold(bytes.size())) return over("too much is being received");
  switch (reader_.feed(bytes)) {
    case StreamReader::Progress::kMore: return;
    case StreamReader::Progress::kBad: return over(to_string(reader_.drop()));
    case StreamReader::Progress::kDone: break;
  }
  answered_ = true;
  const std::string answer = host_.on_stream_message(*this, reader_.message());
  if (over_) return;
  if (answer.empty()) return over("");
  const std::array<std::string_view, 1> pieces{answer};
  stream_->send(pieces);
  stream_->end();
  // Closing now might reset what the peer has not read yet: it closes when it has.
}

void GossipStream::on_end() { over(answered_ ? "" : "closed without an answer"); }

void GossipStream::on_closed(const Error& error) {
  if (accepted_ && answered_) return over("");
  refused_ = error.code == ErrorCode::kConnectionRefused;
  over(error.detail.empty() ? to_string(error.code) : std::string_view(error.detail));
}

void GossipStream::over(std::string_view problem) {
  if (std::exchange(over_, true)) return;
  timer_.cancel();
  stream_->set_events(nullptr);
  host_.release(std::exchange(held_, 0));
  host_.on_stream_over(*this, problem);
}

}  // namespace remora::proxy
