// One row for each key a file may have: its default, and a value that changes something.
#pragma once

#include <doctest/doctest.h>

#include <string>

namespace remora::config::fixture {

// A file with a mark in each table; a row puts its line in the place of one.
inline const std::string kFile = R"([runtime]
#runtime
[overload]
#overload
[admin]
#admin
[log]
#log
[log.access]
#log.access
[tracing]
endpoint = "http://127.0.0.1:4318/v1/traces"
#tracing
[[listener]]
#name
address = "127.0.0.1:80"
#listener
[listener.timeouts]
#listener.timeouts
[listener.limits]
#listener.limits
[listener.rate_limit]
requests = 10
#listener.rate_limit
[listener.proxy_protocol]
from = ["10.0.0.0/8"]
#listener.proxy_protocol
[listener.tls]
certificate = "a.crt"
key = "a.key"
client_ca = "ca.crt"
#listener.tls
[[listener.route]]
prefix = "/x"
#listener.route
cluster = "app"
[[listener.route]]
prefix = "/again"
cluster = "app"
[listener.route.retry]
#listener.route.retry
[listener.route.rate_limit]
requests = 20
#listener.route.rate_limit
[[listener]]
address = "127.0.0.1:81"
#proxied
protocol = "tcp"
cluster = "app"
[[cluster]]
name = "app"
endpoints = ["127.0.0.1:3000"]
#cluster
[cluster.timeouts]
#cluster.timeouts
[cluster.tls]
#cluster.tls
ca = "ca.crt"
[cluster.limits]
#cluster.limits
[cluster.limits.per_endpoint]
#cluster.limits.per_endpoint
[cluster.breaker]
#cluster.breaker
[cluster.retry]
#cluster.retry
[[cluster]]
name = "bytes"
#bytes
endpoints = ["127.0.0.1:3000"]
[[cluster]]
name = "ring"
balance = "ring_hash"
#ring
endpoints = ["127.0.0.1:3000"]
[cluster.outlier]
#cluster.outlier
[cluster.health_check]
#cluster.health_check
[cluster.adaptive_concurrency]
#cluster.adaptive_concurrency
[[cluster]]
name = "tcp"
endpoints = ["127.0.0.1:3000"]
[cluster.health_check]
protocol = "tcp"
#tcp
[[cluster]]
name = "away"
discover = { file = "away.toml" }
[mesh]
#mesh
[mesh.protocol]
#mesh.protocol
[[mesh.service]]
name = "s"
port = 80
#mesh.service
)";

struct Row {
  std::string table;
  std::string key;
  std::string mark;      // what the lines below stand in for
  std::string without;   // the key left out
  std::string standard;  // the key with its default; empty if it has none
  std::string other;     // the key with another value
};

// The file with the first mark replaced; marks are whole lines.
inline std::string with(const Row& row, const std::string& lines) {
  const auto at = ("\n" + kFile).find("\n" + row.mark + "\n");
  REQUIRE(at != std::string::npos);
  return kFile.substr(0, at) + lines + kFile.substr(at + row.mark.size());
}

}  // namespace remora::config::fixture
