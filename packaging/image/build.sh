#!/usr/bin/env bash
# build.sh [--binary FILE] [--out FILE] [--cmdline TEXT] [--add FILE] [--nvidia-pack FILE] [--initrd FILE] [--cache FOLDER]
#          [--sign-key FILE --sign-cert FILE]
#
# Makes yanji.iso: a hybrid image for CD and USB, BIOS and UEFI; beside it yanji.efi (the unified kernel image that UEFI
# starts), vmlinuz and initrd (for a start over the network), image.json (digests and predicted registers, for a trust
# policy) and sbom.cdx.json (CycloneDX). Needs no root and no loop device. The same binary and the same packages give the
# same bytes.
#
#   --cmdline TEXT      more words for the kernel command line: yanji.run=certify yanji.profile=24h
#   --add FILE          a file beside it on the medium: a burn-in profile of your own
#   --nvidia-pack FILE  what nvidia-pack.sh made
#   --sign-key FILE     private key, PEM, with which sbsign signs the kernel image for Secure Boot: your own, whose
#   --sign-cert FILE    certificate is enrolled in the firmware
#   --initrd FILE       the initial file system of an earlier run with the same --cache, to change nothing but the command line
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
project=$(cd "$here/../.." && pwd)
binary=""
out=yanji.iso
extra_cmdline=""
nvidia_pack=""
initrd=""
sign_key=""
sign_cert=""
added=()
cache=${XDG_CACHE_HOME:-$HOME/.cache}/yanji-image

fail() { echo "build.sh: $*" >&2; exit 1; }
while [ $# -gt 0 ]; do
  [ $# -ge 2 ] || fail "$1 needs a value"
  case "$1" in
    --binary) binary=$2 ;;
    --out) out=$2 ;;
    --cmdline) extra_cmdline=$2 ;;
    --nvidia-pack) nvidia_pack=$2 ;;
    --initrd) initrd=$2 ;;
    --sign-key) sign_key=$2 ;;
    --sign-cert) sign_cert=$2 ;;
    --add) added+=("$2") ;;
    --cache) cache=$2 ;;
    *) fail "unknown option $1" ;;
  esac
  shift 2
done

missing=()
for pair in xorriso:xorriso mcopy:mtools mkfs.vfat:dosfstools objdump:binutils depmod:kmod cpio:cpio zstd:zstd xz:xz-utils \
  dpkg:dpkg python3:python3 strip:binutils; do
  PATH=$PATH:/sbin:/usr/sbin command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
