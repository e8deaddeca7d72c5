// What the operator wants, after parsing and validation: an immutable value. Every cross reference is
// resolved (routes hold cluster indices), every default filled in; nothing here needs checking again.
//
// Thread: any; shared as shared_ptr<const Config>. The policies' settings live beside the policies; this only
// composes them. Every field is a key of the file of the same name; docs/configuration.md describes them for
// operators.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/address.h"
#include "base/log.h"
#include "base/rare.h"
#include "base/shared_list.h"
#include "base/status_set.h"
#include "base/time.h"
#include "breaker/adaptive_limit.h"
#include "breaker/circuit_breaker.h"
#include "breaker/overload.h"
#include "breaker/rate_limiter.h"
#include "breaker/retry_budget.h"
#include "breaker/retry_policy.h"
#include "discovery/swim/service.h"
#include "discovery/swim/settings.h"
#include "health/checker.h"
#include "health/outlier.h"
#include "lb/balancer.h"

namespace remora::config {

struct Runtime {
  unsigned workers = 1;       // already resolved when "auto" was asked for
  Duration drain_delay = 0s;  // a part of drain_timeout
  Duration drain_timeout = 30s;
  std::string exit_with;  // the pid of the application's process, or the file that has it; empty = nobody's
  std::string zone;       // own zone; empty = no zone preference
  bool watch = true;      // reload when the file changes
  std::vector<Address> resolvers;  // DNS servers; empty = those of /etc/resolv.conf
  std::string user;                // NAME, UID or UID:GID to become once everything is bound; empty = stay
  bool core_dumps = false;         // allowed though there are keys in memory
  bool operator==(const Runtime&) const = default;
};

struct Admin {
  Address address;                 // 127.0.0.1:9901
  std::vector<std::string> hosts;  // names and *.names in Host that are answered, lower case
  bool operator==(const Admin&) const = default;
};

struct AccessLog {
  LogFormat format = LogFormat::kText;
  std::string path = "stdout";  // "stdout", "stderr", "off", or a file
  double sample = 1.0;          // share of the exchanges that are logged; those with a flag always are
  bool operator==(const AccessLog&) const = default;
};

struct Log {
  LogLevel level = LogLevel::kInfo;
  LogFormat format = LogFormat::kText;
  AccessLog access;
  bool operator==(const Log&) const = default;
};

// Which fields of a request carry its trace.
struct TraceFormats {
  bool w3c = true;        // traceparent, tracestate
  bool b3 = false;        // b3
  bool b3_multi = false;  // X-B3-TraceId and its companions
  bool operator==(const TraceFormats&) const = default;
};

struct Tracing {
  std::string endpoint;            // of the collector, as written: http://host:port/path
  std::optional<Address> address;  // of it, when its host is a literal
  HostPort host;                   // otherwise a name to look up
  std::string authority;           // for Host
  std::string path;
  double sample = 0.01;  // share of the traces begun here that are recorded; of others the caller has decided
  std::string service = "remora";
  TraceFormats propagation;
  std::uint32_t batch = 512;   // spans of one export at most
  std::uint32_t queue = 4096;  // spans that wait for the collector at most
  Duration interval = 1s;      // how long one waits for others
  Duration timeout = 10s;      // of one export, connecting included
  std::vector<std::pair<std::string, std::string>> headers;
  bool operator==(const Tracing&) const = default;
};

// Edits of a head, in this order: remove, set, add.
struct FieldEdits {
  std::vector<std::string> remove;
  std::vector<std::pair<std::string, std::string>> set;
  std::vector<std::pair<std::string, std::string>> add;
  bool empty() const { return remove.empty() && set.empty() && add.empty(); }
  bool operator==(const FieldEdits&) const = default;
};

// What a request must look like. An absent condition matches everything; all present ones must hold.
struct Match {
  enum class Path : std::uint8_t { kAny, kExact, kPrefix, kRegex };
  struct FieldIs {
    std::string name;
    std::optional<std::string> value;  // nullopt: present with any value ("*" in the file)
    bool operator==(const FieldIs&) const = default;
  };
  std::string host;  // lower case; "" any, "a.example" exact, "*.example" any subdomain
  Path path_kind = Path::kAny;
  std::string path;  // compared with the path without the query, as sent (no decoding)
  std::vector<std::string> methods;
  std::vector<FieldIs> headers;
  bool connect = false;  // CONNECT, and nothing else; without it everything else
  bool operator==(const Match&) const = default;
};

struct WeightedCluster {
  std::size_t cluster = 0;  // index into Config::clusters
  std::uint32_t weight = 1;
  bool operator==(const WeightedCluster&) const = default;
};

struct Redirect {
  std::uint16_t status = 308;  // 301, 302, 303, 307, 308
  std::string to;              // whole Location; if set, the parts below are empty
  std::string scheme;          // parts that replace those of the request
  std::string host;
  std::string path;
  bool operator==(const Redirect&) const = default;
};

struct Respond {
  std::uint16_t status = 200;  // 200 to 599
  std::string body;
  std::string content_type = "text/plain";
  bool operator==(const Respond&) const = default;
};

struct Forward {
  std::vector<WeightedCluster> clusters;  // at least one
  bool operator==(const Forward&) const = default;
};

// Which part of a request the consistent hashes use.
struct HashKey {
  enum class Source : std::uint8_t { kNone, kHeader, kCookie, kSourceAddress, kQuery, kPath };
  Source source = Source::kNone;
  std::string name;  // of the header, cookie or query parameter
  bool operator==(const HashKey&) const = default;
};

// So many requests in so long a time, for all clients together or for each key.
struct RateLimit {
  enum class Key : std::uint8_t { kAll, kSourceAddress, kHeader };
  breaker::TokenBucket::Settings bucket;
  Key key = Key::kAll;
  std::string header;           // with kHeader; requests without it share one bucket
  std::uint32_t keys = 16'384;  // remembered at most, with a key
  bool operator==(const RateLimit&) const = default;
};

struct TlsKeyPair {
  std::string certificate;  // file: the certificate, then its chain
  std::string key;          // file
  std::string ocsp{};       // file, of listeners only; "" = none
  bool operator==(const TlsKeyPair&) const = default;
};

// What clients of a listener find: TLS 1.2 and 1.3.
struct ListenerTls {
  std::vector<TlsKeyPair> certificates;  // at least one, that of `certificate` and `key` first
  std::string client_ca;                 // file; "" = clients are not asked for certificates
  std::string client_crl;                // file; "" = nobody is revoked
  bool require_client_certificate = true;
  bool only_tls13 = false;  // min_version
  Duration handshake_timeout = 5s;
  std::uint32_t handshakes = 64;  // under way at once in each worker; more wait in the kernel
  bool operator==(const ListenerTls&) const = default;
};

// How endpoints of a cluster are spoken to.
struct ClusterTls {
  std::string ca;           // file; "" = the system's
  std::string crl;          // file
  TlsKeyPair own;           // shown when asked; "" = none
  std::string server_name;  // "" = the host of each endpoint
  std::string identity;     // URI that the certificate must have, instead of the name
  bool verify = true;
  bool only_tls13 = false;
  bool operator==(const ClusterTls&) const = default;
};

struct Route {
  Match match;
  std::vector<std::string> allow;  // identities; empty = everybody
  std::variant<Forward, Rare<Redirect>, Rare<Respond>> action;
  Rare<std::string> rewrite;         // replaces the matched prefix, or the whole matched path
  Rare<FieldEdits> request_headers;  // not empty
  Rare<FieldEdits> response_headers;
  Duration timeout = 15s;  // from the request's end to the response's head, all attempts; zero = none
  HashKey hash;
  Rare<breaker::RetrySettings> retry;  // instead of the cluster's
  Rare<RateLimit> rate_limit;          // in addition to the listener's
  bool operator==(const Route&) const = default;
};

struct ListenerTimeouts {
  Duration header = 10s;      // first byte of a head to its last
  Duration body_idle = 60s;   // between two pieces of a body, either direction
  Duration keep_alive = 75s;  // between two requests
  Duration detect = 5s;       // for the bytes that say where a TCP connection goes
  Duration tunnel_idle = 1h;  // of an upgraded or a TCP connection, both directions silent
  bool operator==(const ListenerTimeouts&) const = default;
};

struct ListenerLimits {
  std::uint32_t connections = 0;  // per process; 0 = unlimited
  std::uint32_t header_bytes = 60 * 1024;
  std::uint32_t header_fields = 100;
  std::uint64_t body_bytes = 0;  // 0 = unlimited
  bool operator==(const ListenerLimits&) const = default;
};

// Whose requests come here: inbound ones the application serves, outbound ones it makes. In a drain inbound
// ends first.
enum class Direction : std::uint8_t { kInbound, kOutbound };

// Proxies in front that say with a PROXY header whose connections they pass on.
struct ListenerProxies {
  std::vector<Cidr> from;  // at least one; who is not in it is taken for who it is
  Duration timeout = 5s;   // for the header
  bool operator==(const ListenerProxies&) const = default;
};

struct Listener {
  // kDetect: HTTP to the routes but the last, everything else to that one.
  enum class Protocol : std::uint8_t { kHttp, kTcp, kDetect };
  bool is_tcp() const { return protocol == Protocol::kTcp; }
  bool detects() const { return protocol == Protocol::kDetect; }
  // Where a TCP connection goes depends on the name that its TLS client asks for.
  bool asks_names() const { return is_tcp() && !routes.empty() && !routes.front().match.host.empty(); }

