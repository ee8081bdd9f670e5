#!/usr/bin/env bash
# rpm/build.sh BINARY OUT: an RPM package; apt-get install rpm on Debian. The same binary gives the same bytes.
set -euo pipefail
umask 022
here=$(cd "$(dirname "$0")/.." && pwd)
command -v rpmbuild >/dev/null || { echo "rpm/build.sh: install this first: apt-get install rpm" >&2; exit 1; }
binary=$1 out=$(mkdir -p "$2" && cd "$2" && pwd)
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$here" log -1 --format=%ct)} LC_ALL=C TZ=UTC
version=$("$binary" --version | cut -d' ' -f2)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$here/stage.sh" "$binary" "$work/tree"
# Where these systems look for it.
share=$work/tree/usr/share
mkdir -p "$share/zsh/site-functions" "$share/licenses/yanji"
mv "$share/zsh/vendor-completions/_yanji" "$share/zsh/site-functions/_yanji"
rmdir "$share/zsh/vendor-completions"
mv "$share"/doc/yanji/LICENSE-* "$share/licenses/yanji/"
sed "s/@date@/$(date -u -d "@$SOURCE_DATE_EPOCH" '+%a %b %d %Y')/" "$here/rpm/yanji.spec" >"$work/yanji.spec"
rpmbuild -bb --quiet --target x86_64-linux \
  --define "_topdir $work/rpm" --define "_rpmdir $out" --define "_rpmfilename %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm" \
  --define "_buildhost reproducible" --define "use_source_date_epoch_as_buildtime 1" \
  --define "clamp_mtime_to_source_date_epoch 1" --define "_binary_payload w9.xzdio" \
  --define "yanji_version $version" --define "yanji_glibc $("$here/glibc.sh" "$binary")" \
  --define "yanji_tree $work/tree" "$work/yanji.spec" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
ls "$out/yanji-$version-1.x86_64.rpm"
