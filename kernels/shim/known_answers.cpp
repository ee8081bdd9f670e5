// Prints what the kernels must find, one JSON object a line: the kernels' own source run on the processor, and for tensor kernels a plain
// reference. Buffers are told by FNV-1a (64 bits) of their bytes.
#include <stdio.h>

#include "bandwidth.cu"
#undef IN_FLIGHT
#undef CHUNK_VECTORS
#include "memory.cu"
#include "compute.cu"
#include "fingerprint.cu"
#include "tensor_reference.h"

static const u32 BLOCKS = 3;
static const u64 COUNT = 50021;                      // not a multiple of a chunk
static const u64 FIRST_INDEX = (5ull << 32) - 1000;  // the carry into the upper word is inside

static u64 fnv(const void* data, size_t bytes) {
  u64 hash = 0xcbf29ce484222325ull;
  for (size_t i = 0; i < bytes; i++) hash = (hash ^ ((const unsigned char*)data)[i]) * 0x100000001b3ull;
  return hash;
}
static u64 fnv(const std::vector<uint4>& buffer) { return fnv(buffer.data(), buffer.size() * sizeof(uint4)); }

static std::vector<u64> fresh_log(u64 capacity) {
  std::vector<u64> log(LOG_HEADER_WORDS + capacity * LOG_RECORD_WORDS);
  log[LOG_CAPACITY] = capacity;
  log[LOG_FIRST_WRONG] = ~0ull;
  return log;
}

static void print_log(const std::vector<u64>& log) {
  printf("\"log\":[");
  for (u32 i = 0; i < LOG_HEADER_WORDS; i++) printf("%s\"%016llx\"", i ? "," : "", log[i]);
  printf("]");
}

static void memory_line(const char* kernel, u32 mode, u32 seed, u32 descending, const std::vector<uint4>& buffer, const std::vector<u64>& log) {
  printf("{\"kernel\":\"%s\",\"count\":%llu,\"first_index\":%llu,\"mode\":%u,\"seed\":%u,\"descending\":%u,\"blocks\":%u,\"checksum\":\"%016llx\",",
         kernel, COUNT, FIRST_INDEX, mode, seed, descending, BLOCKS, fnv(buffer));
  print_log(log);
  printf("}\n");
}

static void memory_answers() {
  const u32 seed = 0x1234567;
  for (u32 mode = 0; mode < 16; mode++) {
    if ((mode & PATTERN_KIND_MASK) > PATTERN_CONSTANT) continue;
    u32 descending = mode & 1;
    std::vector<uint4> buffer(COUNT);
    std::vector<u64> log = fresh_log(64);
    shim::launch(BLOCKS, 256, [&] { memory_fill(buffer.data(), COUNT, FIRST_INDEX, mode, seed, descending, log.data()); });
    memory_line("memory_fill", mode, seed, descending, buffer, log);
    shim::launch(BLOCKS, 256, [&] { memory_verify(buffer.data(), COUNT, FIRST_INDEX, mode, seed, descending, log.data()); });
    if (log[LOG_WRONG]) throw "a clean buffer has errors";
    // One bit lost or gained, several bits of a word, several words; with PATTERN_ADDRESS also another index's vector.
    buffer[777].z ^= 1u << 5;
    buffer[1024].x ^= 0x80000001u;
    buffer[COUNT - 1].x ^= 2;
    buffer[COUNT - 1].w ^= 4;
    buffer[40000] = buffer[123];
    memory_line("planted errors", mode, seed, descending, buffer, log);
    shim::launch(BLOCKS, 256, [&] { memory_verify(buffer.data(), COUNT, FIRST_INDEX, mode, seed, descending, log.data()); });
    memory_line("memory_verify", mode, seed, descending, buffer, log);
    log = fresh_log(2);
    shim::launch(BLOCKS, 256, [&] { memory_march(buffer.data(), COUNT, FIRST_INDEX, mode, seed, descending, log.data()); });
    memory_line("memory_march", mode, seed, descending, buffer, log);
  }
  const u64 rows = 300, row_vectors = 130;
  std::vector<uint4> buffer(rows * row_vectors);
  std::vector<u64> log = fresh_log(8);
  shim::launch(BLOCKS, 256, [&] { memory_fill(buffer.data(), buffer.size(), 0, PATTERN_RANDOM, seed, 0, log.data()); });
  buffer[row_vectors * 299 + 129].y ^= 1;
  shim::launch(BLOCKS, 256, [&] { memory_thrash(buffer.data(), rows, row_vectors, 0, PATTERN_RANDOM, seed, log.data()); });
  printf("{\"kernel\":\"memory_thrash\",\"rows\":%llu,\"row_vectors\":%llu,\"first_index\":0,\"mode\":%u,\"seed\":%u,\"blocks\":%u,", rows,
         row_vectors, (u32)PATTERN_RANDOM, seed, BLOCKS);
  print_log(log);
  printf("}\n");
}

