#!/usr/bin/env python3
"""sbom.py: what is in the image, as CycloneDX 1.5 JSON: the Debian packages, yanji, and the crates that it was built from."""
import argparse
import hashlib
import json
import tomllib
from urllib.parse import quote


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--packages", required=True, help="packages.tsv of fetch.sh")
    parser.add_argument("--binary", required=True)
    parser.add_argument("--lock", required=True, help="Cargo.lock")
    parser.add_argument("--version", required=True)
    arguments = parser.parse_args()
    digest = hashlib.sha256(open(arguments.binary, "rb").read()).hexdigest()
    components = [
        {
            "type": "application",
            "bom-ref": "yanji",
            "name": "yanji",
            "version": arguments.version,
            "hashes": [{"alg": "SHA-256", "content": digest}],
        }
    ]
    for line in open(arguments.packages):
        name, version, architecture, digest, _ = line.rstrip("\n").split("\t")
        purl = f"pkg:deb/debian/{quote(name)}@{quote(version)}?arch={architecture}"
        components.append(
            {
                "type": "library",
                "bom-ref": purl,
                "name": name,
                "version": version,
                "purl": purl,
                "hashes": [{"alg": "SHA-256", "content": digest}],
            }
        )
    # The lock file names what tests and other platforms need too; that is more than is in the binary, never less.
    for package in tomllib.load(open(arguments.lock, "rb"))["package"]:
        if "checksum" not in package:
            continue
        purl = f"pkg:cargo/{quote(package['name'])}@{quote(package['version'])}"
        components.append(
            {
                "type": "library",
                "bom-ref": purl,
                "name": package["name"],
                "version": package["version"],
                "purl": purl,
                "hashes": [{"alg": "SHA-256", "content": package["checksum"]}],
            }
        )
    components.sort(key=lambda component: component["bom-ref"])
    print(json.dumps({"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "components": components}, indent=1))


if __name__ == "__main__":
    main()
