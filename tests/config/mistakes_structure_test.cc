#include <doctest/doctest.h>

#include <vector>

#include "tests/config/fixture.h"

using namespace remora::config::fixture;

namespace {

const std::vector<Mistake> kListenersNeedAnAddressAnd{
    {whole, "", R"(listener: there is none, add [[listener]] with address = "0.0.0.0:8080" and a route)"},
    {whole, "# nothing\n",
     R"(listener: there is none, add [[listener]] with address = "0.0.0.0:8080" and a route)"},
    {whole, "[runtime]\n",
     R"(listener: there is none, add [[listener]] with address = "0.0.0.0:8080" and a route)"},
    {whole, "listener = []\n",
     R"(listener: there is none, add [[listener]] with address = "0.0.0.0:8080" and a route)"},
    {whole, "[[listener]]\n",
     R"(1: listener#1.address: a listener needs an address, write address = "0.0.0.0:8080"
1: listener#1.route: a listener needs a route, add [[listener.route]] with cluster = "...")"},
    {whole, R"([[listener]]
address = "127.0.0.1:80"
route = []
)",
     R"(3: listener#1.route: the list is empty, add [[listener.route]] with cluster = "...")"},
};

const std::vector<Mistake> kNamesThatReferToOthers{
    {route, R"(cluster = "ap")",
     R"(4: listener#1.route#1.cluster: there is no cluster "ap", did you mean "app"?)"},
    {route, R"(cluster = "elsewhere")",
     R"(4: listener#1.route#1.cluster: there is no cluster "elsewhere", the clusters are "app")"},
    {route, R"(cluster = "")",
     R"(4: listener#1.route#1.cluster: there is no cluster "", the clusters are "app")"},
    {route, R"(clusters = [{ name = "app" }, { name = "apq", weight = 2 }])",
     R"(4: listener#1.route#1.clusters#2.name: there is no cluster "apq", did you mean "app"?)"},
    {whole, R"([[listener]]
address = "127.0.0.1:80"
[[listener.route]]
cluster = "app"
)",
     R"(4: listener#1.route#1.cluster: there is no cluster "app", add a [[cluster]] with this name)"},
    {whole, R"(
[[listener]]
address = "127.0.0.1:80"
[[listener.route]]
cluster = "app"
[[cluster]]
name = "app"
endpoints = ["127.0.0.1:3000"]
[[listener]]
address = "127.0.0.1:80"
name = "again"
route = [{ respond = {} }]
)",
     R"(9: listener.again: address "127.0.0.1:80" is used at line 2 already, choose another port)"},
    {whole, R"([admin]
address = "127.0.0.1:80"
[[listener]]
address = "127.0.0.1:80"
route = [{ respond = {} }]
)",
     R"(3: listener#1: address "127.0.0.1:80" is used at line 2 already, choose another port)"},
    {whole, R"([[listener]]
name = "a"
address = "127.0.0.1:1"
route = [{ respond = {} }]
[[listener]]
name = "a"
address = "127.0.0.1:2"
route = [{ respond = {} }]
)",
     R"(5: listener.a: name "a" is used at line 1 already, give this listener another one with name = "...")"},
    {whole, R"([[listener]]
address = "127.0.0.1:0"
route = [{ respond = {} }]
[[listener]]
address = "127.0.0.1:0"
route = [{ respond = {} }]
)",
     R"(4: listener#2: name "127.0.0.1:0" is used at line 1 already, give this listener another one with name = "...")"},
    {whole, R"(
[[listener]]
address = "127.0.0.1:80"
[[listener.route]]
cluster = "app"
[[cluster]]
name = "app"
endpoints = ["127.0.0.1:3000"]
[[cluster]]
name = "app"
endpoints = ["127.0.0.1:3000"]
)",
     R"(9: cluster.app: name "app" is used at line 6 already, rename this cluster)"},
};

const std::vector<Mistake> kRoutesThatNoRequestReaches{
    {route, R"(cluster = "app"
[[listener.route]]
path = "/a"
cluster = "app")",
     "5: listener#1.route#2: never reached: route at line 3 matches everything, move this one before it or "
     "remove it"},
    {route, R"(cluster = "app"
prefix = "/"
[[listener.route]]
host = "a.example"
cluster = "app")",
     "6: listener#1.route#2: never reached: route at line 3 matches everything, move this one before it or "
     "remove it"},
    {route, R"(cluster = "app"
prefix = "/a"
[[listener.route]]
prefix = "/a/b"
cluster = "app")",
     "6: listener#1.route#2: never reached: route at line 3 matches all that this one does, move this one "
     "before it or remove it"},
};

