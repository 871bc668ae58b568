# Installs what libdsl needs, as far as it is missing: Debian packages. Go is presupposed and checked. For bash scripts:
#
#     . tests/setup.sh
#     dsl_setup build pictures test   # or fewer of them; then PYTHON is set and Go on PATH

declare -A DSL_PACKAGES=(
  [build]="cmake make g++ pkg-config libdnnl-dev libjpeg62-turbo-dev"
  [pictures]="python3 python3-numpy python3-pil python3-matplotlib python3-sklearn"
  [bench]="python3-faiss python3-opencv python3-onnx"
  [test]="python3-pytest python3-torch python3-pydicom python3-gdcm flatbuffers-compiler clang-19"
)

# dsl_installed PACKAGE: whether dpkg has it.
dsl_installed() {
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# dsl_apt ARGUMENTS...: apt-get as root, without questions.
dsl_apt() {
  local as_root=()
  [ "$(id -u)" = 0 ] || as_root=(sudo)
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 "$@"
}

# dsl_install SET...: the packages of these sets that are missing.
dsl_install() {
  local set package missing=()
  for set in "$@"; do
    for package in ${DSL_PACKAGES[$set]}; do
      dsl_installed "$package" || missing+=("$package")
    done
  done
  [ ${#missing[@]} = 0 ] && return
  if ! command -v apt-get >/dev/null; then
    echo "setup: apt-get was not found. Install these Debian packages, or what your system calls them: ${missing[*]}" >&2
    return 1
  fi
  if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
    echo "setup: packages are missing, and installing needs root or sudo. As root, run: apt-get install ${missing[*]}" >&2
    return 1
  fi
  echo "setup: installing Debian packages: ${missing[*]}"
  if ! { dsl_apt update && dsl_apt install -y --no-install-recommends "${missing[@]}" >/dev/null; }; then
    echo "setup: apt-get failed, see above. Wanted: ${missing[*]}" >&2
    return 1
  fi
}

# dsl_check_go: Go 1.26 or newer, which Debian 12 does not have.
dsl_check_go() {
  command -v go >/dev/null || PATH="$PATH:/usr/local/go/bin"
  local version
  if ! version=$(cd / && GOTOOLCHAIN=local go env GOVERSION 2>/dev/null); then
    echo "setup: Go was not found. libdsl needs Go 1.26 or newer: install it from https://go.dev/dl and put it on PATH." >&2
    return 1
  fi
  if [ "$(printf '%s\n' go1.26 "$version" | sort -V | head -n 1)" != go1.26 ]; then
    echo "setup: $(command -v go) is $version. libdsl needs Go 1.26 or newer: install it from https://go.dev/dl and put it first on PATH." >&2
    return 1
  fi
}

# dsl_go_env: what Go needs to know to build lib/backend/cuda without the CUDA SDK. The hash is there because Go's cache does not see headers
# outside a package.
dsl_go_env() {
  local root driver hash
  root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
  driver="$root/lib/backend/cuda/driver"
  hash=$(cat "$driver/include/cuda.h" "$driver/include/cuda_syms.inc" | sha256sum | cut -c 1-16)
  export GOFLAGS="-trimpath -tags=osusergo,netgo" # as in CMakeLists.txt
  export CGO_CFLAGS="-O2 -g -I$driver/include -DDSL_CUDA_HEADER_HASH=0x$hash" CGO_LDFLAGS="-O2 -g -L$driver/link"
}

# dsl_setup SET...: all of it. The packages belong to the system's Python, even if another one comes first on PATH.
dsl_setup() {
  dsl_check_go && dsl_install "$@" || return 1
  dsl_go_env
  export PATH PYTHON="${PYTHON:-/usr/bin/python3}"
}
