"""What the machine code of the kernels must look like: spills, warnings, registers, the instructions meant, and the steady loops.

Counts are of static instructions in the steady loop: the smallest loop that holds at least half of the instructions of the kind that the
kernel is for. NOPs are not counted as instructions: ptxas paces a pipe that takes one instruction in so many cycles with them.
Nothing disassembles sm_70 any more, so there only ptxas's own report counts.
"""
import multiprocessing
import os
import re
import subprocess
import tempfile

# Registers a thread may use, by the start of the kernel's name; the longest start that fits counts.
REGISTERS = {
    "memory_": 80,
    "bandwidth_": 56,
    "fingerprint_": 64,
    "compute_": 96,
    "compute_f64_tensor": 240,
    "pulse": 96,
    "wgmma_": 168,
    "tcgen05_": 64,
}

# (kernel, target or None for all others) -> the instruction that does the work.
WORK = {
    ("compute_f32", None): "FFMA",
    ("compute_f64", None): "DFMA",
    ("compute_f16", "75"): "HMMA.1688.F32",
    ("compute_f16", None): "HMMA.16816.F32",
    ("compute_bf16", None): "HMMA.16816.F32.BF16",
    ("compute_tf32", None): "HMMA.1688.F32.TF32",
    ("compute_s8", "75"): "IMMA.8816.S8.S8",
    ("compute_s8", None): "IMMA.16832.S8.S8",
    ("compute_f64_tensor", "90a"): "DMMA.16x8x16",
    ("compute_f64_tensor", "80"): "DMMA.884",
    ("compute_f64_tensor", "86"): "DMMA.884",
    ("compute_f64_tensor", "87"): "DMMA.884",
    ("compute_f64_tensor", "89"): "DMMA.884",
    ("compute_f64_tensor", None): "DMMA.8x8x4",
    ("compute_e4m3", None): "QMMA.16832.F32.E4M3.E4M3",
    ("compute_e2m1", None): "OMMA.SF.16864.F32.E2M1.E2M1.UE4M3.4X",
    ("fingerprint_f32_split", None): "FMUL|FADD",
    ("pulse", "70"): "FFMA",
    ("pulse", "75"): "FFMA",
    ("pulse", None): "HMMA.16816.F32",
    ("wgmma_f16", None): "HGMMA.64x256x16.F32",
    ("wgmma_bf16", None): "HGMMA.64x256x16.F32.BF16",
    ("wgmma_tf32", None): "HGMMA.64x256x8.F32.TF32",
    ("wgmma_e4m3", None): "QGMMA.64x256x32.F32.E4M3.E4M3",
    ("wgmma_s8", None): "IGMMA.64x256x32.S8.S8",
    ("tcgen05_f16", None): "UTCHMMA",
    ("tcgen05_bf16", None): "UTCHMMA",
    ("tcgen05_tf32", None): "UTCHMMA",
    ("tcgen05_e4m3", None): "UTCQMMA",
    ("tcgen05_s8", None): "UTCIMMA",
    ("tcgen05_e2m1", "103a"): "UTCOMMA.BLOCK16",
    ("tcgen05_e2m1", None): "UTCOMMA.4X",
}
# Module -> [(kernels, first level that has them or the targets that do)].
KERNELS = {
    "memory": [("memory_fill memory_verify memory_march memory_thrash", 70)],
    "bandwidth": [("bandwidth_read bandwidth_write bandwidth_copy bandwidth_triad bandwidth_region bandwidth_gate", 70)],
    "compute": [
        ("compute_f32 compute_f64 compute_f16", 70),
        ("compute_s8", 75),
        ("compute_bf16 compute_tf32 compute_f64_tensor", 80),
        ("compute_e4m3", ["89", "120a"]),
        ("compute_e2m1", ["120a"]),
    ],
    "fingerprint": [("fingerprint_census fingerprint_ring fingerprint_chase fingerprint_latency fingerprint_f32_split", 70)],
    "pulse": [("pulse", 70)],
    "wgmma": [("wgmma_f16 wgmma_bf16 wgmma_tf32 wgmma_e4m3 wgmma_s8", 90)],
    "tcgen05": [("tcgen05_f16 tcgen05_bf16 tcgen05_tf32 tcgen05_e4m3 tcgen05_e2m1", 100), ("tcgen05_s8", ["100a"])],
}

LEAST_SHARE = 0.90

