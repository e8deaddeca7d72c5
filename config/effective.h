// The configuration in force as TOML, with every default spelt out: what the admin interface shows under
// /config. It loads again, to an equal Config.
//
// Thread: any; pure.
#pragma once

#include <cstdint>
#include <string>

#include "config/config.h"

namespace remora::config {

// kMask: values of header fields that look like credentials (Authorization, Cookie, *token*, *key*, ...),
// such queries of health checks, and what TCP checks send, print as "***", which still loads, but then
// differs in these.
enum class Secrets : std::uint8_t { kMask, kShow };

[[gnu::cold]] std::string effective_toml(const Config& config, Secrets secrets = Secrets::kMask);

}  // namespace remora::config
