#include "proxy/http/forwarding.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstring>

namespace remora::http {
namespace {

constexpr std::size_t kLongestRequestId = 128;
constexpr std::size_t kMostOptions = 64;  // in Connection

bool starts_with_ignore_case(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() && equals_ignore_case(text.substr(0, prefix.size()), prefix);
}

// Fields that Connection must not make a proxy drop: they carry framing, routing, identity or trust.
bool is_essential(FieldId id, std::string_view name) {
  switch (id) {
    case FieldId::kHost:
    case FieldId::kContentLength:
    case FieldId::kAuthorization:
    case FieldId::kForwarded: return true;
    default: return starts_with_ignore_case(name, "x-forwarded-");
  }
}

// Removes the fields that Connection names; false when it names an essential one, which is not removed, or
// more than anybody needs: each costs a search.
bool remove_named(FieldList& fields) {
  bool fine = true;
  std::size_t options = 0;
  for (std::size_t i = 0; i < fields.raw().size(); ++i) {
    const Field& field = fields.raw()[i];
    if (field.removed || field.id != FieldId::kConnection) continue;
    for_each_element(fields.value(field), [&](std::string_view option) {
      if (++options > kMostOptions) {
        fine = false;
        return;
      }
      const FieldId id = field_id(option);
      // These are decided on by themselves.
      if (id == FieldId::kTe || id == FieldId::kUpgrade || id == FieldId::kConnection) return;
      if (is_essential(id, option)) {
        fine = false;
      } else {
        fields.remove(option);
      }
    });
  }
  return fine;
}

// RFC 9110 section 7.6.1, those that are hop-by-hop whether Connection names them or not.
void remove_hop_by_hop(FieldList& fields, bool keep_upgrade) {
  fields.remove(FieldId::kConnection);
  fields.remove(FieldId::kKeepAlive);
  fields.remove(FieldId::kProxyConnection);
  fields.remove(FieldId::kTransferEncoding);
  fields.remove(FieldId::kProxyAuthenticate);
  fields.remove(FieldId::kProxyAuthorization);
  if (!keep_upgrade) fields.remove(FieldId::kUpgrade);
}

// RFC 9110 section 10.1.4: of TE only `trailers` concerns the next hop.
void keep_te_trailers(FieldList& fields) {
  if (!fields.has(FieldId::kTe)) return;
  bool trailers = false;
  for (const Field& field : fields.raw()) {
    if (field.removed || field.id != FieldId::kTe) continue;
    for_each_element(fields.value(field), [&trailers](std::string_view coding) {
      trailers = trailers || equals_ignore_case(trim_ows(coding.substr(0, coding.find(';'))), "trailers");
    });
  }
  fields.remove(FieldId::kTe);
  if (trailers) fields.add(FieldId::kTe, "trailers");
}

// Calls fn for each entry of a Via list; commas inside comments do not separate (RFC 9110 section 7.6.3).
template <typename Fn>
void for_each_via(std::string_view list, Fn&& fn) {
  std::size_t start = 0;
  unsigned depth = 0;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const char c = list[i];
    if (c == '\\' && depth > 0) {
      ++i;
    } else if (c == '(') {
      ++depth;
    } else if (c == ')' && depth > 0) {
      --depth;
    } else if (c == ',' && depth == 0) {
      fn(trim_ows(list.substr(start, i - start)));
      start = i + 1;
    }
  }
  fn(trim_ows(list.substr(start)));
}

// received-protocol RWS received-by [ RWS comment ]
bool is_via_of(std::string_view entry, std::string_view pseudonym) {
  const std::size_t space = entry.find_first_of(" \t");
  if (space == std::string_view::npos) return false;
  const std::string_view rest = trim_ows(entry.substr(space));
  return equals_ignore_case(rest.substr(0, rest.find_first_of(" \t(")), pseudonym);
}

bool has_passed(const FieldList& fields, std::string_view pseudonym) {
  if (!fields.has(FieldId::kVia)) return false;
  bool found = false;
  for (const Field& field : fields.raw()) {
    if (field.removed || field.id != FieldId::kVia) continue;
    for_each_via(fields.value(field),
                 [&](std::string_view entry) { found = found || is_via_of(entry, pseudonym); });
  }
  return found;
}

void add_via(FieldList& fields, Version version, std::string_view pseudonym) {
  char text[64];
  constexpr std::string_view k11 = "1.1 ";
  constexpr std::string_view k10 = "1.0 ";
  const std::string_view protocol = version.at_least_1_1() ? k11 : k10;
  pseudonym = pseudonym.substr(0, sizeof text - protocol.size());
  char* const end =
      std::copy(pseudonym.begin(), pseudonym.end(), std::copy(protocol.begin(), protocol.end(), text));
  fields.add_own(FieldId::kVia, std::string_view(text, static_cast<std::size_t>(end - text)));
}

// A list-valued field's lines as one, with `last` behind them.
std::string joined(const FieldList& fields, FieldId id, std::string_view last) {
  std::string all;
  for (const Field& field : fields.raw()) {
    if (field.removed || field.id != id || field.value_size == 0) continue;
    all.append(fields.value(field)).append(", ");
  }
  return all.append(last);
}

// What an untrusted peer says about hops before it is not passed on.
void remove_forwarded(FieldList& fields) {
  fields.remove(FieldId::kForwarded);
  fields.remove(FieldId::kXForwardedClientCert);
  fields.remove(FieldId::kXForwardedFor);
  fields.remove(FieldId::kXForwardedHost);
  fields.remove(FieldId::kXForwardedProto);
  for (std::size_t i = 0; i < fields.raw().size(); ++i) {
    const Field& field = fields.raw()[i];
    if (field.removed || field.id != FieldId::kOther) continue;
    if (starts_with_ignore_case(fields.name(field), "x-forwarded-")) fields.remove_at(i);
  }
}

void write_forwarded(FieldList& fields, const ForwardingContext& context) {
  if (!context.peer_trusted) remove_forwarded(fields);
  if (context.owns_client_cert) {
    fields.remove(FieldId::kXForwardedClientCert);
    if (!context.client_cert.empty()) fields.add(FieldId::kXForwardedClientCert, context.client_cert);
  }
  if (!context.peer_host.empty()) {
    if (fields.has(FieldId::kXForwardedFor)) {
      fields.set(FieldId::kXForwardedFor, joined(fields, FieldId::kXForwardedFor, context.peer_host));
    } else {
      fields.add_own(FieldId::kXForwardedFor, context.peer_host);
    }
  }
  const std::optional<std::string_view> proto = fields.get(FieldId::kXForwardedProto);
  if (!proto) {
    fields.add_own(FieldId::kXForwardedProto, context.scheme);
  } else if (fields.count(FieldId::kXForwardedProto) > 1 || !is_token(*proto)) {
    fields.set(FieldId::kXForwardedProto, context.scheme);  // said twice or not at all, it says nothing
  }
}

bool is_request_id(std::string_view text) {
  return !text.empty() && text.size() <= kLongestRequestId &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
                  c == '_' || c == '.' || c == ':' || c == '/' || c == '+' || c == '=' || c == '@';
         });
}

