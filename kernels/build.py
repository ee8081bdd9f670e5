#!/usr/bin/env python3
"""Builds the kernels: .cu -> NVRTC -> PTX -> ptxas -> cubins -> fatbin, with pinned wheels in a virtual environment of its own. No GPU, no driver.

  build.py           builds kernels/built
  build.py --check   builds into a temporary folder; fails if a byte differs from kernels/built, and on what `inspect_sass.py` finds
"""
import argparse
import ctypes
import glob
import hashlib
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
BUILT = os.path.join(HERE, "built")

WHEELS = [
    "nvidia-cuda-nvrtc-cu12==12.9.86",
    "nvidia-cuda-nvcc-cu12==12.9.86",
    "nvidia-nvfatbin-cu12==12.9.82",
    "nvidia-cuda-cuobjdump==13.5.37",
    "nvidia-cuda-nvdisasm==13.5.37",
]

EVERY = ["70", "75", "80", "86", "87", "89", "90a", "100a", "103a", "120a"]
# Module: the targets its fatbin holds, the levels it is shipped as PTX for (what a driver without a cubin for the card translates, and what
# the virtual driver executes).
MODULES = {
    "memory": (EVERY, ["70"]),
    "bandwidth": (EVERY, ["70"]),
    "compute": (EVERY, ["70", "75", "80", "89"]),
    "fingerprint": (EVERY, ["70"]),
    "pulse": (EVERY, ["70"]),
    "wgmma": (["90a"], []),
    "tcgen05": (["100a", "103a"], []),
}
NVRTC_OPTIONS = ["--std=c++17", "--fmad=false", "-diag-suppress=177"]


class BuildError(Exception):
    pass


def toolchain():
    """The folder of the wheels, installed first if need be."""
    pins = hashlib.sha256("\n".join(WHEELS).encode()).hexdigest()[:12]
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    venv = os.path.join(cache, f"yanji-kernels-{pins}")
    done = os.path.join(venv, "complete")
    if not os.path.exists(done):
        subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
        subprocess.run([os.path.join(venv, "bin", "pip"), "install", "--quiet", "--no-deps", *WHEELS], check=True)
        open(done, "w").close()
    return glob.glob(os.path.join(venv, "lib", "python*", "site-packages", "nvidia"))[0]


def tool(name):
    return os.path.join(toolchain(), *{"ptxas": ("cuda_nvcc", "bin"), "cuobjdump": ("cu13", "bin"), "nvdisasm": ("cu13", "bin")}[name], name)


def compile_ptx(module, level, *options):
    """PTX of a module for compute_<level>, without the terminating zero."""
    nvrtc = ctypes.CDLL(os.path.join(toolchain(), "cuda_nvrtc", "lib", "libnvrtc.so.12"))
    headers = sorted(glob.glob(os.path.join(HERE, "*.cuh")) + glob.glob(os.path.join(HERE, "*.h")))
    names = (ctypes.c_char_p * len(headers))(*[os.path.basename(h).encode() for h in headers])
    texts = (ctypes.c_char_p * len(headers))(*[open(h, "rb").read() for h in headers])
    source = open(os.path.join(HERE, module + ".cu"), "rb").read()
    program, size = ctypes.c_void_p(), ctypes.c_size_t()
    if nvrtc.nvrtcCreateProgram(ctypes.byref(program), source, f"{module}.cu".encode(), len(headers), texts, names):
        raise BuildError(f"{module}: nvrtcCreateProgram failed")
    options = [f"--gpu-architecture=compute_{level}", *NVRTC_OPTIONS, *options]
    failed = nvrtc.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*[o.encode() for o in options]))
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    messages = [line for line in log.value.decode().splitlines() if line and "are deprecated and may be removed" not in line]
    if failed or messages:
        raise BuildError(f"{module} for compute_{level}:\n" + "\n".join(messages))
    nvrtc.nvrtcGetPTXSize(program, ctypes.byref(size))
    ptx = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetPTX(program, ptx)
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return ptx.value


