#include "proxy/http/client_hello.h"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace remora::http {
namespace {

constexpr std::size_t kRecordHeader = 5;
constexpr std::size_t kLargestRecord = std::size_t{1} << 14U;  // of plain text, RFC 8446 section 5.1
constexpr std::size_t kMessageHeader = 4;
constexpr std::size_t kLongestName = 253;

std::unexpected<Error> wrong(std::string_view what) {
  return std::unexpected(Error(ErrorCode::kMalformedMessage, Side::kDownstream, Retry::kNo,
                               "ClientHello: " + std::string(what)));
}

// Takes values from the front. What is not there turns it bad, and stays so.
class Reader final {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  std::size_t number(std::size_t width) {
    std::size_t value = 0;
    for (const char byte : take(width)) value = value << 8U | static_cast<unsigned char>(byte);
    return value;
  }
  std::string_view take(std::size_t size) {
    if (size > bytes_.size()) {
      good_ = false;
      bytes_ = {};
      return {};
    }
    const auto taken = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return taken;
  }
  // A vector with its length before it.
  std::string_view vector(std::size_t width) { return take(number(width)); }
  bool good() const { return good_; }
  bool at_end() const { return bytes_.empty(); }

 private:
  std::string_view bytes_;
  bool good_ = true;
};

// The handshake message out of its records. nullopt: not all of it is there.
Result<std::optional<std::string>> join_records(std::string_view bytes) {
  std::string message;
  for (std::size_t used = 0;;) {
    const auto rest = bytes.substr(used);
    if (!rest.empty() && rest[0] != '\x16') return wrong("a record of another kind");
    if (rest.size() > 1 && rest[1] != '\x03') return wrong("not TLS");
    if (rest.size() < kRecordHeader) return std::nullopt;
    const std::size_t size = Reader(rest.substr(3)).number(2);
    if (size == 0 || size > kLargestRecord) return wrong("a record of no size that is allowed");
    message.append(rest.substr(kRecordHeader, size));
    if (!message.empty() && message[0] != '\x01') return wrong("another message");
    if (message.size() >= kMessageHeader) {
      const std::size_t wanted = kMessageHeader + Reader(std::string_view(message).substr(1)).number(3);
      if (wanted + kRecordHeader > kLongestClientHello) return wrong("too long");
      if (message.size() >= wanted) {
        message.resize(wanted);
        return message;
      }
    }
    if (rest.size() < kRecordHeader + size) return std::nullopt;
    used += kRecordHeader + size;
    if (used > kLongestClientHello) return wrong("too long");
  }
}

// A name as DNS has them. Anything else could not be routed by, nor logged.
Result<std::string> read_name(std::string_view text) {
  if (text.ends_with('.')) text.remove_suffix(1);
  if (text.empty() || text.size() > kLongestName) return wrong("a server name of no size that is allowed");
  std::string name(text);
  for (char& c : name) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    const bool fine = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
    if (!fine) return wrong("a server name that is none");
  }
  return name;
}

Result<std::string> read_server_name(std::string_view extension) {
  Reader outer(extension);
  Reader list(outer.vector(2));
  if (!outer.good() || !outer.at_end() || list.at_end()) return wrong("a broken list of server names");
  const std::size_t type = list.number(1);
  const auto name = list.vector(2);
  if (!list.good() || !list.at_end() || type != 0) return wrong("a broken list of server names");
  return read_name(name);
}

}  // namespace

Result<std::optional<ClientHello>> parse_client_hello(std::string_view bytes) {
  auto message = join_records(bytes);
  if (!message) return std::unexpected(std::move(message.error()));
  if (!*message) return std::nullopt;
  Reader body(std::string_view(**message).substr(kMessageHeader));
  if (body.number(1) != 3) return wrong("not TLS");
  body.take(1 + 32);  // the minor version, and the random
  body.vector(1);     // session
  body.vector(2);     // ciphers
  body.vector(1);     // compressions
  ClientHello hello;
  if (!body.good()) return wrong("it ends too early");
  if (body.at_end()) return hello;  // as TLS 1.0 had them
  Reader extensions(body.vector(2));
  if (!body.good() || !body.at_end()) return wrong("broken extensions");
  bool named = false;
  while (!extensions.at_end()) {
    const std::size_t type = extensions.number(2);
    const auto content = extensions.vector(2);
    if (!extensions.good()) return wrong("broken extensions");
    if (type != 0) continue;
    if (std::exchange(named, true)) return wrong("two server names");
    auto name = read_server_name(content);
    if (!name) return std::unexpected(std::move(name.error()));
    hello.server_name = *std::move(name);
  }
  return hello;
}

}  // namespace remora::http
