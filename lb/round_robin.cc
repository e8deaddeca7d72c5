// Smooth weighted round robin: after any number of picks each endpoint has had its exact share to within one
// pick. When the candidates change, everyone keeps the place between two turns that it had.
//
// An endpoint of weight w among a total of W is due once every P = W / w steps; its k-th turn (from 0) opens
// at step (k + e) P and should be over by (k + 1 - e) P. Of all turns that are open, the one that closes
// first is taken. With e = 1 / (2n - 2) this is Tijdeman's solution of the chairman assignment problem
// (Discrete Mathematics 32, 1980), which proves a deviation of at most 1 - e. Taking the earliest end without
// waiting for turns to open, as plain "earliest deadline first" does, is not smooth: with weights 50, 1, 1,
// ... (50 of them) it serves the first 50 times in a row. nginx's smooth round robin is, but needs O(n) per
// pick.
//
// Endpoints of equal weight share their turns' limits, so they form one group and take their turns in order,
// from a random start (all sidecars would begin with the same endpoint otherwise). Groups that wait for their
// turn to open hang in a wheel of steps, those open in a heap. With a single weight, which is the rule, a
// pick is an increment.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <utility>
#include <vector>

#include "lb/algorithms.h"
#include "lb/candidates.h"

namespace remora::lb {
namespace {

constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();

// The candidates of one weight.
struct Group {
  double weight = 1.0;
  double period = 1.0;                 // P: steps from one turn of a member to its next
  double turn = 0.0;                   // k P: when the current turn begins, in steps
  std::uint32_t next_waiting = kNone;  // the next group in the same place of the wheel
  std::uint32_t next = 0;              // the member whose turn it is
  std::uint32_t taken = 0;             // how many members have had the current turn
  bool started = false;                // `next` has its random start
  bool active = false;  // has members and is in the wheel or the heap; else `turn` counts from its return
  std::vector<std::uint32_t> members;  // ascending
};

// The open groups, the one whose turn closes first on top. A binary heap of our own, as std's cannot replace
// the top in one go, which is what nearly every pick does.
class OpenHeap final {
 public:
  struct Entry {
    double closes;
    std::uint32_t group;
  };

  void reserve(std::size_t n) { entries_.reserve(n + 1); }
  void clear() {
    entries_.clear();
    top_is_gone_ = false;
  }
  bool empty() const { return entries_.size() == (top_is_gone_ ? 1U : 0U); }

  // Not between take() and settle().
  std::uint32_t top() const { return entries_.front().group; }
  // Takes the top away, leaving a hole that the next push() fills.
  void take() { top_is_gone_ = true; }
  // Closes the hole if none has filled it.
  void settle() {
    if (!top_is_gone_) return;
    top_is_gone_ = false;
    const Entry last = entries_.back();
    entries_.pop_back();
    if (!entries_.empty()) sink(last);
  }
  void push(Entry entry) {
    if (top_is_gone_) {
      top_is_gone_ = false;
      sink(entry);
      return;
    }
    std::size_t place = entries_.size();
    entries_.push_back(entry);
    for (; place > 0 && entry.closes < entries_[(place - 1) / 2].closes; place = (place - 1) / 2) {
      entries_[place] = entries_[(place - 1) / 2];
    }
    entries_[place] = entry;
  }

 private:
  // Puts `entry` in the place of the top.
  void sink(Entry entry) {
    const std::size_t size = entries_.size();
    std::size_t place = 0;
    std::size_t child = 1;
    while (child < size) {
      const std::size_t sibling = child + (child + 1 < size ? 1 : 0);
      child += entries_[sibling].closes < entries_[child].closes ? 1 : 0;
      if (entry.closes <= entries_[child].closes) break;
      entries_[place] = entries_[child];
      place = child;
      child = 2 * place + 1;
    }
    entries_[place] = entry;
  }

  std::vector<Entry> entries_;
  bool top_is_gone_ = false;
};

class RoundRobin final : public Balancer {
 public:
  void set_endpoints(std::span<const Endpoint> endpoints) override {
    candidates_.set_endpoints(endpoints);
    groups_.clear();
    group_of_.clear();
    std::map<std::uint32_t, std::uint32_t> group_of_weight;
    for (std::uint32_t i = 0; i < endpoints.size(); ++i) {
      const std::uint32_t weight = candidates_.weight(i);
      const auto [found, is_new] =
          group_of_weight.try_emplace(weight, static_cast<std::uint32_t>(groups_.size()));
      if (is_new) groups_.emplace_back().weight = weight;
      group_of_.push_back(found->second);
    }
    open_.reserve(groups_.size());
    restart();
  }

  void set_candidates(std::span<const std::uint32_t> candidates) override {
    candidates_.set(candidates);
    std::vector<std::vector<std::uint32_t>> members(groups_.size());
    for (const std::uint32_t candidate : candidates_.list())
      members[group_of_[candidate]].push_back(candidate);
    for (std::size_t g = 0; g < groups_.size(); ++g) replace_members(groups_[g], std::move(members[g]));
    restart();
  }

