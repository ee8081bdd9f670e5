#!/usr/bin/env python3
"""provenance.py --project FOLDER --binary FILE FILE…: an in-toto Statement v1 about the FILEs, with SLSA provenance 1.0: which source,
compiler and inputs they were built from. No times and no name of a machine: who builds the same gets the same statement."""
import argparse
import hashlib
import json
import os
import subprocess
from pathlib import Path


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--project", type=Path, required=True)
    parser.add_argument("--binary", type=Path, required=True, help="the program that the packages hold")
    parser.add_argument("files", nargs="+", type=Path)
    arguments = parser.parse_args()
    project = arguments.project
    commit = output("git", "-C", project, "rev-parse", "HEAD")
    # Generated files and caches are ignored by git and no part of the source.
    changed = bool(output("git", "-C", project, "status", "--porcelain"))
    source = {"name": "source", "digest": {"gitCommit": commit}}
    if changed:
        source["annotations"] = {"changed": "the working tree differed from this commit"}
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": path.name, "digest": {"sha256": digest(path)}} for path in sorted(arguments.files)],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "https://yanji.example/build/v1",
                "externalParameters": {"sourceDateEpoch": os.environ["SOURCE_DATE_EPOCH"]},
                "internalParameters": {"glibc": output(project / "packaging/glibc.sh", arguments.binary)},
                "resolvedDependencies": [
                    source,
                    {"name": "Cargo.lock", "digest": {"sha256": digest(project / "Cargo.lock")}},
                    {"name": "rustc", "annotations": {"version": output("rustc", "--version", cwd=project)}},
                    {"name": "program", "digest": {"sha256": digest(arguments.binary)}},
                ],
            },
            "runDetails": {"builder": {"id": "https://yanji.example/builder/local"}},
        },
    }
    print(json.dumps(statement, separators=(",", ":")))


def output(*command, cwd=None):
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=cwd).stdout.strip()


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
