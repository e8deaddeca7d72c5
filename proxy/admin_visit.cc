#include "proxy/admin_visit.h"

#include <algorithm>
#include <charconv>

#include "base/log.h"
#include "proxy/admin_guard.h"
#include "proxy/admin_orders.h"
#include "proxy/admin_pages.h"
#include "proxy/admin_stats.h"
#include "proxy/admin_ui.h"
#include "proxy/local_reply.h"

namespace remora::proxy {

namespace {

constexpr std::string_view kText = "text/plain; charset=utf-8";
constexpr std::string_view kJson = "application/json";
constexpr std::string_view kOrderPages = "/clusters/";

}  // namespace

struct Admin::Visit::Page {
  std::string_view path;
  std::string_view help;              // after the path, in /help
  void (Visit::*read)() = nullptr;    // GET and HEAD
  void (Visit::*change)() = nullptr;  // POST
  bool any_host = false;              // machines ask for it by a service's name, see admin_guard.h
};

const std::vector<Admin::Visit::Page>& Admin::Visit::pages() {
  static const std::vector<Page> kPages{
      {"/", "the live page", &Visit::show_ui},
      {"/help", "what is here", &Visit::show_help},
      {"/healthz", "is the process alive", &Visit::show_healthz, nullptr, true},
      {"/readyz", "can it serve traffic", &Visit::show_readyz, nullptr, true},
      {"/metrics", "Prometheus metrics", &Visit::show_metrics, nullptr, true},
      {"/clusters", "clusters and endpoints (JSON); ?format=text: for people", &Visit::show_clusters},
      {"/stats", "numbers and states, compact (JSON)", &Visit::show_stats},
      {"/members", "members of the mesh (JSON); ?format=text: for people", &Visit::show_members},
      {"/events", "recent changes of state (JSON); ?since=ID: only those after it", &Visit::show_events},
      {"/config", "effective configuration (TOML)", &Visit::show_config},
      {"/log", "log level; POST ?level=LEVEL changes it: trace, debug, info, warn, error, off",
       &Visit::show_log, &Visit::change_log},
      {"/reload", "what came of the last reload (JSON); POST reloads; ?format=text: for people",
       &Visit::show_reload, &Visit::reload},
      {"/drain", "finish what is in flight and end; ?only=inbound: inbound traffic alone", nullptr,
       &Visit::drain},
      {"/quit", "end at once", nullptr, &Visit::quit},
  };
  return kPages;
}

void Admin::Visit::handle() {
  const std::string_view path = head_.path();
  const auto page = std::ranges::find(pages(), path, &Page::path);
  const bool found = page != pages().end();
  const bool orders = path.starts_with(kOrderPages);
  if (!found && !orders) return answer_text(404, "no such page, see /help\n");
  if (orders || !page->any_host) {
    if (const auto refused = refuse_host(head_, admin_.source_.admin_hosts())) {
      return answer_text(403, *refused + "\n");
    }
  }
  const bool reads = head_.method == "GET" || head_.method == "HEAD";
  if (!reads) {
    if (const auto refused = refuse_change(head_)) return answer_text(403, *refused + "\n");
  }
  if (orders) return order(path.substr(kOrderPages.size()));
  if (reads && page->read != nullptr) return (this->*page->read)();
  if (head_.method == "POST" && page->change != nullptr) return (this->*page->change)();
  refuse_method(*page);
}

void Admin::Visit::refuse_method(const Page& page) {
  const bool both = page.read != nullptr && page.change != nullptr;
  const std::string_view allowed = both ? "GET, HEAD, POST" : page.change != nullptr ? "POST" : "GET, HEAD";
  answer(405, kText, "method not allowed\n", {{"Allow", allowed}});
}

void Admin::Visit::show_ui() {
  answer(200, "text/html; charset=utf-8", ui_page(),
         {{"Content-Security-Policy", ui_content_security_policy()}, {"Referrer-Policy", "no-referrer"}});
}

void Admin::Visit::show_help() {
  std::string text = "Remora\n\n";
  for (const Page& page : pages()) {
    std::string line = page.read != nullptr ? "GET  " : "POST ";
    line += page.path;
    line.resize(std::max<std::size_t>(line.size(), 20), ' ');
    text += line + ' ' + std::string(page.help) + '\n';
  }
  answer_text(200, text + std::string(orders_help()));
}

void Admin::Visit::show_healthz() { answer_text(200, "ok\n"); }

void Admin::Visit::show_readyz() {
  const std::string reason = admin_.source_.status().not_ready_reason;
  return reason.empty() ? answer_text(200, "ready\n") : answer_text(503, reason + "\n");
}

void Admin::Visit::show_metrics() {
  collecting_ = true;
  admin_.source_.collect([this](Reports reports) {
    admin_.source_.metrics(std::move(reports), [this](const std::string& text) {
      if (!forgotten()) answer(200, "text/plain; version=0.0.4; charset=utf-8", text);
    });
  });
}

void Admin::Visit::show_stats() { collect(&Visit::answer_stats); }
void Admin::Visit::show_config() { answer(200, "application/toml", admin_.source_.effective_config()); }

void Admin::Visit::show_clusters() {
  if (query("format") == "text") return answer_text(200, clusters_text(admin_.source_.clusters()));
  collect(&Visit::answer_clusters);
}

void Admin::Visit::show_members() {
  const auto mesh = admin_.source_.mesh();
  const MeshView* view = mesh ? &*mesh : nullptr;
  if (query("format") == "text") return answer_text(view != nullptr ? 200 : 404, members_text(view));
  answer(200, kJson, members_json(view));
}

void Admin::Visit::show_events() {
  const std::string_view text = query("since");
  std::uint64_t since = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), since);
  if (!text.empty() && (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size())) {
    return answer_text(400, "since must be the id of an event\n");
  }
  answer(200, kJson,
         events_json(admin_.source_.events(), since, admin_.env_.now(), admin_.source_.status().now));
}

