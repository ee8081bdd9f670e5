// Runs CUDA kernels on the processor: each thread of a block is a fiber, blocks run one after another. Barriers, shuffles and votes park a
// fiber until all of its block (or warp) have come. Only what the memory, bandwidth, fingerprint and FP kernels use.
#pragma once
#include <math.h>
#include <string.h>
#include <ucontext.h>

#include <algorithm>
#include <functional>
#include <vector>

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static  // blocks run one at a time

struct uint4 {
  unsigned x, y, z, w;
};

namespace shim {

struct Index {
  unsigned x;
};

enum State { READY, AT_BARRIER, AT_SHUFFLE, DONE };

struct Fiber {
  ucontext_t context;
  std::vector<char> stack;
  State state;
  unsigned long long given, taken;
  unsigned lane;  // whose value this fiber takes
};

struct Machine {
  std::vector<Fiber> fibers;
  ucontext_t scheduler;
  unsigned current, block, blocks, sms;
  unsigned long long clock;
  int any;
  const std::function<void()>* kernel;
};

inline Machine machine;

inline void park(State state) {
  Fiber& fiber = machine.fibers[machine.current];
  fiber.state = state;
  swapcontext(&fiber.context, &machine.scheduler);
}

inline void enter() {
  (*machine.kernel)();
  park(DONE);
}

inline unsigned long long exchange(unsigned long long value, unsigned lane) {
  Fiber& fiber = machine.fibers[machine.current];
  fiber.given = value;
  fiber.lane = lane;
  park(AT_SHUFFLE);
  return machine.fibers[machine.current].taken;
}

// Lets warps exchange whose running lanes have all come; then opens the barrier if all fibers wait at it. False: nothing moved.
inline bool release() {
  bool moved = false;
  size_t threads = machine.fibers.size(), waiting = 0, done = 0;
  for (size_t first = 0; first < threads; first += 32) {
    size_t last = std::min(first + 32, threads), running = 0, shuffling = 0;
    for (size_t t = first; t < last; t++) {
      running += machine.fibers[t].state != DONE;
      shuffling += machine.fibers[t].state == AT_SHUFFLE;
    }
    if (shuffling == 0 || shuffling != running) continue;
    for (size_t t = first; t < last; t++) machine.fibers[t].taken = machine.fibers[first + machine.fibers[t].lane].given;
    for (size_t t = first; t < last; t++)
      if (machine.fibers[t].state == AT_SHUFFLE) machine.fibers[t].state = READY;
    moved = true;
  }
  for (const Fiber& fiber : machine.fibers) {
    waiting += fiber.state == AT_BARRIER;
    done += fiber.state == DONE;
  }
  if (waiting && waiting + done == threads) {
    for (Fiber& fiber : machine.fibers)
      if (fiber.state == AT_BARRIER) fiber.state = READY;
    moved = true;
  }
  return moved;
}

inline void launch(unsigned blocks, unsigned threads, const std::function<void()>& kernel) {
  machine.fibers.assign(threads, Fiber{});
  machine.kernel = &kernel;
  machine.blocks = blocks;
  machine.sms = 4;
  for (Fiber& fiber : machine.fibers) fiber.stack.resize(64 << 10);
  for (machine.block = 0; machine.block < blocks; machine.block++) {
    for (Fiber& fiber : machine.fibers) {
      fiber.state = READY;
      getcontext(&fiber.context);
      fiber.context.uc_stack.ss_sp = fiber.stack.data();
      fiber.context.uc_stack.ss_size = fiber.stack.size();
      makecontext(&fiber.context, enter, 0);
    }
    do {
      for (machine.current = 0; machine.current < threads; machine.current++)
        if (machine.fibers[machine.current].state == READY) swapcontext(&machine.scheduler, &machine.fibers[machine.current].context);
    } while (release());
  }
}

}  // namespace shim

#define threadIdx (shim::Index{shim::machine.current})
#define blockIdx (shim::Index{shim::machine.block})
#define blockDim (shim::Index{(unsigned)shim::machine.fibers.size()})
#define gridDim (shim::Index{shim::machine.blocks})

inline void __syncthreads() { shim::park(shim::AT_BARRIER); }
inline int __syncthreads_or(int value) {
  if (shim::machine.current == 0) shim::machine.any = 0;
  __syncthreads();
  shim::machine.any |= value;
  __syncthreads();
  int any = shim::machine.any;
  __syncthreads();
  return any;
}
inline unsigned long long __shfl_xor_sync(unsigned, unsigned long long value, int mask) {
  return shim::exchange(value, (shim::machine.current & 31) ^ mask);
}

template <class T, class U>
inline T atomicAdd(T* p, U value) {
  T old = *p;
  *p = old + (T)value;
  return old;
}
template <class T>
inline void atomicOr(T* p, T value) {
  *p |= value;
}
template <class T>
inline void atomicMin(T* p, T value) {
  if (value < *p) *p = value;
}
template <class T>
inline void atomicMax(T* p, T value) {
  if (value > *p) *p = value;
}

inline int __popc(unsigned v) { return __builtin_popcount(v); }
inline unsigned __float_as_uint(float f) {
  unsigned u;
  memcpy(&u, &f, sizeof u);
  return u;
}
inline long long __double_as_longlong(double d) {
  long long u;
  memcpy(&u, &d, sizeof u);
  return u;
}
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fadd_rn(float a, float b) { return a + b; }

// Special registers and the loads that are inline PTX on the GPU. Time only has to pass.
static inline unsigned smid() { return shim::machine.block % shim::machine.sms; }
static inline unsigned nsmid() { return shim::machine.sms; }
static inline unsigned long long clock_cycles() { return shim::machine.clock += 4; }
static inline unsigned long long global_ns() { return shim::machine.clock += 4; }
static inline uint4 load_streaming(const uint4* p) { return *p; }
static inline void store_streaming(uint4* p, uint4 v) { *p = v; }
static inline unsigned load_l2(const unsigned* p) { return *p; }
static inline unsigned load_volatile(const unsigned* p) { return *(const volatile unsigned*)p; }
