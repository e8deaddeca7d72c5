#include "config/memo.h"

#include <limits>
#include <optional>
#include <unordered_map>
#include <utility>

#include "config/draft.h"
#include "config/parse.h"
#include "config/pieces.h"
#include "config/scan.h"
#include "config/substitute.h"
#include "config/validate.h"

namespace remora::config {

namespace {

constexpr std::size_t kUnknown = std::numeric_limits<std::size_t>::max();

// The one cluster of a piece; null: it is something else.
const Node* only_cluster(const Node& root) {
  if (root.children.size() != 1 || root.children.front().key != "cluster") return nullptr;
  const Node& list = root.children.front();
  if (list.kind != Node::Kind::kArray || list.children.size() != 1) return nullptr;
  return list.children.front().kind == Node::Kind::kTable ? &list.children.front() : nullptr;
}

// False: it has a mistake.
bool read_piece(std::string_view piece, Substitution& substitution, Draft& draft) {
  const auto root = parse_toml(piece, substitution, draft.report);
  const Node* cluster = root ? only_cluster(*root) : nullptr;
  if (cluster == nullptr) return false;
  read_cluster({cluster, {}}, draft);
  return draft.report.empty();
}

}  // namespace

// Which piece of the last text is equal to one of the new text. Most are in the order in which they were, so
// that the next one is tried first; all are hashed only if that fails.
class Memo::Lookup final {
 public:
  explicit Lookup(const Memo& memo) : memo_(memo) {}

  std::size_t find(std::string_view piece) {
    const std::size_t guess = next_++;
    if (guess < memo_.places_.size() && at(guess) == piece) return usable(guess);
    if (by_text_.empty()) {
      for (std::size_t i = 0; i < memo_.places_.size(); ++i) by_text_.emplace(at(i), i);
    }
    const auto found = by_text_.find(piece);
    if (found == by_text_.end()) return kUnknown;
    next_ = found->second + 1;
    return usable(found->second);
  }

 private:
  std::string_view at(std::size_t i) const {
    return std::string_view(memo_.text_).substr(memo_.places_[i].offset, memo_.places_[i].size);
  }
  std::size_t usable(std::size_t i) const { return memo_.places_[i].lasting ? i : kUnknown; }

  const Memo& memo_;
  std::size_t next_ = 0;
  std::unordered_map<std::string_view, std::size_t> by_text_;
};

std::expected<Config, Problems> Memo::load(std::string text, const std::string& file_name,
                                           const Environment& environment, const Hooks& hooks) {
  recalled_ = 0;
  auto config = load_pieces(text, file_name, environment, hooks);
  if (!config) return load_text(text, file_name, environment, hooks);
  text_ = std::move(text);
  places_ = std::move(next_places_);
  clusters_ = config->clusters;
  return *std::move(config);
}

// nullopt: something is wrong, or written in a way that only the whole file shows.
std::optional<Config> Memo::load_pieces(std::string_view text, const std::string& file_name,
                                        const Environment& environment, const Hooks& hooks) {
  if (scan(text)) return std::nullopt;
  const Pieces pieces = cut(text);
  Report report(file_name);
  Substitution substitution(environment);
  const auto root = parse_toml(pieces.rest, substitution, report);
  if (!root || root->find("cluster") != nullptr) return std::nullopt;
  Draft draft(report, hooks);
  draft.config.file = file_name;
  const TableReader top(&*root, "", {}, report);
  read_process(top, draft);
  read_tracing(top, draft);
  read_listeners(top, draft);
  read_mesh(top, draft);
  if (!report.empty()) return std::nullopt;
  next_places_.clear();
  next_places_.reserve(pieces.clusters.size());
  draft.config.clusters.edit().reserve(pieces.clusters.size());
  Lookup lookup(*this);
  std::size_t recalled = 0;
  for (const std::string_view piece : pieces.clusters) {
    Place& place = next_places_.emplace_back();
    place.offset = static_cast<std::uint32_t>(piece.data() - text.data());
    place.size = static_cast<std::uint32_t>(piece.size());
    if (const std::size_t known = lookup.find(piece); known != kUnknown) {
      if (!recall(known, draft)) return std::nullopt;
      ++recalled;
      continue;
    }
    const std::size_t variables = substitution.looked_up();
    if (!read_piece(piece, substitution, draft)) return std::nullopt;
    place.lasting = substitution.looked_up() == variables;
  }
  validate(draft);
  if (!report.empty()) return std::nullopt;
  recalled_ = recalled;
  return std::move(draft.config);
}

// As read_cluster() has read it before. False: its files are not as they should be any more.
bool Memo::recall(std::size_t known, Draft& draft) const {
  Cluster cluster = clusters_[known];
  const std::size_t index = draft.config.clusters.size();
  if (cluster.tls && draft.hooks.check_cluster_tls && draft.hooks.check_cluster_tls(*cluster.tls))
    return false;
  if (const auto* other = std::get_if<WeightedCluster>(&cluster.fallback)) {
    draft.fallbacks.push_back({index, clusters_[other->cluster].name, {}});
  }
  if (cluster.discover && cluster.discover->source == Discover::Source::kSwim) draft.discovers.emplace_back();
  draft.clusters.emplace_back();
  draft.endpoints.emplace_back();
  draft.config.clusters.push_back(std::move(cluster));
  return true;
}

}  // namespace remora::config
