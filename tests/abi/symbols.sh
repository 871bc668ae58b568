#!/bin/sh
# libdsl.so exports what the committed list says and nothing else, all of it under DSL_1; it has the right soname and needs no CUDA.
# usage: symbols.sh LIBRARY LIST
set -eu
library=$1
list=$2
exported=$(nm -D --defined-only "$library" | awk '{print $NF}' | grep -v '^DSL_1$' | LC_ALL=C sort)
if ! printf '%s\n' "$exported" | diff "$list" -; then
    echo "the exported symbols differ from $list: removing one breaks programs; a new one belongs into the list"
    exit 1
fi
dynamic=$(readelf -d "$library")
echo "$dynamic" | grep -q 'SONAME.*\[libdsl\.so\.1\]' || { echo "wrong soname"; exit 1; }
echo "$dynamic" | grep -q 'RPATH.*\[\$ORIGIN/dsl\]' || { echo "no run path \$ORIGIN/dsl"; exit 1; }
if echo "$dynamic" | grep NEEDED | grep -Ei 'cuda|cudnn|cublas|nvrtc'; then
    echo "needs a CUDA library"
    exit 1
fi
if readelf -lW "$library" | grep GNU_STACK | grep -q E; then
    echo "executable stack"
    exit 1
fi
echo "$(wc -l < "$list") symbols"
