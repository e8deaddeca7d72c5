#include "proxy/dns_endpoints.h"

#include <algorithm>
#include <unordered_set>

#include "base/log.h"

namespace remora::proxy {

// One name: asks when its refresh says so, one query at a time.
class DnsEndpoints::Name final : public Timer {
 public:
  Name(DnsEndpoints& owner, std::string host)
      : owner_(owner), host_(std::move(host)), refresh_(owner.wheel_.now()) {}

  void on_timer() override {
    query_ =
        owner_.resolver_.resolve(host_, [this](Result<net::Answer> answer) { on_result(std::move(answer)); });
  }

  const std::string& host() const { return host_; }
  const discovery::DnsRefresh& refresh() const { return refresh_; }

 private:
  void on_result(Result<net::Answer> answer) {
    const bool first = !refresh_.settled();
    bool changed = false;
    if (answer) {
      changed =
          refresh_.on_answer(std::move(answer->addresses), answer->ttl, owner_.wheel_.now(), owner_.random_);
      if (changed) {
        log_info("name resolved",
                 {{"name", host_}, {"addresses", std::to_string(refresh_.addresses().size())}});
        tell("resolved", std::to_string(refresh_.addresses().size()) + " addresses");
      }
    } else {
      refresh_.on_failure(owner_.wheel_.now(), owner_.random_);
      if (refresh_.failures() == 1) {
        log_warn("name not resolved, the last answer stays",
                 {{"name", host_},
                  {"reason", answer.error().detail},
                  {"addresses", std::to_string(refresh_.addresses().size())}});
        tell("not_resolved", answer.error().detail);
      }
    }
    owner_.wheel_.arm(*this, refresh_.next_wakeup());
    if (first || changed) owner_.changed_();
  }

  void tell(std::string to, std::string reason) {
    owner_.tell_({.at = owner_.wheel_.now(),
                  .kind = Event::Kind::kDns,
                  .cluster = {},
                  .endpoint = host_,
                  .from = {},
                  .to = std::move(to),
                  .reason = std::move(reason)});
  }

  DnsEndpoints& owner_;
  std::string host_;
  discovery::DnsRefresh refresh_;
  std::unique_ptr<net::Resolver::Query> query_;
};

DnsEndpoints::DnsEndpoints(TimerWheel& wheel, Random& random, net::Resolver& resolver,
                           std::function<void()> changed, std::function<void(Event)> tell)
    : wheel_(wheel),
      random_(random),
      resolver_(resolver),
      changed_(std::move(changed)),
      tell_(std::move(tell)) {}

DnsEndpoints::~DnsEndpoints() = default;

void DnsEndpoints::watch(const config::Config& config) {
  for (const auto& cluster : config.clusters) {
    for (const auto& endpoint : cluster.endpoints) {
      if (endpoint.address) continue;
      const auto known =
          std::ranges::find_if(names_, [&](const auto& n) { return n->host() == endpoint.host.host; });
      if (known != names_.end()) continue;
      names_.push_back(std::make_unique<Name>(*this, endpoint.host.host));
      names_.back()->on_timer();
    }
  }
}

void DnsEndpoints::keep(const config::Config& config) {
  std::unordered_set<std::string_view> wanted;
  for (const auto& cluster : config.clusters) {
    for (const auto& endpoint : cluster.endpoints) {
      if (!endpoint.address) wanted.insert(endpoint.host.host);
    }
  }
  std::erase_if(names_, [&](const auto& name) { return !wanted.contains(name->host()); });
}

bool DnsEndpoints::settled() const {
  return std::ranges::all_of(names_, [](const auto& name) { return name->refresh().settled(); });
}

std::vector<std::vector<ResolvedEndpoint>> DnsEndpoints::resolved(const config::Config& config) const {
  std::vector<std::vector<ResolvedEndpoint>> clusters;
  for (const auto& cluster : config.clusters) {
    auto& endpoints = clusters.emplace_back();
    // Two names may lead to one address: it is one endpoint, the first one's.
    std::unordered_set<std::string> known;
    const auto add = [&](const config::Endpoint& from, Address address) {
      if (!known.insert(address.to_string()).second) return;
      endpoints.push_back({.name = from.name,
                           .address = std::move(address),
                           .weight = from.weight,
                           .zone = from.zone,
                           .priority = from.priority,
                           .state = nullptr});
    };
    for (const auto& endpoint : cluster.endpoints) {
      if (endpoint.address) {
        add(endpoint, *endpoint.address);
        continue;
      }
      for (const auto& name : names_) {
        if (name->host() != endpoint.host.host) continue;
        for (Address address : name->refresh().addresses()) {
          address.set_port(endpoint.host.port);
          add(endpoint, std::move(address));
        }
      }
    }
  }
  return clusters;
}

}  // namespace remora::proxy
