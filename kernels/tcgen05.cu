// Arithmetic by tcgen05 (sm_100a, sm_103a): operands in shared memory, sums in tensor memory, one thread issues.
//
// Contract of every kernel here: tcgen05_<type>(u64* out, u32 iterations, u32 seed, u32 mode)
//   launch      128 threads a block, one block for each SM (each takes all tensor memory of its SM), 65536 bytes of dynamic shared memory
//               (set the kernel's MAX_DYNAMIC_SHARED_SIZE_BYTES first)
//   others      as in compute.cu. An iteration is 16 instructions 128 x 256 (8 for e2m1, whose scales need the room of the second sum);
//               one more for each sum follows the loop
#include "shared_tiles.cuh"

#if defined(__CUDA_ARCH_FEAT_SM100_ALL) || defined(__CUDA_ARCH_FEAT_SM103_ALL)

#define THREADS 128u
#define TENSOR_COLUMNS 512u
// Iterations with one sum (half as many with two) between two commits. What is not a multiplication (wait, commit, loop, moving descriptors
// into uniform registers) is there once for all of them.
#define GROUP 72u

// Instruction descriptors, PTX ISA "Instruction descriptor": type of the sums at bit 4, of A at 7, of B at 10, N / 8 at 17, M / 16 at 24.
#define DESCRIPTOR(sum, type) ((sum) << 4 | (type) << 7 | (type) << 10 | B_COLUMNS / 8 << 17 | A_ROWS / 16 << 24)

#define ISSUE(kind)                                                                                                              \
  asm volatile("{ .reg .pred p; setp.ne.b32 p, 1, 0; tcgen05.mma.cta_group::1.kind::" kind " [%0], %1, %2, %3, p; }" ::"r"(sum), \
               "l"(a), "l"(b), "r"(descriptor)                                                                                   \
               : "memory")

template <u32 SUMS_>
struct Plain {
  static const u32 SUMS = SUMS_;
};
struct F16 : Plain<2> {
  static const u32 descriptor = DESCRIPTOR(1u, 0u);
  static __device__ __forceinline__ Format format() { return FORMAT_F16; }
  static __device__ __forceinline__ void multiply(u32 sum, u64 a, u64 b, u32) { ISSUE("f16"); }
};
struct Bf16 : Plain<2> {
  static const u32 descriptor = DESCRIPTOR(1u, 1u);
  static __device__ __forceinline__ Format format() { return FORMAT_BF16; }
  static __device__ __forceinline__ void multiply(u32 sum, u64 a, u64 b, u32) { ISSUE("f16"); }
};
struct Tf32 : Plain<2> {
  static const u32 descriptor = DESCRIPTOR(1u, 2u);
  static __device__ __forceinline__ Format format() { return FORMAT_TF32; }
  static __device__ __forceinline__ void multiply(u32 sum, u64 a, u64 b, u32) { ISSUE("tf32"); }
};
struct E4m3 : Plain<2> {
  static const u32 descriptor = DESCRIPTOR(1u, 0u);
  static __device__ __forceinline__ Format format() { return FORMAT_E4M3; }
  static __device__ __forceinline__ void multiply(u32 sum, u64 a, u64 b, u32) { ISSUE("f8f6f4"); }
};
#if defined(__CUDA_ARCH_FEAT_SM100_ALL)
struct S8 : Plain<2> {
  static const u32 descriptor = DESCRIPTOR(2u, 1u);
  static __device__ __forceinline__ Format format() { return FORMAT_S8; }
  static __device__ __forceinline__ void multiply(u32 sum, u64 a, u64 b, u32) { ISSUE("i8"); }
};
#endif
// Blocks of 16 share a scale in ue4m3; all are 1, in the columns behind the sum, so their layout does not matter. The descriptor of
// block-scaled instructions has no type of sums; bit 23 = 0 says ue4m3.
struct E2m1 : Plain<1> {
  static const u32 descriptor = DESCRIPTOR(0u, 1u);
  static __device__ __forceinline__ Format format() { return FORMAT_E2M1; }
  static __device__ __forceinline__ void multiply(u32 sum, u64 a, u64 b, u32 scales) {
    asm volatile(
        "{ .reg .pred p; setp.ne.b32 p, 1, 0; "
        "tcgen05.mma.cta_group::1.kind::mxf4nvf4.block_scale.scale_vec::4X [%0], %1, %2, %3, [%4], [%5], p; }" ::"r"(sum),
        "l"(a), "l"(b), "r"(descriptor), "r"(scales), "r"(scales + 128)
        : "memory");
  }
};

