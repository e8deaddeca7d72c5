// Who may speak to whom, and how it is known: [listener.tls], [cluster.tls], allow. The tables themselves,
// and how they are written again.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "config/draft.h"
#include "config/effective_parts.h"
#include "config/values.h"

namespace remora::config {

namespace {

using Version = std::pair<std::string_view, bool>;
constexpr std::array kVersions{Version{"1.2", false}, Version{"1.3", true}};

std::string read_path(const TableReader& reader, std::string_view key, std::string_view example) {
  const auto path = reader.string(key, example);
  if (!path) return {};
  if (path->empty())
    reader.problem(key, fmt::format("the path is empty, write {} or leave the key out", example));
  return *path;
}

TlsKeyPair read_pair(const TableReader& reader) {
  TlsKeyPair pair{.certificate = read_path(reader, "certificate", "\"/etc/remora/tls.crt\""),
                  .key = read_path(reader, "key", "\"/etc/remora/tls.key\"")};
  if (reader.has("certificate") && !reader.has("key")) {
    reader.problem("key", "a certificate needs its private key, write key = \"/etc/remora/tls.key\"");
  } else if (reader.has("key") && !reader.has("certificate")) {
    reader.problem("certificate", "a key needs its certificate, write certificate = \"/etc/remora/tls.crt\"");
  }
  return pair;
}

// Of a listener: with what clients ask for to be sure that the certificate is not revoked.
TlsKeyPair read_shown_pair(const TableReader& reader) {
  TlsKeyPair pair = read_pair(reader);
  pair.ocsp = read_path(reader, "ocsp", "\"/etc/remora/tls.ocsp\"");
  if (reader.has("ocsp") && !reader.has("certificate")) {
    reader.problem("ocsp", "there is no certificate that it could be for, add certificate and key");
  }
  return pair;
}

void not_a_table(const Item& item, std::string_view example, Report& report) {
  if (item.node->kind == Node::Kind::kBroken) return;
  report.add(item.where, fmt::format("{}, write {}", describe(*item.node), example));
}

// A URI as SPIFFE writes it.
Complaint check_uri(std::string_view text) {
  const bool visible = std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7f; });
  const auto colon = text.find("://");
  if (visible && colon != std::string_view::npos && colon > 0 && colon + 3 < text.size()) return std::nullopt;
  return fmt::format("{} is not a URI, write \"spiffe://example.org/app\"", in_quotes(text));
}

// An identity as `allow` compares it: a URI, a subject, or a DNS name.
std::expected<std::string, std::string> parse_identity(std::string_view text) {
  if (text.find("://") != std::string_view::npos) {
    const auto star = text.find('*');
    if (star != std::string_view::npos && (star + 1 != text.size() || !text.ends_with("/*"))) {
      return std::unexpected(fmt::format(
          "{} has a * in the wrong place, write \"spiffe://example.org/ns/*\" for all below a path",
          in_quotes(text)));
    }
    if (auto complaint = check_uri(text)) return std::unexpected(*complaint);
    return std::string(text);
  }
  if (text.find('=') != std::string_view::npos) {
    if (const auto complaint = check_field_value(text)) return std::unexpected(*complaint);
    return std::string(text);
  }
  return parse_host_pattern(text);
}

}  // namespace

void read_listener_tls(const TableReader& reader, const Hooks& hooks, Listener& listener) {
  if (const auto table = reader.table("tls"); table.present()) {
    const bool fine_before = reader.report().empty();
    ListenerTls tls;
    if (const auto first = read_shown_pair(table); !first.certificate.empty())
      tls.certificates.push_back(first);
    for (const auto& item :
         table.elements("certificates", "[{ certificate = \"a.crt\", key = \"a.key\" }]")) {
      if (item.node->kind != Node::Kind::kTable) {
        not_a_table(item, "{ certificate = \"a.crt\", key = \"a.key\" }", reader.report());
        continue;
      }
      const TableReader pair(item.node, "listener.tls.certificates", item.where, reader.report());
      tls.certificates.push_back(read_shown_pair(pair));
      if (!pair.has("certificate") && !pair.has("key")) {
        reader.report().add(item.where, "there is no certificate in it, write certificate and key");
      }
    }
    if (!table.has("certificate") && !table.has("key") && tls.certificates.empty()) {
      table.problem("certificate",
                    "TLS needs a certificate, write certificate = \"/etc/remora/tls.crt\" and key");
    }
    tls.client_ca = read_path(table, "client_ca", "\"/etc/remora/clients.crt\"");
    tls.client_crl = read_path(table, "client_crl", "\"/etc/remora/clients.crl\"");
    table.boolean("require_client_certificate", tls.require_client_certificate);
    for (const std::string_view key : {"client_crl", "require_client_certificate"}) {
      if (!table.has(key) || table.has("client_ca")) continue;
      table.problem(key, "nobody is trusted to issue client certificates, add client_ca or remove this");
    }
    table.choice<bool>("min_version", tls.only_tls13, kVersions);
    table.duration("handshake_timeout", tls.handshake_timeout, 10ms, 1h);
    table.integer("handshakes", tls.handshakes, 1, 1'000'000);
    if (fine_before && reader.report().empty() && hooks.check_listener_tls) {
      if (const auto wrong = hooks.check_listener_tls(tls)) reader.problem("tls", *wrong);
    }
    listener.tls = std::move(tls);
  }
  listener.allow = read_allow(reader, "listener.allow", listener.tls);
}

