// One connection of the gossip: a ping where UDP does not get through, the exchange of whole states, or a
// question for a set of services.
//
//   dialled     connecting -> open: our message goes -> the peer's answer -> over
//   accepted    the peer's message -> our answer goes -> the peer closes -> over
//
// It lasts `patience` at most. What a peer can make all of them hold together is the host's to bound.
//
// Thread: the control thread. Owner: Gossip, which buries it when it is over.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/timer_wheel.h"
#include "discovery/swim/stream.h"
#include "proxy/env.h"

namespace remora::proxy {

class GossipStream final : private net::Stream::Events {
 public:
  class Host {
   public:
    // A dialled one is open: the message to send, sealed.
    virtual std::string on_stream_open(GossipStream& stream) = 0;
    // The peer's message. Returns the answer, sealed; "" = there is none, and the stream is over.
    virtual std::string on_stream_message(GossipStream& stream,
                                          const discovery::swim::StreamMessage& message) = 0;
    // Over. `problem`: why it came to nothing, for people; "" if it did what it was for. Last call.
    virtual void on_stream_over(GossipStream& stream, std::string_view problem) = 0;
    // So many more bytes are held by streams; false: too many. Given back before on_stream_over().
    virtual bool hold(std::size_t bytes) = 0;
    virtual void release(std::size_t bytes) = 0;

   protected:
    ~Host() = default;
  };

  // What a dialled one is for.
  struct Purpose {
    Address to;
    std::string ping = {};  // encoded; "" = an exchange of states
    std::uint32_t ping_sequence = 0;
    bool join = false;        // of the exchange
    std::string set_of = {};  // the member whose set of services is asked for; "" = none is
  };

  GossipStream(Env& env, const discovery::swim::Wire& wire, Host& host, Purpose purpose, Duration patience);
  GossipStream(Env& env, const discovery::swim::Wire& wire, Host& host, std::unique_ptr<net::Stream> accepted,
               Duration patience);
  ~GossipStream();
  GossipStream(const GossipStream&) = delete;
  GossipStream& operator=(const GossipStream&) = delete;

  const Purpose& purpose() const { return purpose_; }
  bool accepted() const { return accepted_; }
  // Of a dialled one that is over: nobody listens there.
  bool refused() const { return refused_; }
  std::size_t slot = 0;

 private:
  void on_open() override;
  void on_data(std::string_view bytes) override;
  void on_end() override;
  void on_writable() override {}
  void on_closed(const Error& error) override;
  void on_timeout() { over("timed out"); }
  void over(std::string_view problem);

  Host& host_;
  Purpose purpose_;
  discovery::swim::StreamReader reader_;
  std::unique_ptr<net::Stream> stream_;
  std::size_t held_ = 0;
  bool accepted_;
  bool answered_ = false;  // nothing more is read
  bool refused_ = false;
  bool over_ = false;
  MemberTimer<GossipStream, &GossipStream::on_timeout> timer_{*this};
};

}  // namespace remora::proxy
