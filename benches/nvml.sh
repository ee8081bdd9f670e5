#!/usr/bin/env bash
# Wall time of `yanji inspect` on a virtual machine with GPUs against nvml-wrapper doing nothing but the same NVML calls.
# Both run here and now, in turns, as processes of their own.
#
# The virtual driver answers in less than a microsecond, so that without more it is the start of the processes that is
# compared. Real drivers were measured between 20 microseconds a call (RTX 5080: davidboulay/OpenKraken pull request 3) and
# 365 (Tesla K40m: wookayin/gpustat issue 76): the third argument makes each call take as long, for both sides.
#
#   benches/nvml.sh RIG [ROUNDS] [MICROSECONDS]     RIG is a file: tests/vgpu/rigs/h100-sxm-x8.toml
set -euo pipefail
cd "$(dirname "$0")/.."

if [[ ${1:-} != --inside ]]; then
  rig=${1:?usage: benches/nvml.sh RIG [ROUNDS] [MICROSECONDS]}
  cargo build --release --quiet -p yanji
  cargo build --release --quiet -p vgpu
  bare=$(cargo bench --no-run --bench nvml_bare 2>&1 | sed -n 's/.*(\(.*nvml_bare-[0-9a-f]*\)).*/\1/p')
  paced=$(mktemp --suffix=.toml)
  trap 'rm -f "$paced"' EXIT
  cat "$rig" - >"$paced" <<<"[driver]
call_microseconds = ${3:-20}"
  # The launcher makes the machine and runs another program on it instead of yanji.
  VGPU_YANJI=$BASH target/release/vgpu "$paced" -- "$PWD/benches/nvml.sh" --inside "$PWD/$bare" "${2:-20}"
  exit
fi
bare=$2 rounds=$3

source benches/timing.sh

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$bare"
for ((round = 0; round < rounds; round++)); do
  time_ms target/release/yanji inspect --format json >>"$work/inspect"
  time_ms "$bare" >>"$work/bare"
done
inspect=$(median_ms <"$work/inspect")
loop=$(median_ms <"$work/bare")
echo "inspect            $inspect ms (median of $rounds)"
echo "nvml-wrapper loop  $loop ms (median of $rounds)"
awk "BEGIN { printf \"inspect / loop     %.2f (wanted: at most 1.30)\n\", $inspect / $loop }"
