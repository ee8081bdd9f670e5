#!/usr/bin/env python3
"""sbom.py: what is in the image, as CycloneDX 1.5 JSON: yanji, the crates that it was built from, and the Debian packages, each with
version, digest, licences as far as they are known, and source."""
import argparse
import hashlib
import json
import re
import tomllib
import uuid
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--packages", type=Path, required=True, help="packages.tsv of fetch.sh, beside its folder root")
    parser.add_argument("--binary", type=Path, required=True, help="yanji as it is in the image")
    parser.add_argument("--crates", type=Path, required=True, help="what cargo metadata printed")
    parser.add_argument("--lock", type=Path, required=True, help="Cargo.lock")
    parser.add_argument("--version", required=True)
    parser.add_argument("--seconds", type=int, required=True, help="SOURCE_DATE_EPOCH")
    parser.add_argument("--nvidia-pack", type=Path)
    arguments = parser.parse_args()

    crates, edges = crate_components(json.loads(arguments.crates.read_text()), arguments.lock)
    yanji = next(crate for crate in crates if crate["bom-ref"] == "yanji")
    yanji["type"] = "application"
    yanji["hashes"] = [sha256(file_digest(arguments.binary))]
    packages = [package_component(line, arguments.packages.parent / "root") for line in arguments.packages.read_text().splitlines()]
    components = crates + packages
    if arguments.nvidia_pack:
        digest = file_digest(arguments.nvidia_pack)
        components.append({"type": "device-driver", "bom-ref": "nvidia-pack", "name": "nvidia.squashfs", "version": digest, "hashes": [sha256(digest)]})
    components.sort(key=lambda component: component["bom-ref"])
    in_image = [component["bom-ref"] for component in packages] + ["yanji"] + ["nvidia-pack"] * bool(arguments.nvidia_pack)
    edges["image"] = set(in_image)
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(arguments.seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {"type": "operating-system", "bom-ref": "image", "name": "yanji-image", "version": arguments.version},
        },
        "components": components,
        "dependencies": [{"ref": ref, "dependsOn": sorted(edges[ref])} for ref in sorted(edges)],
    }
    # Of the content: the same components have the same number.
    content = json.dumps(document, sort_keys=True)
    document["serialNumber"] = uuid.uuid5(uuid.NAMESPACE_URL, "https://yanji.example/sbom/" + content).urn
    print(json.dumps(document, indent=1))


def crate_components(metadata, lock):
    """Crates that are linked into the program, and what they need; those that only help to build it are "excluded"."""
    crates = {crate["id"]: crate for crate in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    checksums = {(crate["name"], crate["version"]): crate.get("checksum") for crate in tomllib.loads(lock.read_text())["package"]}
    root = metadata["resolve"]["root"]

    def macro(crate):
        return any("proc-macro" in target["kind"] for target in crates[crate]["targets"])

    def below(crate, kinds):
        return [it["pkg"] for it in nodes[crate]["deps"] if any(kind["kind"] in kinds for kind in it["dep_kinds"])]

    def reached(starts, step):
        seen, waiting = set(), list(starts)
        while waiting:
            crate = waiting.pop()
            if crate not in seen:
                seen.add(crate)
                waiting.extend(step(crate))
        return seen

    linked = reached([root], lambda crate: [it for it in below(crate, {None}) if not macro(it)])
    needed = reached([root], lambda crate: below(crate, {None, "build"}))
    refs = {crate: reference(crates[crate]) for crate in needed}
    components = []
    for crate in needed:
        about = crates[crate]
        # What lies in the project's own folders is part of it.
        if refs[crate] == "yanji" and crate != root:
            continue
        component = {
            "type": "library",
            "bom-ref": refs[crate],
            "name": about["name"],
            "version": about["version"],
            "scope": "required" if crate in linked else "excluded",
            "purl": f"pkg:cargo/{quote(about['name'])}@{quote(about['version'])}",
        }
        checksum = checksums.get((about["name"], about["version"]))
        if checksum:
            component["hashes"] = [sha256(checksum)]
        if about["license"]:
            component["licenses"] = [{"expression": about["license"].replace("/", " OR ")}]
        if about["repository"]:
            component["externalReferences"] = [{"type": "vcs", "url": about["repository"]}]
        components.append(component)
    edges = {refs[crate]: set() for crate in needed}
    for crate in needed:
        edges[refs[crate]] |= {refs[it] for it in below(crate, {None, "build"})} - {refs[crate]}
    return components, edges


def reference(crate):
    return f"pkg:cargo/{quote(crate['name'])}@{quote(crate['version'])}" if crate["source"] else "yanji"


def package_component(line, root):
    name, version, architecture, digest, _, source, source_version = line.split("\t")
    purl = f"pkg:deb/debian/{quote(name)}@{quote(version)}?arch={architecture}"
    origin = f"pkg:deb/debian/{quote(source)}@{quote(source_version)}?arch=source"
    component = {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "purl": purl,
        "hashes": [sha256(digest)],
        "pedigree": {"ancestors": [{"type": "library", "name": source, "version": source_version, "purl": origin}]},
    }
    licences = debian_licences(root / "usr/share/doc" / name / "copyright")
    if licences:
        component["licenses"] = [{"license": {"name": licence}} for licence in licences]
    return component


def debian_licences(path):
    """Short names as Debian writes them, where the file follows its machine-readable format 1.0; where it is prose, the names of
    the common licences that it refers to."""
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return []
    if not re.match(r"Format(-Specification)?:", text.lstrip()):
        return sorted(set(re.findall(r"/usr/share/common-licenses/([A-Za-z0-9.-]*[A-Za-z0-9])", text)))
    return sorted({" ".join(name.split()) for name in re.findall(r"^License:[ \t]*(\S.*)$", text, re.M)})


def sha256(digest):
    return {"alg": "SHA-256", "content": digest}


def file_digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
