// Long because the callbacks of OpenSSL, the states of the handshake, and both directions act on the same few
// fields: what one of them does shows in the others.
#include "proxy/net/tls_stream.h"

#include <openssl/err.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/out_of_memory.h"
#include "proxy/net/tls_handles.h"

namespace remora::net {

namespace {

constexpr std::size_t kRecord = std::size_t{16} * 1024;  // of plain bytes, at most (RFC 8446 section 5.1)
constexpr std::size_t kSlice = std::size_t{64} * 1024;   // encrypted before it is sent
constexpr std::size_t kEarly = std::size_t{256} * 1024;  // before the handshake is done
constexpr std::size_t kMostUnasked = std::size_t{64} * 1024;

}  // namespace

std::string tls_reason() {
  const unsigned long code = ERR_get_error();
  const char* reason = ERR_reason_error_string(code);
  ERR_clear_error();
  return reason != nullptr ? reason : "unknown reason";
}

// ---- Sessions

TlsSessions::~TlsSessions() { forget(); }

void TlsSessions::forget() {
  for (auto* session : kept_) SSL_SESSION_free(session);
  kept_.clear();
}

// Resuming says nothing new of who the peer is: not with a certificate that has expired in the meantime.
bool TlsSessions::is_usable(const ssl_session_st* session) {
  if (SSL_SESSION_is_resumable(session) == 0) return false;
  const X509* certificate = SSL_SESSION_get0_peer(const_cast<SSL_SESSION*>(session));
  return certificate == nullptr || X509_cmp_current_time(X509_get0_notAfter(certificate)) > 0;
}

void TlsSessions::keep(const Context& context, ssl_session_st* session) {
  if (of_ != context) forget();
  of_ = context;
  if (kept_.size() == kMost) {
    SSL_SESSION_free(kept_.front());
    kept_.erase(kept_.begin());
  }
  kept_.push_back(session);
}

// A ticket of TLS 1.3 is used once, so that nobody can tell that two connections are the same client's
// (RFC 8446 section C.4).
ssl_session_st* TlsSessions::take(const Context& context) {
  if (of_ != context) forget();
  while (!kept_.empty()) {
    ssl_session_st* session = kept_.back();
    const bool usable = is_usable(session);
    if (usable && SSL_SESSION_get_protocol_version(session) < TLS1_3_VERSION) {
      SSL_SESSION_up_ref(session);
      return session;
    }
    kept_.pop_back();
    if (usable) return session;
    SSL_SESSION_free(session);
  }
  return nullptr;
}

// ---- Between OpenSSL and the stream below

struct TlsBio {
  static TlsStream& of(BIO* bio) { return *static_cast<TlsStream*>(BIO_get_data(bio)); }

  static int read(BIO* bio, char* out, int size) {
    std::string_view& input = of(bio).input_;
    BIO_clear_retry_flags(bio);
    if (input.empty()) {
      BIO_set_retry_read(bio);
      return -1;
    }
    const std::size_t count = std::min(input.size(), static_cast<std::size_t>(size));
    std::memcpy(out, input.data(), count);
    input.remove_prefix(count);
    return static_cast<int>(count);
  }

  static int write(BIO* bio, const char* bytes, int size) {
    TlsStream& stream = of(bio);
    BIO_clear_retry_flags(bio);
    if (!stream.output_) stream.output_ = stream.buffers_.take();
    stream.output_->append(bytes, static_cast<std::size_t>(size));
    return size;
  }

  static long control(BIO* /*bio*/, int command, long /*number*/, void* /*pointer*/) {
    return command == BIO_CTRL_FLUSH ? 1 : 0;
  }

