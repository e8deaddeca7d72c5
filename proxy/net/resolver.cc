// Long because the bytes of SRV answers, which c-ares does not give with their TTL, are read here, too:
// beside c-ares, the only library that may be included here and nowhere else.
#include "proxy/net/resolver.h"

#include <ares.h>
#include <netdb.h>
#include <strings.h>
#include <sys/time.h>
#include <uv.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include "proxy/net/uv_handle.h"

namespace remora::net {

namespace {

constexpr int kClassIn = 1;
constexpr int kTypeSrv = 33;
constexpr std::size_t kHeaderBytes = 12;

// So many names are asked for at a time, each with two datagrams. More at once are lost: in the buffer of a
// socket there is room for some 200 answers.
constexpr unsigned kAtOnce = 64;
// Names that have been asked for so long without one answer leave their places to others.
constexpr Duration kPatience = 250ms;

// The result is handed over at the end of the turn, whether c-ares had it at once or later: then neither
// resolve() nor c-ares is on the stack, and the owner may do anything.
template <typename T>
class PendingQuery final : public Resolver::Query, private TurnTask {
 public:
  using Callback = std::move_only_function<void(Result<T>)>;

  PendingQuery(Turn& turn, Callback callback) : turn_(turn), callback_(std::move(callback)) {}
  ~PendingQuery() override {
    if (known_as_ != nullptr) *known_as_ = nullptr;
  }

  // Where a pointer to this is to be found, until it has finished.
  void known_as(PendingQuery** pointer) { known_as_ = pointer; }
  void finish(Result<T> result) {
    known_as_ = nullptr;
    result_.emplace(std::move(result));
    turn_.defer(*this);
  }

 private:
  void at_end_of_turn() override {
    auto callback = std::move(callback_);  // this may be destroyed in it
    auto result = std::move(*result_);
    callback(std::move(result));
  }

  Turn& turn_;
  Callback callback_;
  PendingQuery** known_as_ = nullptr;
  std::optional<Result<T>> result_;
};

Error resolve_error(int status) {
  ErrorCode code = ErrorCode::kResolveFailed;
  if (status == ARES_ETIMEOUT) code = ErrorCode::kTimedOut;
  if (status == ARES_EBADNAME) code = ErrorCode::kInvalid;
  if (status == ARES_ECANCELLED || status == ARES_EDESTRUCTION) code = ErrorCode::kCancelled;
  return {code, Side::kInternal, Retry::kNo, ares_strerror(status)};
}

// One family, in a stable order, each once: servers rotate what they answer.
void tidy(std::vector<Address>& addresses) {
  const auto is_ipv4 = [](const Address& address) { return address.kind() == Address::Kind::kIpv4; };
  if (std::ranges::any_of(addresses, is_ipv4)) std::erase_if(addresses, std::not_fn(is_ipv4));
  std::ranges::sort(addresses, {}, &Address::bytes);
  addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
}

Result<Answer> to_answer(const ares_addrinfo& info, const ResolverOptions& options) {
  Answer answer;
  int ttl = std::numeric_limits<int>::max();
  for (const auto* node = info.nodes; node != nullptr; node = node->ai_next) {
    auto address = Address::from_sockaddr(node->ai_addr);
    if (!address || !address->is_ip()) continue;
    address->set_port(0);
    answer.addresses.push_back(std::move(*address));
    ttl = std::min(ttl, node->ai_ttl);
  }
  for (const auto* cname = info.cnames; cname != nullptr; cname = cname->next)
    ttl = std::min(ttl, cname->ttl);
  if (answer.addresses.empty()) return std::unexpected(resolve_error(ARES_ENODATA));
  tidy(answer.addresses);
  answer.ttl = std::clamp(Duration(std::chrono::seconds(ttl)), options.min_ttl, options.max_ttl);
  return answer;
}

// Reads a DNS message from its beginning; what is beyond its end reads as nothing.
class MessageReader final {
 public:
  explicit MessageReader(std::span<const unsigned char> message) : message_(message) {}

