#!/usr/bin/env python3
"""image_json.py: digests of an image's files and the registers that a TPM will show, for a trust policy's [[image]]."""
import argparse
import hashlib
import json
import subprocess


def sha256(path):
    return hashlib.sha256(open(path, "rb").read()).hexdigest()


def main():
    parser = argparse.ArgumentParser()
    for name in ("binary", "uki", "iso", "sbom", "kernel", "version", "cmdline"):
        parser.add_argument(f"--{name}", required=True)
    arguments = parser.parse_args()
    measured = json.loads(
        subprocess.run(
            [arguments.binary, "image", "measure", arguments.uki, "--format", "json"], check=True, capture_output=True
        ).stdout
    )
    print(
        json.dumps(
            {
                "name": "yanji",
                "version": arguments.version,
                "kernel": arguments.kernel,
                "cmdline": arguments.cmdline,
                "files": {
                    "yanji.iso": sha256(arguments.iso),
                    "yanji.efi": sha256(arguments.uki),
                    "sbom.cdx.json": sha256(arguments.sbom),
                },
                "measured": measured,
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
