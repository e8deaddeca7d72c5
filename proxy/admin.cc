#include "proxy/admin.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/log.h"
#include "proxy/admin_pages.h"
#include "proxy/local_reply.h"

namespace remora::proxy {

namespace {

constexpr std::size_t kMostConnections = 64;
constexpr Downstream::Timeouts kTimeouts{.header = 10s, .keep_alive = 75s};
constexpr http::H1Limits kLimits{.header_bytes = 16 * 1024, .header_fields = 100, .body_bytes = 64 * 1024};
constexpr std::string_view kText = "text/plain; charset=utf-8";
constexpr std::string_view kIndex =
    "Remora\n\n"
    "GET  /healthz          is the process alive\n"
    "GET  /readyz           can it serve traffic\n"
    "GET  /metrics          Prometheus metrics\n"
    "GET  /clusters         clusters and endpoints (JSON)\n"
    "GET  /config           effective configuration (TOML)\n"
    "GET  /log              log level\n"
    "POST /log?level=LEVEL  change it: trace, debug, info, warn, error, off\n"
    "POST /clusters/NAME/endpoints/ADDRESS/ORDER\n"
    "                       open or close its circuit breaker, drain or undrain it\n"
    "POST /clusters/NAME/ORDER\n"
    "                       open or close the breaker that all its endpoints share\n";
constexpr std::string_view kEndpointOrders = "/clusters/";

using Order = Supervisor::Order;
constexpr std::array<std::pair<std::string_view, Order>, 4> kOrders{{{"open", Order::kOpen},
                                                                     {"close", Order::kClose},
                                                                     {"drain", Order::kDrain},
                                                                     {"undrain", Order::kUndrain}}};

// What is not a percent-encoded byte stays as it is.
std::string percent_decoded(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned byte = 0;
    const bool encoded =
        text[i] == '%' && text.size() - i > 2 &&
        std::from_chars(text.data() + i + 1, text.data() + i + 3, byte, 16).ptr == text.data() + i + 3;
    decoded += encoded ? static_cast<char>(byte) : text[i];
    if (encoded) i += 2;
  }
  return decoded;
}

constexpr std::string_view shared_breaker_help(bool asked_for_the_cluster) {
  return asked_for_the_cluster
             ? "every endpoint of this cluster has its own breaker, write "
               "/clusters/NAME/endpoints/ADDRESS/ORDER\n"
             : "this cluster has one breaker for all endpoints, write /clusters/NAME/{open,close}\n";
}

struct Page {
  std::string_view path;
  bool read = true;     // GET and HEAD
  bool change = false;  // POST
};
constexpr std::array<Page, 7> kPages{
    {{"/"}, {"/healthz"}, {"/readyz"}, {"/metrics"}, {"/clusters"}, {"/config"}, {"/log", true, true}}};

}  // namespace

class Admin::Visit final : public http::Receiver {
 public:
  Visit(Admin& admin, http::ServerStream& stream, http::RequestHead& head) : admin_(admin), stream_(&stream) {
    std::swap(head_, head);
  }

  void handle();
  std::size_t slot = 0;

  // The body of a request is of no interest, but the answer waits for its end.
  void on_body(std::string_view bytes, bool end) override {
    if (end) return handle();
    stream_->consume(bytes.size());
  }
  void on_trailers(const http::FieldList& /*trailers*/) override { handle(); }
  void on_writable() override {}
  void on_reset(const Error& /*error*/) override {
    stream_ = nullptr;
    if (!collecting_) admin_.forget(*this);
  }

 private:
  void answer(unsigned status, std::string_view type, std::string_view body, std::string_view allow = {});
  void answer_metrics(const std::vector<WorkerReport>& reports);
  void collect(void (Visit::*then)(const std::vector<WorkerReport>&));
  void answer_clusters(const std::vector<WorkerReport>& reports);
  void answer_log();
  void change_level();
  void order(std::string_view path);

  Admin& admin_;
  http::ServerStream* stream_;
  http::RequestHead head_;
  bool collecting_ = false;
};

void Admin::Visit::handle() {
  const std::string_view path = head_.path();
  if (path.starts_with(kEndpointOrders)) return order(path.substr(kEndpointOrders.size()));
  const auto* page = std::ranges::find(kPages, path, &Page::path);
  if (page == kPages.end()) return answer(404, kText, "no such page\n");
  const bool reads = head_.method == "GET" || head_.method == "HEAD";
  if (!(reads && page->read) && !(head_.method == "POST" && page->change)) {
    return answer(405, kText, "method not allowed\n", page->change ? "GET, HEAD, POST" : "GET, HEAD");
  }
  if (path == "/") return answer(200, kText, kIndex);
  if (path == "/healthz") return answer(200, kText, "ok\n");
  if (path == "/readyz") {
    const std::string reason = admin_.source_.not_ready_reason();
    return reason.empty() ? answer(200, kText, "ready\n") : answer(503, kText, reason + "\n");
  }
  if (path == "/config") return answer(200, "application/toml", admin_.source_.effective_config());
  if (path == "/log") return reads ? answer_log() : change_level();
  if (path == "/clusters") return collect(&Visit::answer_clusters);
  collect(&Visit::answer_metrics);
}

