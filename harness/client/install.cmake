# `cmake --install`: the program, and the client library as a package: find_package(Reel COMPONENTS client) gives
# Reel::client. Its headers are those of reel/ alone; the archives behind it are Reel's own affair.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# Every library of this tree that `target` stands on, itself included, into the list `out`.
function(reel_libraries_below out target)
  set(found ${${out}} ${target})
  get_target_property(linked ${target} LINK_LIBRARIES)
  foreach(library IN LISTS linked)
    if(library MATCHES "^reel_" AND NOT library IN_LIST found)
      reel_libraries_below(found ${library})
    endif()
  endforeach()
  set(${out} ${found} PARENT_SCOPE)
endfunction()

set(reel_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/Reel)
set_target_properties(reel_facade PROPERTIES EXPORT_NAME client)
reel_libraries_below(reel_client_libraries reel_facade)
# In a directory of their own: their names are no concern of other libraries.
install(TARGETS ${reel_client_libraries} EXPORT ReelTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}/reel
        COMPONENT client)
install(DIRECTORY ${CMAKE_CURRENT_LIST_DIR}/reel TYPE INCLUDE COMPONENT client FILES_MATCHING PATTERN "*.h")
install(EXPORT ReelTargets NAMESPACE Reel:: DESTINATION ${reel_package_dir} COMPONENT client)
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/ReelConfig.cmake.in ${CMAKE_CURRENT_BINARY_DIR}/ReelConfig.cmake
                              INSTALL_DESTINATION ${reel_package_dir})
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/ReelConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/ReelConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/ReelConfigVersion.cmake
        DESTINATION ${reel_package_dir} COMPONENT client)
