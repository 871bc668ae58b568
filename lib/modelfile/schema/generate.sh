#!/bin/sh
# Regenerates internal/fb/model_generated.go from model.fbs with flatc 2.0.8 (Debian 12: flatbuffers-compiler).
set -eu
cd "$(dirname "$0")"
want="flatc version 2.0.8"
got=$(flatc --version)
if [ "$got" != "$want" ]; then
    echo "generate.sh: got $got, want $want" >&2
    exit 1
fi
flatc --go --gen-onefile --go-namespace fb -o ../internal/fb model.fbs
gofmt -w ../internal/fb/*.go