static void bandwidth_answers() {
  const u32 seed = 99, scalar = 3;
  std::vector<uint4> a(COUNT), b(COUNT), c(COUNT);
  shim::launch(BLOCKS, 256, [&] { bandwidth_write(b.data(), COUNT, seed); });
  printf("{\"kernel\":\"bandwidth_write\",\"count\":%llu,\"seed\":%u,\"blocks\":%u,\"checksum\":\"%016llx\"}\n", COUNT, seed, BLOCKS, fnv(b));
  shim::launch(BLOCKS, 256, [&] { bandwidth_copy(c.data(), b.data(), COUNT); });
  printf("{\"kernel\":\"bandwidth_copy\",\"count\":%llu,\"seed\":%u,\"blocks\":%u,\"checksum\":\"%016llx\"}\n", COUNT, seed, BLOCKS, fnv(c));
  shim::launch(BLOCKS, 256, [&] { bandwidth_triad(a.data(), b.data(), c.data(), COUNT, scalar); });
  printf("{\"kernel\":\"bandwidth_triad\",\"count\":%llu,\"seed\":%u,\"scalar\":%u,\"blocks\":%u,\"checksum\":\"%016llx\"}\n", COUNT, seed, scalar,
         BLOCKS, fnv(a));
  u32 out[4] = {};
  shim::launch(BLOCKS, 256, [&] { bandwidth_read(a.data(), COUNT, out); });
  printf("{\"kernel\":\"bandwidth_read\",\"count\":%llu,\"blocks\":%u,\"out\":[%u,%u,%u,%u]}\n", COUNT, BLOCKS, out[0], out[1], out[2], out[3]);
  std::vector<u64> cycles(8);
  u32 region[4] = {};
  shim::launch(BLOCKS, 256, [&] { bandwidth_region(a.data(), 8, 4096, cycles.data(), region); });
  printf("{\"kernel\":\"bandwidth_region\",\"regions\":8,\"region_vectors\":4096,\"blocks\":%u,\"out\":[%u,%u,%u,%u]}\n", BLOCKS, region[0],
         region[1], region[2], region[3]);
}

typedef void (*Burn)(u64*, u32, u32, u32);

static void fold_line(const char* kernel, const char* variant, u32 iterations, u32 seed, u32 mode, u64 fold) {
  printf("{\"kernel\":\"%s\",\"variant\":\"%s\",\"iterations\":%u,\"seed\":%u,\"mode\":%u,\"fold\":\"%016llx\"}\n", kernel, variant, iterations,
         seed, mode, fold);
}

static void rotation_answers(const char* kernel, Burn burn) {
  for (u32 mode = 0; mode < 2; mode++)
    for (u32 iterations : {1u, 11u}) {
      u64 out[8] = {};
      shim::launch(2, 256, [&] { burn(out, iterations, 42, mode); });
      if (out[0] != out[4]) throw "blocks disagree";
      fold_line(kernel, "any", iterations, 42, mode, out[0]);
    }
}

struct Mma {
  const char *kernel, *variant;
  Format format;
  reference::SumType sum;
  u32 rows, k;
};

