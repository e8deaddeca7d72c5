#include "proxy/net/background.h"

#include <pthread.h>
#include <unistd.h>

#include <system_error>
#include <utility>

namespace remora::net {

namespace {

// A tenth of the processor time of a thread that competes: enough to end soon, too little to be noticed. On
// Linux niceness belongs to the thread.
constexpr int kNiceness = 10;

}  // namespace

Background::~Background() {
  if (thread_.joinable()) thread_.join();
}

void Background::run(Work work) {
  waiting_.push_back(std::move(work));
  if (!busy_) begin_next();
}

void Background::begin_next() {
  if (thread_.joinable()) thread_.join();
  busy_ = true;
  at_hand_ = std::move(waiting_.front());
  waiting_.pop_front();
  try {
    thread_ = std::thread([this] {
      ::pthread_setname_np(::pthread_self(), "background");
      [[maybe_unused]] const int niceness = ::nice(kNiceness);  // refused: then it is done as it is
      perform();
    });
  } catch (const std::system_error&) {
    perform();
  }
}

void Background::perform() {
  Done done = at_hand_();
  at_hand_ = nullptr;
  loop_.post([this, done = std::move(done)]() mutable {
    busy_ = false;
    if (!waiting_.empty()) begin_next();
    done();
  });
}

}  // namespace remora::net
