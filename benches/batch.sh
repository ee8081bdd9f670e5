#!/usr/bin/env bash
# Batch verification of real reports by the built binary: each of a recorded machine of its own, evidence re-evaluated.
# usage: benches/batch.sh [REPORTS]   (default 1000; YANJI names the binary, else target/release/yanji)
# Every report is the capture of this machine, certified anew. Prints reports/s on one and on all cores, and the peak RSS.
set -euo pipefail
cd "$(dirname "$0")/.."
yanji=$(realpath "${YANJI:-target/release/yanji}")
reports=${1:-1000}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export XDG_DATA_HOME="$work/data" XDG_CONFIG_HOME="$work/config"
"$yanji" key gen --out key.pem --no-passphrase >/dev/null
"$yanji" capture -o host.tar.zst >/dev/null
mkdir reports
# Signing takes no longer than verifying does.
seq -w "$reports" | xargs -P "$(nproc)" -I{} sh -c \
  '"$0" certify --host host.tar.zst --key key.pem --out "reports/$1" >/dev/null 2>&1 || [ -f "reports/$1/report.dsse.json" ]' "$yanji" {}
for jobs in 1 "$(nproc)"; do
  python3 - "$yanji" "$jobs" "$reports" <<'PY'
import resource, subprocess, sys, time
yanji, jobs, reports = sys.argv[1], sys.argv[2], int(sys.argv[3])
started = time.monotonic()
ran = subprocess.run([yanji, "verify", "reports", "--key", "key.pem.pub", "--jobs", jobs], capture_output=True, text=True)
seconds = time.monotonic() - started
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(f"{jobs} threads: {reports / seconds:.0f} reports/s, {1000 * seconds / reports:.2f} ms a report, peak RSS {peak} KiB")
print("  " + ran.stdout.splitlines()[-1])
PY
done
