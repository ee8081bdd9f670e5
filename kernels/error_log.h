// The error log: one buffer in host-mapped pinned memory. On a card with aliased memory a log in its own memory would be overwritten
// by the pattern. Kernels add to it and never clear it. The layout in words is in README.md, "The error log". Plain C++.
#pragma once
#include "portable.h"

enum LogWord : u32 {
  LOG_CAPACITY = 0,        // set by the host: records that fit behind the header
  LOG_WRITTEN = 1,         // 16-byte vectors written
  LOG_CHECKED = 2,         // 16-byte vectors read and compared
  LOG_WRONG = 3,           // 16-byte vectors that were not as expected
  LOG_RECORDS = 4,         // records asked for; the first min(LOG_RECORDS, LOG_CAPACITY) are there
  LOG_FIRST_WRONG = 5,     // smallest wrong index; the host sets all ones
  LOG_LAST_WRONG = 6,      // largest wrong index; meaningful if LOG_WRONG > 0
  LOG_BITS_LOST = 7,       // bits read 0 that should be 1
  LOG_BITS_GAINED = 8,     // bits read 1 that should be 0
  LOG_KIND_BIT = 9,        // wrong vectors by kind, in the order of ErrorKind
  LOG_KIND_WORD = 10,
  LOG_KIND_WORDS = 11,
  LOG_KIND_ALIAS = 12,
  LOG_WRONG_BITS_LOW = 13,   // OR of all xor masks, words x (low half) and y
  LOG_WRONG_BITS_HIGH = 14,  // words z (low half) and w
  LOG_RESERVED = 15,
  LOG_HEADER_WORDS = 16,
  LOG_RECORD_WORDS = 8,
};

enum ErrorKind : u32 {
  ERROR_BIT = 0,    // one bit of the vector
  ERROR_WORD = 1,   // several bits of one 32-bit word
  ERROR_WORDS = 2,  // several words
  ERROR_ALIAS = 3,  // the vector that belongs to another index (PATTERN_ADDRESS only)
};
