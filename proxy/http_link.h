// Joins one net::Stream to one http::Codec: feeds what arrives, joins the small writes of one event into one
// system call, pauses and resumes reading, and closes as the codec's fate says. Downstream, upstream and
// admin connections alike use it, so flow control exists once (docs/flow-control.md).
//
//   state       enters by                         leaves by
//   kOpen       start()                           the codec's fate, on_closed
//   kFlushing   fate kClose or kFinish            everything sent -> FIN -> kLingering, or kClosed if the
//                                                 peer sends no more; 30 s without progress -> kClosed
//   kLingering  FIN sent (RFC 9112 section 9.6)   the peer's FIN, or 2 s
//   kClosed     any of the above, fate kAbort     -
//
// Thread: the loop's. Owner: a Downstream or an UpstreamConnection, which destroys it (through the Turn)
// after on_link_closed.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "proxy/env.h"
#include "proxy/http/codec.h"
#include "proxy/net/stream.h"
#include "proxy/stats.h"

namespace remora::proxy {

class HttpLink final : public net::Stream::Events, public http::Transport, private TurnTask {
 public:
  class Owner {
   public:
    // A dialled connection is open.
    virtual void on_link_open() {}
    // An event that touched this connection has ended, everything is flushed: the codec's state may have
    // changed.
    virtual void on_link_turn() {}
    // The connection is over; last call. `error` is null when it ended as the codec wished. Bury the link.
    virtual void on_link_closed(const Error* error) = 0;

   protected:
    ~Owner() = default;
  };

  // `bytes`: where they are counted; may be null, else outlives the link.
  HttpLink(Env& env, Owner& owner, WireBytes* bytes) : env_(env), owner_(owner), bytes_(bytes) {}
  ~HttpLink() override;

  // Begins: `codec` was made with this link as its transport and outlives it. Call once.
  void start(std::unique_ptr<net::Stream> stream, http::Codec& codec);

  // Closes at once, without a callback. Unsent bytes are lost; `abort` sends RST.
  void close(bool abort);

  bool closed() const { return state_ == State::kClosed; }
  // The last bytes are leaving, or have left: the link will close by itself.
  bool closing() const { return state_ == State::kFlushing || state_ == State::kLingering; }
  // Bytes not yet taken by the kernel. 0 once closed.
  std::size_t queued() const { return stream_ ? stream_->queued() + written().size() : 0; }
  const net::Stream& stream() const { return *stream_; }

  // net::Stream::Events
  void on_open() override;
  void on_data(std::string_view bytes) override;
  void on_bulk(Bulk& bulk) override;
  void on_end() override;
  void on_writable() override;
  void on_drained() override;
  void on_closed(const Error& error) override;

  // http::Transport
  bool write(std::string_view bytes) override;
  bool write_through(std::string_view prefix, std::string_view bytes, std::string_view suffix) override;
  bool write_bulk(Bulk& bulk) override;
  void end() override;
  void codec_changed() override;

 private:
  enum class State : std::uint8_t { kOpen, kFlushing, kLingering, kClosed };

  void at_end_of_turn() override;
  void flush(bool last = false);
  void apply_fate();
  void finish_sending();
  void finish(const Error* error);
  void on_linger_over();
  void linger_for(Duration wait);

  // The closing's timer, and what was still queued when it was armed.
  struct Linger {
    explicit Linger(HttpLink& link) : timer(link) {}
    MemberTimer<HttpLink, &HttpLink::on_linger_over> timer;
    std::size_t queued = 0;
  };
  std::string_view written() const { return output_ ? std::string_view(*output_) : std::string_view(); }
  bool room();
  void send(std::span<const std::string_view> pieces, bool last = false);
  void count_bulk(const Bulk& bulk, std::uint64_t WireBytes::* direction);
  void resume_senders();

  Env& env_;
  Owner& owner_;
  WireBytes* bytes_;
  http::Codec* codec_ = nullptr;
  std::unique_ptr<net::Stream> stream_;
  BufferPool::Buffer output_;  // written during this event, not yet given to the stream; usually null
  // Bounds kFlushing and kLingering; null before: an idle connection is small.
  std::unique_ptr<Linger> linger_;
  State state_ = State::kOpen;
  bool paused_ = false;
  bool choked_ = false;       // somebody was told to stop and not yet to go on
  bool stream_full_ = false;  // the stream said stop: its on_writable will come
  bool peer_ended_ = false;
};

}  // namespace remora::proxy
