// One connection to an endpoint, from the dialling to its end. Part of UpstreamPool, which owns it.
//
//   state       enters by                  leaves by
//   kDialling   made                       on_link_open -> kOpen; connect timeout or failure -> kGone
//   kOpen       connected                  the link's end -> kGone
//
// Thread: the worker's.
#pragma once

#include <cstdint>
#include <memory>

#include "proxy/env.h"
#include "proxy/http_link.h"
#include "proxy/upstream_pool.h"

namespace remora::proxy {

class UpstreamConnection final : private HttpLink::Owner {
 public:
  explicit UpstreamConnection(UpstreamPool& pool);
  ~UpstreamConnection();
  UpstreamConnection(const UpstreamConnection&) = delete;
  UpstreamConnection& operator=(const UpstreamConnection&) = delete;

  void dial(http::Responses& responses, UpstreamPool::Waiter& waiter, const std::string_view* tunnel);
  // A tunnel is of no use to anybody else: it is gone.
  void forget_waiter();
  void close() { link_.close(false); }

  bool open() const { return state_ == State::kOpen; }
  http::ClientCodec& codec() { return *codec_; }

  // For the pool: place in its list of connections, whether it is among the available ones, whether no
  // exchange is on it then, and since when.
  std::size_t slot = 0;
  bool listed = false;
  bool idle = false;
  unsigned epoch = 0;  // of the TLS settings it was dialled with
  TimePoint idle_since{};
  UpstreamPool::Permits permits;

 private:
  enum class State : std::uint8_t { kDialling, kOpen, kGone };

  void on_link_open() override;
  void on_link_turn() override;
  void on_link_closed(const Error* error) override;
  void on_connect_timeout();
  void fail_waiter(Error error);
  void gone();

  UpstreamPool& pool_;
  UpstreamPool::Waiter* waiter_ = nullptr;
  http::Responses* responses_ = nullptr;
  HttpLink link_;
  net::TlsStream* tls_ = nullptr;  // while dialling; part of the link
  std::unique_ptr<http::ClientCodec> codec_;
  MemberTimer<UpstreamConnection, &UpstreamConnection::on_connect_timeout> connect_timer_{*this};
  OwnDials* noted_in_ = nullptr;  // null: nobody wants to know of it
  TimePoint dialled_at_{};
  State state_ = State::kDialling;
  bool tunnel_ = false;
};

}  // namespace remora::proxy
