# Fewer and larger translation units: most of the time would go into reading the same headers and compiling the same templates in every file.
# The product is united for sanitizers only: the release build takes it file by file, so that a file that leans on its neighbour's includes does
# not pass. Of tests, only a build with a compiler cache sees that.
option(REMORA_UNITE "compile up to ten files of the product as one; after a clash of names, configure again" OFF)
# Tests, too, where each file would be compiled once only: without a compiler cache.
option(REMORA_UNITE_TESTS "compile up to ten files of tests as one" ${REMORA_PRECOMPILE})
if(REMORA_UNITE OR REMORA_UNITE_TESTS)
  find_package(Python3 REQUIRED COMPONENTS Interpreter)
endif()

# remora_unite(target source...): sources of the product, by their absolute paths.
function(remora_unite target)
  if(NOT REMORA_UNITE)
    return()
  endif()
  execute_process(
    COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/scripts/batches.py ${ARGN}
    OUTPUT_VARIABLE batches OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  string(REPLACE "\n" ";" batches "${batches}")
  set(number 0)
  foreach(batch IN LISTS batches)
    math(EXPR number "${number} + 1")
    separate_arguments(batch)
    set_source_files_properties(${batch} PROPERTIES UNITY_GROUP ${number})
  endforeach()
  set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_MODE GROUP)
endfunction()

# remora_unite_tests(variable): the list of tests there becomes a list of units, each with some of them, and of the tests that stay alone.
function(remora_unite_tests variable)
  if(NOT REMORA_UNITE_TESTS)
    return()
  endif()
  execute_process(
    COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/scripts/batches.py --tests ${CMAKE_CURRENT_BINARY_DIR}/united ${${variable}}
    OUTPUT_VARIABLE sources OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  separate_arguments(sources)
  set(${variable} ${sources} PARENT_SCOPE)
endfunction()
