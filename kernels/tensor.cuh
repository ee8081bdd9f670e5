// Tensor-core work by mma.sync: the instructions of each architecture, and a warp's tile of operands and sums that stays in registers.
#pragma once
#include "common.cuh"
#include "operands.h"

// A warp holds four A fragments, four B fragments and 2 x 4 sums, so that no two neighbouring instructions have the same operands.
#define TILE_M 2u
#define TILE_N 4u

// How mma.sync spreads a matrix over a warp: `group` = lane / 4, `member` = lane % 4, E elements in a register.
template <class Word_, class Sum_, u32 NA_, u32 NB_, u32 NC_, u32 E_>
struct Spread {
  typedef Word_ Word;
  typedef Sum_ Sum;
  static const u32 NA = NA_, NB = NB_, NC = NC_, E = E_;
  static __device__ __forceinline__ u32 a_row(u32 lane, u32 r) { return (lane >> 2) + 8 * (r & 1); }
  static __device__ __forceinline__ u32 a_column(u32 lane, u32 r, u32 e) { return (lane & 3) * E + e + 4 * E * (r >> 1); }
  static __device__ __forceinline__ u32 b_row(u32 lane, u32 r, u32 e) { return (lane & 3) * E + e + 4 * E * r; }
  static __device__ __forceinline__ u32 b_column(u32 lane) { return lane >> 2; }
  static __device__ __forceinline__ u32 c_row(u32 lane, u32 r) { return (lane >> 2) + 8 * (r >> 1); }
  static __device__ __forceinline__ u32 c_column(u32 lane, u32 r) { return (lane & 3) * 2 + (r & 1); }
};

DEVICE u32 from_bits(u64 bits, u32) { return (u32)bits; }
DEVICE double from_bits(u64 bits, double) { return __longlong_as_double((long long)bits); }

// Where result `i` of a thread stands: warp, tile (3 bits), row (6 bits), column (4 bits).
template <class Op>
DEVICE u32 position(u32 warp, u32 lane, u32 i) {
  return (warp * 8 + i / Op::NC) << 10 | Op::c_row(lane, i % Op::NC) << 4 | Op::c_column(lane, i % Op::NC);
}

// A warp's operands and sums, all in registers.
template <class Op>
struct Tile {
  static const u32 SUMS = TILE_M * TILE_N * Op::NC;
  typename Op::Word a[4][Op::NA], b[TILE_N][Op::NB];
  typename Op::Sum c[TILE_M][TILE_N][Op::NC];

  // Registers have no index, so each loop picks its own out of all: one copy of the arithmetic instead of one for each register.
  __device__ __forceinline__ void load_operands(u32 mode, u32 seed) {
    const Format format = Op::format();
    const u32 lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
#pragma unroll
    for (u32 j = 0; j < 4 * Op::NA; j++) a[j / Op::NA][j % Op::NA] = 0;
#pragma unroll
    for (u32 j = 0; j < TILE_N * Op::NB; j++) b[j / Op::NB][j % Op::NB] = 0;
#pragma unroll 1
    for (u32 i = 0; i < 4 * Op::NA; i++) {
      u64 word = 0;
#pragma unroll 1
      for (u32 e = 0; e < Op::E; e++) {
        u64 element = a_element(format, mode, seed, warp, i / Op::NA, Op::a_row(lane, i % Op::NA), Op::a_column(lane, i % Op::NA, e));
        word |= element << (e * format.width);
      }
#pragma unroll
      for (u32 j = 0; j < 4 * Op::NA; j++)
        a[j / Op::NA][j % Op::NA] = i == j ? from_bits(word, a[0][0]) : a[j / Op::NA][j % Op::NA];
    }
#pragma unroll 1
    for (u32 i = 0; i < TILE_N * Op::NB; i++) {
      u64 word = 0;
#pragma unroll 1
      for (u32 e = 0; e < Op::E; e++) {
        u64 element = b_element(format, mode, seed, warp, i / Op::NB, Op::b_row(lane, i % Op::NB, e), Op::b_column(lane));
        word |= element << (e * format.width);
      }
#pragma unroll
      for (u32 j = 0; j < TILE_N * Op::NB; j++)
        b[j / Op::NB][j % Op::NB] = i == j ? from_bits(word, b[0][0]) : b[j / Op::NB][j % Op::NB];
    }
  }

