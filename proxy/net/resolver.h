// Host names to addresses, and names of services to hosts (SRV, RFC 2782), through c-ares on the loop: no
// thread, nothing blocks but the reading of /etc/hosts.
//
// /etc/hosts and the search domains of /etc/resolv.conf are honoured. IP literals and "localhost" never leave
// the process (RFC 6761 section 6.3).
//
// An answer has addresses of one family: IPv4 if the name has any, else IPv6. Each address counts as an
// endpoint, and the two addresses of a dual-stack host are not two endpoints; least of all those of
// "localhost", where an application often listens on 127.0.0.1 only.
//
// Of many names at once, 64 are asked for at a time, so that neither servers nor the sockets' buffers lose
// what they cannot hold; others wait for answers, or 250 ms without any.
//
// Thread: the loop's. Owner: whoever looks names up; the loop outlives it, and it outlives its queries.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/error.h"
#include "base/time.h"
#include "proxy/net/loop.h"

namespace remora::net {

struct ResolverOptions {
  std::vector<Address> servers;  // empty: those of /etc/resolv.conf
  Duration timeout = 2s;         // of the first try; later ones wait longer
  int tries = 3;                 // per server
  Duration min_ttl = 1s;         // answers that say less (0, as those of /etc/hosts) are taken to say this
  Duration max_ttl = 1h;
};

struct Answer {
  std::vector<Address> addresses;  // each once, in order of value, port 0. Never empty
  Duration ttl = 0us;              // the shortest of all records used; max_ttl for literals and "localhost"

  bool operator==(const Answer&) const = default;
};

// One SRV record.
struct ServiceRecord {
  std::string host;  // as c-ares writes names: without the last dot. What is in it is the server's affair
  std::uint16_t port = 0;
  std::uint16_t priority = 0;  // the lowest first
  std::uint16_t weight = 0;    // among those of one priority

  bool operator==(const ServiceRecord&) const = default;
};

struct ServiceAnswer {
  std::vector<ServiceRecord> records;  // as the server orders them. Never empty
  Duration ttl = 0us;                  // as above

  bool operator==(const ServiceAnswer&) const = default;
};

// The SRV records of a whole DNS message (RFC 1035 section 4.1), and the shortest TTL of its answers, an
// alias's included; not within any bounds yet. An error: it breaks off, or has none. A target "." says that
// there is no such service (RFC 2782): it is none.
Result<ServiceAnswer> parse_service_answer(std::span<const unsigned char> message);

class Resolver final {
 public:
  // So many are taken from one answer.
  static constexpr std::size_t kServiceRecords = 1024;

  // Errors: kResolveFailed (no such name, or no address), kTimedOut (no server answered), kInvalid (not a
  // name).
  using Callback = std::move_only_function<void(Result<Answer>)>;
  using ServiceCallback = std::move_only_function<void(Result<ServiceAnswer>)>;

  // A name being looked up. Destroying it cancels: the callback does not come. It may be destroyed in the
  // callback.
  class Query {
   public:
    virtual ~Query() = default;
  };

  explicit Resolver(Loop& loop, const ResolverOptions& options = {});
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // Starts looking up `host`. The callback comes once, never inside this call.
  [[nodiscard]] std::unique_ptr<Query> resolve(const std::string& host, Callback callback);
  // The same for the SRV records of `name`. Their hosts are to be looked up by the caller.
  [[nodiscard]] std::unique_ptr<Query> resolve_service(const std::string& name, ServiceCallback callback);

 private:
  class Channel;
  std::unique_ptr<Channel> channel_;
};

}  // namespace remora::net