void Admin::Visit::collect(void (Visit::*then)(const Reports&)) {
  collecting_ = true;
  admin_.source_.collect([this, then](const Reports& reports) {
    if (!forgotten()) (this->*then)(reports);
  });
}

bool Admin::Visit::forgotten() {
  collecting_ = false;
  if (stream_ != nullptr) return false;
  admin_.forget(*this);
  return true;
}

void Admin::Visit::answer_clusters(const Reports& reports) {
  answer(200, kJson, clusters_json(reports, admin_.source_.clusters()));
}

void Admin::Visit::answer_stats(const Reports& reports) {
  ProcessStatus status = admin_.source_.status();
  for (const Page& page : pages()) status.pages.push_back(page.path);
  answer(200, kJson, stats_json(reports, admin_.source_.clusters(), status));
}

void Admin::Visit::show_log() { answer_text(200, std::string(to_string(log_level())) + "\n"); }

void Admin::Visit::change_log() {
  const auto level = parse_log_level(query("level"));
  if (!level) return answer_text(400, "level must be trace, debug, info, warn, error or off\n");
  set_log_level(*level);
  log_info("log level changed", {{"level", to_string(*level)}});
  show_log();
}

void Admin::Visit::show_reload() { answer_reload(admin_.source_.last_reload()); }

void Admin::Visit::reload() {
  collecting_ = true;
  admin_.source_.reload([this](const ReloadReport& report) {
    collecting_ = false;
    if (stream_ == nullptr) return admin_.forget(*this);
    answer_reload(report);
  });
}

void Admin::Visit::answer_reload(const ReloadReport& report) {
  unsigned status = 200;
  if (head_.method == "POST" && report.result == ReloadReport::Result::kRejected) status = 422;
  if (head_.method == "POST" && report.result == ReloadReport::Result::kRefused) status = 409;
  if (query("format") == "text") return answer_text(status, reload_text(report));
  answer(status, kJson, reload_json(report));
}

void Admin::Visit::drain() {
  const std::string_view only = query("only");
  if (!only.empty() && only != "inbound") return answer_text(400, "only must be inbound\n");
  answer_text(200, admin_.source_.begin_drain(!only.empty()) + "\n");
}

void Admin::Visit::quit() {
  admin_.source_.quit();
  answer_text(200, "quitting\n");
}

void Admin::Visit::order(std::string_view path) {
  const auto order = parse_order(path);
  if (!order) {
    return answer_text(404,
                       "no such page, write /clusters/NAME/endpoints/ADDRESS/{open,close,drain,undrain}\n");
  }
  if (head_.method != "POST") return answer(405, kText, "method not allowed\n", {{"Allow", "POST"}});
  const auto refused = admin_.source_.obey(order->cluster, order->endpoint, order->order);
  if (!refused) return answer_text(200, "ok\n");
  const OrderAnswer why = explain(*refused, order->endpoint.empty());
  answer_text(why.status, why.text);
}

std::string_view Admin::Visit::query(std::string_view key) const {
  std::string_view rest = std::string_view(head_.target).substr(head_.path().size());
  while (!rest.empty()) {
    rest.remove_prefix(1);  // '?' or '&'
    const std::string_view pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(pair.size());
    const std::size_t equals = std::min(pair.find('='), pair.size());
    if (pair.substr(0, equals) == key) return pair.substr(std::min(equals + 1, pair.size()));
  }
  return {};
}

void Admin::Visit::answer_text(unsigned status, std::string_view text) { answer(status, kText, text); }

void Admin::Visit::answer(unsigned status, std::string_view type, std::string_view body,
                          std::initializer_list<std::pair<std::string_view, std::string_view>> fields) {
  http::ResponseHead& head = admin_.env_.scratch.response;
  head.clear();
  head.status = static_cast<std::uint16_t>(status);
  head.fields.add(http::FieldId::kContentType, type);
  head.fields.add(http::FieldId::kCacheControl, "no-store");
  head.fields.add("X-Content-Type-Options", "nosniff");
  head.fields.add("Cross-Origin-Resource-Policy", "same-origin");
  for (const auto& [name, value] : fields) head.fields.add(name, value);
  send_whole(admin_.env_, *stream_, head, body, head_.method == "HEAD", false);
  admin_.forget(*this);
}

}  // namespace remora::proxy
