# Where io_uring is denied, as in most containers, every suite of runtime and broker must pass on epoll: `denied.<suite>`.
add_executable(deny_uring runtime/deny_uring.c)
target_link_libraries(deny_uring PRIVATE weir_flags)
foreach(room runtime broker)
    file(GLOB files CONFIGURE_DEPENDS ${room}/*_test.c)
    list(FILTER files EXCLUDE REGEX io_choice_test.c) # denies things itself
    foreach(file ${files})
        get_filename_component(stem ${file} NAME_WE)
        string(REGEX REPLACE "_test$" "" noun ${stem})
        add_test(NAME denied.${room}.${noun} COMMAND deny_uring $<TARGET_FILE:${room}.${noun}>)
        # A case that skips itself half way through gives nothing back: the plain suites look for leaks.
        set_tests_properties(denied.${room}.${noun} PROPERTIES LABELS "denied;offline" SKIP_RETURN_CODE 77 TIMEOUT 300
            ENVIRONMENT LSAN_OPTIONS=detect_leaks=0)
    endforeach()
endforeach()
