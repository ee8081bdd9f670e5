#!/usr/bin/env bash
# make.sh LIBRARY OUT [DRIVER]: lays out what `sh NVIDIA-Linux-x86_64-….run --extract-only` leaves, in OUT/folder, and packs it into
# OUT/driver.run, a shell script that honours --extract-only --target as NVIDIA's installer does. For tests.
#
# Without DRIVER the kernel modules are those of this folder, and LIBRARY (tests/vgpu's) stands for the driver's own. DRIVER is a
# folder into which Debian's packages were unpacked (nvidia-pack.sh's cache has one): then all of it is theirs, and LIBRARY is not read.
set -euo pipefail
umask 022
here=$(cd "$(dirname "$0")" && pwd)
library=$1 out=$2 debian=${3:-}
folder=$out/folder
rm -rf "$folder"
mkdir -p "$folder/kernel-open" "$folder/firmware"
if [ -n "$debian" ]; then
  tar -C "$folder/kernel-open" -xf "$debian/usr/src/nvidia-open-kernel.tar.xz" --strip-components=2
  find "$debian/usr/lib" -name 'lib*.so.*.*' -type f -exec cp {} "$folder/" \;
  find "$debian/usr/lib/firmware" -name 'gsp_*.bin' -exec cp {} "$folder/firmware/" \;
else
  version=$(sed -n 's/.*DRIVER_VERSION=\\"\(.*\)\\"/\1/p' "$here/kernel-open/Kbuild")
  cp "$here"/kernel-open/* "$folder/kernel-open/"
  strip -o "$folder/libnvidia-ml.so.$version" "$library"
  for name in libcuda libnvidia-ptxjitcompiler; do cp "$folder/libnvidia-ml.so.$version" "$folder/$name.so.$version"; done
  echo "no firmware" >"$folder/firmware/gsp_tu10x.bin"
fi
# NVIDIA's installers bring libraries for 32-bit programs too, by the same names.
mkdir "$folder/32"
echo "a library for 32-bit programs" >"$folder/32/$(basename "$(ls "$folder"/libnvidia-ml.so.*)")"
cat >"$out/driver.run" <<'RUN'
#!/bin/sh
target= extract=
while [ $# -gt 0 ]; do
  case "$1" in
    --extract-only) extract=yes ;;
    --target) target=$2; shift ;;
  esac
  shift
done
[ -n "$extract" ] || { echo "this would install a driver" >&2; exit 1; }
mkdir "$target" && sed '1,/^ARCHIVE$/d' "$0" | tar -x -C "$target"
exit
ARCHIVE
RUN
tar -C "$folder" -cf - . >>"$out/driver.run"
