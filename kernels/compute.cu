// Arithmetic: does every SM compute what it should, and how fast? All operands stay in registers; there is no memory traffic.
//
// Contract of every kernel here: compute_<type>(u64* out, u32 iterations, u32 seed, u32 mode)
//   launch      256 threads a block, no dynamic shared memory; as many blocks as SMs for ops/clk/SM, a multiple of it to burn
//   mode        OperandMode (operands.h)
//   out         four words for each block, in host-mapped pinned memory: fold of the results, SM (%smid), SM clocks of the loop, nanoseconds
//   fold        the same for every block, SM and card of the same kernel and architecture; in exact mode (FP32, FP64: in both) it is
//               known beforehand. README.md, "Known answers"
//   work        README.md gives the multiply-adds of a block for each iteration
//   modules     the fatbin has all kernels of a target. A PTX module has what its level brings: compute_f32 and compute_f64 in level 70 only,
//               tensor kernels in the newest level whose instruction they use; take each from the highest level that has it
//   iterations  bounded in exact mode (README.md), else free
#include "common.cuh"
#include "operands.h"
#ifndef YANJI_SHIM
#include "tensor.cuh"
#endif

// ---- FP32 and FP64 ----------------------------------------------------------------------------------------------------------
// a += b s, b -= a s: a rotation. It is bounded, every operand changes with each instruction, and an error never dies out.

#define PAIRS 8u
#define ROTATIONS 8u

DEVICE float multiply_add(float a, float b, float c) { return fmaf(a, b, c); }
DEVICE double multiply_add(double a, double b, double c) { return fma(a, b, c); }

template <class Real>
DEVICE void rotate_burn(u64* out, u32 iterations, u32 seed, u32 mode) {
  Real a[PAIRS] = {}, b[PAIRS] = {}, s[2];
#pragma unroll 1
  for (u32 i = 0; i < PAIRS; i++) {
    Real first = (Real)rotation_start(seed, (threadIdx.x * PAIRS + i) * 2, mode);
    Real second = (Real)rotation_start(seed, (threadIdx.x * PAIRS + i) * 2 + 1, mode);
#pragma unroll
    for (u32 j = 0; j < PAIRS; j++)
      a[j] = i == j ? first : a[j], b[j] = i == j ? second : b[j];
  }
  s[0] = (Real)rotation_step(seed, 0, mode);
  s[1] = (Real)rotation_step(seed, 1, mode);
  __syncthreads();
  u64 begin_ns = global_ns(), begin = clock_cycles();
#pragma unroll 1
  for (u32 k = 0; k < iterations; k++) {
#pragma unroll
    for (u32 r = 0; r < ROTATIONS; r++) {
#pragma unroll
      for (u32 i = 0; i < PAIRS; i++) a[i] = multiply_add(b[i], s[i & 1], a[i]);
#pragma unroll
      for (u32 i = 0; i < PAIRS; i++) b[i] = multiply_add(-a[i], s[i & 1], b[i]);
    }
  }
  __syncthreads();
  u64 end = clock_cycles(), end_ns = global_ns(), fold = 0;
#pragma unroll 1
  for (u32 i = 0; i < PAIRS; i++) {
    Real first = 0, second = 0;
#pragma unroll
    for (u32 j = 0; j < PAIRS; j++)
      first = i == j ? a[j] : first, second = i == j ? b[j] : second;
    fold += fold_part(result_bits(first), (threadIdx.x * PAIRS + i) * 2);
    fold += fold_part(result_bits(second), (threadIdx.x * PAIRS + i) * 2 + 1);
  }
  fold = block_sum(fold);
  if (threadIdx.x == 0) write_record(out, fold, smid(), end - begin, end_ns - begin_ns);
}

#if !defined(YANJI_PTX_LEVEL) || YANJI_PTX_LEVEL == 70
KERNEL __launch_bounds__(BLOCK_THREADS) compute_f32(u64* out, u32 iterations, u32 seed, u32 mode) {
  rotate_burn<float>(out, iterations, seed, mode);
}
KERNEL __launch_bounds__(BLOCK_THREADS) compute_f64(u64* out, u32 iterations, u32 seed, u32 mode) {
  rotate_burn<double>(out, iterations, seed, mode);
}
#endif

// ---- tensor cores -----------------------------------------------------------------------------------------------------------
// Each warp holds four A fragments, four B fragments and 2 x 4 accumulators. Round r adds A[(m + r) % 4] B[n] to accumulator (m, n); an
// iteration is eight rounds (64 instructions). One more, A[m] B[n], follows the loop, so that the operands themselves show in the answer.
#ifndef YANJI_SHIM

#define ROUNDS 8u

template <class Op>
DEVICE void tensor_burn(u64* out, u32 iterations, u32 seed, u32 mode) {
  Tile<Op> tile;
  tile.load_operands(mode, seed);
  tile.start_sums(seed);
  __syncthreads();
  u64 begin_ns = global_ns(), begin = clock_cycles();
#pragma unroll 1
  for (u32 k = 0; k < iterations; k++) {
#pragma unroll
    for (u32 r = 0; r < ROUNDS; r++) tile.round(r);
  }
  tile.round(0);
  __syncthreads();
  u64 end = clock_cycles(), end_ns = global_ns();
  u64 fold = block_sum(tile.fold());
  if (threadIdx.x == 0) write_record(out, fold, smid(), end - begin, end_ns - begin_ns);
}

#define COMPUTE_KERNEL(name, Op) \
  KERNEL __launch_bounds__(BLOCK_THREADS, 1) name(u64* out, u32 iterations, u32 seed, u32 mode) { tensor_burn<Op>(out, iterations, seed, mode); }

#if !defined(YANJI_PTX_LEVEL) || YANJI_PTX_LEVEL < 89
COMPUTE_KERNEL(compute_f16, F16)
#if __CUDA_ARCH__ >= 750
COMPUTE_KERNEL(compute_s8, S8)
#endif
#if __CUDA_ARCH__ >= 800
COMPUTE_KERNEL(compute_bf16, Bf16)
COMPUTE_KERNEL(compute_tf32, Tf32)
COMPUTE_KERNEL(compute_f64_tensor, F64)
#endif
#endif
#ifdef MMA_E4M3
COMPUTE_KERNEL(compute_e4m3, E4m3)
#endif
#ifdef MMA_E2M1
COMPUTE_KERNEL(compute_e2m1, E2m1)
#endif

#endif  // YANJI_SHIM
