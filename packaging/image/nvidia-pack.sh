#!/usr/bin/env bash
# nvidia-pack.sh DRIVER OUT [--cache FOLDER]: packs an NVIDIA driver for the boot image into the squashfs OUT and prints its SHA-256.
#
# DRIVER is NVIDIA's own installer (NVIDIA-Linux-x86_64-570.86.15.run), or "debian" for the open modules of Debian 12 (non-free). The kernel
# modules are compiled for the kernel that fetch.sh put into the cache, with its headers. Nothing is installed on this machine.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
fail() { echo "nvidia-pack.sh: $*" >&2; exit 1; }
[ $# -ge 2 ] || fail "usage: nvidia-pack.sh DRIVER.run|debian OUT [--cache FOLDER]"
driver=$1 out=$2
cache=${XDG_CACHE_HOME:-$HOME/.cache}/yanji-image
[ "${3:-}" != --cache ] || cache=$4
for pair in mksquashfs:squashfs-tools gcc:gcc make:make; do
  command -v "${pair%%:*}" >/dev/null || fail "install this first: apt-get install ${pair##*:}"
done
"$here/fetch.sh" "$cache"
version=$(basename "$cache"/root/lib/modules/*)
base=${version%-amd64}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
case "$driver" in
  debian)
    COMPONENTS="main contrib non-free non-free-firmware" PACKAGES="nvidia-open-kernel-source nvidia-kernel-support libnvidia-ml1 libcuda1
      libnvidia-ptxjitcompiler1 firmware-nvidia-gsp" "$here/fetch.sh" "$cache/nvidia"
    mkdir "$work/source"
    tar -C "$work/source" -xf "$cache"/nvidia/root/usr/src/nvidia-open-kernel.tar.xz --strip-components=2
    libraries=$cache/nvidia/root/usr/lib/x86_64-linux-gnu firmware=$cache/nvidia/root/lib/firmware/nvidia
    ;;
  *)
    [ -f "$driver" ] || fail "$driver does not exist"
    sh "$driver" --extract-only --target "$work/driver" >/dev/null
    mv "$work/driver/kernel-open" "$work/source"
    libraries=$work/driver firmware=$work/driver/firmware
    ;;
esac
"$here/headers.sh" "$cache" "$here/../../tests/guest" "$cache/modules"
make -s -C "$work/source" SYSSRC="$cache/headers/root/usr/src/linux-headers-$base-common" \
  SYSOUT="$cache/headers/root/usr/src/linux-headers-$version" CC=gcc IGNORE_CC_MISMATCH=1 CONFIG_DEBUG_INFO_BTF_MODULES= modules
pack=$work/pack
mkdir -p "$pack/lib" "$pack/modules" "$pack/firmware"
cp "$work/source/nvidia.ko" "$work/source/nvidia-uvm.ko" "$pack/modules/"
for name in libnvidia-ml.so libcuda.so libnvidia-ptxjitcompiler.so; do
  found=$(find "$libraries" -name "$name.*" -type f | head -n 1)
  [ -n "$found" ] || fail "the driver has no $name"
  cp "$found" "$pack/lib/$name.1"
done
ln -s libcuda.so.1 "$pack/lib/libcuda.so"
find "$firmware" -name 'gsp_*.bin' -exec cp {} "$pack/firmware/" \;
cat >"$pack/load" <<'LOAD'
# Loads the driver; read by the image after it has compared the pack's digest with the measured one.
version=$(modinfo -F version /run/nvidia/modules/nvidia.ko 2>/dev/null)
mkdir -p "/lib/firmware/nvidia/$version"
cp /run/nvidia/firmware/* "/lib/firmware/nvidia/$version/"
for module in drm video ecdh_generic; do modprobe -q "$module"; done
insmod /run/nvidia/modules/nvidia.ko && insmod /run/nvidia/modules/nvidia-uvm.ko || exit 1
major=$(sed -n 's/^ *\([0-9]*\) nvidia-frontend$/\1/p; s/^ *\([0-9]*\) nvidia$/\1/p' /proc/devices | head -n 1)
index=0
for folder in /proc/driver/nvidia/gpus/*; do
  [ -d "$folder" ] || continue
  mknod -m 666 "/dev/nvidia$index" c "$major" "$index"
  index=$((index + 1))
done
mknod -m 666 /dev/nvidiactl c "$major" 255
mknod -m 666 /dev/nvidia-uvm c "$(sed -n 's/^ *\([0-9]*\) nvidia-uvm$/\1/p' /proc/devices)" 0
LOAD
mksquashfs "$pack" "$out" -quiet -noappend -all-root -comp zstd -mkfs-time 0 -all-time 0
echo "$(sha256sum "$out" | cut -d' ' -f1)  $out"
