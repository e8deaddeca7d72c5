// An accepted stream of which somebody has already read the first bytes: it gives them again, and then steps
// aside. It may also say that it belongs to somebody else, whom the one that passes it on has named.
//
// Thread and contract: as net::Stream. Owner: as any accepted stream; it owns the one below.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/turn.h"
#include "proxy/net/stream.h"

namespace remora::net {

class PrefixedStream final : public Stream, private TurnTask {
 public:
  // Whom the stream is from and where it was going; nullopt: what the one below says.
  struct Ends {
    std::optional<Address> peer;
    std::optional<Address> local;
  };

  // `below`: without events. `prefix`: what was read from it. `ended`: and then its end.
  PrefixedStream(Turn& turn, std::unique_ptr<Stream> below, std::string prefix, bool ended, Ends ends);

  void set_events(Events* events) override;
  bool send(std::span<const std::string_view> pieces) override { return below_->send(pieces); }
  bool send_last(std::span<const std::string_view> pieces) override { return below_->send_last(pieces); }
  bool send_bulk(Bulk& bulk) override { return below_->send_bulk(bulk); }
  void end() override { below_->end(); }
  bool end_is_answered() const override { return below_->end_is_answered(); }
  void reset() override;
  void pause() override;
  void resume() override;
  std::size_t queued() const override { return below_->queued(); }
  const Address& peer() const override { return ends_.peer ? *ends_.peer : below_->peer(); }
  Address local() const override { return ends_.local ? *ends_.local : below_->local(); }

 private:
  void at_end_of_turn() override;
  void prepare();

  Turn& turn_;
  std::unique_ptr<Stream> below_;
  std::string prefix_;  // not yet given
  bool ended_;          // nor this
  Ends ends_;
  Events* events_ = nullptr;
  bool paused_ = false;
};

}  // namespace remora::net
