// LZW as memberlist's peers compress with it: least significant bit first, 8-bit literals, codes of 9 to 12
// bits, 256 clears the table and 257 ends. The width grows when the next code no longer fits (as in GIF, not
// one earlier as in TIFF). No library at hand decodes this variant from memory with a bound.
//
// Thread: any. Stateless.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace remora::discovery::swim {

// nullopt: not LZW, no end code, or more than `limit` bytes. What stands after the end code is ignored.
std::optional<std::string> lzw_inflate(std::string_view bytes, std::size_t limit);

std::string lzw_deflate(std::string_view bytes);

}  // namespace remora::discovery::swim
