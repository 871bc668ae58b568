#!/bin/sh
# Compiles the kernels to PTX with clang 19 (Debian package clang-19), no CUDA SDK needed: ptx/sm_70.ptx and ptx/sm_80.ptx, or into the
# folder that is given. The same sources give the same bytes. PTX 7.0 is what drivers since CUDA 11.0 accept.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
to=${1:-$here/ptx}
mkdir -p "$to"
for target in sm_70 sm_80; do
    clang-19 -x cuda --cuda-device-only --cuda-gpu-arch=$target -nocudainc -nocudalib -Xclang -target-feature -Xclang +ptx70 \
        -std=c++17 -O3 -ffp-contract=off -fno-ident -fno-verbose-asm -Wall -Wextra -Werror -S -o "$to/$target.ptx" "$here/all.cu"
done
