// Brings one batch after the other to the collector: finds its address, keeps a connection, posts, and says
// what was answered.
//
//   state       enters by               leaves by
//   at rest     made; an outcome        post()
//   under way   post()                  Owner::on_answer or on_no_answer, cancel()
//
// Thread: the control thread. Owner: SpanExporter. Destroying it cancels. Callbacks come later, never inside
// post(), and not to be followed by another post() before the turn has ended: the connection is not free yet.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "config/config.h"
#include "proxy/env.h"
#include "proxy/net/resolver.h"
#include "proxy/upstream_pool.h"

namespace remora::proxy {

class OtlpClient final : private UpstreamPool::Waiter, private http::Responses {
 public:
  struct Answer {
    unsigned status = 0;
    std::optional<Duration> retry_after;
    std::string body;  // its first 4 KiB
  };
  class Owner {
   public:
    virtual void on_answer(const Answer& answer) = 0;
    // `reason`: for people, one line.
    virtual void on_no_answer(const std::string& reason) = 0;

   protected:
    ~Owner() = default;
  };
  // As Resolver::resolve.
  using Resolve =
      std::function<std::unique_ptr<net::Resolver::Query>(const std::string&, net::Resolver::Callback)>;

  OtlpClient(Env& env, Owner& owner, Resolve resolve);
  ~OtlpClient();
  OtlpClient(const OtlpClient&) = delete;
  OtlpClient& operator=(const OtlpClient&) = delete;

  // Only at rest. Both arguments stay until the outcome.
  void post(const config::Tracing& settings, const std::string& body);
  void cancel();

 private:
  void on_stream(http::ClientStream& stream, bool reused) override;
  void on_connect_failed(const Error& error) override;
  void on_informational(http::ResponseHead& /*head*/) override {}
  void on_response(http::ResponseHead& head, bool end) override;
  void on_upgrade(http::ResponseHead& head) override { on_response(head, true); }
  void on_body(std::string_view bytes, bool end) override;
  void on_trailers(const http::FieldList& /*trailers*/) override { finish(); }
  void on_writable() override {}
  void on_reset(const Error& error) override;

  void on_addresses(Result<net::Answer> answer);
  void open(const Address& address);
  void dial(bool fresh);
  void send();
  void finish();
  void fail(const std::string& reason);
  void on_timer();

  Env& env_;
  Owner& owner_;
  Resolve resolve_;
  const config::Tracing* settings_ = nullptr;
  const std::string* body_ = nullptr;
  EndpointStats stats_;
  ClusterCounters cluster_;
  Address address_;
  UpstreamPool::Settings pool_settings_{};
  std::unique_ptr<UpstreamPool> pool_;  // of address_
  std::unique_ptr<net::Resolver::Query> query_;
  std::size_t next_address_ = 0;  // of several: each failure goes on to the next
  UpstreamConnection* dialling_ = nullptr;
  http::ClientStream* stream_ = nullptr;
  Answer answer_;
  bool reused_ = false;
  MemberTimer<OtlpClient, &OtlpClient::on_timer> timer_{*this};
};

}  // namespace remora::proxy
