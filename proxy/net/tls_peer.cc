#include "proxy/net/tls_peer.h"

#include <openssl/err.h>

#include <algorithm>
#include <array>

#include "proxy/net/tls_handles.h"

namespace remora::net {

namespace {

// Of the field that passes it on: the next hop has a limit for its head. Names beyond it are left out.
constexpr std::size_t kLongestForwarded = 8192;

bool visible(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7f; });
}

std::string text_of(const ASN1_STRING* string) {
  const auto* bytes = reinterpret_cast<const char*>(ASN1_STRING_get0_data(string));
  return {bytes, static_cast<std::size_t>(ASN1_STRING_length(string))};
}

std::string subject_of(X509* certificate) {
  const BioHandle out(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(out.get(), X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
  char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  return size > 0 ? std::string(text, static_cast<std::size_t>(size)) : std::string();
}

// In quotes where a separator of the field would end it.
void add_element(std::string& out, std::string_view key, std::string_view value) {
  if (!out.empty()) out += ';';
  out.append(key).append("=");
  if (value.find_first_of(",;=\"\\ ") == std::string_view::npos) {
    out += value;
    return;
  }
  out += '"';
  for (const char c : value) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  out += '"';
}

std::string fingerprint(X509* certificate) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  if (X509_digest(certificate, EVP_sha256(), digest.data(), &size) != 1) return {};
  std::string text;
  for (unsigned i = 0; i < size; ++i) {
    text += kHex[digest[i] >> 4U];
    text += kHex[digest[i] & 15U];
  }
  return text;
}

}  // namespace

TlsPeer tls_names(X509* certificate) {
  TlsPeer peer;
  peer.subject = subject_of(certificate);
  auto* names =
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
    if (name->type != GEN_URI && name->type != GEN_DNS) continue;
    std::string text = text_of(name->d.ia5);
    if (!visible(text)) continue;
    if (name->type == GEN_URI) {
      peer.uris.push_back(std::move(text));
      continue;
    }
    std::ranges::transform(text, text.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    peer.dns.push_back(std::move(text));
  }
  GENERAL_NAMES_free(names);
  ERR_clear_error();
  return peer;
}

TlsPeer tls_peer(X509* certificate) {
  TlsPeer peer = tls_names(certificate);
  add_element(peer.forwarded, "Hash", fingerprint(certificate));
  if (!peer.subject.empty() &&
      peer.subject.size() < kLongestForwarded / 2) {  // RFC 2253 escapes what is not visible ASCII
    add_element(peer.forwarded, "Subject", peer.subject);
  }
  const auto add = [&](std::string_view key, const std::vector<std::string>& names) {
    for (const auto& name : names) {
      if (peer.forwarded.size() + name.size() < kLongestForwarded) add_element(peer.forwarded, key, name);
    }
  };
  add("URI", peer.uris);
  add("DNS", peer.dns);
  return peer;
}

}  // namespace remora::net
