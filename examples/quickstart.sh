#!/usr/bin/env bash
# Trains a model on images and shows what it learnt:
#
#     examples/quickstart.sh [FOLDER | manifest.csv] [--seed N] [--learners dynamic|K] [--minutes M | --steps N] [--threads N] ...
#
# Installs what is missing and says what, builds libdsl, trains (on phantoms that it draws, unless you give images), scores the model and
# draws pictures, all into out/quickstart (or the folder OUT=... names). `examples/quickstart.sh --help` lists all options.
set -euo pipefail
trap 'exit 130' INT
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/tests/setup.sh"
dsl_setup build pictures

echo "quickstart: building libdsl"
log="$root/build/quickstart.log"
mkdir -p "$root/build"
build() {
  cd "$root"
  cmake --preset release && cmake --build --preset release --target dsl_library
}
if ! (build >"$log" 2>&1); then
  tail -n 40 "$log" >&2
  echo "quickstart: the build failed; its output is in $log" >&2
  exit 1
fi
export DSL_LIBRARY="$root/build/release/lib/libdsl.so.1"
exec "$PYTHON" "$root/examples/quickstart.py" "$@"
