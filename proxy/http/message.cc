#include "proxy/http/message.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "proxy/http/control_bytes.h"

namespace remora::http {
namespace {

constexpr std::size_t kLongestName = 32;
constexpr auto kFieldCount = static_cast<std::size_t>(FieldId::kCount);

constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

// A name ready to be compared without case: text matches where (text ^ lower) has no bit outside `fold`.
struct KnownName {
  std::string_view name;
  std::array<char, kLongestName> lower{};
  std::array<char, kLongestName> fold{};

  constexpr KnownName() = default;
  constexpr explicit KnownName(std::string_view n) : name(n) {
    for (std::size_t i = 0; i < n.size(); ++i) {
      lower[i] = http::lower(n[i]);
      fold[i] = lower[i] >= 'a' && lower[i] <= 'z' ? 0x20 : 0;
    }
  }
};

// In the order of FieldId.
constexpr std::array<KnownName, kFieldCount> kNames = {
    KnownName(""),
    KnownName("Accept"),
    KnownName("Accept-Encoding"),
    KnownName("Authorization"),
    KnownName("Cache-Control"),
    KnownName("Connection"),
    KnownName("Content-Encoding"),
    KnownName("Content-Length"),
    KnownName("Content-Type"),
    KnownName("Cookie"),
    KnownName("Date"),
    KnownName("Expect"),
    KnownName("Forwarded"),
    KnownName("Host"),
    KnownName("Idempotency-Key"),
    KnownName("Keep-Alive"),
    KnownName("Max-Forwards"),
    KnownName("Proxy-Authenticate"),
    KnownName("Proxy-Authorization"),
    KnownName("Proxy-Connection"),
    KnownName("Referer"),
    KnownName("Retry-After"),
    KnownName("Set-Cookie"),
    KnownName("Server"),
    KnownName("TE"),
    KnownName("Traceparent"),
    KnownName("Tracestate"),
    KnownName("Trailer"),
    KnownName("Transfer-Encoding"),
    KnownName("Upgrade"),
    KnownName("User-Agent"),
    KnownName("Via"),
    KnownName("X-Forwarded-For"),
    KnownName("X-Forwarded-Host"),
    KnownName("X-Forwarded-Proto"),
    KnownName("X-Forwarded-Client-Cert"),
    KnownName("X-Request-Id"),
    KnownName("X-Request-Timeout-Ms"),
    KnownName("X-Remora-Attempt"),
    KnownName("X-Remora-Flag"),
};
static_assert(kNames[static_cast<std::size_t>(FieldId::kXRemoraFlag)].name == "X-Remora-Flag");

// Where a name's id is, if it is one of ours: no two of them share a place.
constexpr std::size_t kPlaces = 256;
constexpr std::size_t place_of(std::string_view name, std::size_t factor) {
  const auto folded = [name](std::size_t i) {
    return std::size_t{static_cast<unsigned char>(name[i])} | 0x20U;
  };
  return (folded(0) * factor + folded(name.size() - 1) * 5U + folded(name.size() / 2) + name.size() * 11U) %
         kPlaces;
}

struct Places {
  std::size_t factor = 0;
  std::array<FieldId, kPlaces> ids{};
};

constexpr Places kPlaced = [] {
  for (std::size_t factor = 1;; ++factor) {
    Places places{.factor = factor, .ids = {}};
    bool fits = true;
    for (std::size_t id = 1; id < kFieldCount && fits; ++id) {
      FieldId& place = places.ids[place_of(kNames[id].name, factor)];
      fits = place == FieldId::kOther;
      place = static_cast<FieldId>(id);
    }
    if (fits) return places;
  }
}();

template <typename Word>
bool same_word(const char* text, const KnownName& known, std::size_t at) {
  Word t;
  Word l;
  Word f;
  std::memcpy(&t, text + at, sizeof t);
  std::memcpy(&l, known.lower.data() + at, sizeof l);
  std::memcpy(&f, known.fold.data() + at, sizeof f);
  return ((t ^ l) & static_cast<Word>(~f)) == 0;
}

// Whole words from the front, then one that overlaps at the end.
template <typename Word>
bool same_words(std::string_view text, const KnownName& known) {
  std::size_t at = 0;
  for (; at + sizeof(Word) <= text.size(); at += sizeof(Word)) {
    if (!same_word<Word>(text.data(), known, at)) return false;
  }
  return at == text.size() || same_word<Word>(text.data(), known, text.size() - sizeof(Word));
}

bool same_name(std::string_view text, const KnownName& known) {
  if (text.size() >= 8) return same_words<std::uint64_t>(text, known);
  if (text.size() >= 4) return same_words<std::uint32_t>(text, known);
  return same_words<std::uint8_t>(text, known);
}

constexpr std::array<bool, 256> kTokenCharacters = [] {
  std::array<bool, 256> table{};
  for (const char c :
       std::string_view("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")) {
    table[static_cast<unsigned char>(c)] = true;
  }
  return table;
}();

std::uint32_t narrow(std::size_t n) { return static_cast<std::uint32_t>(n); }

}  // namespace

FieldId field_id(std::string_view name) {
  if (name.empty() || name.size() > kLongestName) return FieldId::kOther;
  const FieldId id = kPlaced.ids[place_of(name, kPlaced.factor)];
  const KnownName& known = kNames[static_cast<std::size_t>(id)];
  return known.name.size() == name.size() && same_name(name, known) ? id : FieldId::kOther;
}

std::string_view field_name(FieldId id) {
  return id < FieldId::kCount ? kNames[static_cast<std::size_t>(id)].name : std::string_view();
}

bool equals_ignore_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return lower(x) == lower(y); });
}

