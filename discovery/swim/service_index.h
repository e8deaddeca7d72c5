// Who may serve what: the members whose tags have a word, so that looking for a service does not take a look
// at everybody. Who is found here is to be looked at (find_service); who is not does not serve it.
//
// The words of a Remora are the names of its services; of a plain Serf agent, whose tags may mean anything,
// the values of all of them. A word is kept as its hash: two that share one cost a look.
//
// Thread: the control thread. Owner: proxy::Gossip. A member stays where it is until it is erased.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "discovery/swim/service.h"

namespace remora::discovery::swim {

struct Member;

class ServiceIndex final {
 public:
  // What it says now, instead of what it said before.
  void set(const Member& member, const Tags& tags) {
    erase(member);
    std::vector<std::size_t> words;
    each_service_word(tags, [&](std::string_view word) { words.push_back(hash(word)); });
    std::ranges::sort(words);
    words.erase(std::ranges::unique(words).begin(), words.end());
    if (words.empty()) return;
    for (const std::size_t word : words) by_word_[word].push_back(&member);
    words_.emplace(&member, std::move(words));
  }

  void erase(const Member& member) {
    const auto known = words_.find(&member);
    if (known == words_.end()) return;
    for (const std::size_t word : known->second) {
      const auto said = by_word_.find(word);
      std::erase(said->second, &member);
      if (said->second.empty()) by_word_.erase(said);
    }
    words_.erase(known);
  }

  // In any order.
  template <typename Visit>
  void each(std::string_view service, Visit visit) const {
    const auto said = by_word_.find(hash(service));
    if (said == by_word_.end()) return;
    for (const Member* member : said->second) visit(*member);
  }

  bool empty() const { return words_.empty() && by_word_.empty(); }

 private:
  static std::size_t hash(std::string_view word) { return std::hash<std::string_view>{}(word); }

  std::unordered_map<const Member*, std::vector<std::size_t>> words_;
  std::unordered_map<std::size_t, std::vector<const Member*>> by_word_;
};

}  // namespace remora::discovery::swim
