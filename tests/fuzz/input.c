/* The bytes of a fuzz target, read as numbers and texts. */
#include "fuzz/input.h"

#include <stdlib.h>
#include <string.h>

struct input input_of(const uint8_t *bytes, size_t size)
{
    return (struct input){.bytes = bytes, .size = size};
}

uint8_t input_u8(struct input *input)
{
    if (input->size == 0) {
        return 0;
    }
    input->size--;
    return *input->bytes++;
}

size_t input_below(struct input *input, size_t bound)
{
    return input_u8(input) % bound;
}

uint64_t input_u64(struct input *input)
{
    uint64_t value = 0;
    unsigned shift;

    for (shift = 0; shift < 64; shift += 8) {
        value |= (uint64_t)input_u8(input) << shift;
    }
    return value;
}

struct str input_line(struct input *input)
{
    struct str rest = input_rest(input);
    struct str line = str_cut(&rest, '\n');

    input->bytes = (const uint8_t *)rest.ptr;
    input->size = rest.len;
    return line;
}

struct str input_rest(struct input *input)
{
    struct str rest = {.ptr = (const char *)input->bytes, .len = input->size};

    input->bytes += input->size;
    input->size = 0;
    return rest;
}

char *input_text(struct str s)
{
    char *text = calloc(1, s.len + 1);

    if (text == NULL) {
        abort();
    }
    if (s.len > 0) {
        memcpy(text, s.ptr, s.len);
    }
    return text;
}