  static BIO_METHOD* method() {
    static BIO_METHOD* const kMethod = [] {
      BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stream");
      BIO_meth_set_read(made, &TlsBio::read);
      BIO_meth_set_write(made, &TlsBio::write);
      BIO_meth_set_ctrl(made, &TlsBio::control);
      return made;
    }();
    return kMethod;
  }
};

int tls_verify(int fine, X509_STORE_CTX* store) {
  const auto* ssl =
      static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  if (fine == 0 || X509_STORE_CTX_get_error_depth(store) > 0) return fine;
  const auto& stream = *static_cast<const TlsStream*>(SSL_get_app_data(ssl));
  const std::string& wanted = stream.context_->identity();
  if (wanted.empty()) return fine;
  const TlsPeer peer = tls_names(X509_STORE_CTX_get_current_cert(store));
  if (std::ranges::find(peer.uris, wanted) != peer.uris.end()) return fine;
  X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
  return 0;
}

int tls_new_session(SSL* connection, SSL_SESSION* session) {
  const auto& stream = *static_cast<const TlsStream*>(SSL_get_app_data(connection));
  if (!stream.sessions_) return 0;
  stream.sessions_->keep(stream.context_, session);
  return 1;
}

// ---- Making and ending

TlsStream::TlsStream(Shared shared, std::shared_ptr<const TlsContext> context, bool client)
    : turn_(shared.turn),
      buffers_(shared.buffers),
      context_(std::move(context)),
      ssl_(SSL_new(context_->get())),
      state_(client ? State::kConnecting : State::kHandshake),
      client_(client) {
  if (ssl_ == nullptr) end_out_of_memory();
  SSL_set_app_data(ssl_, this);
  BIO* bio = BIO_new(TlsBio::method());
  if (bio == nullptr) end_out_of_memory();
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_, bio, bio);
  if (client) {
    SSL_set_connect_state(ssl_);
  } else {
    SSL_set_accept_state(ssl_);
  }
}

std::unique_ptr<TlsStream> TlsStream::accept(Shared shared, std::shared_ptr<const TlsContext> context,
                                             std::unique_ptr<Stream> below) {
  std::unique_ptr<TlsStream> stream(new TlsStream(shared, std::move(context), false));
  stream->below_ = std::move(below);
  return stream;
}

std::unique_ptr<TlsStream> TlsStream::connect(Shared shared, std::shared_ptr<const TlsContext> context,
                                              const Target& target, Network& network, const Address& address,
                                              Stream::Events& events) {
  std::unique_ptr<TlsStream> stream(new TlsStream(shared, std::move(context), true));
  stream->events_ = &events;
  stream->sessions_ = target.sessions;
  if (!stream->name_target(target.name)) {
    // Nobody is asked for what could not be verified.
    stream->below_ = network.connect(Address(), *stream);
    return stream;
  }
  if (stream->sessions_) {
    const SessionHandle session(stream->sessions_->take(stream->context_));
    if (session) SSL_set_session(stream->ssl_, session.get());
  }
  stream->below_ = network.connect(address, *stream);
  if (!target.preamble.empty()) stream->below_->send({&target.preamble, 1});
  return stream;
}

