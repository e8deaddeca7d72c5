#include <doctest/doctest.h>

#include <vector>

#include "tests/config/fixture.h"

using namespace remora::config::fixture;

namespace {

const std::vector<Mistake> kWhatARouteMatchesIs{
    {route, R"(cluster = "app"
host = "*")",
     R"(5: listener#1.route#1.host: "*" matches every host, leave the key out for that)"},
    {route, R"(cluster = "app"
host = "")",
     R"(5: listener#1.route#1.host: "" matches every host, leave the key out for that)"},
    {route, R"(cluster = "app"
host = "a.example:80")",
     R"(5: listener#1.route#1.host: "a.example:80" has a port, hosts are compared without one: write "a.example")"},
    {route, R"(cluster = "app"
host = "a.*.example")",
     R"(5: listener#1.route#1.host: "a.*.example" has a * in the wrong place, write an exact host or "*.suffix")"},
    {route, R"(cluster = "app"
host = "*example")",
     R"(5: listener#1.route#1.host: "*example" has a * in the wrong place, write an exact host or "*.suffix")"},
    {route, R"(cluster = "app"
host = "a/b")",
     R"(5: listener#1.route#1.host: "a/b" is not a host name, write letters, digits, - and dots)"},
    {route, R"(cluster = "app"
host = "a.example.")",
     R"(5: listener#1.route#1.host: "a.example." ends in a dot, write "a.example")"},
    {route, R"(cluster = "app"
path = "api")",
     R"(5: listener#1.route#1.path: "api" does not begin with a slash, write "/api")"},
    {route, R"(cluster = "app"
path = "")",
     R"(5: listener#1.route#1.path: "" does not begin with a slash, write "/")"},
    {route, R"(cluster = "app"
path = "/a?b=1")",
     R"(5: listener#1.route#1.path: "/a?b=1" has a ?, paths stand without query and fragment: write "/a")"},
    {route, R"(cluster = "app"
prefix = "/a#b")",
     R"(5: listener#1.route#1.prefix: "/a#b" has a #, paths stand without query and fragment: write "/a")"},
    {route, R"(cluster = "app"
prefix = "/ä")",
     R"(5: listener#1.route#1.prefix: "/ä" has characters that no request path has, write them as %XX)"},
    {route, R"(cluster = "app"
prefix = "/a b")",
     R"(5: listener#1.route#1.prefix: "/a b" has characters that no request path has, write them as %XX)"},
    {route, R"(cluster = "app"
path = "/a"
prefix = "/a")",
     "6: listener#1.route#1.prefix: path and prefix exclude each other, keep one"},
    {route, R"(cluster = "app"
path = "/a"
prefix = "/a"
regex = "/a")",
     "6: listener#1.route#1.prefix: path and prefix exclude each other, keep one\n7: "
     "listener#1.route#1.regex: path and regex exclude each other, keep one"},
    {route, R"(cluster = "app"
regex = "/a(")",
     R"(5: listener#1.route#1.regex: "/a(" is not an RE2 pattern (missing ): /a(), correct it)"},
    {route, R"(cluster = "app"
regex = "")",
     R"(5: listener#1.route#1.regex: the pattern is empty and matches nothing, write one such as "/v[0-9]+/.*")"},
    {route, R"(cluster = "app"
methods = [])",
     "5: listener#1.route#1.methods: the list is empty, leave the key out to match every method"},
    {route, R"(cluster = "app"
methods = ["get"])",
     R"(5: listener#1.route#1.methods#1: "get" is not a method, did you mean "GET"?)"},
    {route, R"(cluster = "app"
methods = ["CONNECT"])",
     "5: listener#1.route#1.methods#1: CONNECT is not served, remove it"},
    {route, R"(cluster = "app"
methods = ["FROB"])",
     R"(5: listener#1.route#1.methods#1: "FROB" is not a method, write one such as "GET")"},
    {route, R"(cluster = "app"
headers = { "a b" = "x" })",
     R"(5: listener#1.route#1.headers."a b": "a b" is not a header name, write letters, digits and -)"},
    {route, R"(cluster = "app"
headers = { "" = "x" })",
     R"(5: listener#1.route#1.headers."": "" is not a header name, write 1 to 256 characters)"},
    {route, R"(cluster = "app"
headers = { X = "a\nb" })",
     R"(5: listener#1.route#1.headers.X: "a\nb" has a line break, write one line)"},
    {route, R"(cluster = "app"
headers = { X = " a" })",
     R"(5: listener#1.route#1.headers.X: " a" begins or ends with a blank, which is no part of a header value: remove it)"},
};

