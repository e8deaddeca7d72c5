#include "discovery/swim/keyring.h"

#include <doctest/doctest.h>

namespace remora::discovery::swim {
namespace {

const std::string kOld(16, 'o');
const std::string kNew(32, 'n');
constexpr Keyring::Nonce kNonce{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};

std::string sealed(const Keyring& keys, std::string_view plain, std::string_view authenticated = "pool") {
  std::string out;
  CHECK(keys.seal(plain, authenticated, kNonce, out));
  return out;
}

TEST_CASE("swim: a key of 16, 24 or 32 bytes seals and opens, and any other is refused") {
  for (const std::size_t size : {16U, 24U, 32U}) {
    Keyring keys;
    REQUIRE(keys.install(std::string(size, 'k')));
    const std::string out = sealed(keys, "payload");
    CHECK(out.size() == 7 + Keyring::kOverhead);
    CHECK(keys.open(out, "pool") == "payload");
    CHECK(keys.open(sealed(keys, ""), "pool") == "");
  }
  Keyring keys;
  for (const std::size_t size : {0U, 15U, 17U, 31U, 33U, 64U})
    CHECK_FALSE(keys.install(std::string(size, 'k')));
  CHECK(keys.empty());
  std::string out;
  CHECK_FALSE(keys.seal("payload", "", kNonce, out));
  CHECK(out.empty());
}

TEST_CASE("swim: what has been changed, cut, or sealed for another pool does not open") {
  Keyring keys;
  keys.install(kNew);
  const std::string out = sealed(keys, "payload");
  CHECK_FALSE(keys.open(out, "other"));
  for (std::size_t at = 0; at < out.size(); ++at) {
    CHECK_FALSE(keys.open(std::string_view(out).substr(0, at), "pool"));
    std::string changed = out;
    changed[at] = static_cast<char>(changed[at] ^ 4);
    CHECK_FALSE(keys.open(changed, "pool"));
  }
  Keyring other;
  other.install(kOld);
  CHECK_FALSE(other.open(out, "pool"));
}

TEST_CASE("swim: a pool changes its key and nobody is deaf in between") {
  Keyring first;
  Keyring second;
  first.install(kOld);
  second.install(kOld);
  const auto both_hear = [&] {
    CHECK(second.open(sealed(first, "x"), "pool") == "x");
    CHECK(first.open(sealed(second, "x"), "pool") == "x");
  };
  both_hear();
  CHECK(first.install(kNew));
  both_hear();
  CHECK(second.install(kNew));
  CHECK(first.use(kNew));
  both_hear();
  CHECK(second.use(kNew));
  CHECK(first.remove(kOld));
  both_hear();
  CHECK(second.remove(kOld));
  both_hear();
}

TEST_CASE("swim: the key in use cannot be removed, an unknown one neither used nor removed") {
  Keyring keys;
  keys.install(kOld);
  CHECK(keys.install(kOld));
  CHECK(keys.size() == 1);
  CHECK_FALSE(keys.remove(kOld));
  CHECK_FALSE(keys.use(kNew));
  CHECK_FALSE(keys.remove(kNew));
  for (char c = 'a'; keys.size() < Keyring::kKeys; ++c) CHECK(keys.install(std::string(16, c)));
  CHECK_FALSE(keys.install(kNew));
  CHECK(keys.key(0) == kOld);
}

TEST_CASE("swim: version 0 is opened without its padding, and refused where the padding is wrong") {
  // Made by hand: Keyring writes version 1 only, and the tag does not cover the version.
  Keyring keys;
  keys.install(kNew);
  const auto version_0 = [&](const std::string& padded) {
    std::string out = sealed(keys, padded);
    out[0] = 0;
    return out;
  };
  CHECK(keys.open(version_0("payload" + std::string(9, '\x09')), "pool") == "payload");
  CHECK(keys.open(version_0(std::string(16, '\x10')), "pool") == "");
  CHECK_FALSE(keys.open(version_0("payload"), "pool"));
  CHECK_FALSE(keys.open(version_0(std::string(16, '\0')), "pool"));
  CHECK_FALSE(keys.open(version_0(std::string(16, '\x11')), "pool"));
  std::string unknown = sealed(keys, "payload");
  unknown[0] = 2;
  CHECK_FALSE(keys.open(unknown, "pool"));
}

}  // namespace
}  // namespace remora::discovery::swim