  __device__ __forceinline__ void start_sums(u32 seed) {
    clear_sums();
    const u32 lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
#pragma unroll 1
    for (u32 i = 0; i < SUMS; i++) {
      typename Op::Sum start = (typename Op::Sum)start_value(seed, position<Op>(warp, lane, i));
#pragma unroll
      for (u32 j = 0; j < SUMS; j++) {
        typename Op::Sum& sum = c[j / Op::NC / TILE_N][j / Op::NC % TILE_N][j % Op::NC];
        sum = i == j ? start : sum;
      }
    }
  }

  __device__ __forceinline__ void clear_sums() {
#pragma unroll
    for (u32 j = 0; j < SUMS; j++) c[j / Op::NC / TILE_N][j / Op::NC % TILE_N][j % Op::NC] = 0;
  }

  // Round r adds A[(m + r) % 4] B[n] to each sum (m, n).
  __device__ __forceinline__ void round(u32 r) {
#pragma unroll
    for (u32 t = 0; t < TILE_M * TILE_N; t++) Op::mma(c[t / TILE_N][t % TILE_N], a[(t / TILE_N + r) & 3], b[t % TILE_N]);
  }

  __device__ __forceinline__ u64 fold() {
    const u32 lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    u64 sum_of_parts = 0;
#pragma unroll 1
    for (u32 i = 0; i < SUMS; i++) {
      typename Op::Sum sum = 0;
#pragma unroll
      for (u32 j = 0; j < SUMS; j++) sum = i == j ? c[j / Op::NC / TILE_N][j / Op::NC % TILE_N][j % Op::NC] : sum;
      sum_of_parts += fold_part(result_bits(sum), position<Op>(warp, lane, i));
    }
    return sum_of_parts;
  }
};

#define MMA_4_2_4(text, constraint)                                                                                       \
  asm volatile("mma.sync.aligned." text " {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"                             \
               : constraint(c[0]), constraint(c[1]), constraint(c[2]), constraint(c[3])                                   \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]))

#if __CUDA_ARCH__ >= 800

struct F16 : Spread<u32, float, 4, 2, 4, 2> {
  static __device__ __forceinline__ Format format() { return FORMAT_F16; }
  static __device__ __forceinline__ void mma(float (&c)[4], const u32 (&a)[4], const u32 (&b)[2]) { MMA_4_2_4("m16n8k16.row.col.f32.f16.f16.f32", "+f"); }
};
struct Bf16 : Spread<u32, float, 4, 2, 4, 2> {
  static __device__ __forceinline__ Format format() { return FORMAT_BF16; }
  static __device__ __forceinline__ void mma(float (&c)[4], const u32 (&a)[4], const u32 (&b)[2]) { MMA_4_2_4("m16n8k16.row.col.f32.bf16.bf16.f32", "+f"); }
};
struct Tf32 : Spread<u32, float, 4, 2, 4, 1> {
  static __device__ __forceinline__ Format format() { return FORMAT_TF32; }
  static __device__ __forceinline__ void mma(float (&c)[4], const u32 (&a)[4], const u32 (&b)[2]) { MMA_4_2_4("m16n8k8.row.col.f32.tf32.tf32.f32", "+f"); }
};
struct S8 : Spread<u32, int, 4, 2, 4, 4> {
  static __device__ __forceinline__ Format format() { return FORMAT_S8; }
  static __device__ __forceinline__ void mma(int (&c)[4], const u32 (&a)[4], const u32 (&b)[2]) { MMA_4_2_4("m16n8k32.row.col.s32.s8.s8.s32", "+r"); }
};

#if __CUDA_ARCH__ == 900
struct F64 : Spread<double, double, 8, 4, 4, 1> {
  static __device__ __forceinline__ Format format() { return FORMAT_F64; }
  static __device__ __forceinline__ void mma(double (&c)[4], const double (&a)[8], const double (&b)[4]) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f64.f64.f64.f64 {%0,%1,%2,%3},{%4,%5,%6,%7,%8,%9,%10,%11},{%12,%13,%14,%15},{%0,%1,%2,%3};"
                 : "+d"(c[0]), "+d"(c[1]), "+d"(c[2]), "+d"(c[3])
                 : "d"(a[0]), "d"(a[1]), "d"(a[2]), "d"(a[3]), "d"(a[4]), "d"(a[5]), "d"(a[6]), "d"(a[7]), "d"(b[0]), "d"(b[1]), "d"(b[2]), "d"(b[3]));
  }
};
#else
struct F64 : Spread<double, double, 1, 1, 2, 1> {
  static __device__ __forceinline__ Format format() { return FORMAT_F64; }
  static __device__ __forceinline__ void mma(double (&c)[2], const double (&a)[1], const double (&b)[1]) {
    asm volatile("mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 {%0,%1},{%2},{%3},{%0,%1};" : "+d"(c[0]), "+d"(c[1]) : "d"(a[0]), "d"(b[0]));
  }
};
#endif

