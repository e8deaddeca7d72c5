#include "discovery/swim/keyring.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <memory>
#include <utility>

namespace remora::discovery::swim {
namespace {

constexpr std::size_t kTag = 16;
constexpr std::size_t kNonce = 12;
constexpr std::size_t kBlock = 16;
// OpenSSL counts in int; nothing in the protocol comes near.
constexpr std::size_t kMost = std::size_t{1} << 30U;

struct FreeContext {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_CIPHER_CTX, FreeContext>;

const unsigned char* bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
unsigned char* bytes(char* text) { return reinterpret_cast<unsigned char*>(text); }

const EVP_CIPHER* cipher(std::size_t key) {
  return key == 16 ? EVP_aes_128_gcm() : key == 24 ? EVP_aes_192_gcm() : EVP_aes_256_gcm();
}

std::optional<std::string> open_with(std::string_view key, std::string_view sealed,
                                     std::string_view authenticated) {
  const std::string_view nonce = sealed.substr(1, kNonce);
  const std::string_view text = sealed.substr(1 + kNonce, sealed.size() - Keyring::kOverhead);
  std::string tag(sealed.substr(sealed.size() - kTag));
  const Context context(EVP_CIPHER_CTX_new());
  std::string plain(text.size() + kBlock, '\0');
  int done = 0;
  if (!context ||
      EVP_DecryptInit_ex(context.get(), cipher(key.size()), nullptr, bytes(key), bytes(nonce)) != 1 ||
      EVP_DecryptUpdate(context.get(), nullptr, &done, bytes(authenticated),
                        static_cast<int>(authenticated.size())) != 1 ||
      EVP_DecryptUpdate(context.get(), bytes(plain.data()), &done, bytes(text),
                        static_cast<int>(text.size())) != 1 ||
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_SET_TAG, kTag, tag.data()) != 1 ||
      EVP_DecryptFinal_ex(context.get(), bytes(plain.data()) + done, &done) != 1) {
    return std::nullopt;
  }
  plain.resize(text.size());
  return plain;
}

// Takes the padding of version 0 away.
bool unpad(std::string& plain) {
  if (plain.empty() || plain.size() % kBlock != 0) return false;
  const auto padding = static_cast<std::uint8_t>(plain.back());
  if (padding == 0 || padding > kBlock) return false;
  plain.resize(plain.size() - padding);
  return true;
}

void wipe(std::string& key) { OPENSSL_cleanse(key.data(), key.size()); }

}  // namespace

Keyring::~Keyring() { std::ranges::for_each(keys_, wipe); }

bool Keyring::install(std::string_view key) {
  if (key.size() != 16 && key.size() != 24 && key.size() != 32) return false;
  if (std::ranges::find(keys_, key) != keys_.end()) return true;
  if (keys_.size() == kKeys) return false;
  keys_.reserve(kKeys);  // growing would leave copies behind
  keys_.emplace_back(key);
  return true;
}

bool Keyring::use(std::string_view key) {
  const auto at = std::ranges::find(keys_, key);
  if (at == keys_.end()) return false;
  std::rotate(keys_.begin(), at, at + 1);
  return true;
}

bool Keyring::remove(std::string_view key) {
  const auto at = std::ranges::find(keys_, key);
  if (at == keys_.end() || at == keys_.begin()) return false;
  wipe(*at);
  keys_.erase(at);
  return true;
}

bool Keyring::seal(std::string_view plain, std::string_view authenticated, const Nonce& nonce,
                   std::string& out) const {
  if (empty() || plain.size() > kMost || authenticated.size() > kMost) return false;
  const std::string& key = keys_.front();
  const std::size_t start = out.size();
  out.resize(start + plain.size() + kOverhead);
  char* at = out.data() + start;
  *at++ = 1;
  at = std::ranges::copy(nonce, at).out;
  const Context context(EVP_CIPHER_CTX_new());
  int done = 0;
  if (context &&
      EVP_EncryptInit_ex(context.get(), cipher(key.size()), nullptr, bytes(key), nonce.data()) == 1 &&
      EVP_EncryptUpdate(context.get(), nullptr, &done, bytes(authenticated),
                        static_cast<int>(authenticated.size())) == 1 &&
      EVP_EncryptUpdate(context.get(), bytes(at), &done, bytes(plain), static_cast<int>(plain.size())) == 1 &&
      EVP_EncryptFinal_ex(context.get(), bytes(at) + done, &done) == 1 &&
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_GET_TAG, kTag, at + plain.size()) == 1) {
    return true;
  }
  out.resize(start);
  return false;
}

std::optional<std::string> Keyring::open(std::string_view sealed, std::string_view authenticated) const {
  if (sealed.size() < kOverhead || sealed.size() > kMost || authenticated.size() > kMost) return std::nullopt;
  if (static_cast<std::uint8_t>(sealed.front()) > 1) return std::nullopt;
  for (const std::string& key : keys_) {
    std::optional<std::string> plain = open_with(key, sealed, authenticated);
    if (!plain) continue;
    if (sealed.front() == 0 && !unpad(*plain)) return std::nullopt;
    return plain;
  }
  return std::nullopt;
}

}  // namespace remora::discovery::swim
