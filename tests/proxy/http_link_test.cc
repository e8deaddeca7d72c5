// Long because all the ways in which a link ends stand together.
#include "proxy/http_link.h"

#include <doctest/doctest.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/test_env.h"

using namespace remora;
using namespace remora::proxy;
using remora::testing::TestEnv;
using Fate = http::Codec::Fate;

namespace {

// What happened to a stream; outlives it.
struct Wire {
  std::vector<std::string> sends;  // one per call
  std::size_t queued = 0;          // what the stream says
  net::Stream::Events* events = nullptr;
  bool last = false;     // so it was said of the latest send
  bool answers = false;  // see end_is_answered
  bool ended = false;
  bool was_reset = false;
  bool paused = false;
  int pauses = 0;
  bool alive = false;
};

class WireStream final : public net::Stream {
 public:
  explicit WireStream(Wire& wire) : wire_(wire) { wire_.alive = true; }
  ~WireStream() override { wire_.alive = false; }
  void set_events(Events* events) override { wire_.events = events; }
  bool send(std::span<const std::string_view> pieces) override {
    auto& all = wire_.sends.emplace_back();
    REQUIRE_FALSE(wire_.ended);
    for (const auto piece : pieces) all += piece;
    return wire_.queued <= std::size_t{256} * 1024;
  }
  bool send_last(std::span<const std::string_view> pieces) override {
    wire_.last = true;
    return send(pieces);
  }
  void end() override { wire_.ended = true; }
  bool end_is_answered() const override { return wire_.answers; }
  void reset() override { wire_.was_reset = true; }
  void pause() override {
    wire_.paused = true;
    ++wire_.pauses;
  }
  void resume() override { wire_.paused = false; }
  std::size_t queued() const override { return wire_.queued; }
  const Address& peer() const override { return peer_; }
  Address local() const override { return {}; }

 private:
  Wire& wire_;
  Address peer_ = *Address::parse("10.9.9.9:999");
};

// A codec that does what the test says.
struct ScriptedCodec final : http::Codec {
  void feed(std::string_view bytes) override {
    fed += bytes;
    if (when_fed) when_fed();
  }
  void feed_end() override { ended = true; }
  void proceed() override { ++proceeds; }
  void on_writable() override { ++writables; }
  void on_closed(const Error& error) override { closed = error; }
  bool wants_input() const override { return wants; }
  Fate fate() const override { return fate_now; }
  std::size_t active() const override { return 0; }

  std::function<void()> when_fed;
  std::string fed;
  bool ended = false;
  int proceeds = 0;
  int writables = 0;
  std::optional<Error> closed;
  bool wants = true;
  Fate fate_now = Fate::kOpen;
};

struct Fixture final : HttpLink::Owner {
  Fixture() {
    link = std::make_unique<HttpLink>(t.env, *this, &bytes);
    link->start(std::make_unique<WireStream>(wire), codec);
  }
  void on_link_open() override { ++opens; }
  void on_link_turn() override { ++turns; }
  void on_link_closed(const Error* error) override {
    ++closes;
    if (error != nullptr) why = *error;
    t.turn.bury(std::move(link));  // as every owner does
  }
  void event(const std::function<void()>& what) {
    what();
    t.turn.finish();
  }
  void data(std::string_view text) {
    event([&] { wire.events->on_data(text); });
  }
  void change(Fate fate) {
    event([&] {
      codec.fate_now = fate;
      link->codec_changed();
    });
  }

  TestEnv t;
  Wire wire;
  ScriptedCodec codec;
  WireBytes bytes;
  std::unique_ptr<HttpLink> link;
  int opens = 0;
  int turns = 0;
  int closes = 0;
  std::optional<Error> why;
};

const Error kReset(ErrorCode::kReset, Side::kInternal);

}  // namespace

TEST_CASE("the small writes of one event are one send, after the event") {
  Fixture f;
  f.event([&] {
    CHECK(f.link->write("one "));
    CHECK(f.link->write("two "));
    CHECK(f.link->write_through("[", "three", "]"));
    CHECK(f.wire.sends.empty());
  });
  CHECK(f.wire.sends == std::vector<std::string>{"one two [three]"});
  f.event([&] { f.link->write("next"); });
  CHECK(f.wire.sends.size() == 2);
  CHECK(f.bytes.sent == 15 + 4);
}

TEST_CASE("what is written while bytes are fed goes out once") {
  Fixture f;
  f.codec.when_fed = [&] {
    f.link->write("a");
    f.link->write("b");
  };
  f.data("request");
  CHECK(f.codec.fed == "request");
  CHECK(f.wire.sends == std::vector<std::string>{"ab"});
  CHECK(f.bytes.received == 7);
  CHECK(f.turns == 1);
  CHECK(f.codec.proceeds == 1);
}