void Admin::Visit::collect(void (Visit::*then)(const std::vector<WorkerReport>&)) {
  collecting_ = true;
  admin_.source_.collect([this, then](const std::vector<WorkerReport>& reports) {
    collecting_ = false;
    if (stream_ == nullptr) return admin_.forget(*this);
    (this->*then)(reports);
  });
}

void Admin::Visit::answer_metrics(const std::vector<WorkerReport>& reports) {
  answer(200, "text/plain; version=0.0.4; charset=utf-8", admin_.source_.metrics(reports));
}

void Admin::Visit::answer_clusters(const std::vector<WorkerReport>& reports) {
  answer(200, "application/json", clusters_json(reports, admin_.source_.clusters()));
}

void Admin::Visit::answer_log() { answer(200, kText, std::string(to_string(log_level())) + "\n"); }

void Admin::Visit::change_level() {
  constexpr std::string_view kKey = "level=";
  const std::string_view query = std::string_view(head_.target).substr(head_.path().size());
  const auto at = query.find(kKey);
  const auto level =
      at == std::string_view::npos ? std::nullopt : parse_log_level(query.substr(at + kKey.size()));
  if (!level) return answer(400, kText, "level must be trace, debug, info, warn, error or off\n");
  set_log_level(*level);
  log_info("log level changed", {{"level", to_string(*level)}});
  answer_log();
}

// NAME/endpoints/ADDRESS/ORDER, or NAME/ORDER for a cluster's own breaker. Slashes in a name or an address (a
// Unix socket) are percent-encoded.
void Admin::Visit::order(std::string_view path) {
  std::array<std::string, 4> parts;
  std::size_t n = 0;
  for (; n < parts.size() && !path.empty(); ++n) {
    const std::size_t slash = std::min(path.find('/'), path.size());
    parts[n] = percent_decoded(path.substr(0, slash));
    path.remove_prefix(std::min(slash + 1, path.size()));
  }
  if (n == 2) parts = {std::move(parts[0]), "endpoints", "", std::move(parts[1])};
  const auto* order = std::ranges::find(kOrders, parts[3], &std::pair<std::string_view, Order>::first);
  if ((n != 2 && n != parts.size()) || !path.empty() || parts[1] != "endpoints" || order == kOrders.end()) {
    return answer(404, kText,
                  "no such page, write /clusters/NAME/endpoints/ADDRESS/{open,close,drain,undrain}\n");
  }
  if (head_.method != "POST") return answer(405, kText, "method not allowed\n", "POST");
  const auto refused = admin_.source_.obey(parts[0], parts[2], order->second);
  if (!refused) return answer(200, kText, "ok\n");
  switch (*refused) {
    case Supervisor::Refused::kNoCluster: return answer(404, kText, "no such cluster, see /clusters\n");
    case Supervisor::Refused::kNoEndpoint:
      return answer(404, kText, "no such endpoint in this cluster, see /clusters\n");
    case Supervisor::Refused::kBreakerOff:
      return answer(409, kText, "the breaker of this cluster is switched off (breaker.enabled)\n");
    case Supervisor::Refused::kNoSuchBreaker:
      return answer(409, kText, shared_breaker_help(parts[2].empty()));
  }
}

void Admin::Visit::answer(unsigned status, std::string_view type, std::string_view body,
                          std::string_view allow) {
  http::ResponseHead& head = admin_.env_.scratch.response;
  head.clear();
  head.status = static_cast<std::uint16_t>(status);
  head.fields.add(http::FieldId::kContentType, type);
  head.fields.add(http::FieldId::kCacheControl, "no-store");
  head.fields.add("X-Content-Type-Options", "nosniff");
  if (!allow.empty()) head.fields.add("Allow", allow);
  send_whole(admin_.env_, *stream_, head, body, head_.method == "HEAD", false);
  admin_.forget(*this);
}

Admin::Admin(Env& env, AdminSource& source) : env_(env), source_(source) {}

Admin::~Admin() {
  listener_.reset();
  while (!downstreams_.empty()) downstreams_.back().close();
}

Result<void> Admin::listen(const Address& address) {
  net::ListenOptions options;
  options.reuse_port = false;
  auto bound = env_.network.listen(address, options, *this);
  if (!bound) return std::unexpected(std::move(bound.error()));
  listener_ = std::move(*bound);
  return {};
}

void Admin::on_accept(std::unique_ptr<net::Stream> stream) {
  if (downstreams_.size() >= kMostConnections) {
    env_.turn.bury(std::move(stream));
    return;
  }
  downstreams_.add(std::make_unique<Downstream>(env_, *this, kTimeouts, kLimits, nullptr))
      .start(std::move(stream));
}

http::Receiver* Admin::on_request(Downstream& /*downstream*/, http::ServerStream& stream,
                                  http::RequestHead& head, bool end) {
  Visit& visit = visits_.add(std::make_unique<Visit>(*this, stream, head));
  if (end) visit.handle();
  return &visit;
}

void Admin::on_bad_request(Downstream& /*downstream*/, http::ServerStream& stream, const Error& error) {
  send_local_reply(env_, stream, reply_to_bad_request(error), false);
}

void Admin::on_downstream_closed(Downstream& downstream) { env_.turn.bury(downstreams_.take(downstream)); }

void Admin::forget(Visit& visit) { env_.turn.bury(visits_.take(visit)); }

}  // namespace remora::proxy