  std::string name;  // default: the address as written
  Address address;
  Protocol protocol = Protocol::kHttp;
  Direction direction = Direction::kInbound;
  std::vector<Cidr> trusted;  // peers whose X-Forwarded-* are believed and appended to
  ListenerTimeouts timeouts;
  ListenerLimits limits;
  Rare<RateLimit> rate_limit;
  std::optional<ListenerProxies> proxy_protocol;
  bool original_destination =
      false;  // connections were redirected here, and it is asked where they were going
  std::optional<ListenerTls> tls;
  std::vector<std::string> allow;  // identities; empty = everybody
  std::vector<Route> routes;       // first match wins; with kTcp `host` is what TLS clients ask for
  // How many of them, from the first on, are for requests.
  std::size_t request_routes() const {
    if (is_tcp() || routes.empty()) return 0;
    return detects() ? routes.size() - 1 : routes.size();
  }
  bool operator==(const Listener&) const = default;
};

struct Endpoint {
  std::string name;                // as written: its identity in metrics, logs and hashing
  std::optional<Address> address;  // a literal
  Rare<HostPort> host;             // otherwise a name to resolve: every address of it becomes an endpoint
  std::uint32_t weight = 1;        // 1 to 65535
  std::string zone;
  std::uint32_t priority = 0;  // 0 first
  bool operator==(const Endpoint&) const = default;
};

// Where the endpoints of a cluster are found, if it does not list them.
struct Discover {
  enum class Source : std::uint8_t { kSwim, kFile, kDns, kSrv, kOriginalDestination };
  Source source = Source::kSwim;
  std::string name;                      // the path, "name:port", or the name of SRV records; "" with kSwim
  discovery::swim::WantedSettings swim;  // with kSwim: by the mesh, and there is one then
  bool operator==(const Discover&) const = default;
};

struct ClusterTimeouts {
  Duration connect = 1s;
  Duration idle = 30s;  // of a pooled connection: below what common servers allow
  bool operator==(const ClusterTimeouts&) const = default;
};

// Bulkheads, per process. 0 = unlimited.
struct ClusterLimits {
  std::uint32_t connections = 0;           // open to all endpoints together
  std::uint32_t requests = 0;              // in flight; more of them wait
  std::uint32_t pending = 1024;            // requests that wait for a place; 0 = none may wait
  Duration pending_timeout = 1s;           // how long one waits at most
  std::uint32_t retries = 0;               // retries and hedges in flight
  std::uint32_t endpoint_connections = 0;  // as above, of each endpoint
  std::uint32_t endpoint_requests = 0;
  std::uint32_t endpoint_retries = 0;
  bool operator==(const ClusterLimits&) const = default;
};

enum class BreakerScope : std::uint8_t { kEndpoint, kCluster };

// What is answered when every candidate's breaker is open: nothing special, a configured response, or another
// cluster is asked.
using Fallback = std::variant<std::monostate, Rare<Respond>, WeightedCluster>;

struct HealthCheck {
  enum class Protocol : std::uint8_t { kHttp, kTcp };
  Protocol protocol = Protocol::kHttp;
  health::Checker::Settings schedule;
  std::string method = "GET";
  std::string path = "/";
  std::string host;  // "" = the endpoint as configured
  StatusSet expect = StatusSet::range(200, 399);
  std::string body_contains;     // within the first 64 KiB; "" = anything
  std::string send;              // with kTcp, after connecting
  std::string receive;           // with kTcp: must occur in the answer; "" = connecting is enough
  std::uint16_t port = 0;        // 0 = the endpoint's own
  bool reuse_connection = true;  // with kHttp
  double panic_below = 0.5;
  bool operator==(const HealthCheck&) const = default;
};

// The PROXY header that TCP connections to endpoints begin with.
enum class ProxyProtocol : std::uint8_t { kNone, kV1, kV2 };

struct Cluster {
  // Its endpoints are wherever connections were going before they were redirected.
  bool goes_anywhere() const {
    return discover && discover->source == Discover::Source::kOriginalDestination;
  }

