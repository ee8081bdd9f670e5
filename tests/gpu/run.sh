#!/usr/bin/env bash
# Everything on a real NVIDIA GPU, in less than 8 minutes after the build: known answers of every kernel, a burn-in, and beside
# them gpu-burn and a cuBLAS matrix multiplication where they can be had. Leaves a JSON file, which also says what was skipped and why.
#
#   tests/gpu/run.sh [--dry] [OUT.json]     --dry: on the virtual driver, which shows that this script works and nothing else
#
#   YANJI=FILE     the binary under test; without it the release build is made
#   GPU_BURN=FILE  gpu_burn of https://github.com/wilicc/gpu-burn; without it, the one in PATH
#
# Exit status: 0 all at or above the aims, 1 something is below or wrong, 3 there is no GPU.
set -euo pipefail
cd "$(dirname "$0")/../.."
here=tests/gpu

dry=
[[ ${1:-} == --dry ]] && { dry=1; shift; }
out=${1:-gpu-run.json}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
step() { printf '\n== %s (%d s)\n' "$*" "$SECONDS" >&2; }

if [[ -z $dry ]] && ! { command -v nvidia-smi >/dev/null && nvidia-smi -L 2>/dev/null | grep -q '^GPU '; }; then
  echo "there is no NVIDIA GPU here, or no driver: nothing was run (--dry shows the script on the virtual driver)" >&2
  echo '{"gpus": {}, "ran": false, "reason": "no NVIDIA GPU or driver"}' >"$out"
  exit 3
fi

if [[ -n $dry ]]; then
  # The tests' build: an unoptimised binary is no matter on a simulated card.
  export VGPU_YANJI=${YANJI:-target/debug/yanji} VGPU_CUDA_MIB=32
  rig=tests/vgpu/rigs/rtx-4090-asus.toml
  for library in target/debug/deps/libvgpu.so target/debug/libvgpu.so; do [[ ! -f $library ]] || break; done
  run=(target/debug/vgpu "$rig" --)
  profile="$here/dry.toml"
else
  yanji=${YANJI:-target/release/yanji}
  [[ -n ${YANJI:-} ]] || cargo build --release --quiet
  run=("$yanji")
  profile="$here/card.toml"
fi
SECONDS=0
touch "$work"/{answers,gpu-burn,gemm,skipped}
skipped() { echo "$*" | tee -a "$work/skipped" >&2; }
# gemm COMMAND...: a cuBLAS multiplication; leaves its rate, what it said, and its exit status.
gemm() {
  ended=0
  timeout 60 "$@" >"$work/gemm" 2>"$work/gemm-said" || ended=$?
}

step "known answers of every kernel"
if [[ -n $dry ]]; then
  VGPU_RIG=$rig timeout 120 python3 kernels/shim/run_on_gpu.py --ptx "$library" >"$work/answers" 2>&1 && known=0 || known=$?
else
  timeout 120 python3 kernels/shim/run_on_gpu.py >"$work/answers" 2>&1 && known=0 || known=$?
fi
tail -3 "$work/answers" >&2

step "burn-in"
status=0
# Interrupted, it still tells what it has.
timeout -s INT 330 "${run[@]}" burn --profile "$profile" --out "$work/burn" --format json >"$work/burn.json" || status=$?
if [[ ! -s $work/burn.json ]]; then
  echo "the burn-in gave no result (exit status $status)" >&2
  echo "{\"gpus\": {}, \"ran\": false, \"reason\": \"the burn-in gave no result (exit status $status)\"}" >"$out"
  exit 1
fi

step "gpu-burn"
tool=${GPU_BURN:-$(command -v gpu_burn || true)}
if [[ -n $dry ]]; then
  skipped "gpu-burn: it needs a real card"
elif [[ -n $tool ]]; then
  (cd "$(dirname "$tool")" && timeout 90 "./$(basename "$tool")" -tc 40) >"$work/gpu-burn" 2>&1 || true
else
  skipped "gpu-burn: not in PATH, and no GPU_BURN"
fi

step "cuBLAS"
if [[ -n $dry ]]; then
  # At full scale: its matrices have a size of their own.
  VGPU_YANJI=$(command -v python3) gemm env -u VGPU_CUDA_MIB target/debug/vgpu "$rig" -- "$here/gemm.py"
else
  gemm python3 "$here/gemm.py"
  if ((ended == 3)) && python3 -m venv "$work/venv" 2>/dev/null &&
    timeout 90 "$work/venv/bin/pip" install -q --retries 0 --timeout 5 nvidia-cublas-cu12 2>/dev/null; then
    gemm "$work/venv/bin/python" "$here/gemm.py"
  fi
fi
case $ended in
  0) ;;
  3) skipped "cuBLAS: $(tail -n 1 "$work/gemm-said"), and its wheel $([[ -n $dry ]] && echo "is not fetched for a dry run" || echo "could not be installed in 90 s")" ;;
  124) skipped "cuBLAS: gemm.py was stopped after 60 s" ;;
  *) skipped "cuBLAS: gemm.py ended with $ended: $(tail -n 1 "$work/gemm-said")" ;;
esac

step "comparison"
python3 "$here/compare.py" "$work" "$known" "$status" "${dry:+dry}" >"$out" && result=0 || result=$?
cat "$out"
echo "written to $out after $SECONDS s" >&2
exit "$result"
