#!/usr/bin/env bash
# rpm/build.sh BINARY OUT: an RPM package; apt-get install rpm on Debian.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
command -v rpmbuild >/dev/null || { echo "rpm/build.sh: install this first: apt-get install rpm" >&2; exit 1; }
binary=$1 out=$(mkdir -p "$2" && cd "$2" && pwd)
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$here" log -1 --format=%ct)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$here/stage.sh" "$binary" "$work/tree"
glibc=$(objdump -T "$binary" | sed -n 's/.*GLIBC_\([0-9.]*\).*/\1/p' | sort -uV | tail -n 1)
rpmbuild -bb --quiet --target x86_64-linux \
  --define "_topdir $work/rpm" --define "_rpmdir $out" --define "_rpmfilename %%{NAME}-%%{VERSION}.%%{ARCH}.rpm" \
  --define "_buildhost reproducible" --define "use_source_date_epoch_as_buildtime 1" \
  --define "clamp_mtime_to_source_date_epoch 1" \
  --define "yanji_version $("$binary" --version | cut -d' ' -f2)" --define "yanji_glibc $glibc" \
  --define "yanji_tree $work/tree" "$here/rpm/yanji.spec"
ls "$out"/*.rpm