// A name goes into SNI, an address does not (RFC 6066 section 3). Where an identity is wanted, it stands for
// the name. False: the certificate should be for the name, and cannot be checked against it.
bool TlsStream::name_target(const std::string& name) {
  const bool check = context_->verifies() && context_->identity().empty();
  if (name.empty()) return !check;
  if (const auto address = Address::parse_ip(name, 0)) {
    const std::size_t size = address->kind() == Address::Kind::kIpv4 ? 4 : 16;
    return !check || X509_VERIFY_PARAM_set1_ip(SSL_get0_param(ssl_), address->bytes().data(), size) == 1;
  }
  SSL_set_tlsext_host_name(ssl_, name.c_str());
  SSL_set_hostflags(ssl_, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  return !check || SSL_set1_host(ssl_, name.c_str()) == 1;
}

// A peer that is not told of the end would take it for an attack. When bytes are lost anyway, it is to see a
// reset.
TlsStream::~TlsStream() {
  const bool bytes_left = queued() > 0;
  if (state_ == State::kOpen && !bytes_left && !end_asked_) {
    ERR_clear_error();
    SSL_shutdown(ssl_);
    flush();
  } else if (bytes_left) {
    below_->reset();
  }
  below_->set_events(nullptr);
  SSL_set_shutdown(ssl_, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);  // else its session would be void
  SSL_free(ssl_);
  buffers_.give(std::move(output_));
}

void TlsStream::reset() {
  if (state_ == State::kClosed) return;
  state_ = State::kClosed;
  failed_.reset();
  below_->reset();
}

bool TlsStream::resumed() const { return SSL_session_reused(ssl_) != 0; }

std::unique_ptr<TlsPeer> TlsStream::verified_peer() const {
  X509* certificate = SSL_get0_peer_certificate(ssl_);
  const bool asked = client_ ? context_->verifies() : context_->asks_clients();
  if (certificate == nullptr || !asked || SSL_get_verify_result(ssl_) != X509_V_OK) return nullptr;
  return std::make_unique<TlsPeer>(tls_peer(certificate));
}

// ---- Events of the stream below

void TlsStream::on_open() {
  state_ = State::kHandshake;
  proceed();
}

void TlsStream::on_data(std::string_view bytes) {
  if (state_ == State::kClosed) return;
  if (held_.empty()) {
    input_ = bytes;
  } else {
    held_.append(bytes);
    input_ = held_;
  }
  proceed();
}

void TlsStream::on_end() {
  if (state_ == State::kClosed) return;
  below_ended_ = true;
  input_ = held_;
  proceed();
}

void TlsStream::on_writable() {
  full_ = false;
  if (state_ == State::kClosed || !std::exchange(told_full_, false)) return;
  if (events_ != nullptr) events_->on_writable();
}

void TlsStream::on_drained() {
  unasked_ = 0;
  full_ = false;
  if (state_ != State::kOpen) return;
  const bool drained = std::exchange(owes_drained_, false);
  // Who was told to stop before the handshake was done is not always told to go on by the stream below.
  if (std::exchange(told_full_, false) && events_ != nullptr) events_->on_writable();
  if (drained && state_ == State::kOpen && queued() == 0 && events_ != nullptr) events_->on_drained();
}

void TlsStream::on_closed(const Error& error) {
  if (state_ == State::kClosed) return;
  const bool shaking = state_ == State::kHandshake;
  state_ = State::kClosed;
  below_ended_ = true;
  if (events_ == nullptr) return;
  if (!shaking) return events_->on_closed(error);
  events_->on_closed(in_tls_handshake(Error(ErrorCode::kConnectFailed, error.side, error.retry,
                                            "TLS handshake: the peer reset the connection")));
}

// ---- Reading

void TlsStream::set_events(Stream::Events* events) {
  events_ = events;
  if (state_ == State::kClosed) return;
  below_->set_events(events != nullptr ? static_cast<Stream::Events*>(this) : nullptr);
  if (events != nullptr) turn_.defer(*this);
}

void TlsStream::pause() {
  paused_ = true;
  if (state_ == State::kOpen) below_->pause();
}

void TlsStream::resume() {
  paused_ = false;
  if (state_ != State::kOpen) return;
  below_->resume();
  turn_.defer(*this);
}

// What had to wait for the end of the call that brought it about.
void TlsStream::at_end_of_turn() {
  if (failed_) return report();
  if (state_ == State::kClosed || state_ == State::kConnecting) return;
  const bool peer_ended = (SSL_get_shutdown(ssl_) & SSL_RECEIVED_SHUTDOWN) != 0;
  if (held_.empty() && !below_ended_ && !peer_ended && SSL_has_pending(ssl_) == 0) return;
  input_ = held_;
  proceed();
}

// Takes what has arrived as far as somebody wants it.
void TlsStream::proceed() {
  if (in_proceed_) return;
  in_proceed_ = true;
  if (state_ == State::kHandshake && events_ != nullptr) shake_hands();
  while (state_ == State::kOpen && wants_to_read() && read_once()) {
  }
  in_proceed_ = false;
  if (output_ && !output_->empty()) {
    unasked_ += output_->size();
    flush();
    if (below_->queued() == 0) unasked_ = 0;
    if (unasked_ > kMostUnasked && state_ != State::kClosed) {
      fail(Error(ErrorCode::kReset, Side::kInternal, Retry::kNo, "the peer does not read what it asks for"));
    }
  }
  keep_input();
  if (failed_) report();
}

void TlsStream::keep_input() {
  if (state_ == State::kClosed) input_ = {};
  if (input_.empty()) {
    std::string().swap(held_);  // assigning an empty one would keep the memory
  } else if (input_.size() != held_.size() || input_.data() != held_.data()) {
    held_ = std::string(input_);
  }
  input_ = {};
}

void TlsStream::shake_hands() {
  ERR_clear_error();
  const int done = SSL_do_handshake(ssl_);
  if (done != 1) {
    const int why = SSL_get_error(ssl_, done);
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) {
      if (!below_ended_) return;
      return fail(in_tls_handshake(Error(ErrorCode::kConnectFailed, Side::kInternal, Retry::kNo,
                                         "TLS handshake: the peer closed the connection")));
    }
    return fail(in_tls_handshake(failure("TLS handshake: ")));
  }
  state_ = State::kOpen;
  flush();
  if (paused_) below_->pause();
  if (events_ != nullptr) events_->on_open();
  if (state_ == State::kOpen) send_early();
}

