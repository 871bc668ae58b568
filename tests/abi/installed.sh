#!/bin/sh
# The installed tree works for strangers: found by CMake and pkg-config, moved elsewhere, with its own copies of the libraries it needs.
# usage: installed.sh BUILD_DIR CMAKE
set -eu
build=$1
cmake=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$cmake" --install "$build" --prefix "$work/first" > /dev/null
libdir=$(dirname "$(find "$work/first" -name libdsl.so.1)")
libdir=${libdir#"$work/first/"}

cat > "$work/main.c" << 'END'
#include <dsl.h>
#include <stdio.h>
int main(void) { return dsl_abi_version() == DSL_ABI_VERSION && printf("%s\n", dsl_version_string()) > 0 ? 0 : 1; }
END
sed 's/dsl\.h/dsl.hpp/' "$work/main.c" > "$work/main.cpp"
cat > "$work/CMakeLists.txt" << 'END'
cmake_minimum_required(VERSION 3.22)
project(consumer C CXX)
find_package(dsl 0.1 REQUIRED)
add_executable(c main.c)
add_executable(cpp main.cpp)
target_compile_features(cpp PRIVATE cxx_std_17)
target_link_libraries(c PRIVATE dsl::dsl)
target_link_libraries(cpp PRIVATE dsl::dsl)
END

mv "$work/first" "$work/moved" # nothing in it may know where it was installed
"$cmake" -S "$work" -B "$work/b" -DCMAKE_PREFIX_PATH="$work/moved" > "$work/log" 2>&1 || { cat "$work/log"; exit 1; }
"$cmake" --build "$work/b" > "$work/log" 2>&1 || { cat "$work/log"; exit 1; }
"$work/b/c"
"$work/b/cpp"

if command -v pkg-config > /dev/null; then
    flags=$(PKG_CONFIG_PATH="$work/moved/$libdir/pkgconfig" pkg-config --cflags --libs dsl)
    # shellcheck disable=SC2086
    cc "$work/main.c" -o "$work/pkg" $flags
    LD_LIBRARY_PATH="$work/moved/$libdir" "$work/pkg"
else
    echo "skipped: no pkg-config"
fi

# It trains, and every library that libdsl carries is loaded from the installed folder, although the system may have it too.
cc "$(dirname "$0")/maps.c" -I"$work/moved/include" -L"$work/moved/$libdir" -ldsl -Wl,-rpath,"$work/moved/$libdir" -o "$work/maps"
loaded=$("$work/maps" "$work" | sort -u)
count=0
for file in "$work/moved/$libdir/dsl/"*; do
    name=$(basename "$file")
    if ! echo "$loaded" | grep -qx "$file" || echo "$loaded" | grep "/$name" | grep -qvx "$file"; then
        echo "$name is not loaded from $libdir/dsl:"
        echo "$loaded" | grep "$name" || true
        exit 1
    fi
    count=$((count + 1))
done
[ $count -ge 4 ]
echo "installed tree works; $count libraries of its own"
