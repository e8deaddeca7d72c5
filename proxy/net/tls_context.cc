#include "proxy/net/tls_context.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>

#include "proxy/net/tls_handles.h"
#include "proxy/net/tls_peer.h"

namespace remora::net {

namespace {

constexpr const char* kCiphers =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
constexpr const char* kGroups = "X25519:P-256:P-384";
constexpr std::string_view kHttp1{"\x08http/1.1", 9};       // as it stands in a ClientHello
constexpr std::size_t kMostBytes = std::size_t{16} << 20U;  // of a file
constexpr int kDeepestChain = 8;

std::unexpected<Error> fault(std::string detail) {
  ERR_clear_error();
  return std::unexpected(Error(ErrorCode::kInvalid, Side::kInternal, Retry::kNo, std::move(detail)));
}

Result<std::string> read_file(const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) return fault(path + ": " + std::strerror(errno));
  if (!S_ISREG(status.st_mode)) return fault(path + ": not a regular file");
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size > kMostBytes) return fault(path + ": larger than 16 MiB");
  std::ifstream file;
  file.rdbuf()->pubsetbuf(nullptr, 0);  // no copy of a key is left behind
  file.open(path, std::ios::binary);
  std::string text(size + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!file.is_open() || file.bad()) return fault(path + ": cannot be read");
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > size) return fault(path + ": it grows while it is read");
  return text;
}

std::string digest_of(std::string_view text) {
  std::array<unsigned char, 32> digest{};
  EVP_Digest(text.data(), text.size(), digest.data(), nullptr, EVP_sha256(), nullptr);
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

BioHandle reader_of(const std::string& text) {
  return BioHandle(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// A key that needs one is no use to a service that starts by itself; asking a terminal would hang it.
int no_passphrase(char* /*buffer*/, int /*size*/, int /*writing*/, void* /*context*/) { return 0; }

// Those of a PEM text, in order.
std::vector<CertificateHandle> certificates_of(const std::string& text) {
  std::vector<CertificateHandle> found;
  const auto reader = reader_of(text);
  while (X509* one = PEM_read_bio_X509(reader.get(), nullptr, &no_passphrase, nullptr))
    found.emplace_back(one);
  ERR_clear_error();
  return found;
}

std::int64_t seconds_of(const ASN1_TIME* time) {
  int days = 0;
  int seconds = 0;
  AsnTimeHandle epoch(ASN1_TIME_set(nullptr, 0));
  if (ASN1_TIME_diff(&days, &seconds, epoch.get(), time) != 1) return 0;
  return std::int64_t{days} * 86'400 + seconds;
}

bool readable_by_others(const std::string& path) {
  struct stat status{};
  return ::stat(path.c_str(), &status) == 0 && (status.st_mode & S_IROTH) != 0;
}

// Only "http/1.1": a client that speaks something else is told so, and cannot be led to mistake us for it.
int choose_protocol(SSL* /*connection*/, const unsigned char** out, unsigned char* out_size,
                    const unsigned char* in, unsigned in_size, void* /*context*/) {
  const auto* ours = reinterpret_cast<const unsigned char*>(kHttp1.data());
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, ours, static_cast<unsigned>(kHttp1.size()), in, in_size) !=
      OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

// 0: no such key, a whole handshake follows. 2: read, and to be replaced by one with the latest key.
int ticket_key(SSL* connection, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
               EVP_MAC_CTX* mac, int sealing) {
  const auto& tickets = *static_cast<const TlsTickets*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(connection), 0));
  TlsTickets::Key key = tickets.latest();
  int result = 1;
  if (sealing != 0) {
    std::ranges::copy(key.name, name);
    if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1) return -1;
  } else {
    const auto known = tickets.find(std::span<const unsigned char, 16>(name, 16));
    if (!known) return 0;
    if (known->name != key.name) result = 2;
    key = *known;
  }
  std::array<char, 7> digest{"SHA256"};
  const std::array<OSSL_PARAM, 3> parameters{
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key.mac.data(), key.mac.size()),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest.data(), 0), OSSL_PARAM_construct_end()};
  const auto start = sealing != 0 ? &EVP_EncryptInit_ex : &EVP_DecryptInit_ex;
  const bool ready = start(cipher, EVP_aes_256_cbc(), nullptr, key.cipher.data(), iv) == 1 &&
                     EVP_MAC_CTX_set_params(mac, parameters.data()) == 1;
  OPENSSL_cleanse(&key, sizeof key);
  return ready ? result : -1;
}

