// A DNS name as a source: its addresses (A, AAAA), or the hosts and ports of its SRV records. Asked again
// when the TTL is over, a little earlier than that; after failures less and less often. What was answered
// last stays in force through them.
//
// SRV (RFC 2782): priorities become 0, 1, 2 ... in their order; a weight of 0, which is to get hardly
// anything, becomes 1. Targets are names again, and what is no host name is left out. The answer is bounded
// by net::Resolver.
//
// Thread: the control thread. Owner: EndpointSources.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/timer_wheel.h"
#include "discovery/dns_refresh.h"
#include "discovery/source_record.h"
#include "proxy/endpoint_source.h"

namespace remora::proxy {

class DnsSource final : public EndpointSource, private Timer {
 public:
  enum class Records : std::uint8_t { kAddresses, kServices };

  // Asks at once; `parts.changed` comes later.
  DnsSource(const SourceParts& parts, Records records, std::string name);

  const std::string& name() const { return name_; }
  // Of kAddresses: endpoints with an address and port 0; of kServices: names with ports, and literals.
  List list() const override { return list_; }
  bool settled() const override { return record_.settled(); }
  SourceView view() const override;

 private:
  void on_timer() override { ask(); }
  void ask();
  void on_answer(List list, Duration ttl);
  void on_failure(const Error& error);
  void again(bool changed);
  void tell(std::string to, std::string reason);

  SourceParts parts_;
  Records records_;
  std::string name_;
  discovery::DnsRefresh refresh_;
  discovery::SourceRecord record_;
  List list_;
  std::string left_out_;  // of the last answer
  std::unique_ptr<net::Resolver::Query> query_;
};

// What SRV records say, as endpoints: in order of priority and name. `left_out` gets what is wrong with those
// that are none. Pure.
EndpointSource::List endpoints_of(const std::vector<net::ServiceRecord>& records, std::string& left_out);

}  // namespace remora::proxy
