#include "base/turn.h"

#include <doctest/doctest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>

using namespace remora;

namespace {

class CallbackTask final : public TurnTask {
 public:
  explicit CallbackTask(std::function<void()> callback) : callback_(std::move(callback)) {}
  void at_end_of_turn() override { callback_(); }

 private:
  std::function<void()> callback_;
};

struct Dying {
  std::function<void()> last_words;
  ~Dying() { last_words(); }
};

std::unique_ptr<Dying> dying(std::function<void()> last_words) {
  return std::unique_ptr<Dying>(new Dying{std::move(last_words)});
}

}  // namespace

TEST_SUITE("turn") {
  TEST_CASE("deferred tasks run once, in order, at the end") {
    Turn turn;
    std::string log;
    CallbackTask a([&] { log += "a"; });
    CallbackTask b([&] { log += "b"; });
    turn.defer(b);
    turn.defer(a);
    turn.defer(b);
    CHECK(log.empty());
    CHECK_FALSE(turn.idle());
    turn.finish();
    CHECK(log == "ba");
    CHECK(turn.idle());
    turn.finish();
    CHECK(log == "ba");
  }

  TEST_CASE("what is buried dies after the tasks have run") {
    Turn turn;
    std::string log;
    CallbackTask task([&] { log += "task "; });
    turn.bury(dying([&] { log += "grave "; }));
    turn.defer(task);
    turn.finish();
    CHECK(log == "task grave ");
  }

  TEST_CASE("burying nothing is allowed") {
    Turn turn;
    turn.bury(std::unique_ptr<Dying>());
    CHECK(turn.idle());
  }

  TEST_CASE("tasks may defer tasks and bury, destructors too, and all of it belongs to the same turn") {
    Turn turn;
    std::string log;
    CallbackTask second([&] { log += "2"; });
    CallbackTask third([&] { log += "3"; });
    CallbackTask first([&] {
      log += "1";
      turn.defer(second);
      turn.bury(dying([&] {
        log += "x";
        turn.defer(third);
        turn.bury(dying([&] { log += "y"; }));
      }));
    });
    turn.defer(first);
    turn.finish();
    CHECK(log == "12x3y");
    CHECK(turn.idle());
  }

  TEST_CASE("a task that defers itself runs again") {
    Turn turn;
    int runs = 0;
    CallbackTask* self = nullptr;
    CallbackTask task([&] {
      if (++runs < 3) turn.defer(*self);
    });
    self = &task;
    turn.defer(task);
    turn.finish();
    CHECK(runs == 3);
  }

  TEST_CASE("a destroyed task does not run") {
    Turn turn;
    std::string log;
    CallbackTask before([&] { log += "before "; });
    auto doomed = std::make_unique<CallbackTask>([&] { log += "doomed "; });
    CallbackTask killer([&] { doomed.reset(); });
    CallbackTask after([&] { log += "after "; });
    turn.defer(before);
    turn.defer(killer);
    turn.defer(*doomed);
    turn.defer(after);
    turn.finish();
    CHECK(log == "before after ");
  }

  TEST_CASE("finish inside finish does nothing") {
    Turn turn;
    std::string log;
    CallbackTask second([&] { log += "2"; });
    CallbackTask first([&] {
      turn.defer(second);
      turn.finish();
      log += "1";
    });
    turn.defer(first);
    turn.bury(dying([&] {
      turn.finish();
      log += "x";
    }));
    turn.finish();
    CHECK(log == "12x");
  }

  TEST_CASE("a turn that ends early lets its dead die and forgets its tasks") {
    std::string log;
    CallbackTask task([&] { log += "task"; });
    {
      Turn turn;
      turn.defer(task);
      turn.bury(dying([&] { log += "grave"; }));
    }
    CHECK(log == "grave");
    Turn other;
    other.defer(task);
    other.finish();
    CHECK(log == "gravetask");
  }
}
