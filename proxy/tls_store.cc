#include "proxy/tls_store.h"

#include <algorithm>
#include <map>

#include "base/log.h"

namespace remora::proxy {

namespace {

using Context = std::shared_ptr<const net::TlsContext>;

net::TlsServerSettings to_settings(const config::ListenerTls& tls) {
  net::TlsServerSettings settings;
  for (const auto& pair : tls.certificates)
    settings.certificates.push_back({pair.certificate, pair.key, pair.ocsp});
  settings.client_ca = tls.client_ca;
  settings.client_crl = tls.client_crl;
  settings.require_client_certificate = tls.require_client_certificate;
  settings.only_tls13 = tls.only_tls13;
  return settings;
}

net::TlsClientSettings to_settings(const config::ClusterTls& tls) {
  net::TlsClientSettings settings;
  settings.ca = tls.ca;
  settings.crl = tls.crl;
  settings.own = {tls.own.certificate, tls.own.key, {}};
  settings.identity = tls.identity;
  settings.verify = tls.verify;
  settings.only_tls13 = tls.only_tls13;
  return settings;
}

// Where peers are known by certificates or by gossip, clear text from other machines is seldom meant.
void warn_of_clear_text(const config::Config& config) {
  const bool certificates = std::ranges::any_of(config.listeners, [](const config::Listener& listener) {
    return listener.tls && !listener.tls->client_ca.empty();
  });
  if (!certificates && !config.mesh) return;
  for (const config::Listener& listener : config.listeners) {
    if (listener.tls || listener.asks_names() || listener.address.is_loopback()) continue;
    log_warn("clear text is taken from other machines",
             {{"listener", listener.name},
              {"address", listener.address.to_string()},
              {"although", certificates ? "another listener asks for certificates" : "there is a mesh"},
              {"remedy", "give it a tls table, or a loopback address"}});
  }
}

std::vector<std::string> paths_of(const config::ListenerTls& tls) {
  std::vector<std::string> paths{tls.client_ca, tls.client_crl};
  for (const auto& pair : tls.certificates) {
    paths.insert(paths.end(), {pair.certificate, pair.key, pair.ocsp});
  }
  return paths;
}

std::vector<std::string> paths_of(const config::ClusterTls& tls) {
  return {tls.ca, tls.crl, tls.own.certificate, tls.own.key};
}

void log_warnings(const net::TlsContext& context, const char* kind, const std::string& name) {
  for (const auto& warning : context.warnings()) log_warn("TLS file", {{kind, name}, {"warning", warning}});
}

}  // namespace

std::optional<std::string> tls_problem(const config::ListenerTls& settings) {
  net::TlsTickets tickets;
  const auto made = net::TlsContext::server(to_settings(settings), tickets);
  return made ? std::nullopt : std::optional(made.error().detail);
}

std::optional<std::string> tls_problem(const config::ClusterTls& settings) {
  const auto made = net::TlsContext::client(to_settings(settings));
  return made ? std::nullopt : std::optional(made.error().detail);
}

TlsStore::~TlsStore() = default;

Result<Context> TlsStore::make(const config::ListenerTls& settings) {
  if (!tickets_) tickets_.emplace();
  return net::TlsContext::server(to_settings(settings), *tickets_);
}

Result<Context> TlsStore::make(const config::ClusterTls& settings) {
  return net::TlsContext::client(to_settings(settings));
}

Result<void> TlsStore::read(std::shared_ptr<const config::Config> config) {
  TlsContexts next;
  bool any = false;
  const auto read_each = [&](const auto& owners, const char* kind, auto& contexts) -> Result<void> {
    for (const auto& owner : owners) {
      contexts.push_back(nullptr);
      if (!owner.tls) continue;
      auto made = make(*owner.tls);
      if (!made) {
        made.error().detail = std::string("TLS of ") + kind + " " + owner.name + ": " + made.error().detail;
        return std::unexpected(std::move(made.error()));
      }
      contexts.back() = std::move(*made);
      any = true;
    }
    return {};
  };
  if (auto done = read_each(config->listeners, "listener", next.listeners); !done) return done;
  if (auto done = read_each(config->clusters, "cluster", next.clusters); !done) return done;
  next_ = any ? std::make_shared<const TlsContexts>(std::move(next)) : nullptr;
  next_config_ = std::move(config);
  return {};
}

void TlsStore::use() {
  config_ = std::exchange(next_config_, nullptr);
  contexts_ = std::exchange(next_, nullptr);
  bad_listeners_.assign(config_->listeners.size(), false);
  bad_clusters_.assign(config_->clusters.size(), false);
  if (contexts_ && !rotation_.armed()) loop_.wheel().arm_in(rotation_, net::TlsTickets::kLifetime);
  for (std::size_t i = 0; contexts_ && i < config_->listeners.size(); ++i) {
    if (contexts_->listeners[i])
      log_warnings(*contexts_->listeners[i], "listener", config_->listeners[i].name);
  }
  for (std::size_t i = 0; contexts_ && i < config_->clusters.size(); ++i) {
    const config::Cluster& cluster = config_->clusters[i];
    if (!contexts_->clusters[i]) continue;
    log_warnings(*contexts_->clusters[i], "cluster", cluster.name);
    if (!cluster.tls->verify)
      log_warn("endpoints are not verified, verify = false", {{"cluster", cluster.name}});
  }
  warn_of_clear_text(*config_);
  watch();
}

// One watch for each file, whoever uses it; those that stay are kept.
void TlsStore::watch() {
  std::vector<std::string> paths;
  const auto add = [&paths](const auto& owners) {
    for (const auto& owner : owners) {
      if (!owner.tls) continue;
      for (auto& path : paths_of(*owner.tls)) {
        if (!path.empty()) paths.push_back(std::move(path));
      }
    }
  };
  if (config_->runtime.watch) {
    add(config_->listeners);
    add(config_->clusters);
  }
  std::ranges::sort(paths);
  paths.erase(std::ranges::unique(paths).begin(), paths.end());
  if (paths == watched_) return;
  watched_ = std::move(paths);
  watches_.clear();
  for (const auto& path : watched_) {
    watches_.push_back(std::make_unique<net::FileWatch>(loop_, path, [this, path] { look(&path); }));
  }
}

void TlsStore::look() { look(nullptr); }

// `path`: only those that use it; null: all.
template <typename Owners>
bool TlsStore::look_at(const Owners& owners, const char* kind, const std::string* path,
                       std::vector<Context>& contexts, Rejected& rejected) {
  bool any = false;
  for (std::size_t i = 0; i < owners.size(); ++i) {
    if (!owners[i].tls) continue;
    const auto paths = paths_of(*owners[i].tls);
    if (path != nullptr && std::ranges::find(paths, *path) == paths.end()) continue;
    auto made = make(*owners[i].tls);
    const bool was_bad = rejected[i];
    rejected[i] = !made;
    if (!made) {
      ++rejected_;
      log_error("TLS files cannot be used, those read before go on serving",
                {{kind, owners[i].name}, {"reason", made.error().detail}});
      continue;
    }
    // A watch looks at first whether its file has changed before it was watched, and who swaps a pair changes
    // two files at once.
    if ((*made)->content() == contexts[i]->content()) {
      if (was_bad) log_info("TLS files are as they were before", {{kind, owners[i].name}});
      continue;
    }
    ++taken_over_;
    any = true;
    contexts[i] = std::move(*made);
    log_info("TLS files read anew", {{kind, owners[i].name}});
    log_warnings(*contexts[i], kind, owners[i].name);
  }
  return any;
}

void TlsStore::look(const std::string* path) {
  if (!contexts_) return;
  TlsContexts next = *contexts_;
  const bool listeners = look_at(config_->listeners, "listener", path, next.listeners, bad_listeners_);
  const bool clusters = look_at(config_->clusters, "cluster", path, next.clusters, bad_clusters_);
  if (!listeners && !clusters) return;
  contexts_ = std::make_shared<const TlsContexts>(std::move(next));
  changed_();
}

void TlsStore::rotate() {
  if (tickets_) tickets_->rotate();
  loop_.wheel().arm_in(rotation_, net::TlsTickets::kLifetime);
}

TlsFiles TlsStore::files() const {
  TlsFiles files{.expiries = {}, .taken_over = taken_over_, .rejected = rejected_};
  if (!contexts_) return files;
  files.bad = static_cast<std::uint64_t>(std::ranges::count(bad_listeners_, true) +
                                         std::ranges::count(bad_clusters_, true));
  std::map<std::string, std::int64_t> ends;
  for (const auto* contexts : {&contexts_->listeners, &contexts_->clusters}) {
    for (const Context& context : *contexts) {
      if (!context) continue;
      for (const auto& [file, end] : context->certificates()) ends[file] = end;
    }
  }
  files.expiries.assign(ends.begin(), ends.end());
  files.in_use = true;
  return files;
}

}  // namespace remora::proxy
