#!/usr/bin/env python3
"""Dense FP16 multiplication with FP32 sums by cuBLAS on the first GPU: prints the best TFLOPS of 200. gemm.py [SIZE] Exits with 3 without
cuBLAS, with 1 where a call fails or the product is wrong, and then prints nothing but what failed.

Looks for libcublas where the loader does, in the wheels nvidia-cublas-cu12 and nvidia-cublas, and in /usr/local. Operands are random: constants draw
less power and go faster.
"""
import ctypes
import glob
import os
import random
import site
import struct
import sys

# CUDA_R_16F, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT_TENSOR_OP, CUBLAS_OP_N
FP16, COMPUTE_32F, TENSOR, PLAIN = 2, 68, 99, 0
ALPHA = 2.0**-13


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


def check(a, b, product, n):
    """Some numbers of the product against plain sums. All matrices are stored column by column: (i, j) is number i + j n."""
    # The columns of the operands come again and again.
    at = lambda data, i, j: struct.unpack_from("<e", data, 2 * (i + j * n) % len(data))[0]
    for _ in range(64):
        i, j = random.randrange(n), random.randrange(n)
        terms = [at(a, i, k) * at(b, k, j) for k in range(n)]
        expected, found = ALPHA * sum(terms), at(product, i, j)
        # Half a unit of FP16, and what the order of sums makes of FP32.
        bound = abs(expected) / 1024 + ALPHA * sum(map(abs, terms)) / 1e6 + 1e-7
        if not abs(found - expected) <= bound:
            raise SystemExit(f"cublasGemmEx: ({i}, {j}) of the product is {found}, and should be {expected}")


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 8192
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
    # Two operands of columns that repeat, and the product.
    columns = min(n, 64)
    operands = [halves(columns * n), halves(columns * n)]
    matrices = []
    for data in [*operands, None]:
        matrix = ctypes.c_uint64()
        call("cuMemAlloc_v2", ctypes.byref(matrix), size(2 * n * n))
        for column in range(0, n if data else 0, columns):
            call("cuMemcpyHtoD_v2", ctypes.c_uint64(matrix.value + 2 * n * column), data, size(2 * n * min(columns, n - column)))
        matrices.append(pointer(matrix.value))
    begin, end = pointer(), pointer()
    call("cuEventCreate", ctypes.byref(begin), 0)
    call("cuEventCreate", ctypes.byref(end), 0)
    alpha, beta, best = ctypes.c_float(ALPHA), ctypes.c_float(0), 0.0
    a, b, c = matrices

    def multiply():
        call(
            "cublasGemmEx", handle, PLAIN, PLAIN, n, n, n, ctypes.byref(alpha), a, FP16, n, b, FP16, n, ctypes.byref(beta), c, FP16, n,
            COMPUTE_32F, TENSOR, of=cublas,
        )

    multiply()
    call("cuCtxSynchronize")
    product = ctypes.create_string_buffer(2 * n * n)
    call("cuMemcpyDtoH_v2", product, ctypes.c_uint64(c.value), size(2 * n * n))
    check(*operands, product.raw, n)
    for _ in range(200):
        call("cuEventRecord", begin, None)
        multiply()
        call("cuEventRecord", end, None)
        call("cuEventSynchronize", end)
        milliseconds = ctypes.c_float()
        call("cuEventElapsedTime", ctypes.byref(milliseconds), begin, end)
        if not milliseconds.value > 0:
            raise SystemExit(f"cuEventElapsedTime: a multiplication took {milliseconds.value} ms")
        best = max(best, 2 * n**3 / milliseconds.value / 1e9)
    print(round(best, 3))
    return 0


if __name__ == "__main__":
    sys.exit(main())
