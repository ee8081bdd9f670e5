#!/usr/bin/env bash
# twice.sh [--binary FILE] [--cache FOLDER] [--keep FOLDER]: builds the image twice at the same time, and compares every byte.
#
# The second build differs in everything that must not matter: folder of the project and of the work, umask, time zone, language, user
# (by a user namespace), clock (by faketime), file system and so the order in which it lists files (tmpfs), number of threads. What this
# machine has no means for is said. Also says how far below 60 MB the image is.
#
#   --binary FILE   the program to pack (target/release/yanji)
#   --keep FOLDER   leaves both results in FOLDER/first and FOLDER/second
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
project=$(cd "$here/../.." && pwd)
binary=${CARGO_TARGET_DIR:-$project/target}/release/yanji
cache=${XDG_CACHE_HOME:-$HOME/.cache}/yanji-image
keep=""
limit_bytes=60000000
# Cargo.toml: a release is below this.
largest_program_bytes=12000000

fail() { echo "twice.sh: $*" >&2; exit 1; }
while [ $# -gt 0 ]; do
  [ $# -ge 2 ] || fail "$1 needs a value"
  case "$1" in
    --binary) binary=$2 ;;
    --cache) cache=$2 ;;
    --keep) keep=$2 ;;
    *) fail "unknown option $1" ;;
  esac
  shift 2
done
[ -x "$binary" ] || fail "$binary is not a program: cargo build --release, or --binary FILE"
binary=$(realpath "$binary")
work=$(mktemp -d)
other=$(mktemp -d -p /dev/shm 2>/dev/null) || other=$(mktemp -d)
trap 'rm -rf "$work" "$other"' EXIT
mkdir -p "$work/tmp" "$other/tmp" "$other/home" "$other/project" "$other/cache"
differs=(folder umask "time zone" language "number of threads")
same=()

"$here/fetch.sh" "$cache"
# The same packages, unpacked once more.
cp -r "$cache/apt" "$cache/debs" "$other/cache/"
(cd "$project" && git ls-files -z --cached --others --exclude-standard -- Cargo.toml Cargo.lock src packaging tests/vgpu benches kernels |
  tar --null --files-from=- --ignore-failed-read -cf - | tar -C "$other/project" -xf -)
SOURCE_DATE_EPOCH=$(git -C "$project" log -1 --format=%ct)
export SOURCE_DATE_EPOCH CARGO_HOME=${CARGO_HOME:-$HOME/.cargo} RUSTUP_HOME=${RUSTUP_HOME:-$HOME/.rustup}
cp "$binary" "$other/yanji"

elsewhere=()
if unshare --map-user=4321 --map-group=4321 true 2>/dev/null; then
  elsewhere+=(unshare --map-user=4321 --map-group=4321)
  differs+=(user)
else
  same+=("user (no user namespaces)")
fi
if command -v faketime >/dev/null; then
  # Its default changes the times of files too, as they are read and not as they are.
  elsewhere+=(env NO_FAKE_STAT=1 faketime -f +400d)
  # rustc waits for ever under it, and no time of its own is in what cargo prints here.
  mkdir "$other/bin"
  printf '#!/bin/sh\nLD_PRELOAD= exec "%s" "$@"\n' "$(command -v cargo)" >"$other/bin/cargo"
  chmod 755 "$other/bin/cargo"
  differs+=(year)
else
  same+=("year (apt-get install faketime)")
fi
if [ "$(stat -f -c %T "$work")" != "$(stat -f -c %T "$other")" ]; then
  differs+=("file system")
else
  same+=("file system")
fi

echo "different: $(printf '%s, ' "${differs[@]}" | sed 's/, $//')"
[ ${#same[@]} = 0 ] || echo "the same:  $(printf '%s, ' "${same[@]}" | sed 's/, $//')"
(
  umask 022
  TMPDIR=$work/tmp TZ=UTC LC_ALL=C ZSTD_NBTHREADS=1 \
    "$here/build.sh" --binary "$binary" --cache "$cache" --out "$work/first/yanji.iso"
) >"$work/first.log" 2>&1 &
first=$!
(
  umask 077
  cd /
  TMPDIR=$other/tmp PATH=$other/bin:$PATH HOME=$other/home TZ=Asia/Shanghai LC_ALL=zh_CN.UTF-8 LANG=zh_CN.UTF-8 ZSTD_NBTHREADS=2 \
    ${elsewhere[@]+"${elsewhere[@]}"} "$other/project/packaging/image/build.sh" --binary "$other/yanji" --cache "$other/cache" \
    --out "$other/second/yanji.iso"
) >"$work/second.log" 2>&1 &
second=$!
wait $first || { cat "$work/first.log" >&2; wait $second || true; fail "the first build failed"; }
wait $second || { cat "$work/second.log" >&2; fail "the second build failed"; }
if [ -n "$keep" ]; then
  mkdir -p "$keep"
  rm -rf "$keep/first" "$keep/second"
  cp -r "$work/first" "$keep/first"
  cp -r "$other/second" "$keep/second"
fi

different=0
printf '%-14s %12s  %-64s  %s\n' file bytes SHA-256 second
for file in yanji.iso yanji.efi vmlinuz initrd image.json sbom.cdx.json; do
  said=same
  if ! cmp -s "$work/first/$file" "$other/second/$file"; then
    said="DIFFERENT: $(cmp "$work/first/$file" "$other/second/$file" 2>&1 | sed 's/.*differ: //' || true)"
    different=1
  fi
  printf '%-14s %12s  %s  %s\n' "$file" "$(stat -c %s "$work/first/$file")" "$(sha256sum "$work/first/$file" | cut -d' ' -f1)" "$said"
done
if ! cmp -s "$work/first/initrd" "$other/second/initrd"; then
  for build in "$work/first" "$other/second"; do zstd -dqc "$build/initrd" | cpio -tv --quiet --numeric-uid-gid >"$build.list"; done
  diff "$work/first.list" "$other/second.list" | head -n 20 || true
fi
[ $different = 0 ] || fail "two builds differ"

bytes=$(stat -c %s "$work/first/yanji.iso")
strip -o "$work/stripped" "$binary"
program_bytes=$(stat -c %s "$work/stripped")
echo "$bytes bytes of $limit_bytes; the program in it has $program_bytes"
if [ "$bytes" -gt $limit_bytes ]; then
  [ "$program_bytes" -gt $largest_program_bytes ] || fail "the image is too large"
  echo "too large; but this program is no release ($largest_program_bytes bytes at most): not judged"
fi
