// The power of two choices (Mitzenmacher 2001): draw two endpoints, take the better one. Nearly as good as
// looking at all, and without the herd that forms when everybody goes for the same best.
//
// Weights act twice. Draws are in proportion to weight, and the first one drawn wins a tie: endpoints that
// are equally good get exactly their weights. And n requests in flight count as n / weight, so that a small
// endpoint is not filled like a large one.
//
// With few requests in flight, n / weight is coarse: one request on an endpoint of weight 1 counts as much as
// ten on one of weight 10, and whoever counts "none" wins always. A random part of one more request evens
// that out: with 1 to 16 requests in flight and weights up to 1 to 10, the largest error of a share is 11 %,
// where n / weight alone makes it 41 % and (n + 1) / weight 27 %.
#include <cstdint>

#include "lb/algorithms.h"
#include "lb/alias_table.h"
#include "lb/candidates.h"
#include "lb/ewma.h"

namespace remora::lb {
namespace {

class TwoChoices final : public Balancer {
 public:
  explicit TwoChoices(bool use_latency) : use_latency_(use_latency) {}

  void set_endpoints(std::span<const Endpoint> endpoints) override { candidates_.set_endpoints(endpoints); }

  void set_candidates(std::span<const std::uint32_t> candidates) override {
    candidates_.set(candidates);
    table_.build(candidates_);
    if (candidates_.empty()) return;
    mean_weight_ = static_cast<double>(candidates_.total_weight()) / static_cast<double>(candidates_.size());
  }

  std::optional<std::uint32_t> pick(const PickContext& context, Random& random) override {
    if (candidates_.empty()) return std::nullopt;
    const std::optional<std::uint32_t> first = draw(context, random);
    if (!first) return std::nullopt;
    const std::optional<std::uint32_t> second = draw_other(*first, context, random);
    return second && better(*second, *first, context, random) ? second : first;
  }

 private:
  std::optional<std::uint32_t> draw(const PickContext& context, Random& random) const {
    for (int i = 0; i < kDraws; ++i) {
      const std::uint32_t drawn = table_.draw(random);
      if (!was_tried(context.tried, drawn)) return drawn;
    }
    return candidates_.draw_untried(context.tried, random);
  }

  // One to compare `first` with; nullopt if there is no other. When the draws find none, `first` holds most
  // of the weight: then any other one, so that it never goes without a comparison.
  std::optional<std::uint32_t> draw_other(std::uint32_t first, const PickContext& context,
                                          Random& random) const {
    const auto list = candidates_.list();
    if (list.size() == 1) return std::nullopt;
    for (int i = 0; i < kDraws / 2; ++i) {
      const std::uint32_t drawn = table_.draw(random);
      if (drawn != first && !was_tried(context.tried, drawn)) return drawn;
    }
    std::size_t place = random.below(static_cast<std::uint32_t>(list.size()));
    for (std::size_t i = 0; i < list.size(); ++i) {
      if (list[place] != first && !was_tried(context.tried, list[place])) return list[place];
      place = place + 1 < list.size() ? place + 1 : 0;
    }
    return std::nullopt;
  }

  // Whether `second` is strictly better than `first`.
  bool better(std::uint32_t second, std::uint32_t first, const PickContext& context, Random& random) const {
    const Load a = load_of(second, context);
    const Load b = load_of(first, context);
    const double latency_a = use_latency_ ? latency(a, context.now) : 1.0;
    const double latency_b = use_latency_ ? latency(b, context.now) : 1.0;
    const std::uint64_t weight_a = candidates_.weight(second);
    const std::uint64_t weight_b = candidates_.weight(first);
    if (a.in_flight * weight_b == b.in_flight * weight_a) return latency_a < latency_b;
    const std::uint64_t bits = random.next();
    const double part_a = static_cast<double>(bits >> 32U) * 0x1p-32;
    const double part_b = static_cast<double>(bits & 0xffffffffU) * 0x1p-32;
    return latency_a * queue(a.in_flight + part_a, static_cast<double>(weight_a)) <
           latency_b * queue(b.in_flight + part_b, static_cast<double>(weight_b));
  }

  static Load load_of(std::uint32_t endpoint, const PickContext& context) {
    return endpoint < context.loads.size() ? context.loads[endpoint] : Load{};
  }

  // How many response times a request would take here: its own, and those before it. Weight 1 is the average
  // endpoint.
  double queue(double in_flight, double weight) const { return 1.0 + in_flight * mean_weight_ / weight; }

  // One whose latency is not known and that has nothing to do is asked first, and then not again before it
  // answers.
  static double latency(const Load& load, TimePoint now) {
    const double seconds = Ewma::decayed(load.latency_seconds, now - load.latency_at);
    if (seconds > 0.0 || load.in_flight == 0) return seconds;
    return std::chrono::duration<double>(Ewma::kDefaultRtt).count();
  }

  bool use_latency_;
  double mean_weight_ = 1.0;
  Candidates candidates_;
  AliasTable table_;
};

}  // namespace

std::unique_ptr<Balancer> make_two_choices(bool use_latency) {
  return std::make_unique<TwoChoices>(use_latency);
}

}  // namespace remora::lb
