#include "base/rare.h"

#include <doctest/doctest.h>

#include <string>
#include <utility>

using namespace remora;

TEST_SUITE("rare value") {
  TEST_CASE("it is there or not, like an optional one") {
    Rare<std::string> value;
    CHECK_FALSE(value.has_value());
    CHECK(value == Rare<std::string>(std::nullopt));
    value = std::string("a");
    CHECK(value);
    CHECK(value->size() == 1);
    value.emplace() = "bc";
    CHECK(*std::as_const(value) == "bc");
    value.reset();
    CHECK_FALSE(value);
  }

  TEST_CASE("copies share it until one is changed") {
    Rare<std::string> value(std::string("a"));
    Rare<std::string> copy = value;
    CHECK(&*std::as_const(copy) == &*std::as_const(value));
    copy->push_back('b');
    CHECK(*std::as_const(value) == "a");
    CHECK(*std::as_const(copy) == "ab");
    CHECK_FALSE(copy == value);
  }

  TEST_CASE("only an equal value is shared") {
    const Rare<std::string> value(std::string("a"));
    Rare<std::string> equal(std::string("a"));
    equal.share(value);
    CHECK(&*std::as_const(equal) == &*value);
    Rare<std::string> other(std::string("b"));
    other.share(value);
    CHECK(*std::as_const(other) == "b");
    Rare<std::string> none;
    none.share(value);
    CHECK_FALSE(none);
    none.share(Rare<std::string>());
    other.share(none);
    CHECK(other);
  }
}
