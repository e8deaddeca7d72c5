#include "proxy/admin.h"

#include <algorithm>
#include <array>

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
    "POST /log?level=LEVEL  change it: trace, debug, info, warn, error, off\n";

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

  Admin& admin_;
  http::ServerStream* stream_;
  http::RequestHead head_;
  bool collecting_ = false;
};

void Admin::Visit::handle() {
  const std::string_view path = head_.path();
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
  answer(200, "application/json", clusters_json(reports));
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
