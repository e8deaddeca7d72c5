#include <doctest/doctest.h>

#include <vector>

#include "tests/config/fixture.h"

using namespace remora::config::fixture;

namespace {

const std::vector<Mistake> kAddressesToListenOnAre{
    {top, R"([admin]
address = "localhost:9901")",
     R"(2: admin.address: "localhost:9901" is a name, write "127.0.0.1:9901")"},
    {top, R"([admin]
address = "*:9901")",
     R"(2: admin.address: "*:9901" is not an IP address, write "0.0.0.0:9901")"},
    {top, R"([admin]
address = ":9901")",
     R"(2: admin.address: ":9901" has no host, write "0.0.0.0:9901")"},
    {top, R"([admin]
address = "9901")",
     R"(2: admin.address: "9901" is only a port, write "127.0.0.1:9901")"},
    {top, "[admin]\naddress = 9901",
     R"(2: admin.address: 9901 is a number, write a string such as "127.0.0.1:9901")"},
    {top, R"([admin]
address = "127.0.0.1")",
     R"(2: admin.address: "127.0.0.1" has no port, write "127.0.0.1:80")"},
    {top, R"([admin]
address = "127.0.0.1:")",
     R"(2: admin.address: "127.0.0.1:" has no valid port, write a number from 1 to 65535 after the colon)"},
    {top, R"([admin]
address = "127.0.0.1:65536")",
     R"(2: admin.address: "127.0.0.1:65536" has no valid port, write a number from 1 to 65535 after the colon)"},
    {top, R"([admin]
address = "127.0.0.1:http")",
     R"(2: admin.address: "127.0.0.1:http" has no valid port, write a number from 1 to 65535 after the colon)"},
    {top, R"([admin]
address = "::1:9901")",
     R"(2: admin.address: "::1:9901" is not host:port, an IPv6 address needs brackets, as in "[::1]:8080")"},
    {top, R"([admin]
address = "[::1]")",
     R"(2: admin.address: "[::1]" has no port, write "[::1]:80")"},
    {top, R"([admin]
address = "app.example:80")",
     R"(2: admin.address: "app.example:80" is not an IP address, write the address of one of this machine's interfaces, or "0.0.0.0:80" for all)"},
    {top, R"([admin]
address = "http://127.0.0.1:9901/")",
     R"(2: admin.address: "http://127.0.0.1:9901/" is a URL, write "127.0.0.1:9901")"},
    {top, R"([admin]
address = "unix:")",
     R"(2: admin.address: "unix:" has no path, write "unix:/run/app.sock")"},
    {top, R"([admin]
address = "/run/x.sock")",
     R"(2: admin.address: "/run/x.sock" is a path, write "unix:/run/x.sock" for a Unix socket)"},
    {top, R"([admin]
address = "")",
     R"(2: admin.address: the address is empty, write "host:port" or "unix:/path")"},
    {top, R"([admin]
address = "unix:/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx")",
     "2: admin.address: the path of a Unix socket of 108 bytes is too long, at most 107 fit"},
    {top, R"([admin]
address = "unix:/a\nb")",
     R"(2: admin.address: "unix:/a\nb" has a control character, remove it)"},
    {top, "[admin]\nhosts = [\"a.example:9901\"]",
     R"(2: admin.hosts#1: "a.example:9901" has a port, hosts are compared without one: write "a.example")"},
    {listener, R"(trusted = ["10.0.0.0/33"])",
     R"(3: listener#1.trusted#1: "10.0.0.0/33" is not an address range, write "10.0.0.0/8", "fc00::/7", one address, or "unix:")"},
    {listener, R"(trusted = ["ten"])",
     R"(3: listener#1.trusted#1: "ten" is not an address range, write "10.0.0.0/8", "fc00::/7", one address, or "unix:")"},
    {listener, R"(trusted = [""])",
     R"(3: listener#1.trusted#1: "" is not an address range, write "10.0.0.0/8", "fc00::/7", one address, or "unix:")"},
};

