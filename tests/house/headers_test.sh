#!/bin/sh
# headers_test.sh INCLUDE_FOLDER - each public header compiles alone, twice over, in C11 and in C++, under every
# compiler at hand.
set -u
include=$1
failed=0
tried=0
alone() { # alone LANGUAGE COMPILER FLAGS...
    language=$1 compiler=$2
    shift
    command -v "$compiler" >/dev/null || { echo "$compiler is not here: not tried"; return; }
    for header in "$include"/weir/*.h; do
        name=weir/${header##*/}
        tried=$((tried + 1))
        printf '#include <%s>\n#include <%s>\n' "$name" "$name" |
            "$@" -x "$language" -fsyntax-only -Wall -Wextra -Wpedantic -Wundef -Werror -I"$include" - ||
            { echo "$header:1: does not compile alone: $*"; failed=$((failed + 1)); }
    done
}
alone c gcc -std=c11 -Wstrict-prototypes
alone c gcc -std=gnu2x
alone c clang -std=c11 -Wstrict-prototypes
alone c++ g++ -std=c++11
alone c++ clang++ -std=c++20
# Options are spelled the same in both languages.
for language in c c++; do
    tried=$((tried + 1))
    printf '%s\n' '#include <weir/weir.h>' 'int main(void);' 'int main(void)' '{' \
        'struct weir_runtime_options options = WEIR_OPTIONS(struct weir_runtime_options);' \
        'return options.size != sizeof(options);' '}' |
        gcc -x $language -fsyntax-only -Wall -Wextra -Wpedantic -Werror -I"$include" - ||
        { echo "$include/weir/base.h:1: WEIR_OPTIONS does not do in $language"; failed=$((failed + 1)); }
done
echo "headers: $tried compilations, $failed failed"
[ "$failed" = 0 ] && [ "$tried" != 0 ]
