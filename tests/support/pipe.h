// A pipe whose reading end is the test's, and a directory that goes with the test: for whatever writes logs.
//
// Thread: one at a time for each object.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <sstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace remora::test {

inline std::vector<std::string> split_lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

class Pipe final {
 public:
  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
    in_ = ends[0];
    out_ = ends[1];
  }
  // Reads from a descriptor of any kind, which it takes over.
  explicit Pipe(int in) : in_(in) {}
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe() {
    close_in();
    if (out_ >= 0) ::close(out_);
  }

  // The writing end, which belongs to the caller from then on.
  int take_out() { return std::exchange(out_, -1); }
  void close_in() {
    if (in_ >= 0) ::close(std::exchange(in_, -1));
  }
  int in() const { return in_; }

  // Waits for `lines` line ends, or the end of the pipe; may return more.
  std::string read_lines(std::size_t lines) {
    std::string all;
    for (std::size_t seen = 0; seen < lines;) {
      std::array<char, 16384> piece;
      const ssize_t got = ::read(in_, piece.data(), piece.size());
      if (got <= 0) break;
      seen += static_cast<std::size_t>(std::count(piece.data(), piece.data() + got, '\n'));
      all.append(piece.data(), static_cast<std::size_t>(got));
    }
    return all;
  }
  std::string read_all() { return read_lines(std::numeric_limits<std::size_t>::max()); }

 private:
  int in_ = -1;
  int out_ = -1;
};

class TempDir final {
 public:
  TempDir() {
    std::string path = (std::filesystem::temp_directory_path() / "remora-test-XXXXXX").string();
    if (::mkdtemp(path.data()) == nullptr) throw std::runtime_error("no temporary directory");
    path_ = path;
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string file(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

inline std::string file_content(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

}  // namespace remora::test
