// Scripts for tests/support/chaos.cc, whose operations they are made of.
#include <algorithm>
#include <array>
#include <initializer_list>
#include <string>

#include "base/random.h"
#include "tests/support/chaos.h"
#include "tests/support/chaos_words.h"

namespace remora::testing {

namespace {

// Writes scripts: scenes that mean something, so that what breaks them meets something.
class Author final {
 public:
  explicit Author(std::uint64_t seed) : random_(seed) {}

  std::string write() {
    const std::uint32_t trouble = 1 + random_.below(5);  // of ten scenes, so many are trouble
    for (std::uint32_t b = 0; b < 4; ++b) answers(b, kGood + random_.below(2));
    const std::uint32_t scenes = 10 + random_.below(50);
    for (std::uint32_t i = 0; i < scenes; ++i) {
      if (random_.below(10) < trouble) {
        put({11 + random_.below(13), any(), any(), any()});
      } else {
        scene();
      }
    }
    return std::move(script_);
  }

 private:
  static constexpr std::uint32_t kGood = 1;    // 1 and 2: see Run::answer_by_itself
  static constexpr std::uint32_t kError = 13;  // 500

  std::uint32_t any() { return random_.below(256); }
  void put(std::initializer_list<std::uint32_t> bytes) {
    for (const auto byte : bytes) script_ += static_cast<char>(byte);
  }
  void answers(std::uint32_t backend, std::uint32_t with) { put({16, backend + 4 * with}); }
  void pass(std::uint32_t span) { put({9, span}); }
  void connect(std::uint32_t listener) {
    put({0, listener + 6 * random_.below(30)});
    clients_ = std::min<std::uint32_t>(clients_ + 1, kMostClients);
  }
  // By the client that came last.
  void ask(std::uint32_t request) { put({1, clients_ - 1, request}); }

  void scene() {
    constexpr std::array<std::uint32_t, 14> kUsual{0, 0, 0, 2, 2, 3, 5, 7, 8, 13, 14, 20, 21, 26};
    switch (random_.below(10)) {
      case 0:  // a few at once
        for (std::uint32_t i = 0; i < 4; ++i) {
          connect(random_.below(2));
          ask(kUsual[random_.below(kUsual.size())]);
        }
        return pass(random_.below(2));
      case 1: {  // one after the other on one connection, wherever that leads
        connect(random_.below(6));
        for (std::uint32_t i = random_.below(5); i > 0; --i) ask(kUsual[random_.below(kUsual.size())]);
        return;
      }
      case 2: {  // late answers: hedges, timeouts of tries
        const std::uint32_t late = random_.below(2);
        answers(late, 0);
        connect(0);
        ask(21);
        pass(1 + random_.below(2));
        return answers(late, kGood);
      }
      case 3: {  // errors in a row: breakers, ejections
        for (std::uint32_t b = 0; b < 3; ++b) answers(b, b == 0 || any() < 64 ? kError : kGood);
        for (std::uint32_t i = 0; i < 12; ++i) {
          connect(0);
          ask(0);
          pass(0);
        }
        pass(2);
        pass(random_.below(4));
        for (std::uint32_t b = 0; b < 3; ++b) answers(b, kGood);
        return;
      }
      case 4:  // a tunnel through HTTP, when nothing comes between
        for (std::uint32_t b = 0; b < 2; ++b) answers(b, 0);
        connect(0);
        ask(random_.below(2) == 0 ? 9 : 23);
        for (std::uint32_t b = 0; b < 2; ++b) put({4, b, 0, 9});
        for (std::uint32_t b = 0; b < 2; ++b) answers(b, kGood);
        ask(any());
        return put({4, random_.below(2), 0, any()});
      case 5:  // one without HTTP
        connect(2);
        ask(28);
        return put({5, 1 + random_.below(2), 0, any()});
      case 6: return put({4 + random_.below(5), any(), any(), any()});
      case 7: return put({1 + random_.below(3), any(), any(), any()});
      default: return pass(random_.below(4));
    }
  }

  Random random_;
  std::string script_{kKnowsAll};
  std::uint32_t clients_ = 0;
};

}  // namespace

std::string chaos_script(std::uint64_t seed) { return Author(seed).write(); }

}  // namespace remora::testing
