#include "proxy/otlp_client.h"

#include <algorithm>
#include <utility>

#include "breaker/retry_policy.h"

namespace remora::proxy {

namespace {

constexpr std::size_t kLongestBody = 4096;

std::string words_of(const Error& error) {
  return error.detail.empty() ? std::string(to_string(error.code)) : error.detail;
}

}  // namespace

OtlpClient::OtlpClient(Env& env, Owner& owner, Resolve resolve)
    : env_(env), owner_(owner), resolve_(std::move(resolve)) {}

OtlpClient::~OtlpClient() { cancel(); }

void OtlpClient::post(const config::Tracing& settings, const std::string& body) {
  settings_ = &settings;
  body_ = &body;
  answer_ = {};
  env_.wheel.arm_in(timer_, settings.timeout);
  if (settings.address) return open(*settings.address);
  query_ =
      resolve_(settings.host.host, [this](Result<net::Answer> answer) { on_addresses(std::move(answer)); });
}

void OtlpClient::on_addresses(Result<net::Answer> answer) {
  if (!answer) return fail("the name is not resolved: " + words_of(answer.error()));
  Address address = answer->addresses[next_address_ % answer->addresses.size()];
  address.set_port(settings_->host.port);
  open(address);
}

void OtlpClient::open(const Address& address) {
  pool_settings_.connect_timeout = settings_->timeout;
  if (pool_ == nullptr || !(address == address_)) {
    if (pool_) env_.turn.bury(std::move(pool_));
    address_ = address;
    pool_ = std::make_unique<UpstreamPool>(env_, address_, pool_settings_, stats_, cluster_);
  }
  dial(false);
}

void OtlpClient::dial(bool fresh) {
  UpstreamConnection* const dialling = pool_->open(*this, *this, fresh);
  if (dialling != nullptr) dialling_ = dialling;  // null: begun, and maybe over, and dialling anew
}

void OtlpClient::on_stream(http::ClientStream& stream, bool reused) {
  dialling_ = nullptr;
  stream_ = &stream;
  reused_ = reused;
  send();
}

void OtlpClient::send() {
  http::RequestHead head;
  head.method = "POST";
  head.target = settings_->path;
  head.authority = settings_->authority;
  head.content_length = body_->size();
  head.has_body = true;
  head.fields.add(http::FieldId::kContentType, "application/json");
  head.fields.add(http::FieldId::kUserAgent, "remora");
  for (const auto& [name, value] : settings_->headers) head.fields.add(name, value);
  stream_->send_request(head, false);
  if (stream_ != nullptr) stream_->send_body(*body_, true);
}

void OtlpClient::on_connect_failed(const Error& error) {
  dialling_ = nullptr;
  fail("no connection to " + address_.to_string() + ": " + words_of(error));
}

void OtlpClient::on_response(http::ResponseHead& head, bool end) {
  answer_.status = head.status;
  if (const auto after = head.fields.get(http::FieldId::kRetryAfter)) {
    answer_.retry_after = breaker::parse_retry_after(*after, env_.date.seconds());
  }
  if (end) finish();
}

void OtlpClient::on_body(std::string_view bytes, bool end) {
  answer_.body.append(bytes.substr(0, kLongestBody - std::min(kLongestBody, answer_.body.size())));
  if (end) return finish();
  stream_->consume(bytes.size());
}

// The collector may have closed a connection that waited: that says nothing, and nothing was taken.
void OtlpClient::on_reset(const Error& error) {
  stream_ = nullptr;
  if (reused_ && error.retry == Retry::kIfReused) return dial(true);
  fail("no answer from " + address_.to_string() + ": " + words_of(error));
}

void OtlpClient::finish() {
  stream_ = nullptr;
  body_ = nullptr;
  timer_.cancel();
  owner_.on_answer(answer_);
}

void OtlpClient::fail(const std::string& reason) {
  cancel();
  ++next_address_;
  owner_.on_no_answer(reason);
}

void OtlpClient::on_timer() { fail("no answer within " + std::to_string(settings_->timeout / 1ms) + " ms"); }

void OtlpClient::cancel() {
  timer_.cancel();
  body_ = nullptr;
  query_.reset();
  if (dialling_ != nullptr) pool_->cancel(*std::exchange(dialling_, nullptr));
  if (stream_ != nullptr) std::exchange(stream_, nullptr)->reset();
}

}  // namespace remora::proxy
