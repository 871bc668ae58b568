#!/usr/bin/env bash
# Times libdsl beside what its users would take instead, on the CPU, and compares outputs first: one table, as text and as JSON.
#
#     tests/bench/run.sh [--out FOLDER] [--quick] [--threads 1 2] [--rounds N] [row ...]
#
# --help lists the rows. Installs what is missing: Debian packages, and ONNX Runtime from npm into build/bench. --quick does not: it sees whether the rows that need no
# more than the tests do work.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/setup.sh

ONNXRUNTIME=1.30.0

# install_onnxruntime: its package for node, without the scripts that would download other builds; the CPU's is in the package.
install_onnxruntime() {
  local folder=build/bench/onnxruntime
  if ! command -v npm >/dev/null; then
    echo "bench: npm was not found, so rows beside ONNX Runtime are skipped; install Node.js 18 or newer" >&2
    return
  fi
  grep -qs "\"version\": \"$ONNXRUNTIME\"" "$folder/node_modules/onnxruntime-node/package.json" && return
  echo "bench: installing onnxruntime-node $ONNXRUNTIME from npm into $folder"
  mkdir -p "$folder"
  npm install --prefix "$folder" --ignore-scripts --no-audit --no-fund --silent "onnxruntime-node@$ONNXRUNTIME"
}

case " $* " in
  *" --help "* | *" -h "*) dsl_setup pictures test && exec "$PYTHON" tests/bench/run.py --help ;;
  *" --quick "*) dsl_setup build pictures test ;;
  *) dsl_setup build pictures test bench && install_onnxruntime ;;
esac

# Debian's OpenBLAS takes new CPUs for old ones, and its PyTorch stays with AVX2 unless told otherwise. Peers get what the CPU has.
if grep -q avx512f /proc/cpuinfo; then
  export OPENBLAS_CORETYPE="${OPENBLAS_CORETYPE:-SkylakeX}" ATEN_CPU_CAPABILITY="${ATEN_CPU_CAPABILITY:-avx512}"
fi
# A process that gives memory back to the system between steps, as PyTorch's tensors of 32 MB and more make glibc do, pays for it page by page: 1.2 s a training step, not 0.35.
export GLIBC_TUNABLES="${GLIBC_TUNABLES:-glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=4294967296}"
exec "$PYTHON" tests/bench/run.py "$@"
