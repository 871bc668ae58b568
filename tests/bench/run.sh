#!/bin/sh
# Times libdsl beside PyTorch (Debian's python3-torch): tests/bench/run.sh FOLDER [--quick] [--threads 1 2] [--rounds N]. Results go to FOLDER.
# Debian's OpenBLAS takes new CPUs for old ones and its PyTorch stays with AVX2 unless told otherwise; PyTorch gets what the CPU has.
set -eu
if [ $# -lt 1 ]; then
    echo "usage: $0 FOLDER [--quick] [--threads 1 2] [--rounds N]" >&2
    exit 2
fi
python=${PYTHON:-/usr/bin/python3}
if ! "$python" -c 'import torch' 2>/dev/null; then
    echo "$0: $python has no PyTorch; on Debian: apt install python3-torch" >&2
    exit 1
fi
if grep -q avx512f /proc/cpuinfo; then
    export OPENBLAS_CORETYPE="${OPENBLAS_CORETYPE:-SkylakeX}" ATEN_CPU_CAPABILITY="${ATEN_CPU_CAPABILITY:-avx512}"
fi
exec "$python" "$(dirname "$0")/bench.py" "$@"
