// Memory: does every byte of the card hold what was written to it, and is every address its own?
//
// Conventions of all kernels here
//   blocks          any number; 256 threads a block; no dynamic shared memory
//   vectors         16 bytes; `count` of them from `base`, which is aligned to 16 bytes
//   first_index     index of base[0] in the numbering of the whole card, so that one pattern spans all allocations
//   mode            PatternKind, plus PATTERN_INVERT (pattern.h)
//   descending      0: from the first 16 KiB to the last; 1: from the last to the first
//   log             the error log in host-mapped pinned memory (error_log.h). Records are written at once, counters when a block ends:
//                   after a launch that did not finish only the records count
#include "common.cuh"
#include "error_log.h"
#include "pattern.h"

#define IN_FLIGHT 4u
#define CHUNK_VECTORS (BLOCK_THREADS * IN_FLIGHT)

DEVICE Words words(uint4 v) { return Words{v.x, v.y, v.z, v.w}; }
DEVICE uint4 vector(Words v) { return uint4{v.x, v.y, v.z, v.w}; }

template <u32 KIND>
DEVICE Words expected_at(Pattern p, u64 index) {
  if (KIND == PATTERN_ADDRESS) return pattern_address(p, index);
  if (KIND == PATTERN_RANDOM) return pattern_random(p, index);
  return pattern_other(p, index);
}

// A block's counters, kept in shared memory: a card full of errors must not cost a transfer to the host for each.
struct Tally {
  u64 word[LOG_HEADER_WORDS];
};

DEVICE void tally_begin(Tally* tally) {
  if (threadIdx.x < LOG_HEADER_WORDS) tally->word[threadIdx.x] = threadIdx.x == LOG_FIRST_WRONG ? ~0ull : 0ull;
  __syncthreads();
}

DEVICE void tally_end(Tally* tally, u64* log, u32 written, u32 checked) {
  u64 all_written = block_sum(written), all_checked = block_sum(checked);
  if (threadIdx.x != 0) return;
  atomicAdd(&log[LOG_WRITTEN], all_written);
  atomicAdd(&log[LOG_CHECKED], all_checked);
  if (tally->word[LOG_WRONG] == 0) return;
  atomicMin(&log[LOG_FIRST_WRONG], tally->word[LOG_FIRST_WRONG]);
  atomicMax(&log[LOG_LAST_WRONG], tally->word[LOG_LAST_WRONG]);
  atomicOr(&log[LOG_WRONG_BITS_LOW], tally->word[LOG_WRONG_BITS_LOW]);
  atomicOr(&log[LOG_WRONG_BITS_HIGH], tally->word[LOG_WRONG_BITS_HIGH]);
  atomicAdd(&log[LOG_WRONG], tally->word[LOG_WRONG]);
#pragma unroll 1
  for (u32 counter = LOG_BITS_LOST; counter <= LOG_KIND_ALIAS; counter++) atomicAdd(&log[counter], tally->word[counter]);
}

DEVICE u32 error_kind(Pattern p, u64 index, Words found, Words wrong, u32 bits) {
  u64 named = pattern_named_index(p, found);
  if (named != ~0ull && named != index) return ERROR_ALIAS;
  if (bits == 1) return ERROR_BIT;
  return (wrong.x != 0) + (wrong.y != 0) + (wrong.z != 0) + (wrong.w != 0) == 1 ? ERROR_WORD : ERROR_WORDS;
}

DEVICE bool same(Words a, Words b) { return ((a.x ^ b.x) | (a.y ^ b.y) | (a.z ^ b.z) | (a.w ^ b.w)) == 0; }