DEVICE u32 shared_address(const void* p) { return (u32)__cvta_generic_to_shared(p); }

// Whether this thread is the one of its warp that issues. Asked like this, ptxas knows that only one goes on, and makes no loop over lanes
// around each instruction.
DEVICE bool elected() {
  u32 is;
  asm volatile("{ .reg .pred p; elect.sync _|p, 0xffffffff; selp.u32 %0, 1, 0, p; }" : "=r"(is));
  return is;
}

DEVICE void commit(u32 barrier) {
  asm volatile("tcgen05.commit.cta_group::1.mbarrier::arrive::one.shared::cluster.b64 [%0];" ::"r"(barrier) : "memory");
}

DEVICE void wait(u32 barrier, u32 parity) {
  u32 done;
  do {
    asm volatile("{ .reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2; selp.u32 %0, 1, 0, p; }"
                 : "=r"(done)
                 : "r"(barrier), "r"(parity)
                 : "memory");
  } while (!done);
}

// Sets this warp's 32 lanes of every tensor-memory column from `first` on.
DEVICE void set_columns(u32 tensor, u32 first, u32 count, u32 value) {
#pragma unroll 1
  for (u32 column = first; column < first + count; column += 8)
    asm volatile("tcgen05.st.sync.aligned.32x32b.x8.b32 [%0], {%1,%1,%1,%1,%1,%1,%1,%1};" ::"r"(tensor + column), "r"(value) : "memory");
}

// What the issuing thread holds.
struct Issue {
  u32 tensor, barrier, commits;
  u64 a, b;

  // The newest commit but `age`.
  __device__ __forceinline__ void wait_for(u32 age) {
    u32 which = commits - 1 - age;
    wait(barrier + (which & 1) * 8, which >> 1 & 1);
  }

  // Two commits in flight: the tensor core has work while the older one is awaited.
  template <class Op, u32 ITERATIONS>
  __device__ __forceinline__ void iterate() {
    if (commits >= 2) wait_for(1);
#pragma unroll
    for (u32 i = 0; i < ITERATIONS * SLOTS; i++)
#pragma unroll
      for (u32 sum = 0; sum < Op::SUMS; sum++) multiply<Op>(i % SLOTS, sum);
    commit_all();
  }

  // The second sum is half a round ahead of the first.
  template <class Op>
  __device__ __forceinline__ void multiply(u32 slot, u32 sum) {
    u32 s = (slot + sum * 4) % SLOTS;
    Op::multiply(tensor + sum * B_COLUMNS, a + s * (A_SLOT_BYTES >> 4), b + b_slot(s) * (B_SLOT_BYTES >> 4), tensor + B_COLUMNS);
  }

  __device__ __forceinline__ void commit_all() {
    commit(barrier + (commits & 1) * 8);
    commits++;
  }
};

