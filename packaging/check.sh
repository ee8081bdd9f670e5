#!/usr/bin/env bash
# check.sh BINARY [SBOM]: packages, units and recipes, each by its own linter or by a dry run. Packages are built twice, by another umask
# and time zone, and compared. What is not installed is skipped, and said to be. Python's linters come into a virtual environment in the
# user's cache folder.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 1 ] || { echo "usage: check.sh BINARY [SBOM]" >&2; exit 2; }
binary=$(realpath "$1") sbom=${2:-}
fleet=$here/fleet
export PATH=$PATH:/sbin:/usr/sbin LC_ALL=C.UTF-8 SOURCE_DATE_EPOCH=1700000000
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0 skipped=0

row() { printf '%-34s %-9s %4s s  %s\n' "$1" "$2" "$3" "$4"; }
# check NAME TOOL HINT FUNCTION: the last line that the function prints is its result.
check() {
  local name=$1 tool=$2 hint=$3 started=$SECONDS code=0
  shift 3
  if ! command -v "$tool" >/dev/null; then
    row "$name" skipped 0 "no $tool ($hint)"
    skipped=$((skipped + 1))
    return
  fi
  # Not behind a "||", where nothing that fails inside would end it.
  set +e
  (set -e; "$@") >"$work/said" 2>&1
  code=$?
  set -e
  if [ $code = 0 ]; then
    row "$name" passed $((SECONDS - started)) "$(tail -n 1 "$work/said")"
  else
    row "$name" FAILED $((SECONDS - started)) "exit code $code:"
    sed 's/^/    /' "$work/said"
    failed=$((failed + 1))
  fi
}

venv=${XDG_CACHE_HOME:-$HOME/.cache}/yanji-packaging-venv
if ! cmp -s "$here/requirements.txt" "$venv/requirements.txt"; then
  rm -rf "$venv"
  if python3 -m venv "$venv" && "$venv/bin/pip" install -q --disable-pip-version-check -r "$here/requirements.txt"; then
    cp "$here/requirements.txt" "$venv/"
  else
    echo "check.sh: Python's linters could not be installed" >&2
  fi
fi
export PATH=$PATH:$venv/bin