// A session does not outlive the client's certificate: a whole handshake follows, which can show another one.
// In TLS 1.3 a client uses a ticket once, so that each connection gives it the one for the next.
SSL_TICKET_RETURN use_ticket(SSL* connection, SSL_SESSION* session, const unsigned char* /*name*/,
                             std::size_t /*name_size*/, SSL_TICKET_STATUS status, void* /*context*/) {
  const bool readable = status == SSL_TICKET_SUCCESS || status == SSL_TICKET_SUCCESS_RENEW;
  if (!readable) return SSL_TICKET_RETURN_IGNORE_RENEW;
  const X509* client = SSL_SESSION_get0_peer(session);
  if (client != nullptr && X509_cmp_current_time(X509_get0_notAfter(client)) <= 0) {
    return SSL_TICKET_RETURN_IGNORE_RENEW;
  }
  const bool lasts = status == SSL_TICKET_SUCCESS && SSL_version(connection) < TLS1_3_VERSION;
  return lasts ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

// "*.example" -> ".example"
std::string_view suffix_of(std::string_view pattern) {
  return pattern.starts_with("*.") ? pattern.substr(1) : std::string_view();
}

// RFC 6125 section 6.4.3: the star stands for one label, and is all of it.
bool stands_for(std::string_view pattern, std::string_view name) {
  const auto suffix = suffix_of(pattern);
  if (suffix.empty()) return pattern == name;
  const auto dot = name.find('.');
  return dot != std::string_view::npos && dot > 0 && name.substr(dot) == suffix;
}

}  // namespace

struct TlsContext::Chosen {
  std::vector<std::string> names;  // lower case
  CertificateHandle certificate;
  KeyHandle key;
  ChainHandle chain;
  std::string response;         // of OCSP, in DER; empty: none
  AsnTimeHandle response_ends;  // null: it does not say
};

TlsContext::TlsContext() = default;

TlsContext::~TlsContext() { SSL_CTX_free(context_); }