# Kernel -> 16-byte loads and stores of its steady loop (at least), most integer instructions for 16 bytes on the longest path.
STREAMS = {
    "memory_fill": (0, 4, 40),
    "memory_verify": (4, 0, 64),
    "memory_march": (4, 4, 80),
    "memory_thrash": (4, 0, 64),
    "bandwidth_read": (8, 0, 8),
    "bandwidth_write": (0, 8, 16),
    "bandwidth_copy": (8, 8, 8),
    "bandwidth_triad": (8, 4, 8),
    "bandwidth_region": (8, 0, 8),
}
LEAST_IN_FLIGHT = 4
LOAD, STORE = r"LDG\.E(\.\w+)*\.128(\.\w+)*", r"STG\.E(\.\w+)*\.128(\.\w+)*"
# Only errors get here.
COLD = r"ATOM|RED|POPC"
NOT_ARITHMETIC = r"LDG|STG|LDS|STS|LDC|ULDC|BRA|BSSY|BSYNC|BAR|NOP|EXIT|CALL|RET|WARPSYNC"


def longest_start(table, name):
    return max((start for start in table if name.startswith(start)), key=len, default=None)


def wanted_kernels(module, target):
    level = int(target.rstrip("a"))
    return {
        kernel
        for kernels, where in KERNELS[module]
        if (target in where if isinstance(where, list) else level >= where)
        for kernel in kernels.split()
    }


def ptxas_report(module, target, report):
    """Failures out of what ptxas -v says."""
    failures, registers, kernel = [], {}, None
    for line in report.splitlines():
        if found := re.search(r"Compiling entry function '(\w+)'", line):
            kernel = found.group(1)
        if found := re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", line):
            if any(int(n) for n in found.groups()):
                failures.append(f"{module} sm_{target} {kernel}: stack or spills: {line.strip()}")
        if found := re.search(r"Used (\d+) registers", line):
            registers[kernel] = int(found.group(1))
            budget = REGISTERS[longest_start(REGISTERS, kernel)]
            if registers[kernel] > budget:
                failures.append(f"{module} sm_{target} {kernel}: {registers[kernel]} registers, budget {budget}")
        if re.search(r"\bC7[0-9]{3}\b|warning", line):
            failures.append(f"{module} sm_{target}: {line.strip()}")
    missing = wanted_kernels(module, target) ^ set(registers)
    failures += [f"{module} sm_{target}: {kernel} is missing or not wanted" for kernel in sorted(missing)]
    return failures


def disassemble(cuobjdump, cubin):
    """{kernel: [(address, opcode, operands, predicated)]}"""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "k.cubin")
        with open(path, "wb") as f:
            f.write(cubin)
        text = subprocess.run([cuobjdump, "-sass", path], capture_output=True, text=True, check=True).stdout
    kernels, code = {}, None
    for line in text.splitlines():
        if found := re.search(r"Function : (\w+)", line):
            code = kernels[found.group(1)] = []
        elif found := re.match(r"\s+/\*([0-9a-f]+)\*/\s+(@!?U?P\w+\s+)?([A-Z][\w.]*)\s*([^;]*);", line):
            code.append((int(found.group(1), 16), found.group(3), found.group(4), bool(found.group(2))))
    return kernels


def branch_target(instruction):
    address, opcode, operands, _ = instruction
    found = re.search(r"\b0x([0-9a-f]+)\s*$", operands.split("(")[0].strip()) if opcode.startswith("BRA") else None
    return int(found.group(1), 16) if found else None


def is_jump(instruction):
    # BRA with a uniform or second predicate is conditional even without @P.
    return instruction[1].startswith("BRA") and not instruction[3] and not re.match(r"!?U?P\d", instruction[2])


def loops(code):
    """Address ranges of all loops, by their backward branches. A trap at the end that jumps to itself is none."""
    return [(t, i[0]) for i in code if (t := branch_target(i)) is not None and t < i[0]]


def steady_loop(code, pattern):
    """The instructions of the smallest loop with at least half of the most matches, or None."""

    def matches(loop):
        return sum(bool(re.fullmatch(pattern, op)) for at, op, _, _ in code if loop[0] <= at <= loop[1])

    found = [loop for loop in loops(code) if matches(loop)]
    if not found:
        return None
    enough = max(map(matches, found)) / 2
    first, last = min((loop for loop in found if matches(loop) >= enough), key=lambda loop: loop[1] - loop[0])
    return [i for i in code if first <= i[0] <= last]


