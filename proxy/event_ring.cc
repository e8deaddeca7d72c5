#include "proxy/event_ring.h"

#include <utility>

namespace remora::proxy {

const char* to_string(Event::Kind kind) {
  switch (kind) {
    case Event::Kind::kBreaker: return "breaker";
    case Event::Kind::kHealthCheck: return "health_check";
    case Event::Kind::kOutlier: return "outlier";
    case Event::Kind::kOrder: return "order";
    case Event::Kind::kDns: return "dns";
    case Event::Kind::kFile: return "file";
    case Event::Kind::kMember: return "member";
    case Event::Kind::kReload: return "reload";
    case Event::Kind::kProcess: break;
  }
  return "process";
}

void EventRing::add(Event event) {
  for (std::string* text : {&event.cluster, &event.endpoint, &event.from, &event.to, &event.reason}) {
    if (text->size() > kLongestText) text->resize(kLongestText);
  }
  event.id = ++last_;
  if (events_.size() == kMost) events_.pop_front();
  events_.push_back(std::move(event));
}

std::vector<const Event*> EventRing::since(std::uint64_t id) const {
  std::vector<const Event*> found;
  for (const Event& event : events_) {
    if (event.id > id || id > last_) found.push_back(&event);
  }
  return found;
}

}  // namespace remora::proxy