scripts() {
  local files
  mapfile -t files < <(grep -lE '^#!.*(ba)?sh$' -r "$here" --include='*.sh' --include=yanji-inspect)
  shellcheck -S warning "${files[@]}"
  echo "${#files[@]} scripts"
}
twice() { # KIND
  mkdir -p "$work/first" "$work/second"
  local said
  (umask 022; TZ=UTC "$here/$1" "$binary" "$work/first") >/dev/null &
  said=$(umask 077; TZ=Asia/Shanghai "$here/$1" "$binary" "$work/second" | tail -n 1)
  wait $!
  cmp "$work/first/$(basename "$said")" "$said"
  echo "the same twice: $(basename "$said"), $(stat -c %s "$said") bytes"
}
# What a package has to hold, below the folder given.
holds() {
  local file
  for file in usr/bin/yanji usr/share/man/man1/yanji.1.gz usr/share/man/man1/yanji-verify.1.gz \
    usr/share/bash-completion/completions/yanji usr/share/fish/vendor_completions.d/yanji.fish \
    usr/lib/systemd/system/yanji-inspect.service usr/lib/systemd/system/yanji-inspect.timer usr/share/yanji/schema/report.json "${@:2}"; do
    [ -s "$1/$file" ] || { echo "$file is missing"; return 1; }
  done
}
deb_lint() {
  lintian --no-cfg --allow-root --fail-on error,warning "$work"/first/*.deb
  echo "no errors, no warnings"
}
# Installed by dpkg itself into a system that has nothing else, without root.
deb_install() {
  local root=$work/root as=()
  mkdir -p "$root/var/lib/dpkg"/{info,updates,triggers} "$root/var/lib/dpkg/alternatives" "$root/var/log"
  : >"$root/var/lib/dpkg/status"
  [ "$(id -u)" = 0 ] || as=(unshare --map-root-user)
  "${as[@]}" dpkg --root="$root" --log=/dev/null --force-depends --force-not-root -i "$work"/first/*.deb
  holds "$root" usr/share/zsh/vendor-completions/_yanji usr/share/doc/yanji/copyright usr/share/doc/yanji/changelog.gz
  "$root/usr/bin/yanji" --version >/dev/null
  (cd "$root" && md5sum --quiet -c var/lib/dpkg/info/yanji.md5sums)
  "${as[@]}" dpkg --root="$root" --log=/dev/null --force-not-root -r yanji
  [ ! -e "$root/usr/bin/yanji" ]
  echo "installed, complete, removed"
}
rpm_lint() {
  rpmlint -c "$here/rpm/rpmlint.toml" "$work"/first/*.rpm
}
rpm_install() {
  mkdir -p "$work/rpmroot"
  (cd "$work/rpmroot" && rpm2cpio "$work"/first/*.rpm | cpio -id --quiet)
  holds "$work/rpmroot" usr/share/zsh/site-functions/_yanji usr/share/licenses/yanji/LICENSE-MIT
  rpm -qp --requires "$work"/first/*.rpm
  echo "complete: $(rpm -qpl "$work"/first/*.rpm | wc -l) files"
}
tarball_complete() {
  mkdir -p "$work/tarroot"
  tar -C "$work/tarroot" --strip-components=1 -xf "$work"/first/*.tar.xz
  holds "$work/tarroot" usr/share/doc/yanji/LICENSE-APACHE
  [ -z "$(tar --numeric-owner -tvf "$work"/first/*.tar.xz | grep -v ' 0/0 ')" ]
  echo "complete: $(tar -tf "$work"/first/*.tar.xz | grep -vc '/$') files"
}
# The units' program has to exist where they look for it; here it is the unpacked tarball's.
units() {
  mkdir -p "$work/units"
  for unit in "$here"/systemd/*; do sed "s#/usr/bin/yanji#$work/tarroot/usr/bin/yanji#" "$unit" >"$work/units/$(basename "$unit")"; done
  SYSTEMD_UNIT_PATH=$work/units: systemd-analyze verify --man=no "$work"/units/yanji-inspect.{service,timer}
  systemd-analyze --iterations=1 calendar "$(sed -n 's/^OnCalendar=//p' "$work/units/yanji-inspect.timer")" >/dev/null
  systemd-analyze security --offline=true "$work/units/yanji-inspect.service" 2>/dev/null | tail -n 1 | sed 's/^[^O]*//' ||
    echo "verified"
}
# The service's own command line, in a folder of its own.
unit_runs() {
  local command code=0
  command=$(sed -n "s#^ExecStart=/bin/sh -c '\(.*\)'#\1#p" "$here/systemd/yanji-inspect.service" | sed "s#/usr/bin/yanji#$binary#")
  mkdir -p "$work/state"
  STATE_DIRECTORY=$work/state sh -c "$command" || code=$?
  [ $code = 0 ] || [ $code = 3 ] || [ $code = 1 ]
  python3 -c 'import json, sys; print("wrote a result:", json.load(open(sys.argv[1]))["judgement"]["verdict"])' "$work/state/inspection.json"
}
slurm() {
  mkdir -p "$work/slurm"
  ln -sf "$binary" "$work/slurm/yanji"
  # shellcheck disable=SC2016 # the script's own variable
  printf '#!/bin/sh\nprintf "%%s\\n" "$@" >"%s/asked"\n' "$work/slurm" >"$work/slurm/scontrol"
  chmod 755 "$work/slurm/scontrol"
  local started=$SECONDS took code=0
  PATH=$work/slurm:$PATH SLURMD_NODENAME=node1 sh "$fleet/slurm/prolog.sh" || code=$?
  took=$((SECONDS - started))
  [ $took -lt 50 ] || { echo "took $took s"; return 1; }
  # A rejected node is drained, and it is said why.
  ln -sf "$rejecting" "$work/slurm/yanji"
  code=0
  PATH=$work/slurm:$PATH SLURMD_NODENAME=node1 sh "$fleet/slurm/prolog.sh" || code=$?
  [ $code = 1 ] || { echo "a rejected node gave exit code $code"; return 1; }
  cat "$work/slurm/asked"
  grep -qx nodename=node1 "$work/slurm/asked"
  grep -qx state=drain "$work/slurm/asked"
  grep -q '^reason=yanji: .* on ' "$work/slurm/asked"
  # One that never answers.
  rm "$work/slurm/yanji"
  printf '#!/bin/sh\ntrap "" TERM\nsleep 60\n' >"$work/slurm/yanji"
  chmod 755 "$work/slurm/yanji"
  code=0
  PATH=$work/slurm:$PATH YANJI_LIMIT_SECONDS=1 timeout 20 sh "$fleet/slurm/prolog.sh" || code=$?
  [ $code = 0 ] || { echo "a tool that hangs gave exit code $code"; return 1; }
  echo "$took s; rejected: $(grep ^reason "$work/slurm/asked" | cut -c1-70)"
}
maas() {
  "$venv/bin/python" - "$fleet/maas/yanji-inspect" <<'PYTHON'
import re, sys, yaml
text = open(sys.argv[1]).read()
# MAAS, "Commissioning and testing scripts", metadata fields.
found = re.search(r"^\s*#\s*-+\s*Start MAAS (\d+\.\d+) script metadata\s*-+\n(.*?)^\s*#\s*-+\s*End MAAS \1 script metadata\s*-+", text, re.M | re.S)
header = yaml.safe_load("\n".join(line.removeprefix("#").removeprefix(" ") for line in found[2].splitlines()))
known = {"name", "title", "description", "tags", "script_type", "hardware_type", "parallel", "parameters", "results", "packages",
         "timeout", "destructive", "recommission", "may_reboot", "comment", "for_hardware", "apply_configured_networking"}
assert found[1] == "1.0" and set(header) <= known, set(header) - known
assert header["script_type"] in ("testing", "commissioning", "release")
assert header["hardware_type"] in ("node", "cpu", "memory", "storage", "network", "gpu")
assert header["parallel"] in ("disabled", "instance", "any")
assert all(set(result) <= {"title", "description"} for result in header["results"].values())
# YAML 1.1 reads 00:10:00 as 600 seconds.
assert header["timeout"] in (600, "00:10:00"), header["timeout"]
PYTHON
  mkdir -p "$work/maas"
  ln -sf "$binary" "$work/maas/yanji"
  printf '#!/bin/sh\n[ "$1" != -n ] || shift\nexec "$@"\n' >"$work/maas/sudo"
  chmod 755 "$work/maas/sudo"
  local code=0
  PATH=$work/maas:$PATH RESULT_PATH=$work/maas/result bash "$fleet/maas/yanji-inspect" >"$work/maas/out" || code=$?
  case "$code $(grep '^status' "$work/maas/result")" in
    "0 status: passed" | "0 status: degraded" | "1 status: failed") ;;
    *) cat "$work/maas/result"; return 1 ;;
  esac
  echo "$(tr -s '\n ' ' ' <"$work/maas/result")"
}
ansible_lint() {
  cd "$fleet/ansible"
  ansible-lint --offline -q --nocolor inspect.yml
  ansible-playbook -i localhost, inspect.yml --syntax-check
  echo "no findings; syntax is right"
}
ansible_run() {
  cd "$fleet/ansible"
  export ANSIBLE_NOCOLOR=1 ANSIBLE_LOCALHOST_WARNING=False ANSIBLE_HOME=$work/ansible
  local run=(ansible-playbook -i "localhost," -c local inspect.yml -e "ansible_python_interpreter=$venv/bin/python yanji_become=false"
    -e "yanji_binary=$binary yanji_path=$work/ansible-yanji yanji_results=$work/ansible-results")
  cp "$binary" "$work/ansible-yanji"
  "${run[@]}" --check
  "${run[@]}" -e '{"yanji_failing_exit_codes": []}'
  [ -s "$work/ansible-results/localhost.json" ]
  # A rejected machine fails, and its result is kept.
  rm "$work/ansible-results/localhost.json"
  if "${run[@]}" -e "yanji_binary=$rejecting" -e '{"yanji_options": ["--claim", "8x H100 SXM 80GB"]}'; then echo "a rejected machine passed"; return 1; fi
  grep -q '"verdict": *"rejected"' "$work/ansible-results/localhost.json"
  echo "dry run, run, and a rejected machine"
}
kubernetes() {
  sed s/NODE/node1/ "$fleet/kubernetes/job.yaml" >"$work/job.yaml"
  kubernetes-validate --strict -k 1.31 "$work/job.yaml"
}
bill() {
  "$venv/bin/python" - "$sbom" <<'PYTHON'
import json, sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
text = open(sys.argv[1]).read()
error = JsonStrictValidator(SchemaVersion.V1_5).validate_str(text)
assert error is None, error
components = json.loads(text)["components"]
bare = [it["name"] for it in components if not it.get("hashes") or not it.get("version")]
assert not bare, bare
print(f"{len(components)} components with version and digest, {sum('licenses' in it for it in components)} with a licence")
PYTHON
}

