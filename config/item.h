// Single values of a file by type. What is not as it should be goes into the report with its line and what
// would be right.
//
// Thread: any, one at a time per report. The nodes must outlive the items.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"
#include "config/node.h"
#include "config/report.h"

namespace remora::config {

// One value and where it stands.
struct Item {
  const Node* node = nullptr;
  Where where;
};

// Single values. nullopt: of the wrong type, and reported. `example` is a whole right value, with its quotes.
// A string that came from the environment may stand for a number or a boolean.
std::optional<std::string> read_string(const Item& item, std::string_view example, Report& report);
std::optional<std::int64_t> read_integer(const Item& item, std::int64_t least, std::int64_t most,
                                         Report& report);
std::optional<double> read_number(const Item& item, double least, double most, Report& report);
std::optional<bool> read_boolean(const Item& item, Report& report);
std::optional<Duration> read_duration(const Item& item, Duration least, Duration most, Report& report);
std::optional<std::uint64_t> read_size(const Item& item, std::uint64_t least, std::uint64_t most,
                                       Report& report);

// What messages call an element of an array of tables: "cluster.app" if the table has a usable `name`, else
// "cluster#2".
Where named(const Item& item, std::string_view array);

// "15 is a number": what the file has instead.
std::string describe(const Node& node);

}  // namespace remora::config
