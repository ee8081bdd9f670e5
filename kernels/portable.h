// Integer names and the hash that kernels and processors compute alike. Plain C++: NVRTC and g++ compile it.
#pragma once

typedef unsigned int u32;
typedef unsigned long long u64;

#ifdef __CUDACC__
#define PORTABLE static __device__ __forceinline__
#else
#define PORTABLE static inline
#endif

// A bijection of 32-bit words with full avalanche.
PORTABLE u32 mix32(u32 x) {
  x ^= x >> 16;
  x *= 0x7feb352du;
  x ^= x >> 15;
  x *= 0x846ca68bu;
  x ^= x >> 16;
  return x;
}

PORTABLE u32 rotate_left(u32 x, u32 bits) { return x << bits | x >> (32 - bits); }
