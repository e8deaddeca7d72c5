#include "proxy/arrival.h"

#include "base/log.h"

namespace remora::proxy {

void Refusals::tell(const Arrival& arrival, Flag flag, TimePoint began, std::string_view reason) {
  const std::string client = arrival.stream->peer().host();
  AccessRecord record;
  record.listener = arrival.listener->context().settings.name;
  record.client = client;
  record.flag = flag;
  record.duration = env_.now() - began;
  log_.write(record, env_.random);
  if (log_lines_.try_take(env_.now())) {
    ++left_out_;
    return;
  }
  if (left_out_ > 0) {
    log_warn("connections that were refused were not logged, too many",
             {{"what", what_}, {"count", std::to_string(std::exchange(left_out_, 0))}});
  }
  log_warn(what_, {{"listener", arrival.listener->name()}, {"client", client}, {"reason", reason}});
}

}  // namespace remora::proxy
