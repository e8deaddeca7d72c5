// A ClientHello as bytes, for tests of those who look at one.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace remora::testing {

// `bytes` with their number before them, `width` bytes of it.
inline std::string counted(std::size_t width, const std::string& bytes) {
  std::string out;
  for (std::size_t i = width; i-- > 0;) out += static_cast<char>(bytes.size() >> (8 * i) & 0xffU);
  return out + bytes;
}

inline std::string extension(std::size_t type, const std::string& content) {
  return std::string{static_cast<char>(type >> 8U), static_cast<char>(type & 0xffU)} + counted(2, content);
}

// The extension of RFC 6066 section 3.
inline std::string server_name(std::string_view name) {
  return extension(0, counted(2, std::string(1, '\0') + counted(2, std::string(name))));
}

// The handshake message. `extensions`: all of them; "" = there is no such field.
inline std::string hello_message(const std::string& extensions) {
  std::string body("\x03\x03");
  body.append(32, 'r').append(counted(1, std::string(32, 's')));
  body.append(counted(2, std::string("\x13\x01\xc0\x2f", 4))).append(counted(1, std::string(1, '\0')));
  if (!extensions.empty()) body.append(counted(2, extensions));
  return "\x01" + counted(3, body);
}

// In records of at most `most` bytes.
inline std::string in_records(const std::string& message, std::size_t most = 16384) {
  std::string out;
  for (std::size_t at = 0; at < message.size(); at += most) {
    out.append("\x16\x03\x01").append(counted(2, message.substr(at, most)));
  }
  return out;
}

// Of a client that asks for `name`, among other things.
inline std::string client_hello(std::string_view name, std::size_t record = 16384) {
  return in_records(hello_message(extension(10, "\0\x02\0\x1d") + server_name(name) + extension(0x3a3a, "")),
                    record);
}

}  // namespace remora::testing
