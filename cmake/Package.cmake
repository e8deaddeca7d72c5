# What is installed beside the binary, and the Debian package: cpack --config build/release/CPackConfig.cmake -G DEB
#
# The manual page and the completions are printed by the binary that was just built, remora.toml(5) from docs/configuration.md.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
set(documents ${CMAKE_BINARY_DIR}/documents)
file(MAKE_DIRECTORY ${documents})
configure_file(deploy/debian/changelog.in ${documents}/changelog.Debian @ONLY)
add_custom_command(
  OUTPUT ${documents}/remora.1.gz ${documents}/remora.toml.5.gz ${documents}/remora.bash ${documents}/_remora ${documents}/remora.fish
    ${documents}/changelog.gz ${documents}/changelog.Debian.gz
  COMMAND sh -c "\"$0\" manual | gzip -9n >remora.1.gz" $<TARGET_FILE:remora>
  COMMAND sh -c "\"$0\" \"$1\" \"$2\" | gzip -9n >remora.toml.5.gz"
    ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/scripts/configuration-man ${PROJECT_VERSION}
  COMMAND $<TARGET_FILE:remora> completion bash > remora.bash
  COMMAND $<TARGET_FILE:remora> completion zsh > _remora
  COMMAND $<TARGET_FILE:remora> completion fish > remora.fish
  COMMAND gzip -9nc ${CMAKE_SOURCE_DIR}/CHANGELOG.md > changelog.gz
  COMMAND gzip -9nc changelog.Debian > changelog.Debian.gz
  WORKING_DIRECTORY ${documents}
  DEPENDS remora ${CMAKE_SOURCE_DIR}/CHANGELOG.md ${CMAKE_SOURCE_DIR}/docs/configuration.md
    ${CMAKE_SOURCE_DIR}/scripts/configuration-man ${documents}/changelog.Debian
  COMMENT "Writing the manual pages and the completions"
  VERBATIM)
add_custom_target(documents ALL DEPENDS ${documents}/remora.1.gz)

install(TARGETS remora RUNTIME DESTINATION bin)
install(FILES ${documents}/remora.1.gz DESTINATION share/man/man1)
install(FILES ${documents}/remora.toml.5.gz DESTINATION share/man/man5)
install(FILES ${documents}/remora.bash DESTINATION share/bash-completion/completions RENAME remora)
install(FILES ${documents}/_remora DESTINATION share/zsh/vendor-completions)
install(FILES ${documents}/remora.fish DESTINATION share/fish/vendor_completions.d)
install(FILES ${documents}/changelog.gz ${documents}/changelog.Debian.gz deploy/debian/copyright README.md
  DESTINATION share/doc/remora)
install(DIRECTORY docs/ DESTINATION share/doc/remora/docs FILES_MATCHING PATTERN "*.md")
install(DIRECTORY deploy/kubernetes deploy/compose DESTINATION share/doc/remora/examples)
install(FILES deploy/systemd/remora.service DESTINATION lib/systemd/system)
install(FILES deploy/systemd/remora.toml DESTINATION /etc/remora)
install(FILES deploy/debian/lintian-overrides DESTINATION share/lintian/overrides RENAME remora)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME remora)
set(CPACK_PACKAGE_VENDOR "The Remora authors")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
  OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_MAINTAINER "The Remora authors <remora@remora.example>")
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION "sidecar proxy with one TOML file
Remora takes the inbound and outbound HTTP traffic of the application beside
it and gives it load balancing, health checks, timeouts, retries, circuit
breakers, limits, metrics and a log line per request, without a control plane.
.
The service is neither enabled nor started at installation: first comes its
configuration, /etc/remora/remora.toml.")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${CMAKE_SOURCE_DIR}/deploy/debian/conffiles
  ${CMAKE_SOURCE_DIR}/deploy/debian/postinst ${CMAKE_SOURCE_DIR}/deploy/debian/prerm ${CMAKE_SOURCE_DIR}/deploy/debian/postrm)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
include(CPack)
