#!/usr/bin/env bash
# glibc.sh BINARY [NEWEST]: prints the oldest C library that has every symbol which the program asks for. Fails when that is newer than
# NEWEST (2.17, say), or when the program asks for a library that not every system has.
set -euo pipefail
binary=$1 newest=${2:-}
[ -r "$binary" ] || { echo "glibc.sh: $binary cannot be read" >&2; exit 1; }
symbols=$(objdump -T "$binary")
glibc=$(sed -n 's/.*GLIBC_\([0-9.]*\).*/\1/p' <<<"$symbols" | sort -uV | tail -n 1)
[ -n "$glibc" ] || { echo "glibc.sh: $binary asks for no C library" >&2; exit 1; }
echo "$glibc"
[ -n "$newest" ] || exit 0
if [ "$(printf '%s\n' "$glibc" "$newest" | sort -V | tail -n 1)" != "$newest" ]; then
  echo "glibc.sh: $binary needs glibc $glibc, and $newest is the newest that it may need:" >&2
  grep -F "GLIBC_$glibc" <<<"$symbols" >&2
  exit 1
fi
others=$(objdump -p "$binary" | sed -n 's/^ *NEEDED *//p' | grep -Ev '^(ld-linux-x86-64|libc|libm|libdl|libpthread|librt|libgcc_s)\.so' || true)
[ -z "$others" ] || { echo "glibc.sh: $binary needs $others" >&2; exit 1; }
