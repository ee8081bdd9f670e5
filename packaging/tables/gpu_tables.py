#!/usr/bin/env python3
"""Makes signatures/parts/gpu/*.toml from the reference tables of NVIDIA GPUs.

usage: gpu_tables.py REFERENCE_FOLDER [OUTPUT_FOLDER]

REFERENCE_FOLDER holds gpu_devices.csv, gpu_subsystem_names.csv, gpu_form_factor_by_subsystem.csv and
gpu_reference.csv. A memory column lists variants, `nominal|observed|…;second variant`. Certainty is a letter: A and B
have memory from documents or captures, C from general knowledge, D and E have ids and names only. What the tables
below hold beside the files is small and has its source next to it.
"""
import csv
import math
import pathlib
import re
import sys

from record_table import write

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "signatures" / "parts" / "gpu"

# NVLinks of a whole module. NVLink is 25 GB/s a direction and link from V100 on, so the published totals give them.
NVLINKS = {
    "1db1": 6, "1db5": 6, "1db8": 6,
    "20b0": 12, "20b2": 12, "20b3": 12, "20bd": 8, "20f3": 8,
    "2330": 18, "2324": 8, "2329": 18, "232c": 18, "2335": 18, "2336": 18, "2337": 18, "2338": 18, "2339": 18,
    "2901": 18, "3182": 18,
}
# One module serial number covers two GPUs.
SHARED_SERIAL = {"2941", "31c2", "31c3", "31a1"}
PREPRODUCTION = {"20c0", "20b6", "222b", "222f"}
# Prefixes that captures showed; the others follow NVIDIA's numbering.
INFERRED_PREFIXES = {"94.03", "97.02", "97.12", "98.03", "98.05", "98.07"}
BOARDS = {
    # (device, subsystem): maker, model, cooler, certainty, source
    ("2684", "10de:16f3"): ("NVIDIA", "RTX 4090 Founders Edition", "open-air", "C", "captures: 8-GPU machines, GPU part 2684-301"),
    ("2684", "10de:167c"): ("NVIDIA", "RTX 4090 Founders Edition", "open-air", "D", "captures; the model is inferred"),
    ("2684", "10b0:f297"): ("Gainward", "RTX 4090", "open-air", "C", "capture"),
    ("2684", "1458:40bf"): ("Gigabyte", "RTX 4090", "open-air", "C", "capture"),
    ("2684", "1462:510b"): ("MSI", "RTX 4090", "open-air", "C", "capture"),
    ("2684", "1043:889d"): ("ASUS", "RTX 4090", "open-air", "C", "capture"),
    ("1b06", "1043:85e5"): ("ASUS", "GTX 1080 Ti Turbo", "blower", "C", "VBIOS collection"),
    ("2204", "1043:87ad"): ("ASUS", "RTX 3090 ROG Strix", "open-air", "C", "capture"),
    ("2204", "1458:4043"): ("Gigabyte", "RTX 3090", "unknown", "C", "capture; the maker sold open-air and blower models"),
    ("2803", "1043:898d"): ("ASUS", "RTX 4060 Ti DUAL", "open-air", "B", "VBIOS image: IFR and sign-on DUAL-RTX4060TI"),
    ("2206", "10de:146d"): ("NVIDIA", "RTX 3080 20GB (never sold)", "unknown", "B", "pci.ids; modified cards carry it"),
}
# Board makers by subsystem vendor id (pci.ids).
MAKERS = {
    "1043": "ASUS", "1458": "Gigabyte", "1462": "MSI", "19da": "Zotac", "10b0": "Gainward", "1569": "Palit",
    "3842": "EVGA", "196e": "PNY", "10de": "NVIDIA", "1028": "Dell", "103c": "HP", "17aa": "Lenovo", "1682": "XFX",
    "7377": "Colorful", "1b4c": "KFA2/Galax", "1acc": "Point of View", "1849": "ASRock", "1025": "Acer",
}

