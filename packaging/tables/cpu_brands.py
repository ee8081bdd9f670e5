#!/usr/bin/env python3
"""Makes signatures/parts/cpu-brand-{models,steppings}.toml from observed pairs of brand string and signature.

usage: cpu_brands.py OBSERVED.tsv

OBSERVED.tsv has the columns version_string, signature ("Type 0, Family 6, Model 85, Stepping 4") and sockets_seen.
Firmware cuts long brands, so a brand whose clock is cut is left out; so are engineering samples, which have no brand
of their own, and a brand without a number, which firmware made up. A model counts when two sockets showed it; a stepping table needs ten sockets of the brand, since a rare
brand may have steppings that nobody has reported yet.
"""
import collections
import pathlib
import re
import sys

SOURCE = ("linuxhw/DMI (CC BY 4.0), snapshot 57b21bc6 of 2025-01-06: SMBIOS type 4 version string and signature of "
          "Xeon and EPYC sockets")
# Brands that nobody reported, with the family and model of the maker's documents.
DOCUMENTED_SOURCE = "Intel Xeon Processor 7500 Series Specification Update: CPUID signature 000206E6h"
DOCUMENTED = {
    f"Intel(R) Xeon(R) CPU {name} @ {clock}GHz": {"6-46"}
    for name, clock in [("E6540", "2.00"), ("E6510", "1.73"), ("E7520", "1.87"), ("E7530", "1.87"), ("E7540", "2.00"),
                        ("L7545", "1.87"), ("L7555", "1.87"), ("X6550", "2.00"), ("X7542", "2.67"), ("X7550", "2.00"),
                        ("X7560", "2.27")]
}
FOLDER = pathlib.Path(__file__).resolve().parents[2] / "signatures" / "parts"


def read(path):
    seen = collections.defaultdict(collections.Counter)
    for line in path.read_text().splitlines():
        fields = line.split("\t")
        match = len(fields) >= 3 and re.search(r"Family (\d+), Model (\d+), Stepping (\d+)", fields[1])
        if not match:
            continue
        brand = " ".join(fields[0].split())
        if "@" in brand and not re.search(r"[GM]Hz$", brand) or re.search(r"Genuine|Eng Sample|100-0000|\$|^\D*$", brand):
            continue
        seen[brand]["-".join(match.groups())] += int(fields[2])
    return seen


def write(name, title, rows, *sources):
    sources = ", ".join(f'"{source}"' for source in (SOURCE, *sources))
    lines = [f'title = "{title}"', f'sources = [{sources}]', 'key_fact = "cpu.brand"', "", "[rows]"]
    for brand in sorted(rows):
        values = ", ".join(f'"{value}"' for value in sorted(rows[brand]))
        lines.append(f'"{brand}" = [{values}]')
    (FOLDER / f"{name}.toml").write_text("\n".join(lines) + "\n")


def main():
    seen = read(pathlib.Path(sys.argv[1]))
    models, steppings = {}, {}
    for brand, signatures in seen.items():
        by_model = collections.Counter()
        for signature, sockets in signatures.items():
            by_model[signature.rsplit("-", 1)[0]] += sockets
        known = {model for model, sockets in by_model.items() if sockets >= 2}
        if known:
            models[brand] = known
        if sum(signatures.values()) >= 10:
            steppings[brand] = set(signatures)
    write("cpu-brand-models", "Family and model (decimal) that go with a processor's brand string",
          DOCUMENTED | models, DOCUMENTED_SOURCE)
    write("cpu-brand-steppings", "Family, model and stepping (decimal) that go with a processor's brand string", steppings)


if __name__ == "__main__":
    main()
