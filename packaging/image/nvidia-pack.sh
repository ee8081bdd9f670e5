#!/usr/bin/env bash
# nvidia-pack.sh DRIVER OUT [--cache FOLDER] [--sign-key FILE --sign-cert FILE]: packs an NVIDIA driver for the boot image into the
# squashfs OUT and prints its SHA-256.
#
# DRIVER is NVIDIA's own installer (NVIDIA-Linux-x86_64-570.86.15.run), a folder with what `sh DRIVER.run --extract-only` leaves, or
# "debian" for the open modules and the libraries of Debian 13 (non-free). The kernel modules are compiled for the kernel that fetch.sh
# put into the cache, with its headers. Nothing is installed on this machine. The same driver and the same kernel give the same bytes.
#
#   --sign-key FILE     private key, PEM, with which the kernel modules are signed: under Secure Boot the kernel takes no others
#   --sign-cert FILE    its certificate, PEM, which is enrolled in the firmware
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
fail() { echo "nvidia-pack.sh: $*" >&2; exit 1; }
usage="usage: nvidia-pack.sh DRIVER.run|FOLDER|debian OUT [--cache FOLDER] [--sign-key FILE --sign-cert FILE]"
[ $# -ge 2 ] || fail "$usage"
driver=$1 out=$2 cache=${XDG_CACHE_HOME:-$HOME/.cache}/yanji-image sign_key="" sign_cert=""
shift 2
while [ $# -gt 0 ]; do
  [ $# -ge 2 ] || fail "$usage"
  case "$1" in
    --cache) cache=$2 ;;
    --sign-key) sign_key=$2 ;;
    --sign-cert) sign_cert=$2 ;;
    *) fail "$usage" ;;
  esac
  shift 2
done
for file in "$sign_key" "$sign_cert"; do [ -z "$file" ] || [ -r "$file" ] || fail "$file cannot be read"; done
[ -z "$sign_key$sign_cert" ] || { [ -n "$sign_key" ] && [ -n "$sign_cert" ]; } || fail "--sign-key and --sign-cert go together"
export PATH=$PATH:/sbin:/usr/sbin LC_ALL=C TZ=UTC
umask 022
missing=()
for pair in mksquashfs:squashfs-tools gcc:gcc make:make modprobe:kmod objdump:binutils; do
  command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
