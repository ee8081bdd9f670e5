// Fingerprint: what chip this behaves like, whatever it says it is.
//
// Conventions: outputs are in host-mapped pinned memory; a block writes four 64-bit words at out + 4 x blockIdx.x unless said otherwise.
// Dense operations a clock and SM come from the records of the compute kernels.
#include "common.cuh"
#include "operands.h"

// fingerprint_census(spin_ns, max_polls, out): 32 threads a block, as many blocks as the card can hold at once (or more)
// Each block stays for spin_ns (or max_polls readings of the timer), so that all SMs fill.
// Record: polls, SM (%smid) | %nsmid << 32, SM clocks, nanoseconds (%globaltimer). The SMs that work = the distinct %smid;
// clocks / nanoseconds = the SM clock in GHz. %smid below %nsmid may have holes.
KERNEL __launch_bounds__(32) fingerprint_census(u64 spin_ns, u64 max_polls, u64* out) {
  if (threadIdx.x != 0) return;
  u64 begin_ns = global_ns(), begin = clock_cycles(), elapsed = 0, polls = 0;
#pragma unroll 1
  while (elapsed < spin_ns && polls < max_polls) {
    elapsed = global_ns() - begin_ns;
    polls++;
  }
  u64 cycles = clock_cycles() - begin;
  write_record(out, polls, smid() | (u64)nsmid() << 32, cycles, elapsed);
}

// fingerprint_ring(ring, nodes, node_words, multiplier, increment): 256 threads a block, any number of blocks
// Makes a ring of `nodes` nodes, each node_words 32-bit words apart: ring[i x node_words] = next x node_words with
// next = (i x multiplier + increment) mod nodes. It visits every node once if increment has no factor in common with nodes, multiplier - 1
// is divisible by every prime factor of nodes, and by 4 if nodes is. 421 and 1009 do for nodes = 2^a 3^b 5^c 7^d. nodes x node_words < 2^32.
KERNEL __launch_bounds__(BLOCK_THREADS) fingerprint_ring(u32* ring, u32 nodes, u32 node_words, u32 multiplier, u32 increment) {
#pragma unroll 1
  for (u64 i = blockIdx.x * BLOCK_THREADS + threadIdx.x; i < nodes; i += (u64)gridDim.x * BLOCK_THREADS)
    ring[i * node_words] = (u32)((i * multiplier + increment) % nodes) * node_words;
}

// fingerprint_chase(ring, start, warm_hops, hops, out): one block of one thread
// Follows the ring past L1: warm_hops untimed, then hops timed. Record: SM clocks of the timed hops, SM, last word index, hops.
// Clocks a hop rise where the ring no longer fits L2.
KERNEL __launch_bounds__(32) fingerprint_chase(const u32* ring, u32 start, u64 warm_hops, u64 hops, u64* out) {
  if (threadIdx.x != 0) return;
  u32 at = start;
#pragma unroll 1
  for (u64 hop = 0; hop < warm_hops; hop++) at = load_l2(ring + at);
  u64 begin = clock_cycles();
#pragma unroll 4
  for (u64 hop = 0; hop < hops; hop++) at = load_l2(ring + at);
  // The end is read after the last word has arrived: it depends on it.
  u64 end = clock_cycles() + (at == 0xffffffffu);
  write_record(out, end - begin, smid(), at, hops);
}

// fingerprint_latency(rings, regions, region_words, hops, sms, cycles): one block for each SM, 32 threads
// Experimental: reported, never judged. Region r holds a ring (fingerprint_ring) at rings + r x region_words. cycles[block x regions + r] =
// SM clocks for `hops` hops after as many untimed ones; sms[block] = SM.
KERNEL __launch_bounds__(32) fingerprint_latency(const u32* rings, u32 regions, u64 region_words, u32 hops, u64* sms, u64* cycles) {
  if (threadIdx.x != 0) return;
#pragma unroll 1
  for (u32 region = 0; region < regions; region++) {
    const u32* ring = rings + region * region_words;
    u32 at = 0;
#pragma unroll 1
    for (u32 hop = 0; hop < hops; hop++) at = load_l2(ring + at);
    u64 begin = clock_cycles();
#pragma unroll 1
    for (u32 hop = 0; hop < hops; hop++) at = load_l2(ring + at);
    u64 end = clock_cycles() + (at == 0xffffffffu);
    cycles[(u64)blockIdx.x * regions + region] = end - begin;
  }
  sms[blockIdx.x] = smid();
}

// fingerprint_f32_split(out, iterations, seed, mode): launch, record and work as compute_f32
// The arithmetic of compute_f32 with each multiply-add split into a multiplication and an addition. A card whose FMA is throttled
// (mining cards) is faster here than there.
KERNEL __launch_bounds__(BLOCK_THREADS) fingerprint_f32_split(u64* out, u32 iterations, u32 seed, u32 mode) {
  const u32 pairs = 8, rotations = 8;
  float a[pairs] = {}, b[pairs] = {}, s[2];
#pragma unroll 1
  for (u32 i = 0; i < pairs; i++) {
    float first = (float)rotation_start(seed, (threadIdx.x * pairs + i) * 2, mode);
    float second = (float)rotation_start(seed, (threadIdx.x * pairs + i) * 2 + 1, mode);
#pragma unroll
    for (u32 j = 0; j < pairs; j++) a[j] = i == j ? first : a[j], b[j] = i == j ? second : b[j];
  }
  s[0] = (float)rotation_step(seed, 0, mode);
  s[1] = (float)rotation_step(seed, 1, mode);
  __syncthreads();
  u64 begin_ns = global_ns(), begin = clock_cycles();
#pragma unroll 1
  for (u32 k = 0; k < iterations; k++) {
#pragma unroll
    for (u32 r = 0; r < rotations; r++) {
#pragma unroll
      for (u32 i = 0; i < pairs; i++) a[i] = __fadd_rn(a[i], __fmul_rn(b[i], s[i & 1]));
#pragma unroll
      for (u32 i = 0; i < pairs; i++) b[i] = __fadd_rn(b[i], __fmul_rn(-a[i], s[i & 1]));
    }
  }
  __syncthreads();
  u64 end = clock_cycles(), end_ns = global_ns(), fold = 0;
#pragma unroll 1
  for (u32 i = 0; i < pairs; i++) {
    float first = 0, second = 0;
#pragma unroll
    for (u32 j = 0; j < pairs; j++) first = i == j ? a[j] : first, second = i == j ? b[j] : second;
    fold += fold_part(result_bits(first), (threadIdx.x * pairs + i) * 2);
    fold += fold_part(result_bits(second), (threadIdx.x * pairs + i) * 2 + 1);
  }
  fold = block_sum(fold);
  if (threadIdx.x == 0) write_record(out, fold, smid(), end - begin, end_ns - begin_ns);
}