def path_lengths(loop):
    """(fewest, most) arithmetic instructions of one turn of a loop without errors. Inner loops count once."""
    by_address = {i[0]: i for i in loop}
    following = {a[0]: b[0] for a, b in zip(loop, loop[1:])}
    best = {}
    for instruction in reversed(loop):
        address, opcode, _, _ = instruction
        if address == loop[-1][0]:
            best[address] = (0, 0)
            continue
        nexts = []
        target = branch_target(instruction)
        if target is not None and target > address and target in by_address:
            nexts.append(target)
        if not is_jump(instruction) and not (opcode.startswith("EXIT") and not instruction[3]):
            nexts.append(following[address])
        ends = [best[n] for n in nexts if best.get(n)]
        if re.match(COLD, opcode) or not ends:
            best[address] = None
            continue
        cost = 0 if re.match(NOT_ARITHMETIC, opcode) else 1
        best[address] = (min(e[0] for e in ends) + cost, max(e[1] for e in ends) + cost)
    return best[loop[0][0]]


def loads_before_use(loop):
    """Most 16-byte loads issued before the first instruction that reads one of them."""
    most, pending = 0, set()
    for _, opcode, operands, _ in loop:
        parts = [p.strip() for p in operands.split(",")]
        sources = set(re.findall(r"\bR(\d+)\b", ",".join(parts if opcode.startswith("ST") else parts[1:])))
        if pending & sources:
            pending = set()
        if re.fullmatch(LOAD, opcode):
            first = int(re.search(r"R(\d+)", parts[0]).group(1))
            pending |= {str(first + word) for word in range(4)}
            most = max(most, len(pending) // 4)
    return most


def inspect_work(name, target, code):
    """A failure or None, and a line about the steady loop."""
    wanted = WORK.get((name, target), WORK.get((name, None)))
    pattern = "|".join(re.escape(w) + r"(\.\w+)*" for w in wanted.split("|"))
    loop = steady_loop(code, pattern)
    if loop is None:
        return f"{name} sm_{target}: no {wanted} in a loop", None
    work = sum(bool(re.fullmatch(pattern, op)) for _, op, _, _ in loop)
    pauses = sum(op == "NOP" for _, op, _, _ in loop)
    issued = len(loop) - pauses
    share = work / issued
    line = f"{name:22} sm_{target:5} {share:6.1%}  {work} of {issued} instructions, {pauses} NOPs, {wanted}"
    return (f"{line}: below {LEAST_SHARE:.0%}" if share < LEAST_SHARE else None), line


def inspect_stream(name, target, code):
    loads, stores, budget = STREAMS[name]
    loop = steady_loop(code, f"{LOAD}|{STORE}")
    if loop is None:
        return f"{name} sm_{target}: no 16-byte access in a loop", None
    count = {pattern: sum(bool(re.fullmatch(pattern, op)) for _, op, _, _ in loop) for pattern in (LOAD, STORE)}
    in_flight = loads_before_use(loop)
    # The kernels that dispatch over patterns hold one group of stores for each.
    vectors = max(loads, stores)
    lengths = path_lengths(loop)
    if lengths is None:
        return f"{name} sm_{target}: no way through the loop", None
    fewest, most = (n / vectors for n in lengths)
    line = f"{name:22} sm_{target:5} {in_flight} loads in flight, {fewest:.0f} to {most:.0f} arithmetic instructions for 16 bytes"
    if in_flight < min(loads, LEAST_IN_FLIGHT) or count[LOAD] < loads or count[STORE] < stores or most > budget:
        return f"{line}: wanted {loads} loads, {stores} stores, at most {budget} instructions", line
    return None, line


def inspect_cubin(job):
    module, target, cubin, report, cuobjdump = job
    failures, lines = ptxas_report(module, target, report), []
    if target == "70":
        return failures, lines
    for name, code in sorted(disassemble(cuobjdump, cubin).items()):
        for applies, check in ((any(k == name for k, _ in WORK), inspect_work), (name in STREAMS, inspect_stream)):
            if applies:
                failure, line = check(name, target, code)
                failures += [failure] if failure else []
                lines += [line] if line else []
    return failures, lines


def inspect(compiled, cuobjdump):
    """All failures; prints a line for each steady loop."""
    jobs = [(module, target, cubin, report, cuobjdump) for (module, target), (cubin, report) in compiled.items()]
    failures, lines = [], []
    with multiprocessing.Pool(2) as pool:
        for found, told in pool.map(inspect_cubin, jobs, chunksize=1):
            failures += found
            lines += told
    print("\n".join(sorted(lines)))
    return failures
