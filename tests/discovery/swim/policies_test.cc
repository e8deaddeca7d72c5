// The parts of membership that are numbers: suspicion, its formulas, the order of news.
#include <doctest/doctest.h>

#include "discovery/swim/broadcasts.h"
#include "discovery/swim/settings.h"
#include "discovery/swim/suspicion.h"
#include "tests/support/start.h"

namespace remora::discovery::swim {
namespace {

TEST_CASE("swim: the time of a suspect is what memberlist gives it") {
  const Settings lan;
  CHECK(suspicion_least(lan, 5) == 4s);
  CHECK(suspicion_least(lan, 10) == 4s);
  CHECK(suspicion_least(lan, 50) == 4 * 1698ms);
  CHECK(suspicion_least(lan, 100) == 8s);
  CHECK(suspicion_least(lan, 1000) == 12s);
  CHECK(suspicion_least(Settings::wan(), 10) == 30s);
  CHECK(suspicion_least(Settings::local(), 10) == 3s);
  for (const std::size_t members : {1U, 2U, 3U}) CHECK(suspicion_confirmations(lan, members) == 0);
  CHECK(suspicion_confirmations(lan, 4) == 2);
  CHECK(suspicion_confirmations(Settings::wan(), 5) == 0);
  CHECK(suspicion_confirmations(Settings::wan(), 6) == 4);
  CHECK(retransmit_limit(lan, 5) == 4);
  CHECK(retransmit_limit(lan, 9) == 4);
  CHECK(retransmit_limit(lan, 10) == 8);
  CHECK(retransmit_limit(lan, 999) == 12);
  CHECK(push_pull_every(lan, 32) == 30s);
  CHECK(push_pull_every(lan, 33) == 60s);
  CHECK(push_pull_every(lan, 64) == 60s);
  CHECK(push_pull_every(lan, 65) == 90s);
}

TEST_CASE("swim: each accuser that confirms shortens the time, the same one twice does not") {
  Suspicion suspicion(2, 4s, 24s, "a", kStart);
  CHECK(suspicion.deadline() - kStart == 24s);
  CHECK_FALSE(suspicion.confirm("a"));
  CHECK(suspicion.confirm("b"));
  CHECK_FALSE(suspicion.confirm("b"));
  CHECK(suspicion.deadline() - kStart == 11381ms);
  CHECK(suspicion.confirm("c"));
  CHECK(suspicion.deadline() - kStart == 4s);
  CHECK_FALSE(suspicion.confirm("d"));
  suspicion.extend(1s);
  CHECK(suspicion.deadline() - kStart == 5s);
  CHECK(Suspicion(0, 4s, 24s, "a", kStart).deadline() - kStart == 4s);
  // The cases of memberlist's own test: two to thirty seconds, three confirmations wanted.
  Suspicion three(3, 2s, 30s, "me", kStart);
  three.confirm("b");
  CHECK(three.timeout() == 16s);
  three.confirm("c");
  CHECK(three.timeout() == 7810ms);
}

std::vector<std::string> collect(Broadcasts& news, std::size_t room, unsigned limit) {
  std::vector<std::string_view> out;
  news.collect(room, 2, 255, limit, out);
  return {out.begin(), out.end()};
}

using Lines = std::vector<std::string>;

TEST_CASE(
    "swim: news goes out least sent first, then the largest that fits, then the newest, and so often only") {
  Broadcasts news;
  news.queue("a", "aaaa");
  news.queue("b", "bb");
  news.queue("c", "cc");
  CHECK(collect(news, 6, 3) == Lines{"aaaa"});
  CHECK(collect(news, 9, 3) == Lines{"cc", "bb"});
  CHECK(collect(news, 5, 3) == Lines{"cc"});
  CHECK(collect(news, 100, 3) == Lines{"aaaa", "bb", "cc"});
  CHECK(news.size() == 2);
  CHECK(collect(news, 100, 3) == Lines{"aaaa", "bb"});
  CHECK(news.empty());
  CHECK_FALSE(news.has("a"));
}

TEST_CASE("swim: news told to who may not hear it is still to be told") {
  Broadcasts news;
  news.queue("a", "news");
  for (int i = 0; i < 3; ++i) CHECK(collect(news, 100, Broadcasts::kUncounted) == Lines{"news"});
  CHECK(collect(news, 100, 1) == Lines{"news"});
  CHECK(news.empty());
}

TEST_CASE("swim: news about a member replaces older news about it, and begins anew") {
  Broadcasts news;
  news.queue("a", "suspect");
  CHECK(collect(news, 100, 2) == Lines{"suspect"});
  news.queue("a", "alive");
  CHECK(news.size() == 1);
  CHECK(collect(news, 100, 2) == Lines{"alive"});
  CHECK(collect(news, 100, 2) == Lines{"alive"});
  CHECK(collect(news, 100, 2).empty());
}

TEST_CASE("swim: what does not fit waits, and does not keep smaller news from going") {
  Broadcasts news;
  news.queue("a", std::string(100, 'a'));
  news.queue("b", std::string(50, 'b'));
  CHECK(collect(news, 60, 4) == Lines{std::string(50, 'b')});
  CHECK(collect(news, 1, 4).empty());
  CHECK(collect(news, 10, 4).empty());
  CHECK(collect(news, 102, 4) == Lines{std::string(100, 'a')});
}

TEST_CASE("swim: the queue of others' news is bounded, and free again once it has been sent") {
  Broadcasts news;
  for (std::size_t i = 0; i < Broadcasts::kUser; ++i) CHECK(news.queue_user("x"));
  CHECK_FALSE(news.queue_user("x"));
  CHECK(collect(news, 1400, 1).size() == 255);
  CHECK(news.queue_user("x"));
}

}  // namespace
}  // namespace remora::discovery::swim
