// Pulse: a square wave of power. Supplies and voltage regulators that hold a steady load may fail at its edges.
#include "common.cuh"
#include "operands.h"
#if !defined(YANJI_SHIM) && __CUDA_ARCH__ >= 800
#include "tensor.cuh"
#endif

// What a warp does between two looks at the clock: 10 to 30 microseconds of arithmetic with a result that is always the same.
#if !defined(YANJI_SHIM) && __CUDA_ARCH__ >= 800

struct Work {
  Tile<F16> tile;
  __device__ __forceinline__ void prepare(u32 seed) { tile.load_operands(OPERANDS_FULL, seed); }
  __device__ __forceinline__ u32 burst() {
    tile.clear_sums();
#pragma unroll 1
    for (u32 k = 0; k < 32; k++) {
#pragma unroll
      for (u32 r = 0; r < 4; r++) tile.round(r);
    }
    tile.round(0);
    u32 result = 0;
#pragma unroll
    for (u32 j = 0; j < Tile<F16>::SUMS; j++) result = rotate_left(result, 1) ^ __float_as_uint(tile.c[j / 16][j / 4 % 4][j % 4]);
    return result;
  }
};

#else

struct Work {
  float start, step;
  __device__ __forceinline__ void prepare(u32 seed) {
    start = (float)rotation_start(seed, threadIdx.x, OPERANDS_FULL);
    step = (float)rotation_step(seed, 0, OPERANDS_FULL);
  }
  __device__ __forceinline__ u32 burst() {
    float a[8], b[8];
#pragma unroll
    for (u32 i = 0; i < 8; i++) {
      a[i] = start + (float)i;
      b[i] = start - (float)i;
    }
#pragma unroll 1
    for (u32 k = 0; k < 32; k++) {
#pragma unroll
      for (u32 r = 0; r < 8; r++) {
#pragma unroll
        for (u32 i = 0; i < 8; i++) a[i] = fmaf(b[i], step, a[i]);
#pragma unroll
        for (u32 i = 0; i < 8; i++) b[i] = fmaf(-a[i], step, b[i]);
      }
    }
    u32 result = 0;
#pragma unroll
    for (u32 i = 0; i < 8; i++) result = rotate_left(result, 1) ^ __float_as_uint(a[i]) ^ rotate_left(__float_as_uint(b[i]), 7);
    return result;
  }
};

#endif

// The clock as lane 0 sees it: a warp must not disagree about it, tensor instructions need all its lanes.
DEVICE u64 warp_ns() { return __shfl_sync(0xffffffffu, global_ns(), 0); }

// pulse(start_ns, period_ns, high_ns, periods, max_bursts, seed, out): 256 threads a block, as many blocks as fit at once
// From start_ns (%globaltimer of this GPU) on: works for high_ns, sleeps for the rest of period_ns, `periods` times. 1 to 50 Hz.
// GPUs are in phase if the host translates one moment into the timer of each (fingerprint_census reads it). A warp stops after max_bursts bursts,
// whatever the timer says; 0 means no limit.
// Record: bursts whose result differs from the thread's first | SM << 32; bursts of the block's warp 0; fold of the first burst, the same for every
// block and card; nanoseconds between start_ns and the end.
KERNEL __launch_bounds__(BLOCK_THREADS, 1)
    pulse(u64 start_ns, u64 period_ns, u64 high_ns, u32 periods, u64 max_bursts, u32 seed, u64* out) {
  Work work;
  work.prepare(seed);
  u32 expected = work.burst(), wrong = 0;
  u64 bursts = 0;
#pragma unroll 1
  for (u32 period = 0; period < periods; period++) {
    u64 begin = start_ns + period * period_ns;
#pragma unroll 1
    for (u64 now = warp_ns(); now < begin; now = warp_ns()) sleep_ns(begin - now < 20000 ? (u32)(begin - now) / 2 : 10000);
#pragma unroll 1
    while (warp_ns() < begin + high_ns && (max_bursts == 0 || bursts < max_bursts)) {
      wrong += work.burst() != expected;
      bursts++;
    }
    if (max_bursts && bursts >= max_bursts) break;
  }
  u64 all_wrong = block_sum(wrong), fold = block_sum(fold_part(expected, threadIdx.x));
  u64 end = global_ns();
  if (threadIdx.x == 0) write_record(out, all_wrong | (u64)smid() << 32, bursts, fold, end - start_ns);
}
