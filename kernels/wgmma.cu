// Arithmetic by wgmma (sm_90a only): operands in shared memory, sums in registers, two warpgroups.
//
// Contract of every kernel here: wgmma_<type>(u64* out, u32 iterations, u32 seed, u32 mode)
//   launch      256 threads a block, one block for each SM, 65536 bytes of dynamic shared memory (set the kernel's
//               MAX_DYNAMIC_SHARED_SIZE_BYTES first)
//   others      as in compute.cu. An iteration is 8 instructions m64n256 for each warpgroup; one more follows the loop
#include "shared_tiles.cuh"

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

#define SUM4(b) , SUM_CONSTRAINT(d[b]), SUM_CONSTRAINT(d[b + 1]), SUM_CONSTRAINT(d[b + 2]), SUM_CONSTRAINT(d[b + 3])
#define SUM16(b) SUM4(b) SUM4(b + 4) SUM4(b + 8) SUM4(b + 12)
#define SUM64(b) SUM16(b) SUM16(b + 16) SUM16(b + 32) SUM16(b + 48)
#define ALL_SUMS                                                                                                             \
  SUM_CONSTRAINT(d[0]), SUM_CONSTRAINT(d[1]), SUM_CONSTRAINT(d[2]), SUM_CONSTRAINT(d[3]) SUM4(4) SUM4(8) SUM4(12) SUM16(16) \
      SUM16(32) SUM16(48) SUM64(64)
#define MULTIPLY(text, tail)                                                     \
  asm volatile("{ .reg .pred p; setp.ne.b32 p, 1, 0;\n"                          \
  "wgmma.mma_async.sync.aligned.m64n256" text " {"                               \
  "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"  \
  "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31,"  \
  "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,"  \
  "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63,"  \
  "%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79,"  \
  "%80,%81,%82,%83,%84,%85,%86,%87,%88,%89,%90,%91,%92,%93,%94,%95,"  \
  "%96,%97,%98,%99,%100,%101,%102,%103,%104,%105,%106,%107,%108,%109,%110,%111,"  \
  "%112,%113,%114,%115,%116,%117,%118,%119,%120,%121,%122,%123,%124,%125,%126,%127}, "  \
  "%128, %129, p" tail "; }" : ALL_SUMS : "l"(a), "l"(b) : "memory")

struct F16 {
  typedef float Sum;
  static __device__ __forceinline__ Format format() { return FORMAT_F16; }
#define SUM_CONSTRAINT "+f"
  static __device__ __forceinline__ void multiply(float (&d)[128], u64 a, u64 b) { MULTIPLY("k16.f32.f16.f16", ", 1, 1, 0, 0"); }
};
struct Bf16 {
  typedef float Sum;
  static __device__ __forceinline__ Format format() { return FORMAT_BF16; }
  static __device__ __forceinline__ void multiply(float (&d)[128], u64 a, u64 b) { MULTIPLY("k16.f32.bf16.bf16", ", 1, 1, 0, 0"); }
};
struct Tf32 {
  typedef float Sum;
  static __device__ __forceinline__ Format format() { return FORMAT_TF32; }
  static __device__ __forceinline__ void multiply(float (&d)[128], u64 a, u64 b) { MULTIPLY("k8.f32.tf32.tf32", ", 1, 1"); }
};
struct E4m3 {
  typedef float Sum;
  static __device__ __forceinline__ Format format() { return FORMAT_E4M3; }
  static __device__ __forceinline__ void multiply(float (&d)[128], u64 a, u64 b) { MULTIPLY("k32.f32.e4m3.e4m3", ", 1, 1"); }
};
#undef SUM_CONSTRAINT
#define SUM_CONSTRAINT "+r"
struct S8 {
  typedef int Sum;
  static __device__ __forceinline__ Format format() { return FORMAT_S8; }
  static __device__ __forceinline__ void multiply(int (&d)[128], u64 a, u64 b) { MULTIPLY("k32.s32.s8.s8", ""); }
};

