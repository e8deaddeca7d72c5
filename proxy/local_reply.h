// The replies that Remora invents: which status and flag an event gets (the table in docs/architecture.md),
// and how such a reply is written.
//
// Thread: the loop's.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "proxy/env.h"
#include "proxy/flag.h"
#include "proxy/http/codec.h"

namespace remora::proxy {

struct LocalReply {
  unsigned status = 503;
  Flag flag = Flag::kNone;
  std::string_view reason;  // one line, sent as the body
  bool close = false;       // the connection ends with this reply
  Duration retry_after{};   // when it makes sense to come back; sent in whole seconds, zero = not
};

// For what a client did wrong before or during a request (side downstream).
LocalReply reply_to_bad_request(const Error& error);
// For a request that never reached an upstream because connecting failed.
LocalReply reply_to_connect_failure(const Error& error);
// For an upstream that failed before its response began.
LocalReply reply_to_upstream_failure(const Error& error);

// Sends a complete response; overwrites the scratch head. `to_head`: the request was HEAD. Returns the number
// of body bytes sent.
std::size_t send_local_reply(Env& env, http::ServerStream& stream, const LocalReply& reply, bool to_head);

// Sends a complete response with the fields already in `head` and this body, Content-Length and Date
// included.
std::size_t send_whole(Env& env, http::ServerStream& stream, http::ResponseHead& head, std::string_view body,
                       bool to_head, bool close);

}  // namespace remora::proxy
