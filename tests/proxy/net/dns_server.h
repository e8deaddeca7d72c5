// A DNS server on loopback that says what a test tells it to: UDP and TCP on one port, in a thread of its
// own.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/address.h"
#include "proxy/net/fd.h"

namespace remora::testing {

struct DnsRecord {
  Address address;
  std::uint32_t ttl = 60;
};

struct DnsService {
  std::string host;  // "" = the root
  unsigned port = 0;
  unsigned priority = 0;
  unsigned weight = 0;
  std::uint32_t ttl = 60;
};

// What the server knows of a name. Set before the server starts.
struct DnsName {
  std::vector<DnsRecord> records;
  std::vector<DnsService> services{};
  std::string alias_of;  // the records belong to this name, which a CNAME names
  std::uint32_t alias_ttl = 60;
  int code = 0;            // 3: NXDOMAIN, 2: SERVFAIL
  bool silent = false;     // no answer at all
  bool truncated = false;  // over UDP: ask again over TCP
};

class DnsServer final {
 public:
  using Names = std::map<std::string, DnsName>;  // lower case, without the last dot. Others do not exist

  explicit DnsServer(Names names) : names_(std::move(names)) {
    for (int attempt = 0; attempt < 100 && !bind_both(); ++attempt) {
    }
    if (!tcp_ || ::pipe(wakeup_.data()) != 0) std::abort();
    thread_ = std::thread([this] { serve(); });
  }
  ~DnsServer() {
    ::close(wakeup_[1]);
    thread_.join();
    ::close(wakeup_[0]);
  }
  DnsServer(const DnsServer&) = delete;
  DnsServer& operator=(const DnsServer&) = delete;

  const Address& address() const { return address_; }
  int udp_queries() const { return udp_queries_; }
  int tcp_queries() const { return tcp_queries_; }

 private:
  static sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_port = htons(port);
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return name;
  }

  bool bind_both() {
    udp_ = net::Fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_in name = loopback(0);
    socklen_t length = sizeof name;
    if (::bind(udp_.get(), reinterpret_cast<sockaddr*>(&name), length) != 0 ||
        ::getsockname(udp_.get(), reinterpret_cast<sockaddr*>(&name), &length) != 0) {
      return false;
    }
    net::Fd tcp(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::bind(tcp.get(), reinterpret_cast<sockaddr*>(&name), length) != 0 || ::listen(tcp.get(), 16) != 0)
      return false;
    tcp_ = std::move(tcp);
    address_ = *Address::from_sockaddr(reinterpret_cast<sockaddr*>(&name));
    return true;
  }

  void serve() {
    for (;;) {
      std::array<pollfd, 3> ready{pollfd{wakeup_[0], POLLIN, 0}, pollfd{udp_.get(), POLLIN, 0},
                                  pollfd{tcp_.get(), POLLIN, 0}};
      if (::poll(ready.data(), ready.size(), -1) < 0) continue;
      if (ready[0].revents != 0) return;
      if (ready[1].revents != 0) serve_udp();
      if (ready[2].revents != 0) serve_tcp();
    }
  }

  void serve_udp() {
    std::array<char, 4096> bytes{};
    sockaddr_in from{};
    socklen_t length = sizeof from;
    const ssize_t size =
        ::recvfrom(udp_.get(), bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&from), &length);
    if (size < 12) return;
    ++udp_queries_;
    const std::string reply = answer({bytes.data(), static_cast<std::size_t>(size)}, false);
    if (!reply.empty())
      ::sendto(udp_.get(), reply.data(), reply.size(), 0, reinterpret_cast<sockaddr*>(&from), length);
  }

  // One query per connection; c-ares asks no more of one whose answer it waits for.
  void serve_tcp() {
    const net::Fd client(::accept(tcp_.get(), nullptr, nullptr));
    std::array<unsigned char, 2> size{};
    if (::recv(client.get(), size.data(), 2, MSG_WAITALL) != 2) return;
    std::string query(static_cast<std::size_t>(size[0] << 8 | size[1]), '\0');
    if (::recv(client.get(), query.data(), query.size(), MSG_WAITALL) != static_cast<ssize_t>(query.size()))
      return;
    ++tcp_queries_;
    const std::string reply = answer(query, true);
    std::string framed;
    put16(framed, static_cast<unsigned>(reply.size()));
    framed += reply;
    ::send(client.get(), framed.data(), framed.size(), MSG_NOSIGNAL);
    std::array<char, 64> rest{};
    while (::recv(client.get(), rest.data(), rest.size(), 0) > 0) {
    }
  }

  static void put16(std::string& out, unsigned value) {
    out += static_cast<char>(value >> 8U);
    out += static_cast<char>(value & 0xffU);
  }

  static std::string wire_name(std::string_view name) {
    std::string out;
    while (!name.empty()) {
      const auto label = name.substr(0, name.find('.'));
      out += static_cast<char>(label.size());
      out += label;
      name.remove_prefix(std::min(name.size(), label.size() + 1));
    }
    return out + '\0';
  }

  static void put_record(std::string& out, const std::string& name, unsigned type, std::uint32_t ttl,
                         const std::string& data) {
    out += name;
    put16(out, type);
    put16(out, 1);
    put16(out, ttl >> 16U);
    put16(out, ttl & 0xffffU);
    put16(out, static_cast<unsigned>(data.size()));
    out += data;
  }

  std::string answer(std::string_view query, bool tcp) const {
    std::string name;
    std::size_t at = 12;
    while (at < query.size() && query[at] != '\0') {
      const auto size = static_cast<std::size_t>(static_cast<unsigned char>(query[at]));
      name += (name.empty() ? "" : ".") + std::string(query.substr(at + 1, size));
      at += size + 1;
    }
    const unsigned type = static_cast<unsigned char>(query[at + 2]);
    const std::string question(query.substr(12, at + 5 - 12));
    const auto found = names_.find(name);
    DnsName known;
    known.code = 3;
    if (found != names_.end()) known = found->second;
    if (known.silent) return {};

    std::string owner = wire_name(name);
    std::string records;
    unsigned count = 0;
    const bool truncated = known.truncated && !tcp;
    if (!truncated && !known.alias_of.empty()) {
      put_record(records, owner, 5, known.alias_ttl, wire_name(known.alias_of));
      owner = wire_name(known.alias_of);
      ++count;
    }
    for (const auto& record : known.records) {
      const bool v6 = record.address.kind() == Address::Kind::kIpv6;
      if (truncated || type != (v6 ? 28U : 1U)) continue;
      put_record(records, owner, type, record.ttl,
                 {reinterpret_cast<const char*>(record.address.bytes().data()), v6 ? 16U : 4U});
      ++count;
    }
    for (const auto& service : known.services) {
      if (truncated || type != 33U) continue;
      std::string data;
      put16(data, service.priority);
      put16(data, service.weight);
      put16(data, service.port);
      put_record(records, owner, type, service.ttl, data + wire_name(service.host));
      ++count;
    }
    std::string reply(query.substr(0, 2));
    put16(reply, 0x8180U | (truncated ? 0x0200U : 0U) | static_cast<unsigned>(known.code));
    put16(reply, 1);
    put16(reply, count);
    put16(reply, 0);
    put16(reply, 0);
    return reply + question + records;
  }

  const Names names_;
  net::Fd udp_;
  net::Fd tcp_;
  Address address_;
  std::array<int, 2> wakeup_{-1, -1};
  std::atomic<int> udp_queries_{0};
  std::atomic<int> tcp_queries_{0};
  std::thread thread_;
};

}  // namespace remora::testing
