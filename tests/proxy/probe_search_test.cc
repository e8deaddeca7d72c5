#include "proxy/probe_search.h"

#include <doctest/doctest.h>

#include <string>

using remora::proxy::ProbeSearch;

namespace {

bool found_in_pieces(const std::string& text, const std::string& answer, std::size_t piece) {
  ProbeSearch search(text);
  for (std::size_t at = 0; at < answer.size(); at += piece) search.add(answer.substr(at, piece));
  return search.found();
}

}  // namespace

TEST_CASE("a text is found in an answer however that is cut into pieces") {
  struct Row {
    std::string text;
    std::string answer;
    bool found;
  };
  const Row rows[] = {
      {"ok", "ok", true},
      {"ok", "status: ok\n", true},
      {"ok", "o k", false},
      {"ok", "ko", false},
      {"ok", "o", false},
      {"ok", "", false},
      {"k", "ok", true},
      {"aab", "aaaaab", true},
      {"aab", "aaaaaa", false},
      {"abab", "abaabab", true},
      {"", "", true},
      {"", "anything", true},
      {"longer than the answer", "longer", false},
      {std::string("a\0b", 3), std::string("xa\0bx", 5), true},
  };
  for (const auto& row : rows) {
    CAPTURE(row.text);
    CAPTURE(row.answer);
    for (std::size_t piece = 1; piece <= row.answer.size() + 1; ++piece) {
      CAPTURE(piece);
      CHECK(found_in_pieces(row.text, row.answer, piece) == row.found);
    }
  }
}

TEST_CASE("a text counts only when the window of 64 KiB has all of it") {
  const std::string before(ProbeSearch::kWindow - 2, '.');
  for (const std::size_t piece : {std::size_t{1000}, ProbeSearch::kWindow, std::size_t{100'000}}) {
    CAPTURE(piece);
    CHECK(found_in_pieces("ok", before + "ok", piece));
    CHECK(found_in_pieces("ok", before + "ok and more", piece));
    CHECK_FALSE(found_in_pieces("ok", before + ".ok", piece));
    CHECK_FALSE(found_in_pieces("ok", before + "..ok", piece));
  }
}

TEST_CASE("an answer overflows with the first byte beyond the window") {
  ProbeSearch search("x");
  search.add(std::string(ProbeSearch::kWindow, '.'));
  CHECK(search.seen() == ProbeSearch::kWindow);
  CHECK_FALSE(search.overflowed());
  search.add("x");
  CHECK(search.seen() == ProbeSearch::kWindow + 1);
  CHECK(search.overflowed());
  CHECK_FALSE(search.found());
}

TEST_CASE("what was found stays found") {
  ProbeSearch search("ok");
  search.add("ok");
  search.add(std::string(ProbeSearch::kWindow, '.'));
  CHECK(search.found());
}
