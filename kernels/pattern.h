// What memory holds at an index: pattern(index, mode, seed) with no state, so that any address can be checked alone.
// The index counts 16-byte vectors over the whole card (allocation after allocation), never within one allocation.
// Plain C++: NVRTC and g++ compile it.
#pragma once
#include "portable.h"

enum PatternKind : u32 {
  PATTERN_ADDRESS = 0,   // its own index, salted by the seed: a vector found elsewhere says where it came from
  PATTERN_RANDOM = 1,    // counter-based pseudo-random words
  PATTERN_WALKING = 2,   // one bit set in two words, one bit clear in the others, at a place that walks with index + seed
  PATTERN_CHECKER = 3,   // 0101.. and 1010.. by the parity of index and seed
  PATTERN_CONSTANT = 4,  // the seed in every word
};
#define PATTERN_KIND_MASK 7u
#define PATTERN_INVERT 8u  // added to a kind: every bit inverted

struct Words {
  u32 x, y, z, w;
};

struct Pattern {
  u32 kind;
  u32 salt0, salt1;
  u32 invert;  // 0 or all ones
};

PORTABLE Pattern pattern_prepare(u32 mode, u32 seed) {
  Pattern p;
  p.kind = mode & PATTERN_KIND_MASK;
  p.invert = mode & PATTERN_INVERT ? 0xffffffffu : 0u;
  p.salt0 = p.kind <= PATTERN_RANDOM ? mix32(seed ^ 0x9e3779b9u) : seed;
  p.salt1 = mix32(p.salt0 + 0x85ebca6bu);
  return p;
}

PORTABLE Words pattern_address(Pattern p, u64 index) {
  Words v;
  v.x = (u32)index ^ p.salt0 ^ p.invert;
  v.y = (u32)(index >> 32) ^ p.salt1 ^ p.invert;
  v.z = ~v.x;
  v.w = ~v.y;
  return v;
}

PORTABLE Words pattern_random(Pattern p, u64 index) {
  Words v;
  u32 a = mix32((u32)index ^ p.salt0);
  u32 b = rotate_left(a, 16) * 0x9e3779b1u + ((u32)(index >> 32) * 0xc2b2ae35u + p.salt1);
  v.x = a ^ p.invert;
  v.y = b ^ p.invert;
  v.z = a ^ rotate_left(b, 13) ^ p.invert;
  v.w = (b + rotate_left(a, 7)) ^ p.invert;
  return v;
}

PORTABLE Words pattern_other(Pattern p, u64 index) {
  Words v;
  u32 low = (u32)index;
  if (p.kind == PATTERN_WALKING) {
    u32 bit = (low + p.salt0) & 31u;
    v.x = 1u << bit;
    v.y = 1u << ((bit + 8) & 31u);
    v.z = ~v.x;
    v.w = ~v.y;
  } else if (p.kind == PATTERN_CHECKER) {
    u32 word = (low ^ p.salt0) & 1u ? 0xaaaaaaaau : 0x55555555u;
    v.x = v.z = word;
    v.y = v.w = ~word;
  } else {
    v.x = v.y = v.z = v.w = p.salt0;
  }
  v.x ^= p.invert;
  v.y ^= p.invert;
  v.z ^= p.invert;
  v.w ^= p.invert;
  return v;
}

PORTABLE Words pattern_at(Pattern p, u64 index) {
  if (p.kind == PATTERN_ADDRESS) return pattern_address(p, index);
  if (p.kind == PATTERN_RANDOM) return pattern_random(p, index);
  return pattern_other(p, index);
}

PORTABLE Words pattern(u64 index, u32 mode, u32 seed) { return pattern_at(pattern_prepare(mode, seed), index); }

// The index that a vector of PATTERN_ADDRESS names, or all ones if it is not such a vector of this seed.
PORTABLE u64 pattern_named_index(Pattern p, Words v) {
  u32 low = v.x ^ p.salt0 ^ p.invert, high = v.y ^ p.salt1 ^ p.invert;
  if (p.kind != PATTERN_ADDRESS || v.z != ~v.x || v.w != ~v.y || high >= 4096u) return ~0ull;
  return (u64)high << 32 | low;
}
