// TLS as one more place in which the contract of Stream and Network is tested: over the fake network, with a
// certificate made at run time.
#pragma once

#include <openssl/evp.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <memory>
#include <utility>
#include <vector>

#include "base/buffer_pool.h"
#include "proxy/net/tls_stream.h"
#include "tests/proxy/net/net_world.h"

namespace remora::testing {

// A self-signed certificate for "localhost" and the URI "spiffe://test/app", in files.
class TestCertificate final {
 public:
  // `seconds`: until it ends; may lie in the past.
  explicit TestCertificate(long seconds = 3600) {
    EVP_PKEY* key = EVP_EC_gen("P-256");
    X509* made = X509_new();
    X509_set_version(made, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(made), 1);
    X509_gmtime_adj(X509_getm_notBefore(made), -60);
    X509_gmtime_adj(X509_getm_notAfter(made), seconds);
    X509_set_pubkey(made, key);
    const auto* name = reinterpret_cast<const unsigned char*>("test");
    X509_NAME_add_entry_by_txt(X509_get_subject_name(made), "CN", MBSTRING_ASC, name, -1, -1, 0);
    X509_set_issuer_name(made, X509_get_subject_name(made));
    X509_EXTENSION* names =
        X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, "DNS:localhost,URI:spiffe://test/app");
    X509_add_ext(made, names, -1);
    X509_EXTENSION_free(names);
    X509_sign(made, key, EVP_sha256());
    std::FILE* out = std::fopen(certificate().c_str(), "w");
    PEM_write_X509(out, made);
    std::fclose(out);
    out = std::fopen(this->key().c_str(), "w");
    PEM_write_PrivateKey(out, key, nullptr, nullptr, 0, nullptr, nullptr);
    std::fclose(out);
    X509_free(made);
    EVP_PKEY_free(key);
  }
  // The file of an OCSP response for this certificate, in DER, that ends in so many seconds.
  std::string response(long seconds) const {
    std::FILE* in = std::fopen(certificate().c_str(), "r");
    X509* mine = PEM_read_X509(in, nullptr, nullptr, nullptr);
    std::fclose(in);
    in = std::fopen(key().c_str(), "r");
    EVP_PKEY* own = PEM_read_PrivateKey(in, nullptr, nullptr, nullptr);
    std::fclose(in);
    OCSP_BASICRESP* basic = OCSP_BASICRESP_new();
    ASN1_TIME* now = X509_gmtime_adj(nullptr, -60);
    ASN1_TIME* end = X509_gmtime_adj(nullptr, seconds);
    OCSP_CERTID* id = OCSP_cert_to_id(nullptr, mine, mine);
    OCSP_basic_add1_status(basic, id, V_OCSP_CERTSTATUS_GOOD, 0, nullptr, now, end);
    OCSP_basic_sign(basic, mine, own, EVP_sha256(), nullptr, 0);
    OCSP_RESPONSE* made = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
    unsigned char* bytes = nullptr;
    const int size = i2d_OCSP_RESPONSE(made, &bytes);
    std::FILE* out = std::fopen(dir_.file("tls.ocsp").c_str(), "w");
    std::fwrite(bytes, 1, static_cast<std::size_t>(size), out);
    std::fclose(out);
    OPENSSL_free(bytes);
    OCSP_RESPONSE_free(made);
    OCSP_CERTID_free(id);
    ASN1_TIME_free(now);
    ASN1_TIME_free(end);
    OCSP_BASICRESP_free(basic);
    EVP_PKEY_free(own);
    X509_free(mine);
    return dir_.file("tls.ocsp");
  }
  std::string certificate() const { return dir_.file("tls.crt"); }
  std::string key() const { return dir_.file("tls.key"); }

 private:
  TempDir dir_;
};

// Both sides' contexts, with a certificate of their own.
struct TestTls {
  TestTls() {
    const net::TlsKeyPair pair{.certificate = certificate.certificate(), .key = certificate.key()};
    net::TlsServerSettings for_server;
    for_server.certificates = {pair};
    server = *net::TlsContext::server(for_server, tickets);
    net::TlsClientSettings for_client;
    for_client.ca = pair.certificate;
    client = *net::TlsContext::client(for_client);
  }
  TestCertificate certificate;
  net::TlsTickets tickets;
  std::shared_ptr<const net::TlsContext> server;
  std::shared_ptr<const net::TlsContext> client;
};

// TLS over another network. An accepted stream is handed on at once: its handshake begins with its events.
class TlsNetwork final : public net::Network {
 public:
  TlsNetwork(net::Network& below, Turn& turn,
             std::shared_ptr<const TestTls> tls = std::make_shared<TestTls>())
      : below_(below), turn_(turn), tls_(std::move(tls)) {}

  Result<std::unique_ptr<net::Listener>> listen(const Address& address, const net::ListenOptions& options,
                                                net::Acceptor& acceptor) override {
    acceptors_.push_back(std::make_unique<Wrapper>(*this, acceptor));
    return below_.listen(address, options, *acceptors_.back());
  }
  std::unique_ptr<net::Stream> connect(const Address& address, net::Stream::Events& events) override {
    return net::TlsStream::connect(shared(), tls_->client, {.name = "localhost", .sessions = {}}, below_,
                                   address, events);
  }
  Result<std::unique_ptr<net::DatagramSocket>> bind_datagrams(const Address& address,
                                                              net::DatagramReceiver& receiver) override {
    return below_.bind_datagrams(address, receiver);
  }

 private:
  struct Wrapper final : net::Acceptor {
    Wrapper(TlsNetwork& owner, net::Acceptor& above) : network(owner), acceptor(above) {}
    void on_accept(std::unique_ptr<net::Stream> stream) override {
      acceptor.on_accept(net::TlsStream::accept(network.shared(), network.tls_->server, std::move(stream)));
    }
    void on_accept_exhausted() override { acceptor.on_accept_exhausted(); }
    TlsNetwork& network;
    net::Acceptor& acceptor;
  };

  net::TlsStream::Shared shared() { return {.turn = turn_, .buffers = buffers_}; }

  net::Network& below_;
  Turn& turn_;
  BufferPool buffers_;
  std::shared_ptr<const TestTls> tls_;
  std::vector<std::unique_ptr<Wrapper>> acceptors_;
};

class TlsWorld final {
 public:
  static constexpr bool kShakesHands = true;
  static constexpr bool kSeesReset = true;
  static constexpr bool kFindsPeers = true;

  net::Network& network() { return network_; }
  Turn& turn() { return below_.turn(); }
  TimerWheel& wheel() { return below_.wheel(); }
  Address listen_address() const { return below_.listen_address(); }
  Address nobody_listens_at() const { return below_.nobody_listens_at(); }
  bool run_until(const Predicate& holds) { return below_.run_until(holds); }
  void run_a_while() { below_.run_a_while(); }

 private:
  FakeWorld below_;
  TlsNetwork network_{below_.network(), below_.turn()};
};

}  // namespace remora::testing