# Multiply-adds of a multiprocessor in a clock, dense, by compute capability and market. GeForce cards have half the tensor
# rate with FP32 sums. `native` is the kernel file without which tensor cores don't reach their rate.
CHIP_RATES = {
    "7.0": (["GV100"], dict(fp32=64, fp64=32, fp16=512)),
    "7.5": (["TU102", "TU104", "TU106"], dict(fp32=64, fp64=2, fp16=512, int8=1024)),
    "7.5 geforce": (["TU102", "TU104", "TU106"], dict(fp32=64, fp64=2, fp16=256, int8=1024)),
    # These have no tensor cores: products of halves run elsewhere.
    "7.5 small": (["TU116", "TU117"], dict(fp32=64, fp64=2)),
    "8.0": (["GA100"], dict(fp32=64, fp64=32, fp64_tensor=64, fp16=1024, bf16=1024, tf32=512, int8=2048)),
    "8.6": (["GA102", "GA103", "GA104", "GA106", "GA107"],
            dict(fp32=128, fp64=2, fp16=512, bf16=512, tf32=256, int8=1024)),
    "8.6 geforce": (["GA102", "GA103", "GA104", "GA106", "GA107"],
                    dict(fp32=128, fp64=2, fp16=256, bf16=256, tf32=128, int8=1024)),
    "8.9": (["AD102", "AD103", "AD104", "AD106", "AD107"],
            dict(fp32=128, fp64=2, fp16=512, bf16=512, tf32=256, int8=1024, fp8=1024)),
    "8.9 geforce": (["AD102", "AD103", "AD104", "AD106", "AD107"],
                    dict(fp32=128, fp64=2, fp16=256, bf16=256, tf32=128, int8=1024, fp8=512)),
    "9.0": (["GH100"], dict(fp32=128, fp64=64, fp64_tensor=128, fp16=2048, bf16=2048, tf32=1024, int8=4096, fp8=4096,
                            native="wgmma")),
    "10.0": (["GB100", "GB102"], dict(fp32=128, fp64=64, fp16=4096, bf16=4096, tf32=2048, fp8=8192, fp4=16384,
                                      native="tcgen05")),
    "10.3": (["GB110", "GB112"], dict(fp32=128, fp64=2, fp16=4096, bf16=4096, tf32=2048, fp8=8192, native="tcgen05")),
    "12.0": (["GB202", "GB203", "GB205", "GB206", "GB207"],
             dict(fp32=128, fp64=2, fp16=512, bf16=512, tf32=256, int8=1024, fp8=1024, fp4=2048)),
    "12.0 geforce": (["GB202", "GB203", "GB205", "GB206", "GB207"],
                     dict(fp32=128, fp64=2, fp16=256, bf16=256, tf32=128, int8=1024, fp8=512, fp4=2048)),
}
NUMBER_TYPES = {
    "fp32": "fp32_tf", "fp64": "fp64_tf", "fp64_tensor": "fp64_tensor_tf", "fp16": "fp16_tensor_fp32acc_tf",
    "bf16": "bf16_dense_tf", "tf32": "tf32_dense_tf", "int8": "int8_dense_tops", "fp8": "fp8_dense_tf",
    "fp4": "fp4_dense_tf",
}

BARE_CODE_NAME = re.compile(
    r"^(NVIDIA )?(G[APTV]1\d\d|GH100|GB1\d\d|GB20[2-7]|AD1\d\d|TU1\d\d|PG\d+)(GLM?|M)?\b|Reserved|Initial Dev|INT SKU|Skinny|SKU|PG\d|^AC "
    r"|^GRID|Xavier")
# A virtual GPU's name ends in its profile.
VIRTUAL = re.compile(r"^(NVIDIA|GRID).*-\d+[A-Z]*$|-\d+-\d+[A-Z]*$")