std::vector<std::string> read_allow(const TableReader& reader, std::string_view table,
                                    const std::optional<ListenerTls>& tls) {
  std::vector<std::string> allow;
  if (!reader.has("allow")) return allow;
  const auto items = reader.elements("allow", "[{ identity = \"spiffe://example.org/app\" }]");
  if (items.empty() && reader.find("allow")->kind == Node::Kind::kArray) {
    reader.problem("allow", "the list is empty and nobody could come in, name somebody or leave the key out");
  }
  for (const auto& item : items) {
    if (item.node->kind != Node::Kind::kTable) {
      not_a_table(item, "{ identity = \"spiffe://example.org/app\" }", reader.report());
      continue;
    }
    const TableReader one(item.node, table, item.where, reader.report());
    if (!one.has("identity"))
      one.problem("identity", "who is allowed is missing, write identity = \"spiffe://...\"");
    const auto text = one.string("identity", "\"spiffe://example.org/app\"");
    if (!text) continue;
    if (auto identity = parse_identity(*text)) {
      allow.push_back(*std::move(identity));
    } else {
      one.problem("identity", identity.error());
    }
  }
  if (!tls || tls->client_ca.empty()) {
    reader.problem("allow", "nobody here shows who they are, add [listener.tls] with client_ca");
  }
  return allow;
}

void read_cluster_tls(const TableReader& reader, const Hooks& hooks, Cluster& cluster) {
  const auto table = reader.table("tls");
  if (!table.present()) return;
  const bool fine_before = reader.report().empty();
  ClusterTls tls;
  tls.ca = read_path(table, "ca", "\"/etc/remora/ca.crt\"");
  tls.crl = read_path(table, "crl", "\"/etc/remora/ca.crl\"");
  tls.own = read_pair(table);
  if (const auto name = table.string("server_name", "\"app.example\"")) {
    if (Address::parse_ip(*name, 0)) {
      tls.server_name = *name;
    } else if (auto host = parse_host_pattern(*name); host && !host->starts_with('*')) {
      tls.server_name = *std::move(host);
    } else {
      table.problem("server_name", host ? in_quotes(*name) + " is a pattern, write one name" : host.error());
    }
  }
  if (const auto identity = table.string("identity", "\"spiffe://example.org/app\"")) {
    table.complain("identity", check_uri(*identity));
    tls.identity = *identity;
  }
  table.boolean("verify", tls.verify);
  table.choice<bool>("min_version", tls.only_tls13, kVersions);
  if (table.has("crl") && !table.has("ca")) {
    table.problem("crl", "revocation lists go with the authorities that issue them, add ca or remove this");
  }
  for (const std::string_view key : {"ca", "crl", "identity"}) {
    if (tls.verify || !table.has(key)) continue;
    table.problem(key, "verify = false looks at no certificate, remove that or this");
  }
  const bool nameless = std::ranges::any_of(
      cluster.endpoints, [](const Endpoint& e) { return e.address && e.address->is_unix(); });
  if (tls.verify && nameless && !table.has("identity") && !table.has("server_name")) {
    reader.problem("tls", "a Unix socket has no name to verify, add server_name or identity");
  }
  if (fine_before && reader.report().empty() && hooks.check_cluster_tls) {
    if (const auto wrong = hooks.check_cluster_tls(tls)) reader.problem("tls", *wrong);
  }
  cluster.tls = std::move(tls);
}

void write_listener_tls(TomlWriter& out, const ListenerTls& tls) {
  out.table("listener.tls");
  std::vector<std::string> others;
  for (const auto& pair : tls.certificates) {
    if (&pair == tls.certificates.data()) continue;
    const std::string ocsp = pair.ocsp.empty() ? "" : ", ocsp = " + toml_string(pair.ocsp);
    others.push_back(fmt::format("{{ certificate = {}, key = {}{} }}", toml_string(pair.certificate),
                                 toml_string(pair.key), ocsp));
  }
  out.text("certificate", tls.certificates.front().certificate);
  out.text("key", tls.certificates.front().key);
  if (!tls.certificates.front().ocsp.empty()) out.text("ocsp", tls.certificates.front().ocsp);
  if (!others.empty()) out.values("certificates", others);
  if (!tls.client_ca.empty()) {
    out.text("client_ca", tls.client_ca);
    if (!tls.client_crl.empty()) out.text("client_crl", tls.client_crl);
    out.boolean("require_client_certificate", tls.require_client_certificate);
  }
  out.text("min_version", tls.only_tls13 ? "1.3" : "1.2");
  out.duration("handshake_timeout", tls.handshake_timeout);
  out.integer("handshakes", tls.handshakes);
}

void write_cluster_tls(TomlWriter& out, const ClusterTls& tls) {
  out.table("cluster.tls");
  if (!tls.ca.empty()) out.text("ca", tls.ca);
  if (!tls.crl.empty()) out.text("crl", tls.crl);
  if (!tls.own.certificate.empty()) {
    out.text("certificate", tls.own.certificate);
    out.text("key", tls.own.key);
  }
  if (!tls.server_name.empty()) out.text("server_name", tls.server_name);
  if (!tls.identity.empty()) out.text("identity", tls.identity);
  out.boolean("verify", tls.verify);
  out.text("min_version", tls.only_tls13 ? "1.3" : "1.2");
}

void write_allow(TomlWriter& out, const std::vector<std::string>& allow) {
  if (allow.empty()) return;
  std::vector<std::string> items;
  items.reserve(allow.size());
  for (const auto& identity : allow)
    items.push_back(fmt::format("{{ identity = {} }}", toml_string(identity)));
  out.values("allow", items);
}

}  // namespace remora::config
