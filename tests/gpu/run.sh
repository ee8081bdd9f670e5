#!/usr/bin/env bash
# Everything on a real NVIDIA GPU, in less than 8 minutes after the build: known answers of every kernel, a burn-in, and beside
# them gpu-burn and a cuBLAS matrix multiplication where they can be had. Leaves a JSON file in any case, which also says what was
# skipped and why.
#
#   tests/gpu/run.sh [--dry] [OUT.json]     --dry: on the virtual driver, which shows that this script works and nothing else
#
#   YANJI=FILE     the binary under test; without it the release build is made
#   PROFILE=FILE   the burn-in's profile; without it, card.toml or dry.toml
#   GPU_BURN=FILE  gpu_burn of https://github.com/wilicc/gpu-burn; without it, the one in PATH
#   RIG=FILE       of a dry run: the virtual machine; without it, one with an RTX 4090
#
# Exit status: 0 all at or above the aims, 1 something is below or wrong, 3 there is no GPU.
set -euo pipefail
dry=
[[ ${1:-} == --dry ]] && { dry=1; shift; }
out=$(realpath -m -- "${1:-gpu-run.json}")
profile=${PROFILE:+$(realpath -m -- "$PROFILE")}
yanji=${YANJI:+$(realpath -m -- "$YANJI")}
cd "$(dirname "$0")/../.."
here=tests/gpu

work=$(mktemp -d)
# An older result is not this one's.
rm -f -- "$out"
# no_result WHY: the JSON where there is nothing else. WHY has no quotes.
no_result() { echo "{\"gpus\": {}, \"ran\": false, \"reason\": \"$1\"}" >"$out"; }
# shellcheck disable=SC2317  # the trap calls it
finish() {
  ended=$?
  rm -rf "$work"
  [[ -s $out ]] || no_result "run.sh ended with $ended before it had a result"
}
trap finish EXIT
step() { printf '\n== %s (%d s)\n' "$*" "$SECONDS" >&2; }

if [[ -n $dry ]]; then
  # The tests' build: an unoptimised binary is no matter on a simulated card.
  yanji=${yanji:-target/debug/yanji}
  if [[ -z ${VGPU_RIG:-} ]]; then
    # On the virtual machine this runs once more, in the place of the binary.
    rig=${RIG:-tests/vgpu/rigs/rtx-4090-asus.toml}
    ended=0
    VGPU_YANJI="$PWD/$here/run.sh" YANJI="$yanji" PROFILE="$profile" target/debug/vgpu "$rig" -- --dry "$out" || ended=$?
    exit "$ended"
  fi
  export VGPU_CUDA_MIB=${VGPU_CUDA_MIB:-32}
elif ! { command -v nvidia-smi >/dev/null && nvidia-smi -L 2>/dev/null | grep -q '^GPU '; }; then
  echo "there is no NVIDIA GPU here, or no driver: nothing was run (--dry shows the script on the virtual driver)" >&2
  no_result "no NVIDIA GPU or driver"
  exit 3
elif [[ -z $yanji ]]; then
  cargo build --release --quiet
  yanji=target/release/yanji
fi
profile=${profile:-$here/$([[ -n $dry ]] && echo dry || echo card).toml}
SECONDS=0
touch "$work"/{answers,burn.json,gpu-burn,gemm,skipped}
skipped() { echo "$*" | tee -a "$work/skipped" >&2; }
# at_most N COMMAND...: stopped after N seconds, or when the 8 minutes are over.
at_most() {
  local limit=$1 left=$((460 - SECONDS))
  shift
  ((limit < left)) || limit=$((left > 1 ? left : 1))
  timeout -k 10 "$limit" "$@"
}
# gemm COMMAND...: a cuBLAS multiplication; leaves its rate, what it said, and its exit status.
gemm() {
  ended=0
  at_most 60 "$@" >"$work/gemm" 2>"$work/gemm-said" || ended=$?
}

step "known answers of every kernel"
known=0
at_most 120 python3 kernels/shim/run_on_gpu.py ${dry:+--ptx} >"$work/answers" 2>&1 || known=$?
tail -3 "$work/answers" >&2

step "burn-in"
status=0
# Interrupted, it still tells what it has.
timeout -s INT -k 30 330 "$yanji" burn --profile "$profile" --out "$work/burn" --format json >"$work/burn.json" || status=$?

step "gpu-burn"
tool=${GPU_BURN:-$(command -v gpu_burn || true)}
if [[ -n $dry ]]; then
  skipped "gpu-burn: it needs a real card"
elif [[ -n $tool ]]; then
  (cd "$(dirname "$tool")" && at_most 90 "./$(basename "$tool")" -tc 40) >"$work/gpu-burn" 2>&1 || true
else
  skipped "gpu-burn: not in PATH, and no GPU_BURN"
fi

step "cuBLAS"
if [[ -n $dry ]]; then
  # At full scale: its matrices have a size of their own, and small ones, since the virtual machine may have a cuBLAS for tests.
  gemm env -u VGPU_CUDA_MIB python3 "$here/gemm.py" 64
else
  gemm python3 "$here/gemm.py"
  if ((ended == 3)) && python3 -m venv "$work/venv" 2>/dev/null &&
    at_most 90 "$work/venv/bin/pip" install -q --retries 0 --timeout 5 nvidia-cublas-cu12 2>/dev/null; then
    gemm "$work/venv/bin/python" "$here/gemm.py"
  fi
fi
case $ended in
  0) ;;
  3) skipped "cuBLAS: $(tail -n 1 "$work/gemm-said"), and its wheel $([[ -n $dry ]] && echo "is not fetched for a dry run" || echo "could not be installed in 90 s")" ;;
  124 | 137) skipped "cuBLAS: gemm.py was stopped" ;;
  *) skipped "cuBLAS: gemm.py ended with $ended: $(tail -n 1 "$work/gemm-said")" ;;
esac

step "comparison"
python3 "$here/compare.py" "$work" "$known" "$status" ${dry:+dry} >"$work/report" && result=0 || result=$?
cp "$work/report" "$out"
cat "$out"
echo "written to $out after $SECONDS s" >&2
exit "$result"
