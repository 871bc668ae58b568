#!/bin/sh
# dsl.h compiles alone, twice included, under each standard that it promises, with every warning an error.
# usage: header.sh INCLUDE_DIR
set -eu
include=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf '#include <dsl.h>\n#include <dsl.h>\nint main(void) { return dsl_abi_version() == DSL_ABI_VERSION ? 0 : 1; }\n' > "$work/a.c"
cp "$work/a.c" "$work/a.cpp"
warnings="-pedantic -Wall -Wextra -Werror -Wconversion -Wshadow -Wundef"
count=0
for compiler in gcc clang; do
    command -v $compiler > /dev/null || { echo "skipped: no $compiler"; continue; }
    for std in c99 c11 c17; do
        $compiler -std=$std $warnings -Wstrict-prototypes -I"$include" -fsyntax-only "$work/a.c"
        count=$((count + 1))
    done
done
for compiler in g++ clang++; do
    command -v $compiler > /dev/null || { echo "skipped: no $compiler"; continue; }
    for std in c++11 c++14 c++17 c++20; do
        $compiler -std=$std $warnings -I"$include" -fsyntax-only "$work/a.cpp"
        count=$((count + 1))
    done
done
echo "dsl.h compiled $count times"
[ $count -ge 7 ]
