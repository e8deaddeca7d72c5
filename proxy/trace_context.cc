#include "proxy/trace_context.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <optional>

namespace remora::proxy {

namespace {

using http::FieldId;
using http::FieldList;
using Sampling = TraceContext::Sampling;

constexpr std::string_view kTraceparent = "traceparent";
constexpr std::string_view kTracestate = "tracestate";
constexpr std::string_view kB3 = "b3";
constexpr std::string_view kTraceId = "X-B3-TraceId";
constexpr std::string_view kSpanId = "X-B3-SpanId";
constexpr std::string_view kParentSpanId = "X-B3-ParentSpanId";
constexpr std::string_view kSampled = "X-B3-Sampled";
constexpr std::string_view kFlags = "X-B3-Flags";

constexpr std::size_t kTraceparentSize = 55;
constexpr std::size_t kMostMembers = 32;
constexpr std::size_t kMostState = 512;
constexpr std::size_t kLargeMember = 128;

constexpr std::string_view kHexDigits = "0123456789abcdef";

constexpr std::uint64_t kOnes = 0x0101010101010101U;

// Eight half bytes, one in each byte, as digits: those above 9 get the distance to the letters.
constexpr std::uint64_t digits_of(std::uint64_t halves) {
  const std::uint64_t letters = ((halves + 6 * kOnes) >> 4U) & kOnes;
  return halves + '0' * kOnes + letters * ('a' - '0' - 10);
}

// So that the first of eight characters is the highest byte.
constexpr std::uint64_t first_highest(std::uint64_t word) {
  return std::endian::native == std::endian::little ? std::byteswap(word) : word;
}

void write_hex32(char* out, std::uint64_t value) {
  value = (value | value << 16U) & 0x0000ffff0000ffffU;
  value = (value | value << 8U) & 0x00ff00ff00ff00ffU;
  value = (value | value << 4U) & (15 * kOnes);
  const std::uint64_t text = first_highest(digits_of(value));
  std::memcpy(out, &text, sizeof text);
}

// Eight lower-case digits: what they mean is right when it is written the same.
std::optional<std::uint64_t> read_hex32(const char* text) {
  std::uint64_t word = 0;
  std::memcpy(&word, text, sizeof word);
  word = first_highest(word);
  std::uint64_t value = (word & (15 * kOnes)) + ((word >> 6U) & kOnes) * 9;
  if ((value & (0xf0 * kOnes)) != 0 || digits_of(value) != word) return std::nullopt;
  value = (value | value >> 4U) & 0x00ff00ff00ff00ffU;
  value = (value | value >> 8U) & 0x0000ffff0000ffffU;
  return (value | value >> 16U) & 0xffffffffU;
}

// 16 lower-case digits.
std::optional<std::uint64_t> hex(std::string_view text) {
  const auto high = read_hex32(text.data());
  const auto low = read_hex32(text.data() + 8);
  if (!high || !low) return std::nullopt;
  return *high << 32U | *low;
}

std::optional<unsigned> hex_digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a') + 10;
  return std::nullopt;
}

std::optional<unsigned> hex_byte(std::string_view text) {
  const auto high = hex_digit(text[0]);
  const auto low = hex_digit(text[1]);
  if (!high || !low) return std::nullopt;
  return *high << 4U | *low;
}

// The value of the only field of that name.
std::optional<std::string_view> only(const FieldList& fields, std::string_view name) {
  std::optional<std::string_view> value;
  for (const http::Field& field : fields.raw()) {
    if (field.removed || field.id != FieldId::kOther || field.name_size != name.size()) continue;
    if (!http::equals_ignore_case(fields.name(field), name)) continue;
    if (value) return std::nullopt;
    value = fields.value(field);
  }
  return value;
}

// Section 3.2: version "-" trace-id "-" parent-id "-" trace-flags; what a later version appends is left
// aside.
std::optional<TraceContext> parse_traceparent(std::string_view text) {
  if (text.size() < kTraceparentSize) return std::nullopt;
  if (text[2] != '-' || text[35] != '-' || text[52] != '-') return std::nullopt;
  const auto version = hex_byte(text.substr(0, 2));
  if (!version || *version == 0xff) return std::nullopt;
  if (text.size() > kTraceparentSize && (*version == 0 || text[kTraceparentSize] != '-')) return std::nullopt;
  const auto high = hex(text.substr(3, 16));
  const auto low = hex(text.substr(19, 16));
  const auto span = hex(text.substr(36, 16));
  const auto flags = hex_byte(text.substr(53, 2));
  if (!high || !low || !span || !flags || (*high | *low) == 0 || *span == 0) return std::nullopt;
  return TraceContext{.trace_high = *high,
                      .trace_low = *low,
                      .span = *span,
                      .sampling = (*flags & 1U) != 0 ? Sampling::kYes : Sampling::kNo,
                      .debug = false,
                      .random = *version == 0 && (*flags & 2U) != 0};
}

bool is_key(std::string_view key) {
  const auto letter = [](char c) { return c >= 'a' && c <= 'z'; };
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  const auto legal = [&](std::string_view part) {
    return std::ranges::all_of(
        part, [&](char c) { return letter(c) || digit(c) || c == '_' || c == '-' || c == '*' || c == '/'; });
  };
  const auto at = key.find('@');
  if (at == std::string_view::npos) {
    return !key.empty() && key.size() <= 256 && (letter(key[0]) || digit(key[0])) && legal(key);
  }
  const auto tenant = key.substr(0, at);
  const auto system = key.substr(at + 1);
  return !tenant.empty() && tenant.size() <= 241 && (letter(tenant[0]) || digit(tenant[0])) &&
         legal(tenant) && !system.empty() && system.size() <= 14 && letter(system[0]) && legal(system);
}

// Section 3.3.1.3.
bool is_member(std::string_view member) {
  const auto equals = member.find('=');
  if (equals == std::string_view::npos || !is_key(member.substr(0, equals))) return false;
  const auto value = member.substr(equals + 1);
  return !value.empty() && value.size() <= 256 &&
         std::ranges::all_of(value, [](char c) { return c >= 0x20 && c <= 0x7e && c != ',' && c != '='; });
}

// The members of a tracestate, whatever number of fields they came in.
struct State {
  std::array<std::string_view, kMostMembers> members;
  std::size_t count = 0;
  std::size_t fields = 0;
  std::size_t bytes = 0;  // of all members, with a comma between each two
  bool valid = true;