const std::vector<Mistake> kTextThatIsNotToml{
    {whole, "a = 15s\n", R"(1: 15s needs quotes, write "15s")"},
    {whole, "a = app\n", R"(1: app needs quotes, write "app")"},
    {whole, "a = True\n", "1: True is not a value, write true"},
    {whole, R"(a = "x
)",
     R"(1: the string has no closing quote or an unknown escape, close it, and write \\ for a backslash)"},
    {whole, R"(a = "\q"
)",
     R"(1: the string has no closing quote or an unknown escape, close it, and write \\ for a backslash)"},
    {whole, "a =\n", "1: there is no value after the =, write one or remove the line"},
    {whole, "a\n", "1: there is no = after the key, write key = value"},
    {whole, "= 1\n", "1: there is no key before the =, write key = value"},
    {whole, "a = 1 b = 2\n", "1: something follows the value, start a new line"},
    {whole, "a = [1, 2\nb = 3\n", "2: a comma or the closing ] is missing in an array, add it"},
    {whole, "a = [1,,2]\n",
     "1: an element of an array is not a value, quote text and use one comma between elements"},
    {whole, "a = { x = 1,\n y = 2 }\n",
     "1: a table in { } must close on the line it begins on, put it on one line"},
    {whole, "a = { x = 1, }\n", "1: an inline table must not end in a comma, remove it"},
    {whole, "[a\n", "1: this is not a table's header, write [name] or [[name]]"},
    {whole, "[a] b = 1\n", "1: something follows the ] of a table's header, start a new line"},
    {whole, "[a]\n[[a]]\n", "2: a table is written both as [name] and as [[name]], use one of them"},
    {whole, "a = 1\nb = 2\na = 3\n", R"(3: "a" is defined twice, remove one)"},
    {whole, "[a]\n[b]\n[a]\n", R"(3: "a" is defined twice, remove one)"},
    {whole, "a = {}\n[a.b]\n",
     "2: a table written in { } cannot be added to, put everything inside the braces"},
    {whole, "a = []\nb = 1\n[a.b]\n[c]\n",
     "3: this belongs to a list that is empty, write [[name]] instead of name = [] before it"},
    {whole, "a = []\n[[a.b]]\nc = [\n1]\n",
     "2: this belongs to a list that is empty, write [[name]] instead of name = [] before it"},
    {whole, "a = []\na.b = 1",
     "2: this belongs to a list that is empty, write [[name]] instead of name = [] before it"},
    {whole, "[[a]]\nb = []\n[a.b.c]",
     "3: this belongs to a list that is empty, write [[name]] instead of name = [] before it"},
    {whole, "a = []\n[[a]]\n", "2: a list is written both as name = [...] and as [[name]], use one of them"},
    {whole, "a = [{ b = 1 }]\n[[a]]\n",
     "2: a list is written both as name = [...] and as [[name]], use one of them"},
    {whole, "a..b = 1\n", "1: this is not a key, a key consists of letters, digits, _ and -"},
    {whole, "@ = 1\n", "1: this is not a key, a key consists of letters, digits, _ and -"},
    {whole, "a = 01\n", "1: a number must not begin with 0, remove the zero or quote it"},
    {whole, "a = 2026-13-45\n", "1: this is not a date, text needs quotes"},
};

const std::vector<Mistake> kUnsetVariablesAreErrorsAt{
    {top, R"([runtime]
zone = "${NOPE}")",
     "2: runtime.zone: environment variable NOPE is not set, set it or write ${NOPE:-default}"},
    {top, R"([runtime]
zone = "${}")",
     R"(2: runtime.zone: "" is not the name of a variable, write ${NAME}, ${NAME:-default}, or $$ for a plain $)"},
    {top, R"([runtime]
zone = "${ONE")",
     R"(2: runtime.zone: "${ONE" has a ${ without a }, write ${NAME}, or $$ for a plain $)"},
    {top, R"([runtime]
zone = "${A B}")",
     R"(2: runtime.zone: "A B" is not the name of a variable, write ${NAME}, ${NAME:-default}, or $$ for a plain $)"},
    {top, R"([runtime]
workers = "${WORD}")",
     R"(2: runtime.workers: "four" is a string, write a whole number from 1 to 256)"},
    {top, R"([runtime]
workers = "${NOPE}"
drain_timeout = "${NOPE}")",
     "2: runtime.workers: environment variable NOPE is not set, set it or write ${NOPE:-default}\n3: "
     "runtime.drain_timeout: environment variable NOPE is not set, set it or write ${NOPE:-default}"},
    {cluster, R"(name = "${NOPE}"
endpoints = ["${NOPE}", "a:1"])",
     "6: cluster#1.name: environment variable NOPE is not set, set it or write ${NOPE:-default}\n7: "
     "cluster#1.endpoints#1: environment variable NOPE is not set, set it or write ${NOPE:-default}"},
};

}  // namespace

