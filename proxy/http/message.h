// HTTP messages as the proxy sees them, whatever the protocol version on the wire: an ordered list of fields
// with fast look-up of the well-known ones, and the two kinds of head.
//
// A FieldList owns its bytes in one growing buffer and stores offsets into it, so that a list that is cleared
// and filled again allocates nothing, and moving or swapping one is cheap. Views handed out are valid until
// the list is next modified. What a codec parsed lies there as it was on the wire, so that passing a head on
// is a few long copies.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace remora::http {

// Names that the proxy itself looks at; every other one is kOther. At most 64, so that a set of them is a
// word.
enum class FieldId : std::uint8_t {
  kOther,
  kAccept,
  kAcceptEncoding,
  kAuthorization,
  kCacheControl,
  kConnection,
  kContentEncoding,
  kContentLength,
  kContentType,
  kCookie,
  kDate,
  kExpect,
  kForwarded,
  kHost,
  kIdempotencyKey,
  kKeepAlive,
  kMaxForwards,
  kProxyAuthenticate,
  kProxyAuthorization,
  kProxyConnection,
  kReferer,
  kRetryAfter,
  kSetCookie,
  kServer,
  kTe,
  kTraceparent,
  kTracestate,
  kTrailer,
  kTransferEncoding,
  kUpgrade,
  kUserAgent,
  kVia,
  kXForwardedFor,
  kXForwardedHost,
  kXForwardedProto,
  kXForwardedClientCert,
  kXRequestId,
  kXRequestTimeoutMs,
  kXRemoraAttempt,
  kXRemoraFlag,
  kCount,
};

// The id of a name, compared without case; kOther when it is none of the above. O(1): of a name that is not
// as long as the only one it could be, three bytes are looked at.
FieldId field_id(std::string_view name);
// The canonical spelling ("Content-Length"); empty for kOther.
std::string_view field_name(FieldId id);

// ASCII, without case.
bool equals_ignore_case(std::string_view a, std::string_view b);
// Without leading and trailing SP and HTAB (RFC 9110 section 5.6.3).
std::string_view trim_ows(std::string_view text);
// The first control character (below 0x20, or 0x7f) at or after `from`, or text.size().
std::size_t find_control(std::string_view text, std::size_t from);
// Calls fn(element) for each non-empty element of a comma-separated list, trimmed (RFC 9110 section 5.6.1).
// Quoted strings are not looked into: for lists of tokens.
template <typename Fn>
void for_each_element(std::string_view list, Fn&& fn) {
  while (!list.empty()) {
    const std::size_t comma = list.find(',');
    const std::string_view element = trim_ows(list.substr(0, comma));
    if (!element.empty()) fn(element);
    if (comma == std::string_view::npos) return;
    list.remove_prefix(comma + 1);
  }
}
// RFC 9110 section 5.6.2.
bool is_token(std::string_view text);
// Field content per RFC 9110 section 5.5: no control characters but HTAB.
bool is_field_value(std::string_view text);

struct Field {
  std::uint32_t name_at = 0;
  std::uint32_t name_size = 0;
  std::uint32_t value_at = 0;
  std::uint32_t value_size = 0;
  FieldId id = FieldId::kOther;
  bool removed = false;
  bool wire = false;  // the list's bytes around it read "name: value CRLF", and both are valid
};

class FieldList final {
 public:
  // Keeps the memory.
  void clear();
  void swap(FieldList& other) noexcept;

  // For parsers: starts anew with `block`, field lines as they came, each ending in CRLF; then says where the
  // fields are in it. Returns whose field it is; the name of kOther need not be a token.
  void start(std::string_view block);
  FieldId add_at(std::size_t name_at, std::size_t name_size, std::size_t value_at, std::size_t value_size);

