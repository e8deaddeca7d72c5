// Host names to addresses, through c-ares on the loop: no thread, nothing blocks but the reading of
// /etc/hosts.
//
// /etc/hosts and the search domains of /etc/resolv.conf are honoured. IP literals and "localhost" never leave
// the process (RFC 6761 section 6.3).
//
// An answer has addresses of one family: IPv4 if the name has any, else IPv6. Each address counts as an
// endpoint, and the two addresses of a dual-stack host are not two endpoints; least of all those of
// "localhost", where an application often listens on 127.0.0.1 only.
//
// Thread: the loop's. Owner: whoever looks names up; the loop outlives it, and it outlives its queries.
#pragma once

#include <functional>
#include <memory>
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

class Resolver final {
 public:
  // Errors: kResolveFailed (no such name, or no address), kTimedOut (no server answered), kInvalid (not a
  // name).
  using Callback = std::move_only_function<void(Result<Answer>)>;

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

 private:
  class Channel;
  std::unique_ptr<Channel> channel_;
};

}  // namespace remora::net