# A product sold in several classes counts as the first.
CLASSES = ["data-centre", "workstation", "geforce", "titan", "mining", "automotive", "laptop", "other"]


def classify(row):
    name, notes = row["name"], row["region_notes"]
    if "mining" in notes or re.search(r"\bCMP\b|^P10\d-", name):
        return "mining"
    if "DRIVE" in name or "automotive" in notes:
        return "automotive"
    if row["form_factor"].startswith("laptop") or re.search(r"Laptop|Mobile|Max-Q|Embedded|\bMX\d|P106M", name):
        return "laptop"
    if "TITAN" in name:
        return "titan"
    if "GeForce" in name:
        return "geforce"
    if BARE_CODE_NAME.search(name) and "CMP" not in name:
        return "other"
    if re.search(r"Quadro|RTX|\bT(400|500|550|600|1000|1200)\b|A800 40GB Active", name):
        return "workstation"
    if re.search(r"Tesla|\bT4G\b|\b(A|H|L|B|GH|GB|AX|HGX B)\d+\w*|T10x|TS4", name):
        return "data-centre"
    return "other"


def form_factor(row):
    text = row["form_factor"]
    if "SXM" in text:
        return "sxm"
    if "module" in text:
        return "module"
    return "laptop" if text.startswith("laptop") else {"PCIe": "pcie", "": None}[text]


def cooler(row):
    notes = row["official_cooler_notes"]
    if not notes:
        return None
    for word, found in [("passive", "passive"), ("liquid", "liquid"), ("no NVIDIA-approved blower", "open-air"),
                        ("open-air", "open-air"), ("dual", "open-air"), ("factory blower", None),
                        ("FE blower", None), ("blower", "blower")]:
        if word in notes:
            return found
    return None


def factory_blower(row):
    notes = row["official_cooler_notes"]
    if "no NVIDIA-approved blower" in notes:
        return False
    if re.search(r"factory blower|FE blower|blower", notes):
        return True
    return None


def memory(row):
    nominal, observed = [], []
    for variant in filter(None, row["memory_mib_variants"].split(";")):
        values = variant.split("|")
        # A variant without a nominal size is known as it was observed only.
        nominal.append(int(values[0] or values[1]))
        observed += [int(value) for value in values[1:] if value]
    return sorted(set(nominal)), sorted(set(observed))


def number(text):
    match = re.match(r"\d+", text or "")
    return int(match.group()) if match else None


def per_clock(row, column, sms, clocks):
    """Multiply-adds of a multiprocessor in a clock: a power of two, which the published rate comes near to at some clock."""
    if not row[column] or not sms or not clocks:
        return None
    best = None
    for clock in clocks:
        exact = float(row[column]) * 1e6 / (2 * sms * clock)
        power = 2 ** round(math.log2(exact))
        off = abs(math.log2(exact / power))
        if best is None or off < best[0]:
            best = (off, power)
    # A clock that the boost clock is not, or a rounded figure; but not half a step.
    return best[1] if best[0] < 0.35 else None


