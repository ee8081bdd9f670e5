// Bandwidth: how fast memory really is, over the card and region by region. The host times launches with events.
//
// Conventions: 256 threads a block, any number of blocks, no dynamic shared memory; `count` in 16-byte vectors; pointers aligned to 16 bytes.
// Pointers may name memory of a peer GPU. Copies between host and device are made by the copy engines (cuMemcpyAsync), behind bandwidth_gate.
#include "common.cuh"
#include "pattern.h"

#define IN_FLIGHT 8u
#define CHUNK_VECTORS (BLOCK_THREADS * IN_FLIGHT)

// Adds up 32-bit words of what was read. Wrapping sums have no order, so they do not depend on the launch shape.
struct Sums {
  u32 x, y, z, w;
};

DEVICE void add(Sums* sums, uint4 v) {
  sums->x += v.x;
  sums->y += v.y;
  sums->z += v.z;
  sums->w += v.w;
}

DEVICE void add_to(u32* out, Sums sums) {
  u32 x = (u32)block_sum(sums.x), y = (u32)block_sum(sums.y), z = (u32)block_sum(sums.z), w = (u32)block_sum(sums.w);
  if (threadIdx.x != 0) return;
  atomicAdd(&out[0], x);
  atomicAdd(&out[1], y);
  atomicAdd(&out[2], z);
  atomicAdd(&out[3], w);
}

// bandwidth_read(source, count, out)
// Traffic: 16 x count bytes read. out: four 32-bit words in host-mapped pinned memory, cleared by the host; out[i] += the sum of word i of all
// vectors modulo 2^32, so the answer is known where the content is.
KERNEL __launch_bounds__(BLOCK_THREADS) bandwidth_read(const uint4* source, u64 count, u32* out) {
  Sums sums = {};
  u64 chunks = count / CHUNK_VECTORS;
#pragma unroll 1
  for (u64 chunk = blockIdx.x; chunk < chunks; chunk += gridDim.x) {
    const uint4* lane = source + chunk * CHUNK_VECTORS + threadIdx.x;
    uint4 v[IN_FLIGHT];
#pragma unroll
    for (u32 u = 0; u < IN_FLIGHT; u++) v[u] = load_streaming(lane + u * BLOCK_THREADS);
#pragma unroll
    for (u32 u = 0; u < IN_FLIGHT; u++) add(&sums, v[u]);
  }
#pragma unroll 1
  for (u64 at = chunks * CHUNK_VECTORS + blockIdx.x * BLOCK_THREADS + threadIdx.x; at < count; at += (u64)gridDim.x * BLOCK_THREADS)
    add(&sums, load_streaming(source + at));
  add_to(out, sums);
}

// bandwidth_write(target, count, seed)
// Traffic: 16 x count bytes written. Leaves pattern(i, PATTERN_ADDRESS, seed) for i in 0..count.
KERNEL __launch_bounds__(BLOCK_THREADS) bandwidth_write(uint4* target, u64 count, u32 seed) {
  Pattern p = pattern_prepare(PATTERN_ADDRESS, seed);
  u64 chunks = (count + CHUNK_VECTORS - 1) / CHUNK_VECTORS;
#pragma unroll 1
  for (u64 chunk = blockIdx.x; chunk < chunks; chunk += gridDim.x) {
    u64 at = chunk * CHUNK_VECTORS + threadIdx.x;
    bool whole = (chunk + 1) * CHUNK_VECTORS <= count;
#pragma unroll
    for (u32 u = 0; u < IN_FLIGHT; u++) {
      Words v = pattern_address(p, at + u * BLOCK_THREADS);
      if (whole || at + u * BLOCK_THREADS < count) store_streaming(target + at + u * BLOCK_THREADS, uint4{v.x, v.y, v.z, v.w});
    }
  }
}

// bandwidth_copy(target, source, count)
// Traffic: 16 x count bytes read and as many written. The ranges do not overlap.
KERNEL __launch_bounds__(BLOCK_THREADS) bandwidth_copy(uint4* target, const uint4* source, u64 count) {
  u64 chunks = count / CHUNK_VECTORS;
#pragma unroll 1
  for (u64 chunk = blockIdx.x; chunk < chunks; chunk += gridDim.x) {
    u64 at = chunk * CHUNK_VECTORS + threadIdx.x;
    uint4 v[IN_FLIGHT];
#pragma unroll
    for (u32 u = 0; u < IN_FLIGHT; u++) v[u] = load_streaming(source + at + u * BLOCK_THREADS);
#pragma unroll
    for (u32 u = 0; u < IN_FLIGHT; u++) store_streaming(target + at + u * BLOCK_THREADS, v[u]);
  }
#pragma unroll 1
  for (u64 at = chunks * CHUNK_VECTORS + blockIdx.x * BLOCK_THREADS + threadIdx.x; at < count; at += (u64)gridDim.x * BLOCK_THREADS)
    store_streaming(target + at, load_streaming(source + at));
}

