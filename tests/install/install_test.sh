#!/bin/sh
# install_test.sh SOURCE BUILD SCRATCH PREFIX LIBDIR - installs BUILD under SCRATCH and lives off that alone: a program by
# pkg-config, by CMake package and fully static; the examples; and every file a package would carry.
# shellcheck disable=SC2046,SC2086 # flags are lists of words
set -eu
source=$1 build=$2 scratch=$3 prefix=$4 libdir=$5
here=$source/tests/install
root=$scratch/root
top=$root$prefix
failed=0
complain() { echo "install: $*"; failed=$((failed + 1)); }

rm -rf "$scratch"
mkdir -p "$scratch"
DESTDIR=$root cmake --install "$build" >"$scratch/install.log"

for file in bin/weir "$libdir/libweir.so" "$libdir/libweir.a" "$libdir/pkgconfig/weir.pc" \
    "$libdir/cmake/weir/weir-config.cmake" include/weir/weir.h lib/systemd/system/weir.service \
    share/man/man1/weir.1 share/man/man1/weir-serve.1 share/man/man1/weir-trace.1 share/man/man3/weir.3 \
    share/man/man5/weir.conf.5 share/bash-completion/completions/weir share/zsh/site-functions/_weir \
    share/fish/vendor_completions.d/weir.fish share/doc/weir/LICENSE; do
    [ -e "$top/$file" ] || complain "$prefix/$file is not there"
done
[ -n "$(find "$root" -name weir.conf -path '*/etc/weir/*')" ] || complain "no etc/weir/weir.conf"
! grep -rIl -e "$scratch" -e "$build" "$top" || complain "the files above name folders of the build"

# A second install leaves the owner's settings alone.
conf=$(find "$root" -name weir.conf -path '*/etc/weir/*')
echo '# mine' >"$conf"
DESTDIR=$root cmake --install "$build" >/dev/null
[ "$(cat "$conf")" = '# mine' ] || complain "a second install wrote over $conf"

readelf -d "$top/$libdir/libweir.so" | grep -q 'SONAME.*libweir\.so\.[0-9]*\]' || complain "no SONAME"
! readelf -d "$top/$libdir/libweir.so" | grep -e jemalloc -e ucl -e systemd -e RPATH -e RUNPATH ||
    complain "the library drags in what is the program's"

PKG_CONFIG_PATH=$top/$libdir/pkgconfig LD_LIBRARY_PATH=$top/$libdir
export PKG_CONFIG_PATH LD_LIBRARY_PATH
warnings='-std=c11 -Wall -Wextra -Werror'
version=$(pkg-config --modversion weir)
[ "$("$top/bin/weir" --version)" = "weir $version" ] || complain "weir --version is not 'weir $version'"

run() { # run NAME COMPILER_WORDS...
    name=$1
    shift
    if "$@" -o "$scratch/$name"; then
        timeout 20 "$scratch/$name" || complain "$name ended with $?"
    else
        complain "$name does not build: $*"
    fi
}
run guest_shared cc $warnings "$here/guest.c" $(pkg-config --cflags --libs weir)
run guest_static cc $warnings -static "$here/guest.c" $(pkg-config --static --cflags --libs weir)

# The examples as a reader would build them, held to what they promise.
mkdir "$scratch/examples"
for example in "$source"/examples/*.c; do
    cc $warnings -D_GNU_SOURCE "$example" $(pkg-config --cflags --libs weir) \
        -o "$scratch/examples/$(basename "$example" .c)" || complain "$example does not build"
done
[ ! -x "$(command -v python3)" ] || python3 "$source/examples/run_test.py" "$scratch/examples" || complain "examples"

{ cmake -S "$here/consumer" -B "$scratch/consumer" -DCMAKE_PREFIX_PATH="$top" &&
    cmake --build "$scratch/consumer"; } >"$scratch/consumer.log" 2>&1 ||
    { cat "$scratch/consumer.log"; complain "find_package"; }
for kind in weir weir_static; do
    timeout 20 "$scratch/consumer/guest_$kind" || complain "by find_package, guest_$kind ended with $?"
done

if command -v man >/dev/null; then
    for page in "$top"/share/man/man?/*; do
        (cd "$top/share/man" && man --warnings -E UTF-8 -l -Tutf8 -Z "$page" 2>&1 >/dev/null) | sed "s|^|${page##*/}: |"
    done >"$scratch/man.log"
    [ ! -s "$scratch/man.log" ] || { cat "$scratch/man.log"; complain "pages do not render"; }
fi
[ ! -x "$(command -v bash)" ] || bash -n "$top/share/bash-completion/completions/weir" || complain "the bash completion does not parse"
echo "install: $failed complaints"
[ "$failed" = 0 ]