done
[ ${#missing[@]} = 0 ] || fail "install these first: apt-get install ${missing[*]}"
command -v cargo >/dev/null || fail "needs cargo (rustup.rs), which names the crates in the program"
export PATH=$PATH:/sbin:/usr/sbin LC_ALL=C TZ=UTC
# Modes in the image are not those of whoever builds it.
umask 022
# Time of everything in the image: that of the commit, or the one that is given.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$project" log -1 --format=%ct 2>/dev/null || echo 1700000000)}
export SOURCE_DATE_EPOCH

if [ -z "$binary" ]; then
  echo "== building yanji"
  (cd "$project" && cargo build --release --locked)
  binary=${CARGO_TARGET_DIR:-$project/target}/release/yanji
fi
[ -x "$binary" ] || fail "$binary is not a program"
[ -z "$nvidia_pack" ] || [ -f "$nvidia_pack" ] || fail "$nvidia_pack does not exist"
version=$("$binary" --version | cut -d' ' -f2)

if [ -z "$initrd" ]; then
  echo "== packages"
  "$here/fetch.sh" "$cache"
fi
[ -d "$cache/root" ] || fail "$cache holds no packages: --initrd needs those of the run that made it"
root=$cache/root
kernel_version=$(basename "$root"/lib/modules/*)
kernel=$root/boot/vmlinuz-$kernel_version
if [ -n "$nvidia_pack" ]; then
  command -v unsquashfs >/dev/null || fail "install this first: apt-get install squashfs-tools"
  packed_for=$(unsquashfs -cat "$nvidia_pack" kernel 2>/dev/null) || fail "$nvidia_pack is not what nvidia-pack.sh makes"
  [ "$packed_for" = "$kernel_version" ] || fail "$nvidia_pack is for kernel $packed_for, and the image has $kernel_version: make it anew"
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

strip -o "$work/yanji" "$binary"
(cd "$project" && cargo metadata --locked --format-version 1 --filter-platform x86_64-unknown-linux-gnu) >"$work/crates.json"
"$here/sbom.py" --packages "$cache/packages.tsv" --binary "$work/yanji" --crates "$work/crates.json" --lock "$project/Cargo.lock" \
  --version "$version" --seconds "$SOURCE_DATE_EPOCH" ${nvidia_pack:+--nvidia-pack "$nvidia_pack"} >"$work/sbom.cdx.json"
make_initrd() {
  echo "== initial file system"
  tree=$work/tree
  mkdir -p "$tree"/{bin,sbin,dev,proc,sys,run,tmp,root,host,etc/yanji,usr/bin,usr/sbin,usr/lib/yanji,lib64,"lib/modules/$kernel_version"}
  install -m 755 "$here/init" "$tree/init"
  install -m 644 "$here/functions" "$here/menu" "$tree/usr/lib/yanji/"
  install -m 755 "$here/udhcpc" "$tree/usr/lib/yanji/udhcpc"
  echo "$version" >"$tree/etc/yanji/version"
  busybox=$(find "$root/bin" "$root/usr/bin" -name busybox -type f | head -n 1)
  install -m 755 "$busybox" "$tree/bin/busybox"
  for applet in $("$busybox" --list); do
    [ "$applet" = busybox ] || ln -s busybox "$tree/bin/$applet"
  done
  # Programs with the libraries that they ask for, out of the packages and never from this machine.
  library_folders="$root/lib/x86_64-linux-gnu $root/usr/lib/x86_64-linux-gnu $root/lib64"
  add_libraries() {
    local name found
    for name in $(objdump -p "$1" | sed -n 's/^ *NEEDED *//p'); do
      [ ! -e "$tree/lib/$name" ] || continue
      # shellcheck disable=SC2086 # folders without blanks
      found=$(find $library_folders -name "$name" 2>/dev/null | head -n 1)
      [ -n "$found" ] || fail "$1 needs $name, which no package of packages.txt has"
      cp -L "$found" "$tree/lib/$name"
      add_libraries "$found"
    done
  }
  add_program() {
    install -m 755 "$1" "$tree/usr/bin/$(basename "$2")"
    add_libraries "$1"
  }
  add_program "$work/yanji" yanji
  add_program "$root/usr/sbin/smartctl" smartctl
  add_program "$root/usr/bin/qrencode" qrencode
  add_program "$(find "$root/sbin" "$root/usr/sbin" -name blkid | head -n 1)" blkid
  cp -L "$root/lib64/ld-linux-x86-64.so.2" "$tree/lib64/"
  [ -e "$tree/lib/libc.so.6" ] || fail "the C library is missing"
  # dlopen of a driver's libraries asks for these by name.
  for name in libdl.so.2 libpthread.so.0 librt.so.1 libm.so.6; do
    cp -L "$root/lib/x86_64-linux-gnu/$name" "$tree/lib/$name"
  done

  modules=$(sed 's/#.*//' "$here/modules.txt")
  for module in $modules; do
    # "builtin" lines need no file; a name that this kernel lacks altogether is an error of modules.txt.
    shown=$(modprobe -d "$root" -S "$kernel_version" --show-depends "$module" 2>/dev/null) || {
      echo "note: kernel $kernel_version has no module $module" >&2
      continue
    }
    while read -r kind path _; do
      [ "$kind" = insmod ] || continue
      target=$tree/lib/modules/${path#*/lib/modules/}
      target=${target%.xz}
      [ ! -e "$target" ] || continue
      mkdir -p "$(dirname "$target")"
      xz -dc "$path" >"$target"
    done <<<"$shown"
  done
  cp "$root/lib/modules/$kernel_version"/modules.{order,builtin,builtin.modinfo} "$tree/lib/modules/$kernel_version/"
  depmod -b "$tree" "$kernel_version"
  # Binary indexes only: busybox reads the text ones.
  rm -f "$tree/lib/modules/$kernel_version"/modules.*.bin
  # Loaded at the start because no device asks for them by name.
  echo i2c-dev msr cpuid ipmi_si ipmi_devintf efivarfs nvme ahci sd_mod sr_mod isofs usb-storage uas vfat exfat squashfs loop \
    nls_cp437 nls_iso8859-1 nls_ascii nls_utf8 9pnet_virtio 9p coretemp k10temp drivetemp | tr ' ' '\n' >"$tree/etc/yanji/modules.load"
  cp "$work/sbom.cdx.json" "$tree/etc/yanji/sbom.cdx.json"
  find "$tree" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
  (cd "$tree" && find . -mindepth 1 -printf '%P\n' | sort | cpio -o -H newc -R 0:0 --quiet --reproducible) >"$work/initrd.cpio"
  # Slow and small; ZSTD_CLEVEL=10 for trying. The number of threads does not change a byte.
  ZSTD_NBTHREADS=${ZSTD_NBTHREADS:-0} zstd -q "-${ZSTD_CLEVEL:-19}" "$work/initrd.cpio" -o "$work/initrd"
}
if [ -n "$initrd" ]; then cp "$initrd" "$work/initrd"; else make_initrd; fi

echo "== unified kernel image"
cmdline="console=ttyS0,115200 console=tty0 quiet panic=30"
if [ -n "$nvidia_pack" ]; then
  cmdline+=" yanji.nvidia=$(sha256sum "$nvidia_pack" | cut -d' ' -f1)"
fi
cmdline+="${extra_cmdline:+ $extra_cmdline}"
printf 'ID=yanji\nNAME="yanji"\nVERSION_ID=%s\nPRETTY_NAME="yanji %s"\n' "$version" "$version" >"$work/osrel"
printf '%s' "$cmdline" >"$work/cmdline"
printf '%s' "$kernel_version" >"$work/uname"
"$here/uki.py" --stub "$root/usr/lib/systemd/boot/efi/linuxx64.efi.stub" --out "$work/yanji.efi" \
  .osrel="$work/osrel" .cmdline="$work/cmdline" .uname="$work/uname" .linux="$kernel" .initrd="$work/initrd"

if [ -n "$sign_key" ]; then
  command -v sbsign >/dev/null || fail "install this first: apt-get install sbsigntool"
  [ -n "$sign_cert" ] || fail "--sign-key needs --sign-cert"
  sbsign --key "$sign_key" --cert "$sign_cert" --output "$work/signed.efi" "$work/yanji.efi"
  mv "$work/signed.efi" "$work/yanji.efi"
fi

echo "== image"
iso=$work/iso
mkdir -p "$iso/boot" "$iso/isolinux"
megabytes=$(($(stat -c %s "$work/yanji.efi") / 1048576 + 2))
# The boot catalogue of a CD counts 512 bytes in 16 bits (El Torito 1.0, figure 3), and firmware believes it on a stick too.
[ $megabytes -lt 32 ] || fail "$megabytes MB do not fit the 32 MB that firmware reads: pack a program without symbols (strip), compress more (ZSTD_CLEVEL)"
truncate -s "${megabytes}M" "$work/esp.img"
mkfs.vfat --invariant -i 59414e4a -n YANJI_EFI "$work/esp.img" >/dev/null
touch -d "@$SOURCE_DATE_EPOCH" "$work/yanji.efi"
mmd -i "$work/esp.img" ::/EFI ::/EFI/BOOT
mcopy -m -i "$work/esp.img" "$work/yanji.efi" ::/EFI/BOOT/BOOTX64.EFI
# mtools stamps folders with the time of day; the volume is made again from a clean listing.
"$here/fat_times.py" "$work/esp.img" "$SOURCE_DATE_EPOCH"
# Reports go here when the image lies on a stick: a second partition that every system can read.
truncate -s 4M "$work/reports.img"
mkfs.vfat --invariant -i 59414e4b -n YANJI "$work/reports.img" >/dev/null
cp "$kernel" "$iso/boot/vmlinuz"
cp "$work/initrd" "$iso/boot/initrd"
cp "$work/sbom.cdx.json" "$iso/sbom.cdx.json"
[ -z "$nvidia_pack" ] || cp "$nvidia_pack" "$iso/nvidia.squashfs"
for file in ${added[@]+"${added[@]}"}; do cp "$file" "$iso/"; done
cp "$root/usr/lib/ISOLINUX/isolinux.bin" "$root/usr/lib/syslinux/modules/bios/ldlinux.c32" "$iso/isolinux/"
cat >"$iso/isolinux/isolinux.cfg" <<CONFIG
SERIAL 0 115200
DEFAULT yanji
PROMPT 0
TIMEOUT 1
LABEL yanji
  KERNEL /boot/vmlinuz
  INITRD /boot/initrd
  APPEND $cmdline yanji.boot=bios
CONFIG
find "$iso" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
xorriso -as mkisofs -quiet -V YANJI_IMAGE -r -J \
  -isohybrid-mbr "$root/usr/lib/ISOLINUX/isohdpfx.bin" -c isolinux/boot.cat -b isolinux/isolinux.bin \
  -no-emul-boot -boot-load-size 4 -boot-info-table \
  -eltorito-alt-boot -e --interval:appended_partition_2:all:: -no-emul-boot \
  -append_partition 2 0xef "$work/esp.img" -append_partition 3 0x0c "$work/reports.img" \
  -o "$work/yanji.iso" "$iso" 2> >(grep -v '^xorriso : NOTE' >&2)

folder=$(dirname "$out")
mkdir -p "$folder"
"$here/image_json.py" --binary "$binary" --uki "$work/yanji.efi" --iso "$work/yanji.iso" --sbom "$work/sbom.cdx.json" \
  --kernel "$kernel_version" --version "$version" --cmdline "$cmdline" >"$work/image.json"
for file in yanji.efi image.json sbom.cdx.json initrd; do cp "$work/$file" "$folder/$file"; done
cp "$kernel" "$folder/vmlinuz"
cp "$work/yanji.iso" "$out.part" && mv "$out.part" "$out"
echo "$out: $(stat -c %s "$out") bytes, SHA-256 $(sha256sum "$out" | cut -d' ' -f1)"
echo "write it to a stick:  dd if=$out of=/dev/sdX bs=4M conv=fsync"
