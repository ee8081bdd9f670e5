#!/usr/bin/env bash
# nvidia_pack_check.sh LIBRARY|debian OUT [CACHE]: makes NVIDIA packs of one driver in each form that it comes in, compares every byte,
# and sees that what is no driver is refused. Leaves the pack in OUT/nvidia.squashfs.
#
# LIBRARY (tests/vgpu's) makes a driver for tests, which takes seconds; "debian" takes NVIDIA's from Debian's packages, and minutes for
# each form. The last pack is made by another user, umask, time zone, language and folder.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
make_driver=$here/../../tests/guest/driver/make.sh
library=$1 out=$(mkdir -p "$2" && cd "$2" && pwd) cache=${3:-${XDG_CACHE_HOME:-$HOME/.cache}/yanji-image}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/packs" "$work/tmp" "$work/home"

# pack NAME DRIVER [COMMAND…]: by that command.
pack() {
  local name=$1 driver=$2 started=$SECONDS
  shift 2
  "$@" "$here/nvidia-pack.sh" "$driver" "$work/packs/$name" --cache "$cache" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
  echo "$name: $(tail -n 2 "$work/log" | head -n 1) in $((SECONDS - started)) s, $(sha256sum "$work/packs/$name" | cut -d' ' -f1)"
}
if [ "$library" = debian ]; then
  pack debian debian
  "$make_driver" none "$work" "$cache/nvidia/root"
else
  "$make_driver" "$library" "$work"
fi
pack folder "$work/folder"
elsewhere=(env TMPDIR="$work/tmp" HOME="$work/home" TZ=Asia/Shanghai LC_ALL=zh_CN.UTF-8 LANG=zh_CN.UTF-8)
if unshare --map-user=4321 --map-group=4321 true 2>/dev/null; then elsewhere+=(unshare --map-user=4321 --map-group=4321); fi
(umask 077; cd /; pack installer "$work/driver.run" "${elsewhere[@]}")
unsquashfs -lln "$work/packs/folder" | awk '{print $1, $2, $3, $6, $7, $8}'
for name in debian installer; do
  [ -e "$work/packs/$name" ] || continue
  cmp "$work/packs/folder" "$work/packs/$name"
  echo "$name: the same bytes as folder"
done
cp "$work/packs/folder" "$out/nvidia.squashfs"

# refused WORDS COMMAND…
refused() {
  local words=$1 said
  shift
  if said=$("$@" 2>&1); then echo "not refused: $*" >&2; exit 1; fi
  grep -qF -- "$words" <<<"$said" || { printf 'does not say "%s":\n%s\n' "$words" "$said" >&2; exit 1; }
  echo "refused: $(grep -F -- "$words" <<<"$said" | sed "s#$work/##g")"
}
refused_driver() { refused "$1" "$here/nvidia-pack.sh" "$2" "$work/packs/none" --cache "$cache"; }
# A driver that lacks what matches.
without() {
  rm -rf "$work/damaged"
  cp -r "$work/folder" "$work/damaged"
  find "$work/damaged" -depth -name "$1" -exec rm -r {} +
}
refused_driver "missing.run does not exist" "$work/missing.run"
echo "echo not an installer" >"$work/other.run"
refused_driver "is no installer of NVIDIA's" "$work/other.run"
without kernel-open
refused_driver "has no open kernel modules" "$work/damaged"
without 'libnvidia-ml.so.*'
refused_driver "has no libnvidia-ml.so" "$work/damaged"
without 'libcuda.so.*'
refused_driver "has no libcuda.so" "$work/damaged"
without 'gsp_*.bin'
refused_driver "has no GSP firmware" "$work/damaged"
if [ "$library" != debian ]; then
  without none
  sed -i 's/DRIVER_VERSION=.*/DRIVER_VERSION=\\"9.9\\"/' "$work/damaged/kernel-open/Kbuild"
  refused_driver "the kernel modules are of version 9.9" "$work/damaged"
  echo '#error no such kernel' >>"$work/damaged/kernel-open/nvidia.c"
  refused_driver "could not be compiled for" "$work/damaged"
fi
[ ! -e "$work/packs/none" ]

# A kernel that Debian has no headers of any more, and a pack for another kernel than the image's.
mkdir -p "$work/old/root/lib/modules/6.0.0+deb12-amd64" "$work/old/headers"
cp -r "$cache/headers/apt" "$work/old/headers/"
refused "the headers of kernel 6.0.0+deb12-amd64 are not to be had" "$here/headers.sh" "$work/old"
mkdir "$work/other"
echo 6.0.0+deb12-amd64 >"$work/other/kernel"
mksquashfs "$work/other" "$work/packs/other" -quiet -no-progress
build() { "$here/build.sh" --binary /bin/true --cache "$cache" --initrd "$work/log" --out "$work/image/yanji.iso" --nvidia-pack "$1"; }
refused "is for kernel 6.0.0+deb12-amd64, and the image has" build "$work/packs/other"
refused "is not what nvidia-pack.sh makes" build "$work/other.run"
[ ! -e "$work/image" ]
