#!/usr/bin/env bash
# Wall time of `yanji inspect` against `lshw -json`, start-up time, and size of the binary. Both run here and now, in turns.
# Needs lshw with its name tables (Debian: lshw pci.ids usb.ids).
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --release --quiet
yanji=target/release/yanji
rounds=${1:-20}

source benches/timing.sh

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for ((round = 0; round < rounds; round++)); do
  time_ms "$yanji" inspect --format json >>"$work/inspect"
  time_ms lshw -json >>"$work/lshw"
  time_ms "$yanji" --version >>"$work/version"
done
inspect=$(median_ms <"$work/inspect")
lshw=$(median_ms <"$work/lshw")
version=$(median_ms <"$work/version")
bytes=$(stat -c %s "$yanji")
echo "inspect         $inspect ms (median of $rounds)"
echo "lshw -json      $lshw ms (median of $rounds)"
awk "BEGIN { printf \"inspect / lshw  %.2f (wanted: at most 0.50)\n\", $inspect / $lshw }"
echo "--version       $version ms (wanted: under 10)"
awk "BEGIN { printf \"binary          %.1f MB (wanted: under 12)\n\", $bytes / 1e6 }"