def performance(row):
    """What gpu_reference.csv says of a product; the floors are far below what was measured on honest cards."""
    clocks = [int(clock) for clock in re.findall(r"\b\d{4}\b", row["boost_mhz"])]
    derived = "derived" in row["sm"]
    sms = number(row["sm"])
    record = {
        "name": row["gpu"], "chip": row["die"].split(" ")[0], "compute_capability": row["cc"],
        "sm_count": None if derived else sms, "l2_kib": int(float(row["l2_mb"]) * 1024) if row["l2_mb"] else None,
        "memory_type": row["mem_type"], "bus_width_bits": number(row["bus_bits"]),
        "memory_clock_mhz": number(row["mem_clock_mhz_ddr_base"]),
        "bandwidth_mb_per_second": int(row["bw_theo_gbs"]) * 1000 if row["bw_theo_gbs"] else None,
        "boost_mhz": min(clocks) if clocks else None, "power_watts": number(row["tdp_w"]),
        "pcie_generation": number(row["pcie_gen"]), "pcie_width": number(row["pcie_width"]),
        "certainty": row["certainty"],
        "source": "gpu_reference.csv: " + row["spec_source"],
    }
    for kind, column in NUMBER_TYPES.items():
        record[kind] = per_clock(row, column, sms, clocks)
    if row["gpu"].startswith("CMP"):
        # The published rate is the chip's. On the card, multiply-adds are held down.
        record["fp32"], record["fma_throttled"] = None, True
    # A streaming test on a card is worth more than a default limit of a diagnosis tool.
    fraction = float(row["bw_measured_frac"] or 0)
    streamed = re.search(r"gpu-stream|memtest", row["bw_measured_source"])
    floor = min(750, 850 * fraction) if streamed else min(600, 850 * fraction) if fraction else 600
    record["bandwidth_floor_permille"] = int(floor)
    # Small power limits hold the rate far below what the boost clock would give.
    gemm = float(row["gemm_measured_frac"] or 0)
    record["rate_floor_permille"] = int(min(500, 600 * gemm)) if gemm else 300
    return record


NOISE = set("nvidia geforce tesla quadro rtx gtx gt generation gpu edition with design hbm2 hbm2e hbm3 hbm3e pcie active "
            "dgxs fhhl ac rev 2".split())


def tokens(name):
    words = re.findall(r"[a-z0-9]+", name.lower().replace("(", " "))
    return [word for word in words
            if word not in NOISE and not re.fullmatch(r"\d+gb?|sxm\d?", word) or re.fullmatch(r"\d{4}", word)]


