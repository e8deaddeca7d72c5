#include "proxy/admin_client.h"

#include <utility>

#include "proxy/env.h"
#include "proxy/net/loop.h"
#include "proxy/net/tcp.h"
#include "proxy/upstream_pool.h"

namespace remora::proxy {

namespace {

class ClientExchange final : private UpstreamPool::Waiter, private http::Responses {
 public:
  explicit ClientExchange(const Address& server)
      : server_(server), pool_(env_, server_, pool_settings_, stats_, cluster_) {}
  ~ClientExchange() { done_ = true; }  // what is open is reset, and says so

  Result<AdminAnswer> run(std::string_view method, std::string_view target, Duration patience) {
    head_.method = method;
    head_.target = target;
    // A Unix socket has no name that Host could give.
    head_.authority = server_.is_ip() ? server_.to_string() : "localhost";
    loop_.post([this, patience] {
      loop_.wheel().arm_in(timer_, patience);
      pool_.open(*this, *this, true);
    });
    loop_.run();
    return std::move(result_);
  }

 private:
  void on_stream(http::ClientStream& stream, bool /*reused*/) override {
    stream_ = &stream;
    stream.send_request(head_, true);
  }
  void on_connect_failed(const Error& error) override { fail(error); }
  void on_informational(http::ResponseHead& /*head*/) override {}
  void on_response(http::ResponseHead& response, bool end) override {
    answer_.status = response.status;
    if (end) finish(std::move(answer_));
  }
  void on_upgrade(http::ResponseHead& /*head*/) override {}
  void on_body(std::string_view bytes, bool end) override {
    if (answer_.body.size() + bytes.size() > kLongestAdminAnswer) {
      return fail({ErrorCode::kLimit, Side::kUpstream, Retry::kNo, "its answer is too long"});
    }
    answer_.body.append(bytes);
    if (end) return finish(std::move(answer_));
    stream_->consume(bytes.size());
  }
  void on_trailers(const http::FieldList& /*trailers*/) override { finish(std::move(answer_)); }
  void on_writable() override {}
  void on_reset(const Error& error) override { fail(error); }
  void on_time() { fail({ErrorCode::kTimedOut, Side::kUpstream, Retry::kNo, "no answer in time"}); }

  void fail(Error error) {
    const std::string why = error.detail.empty() ? std::string(to_string(error.code)) : error.detail;
    error.detail = "no answer from " + server_.to_string() + ": " + why;
    finish(std::unexpected(std::move(error)));
  }
  void finish(Result<AdminAnswer> with) {
    if (std::exchange(done_, true)) return;
    timer_.cancel();
    result_ = std::move(with);
    loop_.stop();
  }

  Address server_;
  net::Loop loop_;
  net::UvNetwork network_{loop_};
  Random random_{1};
  BufferPool buffers_;
  http::H1Scratch scratch_;
  HttpDate date_{&net::wall_clock_seconds};
  Env env_{loop_.wheel(), loop_.turn(), network_, random_, buffers_, scratch_, date_};
  EndpointStats stats_;
  ClusterCounters cluster_;
  UpstreamPool::Settings pool_settings_{.connect_timeout = 1min, .limits = {}};
  UpstreamPool pool_;
  http::RequestHead head_;
  http::ClientStream* stream_ = nullptr;
  AdminAnswer answer_;
  Result<AdminAnswer> result_;
  bool done_ = false;
  MemberTimer<ClientExchange, &ClientExchange::on_time> timer_{*this};
};

}  // namespace

Result<Address> parse_admin_address(std::string_view text) {
  constexpr std::string_view kScheme = "http://";
  constexpr std::string_view kLocal = "localhost:";
  std::string_view rest = text;
  if (rest.starts_with(kScheme)) {
    rest.remove_prefix(kScheme.size());
    if (rest.ends_with('/')) rest.remove_suffix(1);
  }
  const auto address = rest.starts_with(kLocal)
                           ? Address::parse("127.0.0.1:" + std::string(rest.substr(kLocal.size())))
                           : Address::parse(rest);
  if (address) return *address;
  return std::unexpected(
      Error(ErrorCode::kInvalid, Side::kInternal, Retry::kNo,
            "\"" + std::string(text) + "\" is no admin address, write \"127.0.0.1:9901\" or \"unix:/path\""));
}

Result<AdminAnswer> ask_admin(const Address& server, std::string_view method, std::string_view target,
                              Duration patience) {
  return ClientExchange(server).run(method, target, patience);
}

}  // namespace remora::proxy
