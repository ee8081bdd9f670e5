// What every kernel file shares: integer names, the launch macro, special registers and the block record.
// NVRTC compiles these files for the GPU; g++ compiles the same files through shim/cuda_shim.h (YANJI_SHIM).
#pragma once

#ifdef YANJI_SHIM
#include "cuda_shim.h"
#define DEVICE static inline
#else
#define DEVICE static __device__ __forceinline__
#endif

#include "portable.h"

#define KERNEL extern "C" __global__ void

// Threads in a block: the same for every kernel unless its contract says otherwise.
#define BLOCK_THREADS 256u

#ifndef YANJI_SHIM
DEVICE u32 smid() {
  u32 id;
  asm volatile("mov.u32 %0, %%smid;" : "=r"(id));
  return id;
}
DEVICE u32 nsmid() {
  u32 count;
  asm volatile("mov.u32 %0, %%nsmid;" : "=r"(count));
  return count;
}
DEVICE u64 clock_cycles() {
  u64 t;
  asm volatile("mov.u64 %0, %%clock64;" : "=l"(t)::"memory");
  return t;
}
DEVICE u64 global_ns() {
  u64 t;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(t)::"memory");
  return t;
}
DEVICE uint4 load_streaming(const uint4* p) {
  uint4 v;
  asm volatile("ld.global.cs.v4.u32 {%0,%1,%2,%3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(p) : "memory");
  return v;
}
DEVICE void store_streaming(uint4* p, uint4 v) {
  asm volatile("st.global.cs.v4.u32 [%0], {%1,%2,%3,%4};" ::"l"(p), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w) : "memory");
}
// Past L1, which caches each SM's own copy.
DEVICE u32 load_l2(const u32* p) {
  u32 v;
  asm volatile("ld.global.cg.u32 %0, [%1];" : "=r"(v) : "l"(p) : "memory");
  return v;
}
DEVICE u32 load_volatile(const u32* p) {
  u32 v;
  asm volatile("ld.volatile.global.u32 %0, [%1];" : "=r"(v) : "l"(p) : "memory");
  return v;
}
DEVICE void sleep_ns(u32 ns) { asm volatile("nanosleep.u32 %0;" ::"r"(ns)); }
#endif

DEVICE u64 result_bits(float value) { return __float_as_uint(value); }
DEVICE u64 result_bits(double value) { return (u64)__double_as_longlong(value); }
DEVICE u64 result_bits(int value) { return (u32)value; }

// Sum over the block, valid in thread 0. Addition of 64-bit values has no order, so neither has the result.
DEVICE u64 block_sum(u64 value) {
  __shared__ u64 warp_sums[BLOCK_THREADS / 32];
#pragma unroll
  for (int offset = 16; offset; offset >>= 1) value += __shfl_xor_sync(0xffffffffu, value, offset);
  __syncthreads();
  if ((threadIdx.x & 31) == 0) warp_sums[threadIdx.x >> 5] = value;
  __syncthreads();
  u64 sum = 0;
  if (threadIdx.x == 0)
    for (u32 warp = 0; warp < blockDim.x >> 5; warp++) sum += warp_sums[warp];
  return sum;
}

// One block's answer: four 64-bit words at out + 4 * blockIdx.x. Thread 0 calls it.
DEVICE void write_record(u64* out, u64 word0, u64 word1, u64 word2, u64 word3) {
  u64* record = out + 4ull * blockIdx.x;
  record[0] = word0;
  record[1] = word1;
  record[2] = word2;
  record[3] = word3;
}
