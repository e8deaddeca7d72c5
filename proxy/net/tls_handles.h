// Owners of OpenSSL's objects, and what its callbacks need of each other. For proxy/net only.
#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ocsp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>

namespace remora::net {

template <auto Free>
struct TlsFree {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};

inline void free_chain(STACK_OF(X509) * chain) { sk_X509_pop_free(chain, X509_free); }

using BioHandle = std::unique_ptr<BIO, TlsFree<&BIO_free>>;
using CertificateHandle = std::unique_ptr<X509, TlsFree<&X509_free>>;
using KeyHandle = std::unique_ptr<EVP_PKEY, TlsFree<&EVP_PKEY_free>>;
using CrlHandle = std::unique_ptr<X509_CRL, TlsFree<&X509_CRL_free>>;
using ChainHandle = std::unique_ptr<STACK_OF(X509), TlsFree<&free_chain>>;
using AsnTimeHandle = std::unique_ptr<ASN1_TIME, TlsFree<&ASN1_TIME_free>>;
using ResponseHandle = std::unique_ptr<OCSP_RESPONSE, TlsFree<&OCSP_RESPONSE_free>>;
using BasicResponseHandle = std::unique_ptr<OCSP_BASICRESP, TlsFree<&OCSP_BASICRESP_free>>;
using SslHandle = std::unique_ptr<SSL, TlsFree<&SSL_free>>;
using SessionHandle = std::unique_ptr<SSL_SESSION, TlsFree<&SSL_SESSION_free>>;

// The oldest error of this thread in words; forgets them all.
std::string tls_reason();

// Callbacks of a client's context; the connection's application data is its TlsStream.
int tls_verify(int fine, X509_STORE_CTX* store);
int tls_new_session(SSL* connection, SSL_SESSION* session);

}  // namespace remora::net
