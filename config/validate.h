// The checks that look at more than one table: names that refer to others, duplicates, routes no request
// reaches.
//
// Thread: any, one at a time.
#pragma once

#include <span>

#include "config/draft.h"

namespace remora::config {

// Resolves the routes' cluster names to indices; everything wrong goes into the draft's report.
void validate(Draft& draft);

// No endpoint stands there twice. `places`: where each of them does; none: they were found to be right
// before.
void check_endpoints(std::span<const Endpoint> endpoints, const std::vector<Where>& places, Report& report);

}  // namespace remora::config
