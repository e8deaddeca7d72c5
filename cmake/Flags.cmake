include(CheckCXXCompilerFlag)

# Compiler flags of our own code, as one interface target that every target of ours links.
add_library(remora_flags INTERFACE)
target_compile_options(remora_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror)
# What nearly every file includes anyway. Files still include what they use: clang-tidy and builds with a compiler cache precompile nothing.
set(remora_precompiled
  <algorithm> <array> <atomic> <charconv> <chrono> <cmath> <cstddef> <cstdint> <cstring> <deque> <expected> <functional>
  <limits> <map> <memory> <optional> <span> <string> <string_view> <unordered_map> <utility> <vector> <fmt/format.h>)
if(REMORA_PRECOMPILE)
  target_compile_options(remora_flags INTERFACE -pthread)  # some dependencies bring it along; precompiled headers want it everywhere or nowhere
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 reports false positives of these three inside its own inlined library code at -O2.
  target_compile_options(remora_flags INTERFACE -Wno-restrict -Wno-stringop-overflow -Wno-array-bounds)
elseif(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  # libstdc++ 12 uses, inside stable_sort, a function that it calls deprecated itself.
  target_compile_options(remora_flags INTERFACE -Wno-deprecated-declarations)
endif()

# Sanitizers concern everything, llhttp included.
if(REMORA_SANITIZE)
  add_compile_definitions(REMORA_SANITIZED)
  add_compile_options(-fsanitize=${REMORA_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${REMORA_SANITIZE})
  find_program(LLD ld.lld-19)
  if(LLD)
    add_link_options(--ld-path=${LLD})  # the other linker takes longer for the tests than compiling one of them
  endif()
  if(REMORA_SANITIZE MATCHES "undefined")
    # This one check opens a pipe to look at memory, and some tests have no descriptor left on purpose.
    add_compile_options(-fno-sanitize=vptr)
    add_link_options(-fno-sanitize=vptr)
  endif()
endif()
if(REMORA_FUZZ AND NOT REMORA_COVERAGE)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# What runs is counted in files that every process maps: killed ones count, too, and those whose environment is cleared.
if(REMORA_COVERAGE)
  set(profiles -fprofile-instr-generate=${CMAKE_BINARY_DIR}/profiles/%4m%c.profraw)
  add_compile_options(${profiles} -fprofile-update=atomic -fcoverage-mapping "SHELL:-mllvm -runtime-counter-relocation")
  add_link_options(${profiles})
  unset(profiles)
endif()

# Profile-guided optimisation with g++, both steps in one build directory: the profiles lie beside the objects.
set(REMORA_PROFILE "" CACHE STRING "generate: the binary writes a profile; use: optimise by it (scripts/ship does both)")
if(REMORA_PROFILE STREQUAL "generate")
  add_compile_options(-fprofile-generate -fprofile-update=atomic)  # workers are threads
  add_link_options(-fprofile-generate)
elseif(REMORA_PROFILE STREQUAL "use")
  # What the training has not run is optimised as without a profile, instead of for size.
  add_compile_options(-fprofile-use -fprofile-partial-training -Wno-missing-profile)
  # But for what runs seldom and is much: the configuration, and what talks to people.
  set(remora_seldom -fno-profile-partial-training)
endif()

if(CMAKE_BUILD_TYPE STREQUAL "Release")
  # What Debian's own packages are built with.
  add_compile_options(-fstack-protector-strong)
  check_cxx_compiler_flag(-fcf-protection REMORA_HAS_CF_PROTECTION)  # x86 only
  if(REMORA_HAS_CF_PROTECTION)
    add_compile_options(-fcf-protection)
  endif()
  add_compile_definitions($<$<NOT:$<BOOL:${REMORA_SANITIZE}>>:_FORTIFY_SOURCE=2>)
  add_link_options(-Wl,-z,relro -Wl,-z,now -pie)
  # All functions of libraries are bound at start (`now`): calls need no table to jump through.
  add_compile_options(-fno-plt)
  add_link_options(-Wl,-z,pack-relative-relocs)  # glibc 2.36 and newer read them; not all linkers say that they are needed
  # What nobody calls stays out of the image.
  add_compile_options(-ffunction-sections -fdata-sections)
  add_link_options(-Wl,--gc-sections)
endif()
