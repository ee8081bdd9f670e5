#!/usr/bin/env python3
"""Dense FP16 multiplication with FP32 sums by cuBLAS on the first GPU: prints the best TFLOPS of 20, or nothing without cuBLAS.

Looks for libcublas.so.12 where the loader does, and in the wheel nvidia-cublas-cu12.
"""
import ctypes
import glob
import site
import sys

N = 8192
FP16, FP32, COMPUTE_32F, TENSOR = 2, 0, 68, 99


def library():
    wheels = [f"{folder}/nvidia/cublas/lib/libcublas.so.12" for folder in site.getsitepackages() + [site.getusersitepackages()]]
    for name in ["libcublas.so.12", "libcublas.so", *wheels, *glob.glob("/usr/local/cuda*/lib64/libcublas.so.*")]:
        try:
            return ctypes.CDLL(name)
        except OSError:
            pass
    return None


def main():
    cublas = library()
    if cublas is None:
        print("skipped: no libcublas.so.12 (pip install nvidia-cublas-cu12)", file=sys.stderr)
        return 0
    cuda = ctypes.CDLL("libcuda.so.1")

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
    matrices = []
    for _ in range(3):
        matrix = ctypes.c_uint64()
        call("cuMemAlloc_v2", ctypes.byref(matrix), size(2 * N * N))
        # 0x3c01 is a little above 1: no zeros, which would draw less power.
        call("cuMemsetD16_v2", matrix, ctypes.c_ushort(0x3C01), size(N * N))
        matrices.append(pointer(matrix.value))
    begin, end = pointer(), pointer()
    call("cuEventCreate", ctypes.byref(begin), 0)
    call("cuEventCreate", ctypes.byref(end), 0)
    one, zero, best = ctypes.c_float(1e-4), ctypes.c_float(0), 0.0
    a, b, c = matrices
    for _ in range(20):
        call("cuEventRecord", begin, None)
        call(
            "cublasGemmEx", handle, 0, 0, N, N, N, ctypes.byref(one), a, FP16, N, b, FP16, N, ctypes.byref(zero), c, FP16, N,
            COMPUTE_32F, TENSOR, of=cublas,
        )
        call("cuEventRecord", end, None)
        call("cuEventSynchronize", end)
        milliseconds = ctypes.c_float()
        call("cuEventElapsedTime", ctypes.byref(milliseconds), begin, end)
        best = max(best, 2 * N**3 / milliseconds.value / 1e9)
    print(round(best, 1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
