#include "proxy/dns_source.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/log.h"
#include "config/values.h"

namespace remora::proxy {

namespace {

constexpr std::size_t kMostPriorities = 128;  // as many as an endpoint can have

std::string text_of(const Error& error) {
  return error.detail.empty() ? std::string(to_string(error.code)) : error.detail;
}

std::string counted(std::size_t n, bool services) {
  if (services) return std::to_string(n) + (n == 1 ? " target" : " targets");
  return std::to_string(n) + (n == 1 ? " address" : " addresses");
}

EndpointSource::List endpoints_of(const std::vector<Address>& addresses) {
  EndpointSource::List list;
  list.reserve(addresses.size());
  for (const Address& address : addresses) {
    list.emplace_back();
    list.back().endpoint.address = address;
  }
  return list;
}

}  // namespace

EndpointSource::List endpoints_of(const std::vector<net::ServiceRecord>& records, std::string& left_out) {
  EndpointSource::List list;
  std::vector<std::uint16_t> priorities;
  priorities.reserve(records.size());
  for (const net::ServiceRecord& record : records) priorities.push_back(record.priority);
  std::ranges::sort(priorities);
  priorities.erase(std::ranges::unique(priorities).begin(), priorities.end());
  for (const net::ServiceRecord& record : records) {
    auto endpoint = config::parse_endpoint(record.host + ":" + std::to_string(record.port));
    if (!endpoint) {
      left_out += (left_out.empty() ? "" : "; ") + endpoint.error();
      continue;
    }
    const auto rank = std::ranges::lower_bound(priorities, record.priority) - priorities.begin();
    endpoint->priority = static_cast<std::uint32_t>(
        std::min<std::size_t>(static_cast<std::size_t>(rank), kMostPriorities - 1));
    endpoint->weight = std::max<std::uint32_t>(record.weight, 1);
    list.push_back({.endpoint = *std::move(endpoint)});
  }
  std::ranges::sort(list, {}, [](const FoundEndpoint& found) {
    return std::tie(found.endpoint.priority, found.endpoint.name, found.endpoint.weight);
  });
  return list;
}

DnsSource::DnsSource(const SourceParts& parts, Records records, std::string name)
    : parts_(parts), records_(records), name_(std::move(name)), refresh_(parts.loop.wheel().now()) {
  ask();
}

void DnsSource::ask() {
  if (records_ == Records::kServices) {
    query_ = parts_.resolver.resolve_service(name_, [this](Result<net::ServiceAnswer> answer) {
      if (!answer) return on_failure(answer.error());
      std::string left_out;
      List list = endpoints_of(answer->records, left_out);
      // Once, not with every answer.
      if (left_out != left_out_ && !left_out.empty()) {
        log_warn("SRV records left out", {{"name", name_}, {"reason", left_out}});
      }
      left_out_ = std::move(left_out);
      if (!list.empty()) return on_answer(std::move(list), answer->ttl);
      on_failure({ErrorCode::kResolveFailed, Side::kInternal, Retry::kNo, "no target is a host name"});
    });
    return;
  }
  query_ = parts_.resolver.resolve(name_, [this](Result<net::Answer> answer) {
    if (!answer) return on_failure(answer.error());
    on_answer(endpoints_of(answer->addresses), answer->ttl);
  });
}

void DnsSource::on_answer(List list, Duration ttl) {
  const TimePoint now = parts_.loop.wheel().now();
  const bool first = !settled();
  const bool failed = record_.failing();
  record_.on_answer(now);
  refresh_.on_answer(ttl, now, parts_.random);
  const bool changed = list != list_;
  list_ = std::move(list);
  if (changed || failed) {
    const std::string found = counted(list_.size(), records_ == Records::kServices);
    log_info("name resolved", {{"name", name_}, {"found", found}});
    tell("resolved", found);
  }
  again(first || changed);
}

void DnsSource::on_failure(const Error& error) {
  const TimePoint now = parts_.loop.wheel().now();
  const bool first = !settled();
  const std::string reason = text_of(error);
  record_.on_failure(reason, now);
  refresh_.on_failure(now, parts_.random);
  if (refresh_.failures() == 1) {
    log_warn("name not resolved, the last answer stays",
             {{"name", name_},
              {"reason", reason},
              {"found", counted(list_.size(), records_ == Records::kServices)}});
    tell("not_resolved", reason);
  }
  again(first);
}

void DnsSource::again(bool changed) {
  parts_.loop.wheel().arm(*this, refresh_.next_wakeup());
  if (changed) parts_.changed();
}

void DnsSource::tell(std::string to, std::string reason) {
  parts_.tell({.at = parts_.loop.wheel().now(),
               .kind = Event::Kind::kDns,
               .cluster = {},
               .endpoint = name_,
               .from = {},
               .to = std::move(to),
               .reason = std::move(reason)});
}

SourceView DnsSource::view() const {
  const auto kind = records_ == Records::kServices ? SourceView::Kind::kSrv : SourceView::Kind::kDns;
  return view_of(record_, kind, name_, list_.size(), parts_.loop.wheel().now());
}

}  // namespace remora::proxy
