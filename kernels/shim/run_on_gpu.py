#!/usr/bin/env python3
"""Compares what the built kernels compute with known_answers.jsonl, on whatever GPU a driver has: the real one, or the virtual driver of the tests.

  run_on_gpu.py [--ptx] [LIBCUDA]

Takes the fatbins; with --ptx, or where the driver has no use for them, every PTX module that is shipped. Prints a line for each answer and
exits with 1 if one differs. Kernels that the GPU does not have are left out and named at the end. Each file of kernels has a process of its
own, and each kernel of wgmma and tcgen05: one that breaks its context, or never ends, leaves the others to be tested.
"""
import ctypes
import json
import os
import signal
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
BUILT = os.path.join(os.path.dirname(HERE), "built")

u32, u64 = ctypes.c_uint32, ctypes.c_uint64
NOT_FOUND = 500
DYNAMIC_SHARED = 8  # CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
LOG_WORDS, RECORD_WORDS = 16, 8
# All answers of a group take a second on a card.
GROUP_SECONDS = 40


class Missing(Exception):
    """The GPU has no such kernel."""


class Gpu:
    def __init__(self, library, ptx_only):
        self.cuda = ctypes.CDLL(library)
        self.ptx_only = ptx_only
        self.modules = {}
        device, context = ctypes.c_int(), ctypes.c_void_p()
        self.call("cuInit", 0)
        self.call("cuDeviceGet", ctypes.byref(device), 0)
        self.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        self.call("cuCtxSetCurrent", context)
        major, minor = ctypes.c_int(), ctypes.c_int()
        self.call("cuDeviceGetAttribute", ctypes.byref(major), 75, device)
        self.call("cuDeviceGetAttribute", ctypes.byref(minor), 76, device)
        self.level = major.value * 10 + minor.value
        if not ptx_only and self.module("memory.fatbin") is None:
            self.ptx_only = True

    def call(self, name, *arguments):
        result = getattr(self.cuda, name)(*arguments)
        if result:
            raise SystemExit(f"{name}: CUDA error {result}")

    def module(self, name):
        """A loaded module, or None where the driver does not take it."""
        if name not in self.modules:
            with open(os.path.join(BUILT, name), "rb") as f:
                image = f.read() + b"\0"
            module = ctypes.c_void_p()
            failed = self.cuda.cuModuleLoadData(ctypes.byref(module), image)
            self.modules[name] = None if failed else module
        return self.modules[name]

    def launch(self, module, kernel, blocks, threads, *arguments, shared=0):
        loaded = self.module(module)
        function = ctypes.c_void_p()
        if loaded is None or self.cuda.cuModuleGetFunction(ctypes.byref(function), loaded, kernel.encode()) == NOT_FOUND:
            raise Missing(f"{kernel} of {module}")
        if shared:
            self.call("cuFuncSetAttribute", function, DYNAMIC_SHARED, shared)
        pointers = (ctypes.c_void_p * len(arguments))(*[ctypes.cast(ctypes.pointer(a), ctypes.c_void_p) for a in arguments])
        self.call("cuLaunchKernel", function, blocks, 1, 1, threads, 1, 1, shared, None, pointers, None)
        self.call("cuCtxSynchronize")

    def memory(self, size):
        address = u64()
        self.call("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(size))
        return address

    def pinned(self, size):
        """(address here, address on the GPU) of host-mapped memory."""
        here, there = ctypes.c_void_p(), u64()
        self.call("cuMemHostAlloc", ctypes.byref(here), ctypes.c_size_t(size), 3)
        self.call("cuMemHostGetDevicePointer_v2", ctypes.byref(there), here, 0)
        return here.value, there

    def read(self, address, size):
        data = ctypes.create_string_buffer(size)
        self.call("cuMemcpyDtoH_v2", data, address, ctypes.c_size_t(size))
        return data.raw

    def write(self, address, data):
        self.call("cuMemcpyHtoD_v2", address, bytes(data), ctypes.c_size_t(len(data)))


def fnv(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def flip(data, vector, word, mask):
    at = vector * 16 + word * 4
    struct.pack_into("<I", data, at, struct.unpack_from("<I", data, at)[0] ^ mask)


# Which PTX module has an answer's kernel, by the shape of its instruction.
PTX_OF = {
    ("compute_f16", "m8n8k4"): "compute_70",
    ("compute_f16", "m16n8k8"): "compute_75",
    ("compute_s8", "m8n8k16"): "compute_75",
    ("compute_e4m3", "m16n8k32"): "compute_89",
    ("compute_f32", "any"): "compute_70",
    ("compute_f64", "any"): "compute_70",
    ("fingerprint_f32_split", "any"): "fingerprint",
}
NOT_AS_PTX = [("compute_e2m1", "m16n8k64"), ("compute_f64_tensor", "m16n8k16"), (None, "m64n256"), (None, "128x256")]


def native_shape(kernel, level):
    """The shape that the cubin for this level uses."""
    if kernel == "compute_f16":
        return "m8n8k4" if level < 75 else "m16n8k8" if level < 80 else "m16n8k16"
    if kernel == "compute_s8":
        return "m8n8k16" if level < 80 else "m16n8k32"
    if kernel == "compute_f64_tensor":
        return "m16n8k16" if level == 90 else "m8n8k4"
    return None


class Answers:
    """Runs the kernel of an answer and gives back what it found, in the answer's words."""

    def __init__(self, gpu):
        self.gpu = gpu
        self.size = 60000 * 16 * 7
        self.a, self.b, self.c = (gpu.memory(self.size) for _ in range(3))
        self.out, self.out_there = gpu.pinned(4096)
        self.log, self.log_there = gpu.pinned(8192)

    def image(self, name):
        return f"{name}.ptx" if self.gpu.ptx_only else f"{name}.fatbin"

    def fresh_log(self, capacity):
        ctypes.memset(self.log, 0, 8192)
        words = (u64 * LOG_WORDS).from_address(self.log)
        words[0], words[5] = capacity, 0xFFFFFFFFFFFFFFFF

    def log_words(self):
        return [f"{word:016x}" for word in (u64 * LOG_WORDS).from_address(self.log)]

    def fold(self, answer):
        kernel, variant = answer["kernel"], answer["variant"]
        if self.gpu.ptx_only:
            if (kernel, variant) in NOT_AS_PTX or (None, variant) in NOT_AS_PTX:
                raise Missing(f"{kernel} {variant} as PTX")
            image = PTX_OF.get((kernel, variant), "compute_80") + ".ptx"
        else:
            if native_shape(kernel, self.gpu.level) not in (None, variant):
                raise Missing(f"{kernel} {variant}")
            image = kernel.split("_")[0] + ".fatbin"
        threads = 128 if kernel.startswith("tcgen05") else 256
        shared = 65536 if variant in ("m64n256", "128x256") else 0
        parameters = u32(answer["iterations"]), u32(answer["seed"]), u32(answer["mode"])
        self.gpu.launch(image, kernel, 2, threads, self.out_there, *parameters, shared=shared)
        records = (u64 * 8).from_address(self.out)
        folds = {f"{records[0]:016x}", f"{records[4]:016x}"}
        return {"fold": folds.pop() if len(folds) == 1 else "blocks disagree"}

    def memory(self, answer):
        kernel, count = answer["kernel"], answer["count"]
        first, mode, seed, descending = u64(answer["first_index"]), u32(answer["mode"]), u32(answer["seed"]), u32(answer["descending"])

        def run(name):
            self.gpu.launch(self.image("memory"), name, 3, 256, self.a, u64(count), first, mode, seed, descending, self.log_there)

        if kernel == "planted errors":
            run("memory_verify")  # of a clean buffer: only its count of checked vectors stays in the log
            data = bytearray(self.gpu.read(self.a, count * 16))
            flip(data, 777, 2, 1 << 5)
            flip(data, 1024, 0, 0x80000001)
            flip(data, count - 1, 0, 2)
            flip(data, count - 1, 3, 4)
            data[40000 * 16 : 40001 * 16] = data[123 * 16 : 124 * 16]
            self.gpu.write(self.a, data)
        else:
            if kernel != "memory_verify":
                self.fresh_log(2 if kernel == "memory_march" else 64)
            run(kernel)
        return {"checksum": fnv(self.gpu.read(self.a, count * 16)), "log": self.log_words()}

    def memory_thrash(self, answer):
        rows, row_vectors, seed = answer["rows"], answer["row_vectors"], u32(answer["seed"])
        size = rows * row_vectors * 16
        self.fresh_log(8)
        image, mode = self.image("memory"), u32(answer["mode"])
        self.gpu.launch(image, "memory_fill", 3, 256, self.a, u64(rows * row_vectors), u64(0), mode, seed, u32(0), self.log_there)
        data = bytearray(self.gpu.read(self.a, size))
        flip(data, rows * row_vectors - 1, 1, 1)
        self.gpu.write(self.a, data)
        self.gpu.launch(image, "memory_thrash", 3, 256, self.a, u64(rows), u64(row_vectors), u64(0), mode, seed, self.log_there)
        return {"log": self.log_words()}

    def bandwidth(self, answer):
        kernel, count, image = answer["kernel"], u64(answer.get("count", 0)), self.image("bandwidth")
        ctypes.memset(self.out, 0, 4096)
        if kernel == "bandwidth_write":
            target, arguments = self.b, (self.b, count, u32(answer["seed"]))
        elif kernel == "bandwidth_copy":
            target, arguments = self.c, (self.c, self.b, count)
        elif kernel == "bandwidth_triad":
            target, arguments = self.a, (self.a, self.b, self.c, count, u32(answer["scalar"]))
        elif kernel == "bandwidth_read":
            target, arguments = None, (self.a, count, self.out_there)
        else:
            target, arguments = None, (self.a, u64(answer["regions"]), u64(answer["region_vectors"]), self.log_there, self.out_there)
        self.gpu.launch(image, kernel, 3, 256, *arguments)
        if target is None:
            return {"out": list((u32 * 4).from_address(self.out))}
        return {"checksum": fnv(self.gpu.read(target, count.value * 16))}

    def fingerprint(self, answer):
        image, nodes, words = self.image("fingerprint"), answer["nodes"], answer["node_words"]
        if answer["kernel"] == "fingerprint_ring":
            self.gpu.write(self.b, bytes(nodes * words * 4))
            parameters = u32(nodes), u32(words), u32(answer["multiplier"]), u32(answer["increment"])
            self.gpu.launch(image, "fingerprint_ring", 3, 256, self.b, *parameters)
            return {"checksum": fnv(self.gpu.read(self.b, nodes * words * 4))}
        self.gpu.launch(image, "fingerprint_chase", 1, 32, self.b, u32(0), u64(answer["warm_hops"]), u64(answer["hops"]), self.out_there)
        return {"last": (u64 * 4).from_address(self.out)[2]}

    def found(self, answer):
        kernel = answer["kernel"]
        if "fold" in answer:
            return self.fold(answer)
        if kernel == "memory_thrash":
            return self.memory_thrash(answer)
        if kernel.startswith("bandwidth"):
            return self.bandwidth(answer)
        if kernel.startswith("fingerprint"):
            return self.fingerprint(answer)
        return self.memory(answer)


def group(answer):
    """What shares a process: later answers of memory and bandwidth read what earlier ones wrote."""
    kernel = answer["kernel"]
    if kernel == "planted errors":
        return "memory"
    return kernel if kernel.startswith(("wgmma", "tcgen05")) else kernel.split("_")[0]


def run_group(library, ptx_only, answers, seconds):
    """Prints a line for each answer; the exit status says whether one differs."""
    # Kills even a process that waits inside of the driver.
    signal.alarm(seconds)
    gpu = Gpu(library, ptx_only)
    run, differing = Answers(gpu), 0
    for answer in answers:
        name = " ".join(str(answer[key]) for key in ("kernel", "variant", "mode", "iterations") if key in answer)
        try:
            found = run.found(answer)
        except Missing as what:
            print(f"missing {what}", flush=True)
            continue
        wrong = {key: value for key, value in found.items() if answer[key] != value}
        if answer["kernel"] == "planted errors":
            wrong.pop("log", None)
        differing += bool(wrong)
        print(f"{'DIFFERS' if wrong else 'same   '} {name} {wrong or ''}", flush=True)
    return 1 if differing else 0


def in_child(work):
    """Runs work in a process of its own; why it failed, or None."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = work()
        except SystemExit as end:
            print(f"BROKEN  {end}", flush=True)
        finally:
            # What is left of the driver could hang.
            os._exit(status)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return "never ends" if os.WTERMSIG(status) == signal.SIGALRM else f"dies of signal {os.WTERMSIG(status)}"
    return None if os.WEXITSTATUS(status) == 0 else "differs or breaks"


def main():
    arguments = [a for a in sys.argv[1:] if a != "--ptx"]
    library, ptx_only = arguments[0] if arguments else "libcuda.so.1", "--ptx" in sys.argv
    # An interpreter is slower than a card.
    seconds = GROUP_SECONDS * (5 if ptx_only else 1)
    groups = {}
    with open(os.path.join(HERE, "known_answers.jsonl")) as f:
        for answer in map(json.loads, f):
            groups.setdefault(group(answer), []).append(answer)

    def told():
        gpu = Gpu(library, ptx_only)
        print(f"compute capability {gpu.level}, {'PTX' if gpu.ptx_only else 'cubins'}", flush=True)
        return 0

    if in_child(told):
        return 1
    failed = []
    for name, answers in groups.items():
        why = in_child(lambda: run_group(library, ptx_only, answers, seconds))
        if why:
            failed.append(f"{name} {why}")
    print(f"{len(failed)} of {len(groups)} groups failed{': ' + '; '.join(failed) if failed else ''}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
