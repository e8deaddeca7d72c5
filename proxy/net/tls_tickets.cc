#include "proxy/net/tls_tickets.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <algorithm>
#include <new>

namespace remora::net {

namespace {

void fill(std::span<unsigned char> bytes) {
  // Without randomness there is no TLS; nothing that could be done instead is safe.
  if (RAND_priv_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) throw std::bad_alloc();
}

TlsTickets::Key new_key() {
  TlsTickets::Key key;
  fill(key.name);
  fill(key.cipher);
  fill(key.mac);
  return key;
}

}  // namespace

TlsTickets::TlsTickets() : latest_(new_key()), previous_(new_key()) {}

TlsTickets::~TlsTickets() {
  OPENSSL_cleanse(&latest_, sizeof latest_);
  OPENSSL_cleanse(&previous_, sizeof previous_);
}

void TlsTickets::rotate() {
  const Key fresh = new_key();
  const std::lock_guard lock(mutex_);
  previous_ = latest_;
  latest_ = fresh;
}

TlsTickets::Key TlsTickets::latest() const {
  const std::lock_guard lock(mutex_);
  return latest_;
}

std::optional<TlsTickets::Key> TlsTickets::find(std::span<const unsigned char, 16> name) const {
  const std::lock_guard lock(mutex_);
  if (std::ranges::equal(name, latest_.name)) return latest_;
  if (std::ranges::equal(name, previous_.name)) return previous_;
  return std::nullopt;
}

}  // namespace remora::net
