// The contexts of TLS that a configuration needs: reads them, watches their files, and reads those anew that
// have changed. Files that cannot be used change nothing: what was read before goes on serving.
//
// Thread: the control thread. Owner: Server, which destroys it after everything that uses the contexts.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/timer_wheel.h"
#include "config/config.h"
#include "proxy/net/file_watch.h"
#include "proxy/net/loop.h"
#include "proxy/net/tls_context.h"
#include "proxy/process_info.h"
#include "proxy/tls_contexts.h"

namespace remora::proxy {

// For the configuration's validation: nullopt, or which file cannot be used and why.
std::optional<std::string> tls_problem(const config::ListenerTls& settings);
std::optional<std::string> tls_problem(const config::ClusterTls& settings);

class TlsStore final {
 public:
  // `changed`: contexts() are others than before, because files are. From an event of the loop.
  TlsStore(net::Loop& loop, std::function<void()> changed) : loop_(loop), changed_(std::move(changed)) {}
  ~TlsStore();
  TlsStore(const TlsStore&) = delete;
  TlsStore& operator=(const TlsStore&) = delete;

  // Reads all that `config` names. An error, which says whose files they are, changes nothing.
  Result<void> read(std::shared_ptr<const config::Config> config);
  // What was read last is in use from now on, and watched if runtime.watch says so. Inside an event of the
  // loop, or before it runs.
  void use();
  // Reads what is in use anew, and takes over what has changed.
  void look();
  // The files in use, while they are watched.
  const std::vector<std::string>& watched() const { return watched_; }

  // Null: nobody speaks TLS.
  const std::shared_ptr<const TlsContexts>& contexts() const { return contexts_; }
  TlsFiles files() const;

 private:
  Result<std::shared_ptr<const net::TlsContext>> make(const config::ListenerTls& settings);
  static Result<std::shared_ptr<const net::TlsContext>> make(const config::ClusterTls& settings);
  // Of the listeners or the clusters, by the configuration's index: those whose files cannot be used now.
  using Rejected = std::vector<bool>;
  template <typename Owners>
  bool look_at(const Owners& owners, const char* kind, const std::string* path,
               std::vector<std::shared_ptr<const net::TlsContext>>& contexts, Rejected& rejected);
  void look(const std::string* path);
  void watch();
  void rotate();

  net::Loop& loop_;
  std::function<void()> changed_;
  // Before the contexts, and from the first listener with TLS on: making keys wakes all of OpenSSL, which
  // takes megabytes.
  std::optional<net::TlsTickets> tickets_;
  std::shared_ptr<const config::Config> config_;
  std::shared_ptr<const config::Config> next_config_;
  std::shared_ptr<const TlsContexts> contexts_;
  std::shared_ptr<const TlsContexts> next_;
  std::vector<std::string> watched_;
  std::vector<std::unique_ptr<net::FileWatch>> watches_;
  std::uint64_t taken_over_ = 0;
  std::uint64_t rejected_ = 0;
  Rejected bad_listeners_;
  Rejected bad_clusters_;
  MemberTimer<TlsStore, &TlsStore::rotate> rotation_{*this};
};

}  // namespace remora::proxy