Result<void> TlsContext::make(bool server, bool only_tls13) {
  context_ = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
  if (context_ == nullptr) return fault("OpenSSL cannot be used: " + tls_reason());
  SSL_CTX_set_ex_data(context_, 0, nullptr);
  SSL_CTX_set_min_proto_version(context_, only_tls13 ? TLS1_3_VERSION : TLS1_2_VERSION);
  SSL_CTX_set_options(context_, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(context_, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_default_passwd_cb(context_, &no_passphrase);
  SSL_CTX_set_verify_depth(context_, kDeepestChain);
  if (SSL_CTX_set_cipher_list(context_, kCiphers) != 1 || SSL_CTX_set1_groups_list(context_, kGroups) != 1) {
    return fault("OpenSSL does not know the ciphers or groups: " + tls_reason());
  }
  return {};
}

Result<std::string> TlsContext::read(const std::string& path) {
  auto text = read_file(path);
  if (text) content_ += digest_of(*text);
  return text;
}

Result<void> TlsContext::add_certificate(const TlsKeyPair& files) {
  auto text = read(files.certificate);
  if (!text) return std::unexpected(std::move(text.error()));
  auto chain = certificates_of(*text);
  if (chain.empty()) return fault(files.certificate + ": no PEM certificate is in it");
  auto secret = read(files.key);
  if (!secret) return std::unexpected(std::move(secret.error()));
  Chosen chosen;
  chosen.key.reset(PEM_read_bio_PrivateKey(reader_of(*secret).get(), nullptr, &no_passphrase, nullptr));
  OPENSSL_cleanse(secret->data(), secret->size());
  if (!chosen.key) return fault(files.key + ": no PEM private key without a passphrase is in it");
  chosen.certificate = std::move(chain.front());
  if (X509_check_private_key(chosen.certificate.get(), chosen.key.get()) != 1) {
    return fault(files.key + ": not the key of the certificate in " + files.certificate);
  }
  chosen.chain.reset(sk_X509_new_null());
  for (std::size_t i = 1; i < chain.size(); ++i) sk_X509_push(chosen.chain.get(), chain[i].release());
  if (readable_by_others(files.key))
    warnings_.push_back(files.key + ": every user can read this private key");
  const std::int64_t end = seconds_of(X509_get0_notAfter(chosen.certificate.get()));
  expiries_.push_back({.file = files.certificate, .not_after = end});
  if (X509_cmp_current_time(X509_get0_notAfter(chosen.certificate.get())) < 0) {
    warnings_.push_back(files.certificate + ": this certificate has expired");
  }
  chosen.names = tls_names(chosen.certificate.get()).dns;
  if (!files.ocsp.empty()) {
    if (auto done = add_response(chosen, files); !done) return done;
  }
  if (chosen_.empty() && SSL_CTX_use_cert_and_key(context_, chosen.certificate.get(), chosen.key.get(),
                                                  chosen.chain.get(), 1) != 1) {
    return fault(files.certificate + ": OpenSSL does not take it: " + tls_reason());
  }
  chosen_.push_back(std::move(chosen));
  return {};
}

// Whether its signature is right is for the clients to find out. One that has expired is no reason to serve
// nobody: it is not shown.
Result<void> TlsContext::add_response(Chosen& chosen, const TlsKeyPair& files) {
  auto text = read(files.ocsp);
  if (!text) return std::unexpected(std::move(text.error()));
  const auto* at = reinterpret_cast<const unsigned char*>(text->data());
  const ResponseHandle response(d2i_OCSP_RESPONSE(nullptr, &at, static_cast<long>(text->size())));
  if (!response) return fault(files.ocsp + ": no OCSP response in DER is in it");
  if (const int status = OCSP_response_status(response.get()); status != OCSP_RESPONSE_STATUS_SUCCESSFUL) {
    return fault(files.ocsp + ": the responder did not answer: " + OCSP_response_status_str(status));
  }
  const BasicResponseHandle basic(OCSP_response_get1_basic(response.get()));
  for (int i = 0; basic && i < OCSP_resp_count(basic.get()); ++i) {
    OCSP_SINGLERESP* single = OCSP_resp_get0(basic.get(), i);
    ASN1_INTEGER* serial = nullptr;
    OCSP_id_get0_info(nullptr, nullptr, nullptr, &serial,
                      const_cast<OCSP_CERTID*>(OCSP_SINGLERESP_get0_id(single)));
    if (ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(chosen.certificate.get())) != 0) continue;
    ASN1_GENERALIZEDTIME* ends = nullptr;
    const int status = OCSP_single_get0_status(single, nullptr, nullptr, nullptr, &ends);
    if (status == V_OCSP_CERTSTATUS_REVOKED) {
      warnings_.push_back(files.ocsp + ": the certificate in " + files.certificate + " is revoked");
    }
    if (ends != nullptr) chosen.response_ends.reset(ASN1_STRING_dup(ends));
    if (ends != nullptr && X509_cmp_current_time(ends) < 0) {
      warnings_.push_back(files.ocsp + ": this OCSP response has expired, and is not shown");
    }
    chosen.response = std::move(*text);
    return {};
  }
  return fault(files.ocsp + ": not for the certificate in " + files.certificate);
}

Result<void> TlsContext::trust(const std::string& ca, const std::string& crl, bool required) {
  X509_STORE* store = SSL_CTX_get_cert_store(context_);
  auto text = read(ca);
  if (!text) return std::unexpected(std::move(text.error()));
  const auto authorities = certificates_of(*text);
  if (authorities.empty()) return fault(ca + ": no PEM certificate is in it");
  for (const auto& authority : authorities) {
    X509_STORE_add_cert(store, authority.get());
    SSL_CTX_add_client_CA(context_, authority.get());
  }
  // Whom the operator names is trusted, be it a root or not.
  X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
  std::string revoked;
  if (!crl.empty()) {
    auto lists = read(crl);
    if (!lists) return std::unexpected(std::move(lists.error()));
    revoked = std::move(*lists);
    const auto reader = reader_of(revoked);
    int count = 0;
    for (; const CrlHandle list{PEM_read_bio_X509_CRL(reader.get(), nullptr, nullptr, nullptr)}; ++count) {
      X509_STORE_add_crl(store, list.get());
    }
    ERR_clear_error();
    if (count == 0) return fault(crl + ": no PEM revocation list is in it");
    X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
  }
  bind_sessions(*text + '\0' + revoked, required);
  return {};
}

// A session says that a client was verified, or did not have to be: by these authorities, and not by others
// before a change or at another listener, which all share the keys of tickets.
void TlsContext::bind_sessions(const std::string& trusted, bool required) {
  const std::string digest = digest_of(trusted + (required ? '\1' : '\0'));
  SSL_CTX_set_session_id_context(context_, reinterpret_cast<const unsigned char*>(digest.data()),
                                 static_cast<unsigned>(digest.size()));
}

int TlsContext::on_certificate(ssl_st* connection, void* context) {
  const auto& self = *static_cast<const TlsContext*>(context);
  const char* asked = SSL_get_servername(connection, TLSEXT_NAMETYPE_host_name);
  if (asked == nullptr) return 1;
  std::string name(asked);
  std::ranges::transform(name, name.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  const auto find = [&](bool wildcards) -> const Chosen* {
    for (const Chosen& one : self.chosen_) {
      for (const auto& pattern : one.names) {
        if (suffix_of(pattern).empty() != wildcards && stands_for(pattern, name)) return &one;
      }
    }
    return nullptr;
  };
  const Chosen* chosen = find(false);
  if (chosen == nullptr) chosen = find(true);
  if (chosen == nullptr || chosen == self.chosen_.data()) return 1;
  return SSL_use_cert_and_key(connection, chosen->certificate.get(), chosen->key.get(), chosen->chain.get(),
                              1);
}

// A client wants to know whether the certificate that it is shown is revoked.
int TlsContext::on_status_request(ssl_st* connection, void* context) {
  const auto& self = *static_cast<const TlsContext*>(context);
  const X509* shown = SSL_get_certificate(connection);
  const auto chosen =
      std::ranges::find(self.chosen_, shown, [](const Chosen& c) { return c.certificate.get(); });
  if (chosen == self.chosen_.end() || chosen->response.empty()) return SSL_TLSEXT_ERR_NOACK;
  if (chosen->response_ends && X509_cmp_current_time(chosen->response_ends.get()) < 0)
    return SSL_TLSEXT_ERR_NOACK;
  const std::size_t size = chosen->response.size();
  void* copy = OPENSSL_memdup(chosen->response.data(), size);
  if (copy == nullptr) return SSL_TLSEXT_ERR_NOACK;
  SSL_set_tlsext_status_ocsp_resp(connection, copy, static_cast<long>(size));  // it takes the copy over
  return SSL_TLSEXT_ERR_OK;
}

Result<std::shared_ptr<const TlsContext>> TlsContext::server(const TlsServerSettings& settings,
                                                             TlsTickets& tickets) {
  std::unique_ptr<TlsContext> made(new TlsContext());
  made->asks_clients_ = !settings.client_ca.empty();
  if (auto done = made->make(true, settings.only_tls13); !done) return std::unexpected(done.error());
  SSL_CTX* context = made->context_;
  for (const TlsKeyPair& pair : settings.certificates) {
    if (auto done = made->add_certificate(pair); !done) return std::unexpected(done.error());
  }
  SSL_CTX_set_tlsext_status_cb(context, &TlsContext::on_status_request);
  SSL_CTX_set_tlsext_status_arg(context, made.get());
  if (made->chosen_.size() > 1) SSL_CTX_set_cert_cb(context, &TlsContext::on_certificate, made.get());
  SSL_CTX_set_ex_data(context, 0, &tickets);
  SSL_CTX_set_tlsext_ticket_key_evp_cb(context, &ticket_key);
  SSL_CTX_set_session_ticket_cb(context, nullptr, &use_ticket, nullptr);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context, 1);
  SSL_CTX_set_timeout(context, TlsTickets::kLifetime / 1s);
  SSL_CTX_set_alpn_select_cb(context, &choose_protocol, nullptr);
  made->bind_sessions({}, false);
  if (made->asks_clients_) {
    const bool required = settings.require_client_certificate;
    if (auto done = made->trust(settings.client_ca, settings.client_crl, required); !done)
      return std::unexpected(done.error());
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), nullptr);
  }
  return std::shared_ptr<const TlsContext>(std::move(made));
}

Result<std::shared_ptr<const TlsContext>> TlsContext::client(const TlsClientSettings& settings) {
  std::unique_ptr<TlsContext> made(new TlsContext());
  if (auto done = made->make(false, settings.only_tls13); !done) return std::unexpected(done.error());
  SSL_CTX* context = made->context_;
  if (!settings.own.certificate.empty()) {
    if (auto done = made->add_certificate(settings.own); !done) return std::unexpected(done.error());
  }
  made->verifies_ = settings.verify;
  made->identity_ = settings.identity;
  if (!settings.verify) {
    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, nullptr);
  } else {
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, &tls_verify);
    if (settings.ca.empty()) {
      SSL_CTX_set_default_verify_paths(context);
    } else if (auto done = made->trust(settings.ca, settings.crl, false); !done) {
      return std::unexpected(done.error());
    }
  }
  const auto* protocols = reinterpret_cast<const unsigned char*>(kHttp1.data());
  SSL_CTX_set_alpn_protos(context, protocols, static_cast<unsigned>(kHttp1.size()));
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context, &tls_new_session);
  ERR_clear_error();
  return std::shared_ptr<const TlsContext>(std::move(made));
}

}  // namespace remora::net
