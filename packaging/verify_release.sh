#!/usr/bin/env bash
# verify_release.sh FOLDER KEY.pub: whether every file in FOLDER is one that the signed statement provenance.dsse.json names, by openssl
# and python3 alone: nobody has to run a program to learn whether to trust it.
set -euo pipefail
[ $# = 2 ] || { echo "usage: verify_release.sh FOLDER KEY.pub" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# DSSE 1.0.2, protocol.md: what is signed is "DSSEv1", and type and payload with their lengths.
python3 - "$1/provenance.dsse.json" "$work" <<'PYTHON'
import base64, json, sys
envelope, folder = json.load(open(sys.argv[1])), sys.argv[2]
kind, payload = envelope["payloadType"].encode(), base64.b64decode(envelope["payload"])
open(folder + "/payload", "wb").write(payload)
open(folder + "/pae", "wb").write(b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload))
open(folder + "/signature", "wb").write(base64.b64decode(envelope["signatures"][0]["sig"]))
PYTHON
openssl pkeyutl -verify -pubin -inkey "$2" -rawin -in "$work/pae" -sigfile "$work/signature"
python3 - "$1" "$work/payload" <<'PYTHON'
import hashlib, json, pathlib, sys
statement = json.load(open(sys.argv[2]))
assert statement["predicateType"] == "https://slsa.dev/provenance/v1", statement["predicateType"]
named = {subject["name"]: subject["digest"]["sha256"] for subject in statement["subject"]}
bad = 0
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    if path.name == "provenance.dsse.json":
        continue
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    wanted = named.pop(path.name, None)
    says = "ok" if found == wanted else "NOT NAMED by the statement" if wanted is None else f"CHANGED: {wanted} was signed"
    bad += found != wanted
    print(f"{found}  {path.name}  {says}")
for name in named:
    print(f"not there: {name}")
source = statement["predicate"]["buildDefinition"]["resolvedDependencies"][0]
print("source:", source["digest"]["gitCommit"], source.get("annotations", {}).get("changed", ""))
sys.exit(bad > 0)
PYTHON