template <class Op>
DEVICE void tcgen05_burn(u64* out, u32 iterations, u32 seed, u32 mode) {
  extern __shared__ __align__(1024) char tiles[];
  __shared__ u32 tensor_base;
  __shared__ __align__(8) u64 barriers[2];
  fill_tiles(tiles, Op::format(), mode, seed);
  const u32 barrier = shared_address(barriers);
  if (threadIdx.x < 32) {
    asm volatile("tcgen05.alloc.cta_group::1.sync.aligned.shared::cta.b32 [%0], %1;" ::"r"(shared_address(&tensor_base)), "n"(TENSOR_COLUMNS)
                 : "memory");
    asm volatile("tcgen05.relinquish_alloc_permit.cta_group::1.sync.aligned;");
  }
  if (threadIdx.x == 0) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(barrier) : "memory");
    asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(barrier + 8) : "memory");
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
  asm volatile("tcgen05.fence::before_thread_sync;" ::: "memory");
  __syncthreads();
  asm volatile("tcgen05.fence::after_thread_sync;" ::: "memory");
  const u32 tensor = tensor_base, lanes = tensor + (threadIdx.x >> 5 << 21);
  set_columns(lanes, 0, B_COLUMNS * Op::SUMS, 0);
  if (Op::SUMS == 1) set_columns(lanes, B_COLUMNS, TENSOR_COLUMNS - B_COLUMNS, 0x38383838u);
  asm volatile("tcgen05.wait::st.sync.aligned;" ::: "memory");
  asm volatile("tcgen05.fence::before_thread_sync;" ::: "memory");
  __syncthreads();
  asm volatile("tcgen05.fence::after_thread_sync;" ::: "memory");

  u64 begin_ns = global_ns(), begin = clock_cycles();
  if (threadIdx.x < 32 && elected()) {
    const u32 base = shared_address(tiles);
    // Bit 46: the version of the descriptor.
    Issue issue = {tensor, barrier, 0, matrix_descriptor(base) | 1ull << 46, matrix_descriptor(base + B_BASE) | 1ull << 46};
    const u32 group = GROUP / Op::SUMS;
    u32 left = iterations;
#pragma unroll 1
    for (; left >= group; left -= group) issue.template iterate<Op, group>();
#pragma unroll 1
    for (; left; left--) issue.template iterate<Op, 1>();
    if (issue.commits >= 2) issue.wait_for(1);
#pragma unroll
    for (u32 sum = 0; sum < Op::SUMS; sum++) issue.template multiply<Op>(0, sum);
    issue.commit_all();
    if (issue.commits >= 2) issue.wait_for(1);
    issue.wait_for(0);
    asm volatile("tcgen05.fence::before_thread_sync;" ::: "memory");
  }
  __syncthreads();
  u64 end = clock_cycles(), end_ns = global_ns(), fold = 0;
  asm volatile("tcgen05.fence::after_thread_sync;" ::: "memory");
#pragma unroll 1
  for (u32 column = 0; column < B_COLUMNS * Op::SUMS; column++) {
    u32 bits;
    asm volatile("tcgen05.ld.sync.aligned.32x32b.x1.b32 {%0}, [%1];" : "=r"(bits) : "r"(lanes + column) : "memory");
    asm volatile("tcgen05.wait::ld.sync.aligned;" ::: "memory");
    fold += fold_part(bits, column / B_COLUMNS * (A_ROWS * B_COLUMNS) + threadIdx.x * B_COLUMNS + column % B_COLUMNS);
  }
  fold = block_sum(fold);
  if (threadIdx.x == 0) write_record(out, fold, smid(), end - begin, end_ns - begin_ns);
  asm volatile("tcgen05.fence::before_thread_sync;" ::: "memory");
  __syncthreads();
  if (threadIdx.x < 32) asm volatile("tcgen05.dealloc.cta_group::1.sync.aligned.b32 %0, %1;" ::"r"(tensor), "n"(TENSOR_COLUMNS));
}

#define TCGEN05_KERNEL(name, Op) \
  KERNEL __launch_bounds__(THREADS, 1) name(u64* out, u32 iterations, u32 seed, u32 mode) { tcgen05_burn<Op>(out, iterations, seed, mode); }

TCGEN05_KERNEL(tcgen05_f16, F16)
TCGEN05_KERNEL(tcgen05_bf16, Bf16)
TCGEN05_KERNEL(tcgen05_tf32, Tf32)
TCGEN05_KERNEL(tcgen05_e4m3, E4m3)
TCGEN05_KERNEL(tcgen05_e2m1, E2m1)
#if defined(__CUDA_ARCH_FEAT_SM100_ALL)
TCGEN05_KERNEL(tcgen05_s8, S8)
#endif

#endif
