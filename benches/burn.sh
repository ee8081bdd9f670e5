#!/bin/sh
# Measures the burn-in against stressapptest and against plain loops, all in one go on this machine:
#   benches/burn.sh [MEBIBYTES] [SECONDS_EACH]
# Needs stressapptest in PATH for the first figure; says so where it is missing.
set -eu
cd "$(dirname "$0")/.."
exec cargo bench --quiet --bench burn_peak -- "${1:-4096}" "${2:-8}"