// The two hexadecimal digits of every byte.
constexpr auto kHexPairs = [] {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::array<char, 512> pairs{};
  for (std::size_t i = 0; i < 256; ++i) {
    pairs[2 * i] = kHex[i >> 4U];
    pairs[2 * i + 1] = kHex[i & 15U];
  }
  return pairs;
}();

// A random UUID (RFC 9562 section 5.4).
void add_request_id(FieldList& fields, Random& random) {
  std::array<std::uint8_t, 16> bytes;
  const std::uint64_t words[] = {random.next(), random.next()};
  std::memcpy(bytes.data(), words, sizeof words);
  bytes[6] = static_cast<std::uint8_t>((bytes[6] & 0x0fU) | 0x40U);  // version 4
  bytes[8] = static_cast<std::uint8_t>((bytes[8] & 0x3fU) | 0x80U);  // the usual variant
  char text[36];
  char* at = text;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) *at++ = '-';
    std::memcpy(at, kHexPairs.data() + 2 * std::size_t{bytes[i]}, 2);
    at += 2;
  }
  fields.add_own(FieldId::kXRequestId, std::string_view(text, sizeof text));
}

void write_request_id(FieldList& fields, bool trusted, Random& random) {
  const std::optional<std::string_view> given = fields.get(FieldId::kXRequestId);
  if (given) {
    const bool keep =
        fields.count(FieldId::kXRequestId) == 1 &&
        (trusted ? !given->empty() && given->size() <= kLongestRequestId : is_request_id(*given));
    if (keep) return;
    fields.remove(FieldId::kXRequestId);
  }
  add_request_id(fields, random);
}

// Max-Forwards concerns TRACE and OPTIONS only. False: it is 0, this is the last recipient. A value that is
// no number is left alone.
bool count_forward(RequestHead& head) {
  if (head.method != "TRACE" && head.method != "OPTIONS") return true;
  const std::optional<std::string_view> text = head.fields.get(FieldId::kMaxForwards);
  if (!text) return true;
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc() || end != text->data() + text->size()) return true;
  if (value == 0) return false;
  head.fields.set(FieldId::kMaxForwards, std::to_string(value - 1));
  return true;
}

}  // namespace

Verdict prepare_request(RequestHead& head, const ForwardingContext& context, Random& random) {
  FieldList& fields = head.fields;
  if (fields.has(FieldId::kMaxForwards) && !count_forward(head)) return Verdict::kAnswerHere;
  if (has_passed(fields, context.pseudonym)) return Verdict::kLoop;
  if (fields.has(FieldId::kConnection) && !remove_named(fields)) return Verdict::kBadConnectionField;
  if (fields.has(FieldId::kUpgrade) && !head.upgrade) fields.remove("HTTP2-Settings");
  remove_hop_by_hop(fields, head.upgrade);
  keep_te_trailers(fields);
  const bool chunked = head.has_body && !head.content_length;
  if (!chunked) fields.remove(FieldId::kTrailer);
  write_forwarded(fields, context);
  write_request_id(fields, context.peer_trusted, random);
  add_via(fields, head.version, context.pseudonym);
  return Verdict::kForward;
}

void prepare_response(ResponseHead& head, std::string_view pseudonym) {
  FieldList& fields = head.fields;
  if (fields.has(FieldId::kConnection)) remove_named(fields);
  // 101 says what was agreed on, 426 what is demanded (RFC 9110 section 15.5.22).
  remove_hop_by_hop(fields, head.status == 101 || head.status == 426);
  add_via(fields, head.version, pseudonym);
}

std::string trace_body(const RequestHead& head) {
  std::string body =
      head.method + " " + head.target + " HTTP/1." + (head.version.at_least_1_1() ? "1" : "0") + "\r\n";
  head.fields.for_each([&body](std::string_view name, std::string_view value, FieldId id) {
    // RFC 9110 section 9.3.8: without what the client would not want to see disclosed.
    if (id == FieldId::kAuthorization || id == FieldId::kProxyAuthorization || id == FieldId::kCookie) return;
    body.append(name).append(": ").append(value).append("\r\n");
  });
  return body.append("\r\n");
}

}  // namespace remora::http
