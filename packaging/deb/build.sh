#!/usr/bin/env bash
# deb/build.sh BINARY OUT: a Debian package. The same binary gives the same bytes (dpkg-deb follows SOURCE_DATE_EPOCH).
set -euo pipefail
umask 022
here=$(cd "$(dirname "$0")/.." && pwd)
binary=$1 out=$(mkdir -p "$2" && cd "$2" && pwd)
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$here" log -1 --format=%ct)} LC_ALL=C TZ=UTC
version=$("$binary" --version | cut -d' ' -f2)
glibc=$("$here/glibc.sh" "$binary")
maintainer="yanji <yanji@yanji.example>"
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
chmod 755 "$tree"
"$here/stage.sh" "$binary" "$tree"
doc=$tree/usr/share/doc/yanji
# Debian policy 12.5: one file, and what lies in /usr/share/common-licenses is not repeated.
{
  cat <<COPYRIGHT
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: yanji

Files: *
Copyright: 2026 The yanji authors
License: Expat or Apache-2.0

License: Apache-2.0
 The text is in /usr/share/common-licenses/Apache-2.0.

License: Expat
COPYRIGHT
  sed -n '/^Permission/,$p' "$doc/LICENSE-MIT" | sed 's/^$/./; s/^/ /'
} >"$doc/copyright"
rm "$doc/LICENSE-MIT" "$doc/LICENSE-APACHE"
gzip -9nc >"$doc/changelog.gz" <<CHANGELOG
yanji ($version) stable; urgency=medium

  * Version $version.

 -- $maintainer  $(date -u -R -d "@$SOURCE_DATE_EPOCH")
CHANGELOG
install -d "$tree/DEBIAN"
cat >"$tree/DEBIAN/control" <<CONTROL
Package: yanji
Version: $version
Architecture: amd64
Maintainer: $maintainer
Section: admin
Priority: optional
Depends: libc6 (>= $glibc), libgcc-s1 | libgcc1
Recommends: smartmontools (>= 7.3), ipmitool
Installed-Size: $(du -sk --apparent-size --exclude=DEBIAN "$tree" | cut -f1)
Description: tells whether the hardware in a server is what it was sold as
 yanji inspects a machine on receipt, burns it in, and signs what it saw, so
 that somebody else can check it.
CONTROL
(cd "$tree" && find usr -type f -print0 | sort -z | xargs -0 md5sum) >"$tree/DEBIAN/md5sums"
find "$tree" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
dpkg-deb --root-owner-group -Zxz --build "$tree" "$out/yanji_${version}_amd64.deb" >/dev/null
ls "$out/yanji_${version}_amd64.deb"