static void tensor_answers() {
  using namespace reference;
  const Mma all[] = {
      {"compute_f16", "m8n8k4", FORMAT_F16, SUM_F32, 32, 4},       {"compute_f16", "m16n8k8", FORMAT_F16, SUM_F32, 16, 8},
      {"compute_f16", "m16n8k16", FORMAT_F16, SUM_F32, 16, 16},    {"compute_bf16", "m16n8k16", FORMAT_BF16, SUM_F32, 16, 16},
      {"compute_tf32", "m16n8k8", FORMAT_TF32, SUM_F32, 16, 8},    {"compute_s8", "m8n8k16", FORMAT_S8, SUM_S32, 8, 16},
      {"compute_s8", "m16n8k32", FORMAT_S8, SUM_S32, 16, 32},      {"compute_e4m3", "m16n8k32", FORMAT_E4M3, SUM_F32, 16, 32},
      {"compute_e2m1", "m16n8k64", FORMAT_E2M1, SUM_F32, 16, 64},  {"compute_f64_tensor", "m8n8k4", FORMAT_F64, SUM_F64, 8, 4},
      {"compute_f64_tensor", "m16n8k16", FORMAT_F64, SUM_F64, 16, 16},
  };
  for (const Mma& m : all)
    for (u32 iterations : {1u, 100u}) fold_line(m.kernel, m.variant, iterations, 42, 0, mma_fold(m.format, m.sum, m.rows, m.k, iterations, 42));
  struct {
    const char* type;
    Format format;
    SumType sum;
  } shared[] = {{"f16", FORMAT_F16, SUM_F32},   {"bf16", FORMAT_BF16, SUM_F32}, {"tf32", FORMAT_TF32, SUM_F32},
                {"e4m3", FORMAT_E4M3, SUM_F32}, {"s8", FORMAT_S8, SUM_S32},     {"e2m1", FORMAT_E2M1, SUM_F32}};
  for (const auto& s : shared) {
    char kernel[32];
    bool e2m1 = s.format.width == 4;
    snprintf(kernel, sizeof kernel, "wgmma_%s", s.type);
    if (!e2m1) fold_line(kernel, "m64n256", 100, 42, 0, shared_fold(s.format, s.sum, 1, 100, 42));
    snprintf(kernel, sizeof kernel, "tcgen05_%s", s.type);
    fold_line(kernel, "128x256", 100, 42, 0, shared_fold(s.format, s.sum, e2m1 ? 1 : 2, 100, 42));
  }
}

static void fingerprint_answers() {
  const u32 nodes = 3000, node_words = 32, multiplier = 421, increment = 1009;
  std::vector<u32> ring(nodes * node_words);
  shim::launch(BLOCKS, 256, [&] { fingerprint_ring(ring.data(), nodes, node_words, multiplier, increment); });
  u64 out[4];
  shim::launch(1, 32, [&] { fingerprint_chase(ring.data(), 0, nodes, nodes - 1, out); });
  u64 last = out[2];
  shim::launch(1, 32, [&] { fingerprint_chase(ring.data(), 0, nodes, nodes, out); });
  if (out[2] != 0 || last == 0) throw "the ring does not visit every node";
  printf("{\"kernel\":\"fingerprint_ring\",\"nodes\":%u,\"node_words\":%u,\"multiplier\":%u,\"increment\":%u,\"checksum\":\"%016llx\"}\n", nodes,
         node_words, multiplier, increment, fnv(ring.data(), ring.size() * 4));
  printf("{\"kernel\":\"fingerprint_chase\",\"nodes\":%u,\"node_words\":%u,\"warm_hops\":%u,\"hops\":%u,\"last\":%llu}\n", nodes, node_words,
         nodes, nodes - 1, last);
}

int main() {
  try {
    memory_answers();
    bandwidth_answers();
    rotation_answers("compute_f32", compute_f32);
    rotation_answers("compute_f64", compute_f64);
    rotation_answers("fingerprint_f32_split", fingerprint_f32_split);
    fingerprint_answers();
    tensor_answers();
  } catch (const char* why) {
    fprintf(stderr, "%s\n", why);
    return 1;
  }
}
