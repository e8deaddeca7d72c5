# Makes one self-contained HTML file of proxy/ui/ and turns it into C++: run as a script at build time.
#
#   cmake -DUI=proxy/ui -DOUT=DIR "-DSCRIPTS=a.js;b.js" -P EmbedPage.cmake
#
# index.html has one line @STYLE@ and one line @SCRIPT@; the scripts are joined in the order given. The digests
# of what ends up between the tags go into the Content-Security-Policy (CSP level 3, section 6.7.2.3).

# The base64 form of a string of hexadecimal digits.
function(base64 hex result)
  set(alphabet "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
  string(LENGTH "${hex}" digits)
  set(text "")
  set(at 0)
  while(at LESS digits)  # six digits are three bytes are four characters
    string(SUBSTRING "${hex}000000" ${at} 6 group)
    math(EXPR bits "0x${group}")
    foreach(shift 18 12 6 0)
      math(EXPR index "(${bits} >> ${shift}) & 63")
      string(SUBSTRING "${alphabet}" ${index} 1 character)
      string(APPEND text "${character}")
    endforeach()
    math(EXPR at "${at} + 6")
  endwhile()
  math(EXPR padding "(3 - (${digits} / 2) % 3) % 3")
  string(LENGTH "${text}" length)
  math(EXPR length "${length} - ${padding}")
  string(SUBSTRING "${text}" 0 ${length} text)
  string(REPEAT "=" ${padding} equals)
  set(${result} "${text}${equals}" PARENT_SCOPE)
endfunction()

file(READ ${UI}/index.html page)
file(READ ${UI}/style.css style)
set(script "\"use strict\";\n")
foreach(name IN LISTS SCRIPTS)
  file(READ ${UI}/${name} part)
  string(APPEND script "${part}")
endforeach()
string(SHA256 style_digest "${style}")
string(SHA256 script_digest "${script}")
base64(${style_digest} style_hash)
base64(${script_digest} script_hash)

string(REPLACE "@STYLE@\n" "${style}" page "${page}")
string(REPLACE "@SCRIPT@\n" "${script}" page "${page}")
file(WRITE ${OUT}/index.html "${page}")
file(READ ${OUT}/index.html bytes HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
string(REGEX REPLACE "((0x..,){24})" "\\1\n" bytes "${bytes}")

file(WRITE ${OUT}/admin_ui.cc "// Made by cmake/EmbedPage.cmake of proxy/ui/.
#include \"proxy/admin_ui.h\"

namespace remora::proxy {

namespace {

constexpr unsigned char kPage[] = {
${bytes}};

}  // namespace

std::string_view ui_page() { return {reinterpret_cast<const char*>(kPage), sizeof kPage}; }

std::string_view ui_content_security_policy() {
  return \"default-src 'none'; script-src 'sha256-${script_hash}'; style-src 'sha256-${style_hash}'; \"
         \"connect-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'\";
}

}  // namespace remora::proxy
")