  bool skip(std::size_t bytes) {
    if (message_.size() - at_ < bytes) return false;
    at_ += bytes;
    return true;
  }
  std::optional<std::uint16_t> u16() {
    if (!skip(2)) return std::nullopt;
    return static_cast<std::uint16_t>(message_[at_ - 2] << 8U | message_[at_ - 1]);
  }
  std::optional<std::uint32_t> u32() {
    const auto high = u16();
    const auto low = u16();
    if (!high || !low) return std::nullopt;
    return std::uint32_t{*high} << 16U | *low;
  }
  // Pointers to earlier names are followed.
  std::optional<std::string> name() {
    char* text = nullptr;
    long taken = 0;
    if (at_ >= message_.size() ||
        ares_expand_name(message_.data() + at_, message_.data(), static_cast<int>(message_.size()), &text,
                         &taken) != ARES_SUCCESS) {
      return std::nullopt;
    }
    std::string name(text);
    ares_free_string(text);
    if (!skip(static_cast<std::size_t>(taken))) return std::nullopt;
    return name;
  }
  std::size_t at() const { return at_; }
  void go_to(std::size_t at) { at_ = at; }

 private:
  std::span<const unsigned char> message_;
  std::size_t at_ = 0;
};

// One record of an answer; false: it breaks off.
bool read_record(MessageReader& reader, ServiceAnswer& answer, std::uint32_t& ttl) {
  if (!reader.name()) return false;
  const auto type = reader.u16();
  const auto dns_class = reader.u16();
  const auto its_ttl = reader.u32();
  const auto length = reader.u16();
  const std::size_t data = reader.at();
  if (!type || !dns_class || !its_ttl || !length || !reader.skip(*length)) return false;
  const std::size_t end = reader.at();
  ttl = std::min(ttl, *its_ttl);
  if (*type != kTypeSrv || *dns_class != kClassIn) return true;
  reader.go_to(data);
  const auto priority = reader.u16();
  const auto weight = reader.u16();
  const auto port = reader.u16();
  auto host = reader.name();
  if (!priority || !weight || !port || !host || reader.at() != end) return false;
  if (!host->empty() && answer.records.size() < Resolver::kServiceRecords) {
    answer.records.push_back(
        {.host = *std::move(host), .port = *port, .priority = *priority, .weight = *weight});
  }
  return true;
}

// The address of a host that needs no server.
std::optional<Address> known_address(const std::string& host) {
  if (auto literal = Address::parse_ip(host, 0)) return literal;
  const bool local =
      ::strcasecmp(host.c_str(), "localhost") == 0 || ::strcasecmp(host.c_str(), "localhost.") == 0;
  return local ? Address::parse_ip("127.0.0.1", 0) : std::nullopt;
}

std::string to_csv(const std::vector<Address>& servers) {
  std::string text;
  for (const auto& server : servers) text += (text.empty() ? "" : ",") + server.to_string();
  return text;
}

}  // namespace

Result<ServiceAnswer> parse_service_answer(std::span<const unsigned char> message) {
  const auto malformed = [] { return std::unexpected(resolve_error(ARES_EBADRESP)); };
  MessageReader reader(message);
  if (!reader.skip(4)) return malformed();
  const auto questions = reader.u16();
  const auto answers = reader.u16();
  if (!questions || !answers || !reader.skip(kHeaderBytes - reader.at())) return malformed();
  for (unsigned i = 0; i < *questions; ++i) {
    if (!reader.name() || !reader.skip(4)) return malformed();
  }
  ServiceAnswer answer;
  std::uint32_t ttl = std::numeric_limits<std::int32_t>::max();  // RFC 2181 section 8
  for (unsigned i = 0; i < *answers; ++i) {
    if (!read_record(reader, answer, ttl)) return malformed();
  }
  if (answer.records.empty()) return std::unexpected(resolve_error(ARES_ENODATA));
  answer.ttl = std::chrono::seconds(ttl);
  return answer;
}

// The c-ares channel with its sockets on the loop and its timeouts on the wheel.
class Resolver::Channel final {
 public:
  Channel(Loop& loop, const ResolverOptions& options) : loop_(loop), options_(options) {
    static std::once_flag once;
    std::call_once(once, [] { ares_library_init(ARES_LIB_INIT_ALL); });
    ares_options settings{};
    settings.timeout = static_cast<int>(std::max<Duration::rep>(options.timeout / 1ms, 1));
    settings.tries = std::max(options.tries, 1);
    settings.sock_state_cb = &Channel::on_socket_state;
    settings.sock_state_cb_data = this;
    const int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB;
    status_ = ares_init_options(&channel_, &settings, mask);
    if (status_ != ARES_SUCCESS) return;
    if (!options.servers.empty())
      status_ = ares_set_servers_ports_csv(channel_, to_csv(options.servers).c_str());
  }

