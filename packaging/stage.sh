#!/usr/bin/env bash
# stage.sh BINARY FOLDER: lays out what every package holds: program, manual pages, completions, units, licence. Times are those of
# SOURCE_DATE_EPOCH (the commit's without it), so that the same binary gives the same package.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
binary=$1 folder=$2
[ -x "$binary" ] || { echo "stage.sh: $binary is not a program: cargo build --release" >&2; exit 1; }
install -Dm 755 "$binary" "$folder/usr/bin/yanji"
strip --strip-unneeded "$folder/usr/bin/yanji"
for page in "$here"/man/*.1; do
  install -d "$folder/usr/share/man/man1"
  gzip -9nc "$page" >"$folder/usr/share/man/man1/$(basename "$page").gz"
done
install -Dm 644 "$here/completions/yanji.bash" "$folder/usr/share/bash-completion/completions/yanji"
install -Dm 644 "$here/completions/_yanji" "$folder/usr/share/zsh/vendor-completions/_yanji"
install -Dm 644 "$here/completions/yanji.fish" "$folder/usr/share/fish/vendor_completions.d/yanji.fish"
for unit in "$here"/systemd/*; do install -Dm 644 "$unit" "$folder/usr/lib/systemd/system/$(basename "$unit")"; done
install -Dm 644 "$here/../README.md" "$folder/usr/share/doc/yanji/README.md"
for policy in "$here"/schema/*.json; do install -Dm 644 "$policy" "$folder/usr/share/yanji/schema/$(basename "$policy")"; done
find "$folder" -exec touch -h -d "@${SOURCE_DATE_EPOCH:-$(git -C "$here" log -1 --format=%ct)}" {} +
