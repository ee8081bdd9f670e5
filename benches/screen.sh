#!/usr/bin/env bash
# Captures that `yanji screen` reads, judges and prints in a second, on one core: benches/screen.sh [FOLDER]
# The folder's captures are screened over and over until there are 1,000 or more.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:-../shared/corpus/gpu}
[ -d "$folder" ] || { echo "skipped: no captures in $folder"; exit 0; }
cargo build --release --quiet
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
captures=$(find "$(realpath "$folder")" -name '*.xml' -o -name '*.txt' -o -name '*.csv' -o -name '*.log')
round=0
while [ "$(find "$work" -type l | wc -l)" -lt 1000 ]; do
  for capture in $captures; do
    ln -s "$capture" "$work/$round-$(basename "$capture")"
  done
  round=$((round + 1))
done
for format in json plain; do
  begin=$(date +%s%N)
  # Captures are not accepted, and some files are none: both are exit codes.
  printed=$(taskset -c 0 target/release/yanji screen --format "$format" "$work" 2>/dev/null | wc -c) || true
  end=$(date +%s%N)
  files=$(find "$work" -type l | wc -l)
  bytes=$(cat "$work"/* | wc -c)
  awk "BEGIN { s = ($end - $begin) / 1e9; printf \"$format: %d files (%.1f MB read, %.1f MB printed) in %.2f s: %.0f files/s (wanted: at least 200)\n\", $files, $bytes / 1e6, $printed / 1e6, s, $files / s }"
done