const std::vector<Mistake> kWhatARouteDoesIs{
    {route, R"(path = "/a")",
     "3: listener#1.route#1: the route does nothing, add cluster, clusters, redirect or respond"},
    {route, R"(cluster = "app"
redirect = { to = "/x" })",
     "5: listener#1.route#1.redirect: cluster and redirect exclude each other, keep one"},
    {route, R"(cluster = "app"
clusters = [{ name = "app" }])",
     "5: listener#1.route#1.clusters: cluster and clusters exclude each other, keep one"},
    {route, R"(redirect = { to = "/x" }
respond = {})",
     "5: listener#1.route#1.respond: redirect and respond exclude each other, keep one"},
    {route, "clusters = []",
     R"(4: listener#1.route#1.clusters: the list is empty, write at least one { name = "..." })"},
    {route, "clusters = [{ weight = 1 }]",
     R"(4: listener#1.route#1.clusters#1.name: the name of the cluster is missing, write name = "...")"},
    {route, R"(clusters = [{ name = "app" }, { name = "app" }])",
     R"(4: listener#1.route#1.clusters#2.name: "app" is listed twice, add up the weights)"},
    {route, "redirect = {}",
     R"(4: listener#1.route#1.redirect.to: the redirect leads nowhere, write to = "https://...", or scheme, host or path)"},
    {route, R"(redirect = { to = "/x", scheme = "https" })",
     "4: listener#1.route#1.redirect.scheme: to is the whole location, remove to or scheme"},
    {route, R"(redirect = { to = "x" })",
     R"(4: listener#1.route#1.redirect.to: "x" is not a URL, write "https://host/path" or "/path")"},
    {route, R"(redirect = { to = "/a b" })",
     R"(4: listener#1.route#1.redirect.to: "/a b" is not a URL, write "https://host/path" or "/path")"},
    {route, R"(redirect = { scheme = "ftp" })",
     R"(4: listener#1.route#1.redirect.scheme: "ftp" is not a scheme, write "http" or "https")"},
    {route, R"(redirect = { host = "a b" })",
     R"(4: listener#1.route#1.redirect.host: "a b" is not a host name, write letters, digits, - and dots)"},
    {route, R"(redirect = { path = "x" })",
     R"(4: listener#1.route#1.redirect.path: "x" does not begin with a slash, write "/x")"},
    {route, R"(respond = { content_type = "a\nb" })",
     R"(4: listener#1.route#1.respond.content_type: "a\nb" has a line break, write one line)"},
    {route, R"(cluster = "app"
rewrite = "/x")",
     "5: listener#1.route#1.rewrite: rewrite replaces what path or prefix has matched, add one of them"},
    {route, R"(cluster = "app"
regex = "/a"
rewrite = "/x")",
     "6: listener#1.route#1.rewrite: rewrite replaces what path or prefix has matched, add one of them"},
    {route, R"(cluster = "app"
prefix = "/a"
rewrite = "x")",
     R"(6: listener#1.route#1.rewrite: "x" does not begin with a slash, write "/x")"},
    {route, R"(redirect = { to = "/x" }
prefix = "/a"
rewrite = "/b")",
     "6: listener#1.route#1.rewrite: this route does not forward but has redirect, remove rewrite"},
    {route, R"(respond = {}
timeout = "1s")",
     "5: listener#1.route#1.timeout: this route does not forward but has respond, remove timeout"},
    {route, R"(respond = {}
hash = { source = true }
request_headers = { remove = ["X"] })",
     "5: listener#1.route#1.hash: this route does not forward but has respond, remove hash\n6: "
     "listener#1.route#1.request_headers: this route does not forward but has respond, remove "
     "request_headers"},
    {route, R"(cluster = "app"
hash = {})",
     "5: listener#1.route#1.hash: the hash has no key, add header, cookie, source, query or path"},
    {route, R"(cluster = "app"
hash = { header = "x", cookie = "y" })",
     "5: listener#1.route#1.hash.cookie: header and cookie exclude each other, keep one"},
    {route, R"(cluster = "app"
hash = { source = false })",
     "5: listener#1.route#1.hash.source: false means nothing here, write true or remove the hash"},
    {route, R"(cluster = "app"
hash = { header = "a b" })",
     R"(5: listener#1.route#1.hash.header: "a b" is not a header name, write letters, digits and -)"},
    {route, R"(cluster = "app"
hash = { query = "" })",
     "5: listener#1.route#1.hash.query: the name of the parameter is empty, write one"},
    {route, R"(cluster = "app"
hash = { source = true })",
     R"(5: listener#1.route#1.hash: cluster "app" does not balance by hash, set balance = "ring_hash" or "maglev" there, or remove the hash)"},
};