std::string_view trim_ows(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

std::size_t find_control(std::string_view text, std::size_t from) { return ControlBytes(text, from).next(); }

bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(),
                                      [](char c) { return kTokenCharacters[static_cast<unsigned char>(c)]; });
}

bool is_field_value(std::string_view text) {
  ControlBytes controls(text, 0);
  for (std::size_t at = controls.next(); at < text.size(); at = controls.next()) {
    if (text[at] != '\t') return false;
  }
  return true;
}

void FieldList::clear() {
  bytes_.clear();
  fields_.clear();
  live_ = 0;
  present_ = 0;
}

void FieldList::swap(FieldList& other) noexcept {
  bytes_.swap(other.bytes_);
  fields_.swap(other.fields_);
  std::swap(live_, other.live_);
  std::swap(present_, other.present_);
}

void FieldList::start(std::string_view block) {
  clear();
  bytes_.assign(block);
}

FieldId FieldList::add_at(std::size_t name_at, std::size_t name_size, std::size_t value_at,
                          std::size_t value_size) {
  const FieldId id = field_id(std::string_view(bytes_).substr(name_at, name_size));
  const std::size_t name_end = name_at + name_size;
  const std::size_t value_end = value_at + value_size;
  // A value may be followed by white space that was trimmed; then the field is written piece by piece.
  const bool wire = value_at == name_end + 2 && bytes_[name_end + 1] == ' ' &&
                    value_end + 1 < bytes_.size() && bytes_[value_end] == '\r' &&
                    bytes_[value_end + 1] == '\n';
  fields_.push_back(Field{.name_at = narrow(name_at),
                          .name_size = narrow(name_size),
                          .value_at = narrow(value_at),
                          .value_size = narrow(value_size),
                          .id = id,
                          .removed = false,
                          .wire = wire});
  ++live_;
  present_ |= bit(id);
  return id;
}

void FieldList::add(std::string_view name, std::string_view value) { add(field_id(name), name, value); }

void FieldList::add(FieldId id, std::string_view name, std::string_view value) {
  append(id, name, value, is_field_value(value) && (id != FieldId::kOther || is_token(name)));
}

