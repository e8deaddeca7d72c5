#include "proxy/gossip_join.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace remora::proxy {

GossipJoin::GossipJoin(TimerWheel& wheel, Random& random, const std::vector<config::Endpoint>& join,
                       Ways ways)
    : wheel_(wheel), random_(random), join_(join), ways_(std::move(ways)), queries_(join.size()) {}

GossipJoin::~GossipJoin() = default;

void GossipJoin::start(std::vector<Address> remembered) {
  remembered_ = std::move(remembered);
  wheel_.arm_in(patience_timer_, kPatience);
  begin();
}

void GossipJoin::stop() {
  timer_.cancel();
  patience_timer_.cancel();
  waiting_.clear();
  for (auto& query : queries_) query.reset();
}

void GossipJoin::want(const Address& address) {
  const bool again = std::ranges::find(waiting_, address) != waiting_.end() ||
                     std::ranges::find(asked_, address) != asked_.end();
  if (!again && !ways_.known(address)) waiting_.push_back(address);
}

void GossipJoin::begin() {
  under_way_ = true;
  tried_ = 0;
  problem_.clear();
  for (std::size_t i = 0; i < join_.size(); ++i) {
    if (join_[i].address) {
      want(*join_[i].address);
      continue;
    }
    queries_[i] = ways_.resolve(join_[i].host->host,
                                [this, i](Result<net::Answer> answer) { on_resolved(i, std::move(answer)); });
  }
  if (ways_.alone()) {
    for (const Address& address : remembered_) want(address);
  }
  go_on();
}

void GossipJoin::on_resolved(std::size_t index, Result<net::Answer> answer) {
  const auto query = std::move(queries_[index]);  // lives until the end of its callback
  if (answer) {
    for (Address address : answer->addresses) {
      address.set_port(join_[index].host->port);
      want(address);
    }
  } else {
    problem_ = join_[index].name + ": " + answer.error().detail;
    ++tried_;
  }
  go_on();
}

void GossipJoin::go_on() {
  while (!waiting_.empty() && asked_.size() < kAtOnce) {
    const Address next = std::move(waiting_.front());
    waiting_.pop_front();
    ++tried_;
    asked_.push_back(next);
    ways_.ask(next);
  }
  const bool resolving = std::ranges::any_of(queries_, [](const auto& query) { return query != nullptr; });
  if (under_way_ && !resolving && asked_.empty()) end();
}

void GossipJoin::on_result(const Address& to, bool joined, std::string_view problem) {
  const auto asked = std::ranges::find(asked_, to);
  if (asked == asked_.end()) return;
  asked_.erase(asked);
  if (joined) {
    log_info("joined the mesh", {{"by", to.to_string()}});
    waiting_.clear();  // they are in the same pool, or are asked in the next round
  } else {
    problem_ = to.to_string() + ": " + std::string(problem);
  }
  go_on();
}

void GossipJoin::end() {
  under_way_ = false;
  const bool lonely = ways_.alone();
  if (!lonely) {
    told_ = false;
    pause_ = kFirst;
  } else if (tried_ > 0 && !std::exchange(told_, true)) {
    log_warn("nobody to join in the mesh yet", {{"tried", std::to_string(tried_)}, {"reason", problem_}});
  }
  // Up to a tenth less, so that many do not ask together for ever.
  const Duration pause = lonely ? std::exchange(pause_, std::min<Duration>(pause_ * 2, kLast)) : kSeldom;
  wheel_.arm_in(timer_, pause - Duration{random_.below(static_cast<std::uint32_t>(pause.count() / 10))});
  settle();
}

void GossipJoin::settle() {
  patience_timer_.cancel();
  if (!std::exchange(settled_, true)) ways_.settled();
}

}  // namespace remora::proxy
