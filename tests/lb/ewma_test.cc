#include "lb/ewma.h"

#include <doctest/doctest.h>

#include "tests/support/start.h"

using namespace remora;
using namespace remora::lb;

TEST_CASE("a latency estimate is not known before the first response") {
  CHECK(Ewma().value(kStart) == 0.0);
  CHECK(Ewma().value(TimePoint::min()) == 0.0);
  CHECK(Ewma().value(TimePoint::max()) == 0.0);
}

TEST_CASE("the first response is the estimate, whatever the clock's epoch") {
  for (const TimePoint now : {kStart, TimePoint{-1h}, TimePoint{}}) {
    Ewma ewma;
    ewma.observe(20ms, now);
    CHECK(ewma.value(now) == doctest::Approx(0.020));
  }
}

TEST_CASE("a slower response is believed at once") {
  Ewma ewma;
  ewma.observe(20ms, kStart);
  ewma.observe(500ms, kStart + 1ms);
  CHECK(ewma.value(kStart + 1ms) == doctest::Approx(0.5));
}

TEST_CASE("faster responses pull the estimate down with a time constant of 10 s") {
  Ewma ewma;
  ewma.observe(1s, kStart);
  for (int i = 1; i <= 1'000; ++i) ewma.observe(10ms, kStart + i * 10ms);
  CHECK(ewma.value(kStart + 10s) == doctest::Approx(0.010 + 0.990 * std::exp(-1.0)).epsilon(0.001));
}

TEST_CASE("how often responses come does not change how fast the estimate falls") {
  Ewma often;
  Ewma seldom;
  often.observe(1s, kStart);
  seldom.observe(1s, kStart);
  for (int i = 1; i <= 5'000; ++i) often.observe(100ms, kStart + i * 1ms);
  seldom.observe(100ms, kStart + 5s);
  CHECK(often.value(kStart + 5s) == doctest::Approx(seldom.value(kStart + 5s)).epsilon(0.001));
}

TEST_CASE("without responses the estimate decays, and after 50 s it is forgotten") {
  Ewma ewma;
  ewma.observe(1s, kStart);
  CHECK(ewma.value(kStart + 10s) == doctest::Approx(std::exp(-1.0)));
  CHECK(ewma.value(kStart + 20s) == doctest::Approx(std::exp(-2.0)));
  CHECK(ewma.value(kStart + 49s) > 0.0);
  CHECK(ewma.value(kStart + 50s) == 0.0);
  CHECK(ewma.value(TimePoint::max()) == 0.0);
}

TEST_CASE("nothing is left of no estimate, and all of one at its own instant") {
  CHECK(Ewma::decayed(-1.0, 1s) == 0.0);
  CHECK(Ewma::decayed(0.0, 1s) == 0.0);
  CHECK(Ewma::decayed(2.0, 0s) == 2.0);
  CHECK(Ewma::decayed(2.0, -1s) == 2.0);
}

TEST_CASE("an instant before the last one counts as the last one") {
  Ewma ewma;
  ewma.observe(100ms, kStart);
  CHECK(ewma.value(kStart - 10s) == doctest::Approx(0.1));
  ewma.observe(50ms, kStart - 10s);
  CHECK(ewma.value(kStart) == doctest::Approx(0.1));
}

TEST_CASE("a response in no time is known all the same") {
  Ewma ewma;
  ewma.observe(0us, kStart);
  CHECK(ewma.value(kStart) > 0.0);
  ewma.observe(-5ms, kStart);
  CHECK(ewma.value(kStart) > 0.0);
}
