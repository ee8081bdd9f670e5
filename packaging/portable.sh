#!/usr/bin/env bash
# portable.sh [OUT]: builds the program for every x86-64 Linux with glibc 2.17 (2012) or newer, by cargo-zigbuild, and copies it to OUT
# (target/portable/yanji). It can open the NVIDIA driver's libraries, which a static one could not. Needs python3 with venv; zig and
# cargo-zigbuild come from PyPI, in versions that are pinned here.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
project=$(cd "$here/.." && pwd)
out=${1:-$project/target/portable/yanji}
glibc=2.17
tools="cargo-zigbuild==0.24.0 ziglang==0.17.1"
venv=${XDG_CACHE_HOME:-$HOME/.cache}/yanji-zigbuild
if [ "$(cat "$venv/tools" 2>/dev/null)" != "$tools" ]; then
  rm -rf "$venv"
  python3 -m venv "$venv"
  # shellcheck disable=SC2086 # two words
  "$venv/bin/pip" install -q --disable-pip-version-check $tools
  echo "$tools" >"$venv/tools"
fi
export PATH=$venv/bin:$PATH
# No path of this machine in the program, and the same bytes from another folder.
cargo_home=${CARGO_HOME:-$HOME/.cargo}
export RUSTFLAGS="--remap-path-prefix=$project=. --remap-path-prefix=$cargo_home=cargo"
cd "$project"
cargo zigbuild --release --locked --target "x86_64-unknown-linux-gnu.$glibc"
mkdir -p "$(dirname "$out")"
cp "${CARGO_TARGET_DIR:-target}/x86_64-unknown-linux-gnu/release/yanji" "$out"
echo "$out: $(stat -c %s "$out") bytes, needs glibc $("$here/glibc.sh" "$out" "$glibc")"