// A zero that the compiler cannot see through: otherwise the loop carries every sum twice.
DEVICE void opaque_zero(float& v) { asm volatile("mov.f32 %0, 0f00000000;" : "=f"(v)); }
DEVICE void opaque_zero(int& v) { asm volatile("mov.s32 %0, 0;" : "=r"(v)); }

DEVICE void fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
DEVICE void commit_and_wait() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
  asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
}

// Iterations between two waits. What is not a multiplication (fence, wait, loop) is there once for all of them.
#define GROUP 10u

template <class Op, u32 ITERATIONS>
DEVICE void iterate(typename Op::Sum (&d)[128], u64 a, const u64 (&b)[2]) {
  fence();
#pragma unroll
  for (u32 i = 0; i < ITERATIONS * SLOTS; i++)
    Op::multiply(d, a + i % SLOTS * (A_SLOT_BYTES >> 4), b[i / 2 % 2] + b_slot(i % SLOTS) * (B_SLOT_BYTES >> 4));
  commit_and_wait();
}

template <class Op>
DEVICE void wgmma_burn(u64* out, u32 iterations, u32 seed, u32 mode) {
  extern __shared__ __align__(1024) char tiles[];
  fill_tiles(tiles, Op::format(), mode, seed);
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
  __syncthreads();
  // By the shuffle ptxas knows that the descriptors are the same for the whole warp, and keeps them in uniform registers.
  const u32 base = (u32)__cvta_generic_to_shared(tiles), group = __shfl_sync(0xffffffffu, threadIdx.x >> 7, 0);
  const u64 a = matrix_descriptor(base + group * (A_SLOT_BYTES / 2));
  // Twice the same (mode is 0 or 1): one that two slots shared would be copied beside the other half of each one's pair again and again.
  const u64 b[2] = {matrix_descriptor(base + B_BASE), matrix_descriptor(base + B_BASE + (mode >> 31))};
  typename Op::Sum d[128];
#pragma unroll
  for (u32 i = 0; i < 128; i++) opaque_zero(d[i]);
  u64 begin_ns = global_ns(), begin = clock_cycles();
  u32 left = iterations;
#pragma unroll 1
  for (; left >= GROUP; left -= GROUP) iterate<Op, GROUP>(d, a, b);
#pragma unroll 1
  for (; left; left--) iterate<Op, 1>(d, a, b);
  fence();
  Op::multiply(d, a, b[0]);
  commit_and_wait();
  __syncthreads();
  u64 end = clock_cycles(), end_ns = global_ns(), fold = 0;
  const u32 lane = threadIdx.x & 31, row = group * 64 + (threadIdx.x >> 5 & 3) * 16 + (lane >> 2), column = (lane & 3) * 2;
#pragma unroll 1
  for (u32 i = 0; i < 128; i++) {
    typename Op::Sum sum = 0;
#pragma unroll
    for (u32 j = 0; j < 128; j++) sum = i == j ? d[j] : sum;
    fold += fold_part(result_bits(sum), (row + (i >> 1 & 1) * 8) * B_COLUMNS + column + (i >> 2) * 8 + (i & 1));
  }
  fold = block_sum(fold);
  if (threadIdx.x == 0) write_record(out, fold, smid(), end - begin, end_ns - begin_ns);
}

#define WGMMA_KERNEL(name, Op) \
  KERNEL __launch_bounds__(BLOCK_THREADS, 1) name(u64* out, u32 iterations, u32 seed, u32 mode) { wgmma_burn<Op>(out, iterations, seed, mode); }

WGMMA_KERNEL(wgmma_f16, F16)
WGMMA_KERNEL(wgmma_bf16, Bf16)
WGMMA_KERNEL(wgmma_tf32, Tf32)
WGMMA_KERNEL(wgmma_e4m3, E4m3)
WGMMA_KERNEL(wgmma_s8, S8)

#endif