const std::vector<Mistake> kEndpointsAreChecked{
    {cluster, R"(name = "app"
endpoints = ["127.0.0.1:0"])",
     R"(7: cluster.app.endpoints#1: "127.0.0.1:0" has port 0, write the port the service listens on)"},
    {cluster, R"(name = "app"
endpoints = ["app"])",
     R"(7: cluster.app.endpoints#1: "app" has no port, write "app:80")"},
    {cluster, R"(name = "app"
endpoints = ["http://app:80/x"])",
     R"(7: cluster.app.endpoints#1: "http://app:80/x" is a URL, write "app:80")"},
    {cluster, R"(name = "app"
endpoints = ["256.1.1.1:80"])",
     R"(7: cluster.app.endpoints#1: "256.1.1.1:80" is not an IP address, write "10.0.0.1:80", "[2001:db8::1]:80" or a host name)"},
    {cluster, R"(name = "app"
endpoints = ["1.2.3:80"])",
     R"(7: cluster.app.endpoints#1: "1.2.3:80" is not an IP address, write "10.0.0.1:80", "[2001:db8::1]:80" or a host name)"},
    {cluster, R"(name = "app"
endpoints = ["::1:80"])",
     R"(7: cluster.app.endpoints#1: "::1:80" is not host:port, an IPv6 address needs brackets, as in "[::1]:8080")"},
    {cluster, R"(name = "app"
endpoints = ["[fe80::1%eth0]:80"])",
     R"(7: cluster.app.endpoints#1: "[fe80::1%eth0]:80" is not an IP address, write "10.0.0.1:80", "[2001:db8::1]:80" or a host name)"},
    {cluster, R"(name = "app"
endpoints = ["a b:80"])",
     R"(7: cluster.app.endpoints#1: "a b" is not a host name, write letters, digits, - and dots)"},
    {cluster, R"(name = "app"
endpoints = ["a..b:80"])",
     R"(7: cluster.app.endpoints#1: "a..b" has an empty part, write one dot between parts)"},
    {cluster, R"(name = "app"
endpoints = ["app.:80"])",
     R"(7: cluster.app.endpoints#1: "app." ends in a dot, write "app")"},
    {cluster, R"(name = "app"
endpoints = ["bücher.example:80"])",
     R"(7: cluster.app.endpoints#1: "bücher.example" is not ASCII, write the xn-- form of the name)"},
    {cluster, R"(name = "app"
endpoints = ["xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx:80"])",
     R"(7: cluster.app.endpoints#1: "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx..." has a part of more than 63 characters, shorten it)"},
    {cluster, R"(name = "app"
endpoints = ["a:1", "b:1", "a:1"])",
     R"(7: cluster.app.endpoints#3: endpoint "a:1" is used at line 7 already, remove one, or give it a higher weight)"},
    {cluster, R"(name = "app"
endpoints = [])",
     R"(7: cluster.app.endpoints: the list is empty, write at least one, as in ["127.0.0.1:3000"])"},
    {cluster, R"(name = "app")",
     R"(5: cluster.app.endpoints: a cluster needs endpoints, write endpoints = ["127.0.0.1:3000"])"},
    {cluster, R"(name = "app"
endpoints = [{ weight = 2 }])",
     R"(7: cluster.app.endpoints#1.address: the endpoint has no address, write address = "host:port")"},
    {cluster, R"(endpoints = ["a:1"])", R"(5: cluster#1.name: a cluster needs a name, write name = "app")"},
    {cluster, R"(name = ""
endpoints = ["a:1"])",
     "6: cluster#1.name: the name is empty, write at least one character"},
};

// The endpoint of [tracing].
std::string traced(const std::string& endpoint) { return problems(top("[tracing]\nendpoint = " + endpoint)); }

std::string with_tracing(const std::string& line) {
  return problems(top("[tracing]\nendpoint = \"http://a:1\"\n" + line));
}

}  // namespace

