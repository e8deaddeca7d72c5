#include "discovery/swim/service.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "discovery/swim/message.h"

namespace remora::discovery::swim {

namespace {

constexpr std::string_view kMark = "remora";
constexpr std::string_view kVersion = "1";
constexpr std::string_view kService = "svc:";
constexpr std::uint32_t kHeaviest = 65535;
constexpr std::string_view kElsewhere = "svc+";
constexpr std::string_view kSetAnswer = "\xffremora1=";
constexpr std::size_t kDigestDigits = 16;

std::optional<std::uint32_t> number(std::string_view text, std::uint32_t most) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value == 0 || value > most)
    return std::nullopt;
  return value;
}

// Calls `each` with every piece; none of an empty text.
template <typename Each>
void split(std::string_view text, char at, Each each) {
  while (!text.empty()) {
    const std::string_view piece = text.substr(0, text.find(at));
    text.remove_prefix(std::min(piece.size() + 1, text.size()));
    each(piece);
  }
}

std::string describe(const ServiceSettings& service) {
  std::string text = std::to_string(service.port);
  if (service.weight != 1) text += ";w=" + std::to_string(service.weight);
  if (!service.zone.empty()) text += ";z=" + service.zone;
  for (std::size_t i = 0; i < service.tags.size(); ++i) text += (i == 0 ? ";t=" : ",") + service.tags[i];
  return text;
}

// nullopt: no service, or a broken one.
std::optional<ServiceSettings> read(std::string_view name, std::string_view text) {
  ServiceSettings service{.name = std::string(name)};
  const std::string_view port_text = text.substr(0, text.find(';'));
  const auto port = number(port_text, 65535);
  if (!port || name.empty()) return std::nullopt;
  service.port = static_cast<std::uint16_t>(*port);
  bool good = true;
  split(text.substr(std::min(port_text.size() + 1, text.size())), ';', [&](std::string_view part) {
    if (part.starts_with("w=")) {
      const auto weight = number(part.substr(2), kHeaviest);
      good = good && weight.has_value();
      service.weight = weight.value_or(1);
    } else if (part.starts_with("z=")) {
      service.zone = part.substr(2);
      good = good && std::ranges::all_of(service.zone, fits_service);
    } else if (part.starts_with("t=")) {
      split(part.substr(2), ',', [&](std::string_view tag) { service.tags.emplace_back(tag); });
    }
  });
  return good ? std::optional(std::move(service)) : std::nullopt;
}

const std::string* value_of(const Tags& tags, std::string_view name) {
  const auto found =
      std::ranges::find(tags, name, [](const auto& tag) { return std::string_view(tag.first); });
  return found == tags.end() ? nullptr : &found->second;
}

// A plain Serf agent: one service at most.
std::optional<ServiceSettings> read_agent(const Tags& tags, const WantedSettings& wanted) {
  const std::string* role = value_of(tags, wanted.role_tag);
  if (role == nullptr || *role != wanted.service) return std::nullopt;
  const std::string* text = value_of(tags, wanted.port_tag);
  const auto port = wanted.port != 0  ? std::optional<std::uint32_t>(wanted.port)
                    : text != nullptr ? number(*text, 65535)
                                      : std::nullopt;
  if (!port) return std::nullopt;
  ServiceSettings service{.name = *role, .port = static_cast<std::uint16_t>(*port)};
  for (const auto& [name, value] : tags) {
    std::string& tag = service.tags.emplace_back(name);
    tag += '=';
    tag += value;
  }
  return service;
}

}  // namespace

Tags announce(const std::vector<ServiceSettings>& services) {
  Tags tags{{std::string(kMark), std::string(kVersion)}};
  for (const ServiceSettings& service : services) {
    tags.emplace_back(std::string(kService) + service.name, describe(service));
  }
  return tags;
}

std::size_t announced_bytes(const std::vector<ServiceSettings>& services) {
  return encode_tags(announce(services)).size();
}

Announcement announcement(const std::vector<ServiceSettings>& services) {
  std::string all = encode_tags(announce(services));
  if (all.size() <= kMetaBytes) return {.meta = std::move(all)};
  std::string digits(kDigestDigits, '0');
  std::array<char, kDigestDigits> hex{};
  const auto end = std::to_chars(hex.data(), hex.data() + hex.size(), digest_of(all), 16).ptr;
  std::copy_backward(hex.data(), end, digits.data() + digits.size());
  return {.meta = encode_tags(
              {{std::string(kMark), std::string(kVersion)}, {std::string(kElsewhere), std::move(digits)}}),
          .set = std::move(all)};
}

std::optional<std::uint64_t> set_digest(std::string_view meta) {
  if (!meta.contains(kElsewhere)) return std::nullopt;
  const Tags tags = decode_tags(meta);
  const std::string* digits = value_of(tags, kElsewhere);
  if (digits == nullptr || digits->size() != kDigestDigits || value_of(tags, kMark) == nullptr) {
    return std::nullopt;
  }
  std::uint64_t digest = 0;
  const auto [end, error] = std::from_chars(digits->data(), digits->data() + digits->size(), digest, 16);
  if (error != std::errc{} || end != digits->data() + digits->size()) return std::nullopt;
  return digest;
}

// FNV-1a: it tells sets apart. Whoever could forge one could announce it.
std::uint64_t digest_of(std::string_view set) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : set) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

std::string set_answer(std::string_view set) { return std::string(kSetAnswer) + std::string(set); }

std::optional<std::string_view> read_set_answer(std::string_view message) {
  if (!message.starts_with(kSetAnswer) || message.size() > kSetAnswer.size() + kSetBytes) return std::nullopt;
  return message.substr(kSetAnswer.size());
}

std::optional<ServiceSettings> find_service(const Tags& tags, const WantedSettings& wanted) {
  const auto fits = [&](const std::optional<ServiceSettings>& service) {
    return service && service->name == wanted.service &&
           std::ranges::all_of(wanted.tags, [&](const std::string& tag) {
             return std::ranges::find(service->tags, tag) != service->tags.end();
           });
  };
  if (value_of(tags, kMark) == nullptr) {
    auto service = read_agent(tags, wanted);
    return fits(service) ? std::move(service) : std::nullopt;
  }
  for (const auto& [name, value] : tags) {
    if (!name.starts_with(kService)) continue;
    auto service = read(std::string_view(name).substr(kService.size()), value);
    if (fits(service)) return service;
  }
  return std::nullopt;
}

void each_service_word(const Tags& tags, const std::function<void(std::string_view)>& visit) {
  const bool agent = value_of(tags, kMark) == nullptr;
  for (const auto& [name, value] : tags) {
    if (agent) {
      visit(value);
    } else if (name.starts_with(kService)) {
      visit(std::string_view(name).substr(kService.size()));
    }
  }
}

}  // namespace remora::discovery::swim
