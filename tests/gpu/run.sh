#!/usr/bin/env bash
# Runs the tests and comparisons that need an NVIDIA GPU, or the named parts only:
#
#     tests/gpu/run.sh [conformance|torch|memory|parity|sanitizer|training|bench ...]
#
# tests/gpu/build.sh has made what it needs before, on this machine or another. See README.md.
set -eu
cd "$(dirname "$0")/../.."
exec "${PYTHON:-python3}" -u tests/gpu/main.py "$@"
