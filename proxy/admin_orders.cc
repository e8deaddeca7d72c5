#include "proxy/admin_orders.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace remora::proxy {

namespace {

using Order = Supervisor::Order;
constexpr std::array<std::pair<std::string_view, Order>, 4> kOrders{{{"open", Order::kOpen},
                                                                     {"close", Order::kClose},
                                                                     {"drain", Order::kDrain},
                                                                     {"undrain", Order::kUndrain}}};

// What is not a percent-encoded byte stays as it is.
std::string percent_decoded(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned byte = 0;
    const bool encoded =
        text[i] == '%' && text.size() - i > 2 &&
        std::from_chars(text.data() + i + 1, text.data() + i + 3, byte, 16).ptr == text.data() + i + 3;
    decoded += encoded ? static_cast<char>(byte) : text[i];
    if (encoded) i += 2;
  }
  return decoded;
}

}  // namespace

std::optional<ParsedOrder> parse_order(std::string_view path) {
  std::array<std::string, 4> parts;
  std::size_t n = 0;
  for (; n < parts.size() && !path.empty(); ++n) {
    const std::size_t slash = std::min(path.find('/'), path.size());
    parts[n] = percent_decoded(path.substr(0, slash));
    path.remove_prefix(std::min(slash + 1, path.size()));
  }
  if (n == 2) parts = {std::move(parts[0]), "endpoints", "", std::move(parts[1])};
  const auto* order = std::ranges::find(kOrders, parts[3], &std::pair<std::string_view, Order>::first);
  if ((n != 2 && n != parts.size()) || !path.empty() || parts[1] != "endpoints" || order == kOrders.end()) {
    return std::nullopt;
  }
  return ParsedOrder{.cluster = std::move(parts[0]), .endpoint = std::move(parts[2]), .order = order->second};
}

OrderAnswer explain(Supervisor::Refused refused, bool asked_for_the_cluster) {
  switch (refused) {
    case Supervisor::Refused::kNoCluster: return {404, "no such cluster, see /clusters\n"};
    case Supervisor::Refused::kNoEndpoint: return {404, "no such endpoint in this cluster, see /clusters\n"};
    case Supervisor::Refused::kBreakerOff:
      return {409, "the breaker of this cluster is switched off (breaker.enabled)\n"};
    case Supervisor::Refused::kNoSuchBreaker: break;
  }
  return {409, asked_for_the_cluster
                   ? "every endpoint of this cluster has its own breaker, write "
                     "/clusters/NAME/endpoints/ADDRESS/ORDER\n"
                   : "this cluster has one breaker for all endpoints, write /clusters/NAME/{open,close}\n"};
}

std::string_view orders_help() {
  return "POST /clusters/NAME/endpoints/ADDRESS/ORDER\n"
         "                     open or close its circuit breaker, drain or undrain it\n"
         "POST /clusters/NAME/ORDER\n"
         "                     open or close the breaker that all its endpoints share\n";
}

}  // namespace remora::proxy
