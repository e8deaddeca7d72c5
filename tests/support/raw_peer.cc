#include "tests/support/raw_peer.h"

#include <cstdio>
#include <cstdlib>
#include <utility>

namespace remora::testing {

std::unique_ptr<RawPeer> RawPeer::dial(const Dial& dial) {
  std::unique_ptr<RawPeer> peer(new RawPeer);
  peer->stream_ = dial(*peer);
  return peer;
}

std::unique_ptr<RawPeer> RawPeer::connect(net::Network& network, const Address& address) {
  return dial([&](net::Stream::Events& events) { return network.connect(address, events); });
}

std::unique_ptr<RawPeer> RawPeer::adopt(std::unique_ptr<net::Stream> stream) {
  std::unique_ptr<RawPeer> peer(new RawPeer);
  peer->opened_ = true;
  peer->stream_ = std::move(stream);
  peer->stream_->set_events(peer.get());
  return peer;
}

bool RawPeer::send(std::string_view bytes) {
  const std::string_view pieces[] = {bytes};
  return stream_->send(pieces);
}

void RawPeer::end() { stream_->end(); }

void RawPeer::reset() { stream_->reset(); }

void RawPeer::close() { stream_.reset(); }

void RawPeer::on_open() {
  opened_ = true;
  call(when_open);
}

void RawPeer::on_data(std::string_view bytes) {
  received_ += bytes;
  call(when_received);
}

void RawPeer::on_end() {
  ended_ = true;
  call(when_ended);
}

void RawPeer::on_writable() {
  ++writable_;
  call(when_writable);
}

void RawPeer::on_closed(const Error& error) {
  error_ = error;
  call(when_closed);
}

RawServer::RawServer(net::Network& network, const Address& address, const net::ListenOptions& options) {
  auto listener = network.listen(address, options, *this);
  if (!listener) {
    std::fprintf(stderr, "a test cannot listen: %s\n", listener.error().detail.c_str());
    std::abort();
  }
  listener_ = std::move(*listener);
}

void RawServer::on_accept(std::unique_ptr<net::Stream> stream) {
  peers_.push_back(RawPeer::adopt(std::move(stream)));
  if (when_accepted) when_accepted(*peers_.back());
}

}  // namespace remora::testing
