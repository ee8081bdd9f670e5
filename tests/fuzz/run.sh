#!/usr/bin/env bash
# Runs fuzz targets for a bounded time: tests/fuzz/run.sh SECONDS [TARGET…]; all of them where none is named.
#
# Fails on a panic, an overflow, an input that takes 10 seconds or one that takes 1 GiB; the input is then kept in
# tests/fuzz/artifacts/TARGET. The stable toolchain is enough: what is fuzzed has no `unsafe`, so that no sanitizer is
# needed, and the rest of what cargo-fuzz sets is stable. Inputs that reach new code are kept in tests/fuzz/corpus/TARGET
# for the next run. The seeds are in tests/it/fuzz_seeds.rs, words of a format in tests/fuzz/dictionaries/TARGET.dict.
set -euo pipefail
seconds=${1:?usage: tests/fuzz/run.sh SECONDS [TARGET…]}
shift
cd "$(dirname "$0")"
targets=("$@")
((${#targets[@]})) || targets=($(basename -s .rs fuzz_targets/*.rs))

triple=$(rustc -vV | sed -n 's/^host: //p')
llvm=(-sanitizer-coverage-level=4 -sanitizer-coverage-inline-8bit-counters -sanitizer-coverage-pc-table
  -sanitizer-coverage-trace-compares)
seeds=$(mktemp -d)
trap 'rm -rf "$seeds"' EXIT
YANJI_FUZZ_SEEDS=$seeds cargo test --quiet --locked --manifest-path ../../Cargo.toml --test it fuzz_seeds >/dev/null
# With --target, build scripts are not instrumented.
RUSTFLAGS="-Cpasses=sancov-module${llvm[*]/#/ -Cllvm-args=}" \
  cargo build --quiet --locked --target "$triple" --target-dir target "${targets[@]/#/--bin=}"

fuzz() {
  local target=$1 log
  log=$seeds/$target.log
  mkdir -p "corpus/$target" "artifacts/$target" "$seeds/$target"
  local words=()
  [ -f "dictionaries/$target.dict" ] && words=("-dict=dictionaries/$target.dict")
  local status=0
  # A panic's message and stack are in the log; so is the input, in base64.
  "target/$triple/debug/$target" "corpus/$target" "$seeds/$target" "${words[@]}" -max_total_time="$seconds" -timeout=10 \
    -rss_limit_mb=1024 -artifact_prefix="artifacts/$target/" -print_final_stats=1 >"$log" 2>&1 || status=$?
  stat() { sed -n "s/^stat::$1: *//p" "$log"; }
  printf '%-16s %9s executions, %6s new inputs, slowest %s s, %s MiB' "$target" "$(stat number_of_executed_units)" \
    "$(stat new_units_added)" "$(stat slowest_unit_time_sec)" "$(stat peak_rss_mb)"
  if ((status)); then
    printf ': FAILED\n'
    grep -v '^stat::\|^#' "$log" | tail -n 40
  else
    printf '\n'
  fi
  return "$status"
}

# One on each processor.
failed=0
for target in "${targets[@]}"; do
  while (($(jobs -rp | wc -l) >= $(nproc))); do wait -n || failed=1; done
  fuzz "$target" &
done
while (($(jobs -p | wc -l))); do wait -n || failed=1; done
exit "$failed"
