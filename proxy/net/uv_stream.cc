// Long because a socket is read, written and ended in one state, each with its failures.
#include "proxy/net/uv_stream.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "proxy/net/uv_error.h"

namespace remora::net {

namespace {

constexpr std::size_t kPiecesPerWrite = 16;
constexpr std::size_t kBytesPerWrite = std::size_t{128} * 1024;

// So many full reads in a row are followed by an offer; what is below the least is read again, and what is
// above the most waits for the other connections of the loop.
constexpr std::uint8_t kFullReads = 2;
constexpr std::size_t kLeastBulk = std::size_t{16} * 1024;
constexpr std::size_t kMostBulk = std::size_t{1024} * 1024;
constexpr int kReadsPerEvent = kMostBulk / NetworkContext::kReadSize;

uv_buf_t to_buffer(std::string_view bytes) {
  uv_buf_t buffer;
  buffer.base = const_cast<char*>(bytes.data());  // libuv has one type for both directions
  buffer.len = bytes.size();
  return buffer;
}

iovec to_iovec(std::string_view bytes) { return {const_cast<char*>(bytes.data()), bytes.size()}; }

int fd_of(uv_stream_t* handle) {
  uv_os_fd_t fd = -1;
  return uv_fileno(reinterpret_cast<uv_handle_t*>(handle), &fd) == 0 ? fd : -1;
}

// What recv(2) gives, 0 at the end of the stream, or libuv's status.
ssize_t receive(int socket, char* buffer) {
  ssize_t count = 0;
  do {
    count = ::recv(socket, buffer, NetworkContext::kReadSize, 0);
  } while (count < 0 && errno == EINTR);
  return count < 0 ? uv_translate_sys_error(errno) : count;
}

// How many bytes the kernel has taken, or libuv's status. uv_try_write() would write(2); as with receive(),
// what is for sockets only is cheaper.
ssize_t transmit(int socket, std::span<iovec> pieces) {
  ssize_t count = 0;
  do {
    if (pieces.size() == 1) {
      count = ::send(socket, pieces[0].iov_base, pieces[0].iov_len, MSG_NOSIGNAL);
    } else {
      msghdr message{};
      message.msg_iov = pieces.data();
      message.msg_iovlen = pieces.size();
      count = ::sendmsg(socket, &message, MSG_NOSIGNAL);
    }
  } while (count < 0 && errno == EINTR);
  if (count >= 0) return count;
  return errno == ENOBUFS ? ssize_t{UV_EAGAIN} : uv_translate_sys_error(errno);
}

// Whether it is the connection that has failed, or the system does not move bytes in this way at all.
void note_source_error(Bulk& bulk, int error) {
  switch (error) {
    case EAGAIN:
    case ENOMEM: return;
    case EACCES:
    case EINVAL:
    case ENOSYS:
    case EOPNOTSUPP:
    case EPERM: bulk.refusal = Bulk::Refusal::kForGood; return;
    default: bulk.error = error;
  }
}

// A peer that is gone, as seen by a write. The reading side may still hold what it sent before.
bool peer_is_gone(int status) { return status == UV_EPIPE || status == UV_ECONNRESET; }

}  // namespace

// ---- FailureList

void FailureList::add(UvStream& stream) {
  streams_.push_back(&stream);
  turn_.defer(*this);
}

void FailureList::remove(UvStream& stream) { std::erase(streams_, &stream); }

void FailureList::at_end_of_turn() {
  while (!streams_.empty()) {
    UvStream* stream = streams_.front();
    streams_.erase(streams_.begin());
    stream->report_failure();
  }
}

// ---- Making and ending

int UvStream::open_handle(bool is_unix) {
  uv_loop_t* loop = context_.loop.uv();
  int status = 0;
  if (is_unix) {
    UvHandle<uv_pipe_t> pipe;
    status = pipe.open([&](uv_pipe_t* handle) { return uv_pipe_init(loop, handle, 0); });
    handle_ = UvHandle<uv_stream_t>(std::move(pipe));
  } else {
    UvHandle<uv_tcp_t> tcp;
    status = tcp.open([&](uv_tcp_t* handle) { return uv_tcp_init(loop, handle); });
    handle_ = UvHandle<uv_stream_t>(std::move(tcp));
  }
  if (handle_) handle_->data = this;
  return status;
}

std::unique_ptr<UvStream> UvStream::accept(NetworkContext& context, Fd fd, Address peer) {
  const bool is_unix = peer.is_unix();
  std::unique_ptr<UvStream> stream(new UvStream(context, std::move(peer)));
  if (stream->open_handle(is_unix) < 0) return nullptr;
  uv_stream_t* handle = stream->handle_.get();
  const int status = is_unix ? uv_pipe_open(reinterpret_cast<uv_pipe_t*>(handle), fd.get())
                             : uv_tcp_open(reinterpret_cast<uv_tcp_t*>(handle), fd.get());
  if (status < 0) return nullptr;
  (void)fd.release();
  stream->state_ = State::kOpen;
  return stream;
}

std::unique_ptr<UvStream> UvStream::connect(NetworkContext& context, const Address& address, Events& events) {
  std::unique_ptr<UvStream> stream(new UvStream(context, address));
  stream->events_ = &events;
  const int status = stream->start_connect();
  if (status < 0) {
    stream->failure_ = status;
    context.failures.add(*stream);
  }
  return stream;
}

int UvStream::start_connect() {
  sockaddr_storage name{};
  socklen_t length = 0;
  if (!peer_.to_sockaddr(name, length)) return UV_EINVAL;
  if (const int status = open_handle(peer_.is_unix()); status < 0) return status;

  auto request = std::make_unique<uv_connect_t>();
  if (peer_.is_unix()) {
    uv_pipe_connect(request.get(), reinterpret_cast<uv_pipe_t*>(handle_.get()), peer_.path().c_str(),
                    &UvStream::on_connected);
  } else {
    auto* tcp = reinterpret_cast<uv_tcp_t*>(handle_.get());
    uv_tcp_nodelay(tcp, 1);  // remembered until there is a socket
    const int status =
        uv_tcp_connect(request.get(), tcp, reinterpret_cast<const sockaddr*>(&name), &UvStream::on_connected);
    if (status < 0) return status;
  }
  (void)request.release();  // on_connected deletes it, also when cancelled
  return 0;
}

UvStream::~UvStream() {
  if (failure_ != 0) context_.failures.remove(*this);
  if (pending_) reset();  // bytes are lost: the peer must not take what it has for all
}

void UvStream::close(const Error& error) {
  state_ = State::kClosed;
  handle_.close();
  pending_.reset();
  if (events_ != nullptr) events_->on_closed(error);
}

void UvStream::report_failure() {
  if (state_ == State::kClosed) return;
  close(uv_error(failure_, state_ == State::kConnecting ? Attempt::kConnect : Attempt::kConnection));
}

void UvStream::reset() {
  if (state_ == State::kClosed) return;
  state_ = State::kClosed;
  if (handle_ && handle_->type == UV_TCP) {
    const linger at_once{1, 0};
    ::setsockopt(fd_of(handle_.get()), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  }
  handle_.close();
  pending_.reset();
}

void UvStream::on_connected(uv_connect_t* request, int status) {
  auto* stream = static_cast<UvStream*>(request->handle->data);
  delete request;
  if (stream == nullptr) return;
  stream->context_.loop.event([&] { stream->connected(status); });
}

void UvStream::connected(int status) {
  if (status < 0) {
    close(uv_error(status, Attempt::kConnect));
    return;
  }
  state_ = State::kOpen;
  start_reading();
  if (events_ != nullptr) events_->on_open();
  if (state_ != State::kOpen) return;
  if (pending_) {
    flush();
  } else if (end_asked_ && !end_sent_) {
    send_fin();
    tell_progress();
  }
}

// ---- Reading

void UvStream::set_events(Events* events) {
  events_ = events;
  start_reading();
}

void UvStream::start_reading() {
  if (state_ != State::kOpen || reading_ || paused_ || read_ended_ || events_ == nullptr) return;
  reading_ = uv_read_start(handle_.get(), &UvStream::on_alloc, &UvStream::on_readable) == 0;
}

// Stopping libuv would cost two epoll_ctl calls for a pause that is over within the event. So nothing happens
// until bytes do arrive (on_readable).
void UvStream::pause() { paused_ = true; }

void UvStream::resume() {
  paused_ = false;
  start_reading();
}

bool UvStream::brings_much() const { return full_reads_ >= kFullReads && full_reads_ != kNeverBulk; }

// libuv would read(2), which takes the long way through the virtual file system. So it gets no buffer, and
// tells on_readable instead, which takes recv(2).
void UvStream::on_alloc(uv_handle_t* /*handle*/, std::size_t /*suggested*/, uv_buf_t* buffer) {
  buffer->base = nullptr;
  buffer->len = 0;
}

// libuv comes again as long as there is something to be read. Any event may bury the stream or hold it up.
void UvStream::on_readable(uv_stream_t* handle, ssize_t /*count*/, const uv_buf_t* /*buffer*/) {
  for (int i = 0; i < kReadsPerEvent; ++i) {
    auto* const stream = static_cast<UvStream*>(handle->data);
    if (stream == nullptr || !stream->reading_) return;
    if (stream->paused_ || stream->events_ == nullptr) {
      stream->reading_ = false;
      uv_read_stop(handle);
      return;
    }
    Loop& loop = stream->context_.loop;
    if (stream->brings_much()) {
      loop.event([&] { stream->offer_bulk(); });
      return;
    }
    char* const buffer = stream->context_.read_buffer.get();
    const ssize_t count = receive(fd_of(handle), buffer);
    if (count == UV_EAGAIN) return;
    loop.event([&] { stream->received(count, buffer); });
    if (count != ssize_t{NetworkContext::kReadSize}) return;
    loop.end_turn();  // before the next read it must be known who is to pause
  }
}

// What is not taken is read as soon as the loop comes round, since the socket is still readable; so an end
// and a failure are met there alone.
void UvStream::offer_bulk() {
  Bulk bulk{.source = fd_of(handle_.get())};
  events_->on_bulk(bulk);
  if (bulk.moved == 0 && bulk.refusal == Bulk::Refusal::kForGood) {
    full_reads_ = kNeverBulk;
  } else if (bulk.moved < kLeastBulk) {
    full_reads_ = 0;
  }
  if (bulk.error != 0 && state_ == State::kOpen) {
    close(uv_error(uv_translate_sys_error(bulk.error), Attempt::kConnection));
  }
}

void UvStream::received(ssize_t count, const char* bytes) {
  if (full_reads_ != kNeverBulk) {
    full_reads_ =
        count == ssize_t{NetworkContext::kReadSize} ? static_cast<std::uint8_t>(full_reads_ + 1) : 0;
  }
  if (count > 0) {
    if (events_ != nullptr) events_->on_data({bytes, static_cast<std::size_t>(count)});
  } else if (count == 0) {
    ended();
  } else {
    close(uv_error(failure_ != 0 ? failure_ : static_cast<int>(count), Attempt::kConnection));
  }
}

// A failed write swallows a reset, behind which there is only an end. Taking that for a clean one would hide
// that bytes are missing. EPIPE is no such case: the reset came after the peer's FIN, so everything it sent
// is here.
void UvStream::ended() {
  reading_ = false;
  uv_read_stop(handle_.get());
  const int error = failure_ != 0 ? failure_ : socket_error();
  if (error != 0 && error != UV_EPIPE) {
    close(uv_error(error, Attempt::kConnection));
    return;
  }
  read_ended_ = true;
  if (failure_ != 0) context_.failures.add(*this);  // on_end first, on_closed at the end of the turn
  if (events_ != nullptr) events_->on_end();
}

Address UvStream::local() const {
  sockaddr_storage name{};
  socklen_t length = sizeof name;
  if (!handle_ || ::getsockname(fd_of(handle_.get()), reinterpret_cast<sockaddr*>(&name), &length) != 0)
    return {};
  return Address::from_sockaddr(reinterpret_cast<const sockaddr*>(&name)).value_or(Address());
}

Address UvStream::original() const {
  constexpr int kOriginalDestination = 80;  // SO_ORIGINAL_DST, IP6T_SO_ORIGINAL_DST: the same, by the level
  const bool v6 = peer_.kind() == Address::Kind::kIpv6;
  sockaddr_storage name{};
  socklen_t length = v6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  const int level = v6 ? static_cast<int>(IPPROTO_IPV6) : static_cast<int>(IPPROTO_IP);
  if (!handle_ || !peer_.is_ip() ||
      ::getsockopt(fd_of(handle_.get()), level, kOriginalDestination, &name, &length) != 0) {
    return {};
  }
  return Address::from_sockaddr(reinterpret_cast<const sockaddr*>(&name)).value_or(Address());
}

int UvStream::socket_error() const {
  int error = 0;
  socklen_t length = sizeof error;
  if (::getsockopt(fd_of(handle_.get()), SOL_SOCKET, SO_ERROR, &error, &length) != 0) return 0;
  return -error;
}

// ---- Writing

bool UvStream::send(std::span<const std::string_view> pieces) {
  if (state_ == State::kClosed || end_asked_ || failure_ != 0) return true;
  const std::size_t taken = state_ == State::kOpen && !pending_ ? try_write(pieces) : 0;
  if (failure_ != 0) return true;
  enqueue(pieces, taken);
  if (!pending_) return true;
  flush();
  if (queued() > kHighWater) above_high_water_ = true;
  return !above_high_water_;
}

std::size_t UvStream::try_write(std::span<const std::string_view> pieces) {
  std::size_t taken = 0;
  while (!pieces.empty()) {
    std::array<iovec, kPiecesPerWrite> buffers;
    std::size_t used = 0;
    std::size_t wanted = 0;
    for (; used < buffers.size() && !pieces.empty(); pieces = pieces.subspan(1)) {
      if (pieces.front().empty()) continue;
      buffers[used++] = to_iovec(pieces.front());
      wanted += pieces.front().size();
    }
    if (used == 0) break;
    const ssize_t count = transmit(fd_of(handle_.get()), {buffers.data(), used});
    if (count < 0) {
      if (count != UV_EAGAIN) note_write_error(static_cast<int>(count));
      break;
    }
    taken += static_cast<std::size_t>(count);
    if (static_cast<std::size_t>(count) < wanted) break;
  }
  return taken;
}

bool UvStream::send_bulk(Bulk& bulk) {
  bulk.refusal = Bulk::Refusal::kBusy;
  if (state_ != State::kOpen || end_asked_ || failure_ != 0 || pending_) return !above_high_water_;
  PipePool::Lease pipe = context_.pipes.take();
  if (!pipe) {
    bulk.refusal = Bulk::Refusal::kNoPipe;
    return true;
  }
  while (bulk.moved < kMostBulk) {
    const ssize_t count = pipe->fill(bulk.source);
    if (count < 0) note_source_error(bulk, errno);
    if (count <= 0) break;
    bulk.moved += static_cast<std::size_t>(count);
    if (!pipe->drain(fd_of(handle_.get()))) {
      note_write_error(uv_translate_sys_error(errno));
      return true;
    }
    if (pipe->size() == 0) continue;
    pending_ = std::make_unique<Pending>();
    pending_->pipe = std::move(pipe);
    owes_drained_ = above_high_water_ = true;
    flush();
    return !above_high_water_;
  }
  return true;
}

void UvStream::enqueue(std::span<const std::string_view> pieces, std::size_t skip) {
  for (auto piece : pieces) {
    const std::size_t skipped = std::min(skip, piece.size());
    skip -= skipped;
    piece.remove_prefix(skipped);
    if (piece.empty()) continue;
    if (!pending_) pending_ = std::make_unique<Pending>();
    owes_drained_ = true;
    pending_->bytes.append(piece);
  }
}

void UvStream::flush() {
  if (state_ != State::kOpen || !pending_ || pending_->in_flight > 0) return;
  std::array<std::string_view, kPiecesPerWrite> pieces;
  std::size_t used = 1;
  if (pending_->pipe) {
    pieces[0] = pending_->pipe->take_piece();
  } else {
    used = pending_->bytes.front(pieces, kBytesPerWrite);
  }
  std::array<uv_buf_t, kPiecesPerWrite> buffers;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < used; ++i) {
    buffers[i] = to_buffer(pieces[i]);
    bytes += pieces[i].size();
  }
  auto request = std::make_unique<uv_write_t>();
  const int status = uv_write(request.get(), handle_.get(), buffers.data(), static_cast<unsigned>(used),
                              &UvStream::on_written);
  if (status < 0) {
    note_write_error(status);
    return;
  }
  (void)request.release();  // on_written deletes it, also when cancelled
  pending_->in_flight = bytes;
}

void UvStream::on_written(uv_write_t* request, int status) {
  auto* stream = static_cast<UvStream*>(request->handle->data);
  delete request;
  if (stream == nullptr) return;
  stream->context_.loop.event([&] { stream->written(status); });
}

void UvStream::written(int status) {
  if (status < 0) {
    note_write_error(status);
    return;
  }
  if (pending_->pipe) {
    if (!flush_pipe()) return;
  } else {
    pending_->bytes.consume(pending_->in_flight);
  }
  pending_->in_flight = 0;
  if (pending_->size() == 0) {
    pending_.reset();
    if (end_asked_) send_fin();
  } else {
    flush();
  }
  tell_progress();
}

// libuv has waited until there was room for the first piece of what is in the pipe; the rest goes by itself.
bool UvStream::flush_pipe() {
  pending_->pipe->forget_piece();
  if (!pending_->pipe->drain(fd_of(handle_.get()))) {
    note_write_error(uv_translate_sys_error(errno));
    return false;
  }
  if (pending_->pipe->size() == 0) pending_->pipe.reset();
  return true;
}

void UvStream::tell_progress() {
  if (above_high_water_ && queued() < kLowWater && (!pending_ || !pending_->pipe)) {
    above_high_water_ = false;
    if (events_ != nullptr) events_->on_writable();
  }
  if (owes_drained_ && !pending_ && state_ == State::kOpen && failure_ == 0) {
    owes_drained_ = false;
    if (events_ != nullptr) events_->on_drained();
  }
}

void UvStream::end() {
  if (state_ == State::kClosed || end_asked_ || failure_ != 0) return;
  end_asked_ = true;
  if (state_ == State::kOpen && !pending_) {
    send_fin();
  } else {
    owes_drained_ = true;
  }
}

// Not uv_shutdown(): with a queue of our own there is nothing for it to wait for, and it needs an allocation
// and another loop iteration. A failure means that the connection is gone, which the reading side reports.
void UvStream::send_fin() {
  end_sent_ = true;
  ::shutdown(fd_of(handle_.get()), SHUT_WR);
}

// When the peer is gone, what it sent before may still wait to be read (a response to an upload it did not
// want): the reading side, which sees the end next, reports the failure then. Otherwise nobody else would.
void UvStream::note_write_error(int status) {
  failure_ = status;
  pending_.reset();
  above_high_water_ = false;
  if (!peer_is_gone(status) || read_ended_) context_.failures.add(*this);
}

}  // namespace remora::net
