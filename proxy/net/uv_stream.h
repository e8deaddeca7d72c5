// Stream on a libuv TCP or Unix socket: what the kernel takes at once is never copied, the rest is queued and
// written by one outstanding uv_write at a time.
//
// A connection whose reads fill the buffer one after the other brings much: what comes next is offered as
// Bulk before it is read, until there is little of it. So small requests and answers take no more system
// calls than they would, and no pipe.
//
// Thread: the loop's. Owner: see Stream. For proxy/net only. An idle stream holds its libuv handle and this
// object, no buffer: all streams of a network read into one.
#pragma once

#include <uv.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/turn.h"
#include "proxy/net/fd.h"
#include "proxy/net/loop.h"
#include "proxy/net/pipe.h"
#include "proxy/net/send_queue.h"
#include "proxy/net/stream.h"
#include "proxy/net/uv_handle.h"

namespace remora::net {

class UvStream;

// Failures that were noticed inside a call to a stream. They are reported at the end of the turn, because
// callbacks never come inside a call.
class FailureList final : public TurnTask {
 public:
  explicit FailureList(Turn& turn) : turn_(turn) {}
  void add(UvStream& stream);
  void remove(UvStream& stream);
  void at_end_of_turn() override;

 private:
  Turn& turn_;
  std::vector<UvStream*> streams_;
};

// What the streams and listeners of one UvNetwork share.
struct NetworkContext {
  static constexpr std::size_t kReadSize = std::size_t{64} * 1024;

  explicit NetworkContext(Loop& owner)
      : loop(owner), failures(owner.turn()), read_buffer(std::make_unique_for_overwrite<char[]>(kReadSize)) {}

  Loop& loop;
  FailureList failures;
  std::unique_ptr<char[]> read_buffer;  // used by one read callback at a time
  PipePool pipes;
};

class UvStream final : public Stream {
 public:
  static constexpr std::size_t kHighWater = std::size_t{256} * 1024;
  static constexpr std::size_t kLowWater = std::size_t{64} * 1024;

  // Wraps an accepted socket, which it takes over; null when libuv does not want it.
  static std::unique_ptr<UvStream> accept(NetworkContext& context, Fd fd, Address peer);
  static std::unique_ptr<UvStream> connect(NetworkContext& context, const Address& address, Events& events);

  ~UvStream() override;
  UvStream(const UvStream&) = delete;
  UvStream& operator=(const UvStream&) = delete;

  void set_events(Events* events) override;
  bool send(std::span<const std::string_view> pieces) override;
  bool send_bulk(Bulk& bulk) override;
  void end() override;
  void reset() override;
  void pause() override;
  void resume() override;
  std::size_t queued() const override { return pending_ ? pending_->size() : 0; }
  const Address& peer() const override { return peer_; }
  Address local() const override;
  Address original() const override;

 private:
  friend class FailureList;
  enum class State : std::uint8_t { kConnecting, kOpen, kClosed };
  static constexpr std::uint8_t kNeverBulk = 255;

  bool brings_much() const;

  // Exists only while there is something in it.
  struct Pending {
    std::size_t size() const { return bytes.size() + (pipe ? pipe->size() : 0); }

    PipePool::Lease pipe;  // goes first; null: nothing of it is left
    SendQueue bytes;
    std::size_t in_flight = 0;  // of these, how many the outstanding uv_write has; 0: there is none
  };

  UvStream(NetworkContext& context, Address peer) : context_(context), peer_(std::move(peer)) {}

  int open_handle(bool is_unix);
  int start_connect();
  void start_reading();
  std::size_t try_write(std::span<const std::string_view> pieces);
  void enqueue(std::span<const std::string_view> pieces, std::size_t skip);
  void flush();
  bool flush_pipe();
  void send_fin();
  void note_write_error(int status);
  void tell_progress();
  void report_failure();
  void close(const Error& error);
  int socket_error() const;

  void connected(int status);
  void received(ssize_t count, const char* bytes);
  void offer_bulk();
  void ended();
  void written(int status);

  static void on_alloc(uv_handle_t* handle, std::size_t suggested, uv_buf_t* buffer);
  static void on_readable(uv_stream_t* handle, ssize_t count, const uv_buf_t* buffer);
  static void on_written(uv_write_t* request, int status);
  static void on_connected(uv_connect_t* request, int status);

  NetworkContext& context_;
  UvHandle<uv_stream_t> handle_;  // empty once closed; handle->data is this
  Events* events_ = nullptr;
  std::unique_ptr<Pending> pending_;
  Address peer_;
  int failure_ = 0;  // libuv status of a failed write, or of a connect that failed at once
  State state_ = State::kConnecting;
  std::uint8_t full_reads_ = 0;  // one after the other; kNeverBulk: nobody takes it otherwise
  // Single bits: every idle connection has a stream.
  bool reading_ : 1 = false;  // libuv watches for bytes
  bool paused_ : 1 = false;
  bool read_ended_ : 1 = false;
  bool end_asked_ : 1 = false;
  bool end_sent_ : 1 = false;
  bool above_high_water_ : 1 = false;  // send() returned false, and on_writable has not come yet
  bool owes_drained_ : 1 = false;
};

}  // namespace remora::net
