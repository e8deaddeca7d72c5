// What keeps web pages of other sites away from the admin server. It has no password, and a browser that runs
// beside it would send whatever a foreign page tells it to. Three checks, none of which concerns a program:
//
//   Host            an IP address, localhost, or a name of admin.hosts: a page whose own name has been
//   pointed
//                   at this address (DNS rebinding) comes with that name
//   Origin          of a request that changes something: the same host and port as Host
//   Sec-Fetch-Site  of a request that changes something: same-origin, or none (typed by the user)
//
// Pages that machines fetch by a service's name and that tell little (health, metrics) are free of the first.
//
// Pure; any thread.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "proxy/http/message.h"

namespace remora::proxy {

// `hosts`: names, or "*.name" for those below it, that are allowed besides. nullopt: may be answered; else
// why not, one line.
std::optional<std::string> refuse_host(const http::RequestHead& head, std::span<const std::string> hosts);
std::optional<std::string> refuse_change(const http::RequestHead& head);

}  // namespace remora::proxy