// A wrong vector: counts it and writes a record if there is room.
DEVICE void report(Pattern p, u64 index, Words found, u32 mode, u64* log, Tally* tally) {
  Words expected = pattern_at(p, index);
  Words wrong = {expected.x ^ found.x, expected.y ^ found.y, expected.z ^ found.z, expected.w ^ found.w};
  u32 bits = __popc(wrong.x) + __popc(wrong.y) + __popc(wrong.z) + __popc(wrong.w);
  u32 lost = __popc(wrong.x & expected.x) + __popc(wrong.y & expected.y) + __popc(wrong.z & expected.z) + __popc(wrong.w & expected.w);
  u32 kind = error_kind(p, index, found, wrong, bits);
  u64 wrong_low = (u64)wrong.y << 32 | wrong.x, wrong_high = (u64)wrong.w << 32 | wrong.z;
  u64* word = tally->word;
  u64 seen = atomicAdd(&word[LOG_WRONG], 1ull);
  atomicAdd(&word[LOG_BITS_LOST], (u64)lost);
  atomicAdd(&word[LOG_BITS_GAINED], (u64)(bits - lost));
  atomicAdd(&word[LOG_KIND_BIT + kind], 1ull);
  atomicMin(&word[LOG_FIRST_WRONG], index);
  atomicMax(&word[LOG_LAST_WRONG], index);
  atomicOr(&word[LOG_WRONG_BITS_LOW], wrong_low);
  atomicOr(&word[LOG_WRONG_BITS_HIGH], wrong_high);
  u64 capacity = log[LOG_CAPACITY];
  if (seen >= capacity) return;  // a block never asks for more slots than there are
  u64 slot = atomicAdd(&log[LOG_RECORDS], 1ull);
  if (slot >= capacity) return;
  u64* record = log + LOG_HEADER_WORDS + slot * LOG_RECORD_WORDS;
  record[0] = index;
  record[1] = (u64)(kind | mode << 8) << 32 | smid();
  record[2] = (u64)expected.y << 32 | expected.x;
  record[3] = (u64)expected.w << 32 | expected.z;
  record[4] = (u64)found.y << 32 | found.x;
  record[5] = (u64)found.w << 32 | found.z;
  record[6] = wrong_low;
  record[7] = wrong_high;
}

// How many of a thread's vectors of a chunk, 256 apart, lie below count.
DEVICE u32 vectors_here(u64 at, u64 count) {
  u64 left = at < count ? (count - at + BLOCK_THREADS - 1) / BLOCK_THREADS : 0;
  return left < IN_FLIGHT ? (u32)left : IN_FLIGHT;
}

// Reports those vectors of a batch whose bit is set in `wrong`. One copy of the report for all, and no indexed registers.
DEVICE void report_batch(Pattern p, u64 index, u64 step, const uint4* found, u32 wrong, u32 mode, u64* log, Tally* tally) {
#pragma unroll 1
  for (u32 u = 0; u < IN_FLIGHT; u++) {
    uint4 v = u == 0 ? found[0] : u == 1 ? found[1] : u == 2 ? found[2] : found[3];
    if (wrong >> u & 1) report(p, index + u * step, words(v), mode, log, tally);
  }
}

// Which of a batch (`here` vectors, `step` apart) are not as expected, a bit each.
template <u32 KIND>
DEVICE u32 wrong_vectors(Pattern p, u64 index, u64 step, u32 here, const uint4* found) {
  u32 wrong = 0;
#pragma unroll
  for (u32 u = 0; u < IN_FLIGHT; u++)
    if (!same(expected_at<KIND>(p, index + u * step), words(found[u]))) wrong |= 1u << u;
  return wrong & ((1u << here) - 1);
}

template <u32 KIND>
DEVICE void store_vectors(Pattern p, u64 index, u32 here, uint4* lane) {
#pragma unroll
  for (u32 u = 0; u < IN_FLIGHT; u++)
    if (u < here) store_streaming(lane + u * BLOCK_THREADS, vector(expected_at<KIND>(p, index + u * BLOCK_THREADS)));
}

// Walks this block's chunks of 1024 vectors. CHECK compares with the pattern, WRITE then stores the pattern (its inverse if both).
template <bool CHECK, bool WRITE>
DEVICE void sweep(uint4* base, u64 count, u64 first_index, u32 mode, u32 seed, u32 descending, u64* log) {
  __shared__ Tally tally;
  tally_begin(&tally);
  Pattern p = pattern_prepare(mode, seed), next = p;
  if (CHECK) next.invert = ~p.invert;
  u64 chunks = (count + CHUNK_VECTORS - 1) / CHUNK_VECTORS;
  u32 handled = 0;
#pragma unroll 1
  for (u64 turn = blockIdx.x; turn < chunks; turn += gridDim.x) {
    u64 at = (descending ? chunks - 1 - turn : turn) * CHUNK_VECTORS + threadIdx.x;
    uint4* lane = base + at;
    u64 index = first_index + at;
    u32 here = vectors_here(at, count), wrong = 0;
    uint4 found[IN_FLIGHT] = {};
#pragma unroll
    for (u32 u = 0; CHECK && u < IN_FLIGHT; u++)
      if (u < here) found[u] = load_streaming(lane + u * BLOCK_THREADS);
    if (p.kind == PATTERN_ADDRESS) {
      if (CHECK) wrong = wrong_vectors<PATTERN_ADDRESS>(p, index, BLOCK_THREADS, here, found);
      if (WRITE) store_vectors<PATTERN_ADDRESS>(next, index, here, lane);
    } else if (p.kind == PATTERN_RANDOM) {
      if (CHECK) wrong = wrong_vectors<PATTERN_RANDOM>(p, index, BLOCK_THREADS, here, found);
      if (WRITE) store_vectors<PATTERN_RANDOM>(next, index, here, lane);
    } else {
      if (CHECK) wrong = wrong_vectors<PATTERN_WALKING>(p, index, BLOCK_THREADS, here, found);
      if (WRITE) store_vectors<PATTERN_WALKING>(next, index, here, lane);
    }
    if (CHECK && wrong) report_batch(p, index, BLOCK_THREADS, found, wrong, mode, log, &tally);
    handled += here;
  }
  tally_end(&tally, log, WRITE ? handled : 0, CHECK ? handled : 0);
}