TEST_CASE("the endpoint of a collector is a URL with a port, and everything else says what is right") {
  for (const char* const right :
       {R"("http://127.0.0.1:4318")", R"("http://127.0.0.1:4318/")", R"("http://[::1]:4318/v1/traces")",
        R"("http://collector.internal:4318/otlp/v1/traces")"}) {
    CAPTURE(right);
    CHECK(traced(right) == "");
  }
  CHECK(load(top("[tracing]\nendpoint = \"http://a:1\""))->tracing->path == "/v1/traces");
  CHECK(load(top("[tracing]\nendpoint = \"http://a:1/x\""))->tracing->path == "/x");
  CHECK(problems(top("[tracing]")) ==
        "1: tracing: there is no endpoint, write that of a collector: endpoint = "
        "\"http://127.0.0.1:4318/v1/traces\"");
  CHECK(
      traced(R"("collector:4318")") ==
      "2: tracing.endpoint: \"collector:4318\" is no http:// URL, write \"http://127.0.0.1:4318/v1/traces\"");
  CHECK(traced(R"("https://collector:4318/v1/traces")") ==
        "2: tracing.endpoint: \"https://collector:4318/v1/traces\" asks for TLS, which is not spoken to "
        "collectors: write the http:// URL of one beside Remora");
  CHECK(traced(R"("http://collector/v1/traces")") ==
        "2: tracing.endpoint: \"http://collector/v1/traces\" has no port, write "
        "\"http://collector:4318/v1/traces\"");
  CHECK(traced(R"("http://me:secret@collector:4318/")") ==
        "2: tracing.endpoint: a name and password do not belong here, write them as a header in headers: "
        "Authorization = \"Basic ...\"");
  CHECK(traced(R"("http://a:1/v1/traces?key=1")") ==
        "2: tracing.endpoint: \"/v1/traces?key=1\" has a ?, paths stand without query and fragment: write "
        "\"/v1/traces\"");
  CHECK(traced(R"("http://unix:/run/x")") != "");
  CHECK(traced(R"("http://")") != "");
  CHECK(traced("5") != "");
}

TEST_CASE("mistakes in how traces are passed on and delivered say what is right") {
  CHECK(with_tracing("propagation = []") ==
        "3: tracing.propagation: the list is empty, write one or more of \"w3c\", \"b3\", \"b3multi\"");
  CHECK(with_tracing("propagation = [\"b3mutli\"]") ==
        "3: tracing.propagation#1: \"b3mutli\" is no way of passing a trace on, did you mean \"b3multi\"?");
  CHECK(with_tracing("propagation = [\"jaeger\"]") ==
        "3: tracing.propagation#1: \"jaeger\" is no way of passing a trace on, write \"w3c\", \"b3\" or "
        "\"b3multi\"");
  CHECK(with_tracing("propagation = [\"b3\", \"b3\"]") ==
        "3: tracing.propagation#2: \"b3\" is here twice, keep one");
  CHECK(with_tracing("propagation = \"b3\"") ==
        "3: tracing.propagation: \"b3\" is a string, write an array such as [\"b3\"]");
  CHECK(with_tracing("service = \"\"") ==
        "3: tracing.service: the name is empty, write at least one character");
  CHECK(with_tracing("batch = 100\nqueue = 10") ==
        "4: tracing.queue: 10 is below batch, which is 100: write 100 or more, or lower batch");
  CHECK(with_tracing("headers = { Host = \"a\" }") != "");
  CHECK(with_tracing("headers = { Content-Length = \"1\" }") ==
        "3: tracing.headers.Content-Length: \"Content-Length\" frames the message and is Remora's to write, "
        "remove this");
  CHECK(with_tracing("headers = { User-Agent = \"a\" }") ==
        "3: tracing.headers.User-Agent: \"User-Agent\" is Remora's to write, remove this");
  CHECK(with_tracing("headers = { A = \"a\\nb\" }") ==
        "3: tracing.headers.A: \"a\\nb\" has a line break, write one line");
}

TEST_CASE("addresses to listen on are checked") { expect(kAddressesToListenOnAre); }

TEST_CASE("endpoints are checked") { expect(kEndpointsAreChecked); }

namespace {

const std::string kServe = "[mesh]\n[[mesh.service]]\n";

std::string many_services(int count, int tags) {
  std::string text;
  for (int i = 0; i < count; ++i) {
    text += "[[mesh.service]]\nname = \"s" + std::to_string(i) + "\"\nport = 80\ntags = [";
    for (int tag = 0; tag < tags; ++tag) text += "\"" + std::string(128, 't') + "\", ";
    text += "]\n";
  }
  return text;
}

const std::vector<Mistake> kOfServices{
    {top, kServe + "port = 0",
     R"(2: mesh.service#1.name: a service needs a name, write name = "orders"
3: mesh.service#1.port: 0 is out of range, write a whole number from 1 to 65535)"},
    {top, kServe + "name = \"s\"\nweight = 0",
     "2: mesh.service#1.port: a service needs a port, write that of its listener\n"
     "4: mesh.service#1.weight: 0 is out of range, write a whole number from 1 to 65535"},
    {top, kServe + "name = \"s\"\nport = 1\nzone = \"a;b\"\ntags = [\"a,b\", \"\"]",
     R"(5: mesh.service#1.zone: "a;b" does not fit into gossip, write 1 to 128 visible ASCII characters without , and ;
6: mesh.service#1.tags#1: "a,b" does not fit into gossip, write 1 to 128 visible ASCII characters without , and ;
6: mesh.service#1.tags#2: "" does not fit into gossip, write 1 to 128 visible ASCII characters without , and ;)"},
    {top, kServe + "name = \"s\"\nport = 1\n[[mesh.service]]\nname = \"s\"\nport = 2",
     R"(6: mesh.service#2.name: "s" is announced already, give this one another name)"},
    {top, kServe + "name = \"s\"\nport = 1\ncluster = \"app\"",
     R"(5: mesh.service#1.cluster: cluster "app" has no [cluster.health_check], so nothing would ever withdraw the service, add one or remove this key)"},
    {top, kServe + "name = \"s\"\nport = 1\ncluster = \"ap\"",
     R"(5: mesh.service#1.cluster: there is no cluster "ap", did you mean "app"?)"},
    {top, "[mesh]\n" + many_services(256, 1),
     "2: mesh.service: a member announces 255 services at most, these are 256, leave some out"},
    {top, "[mesh]\n" + many_services(200, 3),
     "2: mesh.service: a member can say 65536 bytes of its services, these take 80503, shorten names and "
     "tags or "
     "leave some out"},
    {cluster, "name = \"app\"\ndiscover = { swim = \"orders\" }",
     "7: cluster.app.discover: this looks for endpoints in the mesh, and there is none, add [mesh]"},
    {cluster, "name = \"app\"\nendpoints = [\"a:1\"]\ndiscover = { swim = \"orders\" }\n[mesh]",
     "8: cluster.app.discover: a cluster has endpoints or discovers them, remove one"},
    {cluster, "name = \"app\"\ndiscover = { tags = [\"a,\"], port = 70000 }\n[mesh]",
     R"(7: cluster.app.discover.swim: there is nothing to look for, write swim = "orders", or file, dns or srv
7: cluster.app.discover.tags#1: "a," does not fit into gossip, write 1 to 128 visible ASCII characters without , and ;
7: cluster.app.discover.port: 70000 is out of range, write a whole number from 0 to 65535)"},
    {cluster, "name = \"app\"\ndiscover = { original_destination = true }",
     R"(3: listener#1.route#1: cluster "app" goes where connections were going before they were redirected, write original_destination = true in this listener)"},
    {cluster, "name = \"app\"\ndiscover = { original_destination = false }\nhealth_check = {}",
     R"(7: cluster.app.discover.original_destination: false means nothing here, write true or another source
8: cluster.app.health_check: this cluster's endpoints are wherever connections were going, nobody knows them before: remove this)"},
    {listener, "original_destination = 1",
     "3: listener#1.original_destination: 1 is a number, write true or false"},
    {whole, "[[listener]]\naddress = \"unix:/run/a.sock\"\noriginal_destination = true\n" + kRoute + kCluster,
     "3: listener#1.original_destination: nobody can redirect to a Unix socket, give it an IP address or "
     "remove this"},
    {route, "connect = true\nprefix = \"/x\"\ncluster = \"app\"",
     "5: listener#1.route#1.prefix: a route with connect = true leads to a tunnel, remove this"},
    {cluster, "name = \"app\"\ndiscover = { file = \"orders.yaml\", tags = [\"a\"] }",
     R"(7: cluster.app.discover.file: "orders.yaml" is neither TOML nor JSON by its name, let it end in .toml or .json
7: cluster.app.discover.tags: only members of the mesh have it, remove it or use swim)"},
    {cluster, "name = \"app\"\ndiscover = { dns = \"orders\" }",
     R"(7: cluster.app.discover.dns: "orders" has no port, write "orders:80")"},
    {cluster, "name = \"app\"\ndiscover = { dns = \"10.0.0.1:80\" }",
     R"(7: cluster.app.discover.dns: "10.0.0.1:80" is an address and no name, write endpoints = ["10.0.0.1:80"])"},
    {cluster, "name = \"app\"\ndiscover = { srv = \"_orders._tcp.test:80\" }",
     R"(7: cluster.app.discover.srv: "_orders._tcp.test:80" has a port, which SRV records have themselves, write "_orders._tcp.test", or dns instead of srv)"},
    {cluster, "name = \"app\"\ndiscover = { srv = \"\" }",
     R"(7: cluster.app.discover.srv: "" is not a host name, write 1 to 253 characters)"},
    {top, "[runtime]\nresolvers = [\"10.0.0.53\", \"dns.test:53\"]",
     R"(2: runtime.resolvers#2: "dns.test:53" is no IP address, write "10.0.0.53", or "10.0.0.53:53" with a port)"},
};

const std::vector<Mistake> kOfTheMesh{
    {top, "[mesh]\nbind = \"unix:/run/mesh\"",
     "2: mesh.bind: gossip goes over UDP and TCP, write an IP address and a port"},
    {top, "[mesh]\nbind = \"127.0.0.1:80\"",
     R"(2: mesh.bind: address "127.0.0.1:80" is used at line 3 already, choose another port)"},
    {top, "[mesh]\nadvertise = \"0.0.0.0\"",
     R"(2: mesh.advertise: "0.0.0.0" is nothing to be reached at, write an IP address of this host)"},
    {top, "[mesh]\nadvertise = \"host.example\"",
     R"(2: mesh.advertise: "host.example" is nothing to be reached at, write an IP address of this host)"},
    {top, "[mesh]\njoin = [\"unix:/run/mesh\", \"10.0.0.1\"]",
     "2: mesh.join#1: a member is reached over UDP and TCP, write host:port\n"
     R"(2: mesh.join#2: "10.0.0.1" has no port, write "10.0.0.1:80")"},
    {top, "[mesh]\nnode = \"\"", R"(2: mesh.node: the name is empty, write at least one character)"},
    {top, "[mesh]\nlabel = \"" + std::string(256, 'x') + "\"",
     "2: mesh.label: at most 255 bytes, this one has 256, shorten it"},
    {top, "[mesh]\nprotocol = { probe_timeout = \"3s\", probe_interval = \"2s\" }",
     R"(2: mesh.protocol.probe_interval: "2s" is below probe_timeout, which is "3s": write "3s" or more, or lower probe_timeout)"},
    // What is wrong with a key is said without the key.
    {top, "[mesh]\nkey = \"hush!\"",
     "2: mesh.key: this is not base64, write one that `head -c 32 /dev/urandom | base64` prints"},
    {top, "[mesh]\nkey = \"aHVzaA==\"",
     "2: mesh.key: a key has 16, 24 or 32 bytes, this one has 4, write one that `head -c 32 /dev/urandom | "
     "base64` prints"},
    {top, "[mesh]\nkey_file = \"\"", "2: mesh.key_file: the path is empty, write that of a file with keys"},
};

}  // namespace

TEST_CASE("mistakes in the mesh's addresses and keys are told, keys are not") { expect(kOfTheMesh); }
TEST_CASE("mistakes in services and in the search for them are told") { expect(kOfServices); }