// What was sent, and asked for, before the handshake was done, and inside on_open.
void TlsStream::send_early() {
  std::array<std::string_view, 1> piece;
  while (early_.front(piece, kSlice) > 0 && state_ == State::kOpen) {
    encrypt(piece.front());
    flush();
    early_.consume(piece.front().size());
  }
  early_ = SendQueue();
  if (state_ == State::kOpen && end_asked_ && !end_sent_) send_end();
  if (state_ != State::kOpen || queued() > 0) return;
  if (std::exchange(told_full_, false) && events_ != nullptr) events_->on_writable();
  if (state_ == State::kOpen && std::exchange(owes_drained_, false) && events_ != nullptr)
    events_->on_drained();
}

// One piece of what the peer sent, or its end. False: there is no more of it yet.
bool TlsStream::read_once() {
  BufferPool::Buffer plain = buffers_.take();
  std::size_t count = 0;
  int status = 0;
  bool none_left = false;  // asking would cost as much as a record
  ERR_clear_error();
  plain->resize_and_overwrite(kSlice, [&](char* out, std::size_t size) {
    // Several records at once, so that whoever reads them does so once.
    while (size - count >= kRecord) {
      std::size_t more = 0;
      status = SSL_read_ex(ssl_, out + count, size - count, &more);
      if (status != 1) break;
      count += more;
      none_left = input_.empty() && SSL_has_pending(ssl_) == 0;
      if (none_left) break;
    }
    return count;
  });
  const int why = status == 1 ? SSL_ERROR_NONE : SSL_get_error(ssl_, status);
  const std::string reason_kept = why == SSL_ERROR_SSL ? failure("TLS: ").detail : std::string();
  if (count > 0) events_->on_data(*plain);
  buffers_.give(std::move(plain));
  if (why == SSL_ERROR_SSL && state_ == State::kOpen) {  // OpenSSL says it once
    fail(Error(ErrorCode::kReset, Side::kInternal, Retry::kNo, reason_kept));
    return false;
  }
  if (!wants_to_read()) return false;  // what is left will be said again
  if (none_left && !below_ended_) return false;
  switch (why) {
    case SSL_ERROR_NONE: return true;
    case SSL_ERROR_ZERO_RETURN:
      read_ended_ = true;
      if (events_ != nullptr) events_->on_end();
      return false;
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
      if (below_ended_ && input_.empty()) {
        fail(Error(ErrorCode::kReset, Side::kInternal, Retry::kNo,
                   "the connection was cut off: no close_notify came"));
      }
      return false;
    default: fail(Error(ErrorCode::kReset, Side::kInternal, Retry::kNo, "TLS: broken")); return false;
  }
}