const std::vector<Mistake> kHeaderEditsCannotChangeHow{
    {route, R"(cluster = "app"
request_headers = { set = { Connection = "close" } })",
     R"(5: listener#1.route#1.request_headers.set.Connection: "Connection" belongs to one connection and is Remora's to write, remove this)"},
    {route, R"(cluster = "app"
request_headers = { add = { Content-Length = "5" } })",
     R"(5: listener#1.route#1.request_headers.add.Content-Length: "Content-Length" frames the message and is Remora's to write, remove this)"},
    {route, R"(cluster = "app"
request_headers = { remove = ["transfer-encoding"] })",
     R"(5: listener#1.route#1.request_headers.remove#1: "transfer-encoding" frames the message and is Remora's to write, remove this)"},
    {route, R"(cluster = "app"
response_headers = { set = { Upgrade = "x" } })",
     R"(5: listener#1.route#1.response_headers.set.Upgrade: "Upgrade" belongs to one connection and is Remora's to write, remove this)"},
    {route, R"(cluster = "app"
response_headers = { remove = ["Keep-Alive", "TE", "Trailer"] })",
     R"(5: listener#1.route#1.response_headers.remove#1: "Keep-Alive" belongs to one connection and is Remora's to write, remove this
5: listener#1.route#1.response_headers.remove#2: "TE" belongs to one connection and is Remora's to write, remove this
5: listener#1.route#1.response_headers.remove#3: "Trailer" belongs to one connection and is Remora's to write, remove this)"},
    {route, R"(cluster = "app"
request_headers = { remove = ["Host"] })",
     R"(5: listener#1.route#1.request_headers.remove#1: "Host" must be there exactly once in a request, write it in request_headers.set)"},
    {route, R"(cluster = "app"
request_headers = { add = { host = "a" } })",
     R"(5: listener#1.route#1.request_headers.add.host: "host" must be there exactly once in a request, write it in request_headers.set)"},
    {route, R"(cluster = "app"
response_headers = { set = { Host = "a" } })",
     R"(5: listener#1.route#1.response_headers.set.Host: "Host" must be there exactly once in a request, write it in request_headers.set)"},
    {route, R"(cluster = "app"
request_headers = { remove = ["Via"] })",
     R"(5: listener#1.route#1.request_headers.remove#1: "Via" is how Remora finds loops, remove this)"},
    {route, R"(cluster = "app"
request_headers = { set = { "X\r\nY" = "a" } })",
     R"(5: listener#1.route#1.request_headers.set."X\x0d\nY": "X\x0d\nY" is not a header name, write letters, digits and -)"},
    {route, R"(cluster = "app"
request_headers = { set = { X = "a\r\nY: b" } })",
     R"(5: listener#1.route#1.request_headers.set.X: "a\x0d\nY: b" has a line break, write one line)"},
    {route, R"(cluster = "app"
request_headers = { set = { X = "a\u0007" } })",
     R"(5: listener#1.route#1.request_headers.set.X: "a\x07" has a control character, remove it)"},
    {route, R"(cluster = "app"
request_headers = { set = { X = "a\u0000" } })",
     "5: listener#1.route#1.request_headers.set.X: a NUL character is not allowed, remove it"},
    {route, R"(cluster = "app"
request_headers = { add = { X = ["a", "b\n", 1] } })",
     R"(5: listener#1.route#1.request_headers.add.X: "b\n" has a line break, write one line
5: listener#1.route#1.request_headers.add.X: 1 is a number, write a string such as "remora")"},
    {route, R"(cluster = "app"
request_headers = { set = { X = "a", x = "b" } })",
     "5: listener#1.route#1.request_headers.set.x: this header is here twice, names compare without case: "
     "keep one"},
};

}  // namespace

TEST_CASE("what a route matches is checked") { expect(kWhatARouteMatchesIs); }

TEST_CASE("what a route does is checked") { expect(kWhatARouteDoesIs); }

TEST_CASE("header edits cannot change how messages are framed") { expect(kHeaderEditsCannotChangeHow); }