// Laid out as on the wire, so that writing the list later is one copy. What could not be written so is not
// marked as `wire`.
void FieldList::append(FieldId id, std::string_view name, std::string_view value, bool wire) {
  const std::size_t at = bytes_.size();
  const std::size_t value_at = at + name.size() + 2;
  const std::size_t end = value_at + value.size() + 2;
  bytes_.resize_and_overwrite(end, [&](char* bytes, std::size_t) {
    std::copy(name.begin(), name.end(), bytes + at);
    std::memcpy(bytes + value_at - 2, ": ", 2);
    std::copy(value.begin(), value.end(), bytes + value_at);
    std::memcpy(bytes + end - 2, "\r\n", 2);
    return end;
  });
  fields_.push_back(Field{.name_at = narrow(at),
                          .name_size = narrow(name.size()),
                          .value_at = narrow(value_at),
                          .value_size = narrow(value.size()),
                          .id = id,
                          .removed = false,
                          .wire = wire});
  ++live_;
  present_ |= bit(id);
}

void FieldList::set(FieldId id, std::string_view value) { set(field_name(id), value); }

void FieldList::set(std::string_view name, std::string_view value) {
  const FieldId id = field_id(name);
  std::size_t place = fields_.size();
  for (std::size_t i = 0; i < fields_.size(); ++i) {
    const Field& field = fields_[i];
    if (field.removed || field.id != id) continue;
    if (id == FieldId::kOther && !equals_ignore_case(this->name(field), name)) continue;
    if (place == fields_.size()) place = i;
    fields_[i].removed = true;
    --live_;
  }
  add(id, name, value);
  if (place + 1 >= fields_.size()) return;
  fields_[place] = fields_.back();
  fields_.pop_back();
}

bool FieldList::remove(FieldId id) {
  if (id == FieldId::kOther || !has(id)) return false;
  for (Field& field : fields_) {
    if (field.id != id || field.removed) continue;
    field.removed = true;
    --live_;
  }
  present_ &= ~bit(id);
  return true;
}

bool FieldList::remove(std::string_view name) {
  const FieldId id = field_id(name);
  if (id != FieldId::kOther) return remove(id);
  const std::size_t before = live_;
  for (Field& field : fields_) {
    if (field.id != id || field.removed || !equals_ignore_case(this->name(field), name)) continue;
    field.removed = true;
    --live_;
  }
  refresh_presence(id);
  return live_ != before;
}

void FieldList::remove_at(std::size_t index) {
  Field& field = fields_[index];
  if (field.removed) return;
  field.removed = true;
  --live_;
  refresh_presence(field.id);
}

void FieldList::refresh_presence(FieldId id) {
  const bool there = std::any_of(fields_.begin(), fields_.end(),
                                 [id](const Field& field) { return !field.removed && field.id == id; });
  present_ = there ? present_ | bit(id) : present_ & ~bit(id);
}

std::optional<std::string_view> FieldList::get(FieldId id) const {
  if (!has(id)) return std::nullopt;
  for (const Field& field : fields_) {
    if (field.id == id && !field.removed) return value(field);
  }
  return std::nullopt;
}

std::optional<std::string_view> FieldList::get(std::string_view name) const {
  const FieldId id = field_id(name);
  if (id != FieldId::kOther) return get(id);
  for (const Field& field : fields_) {
    if (!field.removed && field.id == id && equals_ignore_case(this->name(field), name)) return value(field);
  }
  return std::nullopt;
}

std::size_t FieldList::count(FieldId id) const {
  if (!has(id)) return 0;
  return static_cast<std::size_t>(std::count_if(
      fields_.begin(), fields_.end(), [id](const Field& field) { return field.id == id && !field.removed; }));
}

void RequestHead::clear() {
  method.clear();
  target.clear();
  authority.clear();
  version = {};
  fields.clear();
  content_length.reset();
  has_body = false;
  upgrade = false;
}

void RequestHead::swap(RequestHead& other) noexcept {
  method.swap(other.method);
  target.swap(other.target);
  authority.swap(other.authority);
  fields.swap(other.fields);
  std::swap(version, other.version);
  std::swap(content_length, other.content_length);
  std::swap(has_body, other.has_body);
  std::swap(upgrade, other.upgrade);
}

void ResponseHead::clear() {
  status = 0;
  reason.clear();
  version = {};
  fields.clear();
  content_length.reset();
  has_body = false;
}

}  // namespace remora::http
