// The look at a ClientHello: bytes in, a name out, each row also in records and segments of every size.
#include "proxy/http/client_hello.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tests/support/client_hello.h"

using namespace remora;
using namespace remora::http;
using namespace remora::testing;

namespace {

std::string show(std::string_view bytes) {
  const auto hello = parse_client_hello(bytes);
  if (!hello) return "wrong";
  if (!*hello) return "more";
  return "[" + (*hello)->server_name + "]";
}

// What is said when the bytes come one by one.
std::string in_pieces(const std::string& bytes) {
  for (std::size_t size = 0; size <= bytes.size(); ++size) {
    const std::string verdict = show(std::string_view(bytes).substr(0, size));
    if (verdict != "more") return verdict;
  }
  return "more";
}

}  // namespace

TEST_CASE("a ClientHello says whom the client asks for, however it is cut") {
  const std::string other = extension(43, "\x02\x03\x04");
  const std::vector<std::pair<std::string, std::string>> rows{
      {hello_message(server_name("db.example.org")), "[db.example.org]"},
      {hello_message(other + server_name("DB.Example.ORG.") + other), "[db.example.org]"},
      {hello_message(server_name("xn--bcher-kva.example")), "[xn--bcher-kva.example]"},
      {hello_message(server_name(std::string(253, 'a'))), "[" + std::string(253, 'a') + "]"},
      {hello_message(other), "[]"},
      {hello_message(""), "[]"},
      {hello_message(server_name("")), "wrong"},
      {hello_message(server_name(".")), "wrong"},
      {hello_message(server_name(std::string(254, 'a'))), "wrong"},
      {hello_message(server_name("a b")), "wrong"},
      {hello_message(server_name("a\nb")), "wrong"},
      {hello_message(server_name("b\xc3\xbc"
                                 "cher.example")),
       "wrong"},
      {hello_message(server_name("a") + server_name("b")), "wrong"},
      {hello_message(extension(0, "")), "wrong"},
      {hello_message(extension(0, counted(2, ""))), "wrong"},
      {hello_message(extension(0, counted(2, std::string(1, '\1') + counted(2, "a")))), "wrong"},
      {hello_message(extension(0, counted(2, std::string(1, '\0') + counted(2, "a")) + "x")), "wrong"},
      {hello_message("\x01"), "wrong"},
      {hello_message(std::string("\x00\x2b\x00\x09", 4)), "wrong"},
      {"\x01" + counted(3, "\x03\x03"), "wrong"},
      {"\x01" + counted(3, std::string("\x02\x03") + std::string(60, '\0')), "wrong"},
      {"\x02" + counted(3, "x"), "wrong"},
  };
  for (const auto& [message, expected] : rows) {
    CAPTURE(message);
    for (const std::size_t record : {1UL, 2UL, 5UL, 100UL, 16384UL}) {
      const std::string bytes = in_records(message, record);
      CHECK(show(bytes) == expected);
      CHECK(in_pieces(bytes) == expected);
      if (expected != "wrong") CHECK(show(bytes + "\x14\x03\x03") == expected);
    }
  }
}

TEST_CASE("what is no ClientHello is told apart at once, and nothing is waited for without end") {
  CHECK(show("") == "more");
  CHECK(show("\x16") == "more");
  CHECK(show("\x16\x03\x01\x02") == "more");
  CHECK(show("\x17\x03\x03") == "wrong");
  CHECK(show("\x16\x02") == "wrong");
  CHECK(show(std::string("\x16\x03\x01\x00\x00", 5)) == "wrong");
  CHECK(show("\x16\x03\x01\x40\x01") == "wrong");
  CHECK(show("GET / HTTP/1.1\r\n") == "wrong");
  // A message that promises to be longer than any is.
  CHECK(show(std::string("\x16\x03\x01\x01\x00\x01\x00\x40\x00", 9)) == "wrong");
  // One that only its records make too long.
  const std::string large = hello_message(extension(21, std::string(4000, '\0')) + server_name("a.example"));
  CHECK(show(in_records(large)) == "[a.example]");
  CHECK(show(in_records(large, 1)) == "wrong");
  CHECK(begins_tls('\x16'));
  CHECK_FALSE(begins_tls('G'));
}
