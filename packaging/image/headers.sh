#!/usr/bin/env bash
# headers.sh FOLDER [MODULES OUT]: fetches the headers of the kernel that fetch.sh put into FOLDER; compiles the kernel modules in the
# folder MODULES with them, and leaves the .ko files in OUT: those are for the test bench, and nothing of them is in the image.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=$(cd "$1" && pwd)
fail() { echo "headers.sh: $*" >&2; exit 1; }
command -v gcc >/dev/null && command -v make >/dev/null || fail "install these first: apt-get install gcc make"
version=$(basename "$folder"/root/lib/modules/*)
if [ $# -ge 3 ]; then
  modules=$(cd "$2" && pwd) out=$(mkdir -p "$3" && cd "$3" && pwd)
  sources=$(cat "$modules"/*.c "$modules/Makefile" | sha256sum | cut -d' ' -f1)
  [ "$(cat "$out/made-from" 2>/dev/null)" = "$version $sources" ] && exit 0
fi
base=${version%-amd64}
headers=$folder/headers/root/usr/src
# Paths in them are changed below, once: those that were changed elsewhere are unpacked anew.
changed=$folder/headers/root/changed-for
[ "$(cat "$changed" 2>/dev/null)" = "$headers" ] || rm -f "$folder/headers/unpacked"
PACKAGES="linux-headers-$version linux-headers-$base-common linux-kbuild-$base" "$here/fetch.sh" "$folder/headers" ||
  fail "the headers of kernel $version are not to be had: Debian keeps those of its newest kernel, which REFRESH=yes packaging/image/build.sh takes"
if [ ! -e "$changed" ]; then
  # The packages know each other by absolute paths.
  kbuild=$(basename "$folder"/headers/root/usr/lib/linux-kbuild-*)
  sed -i "s#/usr/src/#$headers/#g; s#/usr/lib/$kbuild#$folder/headers/root/usr/lib/$kbuild#g" "$headers/linux-headers-$version/Makefile" \
    "$headers/linux-headers-$base-common/Makefile"
  for link in scripts tools; do
    [ -d "$folder/headers/root/usr/lib/$kbuild/$link" ] || continue
    ln -sfn "$folder/headers/root/usr/lib/$kbuild/$link" "$headers/linux-headers-$base-common/$link"
  done
  echo "$headers" >"$changed"
fi
[ $# -ge 3 ] || exit 0
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
cp "$modules"/*.c "$modules/Makefile" "$build/"
rm -f "$build/spdfill.c"
make -s -C "$headers/linux-headers-$version" M="$build" CC=gcc CONFIG_DEBUG_INFO_BTF_MODULES= modules
cp "$build"/*.ko "$out/"
gcc -O1 -static -o "$out/spdfill" "$modules/spdfill.c"
echo "$version $sources" >"$out/made-from"