done
[ ${#missing[@]} = 0 ] || fail "install these first: apt-get install ${missing[*]}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/source"

if [ "$driver" != debian ]; then
  [ -e "$driver" ] || fail "$driver does not exist"
  files=$(realpath "$driver")
  if [ -f "$driver" ]; then
    files=$work/driver
    sh "$(realpath "$driver")" --extract-only --target "$files" >"$work/extract.log" 2>&1 && [ -d "$files" ] ||
      { tail -n 5 "$work/extract.log" >&2; fail "$driver is no installer of NVIDIA's: it did not unpack itself"; }
  fi
  [ -d "$files/kernel-open" ] || fail "$driver has no open kernel modules (kernel-open), which NVIDIA ships since version 515"
  cp -r "$files/kernel-open/." "$work/source/"
fi
"$here/fetch.sh" "$cache"
cache=$(cd "$cache" && pwd)
kernel=$(basename "$cache"/root/lib/modules/*)
if [ "$driver" = debian ]; then
  RELEASE=trixie COMPONENTS="main contrib non-free non-free-firmware" PACKAGES="nvidia-open-kernel-source libnvidia-ml1 libcuda1
    libnvidia-ptxjitcompiler1 firmware-nvidia-gsp" "$here/fetch.sh" "$cache/nvidia"
  files=$cache/nvidia/root
  tar -C "$work/source" -xf "$files/usr/src/nvidia-open-kernel.tar.xz" --strip-components=2
fi

pack=$work/pack
mkdir -p "$pack/lib" "$pack/modules" "$pack/firmware"
# The libraries that yanji opens, and those of the driver that they ask for in turn. Those of the same name for 32-bit programs lie in a
# folder of their own.
library_files() { find "$files" -path "$files/32" -prune -o -name "$1" -type f -print; }
version=$(library_files 'libnvidia-ml.so.*.*' | sed 's/.*libnvidia-ml\.so\.//' | sort -u)
case $version in
  "") fail "$driver has no libnvidia-ml.so" ;;
  *$'\n'*) fail "$driver has libraries of several versions:" $version ;;
esac
add_library() {
  local found name
  found=$(library_files "$1.$version" | sort | head -n 1)
  [ -n "$found" ] || fail "$driver has no $1.$version"
  [ ! -e "$pack/lib/$1.1" ] || return 0
  install -m 644 "$found" "$pack/lib/$1.1"
  for name in $(objdump -p "$found" | sed -n "s/^ *NEEDED *\(libnvidia.*\)\.so\.$version$/\1.so/p"); do
    add_library "$name"
    ln -sf "$name.1" "$pack/lib/$name.$version"
  done
}
for name in libnvidia-ml.so libcuda.so libnvidia-ptxjitcompiler.so; do add_library "$name"; done
find "$files" -path "*firmware*" -name 'gsp_*.bin' -type f -exec install -m 644 {} "$pack/firmware/" \;
ls "$pack"/firmware/gsp_*.bin >/dev/null 2>&1 || fail "$driver has no GSP firmware, which open modules need"

echo "== kernel modules"
"$here/headers.sh" "$cache"
headers=$cache/headers/root/usr/src
# No path of this machine in the modules, and none of their own symbols for a debugger.
make -s -j"$(nproc)" -C "$work/source" SYSSRC="$headers/linux-headers-${kernel%-amd64}-common" SYSOUT="$headers/linux-headers-$kernel" \
  CC=gcc IGNORE_CC_MISMATCH=1 CONFIG_DEBUG_INFO_BTF_MODULES= NV_KERNEL_MODULES="nvidia nvidia-uvm" \
  KCFLAGS="-ffile-prefix-map=$work/source=. -ffile-prefix-map=$cache=." modules >"$work/make.log" 2>&1 ||
  { tail -n 20 "$work/make.log" >&2; fail "the kernel modules could not be compiled for $kernel"; }

# What the driver's modules stand on comes first; the image has only what an inspection needs.
for module in nvidia nvidia-uvm; do
  [ -f "$work/source/$module.ko" ] || fail "the driver made no $module.ko"
  strip --strip-debug "$work/source/$module.ko"
  for below in $(modinfo -F depends "$work/source/$module.ko" | tr , ' '); do
    case $below in nvidia) continue ;; esac
    modprobe -d "$cache/root" -S "$kernel" --show-depends "$below" | sed -n 's/^insmod \([^ ]*\).*/\1/p'
  done
done | while read -r path; do
  name=$(basename "${path%.xz}")
  [ ! -e "$pack/modules/$name" ] || continue
  xz -dc "$path" >"$pack/modules/$name"
  echo "$name" >>"$pack/modules/below"
done
touch "$pack/modules/below"
cp "$work/source/nvidia.ko" "$work/source/nvidia-uvm.ko" "$pack/modules/"

if [ -n "$sign_key" ]; then
  sign_file=$(echo "$cache"/headers/root/usr/lib/linux-kbuild-*/scripts/sign-file)
  for module in nvidia nvidia-uvm; do "$sign_file" sha256 "$sign_key" "$sign_cert" "$pack/modules/$module.ko"; done
fi

compiled=$(modinfo -F version "$work/source/nvidia.ko")
[ "$compiled" = "$version" ] || fail "the kernel modules are of version $compiled, the libraries of $version: they have to be of one"
echo "$version" >"$pack/version"
echo "$kernel" >"$pack/kernel"

cat >"$pack/load" <<'LOAD'
# Loads the driver; read by the image after it has compared the pack's digest with the measured one.
pack=/run/nvidia
[ "$(uname -r)" = "$(cat $pack/kernel)" ] || { echo "the pack is for kernel $(cat $pack/kernel)"; exit 1; }
firmware=/lib/firmware/nvidia/$(cat $pack/version)
mkdir -p "$firmware"
for file in $pack/firmware/*; do ln -sf "$file" "$firmware/"; done
# Some may be there already.
while read -r module; do insmod "$pack/modules/$module" 2>/dev/null; done <$pack/modules/below
for module in nvidia nvidia-uvm; do
  # The kernel's own words say more than an error number, and it was told to be quiet.
  insmod $pack/modules/$module.ko || { dmesg | grep NVRM | tail -n 4; exit 1; }
done
major() { sed -n "s/^ *\([0-9]*\) $1\$/\1/p" /proc/devices | head -n 1; }
gpus=$(major nvidia)
[ -n "$gpus" ] || gpus=$(major nvidia-frontend)
index=0
for folder in /proc/driver/nvidia/gpus/*; do
  [ -d "$folder" ] || continue
  mknod -m 666 "/dev/nvidia$index" c "$gpus" "$index"
  index=$((index + 1))
done
mknod -m 666 /dev/nvidiactl c "$gpus" 255
mknod -m 666 /dev/nvidia-uvm c "$(major nvidia-uvm)" 0
LOAD
chmod 644 "$pack"/version "$pack"/kernel "$pack"/load "$pack"/modules/*
# The tool refuses to be told the time twice.
unset SOURCE_DATE_EPOCH
mkdir -p "$(dirname "$out")"
rm -f "$out.part"
mksquashfs "$pack" "$out.part" -quiet -noappend -no-progress -all-root -no-xattrs -comp zstd -mkfs-time 0 -all-time 0
mv "$out.part" "$out"
find "$pack" -type f -printf '%s %P\n' | sort -rn
echo "driver $version for kernel $kernel: $(stat -c %s "$out") bytes"
echo "$(sha256sum "$out" | cut -d' ' -f1)  $out"
