// The checks that look at more than one table: names that refer to others, duplicates, routes no request
// reaches.
//
// Thread: any, one at a time.
#pragma once

#include "config/draft.h"

namespace remora::config {

// Resolves the routes' cluster names to indices; everything wrong goes into the draft's report.
void validate(Draft& draft);

// No endpoint stands there twice. `places`: where each of them does.
void check_endpoints(const std::vector<Endpoint>& endpoints, const std::vector<Where>& places,
                     Report& report);

// Whether every request that matches `later` matches `earlier` as well. False also when that cannot be told
// (two regular expressions).
bool covers(const Match& earlier, const Match& later);

}  // namespace remora::config