def main():
    reference = pathlib.Path(sys.argv[1])
    folder = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)

    def read(name):
        with open(reference / name, newline="") as file:
            return list(csv.DictReader(file))

    devices, subsystems = read("gpu_devices.csv"), read("gpu_subsystem_names.csv")
    subsystems = [row for row in subsystems if not VIRTUAL.search(row["name"])]
    watts = {}
    for row in read("gpu_reference.csv"):
        for device in re.findall(r"\b[0-9a-f]{4}\b", row["pci_device_ids_10de"]):
            watts.setdefault(device, number(row["tdp_w"]))
    # Device ids that the driver has a name of its own for.
    driver_names = {row["pci_device_id"] for row in subsystems}

    records, chips = {}, {}
    for row in devices:
        device, letter = row["pci_device_id"], row["certainty"][0]
        nominal, observed = memory(row)
        region = "China" if re.search(r"China", row["region_notes"]) else None
        preproduction = device in PREPRODUCTION or "Engineering Sample" in row["name"]
        records["0x" + device] = {
            "name": row["name"], "chip": row["chip"], "class": classify(row), "memory_nominal_mib": nominal,
            "memory_observed_mib": observed, "sm_count": number(row["sm_count"]),
            "bus_width_bits": number(row["bus_width_bits"]), "form_factor": form_factor(row), "cooler": cooler(row),
            "factory_blower": factory_blower(row), "tbp_watts": watts.get(device), "nvlinks": NVLINKS.get(device),
            "region": region, "shared_serial": device in SHARED_SERIAL or None,
            "preproduction": preproduction or None, "driver_name": device in driver_names or None,
            "note": "; ".join(filter(None, [row["official_cooler_notes"], row["region_notes"]])),
            "certainty": letter, "source": row["source"],
        }
        prefix = row["vbios_prefix"][:5]
        if prefix:
            seen = prefix not in INFERRED_PREFIXES
            chips[prefix] = {"chip": row["chip"], "certainty": "A" if seen else "D",
                             "source": "captures" if seen else "NVIDIA's numbering; not in a capture yet"}
    write(folder, "devices", "NVIDIA GPUs by PCI device id",
          ["the PCI ID database, NVIDIA/open-gpu-kernel-modules, NVIDIA/gpu-admin-tools, NVIDIA/DCGM and captures; "
           "each record names its own",
           "NVLinks: published NVLink bandwidth divided by 25 GB/s a direction and link"],
          "PCI device id",
          {"name": "text", "chip": "text", "class": "text", "memory_nominal_mib": "list", "memory_observed_mib": "list",
           "sm_count": "integer", "bus_width_bits": "integer", "form_factor": "text", "cooler": "text",
           "factory_blower": "bool", "tbp_watts": "integer", "nvlinks": "integer", "region": "text",
           "shared_serial": "bool", "preproduction": "bool", "driver_name": "bool", "note": "text", "certainty": "text",
           "source": "text"},
          records)
    write(folder, "vbios-chips", "Chips by the first two fields of the VBIOS version",
          ["NVIDIA VBIOS versions and PCI device ids of about 190 captures"], "prefix of the VBIOS version",
          {"chip": "text", "certainty": "text", "source": "text"}, chips)

    number_types = {kind: "integer" for kind in NUMBER_TYPES}
    expected = {}
    for row in read("gpu_reference.csv"):
        for place, (device, remark) in enumerate(re.findall(r"\b([0-9a-f]{4})\b(?: \(([^)]*)\))?", row["pci_device_ids_10de"])):
            record = performance(row)
            if place > 0 and (remark or record.get("fma_throttled")):
                # Another variant: the chip is the same, its memory is not.
                record["name"] = f"{row['gpu']}, {remark or 'other memory'}"
                for field in ("memory_type", "bus_width_bits", "memory_clock_mhz", "bandwidth_mb_per_second"):
                    record[field] = None
            expected["0x" + device] = record
    write(folder, "performance", "What products can do: units, clocks, memory, and multiply-adds of a multiprocessor in a clock",
          ["gpu_reference.csv: datasheets and white papers, arithmetic-checked, and what was measured on honest cards",
           "memory clock as NVML counts it: bandwidth is twice the clock times the width of the bus",
           "bandwidth_floor_permille: 0.85 of what a streaming test measured, at most 750; 600 where only weaker tests are known",
           "rate_floor_permille, of boost clock x units: 0.6 of what a matrix multiplication measured, at most 500; else 300"],
          "PCI device id",
          {"name": "text", "chip": "text", "compute_capability": "text", "sm_count": "integer", "l2_kib": "integer",
           "memory_type": "text", "bus_width_bits": "integer", "memory_clock_mhz": "integer",
           "bandwidth_mb_per_second": "integer", "bandwidth_floor_permille": "integer", "boost_mhz": "integer",
           "power_watts": "integer", "pcie_generation": "integer", "pcie_width": "integer", **number_types,
           "rate_floor_permille": "integer", "fma_throttled": "bool", "certainty": "text", "source": "text"}, expected)
    write(folder, "chip-rates", "Dense multiply-adds of a multiprocessor in a clock, by kind of chip",
          ["NVIDIA's architecture white papers; every figure of gpu_reference.csv agrees, and where it does not, it has its own record"],
          "compute capability, and geforce or small where such cards have other rates",
          {"chips": "list", **number_types, "native": "text", "certainty": "text", "source": "text"},
          {key: {"chips": chips, **rates, "certainty": "B", "source": "architecture white papers"}
           for key, (chips, rates) in CHIP_RATES.items()})

    by_device = {row["pci_device_id"]: row for row in devices}
    source = subsystems[0]["source"].split(" (")[0]
    names = {}
    for row in subsystems:
        own = by_device.get(row["pci_device_id"])
        if row["subsystem_device_id"] != "0000" and (own is None or own["name"] != row["name"]):
            key = f'0x{row["pci_device_id"]} {row["subsystem_vendor_id"]}:{row["subsystem_device_id"]}'
            names[key] = {"name": row["name"], "certainty": "B", "source": source}
    write(folder, "subsystem-names", "Product names that go with a subsystem id, where they differ from the device id's",
          ["NVIDIA/open-gpu-kernel-modules, g_nv_name_released.h: the driver's own table of names"],
          "PCI device id and subsystem id", {"name": "text", "certainty": "text", "source": "text"}, names)

    forms = {}
    for row in read("gpu_form_factor_by_subsystem.csv"):
        if row["subsystem_device_id"] != "0000":
            form = "module" if row["has_c2c"] == "yes" else row["form_factor"].lower()
            key = f'0x{row["pci_device_id"]} 10de:{row["subsystem_device_id"]}'
            forms[key] = {"form_factor": form, "certainty": "B", "source": row["source"]}
    write(folder, "form-factors", "Form factors by subsystem id", ["NVIDIA/gpu-admin-tools, gpu/devid_properties.py"],
          "PCI device id and subsystem id", {"form_factor": "text", "certainty": "text", "source": "text"}, forms)

    boards = {f"0x{device} {subsystem}": dict(zip(("maker", "model", "cooler", "certainty", "source"), board))
              for (device, subsystem), board in BOARDS.items()}
    write(folder, "boards", "Boards by subsystem id", ["captures, VBIOS images and the PCI ID database"],
          "PCI device id and subsystem id",
          {"maker": "text", "model": "text", "cooler": "text", "certainty": "text", "source": "text"}, boards)
    write(folder, "board-makers", "Board makers by subsystem vendor id", ["the PCI ID database"], "PCI vendor id",
          {"name": "text", "certainty": "text", "source": "text"},
          {f"0x{vendor}": {"name": name, "certainty": "B", "source": "pci.ids"} for vendor, name in MAKERS.items()})

    products = {}
    named = [(row["pci_device_id"], row["name"]) for row in devices]
    named += [(key[2:6], record["name"]) for key, record in names.items()]
    for device, name in named:
        row = by_device.get(device)
        words = tokens(name)
        if row is None or not words or BARE_CODE_NAME.search(name) or "Engineering Sample" in name:
            continue
        product = products.setdefault(" ".join(sorted(set(words))), {
            "name": " ".join(words), "names": set(), "device_ids": set(), "memory_mib": set(), "class": set(),
            "host_memory_gb": set()})
        product["names"].add(name)
        product["device_ids"].add("0x" + device)
        nominal, _ = memory(row)
        product["memory_mib"].update(nominal)
        product["class"].add(classify({**row, "name": name}))
        # A superchip's name counts the memory of its processor.
        if name.startswith("NVIDIA GH200"):
            product["host_memory_gb"].update([120, 480])
    for key, product in products.items():
        plain = [re.sub(r"^NVIDIA |^Tesla |^GeForce |[- ](PCIe|PCIE|SXM\d?|DGXS|FHHL)\b|[- ]?\b\d+ ?GB?\b| HBM\w+"
                        r"| Generation| GPU$", "", re.sub(r"^NVIDIA ", "", name)) for name in product["names"]]
        product["name"] = min((re.sub(r"  +", " ", name).strip(" -") for name in plain), key=lambda it: (len(it), it))
        product["tokens"] = key.split()
        product["class"] = min(product["class"], key=CLASSES.index)
        for field in ("names", "device_ids", "memory_mib", "host_memory_gb"):
            product[field] = sorted(product[field])
        product["certainty"] = min(by_device[device[2:]]["certainty"][0] for device in product["device_ids"])
        product["source"] = "parts/gpu/devices, parts/gpu/subsystem-names"
    write(folder, "products", "Products as sellers name them: all device ids under one name",
          ["parts/gpu/devices and parts/gpu/subsystem-names, their names without maker, memory and form factor"],
          "the words of the name, sorted",
          {"name": "text", "tokens": "list", "names": "list", "device_ids": "list", "memory_mib": "list",
           "host_memory_gb": "list", "class": "text", "certainty": "text", "source": "text"}, products)


if __name__ == "__main__":
    main()
