# `cmake --install`: the program, and the client library as a package: find_package(Reel COMPONENTS client) gives
# Reel::client. Its headers are those of reel/ alone; the archives behind it are Reel's own affair.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(reel_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/Reel)
set_target_properties(reel_facade PROPERTIES EXPORT_NAME client)
# In a directory of their own: their names are no concern of other libraries.
install(TARGETS reel_facade reel_client reel_journal reel_log reel_messages reel_node reel_node_config reel_ports reel_raft
                reel_real_disk reel_real_rpc reel_refusal reel_schema reel_wire
        EXPORT ReelTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}/reel COMPONENT client)
install(DIRECTORY ${CMAKE_CURRENT_LIST_DIR}/reel TYPE INCLUDE COMPONENT client FILES_MATCHING PATTERN "*.h")
install(EXPORT ReelTargets NAMESPACE Reel:: DESTINATION ${reel_package_dir} COMPONENT client)
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/ReelConfig.cmake.in ${CMAKE_CURRENT_BINARY_DIR}/ReelConfig.cmake
                              INSTALL_DESTINATION ${reel_package_dir})
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/ReelConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/ReelConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/ReelConfigVersion.cmake
        DESTINATION ${reel_package_dir} COMPONENT client)
