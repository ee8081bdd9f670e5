#!/usr/bin/env bash
# Reports of a yanji binary, checked by programs that others wrote. Each must accept the good one and refuse a changed one.
# usage: tests/outside/run.sh YANJI_BINARY
# Keeps what it installs (pinned versions) in the user's cache folder. Needs openssl, python3 with venv, node and npm.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
yanji=$(realpath "$(command -v "${1:?usage: $0 YANJI_BINARY}")")
cache="${XDG_CACHE_HOME:-$HOME/.cache}/yanji-outside"
mkdir -p "$cache"

# Python: securesystemslib, in-toto-attestation.
venv="$cache/venv"
if ! cmp -s "$here/requirements.txt" "$venv/requirements.txt"; then
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/pip" install -q --disable-pip-version-check -r "$here/requirements.txt"
  cp "$here/requirements.txt" "$venv/"
fi
# Node: @sigstore/verify.
node="$cache/node"
if ! cmp -s "$here/package-lock.json" "$node/package-lock.json" || [ ! -d "$node/node_modules" ]; then
  rm -rf "$node"
  mkdir -p "$node"
  cp "$here/package.json" "$here/package-lock.json" "$node/"
  npm --prefix "$node" ci --silent --no-audit --no-fund
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export XDG_DATA_HOME="$work/data" XDG_CONFIG_HOME="$work/config"

# A time-stamping authority by openssl.
cat > ca.cnf <<'CNF'
[req]
distinguished_name = name
[name]
[root]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
subjectKeyIdentifier = hash
[tsa]
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[ts]
default_tsa = authority
[authority]
serial = serial
crypto_device = builtin
signer_cert = tsa.pem
signer_key = tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
ess_cert_id_alg = sha256
CNF
authority() { # FOLDER
  mkdir -p "$1"
  (
    cd "$1"
    cp ../ca.cnf .
    openssl ecparam -name prime256v1 -genkey -noout -out root.key
    openssl ecparam -name prime256v1 -genkey -noout -out tsa.key
    openssl req -x509 -new -key root.key -subj /CN=root -days 3650 -config ca.cnf -extensions root -out root.pem
    openssl req -new -key tsa.key -subj /CN=authority -config ca.cnf -out tsa.csr
    openssl x509 -req -in tsa.csr -CA root.pem -CAkey root.key -CAcreateserial -days 3650 -extfile ca.cnf \
      -extensions tsa -out tsa.pem
    echo 01 > serial
  ) >/dev/null 2>&1
}
authority tsa
authority stranger

# A report, good and in each way bad.
"$yanji" key gen --out seller.pem --no-passphrase >/dev/null
"$yanji" capture -o host.tar.zst >/dev/null
certified=0
"$yanji" certify --host host.tar.zst --out good --key seller.pem >/dev/null || certified=$?
[ -f good/report.dsse.json ] || { echo "certify gave no report (exit $certified)" >&2; exit 1; }
stamp() { # REPORT AUTHORITY
  rm -f q.tsq
  "$yanji" timestamp "$1" --request q.tsq >/dev/null
  (cd "$2" && openssl ts -reply -config ca.cnf -section authority -queryfile ../q.tsq -out ../a.tsr) 2>/dev/null
  "$yanji" timestamp "$1" --response a.tsr --request q.tsq --tsa-root "$2/root.pem" >/dev/null
}
stamp good tsa
cp -r good foreign && rm foreign/report.timestamps.json && stamp foreign stranger
python3 - <<'PY'
import base64, json, os, shutil
envelope = json.load(open("good/report.dsse.json"))
payload = base64.b64decode(envelope["payload"])
changed = payload.replace(b'"reportId":"', b'"reportId":"x', 1)
assert changed != payload
os.mkdir("bad")
json.dump({**envelope, "payload": base64.b64encode(changed).decode()}, open("bad/report.dsse.json", "w"))
# The signature is the same, and so is what was stamped.
shutil.copy("good/report.timestamps.json", "bad")
# What no statement is.
broken = json.loads(payload)
del broken["subject"]
json.dump(broken, open("nosubject.json", "w"))
PY
for report in good bad; do
  "$yanji" export "$report" --pae "$report.pae" --signature "$report.sig" --sigstore -o "$report.bundle.json" >/dev/null
done
"$yanji" export foreign --sigstore -o foreign.bundle.json >/dev/null

failed=0
row() { printf '%-32s %-34s %-8s %s\n' "$@"; }
expect() { # accept|refuse WHO WHAT COMMAND...
  local want=$1 who=$2 what=$3 said got=accept
  shift 3
  said=$("$@" 2>&1) || got=refuse
  said=$(tail -n 1 <<<"$said")
  row "$who" "$what" "${got}s" "${said:0:70}"
  [ "$got" = "$want" ] || { failed=1; echo "  ^ should ${want}" >&2; }
}
row verifier report says ""
openssl=(openssl pkeyutl -verify -pubin -inkey good/signer.pub -rawin)
version=$(openssl version | cut -d' ' -f1,2)
expect accept "$version" "good" "${openssl[@]}" -in good.pae -sigfile good.sig
expect refuse "$version" "payload changed" "${openssl[@]}" -in bad.pae -sigfile bad.sig
python3 -c 'import json,base64
stamps = json.load(open("good/report.timestamps.json"))["timestamps"]
open("good.tsr", "wb").write(base64.b64decode(stamps[0]["response"]))'
timestamp=(openssl ts -verify -in good.tsr -CAfile)
expect accept "$version ts" "timestamp" "${timestamp[@]}" tsa/root.pem -data good.sig
expect refuse "$version ts" "timestamp, other root" "${timestamp[@]}" stranger/root.pem -data good.sig
expect refuse "$version ts" "timestamp, other data" "${timestamp[@]}" tsa/root.pem -data good.pae
python=("$venv/bin/python" "$here/verify.py")
expect accept "$("${python[@]}" version securesystemslib)" "good" "${python[@]}" dsse good/signer.pub good/report.dsse.json
expect refuse "$("${python[@]}" version securesystemslib)" "payload changed" "${python[@]}" dsse good/signer.pub bad/report.dsse.json
expect accept "$("${python[@]}" version in-toto-attestation)" "good" "${python[@]}" statement good/report.json
expect refuse "$("${python[@]}" version in-toto-attestation)" "subjects removed" "${python[@]}" statement nosubject.json
sigstore=(node "$here/verify.mjs" "$node")
version=$("${sigstore[@]}" version)
expect accept "$version" "good, with timestamp" "${sigstore[@]}" good/signer.pub tsa good.bundle.json
expect refuse "$version" "payload changed" "${sigstore[@]}" good/signer.pub tsa bad.bundle.json
expect refuse "$version" "timestamp by another authority" "${sigstore[@]}" good/signer.pub tsa foreign.bundle.json
exit "$failed"