  void add(std::string_view member) {
    if (count == members.size() || !is_member(member)) {
      valid = false;
      return;
    }
    bytes += member.size() + (count > 0 ? 1 : 0);
    members[count++] = member;
  }
  void drop(std::size_t index) {
    bytes -= members[index].size() + (count > 1 ? 1 : 0);
    std::copy(members.begin() + static_cast<std::ptrdiff_t>(index) + 1,
              members.begin() + static_cast<std::ptrdiff_t>(count),
              members.begin() + static_cast<std::ptrdiff_t>(index));
    --count;
  }
};

// One that is valid stays as it is. Several fields become one; more than 512 bytes lose their large members
// first, then the last ones (section 3.3.1.5); one that is no list of at most 32 members goes.
void tidy_tracestate(FieldList& fields) {
  if (!fields.has(FieldId::kTracestate)) return;
  State state;
  for (const http::Field& field : fields.raw()) {
    if (field.removed || field.id != FieldId::kTracestate) continue;
    ++state.fields;
    http::for_each_element(fields.value(field), [&state](std::string_view member) { state.add(member); });
  }
  if (!state.valid || state.count == 0) {
    fields.remove(FieldId::kTracestate);
    return;
  }
  if (state.fields == 1 && fields.get(FieldId::kTracestate)->size() <= kMostState) return;
  for (std::size_t i = state.count; i-- > 0 && state.bytes > kMostState;) {
    if (state.members[i].size() > kLargeMember) state.drop(i);
  }
  while (state.bytes > kMostState) state.drop(state.count - 1);
  std::array<char, kMostState> joined{};
  char* end = joined.data();
  for (std::size_t i = 0; i < state.count; ++i) {
    if (i > 0) *end++ = ',';
    end = std::ranges::copy(state.members[i], end).out;
  }
  fields.set(kTracestate, {joined.data(), end});
}

std::optional<TraceContext> read_w3c(FieldList& fields) {
  std::optional<TraceContext> context;
  if (fields.count(FieldId::kTraceparent) == 1) {
    context = parse_traceparent(*fields.get(FieldId::kTraceparent));
  }
  if (context) {
    tidy_tracestate(fields);
  } else {
    fields.remove(FieldId::kTracestate);
  }
  return context;
}

// A trace's id of 32 digits, or 16.
bool set_ids(TraceContext& context, std::string_view trace, std::string_view span) {
  if ((trace.size() != 32 && trace.size() != 16) || span.size() != 16) return false;
  const auto low = hex(trace.substr(trace.size() - 16));
  const auto high = trace.size() == 16 ? std::optional<std::uint64_t>(0) : hex(trace);
  const auto id = hex(span);
  if (!low || !high || !id || (*high | *low) == 0 || *id == 0) return false;
  context.trace_high = *high;
  context.trace_low = *low;
  context.span = *id;
  return true;
}

bool set_b3_sampling(TraceContext& context, std::string_view state) {
  if (state == "0") {
    context.sampling = Sampling::kNo;
  } else if (state == "1" || state == "d") {
    context.sampling = Sampling::kYes;
    context.debug = state == "d";
  } else {
    return false;
  }
  return true;
}

// {trace}-{span}[-{state}[-{parent span}]], or the state alone.
std::optional<TraceContext> read_b3(const FieldList& fields) {
  const auto text = only(fields, kB3);
  if (!text) return std::nullopt;
  TraceContext context;
  if (text->size() == 1) return set_b3_sampling(context, *text) ? std::optional(context) : std::nullopt;
  const auto first = text->find('-');
  if (first == std::string_view::npos) return std::nullopt;
  std::string_view rest = text->substr(first + 1);
  if (!set_ids(context, text->substr(0, first), rest.substr(0, 16))) return std::nullopt;
  rest.remove_prefix(16);
  if (rest.empty()) return context;
  const bool parent = rest.size() == 19 && rest[2] == '-' && hex(rest.substr(3));
  if (rest[0] != '-' || (rest.size() != 2 && !parent)) return std::nullopt;
  return set_b3_sampling(context, rest.substr(1, 1)) ? std::optional(context) : std::nullopt;
}

std::optional<TraceContext> read_b3_multi(const FieldList& fields) {
  TraceContext context;
  const auto trace = only(fields, kTraceId);
  const auto span = only(fields, kSpanId);
  const bool ids = trace && span && set_ids(context, *trace, *span);
  const auto sampled = only(fields, kSampled);
  if (only(fields, kFlags) == "1") {
    set_b3_sampling(context, "d");
  } else if (sampled && (*sampled == "true" || *sampled == "false")) {  // of older libraries
    set_b3_sampling(context, *sampled == "true" ? "1" : "0");
  } else if (sampled) {
    set_b3_sampling(context, *sampled);
  }
  const bool nothing = !ids && context.sampling == Sampling::kUnsaid;
  return nothing ? std::nullopt : std::optional(context);
}

std::string_view b3_state(const TraceContext& context) {
  if (context.debug) return "d";
  return context.sampling == Sampling::kYes ? "1" : "0";
}

// In the place of what was there, if anything was.
void put(FieldList& fields, FieldId id, std::string_view name, std::string_view value) {
  if (fields.has(id)) {
    fields.set(name, value);
  } else {
    fields.add(id, name, value);
  }
}

void write_w3c(FieldList& fields, const TraceContext& context) {
  std::array<char, kTraceparentSize> text{};
  char* at = std::ranges::copy(std::string_view("00-"), text.data()).out;
  at = write_hex(write_hex(at, context.trace_high), context.trace_low);
  *at++ = '-';
  at = write_hex(at, context.span);
  *at++ = '-';
  *at++ = '0';
  const unsigned flags = (context.sampling == Sampling::kYes ? 1U : 0U) | (context.random ? 2U : 0U);
  *at++ = kHexDigits[flags];
  put(fields, FieldId::kTraceparent, kTraceparent, {text.data(), at});
}

void write_b3(FieldList& fields, const TraceContext& context) {
  std::array<char, 51> text{};
  char* at = write_hex(write_hex(text.data(), context.trace_high), context.trace_low);
  *at++ = '-';
  at = write_hex(at, context.span);
  *at++ = '-';
  *at++ = b3_state(context).front();
  fields.set(kB3, {text.data(), at});
}

void write_b3_multi(FieldList& fields, const TraceContext& context) {
  std::array<char, 32> text{};
  char* const end = write_hex(write_hex(text.data(), context.trace_high), context.trace_low);
  fields.set(kTraceId, {text.data(), end});
  fields.set(kSpanId, {text.data(), write_hex(text.data(), context.span)});
  fields.remove(kParentSpanId);
  fields.remove(context.debug ? kSampled : kFlags);
  fields.set(context.debug ? kFlags : kSampled, context.debug ? "1" : b3_state(context));
}

}  // namespace

