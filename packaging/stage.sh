#!/usr/bin/env bash
# stage.sh BINARY FOLDER: lays out what every package holds: program, manual pages, completions, units, schemas, licences. Times are those
# of SOURCE_DATE_EPOCH (the commit's without it), so that the same binary gives the same package.
set -euo pipefail
umask 022
here=$(cd "$(dirname "$0")" && pwd)
binary=$1 folder=$2
[ -x "$binary" ] || { echo "stage.sh: $binary is not a program: packaging/portable.sh, or cargo build --release" >&2; exit 1; }
install -Dm 755 "$binary" "$folder/usr/bin/yanji"
strip --strip-unneeded --remove-section=.comment "$folder/usr/bin/yanji"
install -d "$folder/usr/share/man/man1"
for page in "$here"/man/*.1; do gzip -9nc "$page" >"$folder/usr/share/man/man1/$(basename "$page").gz"; done
install -Dm 644 "$here/completions/yanji.bash" "$folder/usr/share/bash-completion/completions/yanji"
install -Dm 644 "$here/completions/_yanji" "$folder/usr/share/zsh/vendor-completions/_yanji"
install -Dm 644 "$here/completions/yanji.fish" "$folder/usr/share/fish/vendor_completions.d/yanji.fish"
for unit in "$here"/systemd/*; do install -Dm 644 "$unit" "$folder/usr/lib/systemd/system/$(basename "$unit")"; done
for text in README.md LICENSE-MIT LICENSE-APACHE; do install -Dm 644 "$here/../$text" "$folder/usr/share/doc/yanji/$text"; done
for schema in "$here"/schema/*.json; do install -Dm 644 "$schema" "$folder/usr/share/yanji/schema/$(basename "$schema")"; done
find "$folder" -exec touch -h -d "@${SOURCE_DATE_EPOCH:-$(git -C "$here" log -1 --format=%ct)}" {} +