  std::string name;
  SharedList<Endpoint> endpoints;  // at least one, unless they are discovered; with kDns the name
  Rare<Discover> discover;         // nullopt: those above are all
  lb::Settings balance;
  ClusterTimeouts timeouts;
  ClusterLimits limits;
  breaker::CircuitBreaker::Settings breaker;
  BreakerScope breaker_scope = BreakerScope::kEndpoint;
  Fallback fallback;
  health::OutlierDetector::Settings outlier;
  Rare<HealthCheck> health_check;
  Rare<ClusterTls> tls;
  ProxyProtocol proxy_protocol = ProxyProtocol::kNone;
  Duration slow_start = 10s;  // how long an endpoint takes to its full share after recovery; zero = none
  breaker::RetrySettings retry;
  breaker::RetryBudget::Settings retry_budget;
  breaker::AdaptiveLimit::Settings adaptive;
  bool operator==(const Cluster&) const = default;
};

// What the mesh is told that this sidecar serves.
struct MeshService {
  discovery::swim::ServiceSettings service;
  std::string cluster;  // announced while its active checks pass; "" = always
  bool operator==(const MeshService&) const = default;
};

// The pool of sidecars that know each other by gossip.
struct Mesh {
  enum class Profile : std::uint8_t { kLan, kWan, kLocal };
  std::string node;            // unique in the pool; "" = the host's name and the port
  Address bind;                // UDP and TCP; 0.0.0.0:7946
  Address advertise;           // where others reach us; port 0 = that of `bind`; kNone = found out at start
  std::vector<Endpoint> join;  // members to be asked first: literals and names, with ports
  std::string key;             // base64 of 16, 24 or 32 bytes; "" = none here
  std::string key_file;        // such keys, one a line; the first seals, all open
  std::string label;           // of the pool; other pools' packets are refused
  std::string snapshot;        // a file that remembers members; "" = none
  Profile profile = Profile::kLan;
  std::vector<MeshService> services;
  discovery::swim::Settings protocol;  // the profile's, with what the file changes
  bool operator==(const Mesh&) const = default;
};

struct Config {
  std::string file;  // where it came from, for messages; part of ==
  Runtime runtime;
  breaker::Overload::Settings overload;
  Admin admin;
  Log log;
  std::optional<Tracing> tracing;   // nullopt: off, and trace headers are nothing special
  std::vector<Listener> listeners;  // at least one
  SharedList<Cluster> clusters;
  std::optional<Mesh> mesh;
  bool operator==(const Config&) const = default;
};

}  // namespace remora::config
