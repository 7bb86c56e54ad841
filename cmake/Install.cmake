# Installed files: library, headers, pkg-config, CMake package, man pages.
