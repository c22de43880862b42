/* Sets of characters in regular expressions. Where a set isn't known exactly (Unicode properties)
 * it is taken larger. */
#include "access/regex.h"

#include "base/check.h"

#include <string.h>

void regex_class_add(struct regex_class *class, uint32_t code_point, bool ignores_case)
{
    uint32_t bit = code_point < REGEX_OTHERS ? code_point : REGEX_OTHERS;
    bool is_small = bit >= 'a' && bit <= 'z';
    bool is_large = bit >= 'A' && bit <= 'Z';

    class->bits[bit / 64] |= UINT64_C(1) << (bit % 64);
    if (ignores_case && (is_small || is_large)) {
        bit ^= 0x20;
        class->bits[bit / 64] |= UINT64_C(1) << (bit % 64);
        /* The Kelvin sign and the long s. */
        class->bits[REGEX_OTHERS / 64] |= bit == 'k' || bit == 'K' || bit == 's' || bit == 'S';
    }
}

void regex_class_add_range(struct regex_class *class, uint32_t first, uint32_t last,
                           bool ignores_case)
{
    uint32_t c;

    for (c = first; c <= last && c < REGEX_OTHERS; c++) {
        regex_class_add(class, c, ignores_case);
    }
    if (last >= REGEX_OTHERS) {
        regex_class_add(class, REGEX_OTHERS, false);
    }
}

/* Of all the others, some are in and some aren't, unless nothing was taken away. */
void regex_class_add_all_but(struct regex_class *class, const struct regex_class *without)
{
    class->bits[0] |= ~without->bits[0];
    class->bits[1] |= ~without->bits[1];
    class->bits[2] |= 1;
}

bool regex_class_meets(const struct regex_class *a, const struct regex_class *b)
{
    size_t i;

    for (i = 0; i < REGEX_CLASS_WORDS; i++) {
        if ((a->bits[i] & b->bits[i]) != 0) {
            return true;
        }
    }
    return false;
}

static void add_text(struct regex_class *class, const char *text)
{
    for (; *text != '\0'; text++) {
        regex_class_add(class, (unsigned char)*text, false);
    }
}

static void add_word(struct regex_class *class)
{
    regex_class_add_range(class, 'a', 'z', false);
    regex_class_add_range(class, 'A', 'Z', false);
    regex_class_add_range(class, '0', '9', false);
    regex_class_add(class, '_', false);
}

bool regex_class_add_letter(struct regex_class *class, char letter)
{
    struct regex_class set = {{0, 0, 0}};
    bool is_negated = letter >= 'A' && letter <= 'Z';

    switch (is_negated ? letter | 0x20 : letter) {
    case 'd':
        regex_class_add_range(&set, '0', '9', false);
        break;
    case 'w':
        add_word(&set);
        break;
    case 's':
        add_text(&set, " \t\n\v\f\r");
        break;
    case 'h':
        add_text(&set, " \t");
        regex_class_add(&set, is_negated ? ' ' : REGEX_OTHERS, false);
        break;
    case 'v':
        add_text(&set, "\n\v\f\r");
        regex_class_add(&set, is_negated ? '\n' : REGEX_OTHERS, false);
        break;
    case 'n':
        if (!is_negated) {
            return false;
        }
        add_text(&set, "\n");
        break;
    default:
        return false;
    }
    if (is_negated) {
        regex_class_add_all_but(class, &set);
    } else {
        class->bits[0] |= set.bits[0];
        class->bits[1] |= set.bits[1];
        class->bits[2] |= set.bits[2];
    }
    return true;
}

/* --- single characters --- */

static uint32_t take(struct str *text)
{
    uint32_t c = (unsigned char)text->ptr[0];

    text->ptr++;
    text->len--;
    return c;
}

uint32_t regex_read_char(struct str *text)
{
    uint32_t c = take(text);

    if (c < REGEX_OTHERS) {
        return c;
    }
    while (text->len > 0 && ((unsigned char)text->ptr[0] & 0xc0U) == 0x80) {
        (void)take(text);
    }
    return REGEX_OTHERS;
}

static uint32_t digit_of(char c, uint32_t base)
{
    uint32_t value = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                     : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a') + 10
                     : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A') + 10
                                            : base;

    return value < base ? value : base;
}

static uint32_t read_number(struct str *text, uint32_t base, size_t digits_max)
{
    bool is_braced = text->len > 0 && text->ptr[0] == '{';
    uint32_t value = 0;

    if (is_braced) {
        (void)take(text);
        digits_max = text->len;
    }
    while (digits_max-- > 0 && text->len > 0 && digit_of(text->ptr[0], base) < base) {
        value = value * base + digit_of((char)take(text), base);
        value = value < REGEX_OTHERS ? value : REGEX_OTHERS;
    }
    if (is_braced && text->len > 0 && text->ptr[0] == '}') {
        (void)take(text);
    }
    return value;
}

