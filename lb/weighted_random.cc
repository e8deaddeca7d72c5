#include "lb/algorithms.h"
#include "lb/alias_table.h"
#include "lb/candidates.h"

namespace remora::lb {
namespace {

class WeightedRandom final : public Balancer {
 public:
  void set_endpoints(std::span<const Endpoint> endpoints) override { candidates_.set_endpoints(endpoints); }

  void set_candidates(std::span<const std::uint32_t> candidates) override {
    candidates_.set(candidates);
    table_.build(candidates_);
  }

  std::optional<std::uint32_t> pick(const PickContext& context, Random& random) override {
    if (candidates_.empty()) return std::nullopt;
    for (int i = 0; i < kDraws; ++i) {
      const std::uint32_t drawn = table_.draw(random);
      if (!was_tried(context.tried, drawn)) return drawn;
    }
    return candidates_.draw_untried(context.tried, random);
  }

 private:
  Candidates candidates_;
  AliasTable table_;
};

}  // namespace

std::unique_ptr<Balancer> make_weighted_random() { return std::make_unique<WeightedRandom>(); }

}  // namespace remora::lb
