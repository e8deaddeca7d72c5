# Every dependency is a Debian 12 package. A missing one is named with the command that installs it.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

function(remora_missing what package)
  message(FATAL_ERROR "${what} was not found. Install it with: apt-get install ${package}   (or run scripts/setup)")
endfunction()

function(remora_pkg prefix module package)
  pkg_check_modules(${prefix} QUIET IMPORTED_TARGET GLOBAL ${module})
  if(NOT ${prefix}_FOUND)
    remora_missing(${module} ${package})
  endif()
endfunction()

function(remora_package name package)
  find_package(${name} QUIET CONFIG)
  if(NOT ${name}_FOUND)
    remora_missing(${name} ${package})
  endif()
  if(name STREQUAL "doctest")
    set(doctest_DIR ${doctest_DIR} PARENT_SCOPE)
  endif()
endfunction()

# libuv and c-ares statically where Debian has the archives: the image then ships fewer shared objects.
remora_pkg(UV libuv libuv1-dev)
remora_pkg(CARES libcares libc-ares-dev)
remora_pkg(RE2 re2 libre2-dev)
remora_pkg(XXHASH libxxhash libxxhash-dev)
remora_pkg(CRYPTO libcrypto libssl-dev)
remora_pkg(SSL libssl libssl-dev)
remora_pkg(ZLIB zlib zlib1g-dev)
# Not find_package(prometheus-cpp): that insists on curl and zlib, which only its unused parts need.
remora_pkg(PROMETHEUS prometheus-cpp-core prometheus-cpp-dev)

foreach(pair IN ITEMS "toml11 libtoml11-dev" "fmt libfmt-dev" "nlohmann_json nlohmann-json3-dev" "CLI11 libcli11-dev")
  separate_arguments(pair)
  list(GET pair 0 name)
  list(GET pair 1 package)
  find_package(${name} QUIET CONFIG)
  if(NOT ${name}_FOUND)
    remora_missing(${name} ${package})
  endif()
endforeach()

# base/format_library.cc compiles what the headers declare.
add_library(fmt_headers INTERFACE)
target_include_directories(fmt_headers SYSTEM INTERFACE $<TARGET_PROPERTY:fmt::fmt-header-only,INTERFACE_INCLUDE_DIRECTORIES>)

# llhttp: a system library from 9.2 on, else Debian 12's C sources. Strict mode must be set on the command line: llhttp.c
# looks at it before it includes its own header.
pkg_check_modules(LLHTTP_SYSTEM QUIET IMPORTED_TARGET libllhttp>=9.2)
if(LLHTTP_SYSTEM_FOUND)
  add_library(llhttp INTERFACE)
  target_link_libraries(llhttp INTERFACE PkgConfig::LLHTTP_SYSTEM)
else()
  find_path(LLHTTP_INCLUDE llhttp.h PATHS /usr/share/include PATH_SUFFIXES llhttp)
  find_path(LLHTTP_SOURCES llhttp.c PATHS /usr/share/llhttp /usr/local/share/llhttp NO_DEFAULT_PATH)
  if(NOT LLHTTP_INCLUDE OR NOT LLHTTP_SOURCES)
    remora_missing("llhttp (library >= 9.2, or the sources /usr/share/llhttp/llhttp.c)" node-llhttp)
  endif()
  add_library(llhttp STATIC ${LLHTTP_SOURCES}/llhttp.c ${LLHTTP_SOURCES}/api.c ${LLHTTP_SOURCES}/http.c)
  target_include_directories(llhttp SYSTEM PUBLIC ${LLHTTP_INCLUDE})
  target_compile_definitions(llhttp PUBLIC LLHTTP_STRICT_MODE=1)
  target_compile_options(llhttp PRIVATE -w -O2)
endif()
