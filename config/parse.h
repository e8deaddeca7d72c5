// TOML text -> Node. The only file that knows the TOML library, and the only one in which exceptions are
// caught.
//
// Thread: any, one at a time per report.
#pragma once

#include <optional>
#include <string_view>

#include "config/node.h"
#include "config/report.h"
#include "config/substitute.h"

namespace remora::config {

// The root table; nullopt when the text is not TOML, which is then in the report. Mistakes in single values
// (an unset variable, a number out of range) are reported too; their nodes are kBroken. `text` must have
// passed scan().
std::optional<Node> parse_toml(std::string_view text, Substitution& substitution, Report& report);

}  // namespace remora::config
