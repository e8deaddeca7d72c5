#include "proxy/span_ring.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

namespace remora::proxy {

namespace {

constexpr std::array<std::size_t, kSpanTexts> kMost{32, 8, 256, 512, 8, 128, 256, 128, 128, 512};

// What a record begins with; the texts follow, one after the other.
struct Head {
  std::uint32_t size = 0;  // of the record
  std::array<std::uint16_t, kSpanTexts> sizes{};
  SpanFacts facts;
};
static_assert(std::is_trivially_copyable_v<Head>);

}  // namespace

void SpanRing::write(const Span& span) {
  Head head{.facts = span.facts};
  std::size_t size = sizeof head;
  for (std::size_t i = 0; i < kSpanTexts; ++i) {
    const std::size_t kept = std::min(span.texts[i].size(), kMost[i]);
    head.sizes[i] = static_cast<std::uint16_t>(kept);
    size += kept;
  }
  char* out = ring_.reserve(size);
  if (out == nullptr) {
    dropped_.store(dropped_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    return;
  }
  head.size = static_cast<std::uint32_t>(size);
  std::memcpy(out, &head, sizeof head);
  out += sizeof head;
  for (std::size_t i = 0; i < kSpanTexts; ++i) {
    out = std::copy_n(span.texts[i].data(), head.sizes[i], out);
  }
  ring_.commit(size);
}

std::size_t SpanRing::record_size(std::string_view bytes) {
  std::uint32_t size = 0;
  std::memcpy(&size, bytes.data() + offsetof(Head, size), sizeof size);
  return size;
}

Span SpanRing::read(std::string_view record) {
  Head head;
  std::memcpy(&head, record.data(), sizeof head);
  Span span{.facts = head.facts, .texts = {}};
  record.remove_prefix(sizeof head);
  for (std::size_t i = 0; i < kSpanTexts; ++i) {
    span.texts[i] = record.substr(0, head.sizes[i]);
    record.remove_prefix(head.sizes[i]);
  }
  return span;
}

}  // namespace remora::proxy
