#!/usr/bin/env bash
# Runs every test of libdsl, or the named suites only, and prints "N passed, N failed" as its last line:
#
#     tests/run.sh [format|generated|vet|go|race|build|ctest|python|resume|parity|examples|bench ...]
#
# Installs what is missing first. Each suite's output goes to out/tests/SUITE.log; what failed or was skipped is shown.
set -uo pipefail
trap 'exit 130' INT
cd "$(dirname "$0")/.."
. tests/setup.sh

LOGS=out/tests
GO_DIRS=(lib capi tests)
# The host's side of the method: quick enough to run under the race detector.
RACE_PACKAGES=(./lib/errs ./lib/rng ./lib/internal/par ./lib/distance ./lib/miner ./lib/loss ./lib/cluster ./lib/metric ./lib/learner)
passed=0 failed=0 skipped=0

# ---- suites: each prints what it does and fails when something is wrong ----

suite_format() {
  local unformatted
  unformatted=$(gofmt -l "${GO_DIRS[@]}") || return 1
  [ -z "$unformatted" ] || { echo "gofmt -w these files:"; echo "$unformatted"; return 1; }
}

# Generated code is what the generator makes of its source; the working tree is left as it was.
suite_generated() {
  local copy="$LOGS/generated"
  rm -rf "$copy" && mkdir -p "$copy" && cp -r lib/modelfile "$copy/modelfile" || return 1
  sh "$copy/modelfile/schema/generate.sh" && diff -r lib/modelfile/internal/fb "$copy/modelfile/internal/fb" || return 1
  sh lib/backend/cuda/kernels/generate.sh "$copy/ptx" && diff -r lib/backend/cuda/kernels/ptx "$copy/ptx" || return 1
  rm -rf "$copy"
}

suite_vet() { go vet ./...; }
suite_go() { go test -timeout 30m -v ./...; }
suite_race() { CGO_ENABLED=1 go test -race -v "${RACE_PACKAGES[@]}"; }
suite_build() { cmake --preset release && cmake --build --preset release --parallel; }
suite_ctest() { ctest --preset release; }
suite_python() { "$PYTHON" -m pytest -q -rs bindings/python/tests; }
# Trainings that are killed and go on, against one that was never stopped.
suite_resume() { "$PYTHON" tests/resume/resume.py; }
# The network against float64 PyTorch, tensor by tensor; then weights that PyTorch saved, converted and served.
suite_parity() { "$PYTHON" tests/parity/parity.py && "$PYTHON" -m pytest -q -rs tests/parity/test_pretrained.py; }
suite_examples() { "$PYTHON" -m pytest -q -rs tests/examples; }
# Whether the benchmark's rows run and libdsl agrees with its peers; times count for nothing here.
suite_bench() { tests/bench/run.sh --quick --threads 1 --out "$LOGS/bench"; }

# ---- counting: "passed failed skipped" from a log ----

count_lines() { grep -c -E "$1" "$2" || true; }

count_go() {
  local bad
  bad=$(count_lines '^--- FAIL' "$1")
  # A package that does not build or panics has no failed test of its own.
  [ "$bad" != 0 ] || bad=$(count_lines '^FAIL[[:space:]]+[^[:space:]]' "$1")
  echo "$(count_lines '^--- PASS' "$1") $bad $(count_lines '^--- SKIP' "$1")"
}

count_ctest() {
  local total bad missing
  total=$(sed -nE 's/.* tests? failed out of ([0-9]+)$/\1/p' "$1")
  bad=$(sed -nE 's/.* ([0-9]+) tests? failed out of [0-9]+$/\1/p' "$1")
  missing=$(count_lines '^[[:space:]]+[0-9]+ - .*\((Skipped|Disabled)\)' "$1")
  echo "$((${total:-0} - ${bad:-0} - missing)) ${bad:-0} $missing"
}

pytest_number() { tail -n 1 "$2" | grep -oE "[0-9]+ $1" | grep -oE '[0-9]+' || echo 0; }

count_pytest() {
  echo "$(pytest_number passed "$1") $(($(pytest_number failed "$1") + $(pytest_number errors? "$1"))) $(pytest_number skipped "$1")"
}

# "N passed, N failed, N skipped; N s" says the benchmark.
count_bench() { sed -nE 's/^([0-9]+) passed, ([0-9]+) failed, ([0-9]+) skipped;.*/\1 \2 \3/p' "$1" | grep . || echo "0 0 0"; }

count_one() { echo "1 0 0"; }

# show_skips LOG: skipped tests with their reasons.
show_skips() {
  grep -E -A 1 '^--- SKIP' "$1" | grep -v '^--$'
  grep -E '^SKIPPED|\((Skipped|Disabled)\)$|^[a-z0-9-]+ +[0-9]+ skipped: ' "$1"
}

# run SUITE COUNTER
run() {
  local log="$LOGS/$1.log" status=0 good bad missing begun=$SECONDS
  "suite_$1" >"$log" 2>&1 </dev/null || status=$?
  read -r good bad missing <<<"$("count_$2" "$log")"
  if [ $status != 0 ] && [ "$bad" = 0 ]; then
    [ "$2" != one ] || good=0
    bad=1
  fi
  passed=$((passed + good)) failed=$((failed + bad)) skipped=$((skipped + missing))
  printf '%-10s %4d passed %3d failed %3d skipped %5d s\n' "$1" "$good" "$bad" "$missing" $((SECONDS - begun))
  [ "$missing" = 0 ] || show_skips "$log" | sed 's/^/    /'
  if [ "$bad" != 0 ]; then
    echo "---- $log, without what passed:"
    grep -v -E '^(=== |[[:space:]]*--- PASS|ok[[:space:]]|PASS$|\?[[:space:]])' "$log" | tail -n 80
    echo "----"
  fi
}

declare -A COUNTERS=([format]=one [generated]=one [vet]=one [go]=go [race]=go [build]=one [ctest]=ctest [python]=pytest [resume]=one [parity]=one [examples]=pytest [bench]=bench)
suites=("$@")
[ $# != 0 ] || suites=(format generated vet go race build ctest python resume parity examples bench)
for suite in "${suites[@]}"; do
  [ -n "${COUNTERS[$suite]:-}" ] || { echo "run.sh: no suite \"$suite\"; there are: ${!COUNTERS[*]}" >&2; exit 2; }
done
dsl_setup build pictures test || exit 1
export DSL_LIBRARY="$PWD/build/release/lib/libdsl.so.1"
mkdir -p "$LOGS"
for suite in "${suites[@]}"; do
  run "$suite" "${COUNTERS[$suite]}"
done
echo
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] && [ "$passed" != 0 ]
