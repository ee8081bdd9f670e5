#!/usr/bin/env bash
# tarball.sh BINARY OUT: a tarball for machines without a package manager. The same binary gives the same bytes.
set -euo pipefail
umask 022
here=$(cd "$(dirname "$0")" && pwd)
binary=$1 out=$(mkdir -p "$2" && cd "$2" && pwd)
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$here" log -1 --format=%ct)} LC_ALL=C
version=$("$binary" --version | cut -d' ' -f2)
name=yanji-$version-x86_64-linux
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$here/stage.sh" "$binary" "$work/$name"
tar -C "$work" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" --format=ustar -cf - "$name" |
  xz -9 -T1 >"$out/$name.tar.xz"
ls "$out/$name.tar.xz"
