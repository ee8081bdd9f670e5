#!/usr/bin/env python3
"""Dense FP16 multiplication with FP32 sums by cuBLAS on the first GPU: prints the best TFLOPS of 200. Exits with 3 without cuBLAS,
with 1 where a call fails, and then prints nothing but what failed.

Looks for libcublas where the loader does, in the wheels nvidia-cublas-cu12 and nvidia-cublas, and in /usr/local. Operands are random: constants draw
less power and go faster.
"""
import ctypes
import glob
import os
import site
import sys

N = 8192
FP16, FP32, COMPUTE_32F, TENSOR = 2, 0, 68, 99


def library():
    folders = site.getsitepackages() + [site.getusersitepackages()]
    wheels = [it for folder in folders for it in glob.glob(f"{folder}/nvidia/c*/lib/libcublas.so.*")]
    for name in ["libcublas.so.12", "libcublas.so.13", "libcublas.so", *wheels, *glob.glob("/usr/local/cuda*/lib64/libcublas.so.*")]:
        try:
            return ctypes.CDLL(name)
        except OSError:
            pass
    return None


def halves(count):
    """Random numbers from 0.5 to 2 of both signs, little endian: the upper byte has the sign, the exponent and two bits of the mantissa."""
    upper = bytes((byte & 0x87) | 0x38 for byte in range(256))
    data = bytearray(2 * count)
    data[0::2], data[1::2] = os.urandom(count), os.urandom(count).translate(upper)
    return bytes(data)


def main():
    cublas = library()
    if cublas is None:
        print("there is no libcublas here", file=sys.stderr)
        return 3
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        raise SystemExit(f"no CUDA driver: {error}")

    def call(name, *arguments, of=cuda):
        result = getattr(of, name)(*arguments)
        if result:
            raise SystemExit(f"{name}: error {result}")

    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    context, handle, device = pointer(), pointer(), ctypes.c_int()
    call("cuInit", 0)
    call("cuDeviceGet", ctypes.byref(device), 0)
    call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
    call("cuCtxSetCurrent", context)
    call("cublasCreate_v2", ctypes.byref(handle), of=cublas)
    matrices, rows = [], 64
    data = halves(rows * N)
    for _ in range(3):
        matrix = ctypes.c_uint64()
        call("cuMemAlloc_v2", ctypes.byref(matrix), size(2 * N * N))
        for row in range(0, N, rows):
            call("cuMemcpyHtoD_v2", ctypes.c_uint64(matrix.value + 2 * N * row), data, size(len(data)))
        matrices.append(pointer(matrix.value))
    begin, end = pointer(), pointer()
    call("cuEventCreate", ctypes.byref(begin), 0)
    call("cuEventCreate", ctypes.byref(end), 0)
    one, zero, best = ctypes.c_float(1e-4), ctypes.c_float(0), 0.0
    a, b, c = matrices
    for _ in range(200):
        call("cuEventRecord", begin, None)
        call(
            "cublasGemmEx", handle, 0, 0, N, N, N, ctypes.byref(one), a, FP16, N, b, FP16, N, ctypes.byref(zero), c, FP16, N,
            COMPUTE_32F, TENSOR, of=cublas,
        )
        call("cuEventRecord", end, None)
        call("cuEventSynchronize", end)
        milliseconds = ctypes.c_float()
        call("cuEventElapsedTime", ctypes.byref(milliseconds), begin, end)
        best = max(best, 2 * N**3 / max(milliseconds.value, 1e-6) / 1e9)
    print(round(best, 1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