# A tool that says "rejected" in the words of the real one.
rejecting=$work/rejecting
printf '#!/bin/sh\n"%s" "$@" | sed s/undecided/rejected/\nexit 1\n' "$binary" >"$rejecting"
chmod 755 "$rejecting"

printf '%-34s %-9s %6s  %s\n' check result took says
check "shell scripts" shellcheck "apt-get install shellcheck" scripts
check "deb, twice" dpkg-deb "apt-get install dpkg" twice deb/build.sh
check "deb, lintian" lintian "apt-get install lintian" deb_lint
check "deb, installed" dpkg "apt-get install dpkg" deb_install
check "rpm, twice" rpmbuild "apt-get install rpm" twice rpm/build.sh
if command -v rpmbuild >/dev/null; then
  check "rpm, rpmlint" rpmlint "apt-get install rpmlint" rpm_lint
  check "rpm, unpacked" rpm2cpio "apt-get install rpm2cpio" rpm_install
fi
check "tarball, twice" tar "apt-get install tar" twice tarball.sh
check "tarball, unpacked" tar "apt-get install tar" tarball_complete
check "systemd units" systemd-analyze "apt-get install systemd" units
check "systemd unit, its command" sh "" unit_runs
check "Slurm prolog" sh "" slurm
check "MAAS script" "$venv/bin/python" "pip install -r packaging/requirements.txt" maas
check "Ansible role, ansible-lint" ansible-lint "pip install -r packaging/requirements.txt" ansible_lint
check "Ansible role, runs" ansible-playbook "pip install -r packaging/requirements.txt" ansible_run
check "Kubernetes job" kubernetes-validate "pip install -r packaging/requirements.txt" kubernetes
if [ -n "$sbom" ]; then check "SBOM, CycloneDX 1.5" "$venv/bin/python" "pip install -r packaging/requirements.txt" bill; fi
echo "$failed failed, $skipped skipped, $SECONDS s"
[ $failed = 0 ]