TEST_CASE("a large piece goes out at once, behind what was joined before, in order and in one send") {
  Fixture f;
  const std::string large(100'000, 'x');
  f.event([&] {
    f.link->write("head");
    f.link->write_through("<", large, ">");
    CHECK(f.wire.sends == std::vector<std::string>{"head<" + large + ">"});
    f.link->write("tail");
  });
  REQUIRE(f.wire.sends.size() == 2);
  CHECK(f.wire.sends[1] == "tail");
  CHECK(f.bytes.sent == 4 + 1 + 100'000 + 1 + 4);
}

TEST_CASE("many small writes in one event do not pile up without bound") {
  Fixture f;
  f.event([&] {
    for (int i = 0; i < 1000; ++i) f.link->write(std::string(1000, 'x'));
  });
  CHECK(f.wire.sends.size() > 5);
  std::size_t all = 0;
  for (const auto& send : f.wire.sends) {
    CHECK(send.size() <= 70'000);
    all += send.size();
  }
  CHECK(all == 1'000'000);
}

TEST_CASE("a write says when more than the high-water mark waits, the queue and the joined bytes together") {
  Fixture f;
  f.event([&] {
    f.wire.queued = 256 * 1024 - 10;
    CHECK(f.link->write("12345"));
    CHECK(f.link->write("67890"));  // exactly at the mark the stream would never call on_writable
    CHECK_FALSE(f.link->write("1"));
    f.wire.queued = 300 * 1024;
    CHECK_FALSE(f.link->write_through("", std::string(10'000, 'x'), ""));
  });
  f.wire.queued = 0;
  f.event([&] { f.wire.events->on_writable(); });
  CHECK(f.codec.writables == 1);
}

TEST_CASE(
    "a sender told to stop for bytes that then left at once is told to go on without the stream's help") {
  Fixture f;
  f.event([&] {
    f.wire.queued = 256 * 1024 - 10;
    CHECK_FALSE(f.link->write("more than ten bytes"));
    CHECK_FALSE(f.link->write("x"));
    f.wire.queued = 0;  // the kernel takes all of it
  });
  CHECK(f.codec.writables == 1);
  f.event([&] { CHECK(f.link->write("y")); });
  CHECK(f.codec.writables == 1);
}

TEST_CASE("reading pauses while the codec wants no input") {
  Fixture f;
  f.codec.wants = false;
  f.data("x");
  CHECK(f.wire.paused);
  f.event([&] { f.link->codec_changed(); });
  CHECK(f.wire.paused);
  CHECK(f.wire.pauses == 1);  // said once
  f.event([&] {
    f.codec.wants = true;
    f.link->codec_changed();
  });
  CHECK_FALSE(f.wire.paused);
}

TEST_CASE("a peer's end is the codec's to judge") {
  Fixture f;
  f.event([&] { f.wire.events->on_end(); });
  CHECK(f.codec.ended);
  CHECK(f.closes == 0);
  f.event([&] { f.link->write("still answering"); });
  CHECK(f.wire.sends.size() == 1);
}

TEST_CASE("a half-close sends what was joined first and goes on reading") {
  Fixture f;
  f.event([&] {
    f.link->write("last");
    f.link->end();
    CHECK(f.wire.sends == std::vector<std::string>{"last"});
    CHECK(f.wire.ended);
  });
  f.data("from the other side");
  CHECK(f.codec.fed == "from the other side");
}

TEST_CASE("closing sends everything, then FIN, then waits for the peer's") {
  Fixture f;
  f.event([&] {
    f.link->write("bye");
    f.codec.fate_now = Fate::kClose;
    f.codec.wants = false;
    f.link->codec_changed();
  });
  CHECK(f.wire.sends == std::vector<std::string>{"bye"});
  CHECK(f.wire.ended);
  CHECK_FALSE(f.wire.paused);  // else its end would never be seen
  CHECK(f.closes == 0);
  f.data("ignored");
  CHECK(f.codec.fed.empty());
  SUBCASE("which comes") {
    f.event([&] { f.wire.events->on_end(); });
  }
  SUBCASE("or a reset") {
    f.event([&] { f.wire.events->on_closed(kReset); });
  }
  SUBCASE("or does not, for two seconds") {
    f.t.run_for(1900ms);
    CHECK(f.closes == 0);
    f.t.run_for(200ms);
  }
  CHECK(f.closes == 1);
  CHECK_FALSE(f.why.has_value());
  CHECK_FALSE(f.codec.closed.has_value());
  CHECK_FALSE(f.wire.alive);
  CHECK_FALSE(f.wire.was_reset);
  CHECK(f.t.wheel.size() == 0);
}

TEST_CASE("closing when the peer has ended already does not wait for it") {
  Fixture f;
  f.event([&] { f.wire.events->on_end(); });
  f.change(Fate::kClose);
  CHECK(f.closes == 1);
  CHECK_FALSE(f.wire.alive);
}

TEST_CASE("a peer that sends no more is not waited for") {
  Fixture f;
  const auto finish = [&f](std::string_view last) {
    f.event([&] {
      if (!last.empty()) f.link->write(last);
      f.codec.fate_now = Fate::kFinish;
      f.link->codec_changed();
    });
  };
  SUBCASE("once the last bytes are out") {
    finish("bye");
    CHECK(f.wire.sends == std::vector<std::string>{"bye"});
    CHECK(f.wire.last);
    CHECK_FALSE(f.wire.ended);  // the close says it
  }
  SUBCASE("but the queue is") {
    f.wire.queued = 1000;
    finish("bye");
    CHECK(f.closes == 0);
    SUBCASE("until it has drained") {
      f.wire.queued = 0;
      f.event([&] { f.wire.events->on_drained(); });
      CHECK_FALSE(f.wire.ended);
    }
    SUBCASE("for as long as it moves") { f.t.run_for(31s); }
  }
  SUBCASE("whenever they went out") {
    f.event([&] { f.link->write("bye"); });
    finish({});
    CHECK_FALSE(f.wire.ended);
  }
  SUBCASE("unless its stream answers an end, which must not meet a closed socket") {
    f.wire.answers = true;
    finish("bye");
    CHECK(f.wire.ended);
    CHECK(f.closes == 0);
    f.event([&] { f.wire.events->on_end(); });
  }
  CHECK(f.closes == 1);
  CHECK_FALSE(f.why.has_value());
  CHECK_FALSE(f.wire.alive);
  CHECK_FALSE(f.wire.was_reset);
  CHECK(f.t.wheel.size() == 0);
}

TEST_CASE("closing waits for the queue to drain before the FIN") {
  Fixture f;
  f.wire.queued = 1000;
  f.change(Fate::kClose);
  CHECK_FALSE(f.wire.ended);
  SUBCASE("and goes on when it has") {
    f.wire.queued = 0;
    f.event([&] { f.wire.events->on_drained(); });
    CHECK(f.wire.ended);
    CHECK(f.closes == 0);
    f.t.run_for(3s);
    CHECK(f.closes == 1);
  }
  SUBCASE("but not for ever") {
    f.t.run_for(29s);
    CHECK(f.closes == 0);
    f.t.run_for(2s);
    CHECK(f.closes == 1);
  }
  SUBCASE("and a peer that has ended meanwhile is not lingered over") {
    f.event([&] { f.wire.events->on_end(); });
    CHECK(f.closes == 0);
    f.wire.queued = 0;
    f.event([&] { f.wire.events->on_drained(); });
    CHECK(f.closes == 1);
  }
  SUBCASE("and a peer that resets meanwhile ends it") {
    f.event([&] { f.wire.events->on_closed(kReset); });
    CHECK(f.closes == 1);
  }
  CHECK_FALSE(f.wire.alive);
  CHECK(f.t.wheel.size() == 0);
}

TEST_CASE("what is sent before a close is sent as the last, and nothing else is") {
  Fixture f;
  f.event([&] { f.link->write("more to come"); });
  CHECK_FALSE(f.wire.last);
  f.event([&] {
    f.link->write("bye");
    f.codec.fate_now = Fate::kClose;
  });
  CHECK(f.wire.sends == std::vector<std::string>{"more to come", "bye"});
  CHECK(f.wire.last);
  CHECK(f.wire.ended);
}

TEST_CASE("an abort resets at once, without the codec being told what it wished") {
  Fixture f;
  f.change(Fate::kAbort);
  CHECK(f.wire.was_reset);
  CHECK(f.closes == 1);
  CHECK_FALSE(f.why.has_value());
  CHECK_FALSE(f.codec.closed.has_value());
  CHECK_FALSE(f.wire.alive);
}

TEST_CASE("a connection that fails is told to the codec and then to the owner") {
  Fixture f;
  f.event([&] { f.wire.events->on_closed(kReset); });
  REQUIRE(f.codec.closed.has_value());
  CHECK(f.codec.closed->code == ErrorCode::kReset);
  REQUIRE(f.why.has_value());
  CHECK(f.why->code == ErrorCode::kReset);
  CHECK(f.closes == 1);
  CHECK_FALSE(f.wire.alive);
}

TEST_CASE("closing by the owner is silent, and nothing is written any more") {
  Fixture f;
  f.event([&] {
    f.link->write("lost");
    f.link->close(false);
    CHECK(f.link->write("ignored"));
    CHECK(f.link->write_through("", std::string(10'000, 'x'), ""));
    f.link->end();
    f.link->close(true);
  });
  CHECK(f.link->closed());
  CHECK(f.wire.sends.empty());
  CHECK_FALSE(f.wire.was_reset);
  CHECK_FALSE(f.wire.alive);
  CHECK(f.closes == 0);
}

TEST_CASE("a link that dies with its event under way does not run it") {
  Fixture f;
  f.event([&] {
    f.link->write("lost");
    f.link.reset();
  });
  CHECK(f.wire.sends.empty());
  CHECK_FALSE(f.wire.alive);
}

TEST_CASE("a dialled connection says when it is open") {
  Fixture f;
  f.event([&] { f.wire.events->on_open(); });
  CHECK(f.opens == 1);
}

TEST_CASE("the buffer of an event goes back to the pool at its end") {
  Fixture f;
  for (int i = 0; i < 3; ++i) f.event([&] { f.link->write(std::string(6'000, 'x')); });
  const auto pooled = f.t.buffers.take();
  CHECK(pooled->capacity() >= 6'000);  // the same one every time
  CHECK(f.t.buffers.take()->capacity() < 6'000);
}
