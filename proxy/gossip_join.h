// Finding the pool: asks the members of `join`, and those remembered from before, until one answers; and goes
// on asking, seldom, those of `join` that are not in the pool: two pools that began apart find each other.
//
//   round   names are looked up, then everybody is asked, kAtOnce at a time; the first answer ends it
//   pause   kFirst after a round that found nobody, doubling to kLast; kSeldom while there are others
//
// Thread: the control thread. Owner: Gossip.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/timer_wheel.h"
#include "config/config.h"
#include "proxy/net/resolver.h"

namespace remora::proxy {

class GossipJoin final {
 public:
  static constexpr std::size_t kAtOnce = 3;
  static constexpr Duration kFirst = 1s;
  static constexpr Duration kLast = 30s;
  static constexpr Duration kSeldom = 60s;
  static constexpr Duration kPatience = 5s;

  using Resolve =
      std::function<std::unique_ptr<net::Resolver::Query>(const std::string&, net::Resolver::Callback)>;
  struct Ways {
    Resolve resolve;
    // It is ourselves, or a member that is alive.
    std::function<bool(const Address&)> known;
    // There is nobody else in the pool.
    std::function<bool()> alone;
    // Asks this address; on_result() follows, not inside the call.
    std::function<void(const Address&)> ask;
    // settled() has become true.
    std::function<void()> settled;
  };

  GossipJoin(TimerWheel& wheel, Random& random, const std::vector<config::Endpoint>& join, Ways ways);
  ~GossipJoin();
  GossipJoin(const GossipJoin&) = delete;
  GossipJoin& operator=(const GossipJoin&) = delete;

  // `remembered`: asked in the first round, and while we are alone.
  void start(std::vector<Address> remembered);
  void stop();
  void on_result(const Address& to, bool joined, std::string_view problem);

  // The first round is over, or kPatience is: we are in, or nobody answers.
  bool settled() const { return settled_; }

 private:
  void begin();
  void on_resolved(std::size_t index, Result<net::Answer> answer);
  void go_on();
  void end();
  void settle();
  void want(const Address& address);

  TimerWheel& wheel_;
  Random& random_;
  const std::vector<config::Endpoint>& join_;
  Ways ways_;
  std::vector<Address> remembered_;
  std::vector<std::unique_ptr<net::Resolver::Query>> queries_;  // by their places in join_; null: none
  std::deque<Address> waiting_;
  std::vector<Address> asked_;  // and not answered yet
  std::string problem_;         // the last one of this round
  std::size_t tried_ = 0;
  Duration pause_ = kFirst;
  bool under_way_ = false;
  bool settled_ = false;
  bool told_ = false;  // that nobody answers
  MemberTimer<GossipJoin, &GossipJoin::begin> timer_{*this};
  MemberTimer<GossipJoin, &GossipJoin::settle> patience_timer_{*this};
};

}  // namespace remora::proxy
