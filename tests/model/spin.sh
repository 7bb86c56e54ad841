#!/bin/sh
# spin.sh MODEL.pml CC - check a Spin model whole; and that each of its named breakages is caught.
# A model lists its breakages on lines "/* breaks: NAME */"; each is tried with -DNAME. 77: no spin.
set -u
model=$1
cc=$2
command -v spin >/dev/null || { echo "spin is not installed"; exit 77; }
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

check() { # check [-DNAME]: 0 if no error was found
    spin "$@" -a "$model" >spin.log 2>&1 || { cat spin.log; exit 1; }
    "$cc" -O1 -w -DSAFETY -DNOFAIR -o pan pan.c || exit 1
    ./pan -m100000 >pan.log 2>&1
    grep -q 'errors: 0' pan.log && ! grep -q 'max search depth too small' pan.log
}

check || { echo "FAILED: $model"; cat pan.log; exit 1; }
grep -E 'states, stored|transitions' pan.log
for name in $(sed -n 's,.*/\* breaks: \([A-Z_]*\) \*/.*,\1,p' "$model"); do
    check "-D$name" && { echo "FAILED: $name goes unnoticed"; exit 1; }
    echo "caught $name"
done
exit 0