#elif __CUDA_ARCH__ >= 750

struct F16 : Spread<u32, float, 2, 1, 4, 2> {
  static __device__ __forceinline__ Format format() { return FORMAT_F16; }
  static __device__ __forceinline__ void mma(float (&c)[4], const u32 (&a)[2], const u32 (&b)[1]) {
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3},{%4,%5},{%6},{%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(b[0]));
  }
};
struct S8 : Spread<u32, int, 1, 1, 2, 4> {
  static __device__ __forceinline__ Format format() { return FORMAT_S8; }
  static __device__ __forceinline__ void mma(int (&c)[2], const u32 (&a)[1], const u32 (&b)[1]) {
    asm volatile("mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32 {%0,%1},{%2},{%3},{%0,%1};" : "+r"(c[0]), "+r"(c[1]) : "r"(a[0]), "r"(b[0]));
  }
};

#else

// Volta: four groups of eight threads each multiply an 8x4 by a 4x8 matrix. Read as one 32x4 matrix whose B is the same for all.
struct F16 {
  typedef u32 Word;
  typedef float Sum;
  static const u32 NA = 2, NB = 2, NC = 8, E = 2;
  static __device__ __forceinline__ Format format() { return FORMAT_F16; }
  static __device__ __forceinline__ u32 group(u32 lane) { return lane >> 2 & 3; }
  static __device__ __forceinline__ u32 upper(u32 lane) { return lane >> 4 << 2; }
  static __device__ __forceinline__ u32 a_row(u32 lane, u32) { return group(lane) * 8 + (lane & 3) + upper(lane); }
  static __device__ __forceinline__ u32 a_column(u32, u32 r, u32 e) { return r * 2 + e; }
  static __device__ __forceinline__ u32 b_row(u32, u32 r, u32 e) { return r * 2 + e; }
  static __device__ __forceinline__ u32 b_column(u32 lane) { return (lane & 3) + upper(lane); }
  static __device__ __forceinline__ u32 c_row(u32 lane, u32 r) { return group(lane) * 8 + (lane & 1) + (r & 2) + upper(lane); }
  static __device__ __forceinline__ u32 c_column(u32 lane, u32 r) { return (r & 4) + (lane & 2) + (r & 1); }
  static __device__ __forceinline__ void mma(float (&c)[8], const u32 (&a)[2], const u32 (&b)[2]) {
    asm volatile("mma.sync.aligned.m8n8k4.row.col.f32.f16.f16.f32 {%0,%1,%2,%3,%4,%5,%6,%7},{%8,%9},{%10,%11},{%0,%1,%2,%3,%4,%5,%6,%7};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]), "+f"(c[4]), "+f"(c[5]), "+f"(c[6]), "+f"(c[7])
                 : "r"(a[0]), "r"(a[1]), "r"(b[0]), "r"(b[1]));
  }
};

#endif

#if __CUDA_ARCH__ == 890 || __CUDA_ARCH__ >= 1200
#define MMA_E4M3
struct E4m3 : Spread<u32, float, 4, 2, 4, 4> {
  static __device__ __forceinline__ Format format() { return FORMAT_E4M3; }
  static __device__ __forceinline__ void mma(float (&c)[4], const u32 (&a)[4], const u32 (&b)[2]) { MMA_4_2_4("m16n8k32.row.col.f32.e4m3.e4m3.f32", "+f"); }
};
#endif

#if defined(__CUDA_ARCH_FEAT_SM120_ALL)
#define MMA_E2M1
// Blocks of 16 share a scale; all scales are 1 (0x38 in ue4m3), so their layout does not matter.
struct E2m1 : Spread<u32, float, 4, 2, 4, 8> {
  static __device__ __forceinline__ Format format() { return FORMAT_E2M1; }
  static __device__ __forceinline__ void mma(float (&c)[4], const u32 (&a)[4], const u32 (&b)[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k64.row.col.kind::mxf4nvf4.block_scale.scale_vec::4X.f32.e2m1.e2m1.f32.ue4m3 "
        "{%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3},{%10},{0,0},{%10},{0,0};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]), "r"(0x38383838u));
  }
};
#endif
