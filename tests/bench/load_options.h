// The load generator's command line; load.cc describes it.
#pragma once

#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace remora::bench {

struct Options {
  std::uint16_t port = 0;
  std::size_t connections = 16;
  double rate = 0;
  double seconds = 2;
  std::uint64_t requests = 0;
  std::uint64_t timeout_us = 10'000'000;
  std::string method = "GET";
  std::string path = "/";
  std::size_t body = 0;
  bool close = false;
  std::vector<std::string> headers;
  std::string id;
  std::string records;
};

template <typename T>
bool read_number(std::string_view text, T& into) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), into);
  return error == std::errc{} && end == text.data() + text.size();
}

inline bool read_option(std::string_view name, std::string_view value, Options& options) {
  if (name == "--port") return read_number(value, options.port);
  if (name == "--connections") return read_number(value, options.connections);
  if (name == "--rate") return read_number(value, options.rate);
  if (name == "--seconds") return read_number(value, options.seconds);
  if (name == "--requests") return read_number(value, options.requests);
  if (name == "--body") return read_number(value, options.body);
  if (name == "--timeout-ms") {
    const bool good = read_number(value, options.timeout_us);
    options.timeout_us *= 1000;
    return good;
  }
  if (name == "--header") {
    options.headers.emplace_back(value);
    return true;
  }
  std::string* const text = name == "--method"    ? &options.method
                            : name == "--path"    ? &options.path
                            : name == "--id"      ? &options.id
                            : name == "--records" ? &options.records
                                                  : nullptr;
  if (text != nullptr) *text = value;
  return text != nullptr;
}

// False: not understood.
inline bool read_options(int argc, char** argv, Options& options) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--close") {
      options.close = true;
      continue;
    }
    if (++i == argc) return false;
    if (!read_option(name, argv[i], options)) return false;
  }
  return options.port != 0 && options.connections != 0;
}

}  // namespace remora::bench
