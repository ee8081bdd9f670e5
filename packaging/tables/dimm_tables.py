#!/usr/bin/env python3
"""Makes signatures/parts/dimm/*.toml from the reference files.

    python3 packaging/tables/dimm_tables.py REFERENCE_FOLDER [OUTPUT_FOLDER]

Patterns, makers and timings are read from the reference files. The meanings of the codes in a part number, written down
here, are held against every observed number: a code that was observed and agrees is certainty A, one that only the
reference's prose has is B. What the reference marks as not verified is left out.
"""

import csv
import pathlib
import re
import sys

from record_table import write

FOLDER = pathlib.Path(__file__).parents[2] / "signatures/parts/dimm"
OBSERVED = "linuxhw/DMI 57b21bc6"
PROSE = "vendors' guides"
SOURCES = ["linuxhw/DMI (CC BY 4.0), snapshot 57b21bc6: part numbers on 3 or more modules of 162,480 reports", PROSE]

# Grammar: section of the reference, name of each group of its pattern (None: not read), and which groups together
# select a record.
GRAMMARS = {
    "samsung-ddr4": ("Samsung", "DDR4", "80CE",
                     [None, "kind", "depth", None, "width", "die", "package", None, None, "grade", None],
                     ["kind", "depth", "width", "depth+die", "grade"]),
    "samsung-ddr5": ("Samsung", "DDR5", "80CE",
                     [None, "kind", "depth", None, "width", "die", None, None, None, "grade", None],
                     ["kind", "depth", "width", "depth+die", "grade"]),
    "hynix-ddr4": ("SK hynix", "DDR4", "80AD",
                   ["density", "depth", "kind", None, "die", "package", "width", "grade"],
                   ["density", "depth", "kind", "package", "width", "grade"]),
    "hynix-ddr5": ("SK hynix", "DDR5", "80AD",
                   ["stack", "capacity", "width", "die", "grade", None, "kind", None, None],
                   ["stack+capacity", "width", "kind", "grade"]),
    "micron-ddr4": ("Micron", "DDR4", "802C",
                    [None, "drams", "package", "depth", "bus", "kind", "grade", "die"],
                    ["depth", "kind", "grade", "package+drams+bus+kind"]),
    "micron-ddr5": ("Micron", "DDR5", "802C",
                    ["drams", None, "ranks", "width", "capacity", "kind", None, "grade", "die", None, None, None],
                    ["ranks", "width", "capacity", "kind", "grade"]),
}

DEPTH_G = {"51": 512, "52": 512, "1G": 1024, "1K": 1024, "2G": 2048, "2K": 2048, "4G": 4096, "4K": 4096, "8G": 8192,
           "8K": 8192, "AG": 16384, "AK": 16384, "BG": 32768, "BK": 32768}


def codes(group, field, values):
    return {f"{group} {code}": {field: value} for code, value in values.items()}


def merge(*tables):
    merged = {}
    for table in tables:
        for key, fields in table.items():
            merged.setdefault(key, {}).update(fields)
    return merged


