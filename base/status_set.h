// A set of HTTP status codes, for "which answers count as failures", "which are retried", "which mean well".
//
// A value; 64 bytes. Pure.
#pragma once

#include <bitset>

namespace remora {

class StatusSet final {
 public:
  static constexpr unsigned kFirst = 100;
  static constexpr unsigned kLast = 599;

  constexpr StatusSet() = default;

  // Both ends included; what lies outside 100 to 599 is left out.
  void add(unsigned first, unsigned last) {
    for (unsigned status = first < kFirst ? kFirst : first; status <= last && status <= kLast; ++status) {
      set_.set(status - kFirst);
    }
  }
  void add(unsigned status) { add(status, status); }
  bool contains(unsigned status) const {
    return status >= kFirst && status <= kLast && set_.test(status - kFirst);
  }
  bool empty() const { return set_.none(); }
  bool operator==(const StatusSet&) const = default;

  static StatusSet range(unsigned first, unsigned last) {
    StatusSet set;
    set.add(first, last);
    return set;
  }

 private:
  std::bitset<kLast - kFirst + 1> set_;
};

}  // namespace remora
