// TLS as one configuration has it, in contexts that are read and ready: what a snapshot carries beside it.
//
// Thread: any; immutable, as shared_ptr<const TlsContexts>.
#pragma once

#include <memory>
#include <vector>

namespace remora::net {
class TlsContext;
}

namespace remora::proxy {

// By the configuration's index; null: no TLS.
struct TlsContexts {
  std::vector<std::shared_ptr<const net::TlsContext>> listeners;
  std::vector<std::shared_ptr<const net::TlsContext>> clusters;
};

}  // namespace remora::proxy
