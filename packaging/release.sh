#!/usr/bin/env bash
# release.sh BINARY OUT [--key KEY] [FILE…]: tarball, deb and (where rpmbuild is) rpm of a program, copies of the FILEs (the boot image,
# say), their SHA-256 sums, and a statement of what they were built from (SLSA provenance 1.0 in an in-toto statement), signed by yanji
# with KEY or with this machine's own key:
#   packaging/portable.sh && packaging/release.sh target/portable/yanji dist --key release.pem
# verify_release.sh checks the result without yanji. The same input gives the same bytes, the statement and its signature too.
set -euo pipefail
umask 022
here=$(cd "$(dirname "$0")" && pwd)
project=$(cd "$here/.." && pwd)
fail() { echo "release.sh: $*" >&2; exit 1; }
[ $# -ge 2 ] || fail "usage: release.sh BINARY OUT [--key KEY] [FILE…]"
binary=$1 out=$(mkdir -p "$2" && cd "$2" && pwd)
shift 2
key=()
if [ "${1:-}" = --key ]; then
  [ -r "${2:-}" ] || fail "no key at ${2:-}: yanji key gen --out FILE"
  key=(--key "$2")
  shift 2
fi
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$project" log -1 --format=%ct)} LC_ALL=C
[ -z "$(ls -A "$out")" ] || fail "$out is not empty: what lies there would be signed too"
"$here/tarball.sh" "$binary" "$out"
"$here/deb/build.sh" "$binary" "$out"
if command -v rpmbuild >/dev/null; then "$here/rpm/build.sh" "$binary" "$out"; else echo "no rpm: apt-get install rpm" >&2; fi
for file in "$@"; do cp "$file" "$out/"; done
(cd "$out" && find . -maxdepth 1 -type f ! -name SHA256SUMS -printf '%P\0' | sort -z | xargs -0 sha256sum) >"$out/SHA256SUMS.new"
mv "$out/SHA256SUMS.new" "$out/SHA256SUMS"
statement=$(mktemp)
trap 'rm -f "$statement"' EXIT
"$here/provenance.py" --project "$project" --binary "$binary" "$out"/* >"$statement"
"$binary" attest-build "$statement" ${key[@]+"${key[@]}"} -o "$out/provenance.dsse.json"
