// Operand tiles in shared memory for the tensor instructions that read them there (wgmma, tcgen05).
//
// Eight slots; slot i multiplies a 128 x K tile of A with a K x 256 tile of B. A slice of K elements is 32 bytes for every number format, so all
// share one layout: K-major without swizzle, core matrices of 8 rows x 16 bytes, the two along K 128 bytes apart, groups of 8 rows 256 bytes apart.
// A slots 2 and 3 (6 and 7) are the negatives of 0 and 1 (4 and 5) and meet the same B, see operands.h. There are four B tiles.
#pragma once
#include "common.cuh"
#include "operands.h"

#define SLOTS 8u
#define A_ROWS 128u
#define B_COLUMNS 256u
#define A_SLOT_BYTES (A_ROWS * 32u)
#define B_SLOT_BYTES (B_COLUMNS * 32u)
#define B_BASE (SLOTS * A_SLOT_BYTES)
#define TILE_BYTES (B_BASE + 4u * B_SLOT_BYTES)  // 65536

DEVICE u32 b_slot(u32 slot) { return (slot >> 1 & 2) | (slot & 1); }

DEVICE u32 word_offset(u32 row, u32 word) { return row / 8 * 256 + word / 4 * 128 + row % 8 * 16 + word % 4 * 4; }

// Fills TILE_BYTES at `tiles`; all threads of the block take part.
DEVICE void fill_tiles(char* tiles, Format format, u32 mode, u32 seed) {
  const u32 per_word = 32 / format.width;
#pragma unroll 1
  for (u32 i = threadIdx.x; i < TILE_BYTES / 4; i += blockDim.x) {
    bool is_a = i < B_BASE / 4;
    u32 rows = is_a ? A_ROWS : B_COLUMNS;
    u32 j = is_a ? i : i - B_BASE / 4;
    u32 slot = j / (rows * 8), row = j / 8 % rows, word = j % 8;
    u64 bits = 0;
#pragma unroll 1
    for (u32 e = 0; e < per_word; e++) {
      u32 k = word * per_word + e;
      u64 element = is_a ? a_element(format, mode, seed, slot >> 2, slot & 3, row, k) : b_element(format, mode, seed, 0, slot, k, row);
      bits |= element << (e * format.width);
    }
    *(u32*)(tiles + (is_a ? 0 : B_BASE) + slot * rows * 32 + word_offset(row, word)) = (u32)bits;
  }
}

// The address, leading (128) and stride (256) byte offsets of a shared-memory matrix descriptor, each in units of 16 bytes.
DEVICE u64 matrix_descriptor(u32 shared_address) { return (u64)(shared_address & 0x3ffff) >> 4 | 128ull >> 4 << 16 | 256ull >> 4 << 32; }
