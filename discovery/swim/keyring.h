// The keys of an encrypted pool: AES-128, -192 or -256 in GCM, by the length of the key. The first key seals,
// all of them open, so that a pool changes its key without a member being deaf in between: install the new
// key everywhere, use it everywhere, remove the old one everywhere.
//
// A sealed payload is: version (1), nonce (12), ciphertext, tag (16). Version 0 has its plaintext padded to
// 16 (PKCS #7); it is opened, never made.
//
// This is computation, not I/O: the nonce is an argument, since only the loop may ask the kernel for
// randomness. It must never repeat under one key. The one place in a policy that includes OpenSSL.
//
// Thread: the one that owns it. Keys are wiped when they are removed.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace remora::discovery::swim {

class Keyring final {
 public:
  using Nonce = std::array<std::uint8_t, 12>;
  static constexpr std::size_t kOverhead = 1 + 12 + 16;
  // More than a rotation needs; every key costs an attempt per packet of a stranger.
  static constexpr std::size_t kKeys = 8;

  Keyring() = default;
  ~Keyring();
  Keyring(const Keyring&) = delete;
  Keyring& operator=(const Keyring&) = delete;

  bool empty() const { return keys_.empty(); }
  std::size_t size() const { return keys_.size(); }
  // Key 0 is the one that seals.
  std::string_view key(std::size_t at) const { return keys_[at]; }

  // Each returns false, and changes nothing, where it cannot be done: install() for a key that is not 16, 24
  // or 32 bytes or one too many; use() for one that is not installed; remove() for that, and for the one in
  // use. Installing a key again is done already. The first one installed is in use.
  bool install(std::string_view key);
  bool use(std::string_view key);
  bool remove(std::string_view key);
  void swap(Keyring& other) noexcept { keys_.swap(other.keys_); }
  bool operator==(const Keyring& other) const { return keys_ == other.keys_; }

  // Appends the sealed payload to `out`. False without a key, or if OpenSSL refuses.
  bool seal(std::string_view plain, std::string_view authenticated, const Nonce& nonce,
            std::string& out) const;
  // nullopt: too short, an unknown version, or sealed by none of the keys.
  std::optional<std::string> open(std::string_view sealed, std::string_view authenticated) const;

 private:
  std::vector<std::string> keys_;
};

}  // namespace remora::discovery::swim