// What OpenSSL has to say of what has just failed, in words for people.
Error TlsStream::failure(const char* when) const {
  const unsigned long code = ERR_peek_error();
  const long verified = SSL_get_verify_result(ssl_);
  std::string text = when;
  if (ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
    text += client_ ? "the server's certificate: " : "the client's certificate: ";
    text += verified == X509_V_ERR_APPLICATION_VERIFICATION ? "it is not for " + context_->identity()
                                                            : X509_verify_cert_error_string(verified);
  } else if (ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) >= SSL_AD_REASON_OFFSET) {
    text += "the peer refuses it: " + tls_reason();
  } else {
    text += tls_reason();
  }
  ERR_clear_error();
  return {ErrorCode::kConnectFailed, Side::kInternal, Retry::kNo, std::move(text)};
}

// The peer gets the alert that OpenSSL has written, and FIN.
void TlsStream::fail(Error error) {
  state_ = State::kClosed;
  flush();
  below_->end();
  failed_ = std::move(error);
  if (!in_proceed_) turn_.defer(*this);
}

void TlsStream::report() {
  const Error error = *std::exchange(failed_, std::nullopt);
  if (events_ != nullptr) events_->on_closed(error);
}

// ---- Writing

bool TlsStream::send(std::span<const std::string_view> pieces) {
  if (state_ == State::kClosed || end_asked_) return true;
  if (state_ != State::kOpen || !early_.empty()) {
    for (const auto piece : pieces) early_.append(piece);
    owes_drained_ = !early_.empty();
    told_full_ = told_full_ || early_.size() > kEarly;
    return !told_full_;
  }
  encrypt(pieces);
  flush();
  told_full_ = told_full_ || full_;
  return !told_full_;
}

bool TlsStream::send_last(std::span<const std::string_view> pieces) {
  if (state_ != State::kOpen || !early_.empty() || end_asked_) return send(pieces);
  encrypt(pieces);
  if (state_ == State::kOpen) end();
  told_full_ = told_full_ || full_;
  return !told_full_;
}

// Small pieces share a record; what is large is not copied for it.
void TlsStream::encrypt(std::span<const std::string_view> pieces) {
  if (pieces.size() == 1) return encrypt(pieces.front());
  BufferPool::Buffer plain = buffers_.take();
  for (auto piece : pieces) {
    while (!piece.empty()) {
      if (plain->empty() && piece.size() >= kRecord) {
        const std::size_t whole = piece.size() - piece.size() % kRecord;
        encrypt(piece.substr(0, whole));
        piece.remove_prefix(whole);
        continue;
      }
      const std::size_t count = std::min(piece.size(), kRecord - plain->size());
      plain->append(piece.substr(0, count));
      piece.remove_prefix(count);
      if (plain->size() < kRecord) continue;
      encrypt(*plain);
      plain->clear();
    }
  }
  encrypt(*plain);
  buffers_.give(std::move(plain));
}

void TlsStream::encrypt(std::string_view bytes) {
  while (!bytes.empty() && state_ == State::kOpen) {
    const auto slice = bytes.substr(0, kSlice);
    bytes.remove_prefix(slice.size());
    std::size_t written = 0;
    ERR_clear_error();
    // All of it is taken: the buffer below has no end.
    if (SSL_write_ex(ssl_, slice.data(), slice.size(), &written) != 1) {
      return fail(Error(ErrorCode::kReset, Side::kInternal, Retry::kNo, failure("TLS: ").detail));
    }
    if (output_ && output_->size() >= kSlice) flush();
  }
}

void TlsStream::flush() {
  if (!output_) return;
  if (!output_->empty()) {
    const std::array<std::string_view, 1> pieces{*output_};
    full_ = !below_->send(pieces);
    if (state_ == State::kOpen && below_->queued() > 0) owes_drained_ = true;
  }
  buffers_.give(std::move(output_));
}

void TlsStream::end() {
  if (state_ == State::kClosed || end_asked_) return;
  end_asked_ = true;
  if (state_ != State::kOpen || !early_.empty()) {
    owes_drained_ = true;
    return;
  }
  send_end();
}

void TlsStream::send_end() {
  end_sent_ = true;
  ERR_clear_error();
  SSL_shutdown(ssl_);
  flush();
  below_->end();
  if (below_->queued() > 0) owes_drained_ = true;
}

}  // namespace remora::net
