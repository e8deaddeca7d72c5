// One side of TLS as it is configured: certificates, whom to trust, versions. Read from PEM files once and
// never changed: when a file does, another one is made, and connections keep the one they began with.
//
// TLS 1.2 and 1.3 with the ciphers and groups of Mozilla's intermediate profile, less DHE; no renegotiation,
// no compression, no early data; ALPN "http/1.1" and nothing else.
//
// Thread: any; immutable, shared as shared_ptr<const TlsContext>. All of OpenSSL is in proxy/net.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "proxy/net/tls_tickets.h"

struct ssl_ctx_st;
struct ssl_st;

namespace remora::net {

struct TlsKeyPair {
  std::string certificate;  // file: the certificate, then the chain to the root
  std::string key;          // file
  std::string ocsp{};       // file of a server: a response in DER, shown to clients that ask; empty: none
};

struct TlsServerSettings {
  std::vector<TlsKeyPair> certificates;  // at least one; the first for a name that none is for, or no name
  std::string client_ca;                 // file; empty: clients are not asked for certificates
  std::string client_crl;                // file; empty: nobody is revoked
  bool require_client_certificate = true;
  bool only_tls13 = false;
};

struct TlsClientSettings {
  std::string ca;        // file; empty: the system's
  std::string crl;       // file
  TlsKeyPair own;        // empty: none
  std::string identity;  // a URI that the server's certificate must have; empty: its name is checked instead
  bool verify = true;
  bool only_tls13 = false;
};

class TlsContext final {
 public:
  // A certificate of ours, and when it ends, in seconds since 1970.
  struct Expiry {
    std::string file;
    std::int64_t not_after = 0;
  };

  // Reads the files. An error's detail names the file and what is wrong with it. `tickets` outlives the
  // context.
  static Result<std::shared_ptr<const TlsContext>> server(const TlsServerSettings& settings,
                                                          TlsTickets& tickets);
  static Result<std::shared_ptr<const TlsContext>> client(const TlsClientSettings& settings);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  const std::vector<Expiry>& certificates() const { return expiries_; }
  // What is worth a line in the log: one each, for people.
  const std::vector<std::string>& warnings() const { return warnings_; }

  // Differs when anything in the files does: their digests.
  const std::string& content() const { return content_; }

  // For proxy/net only.
  ssl_ctx_st* get() const { return context_; }
  bool asks_clients() const { return asks_clients_; }
  bool verifies() const { return verifies_; }
  const std::string& identity() const { return identity_; }

 private:
  struct Chosen;  // a certificate with its key and chain
  TlsContext();

  Result<void> make(bool server, bool only_tls13);
  Result<void> add_certificate(const TlsKeyPair& files);
  // `required`: of a server, a client without a certificate is refused.
  Result<void> add_response(Chosen& chosen, const TlsKeyPair& files);
  Result<void> trust(const std::string& ca, const std::string& crl, bool required);
  void bind_sessions(const std::string& trusted, bool required);
  Result<std::string> read(const std::string& path);
  static int on_certificate(ssl_st* connection, void* context);
  static int on_status_request(ssl_st* connection, void* context);

  ssl_ctx_st* context_ = nullptr;
  std::vector<Chosen> chosen_;
  std::vector<Expiry> expiries_;
  std::vector<std::string> warnings_;
  std::string content_;
  std::string identity_;
  bool asks_clients_ = false;
  bool verifies_ = false;
};

}  // namespace remora::net
