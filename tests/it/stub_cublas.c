/* A cuBLAS for tests/gpu/gemm.py: writes down how it was called, and multiplies on the processor. Types and order of the arguments are those of
 * cublas_api.h (CUDA 12). Memory of the virtual driver is memory of the process.
 *
 * STUB_CUBLAS_LOG   the file that gets a line for each call
 * STUB_CUBLAS       "rows": takes its matrices for stored row by row; "swapped": multiplies b by a; "refuses": an error; "idle": no time passes
 */
#include <dlfcn.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, INVALID_VALUE = 7, EXECUTION_FAILED = 13 };
enum { OP_N = 0, R_16F = 2, COMPUTE_32F = 68 };

static int is(const char *mode) {
  const char *set = getenv("STUB_CUBLAS");
  return set && !strcmp(set, mode);
}

static float decode(uint16_t half) {
  int exponent = half >> 10 & 31, mantissa = half & 1023;
  float value = exponent ? ldexpf(1024 + mantissa, exponent - 25) : ldexpf(mantissa, -24);
  return half & 0x8000 ? -value : value;
}

static uint16_t encode(float value) {
  uint16_t sign = signbit(value) ? 0x8000 : 0;
  int exponent;
  frexpf(value, &exponent);
  if (exponent < -13) exponent = -13;
  /* Units of the last of 11 bits, to the nearest. */
  long units = lrintf(ldexpf(fabsf(value), 11 - exponent));
  if (units >= 2048) units /= 2, exponent++;
  return units < 1024 ? sign | units : sign | (exponent + 14) << 10 | (units & 1023);
}

int cublasCreate_v2(void **handle) {
  *handle = (void *)0xb1a5;
  return SUCCESS;
}

int cublasGemmEx(void *handle, int transa, int transb, int m, int n, int k, const void *alpha, const void *a, int atype, int lda, const void *b,
                 int btype, int ldb, const void *beta, void *c, int ctype, int ldc, int compute, int algorithm) {
  FILE *log = fopen(getenv("STUB_CUBLAS_LOG"), "a");
  if (!log) return EXECUTION_FAILED;
  fprintf(log, "op %d %d mnk %d %d %d types %d %d %d ld %d %d %d compute %d algorithm %d beta %g\n", transa, transb, m, n, k, atype, btype, ctype, lda,
          ldb, ldc, compute, algorithm, *(const float *)beta);
  fclose(log);
  if (is("refuses") || handle != (void *)0xb1a5) return EXECUTION_FAILED;
  if (transa != OP_N || transb != OP_N || atype != R_16F || btype != R_16F || ctype != R_16F || compute != COMPUTE_32F) return INVALID_VALUE;
  if (lda < m || ldb < k || ldc < m || a == c || b == c || a == b) return INVALID_VALUE;

  if (!is("idle")) {
    /* Work of the stream, so that time passes there. */
    void *cuda = dlopen("libcuda.so.1", RTLD_NOW);
    int (*fill)(uint64_t, unsigned, size_t, void *) = dlsym(cuda, "cuMemsetD32Async");
    int (*wait)(void *) = dlsym(cuda, "cuStreamSynchronize");
    if (fill((uint64_t)c, 0, (size_t)m * n / 2, NULL) || wait(NULL)) return EXECUTION_FAILED;
  }
  const uint16_t *left = is("swapped") ? b : a, *right = is("swapped") ? a : b;
  int rows = is("rows");
  for (int j = 0; j < n; j++)
    for (int i = 0; i < m; i++) {
      float sum = 0;
      for (int l = 0; l < k; l++) sum += decode(rows ? left[i * lda + l] : left[i + l * lda]) * decode(rows ? right[l * ldb + j] : right[l + j * ldb]);
      ((uint16_t *)c)[rows ? i * ldc + j : i + j * ldc] = encode(*(const float *)alpha * sum);
    }
  return SUCCESS;
}