  std::optional<std::uint32_t> pick(const PickContext& context, Random& random) override {
    if (candidates_.empty()) return std::nullopt;
    open_turns();
    const std::uint32_t index = open_.top();
    Group& group = groups_[index];
    if (!group.started) {
      group.next = random.below(static_cast<std::uint32_t>(group.members.size()));
      group.started = true;
    }
    const std::uint32_t picked = group.members[group.next];
    // A turn that falls to a tried endpoint stays its own, for the next request; this one goes to any other.
    if (was_tried(context.tried, picked)) return candidates_.draw_untried(context.tried, random);
    take_turn(group, index);
    return picked;
  }

 private:
  // The members that have had the current turn are those in the order of turns from `first` to before `next`.
  // Whoever joins there waits for the next turn, and whoever leaves takes nothing along.
  static void replace_members(Group& group, std::vector<std::uint32_t> members) {
    const auto size = static_cast<std::uint32_t>(group.members.size());
    const std::uint32_t next = size == 0 ? 0 : group.members[group.next];
    const std::uint32_t first = size == 0 ? 0 : group.members[(group.next + size - group.taken) % size];
    group.members = std::move(members);
    group.next = 0;
    group.taken = 0;
    for (const std::uint32_t member : group.members) {
      if (member < next) ++group.next;
      if (first < next ? first <= member && member < next
                       : first != next && (first <= member || member < next)) {
        ++group.taken;
      }
    }
    if (group.next == group.members.size()) group.next = 0;
    if (group.taken == group.members.size() && group.taken > 0) {
      group.taken = 0;
      group.turn += group.period;
    }
  }

  // Counts steps from 0 again, every group where it was between two of its turns. After a change of the
  // candidates, and before steps become so large that a double would round them.
  void restart() {
    const std::size_t n = candidates_.size();
    margin_ = n > 1 ? 1.0 / (2.0 * static_cast<double>(n) - 2.0) : 0.0;
    const double now = static_cast<double>(step_);
    step_ = 0;
    turn_open_ = false;
    open_.clear();
    wheel_.assign(std::bit_ceil(2 * groups_.size() + 1), kNone);
    for (std::uint32_t g = 0; g < groups_.size(); ++g) {
      Group& group = groups_[g];
      const double turns_ahead = (group.turn - (group.active ? now : 0.0)) / group.period;
      group.period =
          static_cast<double>(std::max<std::uint64_t>(candidates_.total_weight(), 1)) / group.weight;
      group.turn = turns_ahead * group.period;
      group.active = !group.members.empty();
      if (group.active) wait(group, g);
    }
  }

  // Hangs a group into the wheel: in the place of the step its turn opens at, or of the coming one. Turns
  // further away than the wheel's size hang there too and are passed over once a round, which as it has twice
  // as many places as there are groups costs less than one look per step.
  void wait(Group& group, std::uint32_t index) {
    const double opens = std::ceil(group.turn + margin_ * group.period - kRounding);
    const std::uint64_t step =
        opens > static_cast<double>(step_) ? static_cast<std::uint64_t>(opens) : step_ + 1;
    std::uint32_t& place = wheel_[step & (wheel_.size() - 1)];
    group.next_waiting = place;
    place = index;
  }

  // Goes on to the next step and opens the turns that open at it. One is open then, except after a change of
  // candidates that has left everyone ahead of its share: then steps pass until somebody is due.
  void open_turns() {
    if (turn_open_) return;
    do {
      ++step_;
      std::uint32_t waiting = std::exchange(wheel_[step_ & (wheel_.size() - 1)], kNone);
      while (waiting != kNone) {
        Group& group = groups_[waiting];
        const std::uint32_t following = group.next_waiting;
        if (group.turn + margin_ * group.period <= static_cast<double>(step_) + kRounding) {
          open_.push({.closes = group.turn + (1.0 - margin_) * group.period, .group = waiting});
        } else {
          std::uint32_t& place = wheel_[step_ & (wheel_.size() - 1)];
          group.next_waiting = place;
          place = waiting;
        }
        waiting = following;
      }
    } while (open_.empty());
    open_.settle();
    turn_open_ = true;
  }

  // The top of open_ gives one member its turn. The others of the group still have theirs at the same limits.
  void take_turn(Group& group, std::uint32_t index) {
    turn_open_ = false;
    if (++group.next == group.members.size()) group.next = 0;
    if (++group.taken == group.members.size()) {
      group.taken = 0;
      group.turn += group.period;
      open_.take();
      wait(group, index);
    }
    if (step_ >= kMaxStep) restart();
  }

  static constexpr std::uint64_t kMaxStep = std::uint64_t{1} << 20U;
  static constexpr double kRounding = 1e-6;  // what the sums of periods may be off by

  Candidates candidates_;
  std::vector<std::uint32_t> group_of_;  // per endpoint
  std::vector<Group> groups_;            // one per distinct weight, kept while it has no candidates
  std::vector<std::uint32_t> wheel_;     // per step modulo its size, the first group waiting there
  OpenHeap open_;
  std::uint64_t step_ = 0;  // of the latest pick, counted from restart()
  bool turn_open_ = false;  // step_ belongs to a pick still to be made
  double margin_ = 0.0;     // e
};

}  // namespace

std::unique_ptr<Balancer> make_round_robin() { return std::make_unique<RoundRobin>(); }

}  // namespace remora::lb
