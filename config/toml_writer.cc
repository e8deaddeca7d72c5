#include "config/toml_writer.h"

#include <fmt/format.h>

#include <array>
#include <charconv>

#include "config/units.h"

namespace remora::config {

namespace {

constexpr std::size_t kPiece = 1000;  // bytes of a string per line: lines have a limit

std::string escaped(char c) {
  switch (c) {
    case '"': return "\\\"";
    case '\\': return "\\\\";
    case '\n': return "\\n";
    case '\r': return "\\r";
    case '\t': return "\\t";
    case '$': return "$$";  // a variable begins with one
    default: break;
  }
  const auto byte = static_cast<unsigned char>(c);
  return byte < 0x20 || byte == 0x7f ? fmt::format("\\u{:04X}", byte) : std::string(1, c);
}

bool inside_utf8(char c) { return (static_cast<unsigned char>(c) & 0xc0U) == 0x80U; }

}  // namespace

// A basic string; a long one in several lines, each but the last ending in a backslash, after which TOML
// skips the line break and blanks: hence the escape for a blank that begins a line.
std::string toml_string(std::string_view value) {
  const bool several = value.size() > kPiece;
  std::string out = several ? "\"\"\"" : "\"";
  std::size_t in_line = 0;
  for (const char c : value) {
    const bool fresh = several && in_line >= kPiece && !inside_utf8(c);
    if (fresh) {
      out += "\\\n";
      in_line = 0;
    }
    out += fresh && c == ' ' ? "\\u0020" : escaped(c);
    ++in_line;
  }
  return out + (several ? "\"\"\"" : "\"");
}

std::string toml_number(double value) {
  std::array<char, 512> buffer{};
  const auto end =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::fixed).ptr;
  std::string out(buffer.data(), end);
  return out.find('.') == std::string::npos ? out + ".0" : out;
}

void TomlWriter::line(std::string_view text) {
  out_ += text;
  out_ += '\n';
}

void TomlWriter::table(std::string_view name) {
  if (!out_.empty()) out_ += '\n';
  line(fmt::format("[{}]", name));
}

void TomlWriter::element(std::string_view name) { line(fmt::format("\n[[{}]]", name)); }

void TomlWriter::text(std::string_view key, std::string_view value) {
  line(fmt::format("{} = {}", key, toml_string(value)));
}

void TomlWriter::number(std::string_view key, double value) {
  line(fmt::format("{} = {}", key, toml_number(value)));
}

void TomlWriter::integer(std::string_view key, std::uint64_t value) {
  line(fmt::format("{} = {}", key, value));
}

void TomlWriter::boolean(std::string_view key, bool value) { line(fmt::format("{} = {}", key, value)); }

void TomlWriter::duration(std::string_view key, Duration value) { text(key, format_duration(value)); }

void TomlWriter::size(std::string_view key, std::uint64_t bytes) { text(key, format_size(bytes)); }

void TomlWriter::list(std::string_view key, const std::vector<std::string>& elements) {
  std::vector<std::string> written;
  written.reserve(elements.size());
  for (const auto& element : elements) written.push_back(toml_string(element));
  values(key, written);
}

void TomlWriter::values(std::string_view key, const std::vector<std::string>& elements) {
  line(fmt::format("{} = [", key));
  for (const auto& element : elements) line(fmt::format("  {},", element));
  line("]");
}

}  // namespace remora::config