  ~Channel() {
    if (channel_ != nullptr) ares_destroy(channel_);
  }

  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  std::unique_ptr<Query> resolve(const std::string& host, Callback callback) {
    auto query = std::make_unique<PendingQuery<Answer>>(loop_.turn(), std::move(callback));
    if (const auto address = known_address(host)) {
      query->finish(Answer{{*address}, options_.max_ttl});
    } else if (may_ask(host, *query)) {
      waiting_.push_back({.name = host, .addresses = request_of(*query), .services = {}});
      ask();
    }
    return query;
  }

  std::unique_ptr<Query> resolve_service(const std::string& name, ServiceCallback callback) {
    auto query = std::make_unique<PendingQuery<ServiceAnswer>>(loop_.turn(), std::move(callback));
    if (may_ask(name, *query)) {
      waiting_.push_back({.name = name, .addresses = {}, .services = request_of(*query)});
      ask();
    }
    return query;
  }

 private:
  // False: the query has ended.
  template <typename T>
  bool may_ask(const std::string& name, PendingQuery<T>& query) {
    if (name.empty() || name.find('\0') != std::string::npos) {
      query.finish(std::unexpected(resolve_error(ARES_EBADNAME)));
      return false;
    }
    if (status_ != ARES_SUCCESS) {
      query.finish(std::unexpected(resolve_error(status_)));
      return false;
    }
    return true;
  }

  // What c-ares holds on to until it calls back, which it does even for a query that nobody wants any more.
  template <typename T>
  struct Request {
    PendingQuery<T>* query;
    Channel* channel;
  };
  // A name whose turn has not come, and one of the two.
  struct Waiting {
    std::string name;
    std::unique_ptr<Request<Answer>> addresses;
    std::unique_ptr<Request<ServiceAnswer>> services;
  };

  template <typename T>
  std::unique_ptr<Request<T>> request_of(PendingQuery<T>& query) {
    auto request = std::make_unique<Request<T>>(&query, this);
    query.known_as(&request->query);
    return request;
  }

  // As many as may be asked now. c-ares may call back at once.
  void ask() {
    const bool moves = asked_ < kAtOnce;
    while (!waiting_.empty() && asked_ < kAtOnce) {
      Waiting next = std::move(waiting_.front());
      waiting_.pop_front();
      ask(next);
    }
    if (waiting_.empty()) {
      patience_.cancel();
    } else if (moves || !patience_.armed()) {
      loop_.wheel().arm_in(patience_, kPatience);
    }
    arm_timeout();
  }

  // c-ares holds on to the request from here on.
  void ask(Waiting& waiting) {
    const bool wanted =
        waiting.addresses ? waiting.addresses->query != nullptr : waiting.services->query != nullptr;
    if (!wanted) return;
    ++asked_;
    if (waiting.services) {
      ares_search(channel_, waiting.name.c_str(), kClassIn, kTypeSrv, &Channel::on_message,
                  waiting.services.release());
      return;
    }
    ares_addrinfo_hints hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_flags = ARES_AI_NOSORT;
    ares_getaddrinfo(channel_, waiting.name.c_str(), nullptr, &hints, &Channel::on_result,
                     waiting.addresses.release());
  }

  // Those that were asked have been lost, or nobody answers: no reason for others not to try.
  void on_patience() {
    asked_ = 0;
    ask();
  }

  void on_answered() {
    if (asked_ > 0) --asked_;
  }

  template <typename T>
  static void finish(const Request<T>& request, std::type_identity_t<Result<T>> result) {
    if (request.query != nullptr) request.query->finish(std::move(result));
  }

