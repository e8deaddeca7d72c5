#include "discovery/swim/settings.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace remora::discovery::swim {

unsigned retransmit_limit(const Settings& settings, std::size_t members) {
  return settings.retransmit_mult *
         static_cast<unsigned>(std::ceil(std::log10(static_cast<double>(members + 1))));
}

Duration suspicion_least(const Settings& settings, std::size_t members) {
  const double scale = std::max(1.0, std::log10(static_cast<double>(std::max<std::size_t>(members, 1))));
  return settings.suspicion_mult * static_cast<std::int64_t>(scale * 1000) * settings.probe_interval / 1000;
}

unsigned suspicion_confirmations(const Settings& settings, std::size_t members) {
  // In a pool too small to give so many, waiting for them would only be slow.
  const unsigned wanted = settings.suspicion_mult < 2 ? 0 : settings.suspicion_mult - 2;
  return members < 2 || members - 2 < wanted ? 0 : wanted;
}

Duration push_pull_every(const Settings& settings, std::size_t members) {
  if (members <= 32) return settings.push_pull_interval;
  const double doublings = std::ceil(std::log2(static_cast<double>(members)) - 5);
  return settings.push_pull_interval * static_cast<std::int64_t>(1 + doublings);
}

}  // namespace remora::discovery::swim
