// Operands of the compute kernels and the fold of their results: kernels and processors compute them alike, element by element, so an
// answer can be worked out with plain matrices and no knowledge of how a tensor core spreads them over threads. Plain C++.
#pragma once
#include "portable.h"

enum OperandMode : u32 {
  OPERANDS_EXACT = 0,  // small integers: every sum is exact, the answer is known and depends on the number of iterations
  OPERANDS_FULL = 1,   // all mantissa bits in use: identical work everywhere, so that any disagreement names an SM
};

// A number format: bits = sign, exponent (with bias), mantissa. Integers are two's complement of `width` bits.
struct Format {
  u32 width, mantissa, bias;
  u32 limit;  // exact mode draws from -limit..limit; 0: integers over the whole range
};
#define FORMAT_F16 Format{16, 10, 15, 7}
#define FORMAT_BF16 Format{16, 7, 127, 7}
#define FORMAT_TF32 Format{32, 23, 127, 7}
#define FORMAT_E4M3 Format{8, 3, 7, 2}
#define FORMAT_E2M1 Format{4, 1, 1, 2}
#define FORMAT_F64 Format{64, 52, 1023, 7}
#define FORMAT_S8 Format{8, 0, 0, 0}

PORTABLE u32 element_hash(u32 seed, u32 matrix, u32 row, u32 column) { return mix32(mix32(seed ^ matrix << 20) + (row << 10 | column)); }

// -limit..limit
PORTABLE int small_integer(u32 hash, u32 limit) { return (int)((hash >> 16) * (2 * limit + 1) >> 16) - (int)limit; }

PORTABLE u64 encode_integer(int value, Format f) {
  if (value == 0) return 0;
  u64 sign = value < 0, magnitude = value < 0 ? -value : value;
  u32 exponent = 0;
  while (magnitude >> (exponent + 1)) exponent++;
  u64 mantissa = (magnitude << f.mantissa >> exponent) & ((1ull << f.mantissa) - 1);
  return sign << (f.width - 1) | (u64)(exponent + f.bias) << f.mantissa | mantissa;
}

// Every mantissa bit random, magnitude in [0.5, 2).
PORTABLE u64 encode_full(u32 hash, Format f) {
  u64 bits = (u64)mix32(hash + 1) << 32 | hash;
  u64 mantissa = bits & ((1ull << f.mantissa) - 1);
  if (f.width == 32) mantissa &= ~0x1fffull;  // tf32 keeps 10 bits
  return (bits >> 63) << (f.width - 1) | (u64)(f.bias - (bits >> 62 & 1)) << f.mantissa | mantissa;
}

// A tile's operands: four A fragments and the B fragments that meet them. Fragments 2 and 3 are the negatives of 0 and 1, which keeps
// the sums bounded while no two neighbouring instructions see the same operands; in exact mode column 0 of fragment 2 is larger by one, so that
// the sum still moves with each round. Integers wrap, so their four fragments have nothing to do with each other.
PORTABLE u64 a_element(Format f, u32 mode, u32 seed, u32 tile, u32 fragment, u32 row, u32 column) {
  if (f.limit == 0) return element_hash(seed, tile * 16 + fragment, row, column) & 0xff;
  u32 hash = element_hash(seed, tile * 16 + (fragment & 1), row, column);
  if (mode == OPERANDS_EXACT) {
    int value = small_integer(hash, f.limit);
    if (fragment >= 2) value = -value;
    if (fragment == 2 && column == 0) value++;
    return encode_integer(value, f);
  }
  return encode_full(hash, f) ^ (u64)(fragment >> 1) << (f.width - 1);
}

PORTABLE u64 b_element(Format f, u32 mode, u32 seed, u32 tile, u32 fragment, u32 row, u32 column) {
  u32 hash = element_hash(seed, tile * 16 + 8 + fragment, row, column);
  if (f.limit == 0) return hash & 0xff;
  return mode == OPERANDS_EXACT ? encode_integer(small_integer(hash, f.limit), f) : encode_full(hash, f);
}

// What an accumulator starts from: -31..31.
PORTABLE int start_value(u32 seed, u32 position) { return small_integer(mix32(seed + 0x51ed270bu + position), 31); }

// One result's part of the fold; the fold is the sum of all parts modulo 2^64, so it has no order.
PORTABLE u64 fold_part(u64 bits, u32 position) {
  u64 x = (bits + (u64)position * 0x9e3779b97f4a7c15ull) * 0xd6e8feb86659fd93ull;
  x ^= x >> 32;
  x *= 0x9fb21c651e98df25ull;
  return x ^ x >> 29;
}

// Multipliers and start values of the FP32 and FP64 kernels.
PORTABLE double rotation_step(u32 seed, u32 which, u32 mode) {
  if (mode == OPERANDS_EXACT) return 1.0;
  return 0.25 + (double)(mix32(seed * 2 + which) >> 8) * (1.0 / 16777216.0);
}
PORTABLE double rotation_start(u32 seed, u32 position, u32 mode) {
  u32 hash = mix32(mix32(seed) + position);
  if (mode == OPERANDS_EXACT) return (double)small_integer(hash, 1000);
  return 0.5 + (double)(hash >> 8) * (1.0 / 16777216.0);
}