  static void on_result(void* argument, int status, int /*timeouts*/, ares_addrinfo* info) {
    const std::unique_ptr<Request<Answer>> request(static_cast<Request<Answer>*>(argument));
    request->channel->on_answered();
    finish(*request, status == ARES_SUCCESS && info != nullptr
                         ? to_answer(*info, request->channel->options_)
                         : Result<Answer>(std::unexpected(resolve_error(status))));
    if (info != nullptr) ares_freeaddrinfo(info);
  }

  static void on_message(void* argument, int status, int /*timeouts*/, unsigned char* bytes, int size) {
    const std::unique_ptr<Request<ServiceAnswer>> request(static_cast<Request<ServiceAnswer>*>(argument));
    request->channel->on_answered();
    if (status != ARES_SUCCESS || bytes == nullptr) {
      return finish(*request, std::unexpected(resolve_error(status)));
    }
    auto answer = parse_service_answer({bytes, static_cast<std::size_t>(size)});
    const ResolverOptions& options = request->channel->options_;
    if (answer) answer->ttl = std::clamp(answer->ttl, options.min_ttl, options.max_ttl);
    finish(*request, std::move(answer));
  }

  static void on_socket_state(void* argument, ares_socket_t fd, int readable, int writable) {
    auto& channel = *static_cast<Channel*>(argument);
    if (readable == 0 && writable == 0) {
      channel.sockets_.erase(fd);  // c-ares closes it next
      return;
    }
    auto& poll = channel.sockets_[fd];
    if (!poll && poll.open([&](uv_poll_t* handle) {
          return uv_poll_init_socket(channel.loop_.uv(), handle, fd);
        }) < 0) {
      channel.sockets_.erase(fd);  // the query times out
      return;
    }
    poll->data = &channel;
    uv_poll_start(poll.get(), (readable != 0 ? UV_READABLE : 0) | (writable != 0 ? UV_WRITABLE : 0),
                  &Channel::on_ready);
  }

  static void on_ready(uv_poll_t* handle, int status, int events) {
    auto* channel = static_cast<Channel*>(handle->data);
    uv_os_fd_t fd = ARES_SOCKET_BAD;
    uv_fileno(reinterpret_cast<uv_handle_t*>(handle), &fd);
    const bool failed = status < 0;
    channel->loop_.event([&] {
      channel->process(failed || (events & UV_READABLE) != 0 ? fd : ARES_SOCKET_BAD,
                       failed || (events & UV_WRITABLE) != 0 ? fd : ARES_SOCKET_BAD);
    });
  }

  void on_timeout() { process(ARES_SOCKET_BAD, ARES_SOCKET_BAD); }

  void process(ares_socket_t readable, ares_socket_t writable) {
    ares_process_fd(channel_, readable, writable);
    ask();
  }

  void arm_timeout() {
    timeval span{};
    if (ares_timeout(channel_, nullptr, &span) == nullptr) {
      timeout_.cancel();
      return;
    }
    loop_.wheel().arm_in(timeout_,
                         std::chrono::seconds(span.tv_sec) + std::chrono::microseconds(span.tv_usec));
  }

  Loop& loop_;
  ResolverOptions options_;
  ares_channel channel_ = nullptr;
  int status_ = ARES_SUCCESS;
  std::map<ares_socket_t, UvHandle<uv_poll_t>> sockets_;
  std::deque<Waiting> waiting_;
  unsigned asked_ = 0;  // by c-ares; not those whose time of patience is over
  MemberTimer<Channel, &Channel::on_timeout> timeout_{*this};
  MemberTimer<Channel, &Channel::on_patience> patience_{*this};
};

Resolver::Resolver(Loop& loop, const ResolverOptions& options)
    : channel_(std::make_unique<Channel>(loop, options)) {}

Resolver::~Resolver() = default;

std::unique_ptr<Resolver::Query> Resolver::resolve(const std::string& host, Callback callback) {
  return channel_->resolve(host, std::move(callback));
}

std::unique_ptr<Resolver::Query> Resolver::resolve_service(const std::string& name,
                                                           ServiceCallback callback) {
  return channel_->resolve_service(name, std::move(callback));
}

}  // namespace remora::net
