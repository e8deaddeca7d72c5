#include "discovery/swim/serf.h"

#include <functional>

#include "discovery/swim/msgpack.h"

namespace remora::discovery::swim {

namespace {

constexpr char kTagMark = '\xff';
constexpr std::uint32_t kMostTags = 256;  // more than 512 bytes can hold

enum class SerfType : std::uint8_t { kLeave = 0, kJoin = 1, kPushPull = 2, kEvent = 3, kQuery = 4 };

}  // namespace

std::string encode_tags(const Tags& tags) {
  std::string meta(1, kTagMark);
  MsgpackWriter out(meta);
  out.map(static_cast<std::uint32_t>(tags.size()));
  for (const auto& [name, value] : tags) {
    out.raw(name);
    out.raw(value);
  }
  return meta;
}

Tags decode_tags(std::string_view meta) {
  if (meta.empty()) return {};
  if (meta.front() != kTagMark) return {{"role", std::string(meta)}};
  MsgpackReader in(meta.substr(1));
  std::uint32_t count = 0;
  if (!in.map(count) || count > kMostTags) return {};
  Tags tags;
  for (std::uint32_t i = 0; i < count; ++i) {
    std::string_view name;
    std::string_view value;
    if (!in.raw(name) || !in.raw(value)) return {};
    tags.emplace_back(name, value);
  }
  return tags;
}

std::string serf_leave_intent(std::string_view member, std::uint64_t clock) {
  std::string message(1, static_cast<char>(SerfType::kLeave));
  MsgpackWriter out(message);
  out.map(3);
  out.raw("LTime");
  out.integer(clock);
  out.raw("Node");
  out.raw(member);
  out.raw("Prune");
  out.boolean(false);
  return message;
}

std::string serf_join_intent(std::string_view member, std::uint64_t clock) {
  std::string message(1, static_cast<char>(SerfType::kJoin));
  MsgpackWriter out(message);
  out.map(2);
  out.raw("LTime");
  out.integer(clock);
  out.raw("Node");
  out.raw(member);
  return message;
}

std::optional<std::uint64_t> serf_clock(std::string_view message) {
  if (message.empty() ||
      static_cast<unsigned char>(message.front()) > static_cast<unsigned>(SerfType::kPushPull)) {
    return std::nullopt;
  }
  MsgpackReader in(message.substr(1));
  std::uint32_t entries = 0;
  if (!in.map(entries)) return std::nullopt;
  for (std::uint32_t i = 0; i < entries; ++i) {
    std::string_view key;
    if (!in.raw(key)) return std::nullopt;
    if (key != "LTime") {
      if (!in.skip()) return std::nullopt;
      continue;
    }
    std::uint64_t clock = 0;
    return in.integer(clock) ? std::optional(clock) : std::nullopt;
  }
  return std::nullopt;
}

bool SerfRelay::fresh(std::string_view message) {
  if (message.empty()) return false;
  const auto type = static_cast<SerfType>(message.front());
  // The others are answers, sent to one member.
  const bool travels = type == SerfType::kLeave || type == SerfType::kJoin || type == SerfType::kEvent ||
                       type == SerfType::kQuery;
  if (!travels) return false;
  const std::size_t hash = std::hash<std::string_view>{}(message);
  if (!known_.insert(hash).second) return false;
  order_.push_back(hash);
  if (order_.size() > kRemembered) {
    known_.erase(order_.front());
    order_.pop_front();
  }
  return true;
}

}  // namespace remora::discovery::swim
