# What Debian 12 gives. Each is looked for here and nowhere else.
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)

pkg_check_modules(URING REQUIRED IMPORTED_TARGET liburing>=2.3)
set(WEIR_URING PkgConfig::URING)

pkg_check_modules(CK REQUIRED IMPORTED_TARGET ck)

# What opens compressed batches, each the library that made its format known.
pkg_check_modules(CODECS REQUIRED IMPORTED_TARGET zlib liblz4 libzstd snappy)
set(WEIR_CODECS PkgConfig::CODECS)

# libyaml reads the settings: a format people know, and every node knows its line.
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1)
set(WEIR_YAML PkgConfig::YAML)

# Logins of Kafka clients: hashes, and numbers nobody can guess. The program has it, the library does not.
pkg_check_modules(CRYPTO REQUIRED IMPORTED_TARGET libcrypto>=3.0)
set(WEIR_CRYPTO PkgConfig::CRYPTO)

pkg_check_modules(SYSTEMD IMPORTED_TARGET libsystemd)
if(SYSTEMD_FOUND)
    set(WEIR_SYSTEMD PkgConfig::SYSTEMD)
    add_compile_definitions(WEIR_HAVE_SYSTEMD)
endif()

pkg_check_modules(JEMALLOC REQUIRED IMPORTED_TARGET jemalloc)
set(WEIR_JEMALLOC PkgConfig::JEMALLOC)
if(WEIR_SANITIZE)
    set(WEIR_JEMALLOC) # the sanitizers bring their own allocator
endif()

find_path(SDT_INCLUDE sys/sdt.h)
if(SDT_INCLUDE)
    add_compile_definitions(WEIR_HAVE_SDT)
endif()

if(BUILD_TESTING)
    find_package(Python3 COMPONENTS Interpreter)
endif()
