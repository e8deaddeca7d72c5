// The parts of an effective configuration that fill a file of their own, or stand in several places.
//
// Thread: any; pure but for the writer.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "config/effective.h"
#include "config/toml_writer.h"

namespace remora::config {

// Whether what goes by this name (of a header, of a query parameter) looks like a credential.
bool is_secret(std::string_view name);

// A [[cluster]] with its tables. `config`: where a fallback finds the name of the other one.
[[gnu::cold]] void write_cluster(TomlWriter& out, const Cluster& cluster, const Config& config,
                                 Secrets secrets);

// [mesh]. Keys are never shown if masked, and then only a comment says that there are some.
[[gnu::cold]] void write_mesh(TomlWriter& out, const Mesh& mesh, Secrets secrets);

// `table`: its name, such as "cluster.retry".
[[gnu::cold]] void write_retry(TomlWriter& out, std::string_view table, const breaker::RetrySettings& retry);
[[gnu::cold]] void write_rate_limit(TomlWriter& out, std::string_view table, const RateLimit& limit);

// [listener.tls], [cluster.tls] and `allow`: paths, never what the files hold.
[[gnu::cold]] void write_listener_tls(TomlWriter& out, const ListenerTls& tls);
[[gnu::cold]] void write_cluster_tls(TomlWriter& out, const ClusterTls& tls);
[[gnu::cold]] void write_allow(TomlWriter& out, const std::vector<std::string>& allow);

// The keys of a response, in whatever table.
[[gnu::cold]] void write_respond(TomlWriter& out, const Respond& respond);

}  // namespace remora::config
