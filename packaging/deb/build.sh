#!/usr/bin/env bash
# deb/build.sh BINARY OUT: a Debian package. The same binary gives the same bytes (dpkg-deb follows SOURCE_DATE_EPOCH).
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
binary=$1 out=$(mkdir -p "$2" && cd "$2" && pwd)
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$here" log -1 --format=%ct)}
version=$("$binary" --version | cut -d' ' -f2)
# The oldest C library that has every symbol which the program asks for.
glibc=$(objdump -T "$binary" | sed -n 's/.*GLIBC_\([0-9.]*\).*/\1/p' | sort -uV | tail -n 1)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
chmod 755 "$tree"
"$here/stage.sh" "$binary" "$tree"
install -d "$tree/DEBIAN"
cat >"$tree/DEBIAN/control" <<CONTROL
Package: yanji
Version: $version
Architecture: amd64
Maintainer: yanji <yanji@yanji.example>
Section: admin
Priority: optional
Depends: libc6 (>= $glibc), libgcc-s1
Recommends: smartmontools (>= 7.3), ipmitool
Installed-Size: $(du -sk --exclude=DEBIAN "$tree" | cut -f1)
Description: tells whether the hardware in a server is what it was sold as
 yanji inspects a machine on receipt, burns it in, and signs what it saw, so
 that somebody else can check it.
CONTROL
(cd "$tree" && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum) >"$tree/DEBIAN/md5sums"
find "$tree" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
dpkg-deb --root-owner-group -Zxz --build "$tree" "$out/yanji_${version}_amd64.deb"
