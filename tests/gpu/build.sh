#!/usr/bin/env bash
# Builds what tests/gpu/run.sh needs where neither Go nor our packages are, and says what to take there:
#
#     tests/gpu/build.sh [MANIFEST.csv]
#
# out/gpu/programs.tar.xz holds the installed library with its private libraries, test programs and the programs of the comparisons; out/gpu/data.npz
# the images of a manifest, by default ../shared/data/ham10000/manifest.csv where that is.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/setup.sh
dsl_setup build pictures

OUT=out/gpu
MOST=$((64 << 20)) # what may travel, with the working tree
PACKAGES=(lib/backend/cuda lib/backend/cuda/driver lib/backend/cuda/kernels lib/backend/cuda/nvlib lib/train lib/index lib/eval)
# As libdsl.so has it: the private libraries are found without the environment's help.
LINK='-s -w -extldflags "-Wl,--disable-new-dtags,-rpath,$ORIGIN/install/lib/dsl"'

build_library() {
  cmake -S . -B build/gpu -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_LIBDIR=lib -DDSL_BUILD_TESTS=OFF -DDSL_BUILD_EXAMPLES=OFF >/dev/null
  cmake --build build/gpu --parallel
  cmake --install build/gpu --prefix "$OUT/programs/install" >/dev/null
}

build_programs() {
  local package
  for package in "${PACKAGES[@]}"; do
    echo "building the tests of $package"
    go test -c -trimpath -ldflags "$LINK" -o "$OUT/programs/$(basename "$package").test" "./$package"
  done
  echo "building the comparisons"
  go build -tags gpu -trimpath -ldflags "$LINK" -o "$OUT/programs/parity" ./tests/parity/run
  go build -tags gpu -trimpath -ldflags "$LINK" -buildmode=c-shared -o "$OUT/programs/libtimed.so" ./tests/gpu/timed
  rm "$OUT/programs/libtimed.h"
}

pack_data() {
  local manifest=${1:-../shared/data/ham10000/manifest.csv}
  if [ -e "$manifest" ]; then
    "$PYTHON" tests/gpu/pack.py "$manifest" "$OUT/data.npz"
  elif [ $# != 0 ]; then
    echo "build.sh: there is no $manifest" >&2
    return 1
  else
    echo "build.sh: no images, so that the training part will be left out; give a manifest.csv" >&2
  fi
}

# The programs have much in common, which a large dictionary finds.
pack_programs() {
  "$PYTHON" - "$OUT/programs" "$OUT/programs.tar.xz" <<'PY'
import lzma
import sys
import tarfile

filters = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 1 << 26}]
with lzma.open(sys.argv[2], "w", filters=filters) as out, tarfile.open(fileobj=out, mode="w") as tar:
    tar.add(sys.argv[1], arcname=".")
PY
}

rm -rf "$OUT/programs" "$OUT/programs.tar.xz" "$OUT/data.npz"
mkdir -p "$OUT/programs"
build_library
build_programs
pack_data "$@"
echo "packing"
pack_programs
rm -rf "$OUT/programs"

# mib BYTES, bytes FILE...
mib() { awk -v bytes="$1" 'BEGIN { printf "%.1f MiB", bytes / 1048576 }'; }
bytes() { du -bc "$@" | tail -n 1 | cut -f 1; }
carry=("$OUT/programs.tar.xz")
[ ! -e "$OUT/data.npz" ] || carry+=("$OUT/data.npz")
mapfile -d '' tree < <(git ls-files -co --exclude-standard -z)
tree=$(bytes "${tree[@]}") carried=$(bytes "${carry[@]}")
echo
echo "Take along the working tree, $(mib "$tree"), and:"
for file in "${carry[@]}"; do
  echo "    $file  $(mib "$(bytes "$file")")"
done
echo "$(mib $((tree + carried))) in all. There: tests/gpu/run.sh"
if ((tree + carried > MOST)); then
  echo "build.sh: that is more than $(mib $MOST)" >&2
  exit 1
fi
