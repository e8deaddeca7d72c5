// The functions of the fmt library, compiled here and nowhere else. Debian has fmt as headers, which compile
// all of it again in every file that formats anything, and as a shared library, which every machine and image
// would need; not as an archive.
#include <fmt/format-inl.h>

// What fmt/format.h declares to be instantiated elsewhere.
FMT_BEGIN_NAMESPACE
namespace detail {
template FMT_API auto thousands_sep_impl<char>(locale_ref) -> thousands_sep_result<char>;
template FMT_API auto decimal_point_impl<char>(locale_ref) -> char;
}  // namespace detail
FMT_END_NAMESPACE
