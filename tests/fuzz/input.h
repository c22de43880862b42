/* The bytes of a fuzz target, read as numbers and texts. At the end everything is zero or empty, so
 * that each input is a whole one. */
#ifndef LEASED_TESTS_FUZZ_INPUT_H
#define LEASED_TESTS_FUZZ_INPUT_H

#include "base/str.h"

#include <stddef.h>
#include <stdint.h>

struct input {
    const uint8_t *bytes;
    size_t size;
};

struct input input_of(const uint8_t *bytes, size_t size);

uint8_t input_u8(struct input *input);

/* 0 … bound - 1; `bound` is at most 256. */
size_t input_below(struct input *input, size_t bound);

/* Eight bytes, the lowest first. */
uint64_t input_u64(struct input *input);

/* What stands before the next line feed, without it; or all that is left. */
struct str input_line(struct input *input);

/* All that is left. */
struct str input_rest(struct input *input);

/* A NUL-terminated copy (free). A NUL in it ends it early for whoever reads it as text. */
char *input_text(struct str s);

#endif