  // Appends, keeping order; values are taken as they are (the codec has validated them, or the configuration
  // has). Arguments must not be views into this list.
  void add(std::string_view name, std::string_view value);
  void add(FieldId id, std::string_view value) { add(id, field_name(id), value); }
  void add(FieldId id, std::string_view name, std::string_view value);
  // For values that the proxy has made itself: is_field_value(value) holds, and is not looked at again.
  void add_own(FieldId id, std::string_view value) { append(id, field_name(id), value, true); }
  // Replaces every field of that name by one, at the place of the first.
  void set(FieldId id, std::string_view value);
  void set(std::string_view name, std::string_view value);
  // Removes every field of that name; true if there was one.
  bool remove(FieldId id);
  bool remove(std::string_view name);

  bool has(FieldId id) const { return (present_ & bit(id)) != 0; }
  // The first value, or nullopt.
  std::optional<std::string_view> get(FieldId id) const;
  std::optional<std::string_view> get(std::string_view name) const;
  // How many fields of that name.
  std::size_t count(FieldId id) const;

  // In order, removed ones included: check `removed`. For loops that must not pay for an iterator.
  const std::vector<Field>& raw() const { return fields_; }
  std::string_view name(const Field& field) const { return {bytes_.data() + field.name_at, field.name_size}; }
  std::string_view value(const Field& field) const {
    return {bytes_.data() + field.value_at, field.value_size};
  }
  void remove_at(std::size_t index);

  // Calls fn(name, value, id) for each in order.
  template <typename Fn>
  void for_each(Fn&& fn) const {
    for (const Field& field : fields_) {
      if (!field.removed) fn(name(field), value(field), field.id);
    }
  }

  // Fields that are there.
  std::size_t size() const { return live_; }
  bool empty() const { return live_ == 0; }
  // Bytes held: at least the sum of all names and values.
  std::size_t bytes() const { return bytes_.size(); }
  // Bytes of memory that clear() keeps.
  std::size_t memory() const { return bytes_.capacity() + fields_.capacity() * sizeof(Field); }
  // The bytes that Field's offsets refer to.
  std::string_view storage() const { return bytes_; }

 private:
  static std::uint64_t bit(FieldId id) { return std::uint64_t{1} << static_cast<unsigned>(id); }
  void append(FieldId id, std::string_view name, std::string_view value, bool wire);
  void refresh_presence(FieldId id);

  std::string bytes_;
  std::vector<Field> fields_;
  std::size_t live_ = 0;
  std::uint64_t present_ = 0;
};

struct Version {
  std::uint8_t major = 1;
  std::uint8_t minor = 1;
  bool operator==(const Version&) const = default;
  bool at_least_1_1() const { return major > 1 || minor >= 1; }
};

// A request's head. `target` is in origin-form ("/a?b") or "*" when it leaves the server codec: absolute-form
// has been taken apart (RFC 9112 section 3.2.2), its authority is in `authority`, and so is Host's value
// otherwise.
struct RequestHead {
  std::string method;
  std::string target;
  std::string authority;
  Version version;  // what the sender said; the codec re-frames, so nothing of it is forwarded
  FieldList fields;
  std::optional<std::uint64_t>
      content_length;  // known length of the body; nullopt with has_body: unknown (chunked)
  bool has_body = false;
  bool upgrade = false;  // asks for another protocol: Connection: upgrade with Upgrade (HTTP/1.1 only)

  void clear();
  // Quicker than std::swap, which moves each string three times.
  void swap(RequestHead& other) noexcept;
  // Bytes of memory that clear() keeps.
  std::size_t memory() const {
    return method.capacity() + target.capacity() + authority.capacity() + fields.memory();
  }
  std::string_view path() const {
    return std::string_view(target).substr(0, std::string_view(target).find('?'));
  }
};

struct ResponseHead {
  std::uint16_t status = 0;
  std::string reason;  // may be empty; not used by HTTP/2
  Version version;
  FieldList fields;
  std::optional<std::uint64_t> content_length;  // of the body that follows; nullopt with has_body: unknown
  bool has_body = false;  // false for responses to HEAD, 1xx, 204, 304, whatever Content-Length says

  void clear();
  bool informational() const { return status >= 100 && status < 200; }
};

// The standard reason phrase, or "" for an unknown status.
std::string_view reason_phrase(std::uint16_t status);

}  // namespace remora::http
