#!/usr/bin/env bash
# Wall time of `yanji inspect` on a virtual machine with GPUs against nvml-wrapper doing nothing but the same NVML calls.
# Both run here and now, in turns, as processes of their own.
#
#   benches/nvml.sh RIG [ROUNDS]     RIG as `cargo run -p vgpu --` takes it: h100-sxm-x8
set -euo pipefail
cd "$(dirname "$0")/.."

if [[ ${1:-} != --inside ]]; then
  rig=${1:?usage: benches/nvml.sh RIG [ROUNDS]}
  cargo build --release --quiet -p yanji
  cargo build --release --quiet -p vgpu
  bare=$(cargo bench --no-run --bench nvml_bare 2>&1 | sed -n 's/.*(\(.*nvml_bare-[0-9a-f]*\)).*/\1/p')
  # The launcher makes the machine and runs another program on it instead of yanji.
  VGPU_YANJI=$BASH exec target/release/vgpu "$rig" -- "$PWD/benches/nvml.sh" --inside "$PWD/$bare" "${2:-20}"
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