// memory_fill(base, count, first_index, mode, seed, descending, log)
// Writes the pattern. LOG_WRITTEN grows by count.
KERNEL __launch_bounds__(BLOCK_THREADS, 3) memory_fill(uint4* base, u64 count, u64 first_index, u32 mode, u32 seed, u32 descending, u64* log) {
  sweep<false, true>(base, count, first_index, mode, seed, descending, log);
}

// memory_verify(base, count, first_index, mode, seed, descending, log)
// Reads and compares. LOG_CHECKED grows by count. The capacity proof: fill every allocation with PATTERN_ADDRESS before any is verified,
// then again with PATTERN_INVERT and descending = 1. Retention: fill, wait, verify, verify again.
KERNEL __launch_bounds__(BLOCK_THREADS, 3) memory_verify(uint4* base, u64 count, u64 first_index, u32 mode, u32 seed, u32 descending, u64* log) {
  sweep<true, false>(base, count, first_index, mode, seed, descending, log);
}

// memory_march(base, count, first_index, mode, seed, descending, log)
// Moving inversions: compares with `mode` and writes `mode ^ PATTERN_INVERT` in one pass. LOG_CHECKED and LOG_WRITTEN grow by count.
KERNEL __launch_bounds__(BLOCK_THREADS, 3) memory_march(uint4* base, u64 count, u64 first_index, u32 mode, u32 seed, u32 descending, u64* log) {
  sweep<true, true>(base, count, first_index, mode, seed, descending, log);
}

// memory_thrash(base, rows, row_vectors, first_index, mode, seed, log)
// Compares rows x row_vectors vectors column by column: neighbouring pairs of threads read the same 32-byte column of different rows,
// so that with row_vectors x 16 = the distance of two rows of a DRAM bank nearly each access opens a row. row_vectors is even;
// mode is PATTERN_RANDOM, inverted or not. LOG_CHECKED grows by rows x row_vectors.
KERNEL __launch_bounds__(BLOCK_THREADS, 3)
    memory_thrash(uint4* base, u64 rows, u64 row_vectors, u64 first_index, u32 mode, u32 seed, u64* log) {
  __shared__ Tally tally;
  tally_begin(&tally);
  Pattern p = pattern_prepare(PATTERN_RANDOM | (mode & PATTERN_INVERT), seed);
  const u64 rows_apart = BLOCK_THREADS / 2, step = rows_apart * row_vectors;
  u32 checked = 0;
#pragma unroll 1
  for (u64 column = 2ull * blockIdx.x; column < row_vectors; column += 2ull * gridDim.x) {
#pragma unroll 1
    for (u64 row = threadIdx.x >> 1; row < rows; row += IN_FLIGHT * rows_apart) {
      u64 at = row * row_vectors + column + (threadIdx.x & 1);
      u64 left = (rows - row + rows_apart - 1) / rows_apart;
      u32 here = left < IN_FLIGHT ? (u32)left : IN_FLIGHT;
      uint4 found[IN_FLIGHT] = {};
#pragma unroll
      for (u32 u = 0; u < IN_FLIGHT; u++)
        if (u < here) found[u] = load_streaming(base + at + u * step);
      u32 wrong = wrong_vectors<PATTERN_RANDOM>(p, first_index + at, step, here, found);
      if (wrong) report_batch(p, first_index + at, step, found, wrong, mode, log, &tally);
      checked += here;
    }
  }
  tally_end(&tally, log, 0, checked);
}