WIDTH_034 = codes("width", "device_width_bits", {"0": 4, "3": 8, "4": 16})
CODES = {
    "samsung-ddr4": merge(
        codes("kind", "module_type", {"71": "SO-DIMM", "74": "SO-DIMM", "78": "UDIMM", "79": "UDIMM", "86": "LRDIMM",
                                      "91": "UDIMM", "92": "RDIMM", "93": "RDIMM"}),
        codes("depth", "capacity_mib", {code: mib * 8 for code, mib in DEPTH_G.items()}),
        WIDTH_034,
        # K and 52 are 8 Gb dies; of G and 51, D and E are 4 Gb, and the later letters 16 Gb.
        codes("depth+die", "die_density_mbit",
              {f"{depth} {die}": 8192 for depth in DEPTH_G if depth[1] == "K" or depth == "52" for die in "ABCDEF"}),
        codes("depth+die", "die_density_mbit", {f"{depth} {die}": 4096 for depth in ("51", "1G", "2G", "4G")
                                                for die in "DE"}),
        codes("depth+die", "die_density_mbit", {f"{depth} {die}": 16384 for depth in ("1G", "2G", "4G", "8G", "AG")
                                                for die in "ABCM"}),
        codes("grade", "speed_mts", {"PB": 2133, "RB": 2133, "RC": 2400, "UC": 2400, "TC": 2400, "TD": 2666,
                                     "WD": 2666, "VD": 2666, "VF": 2933, "YF": 2933, "YE": 2933, "WE": 3200,
                                     "AE": 3200})),
    "samsung-ddr5": merge(
        codes("kind", "module_type", {"21": "RDIMM", "23": "UDIMM", "24": "UDIMM", "25": "SO-DIMM"}),
        codes("depth", "capacity_mib", {"1G": 8192, "2G": 16384, "4G": 32768, "8G": 65536, "AG": 131072, "BG": 262144,
                                        "3G": 24576, "6G": 49152, "YG": 98304}),
        WIDTH_034,
        codes("depth+die", "die_density_mbit", {f"{depth} {die}": 16384 for depth in ("1G", "2G", "4G", "8G")
                                                for die in "BP"}),
        codes("grade", "speed_mts", {"QK": 4800, "WM": 5600, "CP": 6400})),
    "hynix-ddr4": merge(
        codes("density", "die_density_mbit", {"4": 4096, "8": 8192, "A": 16384}),
        codes("depth", "capacity_mib", {"25": 2048, "51": 4096, "1G": 8192, "2G": 16384, "4G": 32768, "8G": 65536,
                                        "AG": 131072, "BG": 262144}),
        codes("kind", "module_type", {"U": "UDIMM", "S": "SO-DIMM", "R": "RDIMM", "L": "LRDIMM"}),
        # A stacked package has two dies of half the density.
        codes("package", "dies", {"F": 1, "J": 1, "M": 2}),
        codes("width", "device_width_bits", {"4": 4, "8": 8, "6": 16}),
        codes("grade", "speed_mts", {"TF": 2133, "TE": 2133, "UH": 2400, "UL": 2400, "VK": 2666, "VN": 2666,
                                     "WM": 2933, "WR": 2933, "XN": 3200, "XJ": 3200})),
    "hynix-ddr5": merge(
        codes("stack+capacity", "capacity_mib", {"G 6": 8192, "G 7": 16384, "G 8": 32768, "G 9": 65536,
                                                 "T 0": 131072, "G Y": 49152, "G M": 98304}),
        codes("stack+capacity", "die_density_mbit", {"G 6": 16384, "G 7": 16384, "G 8": 16384, "G 9": 16384,
                                                     "G Y": 24576, "G M": 24576}),
        codes("width", "device_width_bits", {"4": 4, "8": 8, "6": 16}),
        codes("kind", "module_type", {"R": "RDIMM", "U": "UDIMM", "S": "SO-DIMM", "E": "UDIMM", "A": "SO-DIMM"}),
        codes("grade", "speed_mts", {"E": 4800, "G": 5600})),
    "micron-ddr4": merge(
        codes("depth", "capacity_mib", {"256": 2048, "512": 4096, "1G": 8192, "2G": 16384, "4G": 32768, "8G": 65536,
                                        "16G": 131072}),
        codes("kind", "module_type", {"PZ": "RDIMM", "PDZ": "RDIMM", "LZ": "LRDIMM", "LSZ": "LRDIMM", "AZ": "UDIMM",
                                      "HZ": "SO-DIMM"}),
        codes("grade", "speed_mts", {"2G1": 2133, "2G3": 2400, "2G4": 2400, "2G6": 2666, "2G9": 2933, "2S9": 2933,
                                     "3G2": 3200}),
        # Only for packages of one die, where the number of DRAMs leaves one width.
        {f"package+drams+bus+kind {package} {drams} {bus} {kind}":
         {"device_width_bits": width, "ranks": drams * width // bus}
         for package in ("SF", "DF", "TF")
         for drams, bus, width, kinds in [
             (4, 64, 16, ("AZ", "HZ")), (8, 64, 8, ("AZ", "HZ")), (16, 64, 8, ("AZ", "HZ")),
             (9, 72, 8, ("AZ", "HZ", "PZ", "PDZ")), (18, 72, 8, ("AZ", "HZ", "PDZ")), (18, 72, 4, ("PZ",)),
             (36, 72, 4, ("PZ", "LZ"))]
         for kind in kinds}),
    "micron-ddr5": merge(
        codes("ranks", "ranks", {"1": 1, "2": 2, "4": 4}),
        codes("width", "device_width_bits", {"04": 4, "08": 8, "016": 16}),
        codes("capacity", "capacity_mib", {"3": 8192, "4": 16384, "5": 32768, "6": 65536, "X": 49152, "W": 98304}),
        codes("kind", "module_type", {"R": "RDIMM", "U": "UDIMM", "S": "SO-DIMM", "E": "UDIMM", "H": "MRDIMM"}),
        codes("grade", "speed_mts", {"48": 4800, "56": 5600, "64": 6400, "88": 8800})),
}

# Aliases are what firmware and decoders print, lower case; a text that begins with one is the maker.
MAKERS = {
    "Samsung": ["samsung"], "SK hynix": ["sk hynix", "hynix", "hyundai"], "Micron": ["micron"],
    "Kingston": ["kingston"], "SMART Modular": ["smart modular", "smart"], "Nanya": ["nanya"], "Netlist": ["netlist"],
    "ADATA": ["adata", "a-data"], "Ramaxel": ["ramaxel"], "G.Skill": ["g.skill", "g skill"], "Team": ["team"],
    "Corsair": ["corsair"], "Elpida": ["elpida"], "Crucial": ["crucial"], "Innodisk": ["innodisk"],
    "CXMT": ["cxmt", "changxin"], "Advantech": ["advantech"], "Transcend": ["transcend"], "Apacer": ["apacer"],
}
OWN_DRAM = ("Samsung", "SK hynix", "Micron")
# Brands and companies that became one of the makers above.
FAMILIES = {"Crucial": "Micron", "Elpida": "Micron"}

SYSTEM_MAKERS = {
    "HPE": (["hp", "hpe", "hewlett-packard", "hewlett packard enterprise", "hewlett packard"], "HPE and HP ProLiant"),
    "Dell": (["dell"], "Dell"), "Lenovo": (["lenovo", "ibm"], "Lenovo, and IBM's servers before"),
    "Cisco": (["cisco"], "Cisco"), "Fujitsu": (["fujitsu"], "Fujitsu"), "Oracle": (["oracle", "sun"], "Oracle and Sun"),
    "Huawei": (["huawei", "xfusion"], "Huawei and xFusion"), "Inspur": (["inspur", "ieit"], "Inspur"),
}

SHAPES = {
    "hp-assembly": (r"^\d{6}-\d{3}$", "oem", "HPE", "B"),
    "hpe-assembly": (r"^P\d{5}-[0-9A-Z]\d\d$", "oem", "HPE", "B"),
    "dell-retail": (r"^SNP[0-9A-Z]{5}C/\d+G$", "oem", "Dell", "B"),
    "cisco-order": (r"^UCS-M[LR]-", "oem", "Cisco", "B"),
    "kingston": (r"^(KVR|KSM|KTH|KTD|KF|HX|HP32D|99\d{5}-)", "module", "Kingston", "A"),
    "crucial": (r"^(CT|CP)\d{1,3}G\d\d", "module", "Crucial", "A"),
    "advantech": (r"^(AQD|SQR)-", "module", "Advantech", "A"),
}


def patterns(text):
    """The regular expression of each grammar, from the reference, with named groups."""
    found = {}
    for name, (maker, dram_type, _, groups, _) in GRAMMARS.items():
        section = text.split(f"\n## {maker}\n")[1].split("\n## ")[0]
        pattern = re.search(dram_type + r": `(\^[^`]+)`", section).group(1)
        names = iter(groups)

        def name_group(match):
            group = next(names)
            return f"(?P<{group}>" if group else "(?:"

        found[name] = re.sub(r"\((?!\?)", name_group, pattern)
        assert next(names, "end") == "end", name
    return found


def decode(number, grammars, used):
    """The fields of a part number, and the codes that they came from."""
    for name, pattern in grammars.items():
        match = re.search(pattern, number)
        if not match:
            continue
        fields = {}
        for lookup in GRAMMARS[name][4]:
            key = f"{lookup} " + " ".join(match.group(group) for group in lookup.split("+"))
            record = CODES[name].get(key)
            if record:
                fields.update(record)
                used.add(f"{name} {key}")
        return name, fields
    return None, {}


def main():
    reference = pathlib.Path(sys.argv[1])
    folder = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)

    grammars = patterns((reference / "dimm_part_grammar.md").read_text())
    observed = set()
    with open(reference / "dimm_pn_observed.tsv", newline="") as file:
        rows = csv.DictReader((line for line in file if not line.startswith("#")), delimiter="\t")
        for row in rows:
            used = set()
            _, fields = decode(row["part_number"], grammars, used)
            # A number that its own report contradicts proves nothing about its codes.
            if fields.get("capacity_mib") == int(row["capacity_mib"]):
                observed |= used
    write(folder, "part-grammars", "Part numbers of makers who describe the module in them", SOURCES, "grammar",
          {"pattern": "text", "maker": "text", "dram_type": "text", "lookups": "list"},
          {name: {"pattern": grammars[name], "maker": maker, "dram_type": dram_type, "lookups": lookups,
                  "certainty": "A", "source": OBSERVED}
           for name, (maker, dram_type, _, _, lookups) in GRAMMARS.items()})
    write(folder, "part-codes", "What the codes in a part number mean", SOURCES,
          "grammar, groups of its pattern, their texts",
          {"module_type": "text", "capacity_mib": "integer", "device_width_bits": "integer", "speed_mts": "integer",
           "die_density_mbit": "integer", "dies": "integer", "ranks": "integer"},
          {f"{name} {key}": {**fields, "certainty": "A" if f"{name} {key}" in observed else "B",
                             "source": OBSERVED if f"{name} {key}" in observed else PROSE}
           for name, table in CODES.items() for key, fields in table.items()})
    write(folder, "part-shapes", "Part numbers that name a maker and not the module's geometry", SOURCES, "shape",
          {"pattern": "text", "kind": "text", "maker": "text"},
          {name: {"pattern": pattern, "kind": kind, "maker": maker, "certainty": certainty, "source": PROSE}
           for name, (pattern, kind, maker, certainty) in SHAPES.items()})

    fields_md = (reference / "spd_fields.md").read_text()
    ids = {maker.strip(): code for code, maker in re.findall(r"\| ([0-9A-F]{4}) \| ([^|]+?)(?= \|)", fields_md)}
    write(folder, "makers", "Makers of modules and DRAM by JEP106 id",
          ["JEDEC JEP106; ids as in the SPD images and SMBIOS tables of public collections"],
          "JEP106 id, parity included",
          {"name": "text", "family": "text", "own_dram": "bool", "aliases": "list"},
          {ids[name]: {"name": name, "family": FAMILIES.get(name, name), "own_dram": name in OWN_DRAM or None,
                       "aliases": aliases, "certainty": "A", "source": "JEDEC JEP106"}
           for name, aliases in MAKERS.items()})
    write(folder, "system-makers", "Makers of servers whose name or part number stands where a module's maker should",
          ["linuxhw/DMI (CC BY 4.0), snapshot 57b21bc6: 2,048 server reports"], "maker",
          {"aliases": "list"},
          {name: {"aliases": aliases, "certainty": "B", "source": source}
           for name, (aliases, source) in SYSTEM_MAKERS.items()})

    timings = {}
    for speed, width, times in re.findall(r"^\| (\d{4}) \| x(\d+) \| ([\d. /]+) \|$", fields_md, re.M):
        faw, short, long = (round(float(time) * 1000) for time in times.split("/"))
        timings[f"{speed} x{width}"] = {"tfaw_ps": faw, "trrd_s_ps": short, "trrd_l_ps": long, "certainty": "A",
                                        "source": "about 52 genuine DDR4 images of public SPD collections"}
    assert len(timings) == 12
    write(folder, "timings", "DDR4 activate timings by speed and width of a DRAM",
          ["JEDEC JESD79-4, speed bins; every genuine image of public SPD collections agrees"],
          "MT/s and width", {"tfaw_ps": "integer", "trrd_s_ps": "integer", "trrd_l_ps": "integer"}, timings)
    write(folder, "generations", "Generations of DRAM: years of manufacture, and what was never made",
          ["JEDEC JESD79-3, JESD79-4, JESD79-5: years of publication",
           "memtest86+ takes years below 32 as dates, later ones as garbage"],
          "DRAM type",
          {"first_year": "integer", "last_year": "integer", "slow_density_mbit": "integer", "slow_below_mts": "integer"},
          {"DDR3": {"first_year": 2007, "last_year": 2031, "certainty": "B", "source": "JESD79-3"},
           # Dies of 4 Gb were not sold as modules of 3200 MT/s.
           "DDR4": {"first_year": 2012, "last_year": 2031, "slow_density_mbit": 4096, "slow_below_mts": 3200,
                    "certainty": "B", "source": "JESD79-4; public SPD collections"},
           "DDR5": {"first_year": 2020, "last_year": 2031, "certainty": "B", "source": "JESD79-5"}})


if __name__ == "__main__":
    main()
