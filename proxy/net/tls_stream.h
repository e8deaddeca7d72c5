// TLS over another stream, as one more Stream: nobody above can tell. OpenSSL reads from what has just
// arrived and writes into a buffer of the worker's, which leaves with one system call; between events a
// connection holds neither.
//
//   state         enters by                            leaves by
//   kConnecting   connect()                            the stream below opens -> kHandshake; fails -> kClosed
//   kHandshake    accept(), or connected               done -> on_open (accepted streams too), kOpen; a
//                                                      failure -> kClosed, with kConnectFailed and
//                                                      Stage::kTlsHandshake
//   kOpen         handshake done                       reset(), a failure below or of the protocol -> kClosed
//   kClosed       on_closed, or reset()                -
//
// end() sends close_notify and FIN; the peer's close_notify is on_end. A FIN without one may be somebody
// else's who cuts the connection: it is on_closed with kReset, so that a body that ends with the connection
// is seen as cut off.
//
// Memory: a peer can make it hold what the stream below has read at once (64 KiB) while it is paused, and
// OpenSSL one record.
//
// Thread: the loop's. Owner: see Stream. For the two ends in proxy/: a worker's listeners, and whoever dials.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/buffer_pool.h"
#include "base/turn.h"
#include "proxy/net/network.h"
#include "proxy/net/send_queue.h"
#include "proxy/net/tls_context.h"
#include "proxy/net/tls_peer.h"
#include "proxy/net/tls_sessions.h"

struct ssl_session_st;
struct x509_store_ctx_st;

namespace remora::net {

class TlsStream final : public Stream, private Stream::Events, private TurnTask {
 public:
  using Events = Stream::Events;

  // What every stream of one thread shares.
  struct Shared {
    Turn& turn;
    BufferPool& buffers;
  };
  // Whom to dial.
  struct Target {
    std::string name;             // for SNI and the certificate: a host name or an IP address; may be empty
    Ref<TlsSessions> sessions;    // may be null
    std::string_view preamble{};  // sent in the clear before the handshake
  };

  // `below`: accepted, without events. The handshake begins with the first set_events; on_open comes when it
  // is done.
  static std::unique_ptr<TlsStream> accept(Shared shared, std::shared_ptr<const TlsContext> context,
                                           std::unique_ptr<Stream> below);
  // As Network::connect; open when the handshake is done.
  static std::unique_ptr<TlsStream> connect(Shared shared, std::shared_ptr<const TlsContext> context,
                                            const Target& target, Network& network, const Address& address,
                                            Events& events);
  ~TlsStream() override;
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  void set_events(Stream::Events* events) override;
  bool send(std::span<const std::string_view> pieces) override;
  bool send_last(std::span<const std::string_view> pieces) override;
  void end() override;
  bool end_is_answered() const override { return true; }  // with close_notify
  void reset() override;
  void pause() override;
  void resume() override;
  std::size_t queued() const override { return below_->queued() + early_.size(); }
  const Address& peer() const override { return below_->peer(); }
  Address local() const override { return below_->local(); }

  bool in_handshake() const { return state_ == State::kHandshake; }
  // The peer can no longer be told anything.
  bool peer_gone() const { return below_ended_; }
  // Once open: it went on with an earlier session.
  bool resumed() const;
  // Once open: who the peer is, by its certificate; null if it has shown none, or it was not verified.
  std::unique_ptr<TlsPeer> verified_peer() const;

 private:
  friend int tls_verify(int fine, x509_store_ctx_st* store);
  friend int tls_new_session(ssl_st* connection, ssl_session_st* session);
  friend struct TlsBio;
  enum class State : std::uint8_t { kConnecting, kHandshake, kOpen, kClosed };

  TlsStream(Shared shared, std::shared_ptr<const TlsContext> context, bool client);

  // Of the stream below.
  void on_open() override;
  void on_data(std::string_view bytes) override;
  void on_end() override;
  void on_writable() override;
  void on_drained() override;
  void on_closed(const Error& error) override;

  void at_end_of_turn() override;
  bool name_target(const std::string& name);
  void proceed();
  void shake_hands();
  void send_early();
  bool read_once();
  void keep_input();
  void encrypt(std::span<const std::string_view> pieces);
  void encrypt(std::string_view bytes);
  void flush();
  void send_end();
  void fail(Error error);
  void report();
  Error failure(const char* when) const;
  bool wants_to_read() const {
    return events_ != nullptr &&
           (state_ == State::kHandshake || (state_ == State::kOpen && !paused_ && !read_ended_));
  }

  Turn& turn_;
  BufferPool& buffers_;
  std::shared_ptr<const TlsContext> context_;
  ssl_st* ssl_ = nullptr;
  std::unique_ptr<Stream> below_;
  Stream::Events* events_ = nullptr;
  std::string_view input_;     // during an event: what OpenSSL has not taken yet
  std::string held_;           // between events: the same, while nobody wants it
  BufferPool::Buffer output_;  // during an event: what is to go below
  SendQueue early_;            // what was sent before the handshake was done
  Ref<TlsSessions> sessions_;
  std::optional<Error> failed_;  // to be reported at the end of the turn
  std::size_t unasked_ = 0;      // bytes written because of what the peer sent, since everything had left
  State state_;
  bool client_;
  bool paused_ = false;
  bool in_proceed_ = false;
  bool read_ended_ = false;
  bool below_ended_ = false;  // or closed
  bool end_asked_ = false;
  bool end_sent_ = false;
  bool full_ = false;       // the stream below said stop
  bool told_full_ = false;  // send() returned false
  bool owes_drained_ = false;
};

}  // namespace remora::net
