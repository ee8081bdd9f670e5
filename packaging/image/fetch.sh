#!/usr/bin/env bash
# fetch.sh FOLDER: downloads the packages of packages.txt into FOLDER and unpacks them into FOLDER/root, without root and
# without touching the system's own package lists. Writes FOLDER/packages.tsv: name, version, architecture, SHA-256, file, and name and
# version of the source package.
#
# PACKAGES names others, separated by blanks; RELEASE another release than Debian 12 and COMPONENTS other parts of it than main. The
# mirror is the one that this machine uses for Debian 12; DEBIAN_MIRROR names another.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=$(mkdir -p "$1" && cd "$1" && pwd)
release=${RELEASE:-bookworm}
keyring=${DEBIAN_KEYRING:-/usr/share/keyrings/debian-archive-keyring.gpg}

fail() { echo "fetch.sh: $*" >&2; exit 1; }
command -v apt-get >/dev/null || fail "needs apt-get (a Debian or Ubuntu machine); or give a folder made elsewhere"
[ -r "$keyring" ] || fail "$keyring is missing: install debian-archive-keyring, or name another with DEBIAN_KEYRING"

# The lists are asked again on request only, so the same wish has the same answer.
wish="$release ${COMPONENTS:-main} ${PACKAGES:-$(cat "$here/packages.txt")}"
if [ "${REFRESH:-no}" != yes ] && [ -e "$folder/unpacked" ] && [ "$(cat "$folder/wish" 2>/dev/null)" = "$wish" ]; then exit 0; fi

mirror=${DEBIAN_MIRROR:-}
if [ -z "$mirror" ]; then
  mirror=$(apt-get indextargets --format '$(ORIGIN) $(CODENAME) $(REPO_URI)' 'Created-By: Packages' |
    awk -v release=bookworm '$1 == "Debian" && $2 == release { print $3; exit }')
  [ -n "$mirror" ] || fail "this machine has no Debian 12 sources: give a mirror with DEBIAN_MIRROR=URL"
fi

apt_folder=$folder/apt
mkdir -p "$apt_folder"/{state/lists/partial,cache/archives/partial,etc} "$folder/debs"
: >"$apt_folder/status"
for suite in "$release" "$release-updates" "$release-backports"; do
  echo "deb [signed-by=$keyring] $mirror $suite ${COMPONENTS:-main}"
done >"$apt_folder/sources.list"
apt_options=(
  -o "Dir::Etc::sourcelist=$apt_folder/sources.list" -o Dir::Etc::sourceparts=/dev/null -o Dir::Etc::parts=/dev/null
  -o "Dir::Etc::preferencesparts=/dev/null" -o "Dir::State=$apt_folder/state" -o "Dir::State::status=$apt_folder/status"
  -o "Dir::Cache=$apt_folder/cache" -o APT::Architecture=amd64 -o APT::Architectures=amd64 -o APT::Sandbox::User=root
  -o Acquire::Languages=none -qq
)
# Yesterday's lists name the same packages: a build that is repeated must not differ for what appeared meanwhile.
if [ "${REFRESH:-no}" = yes ] || [ ! -e "$apt_folder/updated" ]; then
  apt-get "${apt_options[@]}" update && touch "$apt_folder/updated"
fi

wanted=()
while read -r line; do
  case "$line" in '' | '#'*) continue ;; esac
  name=${line%%/*}
  suite=""
  [ "$name" = "$line" ] || suite=${line#*/}
  if [ "$name" = linux-image-amd64 ]; then
    kernel=$(apt-cache "${apt_options[@]}" -o "APT::Default-Release=$suite" show --no-all-versions "$name" |
      sed -n 's/^Depends: \(linux-image-[^ ,]*\).*/\1/p')
    [ -n "$kernel" ] || fail "no kernel in $suite"
    wanted+=("$kernel")
  else
    wanted+=("$name${suite:+/$suite}")
  fi
done < <(if [ -n "${PACKAGES:-}" ]; then echo "$PACKAGES" | tr ' ' '\n'; else cat "$here/packages.txt"; fi)

# 'URI' file size SHA256:digest. Asked for in an empty folder, since what lies there already is left out.
mkdir -p "$folder/empty"
(cd "$folder/empty" && apt-get "${apt_options[@]}" download --print-uris "${wanted[@]}") >"$folder/uris" ||
  fail "a package is not to be had"
cd "$folder/debs"
sed -n "s/^'[^']*' \\([^ ]*\\) [0-9]* SHA256:\\([0-9a-f]\\{64\\}\\)$/\\2  \\1/p" "$folder/uris" >"$folder/sums"
[ "$(wc -l <"$folder/sums")" = "${#wanted[@]}" ] || fail "${#wanted[@]} packages are wanted, and there are these: $(cat "$folder/sums")"
if ! sha256sum --check --status "$folder/sums" 2>/dev/null; then
  apt-get "${apt_options[@]}" download "${wanted[@]}"
  sha256sum --check --quiet "$folder/sums" || fail "a package is not what the signed list says"
fi

# What is unpacked already is not unpacked again.
if cmp -s "$folder/sums" "$folder/unpacked"; then
  echo "$wish" >"$folder/wish"
  exit 0
fi
rm -rf "$folder/root" "$folder/unpacked"
mkdir -p "$folder/root"
while read -r digest file; do
  dpkg -x "$file" "$folder/root"
  dpkg-deb -W --showformat '${Package}\t${Version}\t${Architecture}' "$file"
  printf '\t%s\t%s\t' "$digest" "$file"
  dpkg-deb -W --showformat '${source:Package}\t${source:Version}\n' "$file"
done <"$folder/sums" >"$folder/packages.tsv.new"
kernel=$(cd "$folder/root/boot" 2>/dev/null && echo vmlinuz-* | sed s/vmlinuz-//) || kernel=
[ -z "$kernel" ] || PATH=$PATH:/sbin:/usr/sbin depmod -b "$folder/root" "$kernel"
mv "$folder/packages.tsv.new" "$folder/packages.tsv"
cp "$folder/sums" "$folder/unpacked"
echo "$wish" >"$folder/wish"
