// Fills the environment into string values: `${VAR}`, `${VAR:-default}` (used when VAR is unset or empty, as
// in a shell), `$$` for a plain `$`. Any other `$` stands for itself. What a variable holds is not looked
// through again.
//
// Thread: any, as far as the environment allows.
#pragma once

#include <cstddef>
#include <expected>
#include <string>
#include <string_view>

#include "config/load.h"

namespace remora::config {

class Substitution final {
 public:
  explicit Substitution(const Environment& environment) : environment_(environment) {}

  struct Filled {
    std::string text;
    bool from_environment = false;  // at least one variable was looked up
  };
  // The text with everything filled in, or "what is wrong, what would be right".
  std::expected<Filled, std::string> fill(std::string_view text);

  // How many variables have been looked up so far.
  std::size_t looked_up() const { return looked_up_; }

 private:
  std::expected<std::string, std::string> value_of(std::string_view expression);

  const Environment& environment_;
  std::size_t looked_up_ = 0;
  std::size_t budget_ =
      std::size_t{4} * 1024 * 1024;  // bytes of all variables together, repeated uses included
};

}  // namespace remora::config
