// JSON text -> Node, for lists of endpoints that a program writes. With admin pages the only place that knows
// the JSON library.
//
// Thread: any, one at a time per report.
#pragma once

#include <optional>
#include <string_view>

#include "config/node.h"
#include "config/report.h"
#include "config/substitute.h"

namespace remora::config {

// The root value; nullopt when the text is not JSON or nested too deeply, which is then in the report. As in
// parse_toml(), strings are filled in, and mistakes in single values are reported.
std::optional<Node> parse_json(std::string_view text, Substitution& substitution, Report& report);

}  // namespace remora::config