TraceContext read_trace(FieldList& fields, const config::TraceFormats& formats) {
  std::optional<TraceContext> context;
  if (formats.w3c) context = read_w3c(fields);
  if (!context && formats.b3) context = read_b3(fields);
  if (!context && formats.b3_multi) context = read_b3_multi(fields);
  return context.value_or(TraceContext());
}

void write_trace(FieldList& fields, const config::TraceFormats& formats, const TraceContext& context) {
  if (formats.w3c) write_w3c(fields, context);
  if (formats.b3) write_b3(fields, context);
  if (formats.b3_multi) write_b3_multi(fields, context);
}

void rewrite_trace(FieldList& fields, const config::TraceFormats& formats, const TraceContext& context) {
  if (formats.w3c && fields.has(FieldId::kTraceparent)) write_w3c(fields, context);
  if (formats.b3 && only(fields, kB3)) write_b3(fields, context);
  if (formats.b3_multi && only(fields, kTraceId)) write_b3_multi(fields, context);
}

bool in_sample(std::uint64_t trace_low, double ratio) {
  constexpr double kAll = 0x1p56;
  const auto kept = static_cast<std::uint64_t>(ratio * kAll);
  const std::uint64_t random = trace_low & ((std::uint64_t{1} << 56U) - 1);
  return random >= (std::uint64_t{1} << 56U) - kept;
}

char* write_hex(char* out, std::uint64_t value) {
  write_hex32(out, value >> 32U);
  write_hex32(out + 8, value & 0xffffffffU);
  return out + 16;
}

}  // namespace remora::proxy
