// What the tensor kernels must find in exact mode: plain matrices, no fragments, no tensor cores.
#pragma once
#include <math.h>
#include <string.h>

#include <vector>

#include "operands.h"

namespace reference {

// The value of a number's bits.
inline double decode(unsigned long long bits, Format f) {
  if (f.limit == 0) return (signed char)bits;
  double sign = bits >> (f.width - 1) & 1 ? -1.0 : 1.0;
  unsigned exponent = bits >> f.mantissa & ((1ull << (f.width - 1 - f.mantissa)) - 1);
  double fraction = (double)(bits & ((1ull << f.mantissa) - 1)) / (double)(1ull << f.mantissa);
  if (exponent == 0) return sign * ldexp(fraction, 1 - (int)f.bias);
  return sign * ldexp(1.0 + fraction, (int)exponent - (int)f.bias);
}

typedef std::vector<double> Matrix;  // row after row

inline Matrix a_matrix(Format f, unsigned seed, unsigned tile, unsigned fragment, unsigned rows, unsigned k) {
  Matrix m(rows * k);
  for (unsigned r = 0; r < rows; r++)
    for (unsigned c = 0; c < k; c++) m[r * k + c] = decode(a_element(f, OPERANDS_EXACT, seed, tile, fragment, r, c), f);
  return m;
}

inline Matrix b_matrix(Format f, unsigned seed, unsigned tile, unsigned fragment, unsigned k, unsigned columns) {
  Matrix m(k * columns);
  for (unsigned r = 0; r < k; r++)
    for (unsigned c = 0; c < columns; c++) m[r * columns + c] = decode(b_element(f, OPERANDS_EXACT, seed, tile, fragment, r, c), f);
  return m;
}

// sum += times x A B
inline void accumulate(Matrix& sum, const Matrix& a, const Matrix& b, unsigned rows, unsigned k, unsigned columns, double times) {
  for (unsigned r = 0; r < rows; r++)
    for (unsigned i = 0; i < k; i++)
      for (unsigned c = 0; c < columns; c++) sum[r * columns + c] += times * a[r * k + i] * b[i * columns + c];
}

enum SumType { SUM_F32, SUM_F64, SUM_S32 };

inline unsigned long long encode(double value, SumType type) {
  unsigned long long bits = 0;
  if (type == SUM_S32) return (unsigned)(long long)value;
  if (type == SUM_F64) {
    memcpy(&bits, &value, 8);
    return bits;
  }
  float single = (float)value;
  memcpy(&bits, &single, 4);
  return bits;
}

// compute_<type>: eight warps, each 2 x 4 sums of rows x 8.
inline unsigned long long mma_fold(Format f, SumType type, unsigned rows, unsigned k, unsigned iterations, unsigned seed) {
  unsigned long long fold = 0;
  for (unsigned warp = 0; warp < 8; warp++)
    for (unsigned tile = 0; tile < 8; tile++) {
      Matrix sum(rows * 8), b = b_matrix(f, seed, warp, tile % 4, k, 8);
      for (unsigned fragment = 0; fragment < 4; fragment++) {
        double times = 2.0 * iterations + (fragment == tile / 4 ? 1 : 0);
        accumulate(sum, a_matrix(f, seed, warp, fragment, rows, k), b, rows, k, 8, times);
      }
      for (unsigned r = 0; r < rows; r++)
        for (unsigned c = 0; c < 8; c++) {
          unsigned position = (warp * 8 + tile) << 10 | r << 4 | c;
          fold += fold_part(encode(sum[r * 8 + c] + start_value(seed, position), type), position);
        }
    }
  return fold;
}

// wgmma_<type> and tcgen05_<type>: `sums` sums of 128 x 256, eight slots an iteration; sum 1 begins with slot 4.
inline unsigned long long shared_fold(Format f, SumType type, unsigned sums, unsigned iterations, unsigned seed) {
  unsigned long long fold = 0;
  const unsigned k = 256 / f.width;
  for (unsigned s = 0; s < sums; s++) {
    Matrix sum(128 * 256);
    for (unsigned slot = 0; slot < 8; slot++) {
      double times = iterations + (slot == s * 4 ? 1.0 : 0.0);
      unsigned b_fragment = slot < 4 ? slot % 2 : 2 + slot % 2;
      accumulate(sum, a_matrix(f, seed, slot / 4, slot % 4, 128, k), b_matrix(f, seed, 0, b_fragment, k, 256), 128, k, 256, times);
    }
    for (unsigned i = 0; i < sum.size(); i++) fold += fold_part(encode(sum[i], type), s * 128 * 256 + i);
  }
  return fold;
}

}  // namespace reference
