#!/usr/bin/env bash
# tarball.sh BINARY OUT: a tarball for machines without a package manager, with SHA-256 sums beside it, signed by yanji's own key:
#   tarball.sh target/release/yanji dist
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
binary=$1 out=$(mkdir -p "$2" && cd "$2" && pwd)
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$here" log -1 --format=%ct)}
version=$("$binary" --version | cut -d' ' -f2)
name=yanji-$version-x86_64-linux
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$here/stage.sh" "$binary" "$work/$name"
tar -C "$work" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" --format=ustar -cf - "$name" |
  xz -9 -T1 >"$out/$name.tar.xz"
(cd "$out" && sha256sum "$name.tar.xz" >"$name.sha256")
cat "$out/$name.sha256"