TEST_CASE("listeners need an address and a route") { expect(kListenersNeedAnAddressAnd); }

TEST_CASE("names that refer to others are checked") { expect(kNamesThatReferToOthers); }

TEST_CASE("routes that no request reaches are errors") { expect(kRoutesThatNoRequestReaches); }

TEST_CASE("text that is not TOML is refused in words") { expect(kTextThatIsNotToml); }

TEST_CASE("unset variables are errors at their line") { expect(kUnsetVariablesAreErrorsAt); }

TEST_CASE("mistakes in who may speak to whom are found") {
  const auto mistakes = [](const std::vector<Mistake>& rows) {
    for (const auto& [file, lines, expected] : rows) {
      CAPTURE(lines);
      CHECK(problems(file(lines)) == expected);
    }
  };
  const std::string pair = "tls = { certificate = \"a\", key = \"b\"";
  const std::string trusting = pair + ", client_ca = \"c\" }\n";
  mistakes({
      {listener, "tls = {}",
       "3: listener#1.tls.certificate: TLS needs a certificate, write certificate = "
       "\"/etc/remora/tls.crt\" "
       "and key"},
      {listener, "tls = { certificate = \"a\" }",
       "3: listener#1.tls.key: a certificate needs its private key, write key = "
       "\"/etc/remora/tls.key\""},
      {listener, "tls = { key = \"a\" }",
       "3: listener#1.tls.certificate: a key needs its certificate, write certificate = "
       "\"/etc/remora/tls.crt\""},
      {listener, pair + ", certificates = [{}] }",
       "3: listener#1.tls.certificates#1: there is no certificate in it, write certificate and "
       "key"},
      {listener, pair + ", client_crl = \"x\" }",
       "3: listener#1.tls.client_crl: nobody is trusted to issue client certificates, add "
       "client_ca or "
       "remove this"},
      {listener, pair + ", min_version = \"1.1\" }",
       "3: listener#1.tls.min_version: \"1.1\" is not one of the choices, did you mean \"1.2\"?"},
      {listener, pair + ", handshakes = 0 }",
       "3: listener#1.tls.handshakes: 0 is out of range, write a whole number from 1 to 1000000"},
      {listener, "allow = [{ identity = \"a.example\" }]",
       "3: listener#1.allow: nobody here shows who they are, add [listener.tls] with client_ca"},
      {listener, trusting + "allow = []",
       "4: listener#1.allow: the list is empty and nobody could come in, name somebody or leave "
       "the key "
       "out"},
      {listener, trusting + "allow = [\"a\"]",
       "4: listener#1.allow#1: \"a\" is a string, write { identity = \"spiffe://example.org/app\" "
       "}"},
      {listener, trusting + "allow = [{ identity = \"spiffe://*/a\" }]",
       "4: listener#1.allow#1.identity: \"spiffe://*/a\" has a * in the wrong place, write "
       "\"spiffe://example.org/ns/*\" for all below a path"},
      {cluster, "name = \"app\"\nendpoints = [\"unix:/x\"]\ntls = {}",
       "8: cluster.app.tls: a Unix socket has no name to verify, add server_name or identity"},
      {cluster,
       "name = \"app\"\nendpoints = [\"a:1\"]\ntls = { verify = false, identity = \"spiffe://a/b\" }",
       "8: cluster.app.tls.identity: verify = false looks at no certificate, remove that or this"},
      {cluster, "name = \"app\"\nendpoints = [\"a:1\"]\ntls = { identity = \"app\" }",
       "8: cluster.app.tls.identity: \"app\" is not a URI, write \"spiffe://example.org/app\""},
      {cluster, "name = \"app\"\nendpoints = [\"a:1\"]\ntls = { server_name = \"*.a\" }",
       "8: cluster.app.tls.server_name: \"*.a\" is a pattern, write one name"},
      {cluster, "name = \"app\"\nendpoints = [\"a:1\"]\ntls = { crl = \"x\" }",
       "8: cluster.app.tls.crl: revocation lists go with the authorities that issue them, add ca or remove "
       "this"},
  });
}