uint32_t regex_read_escaped(struct str *text)
{
    static const struct {
        char letter;
        char stands_for;
    } letters[] = {{'t', '\t'}, {'n', '\n'}, {'r', '\r'}, {'f', '\f'}, {'a', '\a'}, {'e', 0x1b}};
    uint32_t c;
    size_t i;

    if (text->len == 0) {
        return '\\';
    }
    c = regex_read_char(text);
    for (i = 0; i < ARRAY_LEN(letters); i++) {
        if (c == (uint32_t)letters[i].letter) {
            return (uint32_t)letters[i].stands_for;
        }
    }
    if (c == 'x') {
        return read_number(text, 16, 2);
    }
    if (c == 'o') {
        return read_number(text, 8, 3);
    }
    if (c == '0') {
        return read_number(text, 8, 2);
    }
    if (c == 'c' && text->len > 0) {
        return (take(text) & 0x5fU) ^ 0x40U;
    }
    return c;
}

/* --- brackets --- */

static bool starts_with(struct str text, const char *prefix)
{
    return str_starts_with(text, prefix);
}

/* [:alpha:] and so on: larger than it is. */
static struct str read_posix(struct str text, struct regex_class *class)
{
    const struct regex_class nothing = {{0, 0, 0}};

    regex_class_add_all_but(class, &nothing);
    while (text.len > 0 && !starts_with(text, ":]")) {
        (void)take(&text);
    }
    if (text.len > 0) {
        text.ptr += 2;
        text.len -= 2;
    }
    return text;
}

/* \p{…} and \P{…}: anything may be in them. */
static void read_property(struct str *text, struct regex_class *class)
{
    const struct regex_class nothing = {{0, 0, 0}};
    bool is_braced = text->len > 0 && text->ptr[0] == '{';

    regex_class_add_all_but(class, &nothing);
    while (is_braced && text->len > 0 && text->ptr[0] != '}') {
        (void)take(text);
    }
    if (text->len > 0) {
        (void)take(text);
    }
}

/* One item that is no single character; true when it was one. */
static bool read_set(struct str *text, struct regex_class *class)
{
    if (starts_with(*text, "[:")) {
        *text = read_posix((struct str){.ptr = text->ptr + 2, .len = text->len - 2}, class);
        return true;
    }
    if (text->len < 2 || text->ptr[0] != '\\') {
        return false;
    }
    if (text->ptr[1] == 'p' || text->ptr[1] == 'P') {
        text->ptr += 2;
        text->len -= 2;
        read_property(text, class);
        return true;
    }
    if (!regex_class_add_letter(class, text->ptr[1])) {
        return false;
    }
    text->ptr += 2;
    text->len -= 2;
    return true;
}

static uint32_t read_item(struct str *text)
{
    if (text->ptr[0] != '\\') {
        return regex_read_char(text);
    }
    (void)take(text);
    /* In brackets it is a backspace. */
    if (text->len > 0 && text->ptr[0] == 'b') {
        (void)take(text);
        return '\b';
    }
    return regex_read_escaped(text);
}

static void read_range(struct str *text, bool ignores_case, struct regex_class *class)
{
    uint32_t first = read_item(text);

    if (text->len > 1 && text->ptr[0] == '-' && text->ptr[1] != ']') {
        struct regex_class set = {{0, 0, 0}};
        struct str rest = {.ptr = text->ptr + 1, .len = text->len - 1};

        if (!read_set(&rest, &set)) {
            regex_class_add_range(class, first, read_item(&rest), ignores_case);
            *text = rest;
            return;
        }
    }
    regex_class_add(class, first, ignores_case);
}

struct str regex_class_read(struct str text, bool ignores_case, struct regex_class *class)
{
    struct regex_class set = {{0, 0, 0}};
    bool is_negated = text.len > 0 && text.ptr[0] == '^';
    bool is_first = true;

    if (is_negated) {
        (void)take(&text);
    }
    while (text.len > 0 && (is_first || text.ptr[0] != ']')) {
        is_first = false;
        if (!read_set(&text, &set)) {
            read_range(&text, ignores_case, &set);
        }
    }
    if (text.len > 0) {
        (void)take(&text);
    }
    /* What is taken to be everything may be less, and then something isn't in it. */
    if (is_negated && ~set.bits[0] == 0 && ~set.bits[1] == 0) {
        set = (struct regex_class){{0, 0, 0}};
    }
    if (is_negated) {
        regex_class_add_all_but(class, &set);
    } else {
        memcpy(class, &set, sizeof(*class));
    }
    return text;
}
