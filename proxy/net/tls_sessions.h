// What a client of TLS remembers of an endpoint, to go on with it at the next connection.
//
// Thread: the loop's. Owner: the endpoint's pool, and the streams that were dialled with it.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "base/ref.h"

struct ssl_session_st;
struct ssl_st;

namespace remora::net {

class TlsContext;

// The sessions that one endpoint has offered for resumption. They belong to the context they were made with:
// another one, which may trust others, begins anew.
class TlsSessions final : public Counted<TlsSessions> {
 public:
  TlsSessions() = default;
  ~TlsSessions();

  std::size_t size() const { return kept_.size(); }

 private:
  friend class TlsStream;
  friend int tls_new_session(ssl_st* connection, ssl_session_st* session);
  static constexpr std::size_t kMost = 4;

  using Context = std::shared_ptr<const TlsContext>;
  void keep(const Context& context, ssl_session_st* session);  // takes it over
  ssl_session_st* take(const Context& context);                // null: none; the caller frees it
  void forget();
  static bool is_usable(const ssl_session_st* session);

  Context of_;  // held: another one must not get its address
  std::vector<ssl_session_st*> kept_;
};

}  // namespace remora::net