DEVICE uint4 triad(uint4 b, uint4 c, u32 scalar) {
  return uint4{b.x + scalar * c.x, b.y + scalar * c.y, b.z + scalar * c.z, b.w + scalar * c.w};
}

// bandwidth_triad(a, b, c, count, scalar)
// Traffic: 32 x count bytes read, 16 x count written. a = b + scalar x c in 32-bit words modulo 2^32, exact for any data.
KERNEL __launch_bounds__(BLOCK_THREADS) bandwidth_triad(uint4* a, const uint4* b, const uint4* c, u64 count, u32 scalar) {
  const u32 half = IN_FLIGHT / 2;
  u64 chunks = count / (BLOCK_THREADS * half);
#pragma unroll 1
  for (u64 chunk = blockIdx.x; chunk < chunks; chunk += gridDim.x) {
    u64 at = chunk * (BLOCK_THREADS * half) + threadIdx.x;
    uint4 left[half], right[half];
#pragma unroll
    for (u32 u = 0; u < half; u++) {
      left[u] = load_streaming(b + at + u * BLOCK_THREADS);
      right[u] = load_streaming(c + at + u * BLOCK_THREADS);
    }
#pragma unroll
    for (u32 u = 0; u < half; u++) store_streaming(a + at + u * BLOCK_THREADS, triad(left[u], right[u], scalar));
  }
#pragma unroll 1
  for (u64 at = chunks * (BLOCK_THREADS * half) + blockIdx.x * BLOCK_THREADS + threadIdx.x; at < count; at += (u64)gridDim.x * BLOCK_THREADS)
    store_streaming(a + at, triad(load_streaming(b + at), load_streaming(c + at), scalar));
}

// bandwidth_region(source, regions, region_vectors, cycles, out)
// Reads the card region by region; cycles[r] = SM clocks that one block needed for region r while the others read theirs, so that a
// slow channel or stack shows as slow regions. region_vectors is a multiple of 2048. out as in bandwidth_read.
// cycles holds `regions` words in host-mapped pinned memory. Regions smaller than the interleaving of the channels (a few KiB) show channels
// best; larger ones show stacks and dies.
KERNEL __launch_bounds__(BLOCK_THREADS) bandwidth_region(const uint4* source, u64 regions, u64 region_vectors, u64* cycles, u32* out) {
  Sums sums = {};
#pragma unroll 1
  for (u64 region = blockIdx.x; region < regions; region += gridDim.x) {
    const uint4* start = source + region * region_vectors;
    __syncthreads();
    u64 begin = clock_cycles();
#pragma unroll 1
    for (u64 at = threadIdx.x; at < region_vectors; at += CHUNK_VECTORS) {
      uint4 v[IN_FLIGHT];
#pragma unroll
      for (u32 u = 0; u < IN_FLIGHT; u++) v[u] = load_streaming(start + at + u * BLOCK_THREADS);
#pragma unroll
      for (u32 u = 0; u < IN_FLIGHT; u++) add(&sums, v[u]);
    }
    // The vote needs the loaded words, so no thread arrives before its loads have.
    u32 arrived = __syncthreads_or((sums.x ^ sums.y ^ sums.z ^ sums.w) != 0);
    u64 end = clock_cycles();
    if (threadIdx.x == 0) cycles[region] = end - begin + (arrived >> 31);
  }
  add_to(out, sums);
}

// bandwidth_gate(gate, timeout_ns, max_polls, out): one block of 32 threads
// Holds its stream until the host sets *gate (host-mapped pinned) to something other than 0, until timeout_ns have passed, or until
// max_polls reads: what was enqueued behind it then runs without a pause. out[0] = reads of the gate, out[1] = 1 if it opened, 0 if not,
// out[2] = nanoseconds waited.
KERNEL __launch_bounds__(32) bandwidth_gate(const u32* gate, u64 timeout_ns, u64 max_polls, u64* out) {
  if (threadIdx.x != 0) return;
  u64 begin = global_ns(), waited = 0, polls = 0;
  u32 open = 0;
#pragma unroll 1
  while (!open && waited < timeout_ns && polls < max_polls) {
    open = load_volatile(gate);
    waited = global_ns() - begin;
    polls++;
  }
  out[0] = polls;
  out[1] = open != 0;
  out[2] = waited;
}
