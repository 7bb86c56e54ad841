# What `make install` puts down: the library both ways, its headers, pkg-config and CMake packages, the program,
# its pages, completions, unit and settings. tests/install builds a program against all of it.
include(CMakePackageConfigHelpers)

set(WEIR_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/weir)
file(RELATIVE_PATH WEIR_PC_TO_PREFIX /p/${CMAKE_INSTALL_LIBDIR}/pkgconfig /p)
configure_file(cmake/weir.pc.in weir.pc @ONLY)
configure_package_config_file(cmake/weir-config.cmake.in weir-config.cmake INSTALL_DESTINATION ${WEIR_CMAKE_DIR}
    PATH_VARS CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_LIBDIR NO_CHECK_REQUIRED_COMPONENTS_MACRO)
# Before 1.0 a minor version may change what is promised, so a program asks for the one it was written for.
write_basic_package_version_file(weir-config-version.cmake COMPATIBILITY SameMinorVersion)

set(WEIR_UNIT_TYPE exec)
if(SYSTEMD_FOUND)
    set(WEIR_UNIT_TYPE notify)
endif()
configure_file(cmake/weir.service.in weir.service @ONLY)

install(TARGETS weir_static weir_shared weir
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
    RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY include/weir DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN *.h)
install(FILES ${CMAKE_BINARY_DIR}/weir.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(FILES ${CMAKE_BINARY_DIR}/weir-config.cmake ${CMAKE_BINARY_DIR}/weir-config-version.cmake
    DESTINATION ${WEIR_CMAKE_DIR})

foreach(section 1 3 5)
    file(GLOB pages CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/docs/man/*.${section})
    set(pages_of_${section} ${pages})
    install(FILES ${pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
endforeach()
# `man weir_emit` finds the page that explains it: a one-line page for each name of a page.
foreach(page ${pages_of_3})
    get_filename_component(title ${page} NAME_WE)
    file(STRINGS ${page} names REGEX "^\\.Nm weir_[a-z_]+")
    foreach(line ${names})
        string(REGEX REPLACE "^\\.Nm (weir_[a-z_]+).*" "\\1" name ${line})
        if(NOT name STREQUAL title)
            file(WRITE ${CMAKE_BINARY_DIR}/man3/${name}.3 ".so man3/${title}.3\n")
        endif()
    endforeach()
endforeach()
install(DIRECTORY ${CMAKE_BINARY_DIR}/man3 DESTINATION ${CMAKE_INSTALL_MANDIR})
install(FILES share/completions/weir.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME weir)
install(FILES share/completions/_weir DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
install(FILES share/completions/weir.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)

# systemd reads /usr/local/lib as well as /usr/lib, never a multiarch folder.
install(FILES ${CMAKE_BINARY_DIR}/weir.service DESTINATION lib/systemd/system)
install(FILES LICENSE share/weir.conf DESTINATION ${CMAKE_INSTALL_DOCDIR})
# The settings of a machine are its owner's: put down once, never written over.
install(CODE "
    set(folder \"\$ENV{DESTDIR}${CMAKE_INSTALL_FULL_SYSCONFDIR}/weir\")
    if(NOT EXISTS \"\${folder}/weir.conf\")
        file(INSTALL \"${CMAKE_SOURCE_DIR}/share/weir.conf\" DESTINATION \"${CMAKE_INSTALL_FULL_SYSCONFDIR}/weir\")
    endif()")
