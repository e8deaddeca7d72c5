// The exchanges of one worker: those under way, and those at rest that keep their memory for the next
// request.
//
// Thread: the worker's. Owner: Worker. Destroyed only when no exchange is under way.
#pragma once

#include <memory>
#include <vector>

#include "base/slot_list.h"
#include "proxy/exchange.h"

namespace remora::proxy {

class ExchangePool final : public Exchange::Owner, private TurnTask {
 public:
  ExchangePool(Env& env, AccessLog& log) : env_(env), log_(log) {}

  Exchange& take() {
    if (free_.empty()) return new_exchange();
    Exchange* exchange = free_.back();
    free_.pop_back();
    ++active_;
    return *exchange;
  }

  std::size_t active() const { return active_; }

 private:
  static constexpr std::size_t kMostFree = 1024;

  Exchange& new_exchange() {
    ++active_;
    return all_.add(std::make_unique<Exchange>(env_, log_, *this));
  }

  // Its own code is still on the stack: it is made ready at the end of the turn.
  void on_exchange_done(Exchange& exchange) override {
    --active_;
    done_.push_back(&exchange);
    env_.turn.defer(*this);
  }

  void at_end_of_turn() override {
    for (Exchange* exchange : done_) {
      if (free_.size() < kMostFree) {
        exchange->recycle();
        free_.push_back(exchange);
      } else {
        env_.turn.bury(all_.take(*exchange));
      }
    }
    done_.clear();
  }

  Env& env_;
  AccessLog& log_;
  SlotList<Exchange> all_;
  std::vector<Exchange*> free_;
  std::vector<Exchange*> done_;
  std::size_t active_ = 0;
};

}  // namespace remora::proxy
