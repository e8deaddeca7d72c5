// Loads a file again and again: a cluster that is written as it was the last time is not read anew, and is
// shared with the configuration that came of it. Reloading a large file takes as long as what has changed in
// it.
//
// What is wrong is found by reading the whole file at once, as load_text() does: a file that has a mistake
// takes as long as the first time.
//
// Thread: one at a time. Owner: whoever reloads. Keeps the text of the last good file, and its clusters.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "base/shared_list.h"
#include "config/config.h"
#include "config/load.h"

namespace remora::config {

struct Draft;
class Substitution;

class Memo final {
 public:
  // As load_text(), with the same result.
  std::expected<Config, Problems> load(std::string text, const std::string& file_name,
                                       const Environment& environment, const Hooks& hooks);

  // How many clusters the latest good load has not read anew.
  std::size_t recalled() const { return recalled_; }

 private:
  // Where the cluster of the same index stands in the text.
  struct Place {
    std::uint32_t offset = 0;
    std::uint32_t size = 0;
    bool lasting = true;  // its values depend on nothing but this text
  };
  class Lookup;

  std::optional<Config> load_pieces(std::string_view text, const std::string& file_name,
                                    const Environment& environment, const Hooks& hooks);
  bool recall(std::size_t known, Draft& draft) const;

  std::string text_;
  std::vector<Place> places_;
  SharedList<Cluster> clusters_;
  std::vector<Place> next_places_;  // of the load under way
  std::size_t recalled_ = 0;
};

}  // namespace remora::config
