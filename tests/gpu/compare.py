#!/usr/bin/env python3
"""What a burn-in measured against what the card can do, and against other tools. compare.py FOLDER KNOWN STATUS [dry]

Reads burn.json (yanji burn --format json), answers (run_on_gpu.py), gpu-burn, gemm and skipped in the folder; prints one JSON object, also where
they are cut off. Exits with 1 if an aim was missed. What was not measured, is zero or is no number misses its aim.
"""
import json
import math
import pathlib
import re
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Least share of the memory's theoretical bandwidth, and of dense FP16 at the measured clock.
MEMORY, FP16 = 0.92, 0.85
# No card does more than it can: then the measurement or the table is wrong.
MOST = 1.02


def main():
    folder, known, status, dry = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), "dry" in sys.argv[4:]
    burn, why = result(folder / "burn.json", status)
    records = tomllib.loads((ROOT / "signatures/parts/gpu/performance.toml").read_text())["records"]
    other = {"gpu_burn_tflops": gpu_burn(folder / "gpu-burn"), "cublas_fp16_tflops": number(folder / "gemm")}
    gpus, missed = {}, []
    if known:
        missed.append("a kernel does not give its known answer")
    if status:
        missed.append(f"yanji burn ended with {status}")
    if why:
        missed.append(why)
    elif not burn["gpus"]:
        missed.append("the burn-in found no GPU")
    for address, gpu in burn["gpus"].items():
        found = fractions(gpu, record(address, gpu, records))
        gpus[address] = found
        for name, least in (("memory_fraction", MEMORY), ("fp16_fraction", FP16)):
            if found[name] is None:
                missed.append(f"{address}: {name} could not be computed")
            elif found[name] < least:
                missed.append(f"{address}: {name} is {found[name]}, and {least} is the aim")
            elif found[name] > MOST:
                missed.append(f"{address}: {name} is {found[name]}, which cannot be")
        if (ended := (gpu["outcome"] or {}).get("outcome")) != "finished":
            missed.append(f"{address}: its burn-in {ended or 'was cut off'}")
        for kind in ("memory_errors", "compute_errors"):
            if found[kind]:
                missed.append(f"{address}: {found[kind]} {kind.replace('_', ' ')}")
    fastest = max((gpu["fp16_tflops"] or 0 for gpu in gpus.values()), default=0)
    for name, value in other.items():
        if value and fastest < value:
            missed.append(f"{name} is {value}, and yanji reaches {fastest}")
    report = {
        "ran": not why, **({"reason": why} if why else {}), "simulated": dry, "known_answers": answers(folder / "answers", known), "gpus": gpus, **other,
        "skipped": (folder / "skipped").read_text().splitlines(), "missed": missed,
    }
    print(json.dumps(report, indent=2))
    # Times of the virtual driver are a model: only that everything ran counts there.
    return bool(known or status or not gpus) if dry else bool(missed)


def result(path, status):
    """What the burn-in printed, and why it is nothing."""
    try:
        burn = json.loads(path.read_text())
        if isinstance(burn["gpus"], dict):
            return burn, None
    except (ValueError, TypeError, KeyError):
        pass
    return {"gpus": {}}, f"the burn-in gave no result (exit status {status})"


def positive(value):
    """A number that can be a measurement; None for anything else."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if is_number and math.isfinite(value) and value > 0 else None


def answers(path, known):
    """How many of the kernels' answers are right, and each that is not."""
    lines = path.read_text(errors="replace").splitlines()
    starting = lambda *words: [line.strip() for line in lines if line.startswith(words)]
    return {
        "passed": known == 0, "same": len(starting("same")), "wrong": starting("DIFFERS", "BROKEN"),
        "not_here": starting("missing"), "summary": lines[-1] if lines else "",
    }


def record(address, gpu, records):
    """The product by its device id; where sysfs has none, by a name that only one product has."""
    try:
        return records.get(pathlib.Path(f"/sys/bus/pci/devices/{address}/device").read_text().strip())
    except OSError:
        name = (gpu["identity"] or {}).get("name", "").replace("NVIDIA ", "").replace("GeForce ", "")
        return next((it for it in records.values() if it["name"] == name), None)


def fractions(gpu, product):
    identity, telemetry = gpu["identity"] or {}, gpu["telemetry"]
    median = lambda name: positive((gpu["measurements"].get(name) or {}).get("distribution", {}).get("median"))
    clock = lambda name: positive((telemetry.get(name) or {}).get("median"))
    bandwidth = max((median(name) or 0 for name in ("read", "copy", "triad")), default=0)
    bus, memory_mhz, sm_mhz = positive(identity.get("bus_width_bits")), clock("memory_mhz"), clock("sm_mhz")
    rate, sms, each = median("rate-fp16"), median("sm-count"), (product or {}).get("fp16")
    # Multiply-adds in 1000 clocks as the SMs counted them meanwhile: the clock of the whole run is another one.
    in_clocks = median("ops-fp16")
    share = lambda part, whole: round(part / whole, 3) if part and whole else None
    # MB/s of two transfers a clock; GFLOP/s of a multiply-add as two operations.
    theory = memory_mhz and bus and memory_mhz * 2 * bus / 8
    return {
        "name": identity.get("name"), "product": product and product["name"],
        "memory_gb_per_second": bandwidth / 1000 or None, "memory_fraction": share(bandwidth, theory),
        "fp16_tflops": rate and rate / 1000, "fp16_fraction": share(in_clocks, each and each * 1000),
        "sm_mhz": sm_mhz, "memory_mhz": memory_mhz, "sm_count": sms,
        "memory_errors": gpu["totals"]["memory_errors"], "compute_errors": gpu["totals"]["compute_errors"],
        "bad_sms": gpu["totals"]["bad_sms"],
        "not_validated": sorted(name for name, test in gpu["kernels"].items() if test["failure"]),
        "missing": {name: why for name, why in gpu["missing"].items() if why},
        "outcome": gpu["outcome"],
    }


def gpu_burn(path):
    """The best rate that gpu_burn printed."""
    rates = [float(it) for it in re.findall(r"\(([\d.]+) Gflop/s\)", path.read_text(errors="replace"))]
    return positive(round(max(rates) / 1000, 1)) if rates else None


def number(path):
    """The number that a tool left, if it came so far."""
    try:
        return positive(float(path.read_text()))
    except ValueError:
        return None


if __name__ == "__main__":
    sys.exit(main())
