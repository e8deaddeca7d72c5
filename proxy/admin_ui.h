// The live page: proxy/ui/, made one HTML file at build time (cmake/EmbedPage.cmake), with the policy under
// which a browser runs it. The policy names its style and its script by their digests, so that nothing that
// gets into the page by way of data can run.
//
// Constant; any thread.
#pragma once

#include <string_view>

namespace remora::proxy {

std::string_view ui_page();
std::string_view ui_content_security_policy();

}  // namespace remora::proxy