def assemble(ptx, target):
    """(cubin, ptxas's report). The address-space layout is fixed: some cubins vary with it."""
    with tempfile.TemporaryDirectory() as folder:
        source, cubin = os.path.join(folder, "k.ptx"), os.path.join(folder, "k.cubin")
        with open(source, "wb") as f:
            f.write(ptx)
        run = subprocess.run(
            ["setarch", "-R", tool("ptxas"), f"-arch=sm_{target}", "-O3", "-v", "-o", cubin, source], capture_output=True, text=True
        )
        if run.returncode:
            raise BuildError(f"ptxas sm_{target}:\n{run.stderr}")
        with open(cubin, "rb") as f:
            return f.read(), run.stderr


def bundle(cubins):
    """A compressed fatbin of [(target, cubin)]."""
    nvfatbin = ctypes.CDLL(os.path.join(toolchain(), "nvfatbin", "lib", "libnvfatbin.so.12"))
    handle, size = ctypes.c_void_p(), ctypes.c_size_t()
    options = (ctypes.c_char_p * 2)(b"-64", b"-compress-all")

    def call(name, *arguments):
        if getattr(nvfatbin, name)(*arguments):
            raise BuildError(f"{name} failed")

    call("nvFatbinCreate", ctypes.byref(handle), options, ctypes.c_size_t(2))
    for target, cubin in cubins:
        call("nvFatbinAddCubin", handle, cubin, ctypes.c_size_t(len(cubin)), target.encode(), b"")
    call("nvFatbinSize", handle, ctypes.byref(size))
    fatbin = ctypes.create_string_buffer(size.value)
    call("nvFatbinGet", handle, fatbin)
    nvfatbin.nvFatbinDestroy(ctypes.byref(handle))
    return fatbin.raw


def compile_target(job):
    module, target = job
    cubin, report = assemble(compile_ptx(module, target), target)
    shipped = compile_ptx(module, target, f"-DYANJI_PTX_LEVEL={target}") if target in MODULES[module][1] else None
    return module, target, shipped, cubin, report


def build(folder):
    """Writes every product into folder. Returns {(module, target): (cubin, report)}."""
    os.makedirs(folder, exist_ok=True)
    toolchain()
    jobs = [(module, target) for module, (targets, _) in MODULES.items() for target in targets]
    jobs.sort(key=lambda job: job[0] not in ("compute", "wgmma", "tcgen05"))
    with multiprocessing.Pool(2) as pool:
        results = pool.map(compile_target, jobs, chunksize=1)
    products, compiled = {}, {}
    for module, target, ptx, cubin, report in results:
        compiled[module, target] = (cubin, report)
        if ptx:
            products[f"{module}.ptx" if len(MODULES[module][1]) == 1 else f"{module}_{target}.ptx"] = ptx
    for module, (targets, _) in MODULES.items():
        products[f"{module}.fatbin"] = bundle([(target, compiled[module, target][0]) for target in targets])
    for name, content in products.items():
        with open(os.path.join(folder, name), "wb") as f:
            f.write(content)
    with open(os.path.join(folder, "SHA256SUMS"), "w") as f:
        for name in sorted(products):
            f.write(f"{hashlib.sha256(products[name]).hexdigest()}  {name}\n")
    print(f"{len(products)} products, {sum(map(len, products.values()))} bytes, in {folder}")
    return compiled


def differences(fresh, committed):
    """What is not the same byte for byte in two folders."""
    names = sorted(set(os.listdir(fresh)) | set(os.listdir(committed)))
    for name in names:
        contents = []
        for folder in (fresh, committed):
            try:
                with open(os.path.join(folder, name), "rb") as f:
                    contents.append(f.read())
            except FileNotFoundError:
                contents.append(None)
        if contents[0] != contents[1]:
            yield f"{name}: " + ("not the committed bytes" if None not in contents else "only in one of the two folders")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with kernels/built and inspect the machine code")
    arguments = parser.parse_args()
    try:
        if not arguments.check:
            build(BUILT)
            return 0
        import inspect_sass

        with tempfile.TemporaryDirectory() as folder:
            compiled = build(folder)
            failures = list(differences(folder, BUILT))
        failures += inspect_sass.inspect(compiled, tool("cuobjdump"))
    except BuildError as error:
        failures = [str(error)]
    for failure in failures:
        print(f"FAIL {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
