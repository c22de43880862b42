/* Scalars of a configuration: their text to values within a range, and the sentence that says what
 * was expected. */
#include "wire/schema_internal.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#define NAME_MAX_BYTES 64
#define STRING_MAX_BYTES 4096
#define MODE_MAX 07777U
#define EXPECTED_MAX_BYTES 320

/* ---- what was expected ------------------------------------------------------ */

const char *schema_amount_format(const struct schema_field *field, uint64_t amount,
                                 char out[UNITS_DURATION_MAX_BYTES])
{
    static const struct {
        uint64_t factor;
        const char *name;
    } sizes[] = {{1ULL << 30, "GiB"}, {1ULL << 20, "MiB"}, {1ULL << 10, "KiB"}};
    size_t i;

    if (field->type == SCHEMA_DURATION) {
        return units_format_duration(amount, out);
    }
    for (i = 0; field->type == SCHEMA_SIZE && i < ARRAY_LEN(sizes); i++) {
        if (amount >= sizes[i].factor && amount % sizes[i].factor == 0) {
            (void)snprintf(out, UNITS_DURATION_MAX_BYTES, "%llu%s",
                           (unsigned long long)(amount / sizes[i].factor), sizes[i].name);
            return out;
        }
    }
    (void)snprintf(out, UNITS_DURATION_MAX_BYTES, field->type == SCHEMA_MODE ? "%04llo" : "%llu%s",
                   (unsigned long long)amount, field->type == SCHEMA_PERCENT ? "%" : "");
    return out;
}

/* "expected a duration such as …, from 1s to 1m, found `ten`" at the node. */
static void expected_report(const struct schema_field *field, const char *what,
                            const struct yaml_node *node, struct yaml_errors *errors)
{
    char range[2 * UNITS_DURATION_MAX_BYTES + 16] = "";
    char low[UNITS_DURATION_MAX_BYTES];
    char high[UNITS_DURATION_MAX_BYTES];
    char found[YAML_DESCRIBE_MAX_BYTES];

    (void)schema_amount_format(field, field->min, low);
    (void)schema_amount_format(field, field->max, high);
    if (field->type == SCHEMA_STRING && field->max != 0) {
        (void)snprintf(range, sizeof(range), " of at most %s bytes", high);
    } else if (field->type == SCHEMA_STRING && node->text.len > STRING_MAX_BYTES) {
        (void)snprintf(range, sizeof(range), " of at most %d bytes", STRING_MAX_BYTES);
    } else if (field->max != 0) {
        (void)snprintf(range, sizeof(range), " from %s to %s", low, high);
    } else if (field->min != 0) {
        (void)snprintf(range, sizeof(range), " of at least %s", low);
    }
    yaml_error_at_value(errors, node, "expected %s%s, found %s", what, range,
                        yaml_describe(node, found));
}

static const char *type_describe(enum schema_type type)
{
    switch (type) {
    case SCHEMA_BOOL:
        return "true or false";
    case SCHEMA_UINT:
        return "a whole number";
    case SCHEMA_STRING:
        return "text";
    case SCHEMA_NAME:
        return "a name (small letters, digits, `-` and `_`, at most 64)";
    case SCHEMA_DURATION:
        return "a duration such as 90s, 15m or 1h30m";
    case SCHEMA_SIZE:
        return "a size such as 64MiB";
    case SCHEMA_RATE:
        return "a rate such as 50/s, 10/m or 20/h";
    case SCHEMA_PERCENT:
        return "a percentage such as 50%";
    case SCHEMA_MODE:
        return "a file mode such as \"0660\"";
    case SCHEMA_RANGE:
        return "a whole number, or two with a `-` between them and the smaller one first,";
    case SCHEMA_ENUM:
    case SCHEMA_STRINGS:
    case SCHEMA_PAIRS:
    case SCHEMA_OBJECT:
    case SCHEMA_LIST:
    case SCHEMA_MAP:
    case SCHEMA_JSON:
        break;
    }
    return "something else";
}

/* ---- words of a list -------------------------------------------------------- */

static const struct schema_enum_value *value_find(const struct schema_enum_value *values,
                                                  struct str text)
{
    for (; values->name != NULL; values++) {
        if (str_eq_c(text, values->name)) {
            return values;
        }
    }
    return NULL;
}

static void values_report(const struct schema_enum_value *values, const struct yaml_node *node,
                          struct yaml_errors *errors)
{
    char expected[EXPECTED_MAX_BYTES];
    char found[YAML_DESCRIBE_MAX_BYTES];
    const char *names[32];
    const char *close = NULL;
    size_t count = 0;
    size_t used = 0;

    expected[0] = '\0';
    for (; values->name != NULL && count + 1 < ARRAY_LEN(names); values++) {
        names[count++] = values->name;
        if (values->value != SCHEMA_VALUE_UNSUPPORTED && used < sizeof(expected)) {
            used += (size_t)snprintf(expected + used, sizeof(expected) - used, "%s`%s`",
                                     used > 0 ? ", " : "", values->name);
        }
    }
    names[count] = NULL;
    if (node->type == YAML_SCALAR) {
        close = schema_suggest(node->text, names);
    }
    (void)yaml_describe(node, found);
    if (close != NULL) {
        yaml_error_at_value(errors, node, "expected one of %s, found %s: did you mean `%s`?",
                            expected, found, close);
    } else {
        yaml_error_at_value(errors, node, "expected one of %s, found %s", expected, found);
    }
}

/* The value of the word, or NULL when it isn't one that can be used, which is reported. */
static const struct schema_enum_value *word_find(const struct schema_enum_value *values,
                                                 const struct yaml_node *node,
                                                 struct yaml_errors *errors)
{
    const struct schema_enum_value *value = NULL;

    if (node->type == YAML_SCALAR) {
        value = value_find(values, node->text);
    }
    if (value == NULL) {
        values_report(values, node, errors);
    } else if (value->value == SCHEMA_VALUE_UNSUPPORTED) {
        yaml_error_at_value(errors, node, "`%s` is not supported by this version", value->name);
        value = NULL;
    }
    return value;
}

bool schema_word_check(const struct schema_enum_value *values, const struct yaml_node *node,
                       struct yaml_errors *errors)
{
    return word_find(values, node, errors) != NULL;
}

int schema_decode_enum(const struct schema_enum_value *values, const struct yaml_node *node,
                       int *ret_value, struct yaml_errors *errors)
{
    const struct schema_enum_value *value;

    if (node->is_refused) {
        return ERR_INVALID;
    }
    value = word_find(values, node, errors);
    if (value == NULL) {
        return ERR_INVALID;
    }
    *ret_value = value->value;
    return 0;
}

/* ---- texts to values -------------------------------------------------------- */

bool schema_is_name(struct str text)
{
    size_t i;

    if (text.len == 0 || text.len > NAME_MAX_BYTES) {
        return false;
    }
    for (i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool is_alnum = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');

        if (!is_alnum && (i == 0 || (c != '-' && c != '_'))) {
            return false;
        }
    }
    return true;
}

static int mode_parse(struct str text, uint64_t *ret_mode)
{
    uint64_t mode = 0;
    size_t i;

    if (text.len < 3 || text.len > 5) {
        return ERR_INVALID;
    }
    for (i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '7') {
            return ERR_INVALID;
        }
        mode = mode * 8 + (uint64_t)(text.ptr[i] - '0');
    }
    if (mode > MODE_MAX) {
        return ERR_RANGE;
    }
    *ret_mode = mode;
    return 0;
}

static int percent_parse(struct str text, uint64_t *ret_percent)
{
    if (!str_ends_with(text, "%")) {
        return ERR_INVALID;
    }
    text.len--;
    return str_parse_u64(text, ret_percent);
}

static int number_parse(enum schema_type type, struct str text, uint64_t *ret_value)
{
    switch (type) {
    case SCHEMA_DURATION:
        return units_parse_duration(text, ret_value);
    case SCHEMA_SIZE:
        return units_parse_size(text, ret_value);
    case SCHEMA_PERCENT:
        return percent_parse(text, ret_value);
    case SCHEMA_MODE:
        return mode_parse(text, ret_value);
    default:
        return str_parse_u64(text, ret_value);
    }
}

static int number_decode(const struct schema_field *field, struct str text, uint64_t *slot)
{
    uint64_t value;
    int r = number_parse(field->type, text, &value);

    if (r != 0) {
        return r;
    }
    if (value < field->min || (field->max != 0 && value > field->max)) {
        return ERR_RANGE;
    }
    *slot = value;
    return 0;
}

static int range_decode(const struct schema_field *field, struct str text,
                        struct schema_range *slot)
{
    struct str rest = text;
    struct str first = str_cut(&rest, '-');
    struct schema_range range;
    int r = number_decode(field, first, &range.first);

    if (r == 0) {
        r = number_decode(field, rest.ptr != NULL ? rest : first, &range.last);
    }
    if (r == 0 && range.last < range.first) {
        r = ERR_RANGE;
    }
    if (r == 0) {
        *slot = range;
    }
    return r;
}

static int string_decode(const struct schema_field *field, struct str text, char **slot)
{
    size_t max = field->max != 0 ? (size_t)field->max : STRING_MAX_BYTES;

    if (text.len == 0 || text.len < field->min || text.len > max) {
        return ERR_INVALID;
    }
    *slot = mem_strndup(text.ptr, text.len);
    return *slot != NULL ? 0 : ERR_NOMEM;
}

static int text_decode(const struct schema_field *field, struct str text, void *slot)
{
    bool is_true = str_eq_c(text, "true");

    switch (field->type) {
    case SCHEMA_BOOL:
        if (!is_true && !str_eq_c(text, "false")) {
            return ERR_INVALID;
        }
        *(bool *)slot = is_true;
        return 0;
    case SCHEMA_NAME:
        return schema_is_name(text) ? string_decode(field, text, slot) : ERR_INVALID;
    case SCHEMA_STRING:
        return string_decode(field, text, slot);
    case SCHEMA_RATE:
        return units_parse_rate(text, slot);
    case SCHEMA_RANGE:
        return range_decode(field, text, slot);
    default:
        return number_decode(field, text, slot);
    }
}

int schema_scalar_decode(const struct schema_field *field, const struct yaml_node *node, void *slot,
                         struct yaml_errors *errors)
{
    int r = ERR_INVALID;

    if (field->type == SCHEMA_ENUM) {
        return schema_decode_enum(field->values, node, slot, errors);
    }
    if (node->type == YAML_SCALAR && (field->type != SCHEMA_BOOL || node->is_plain)) {
        r = text_decode(field, node->text, slot);
    }
    if (r != 0 && r != ERR_NOMEM) {
        expected_report(field, type_describe(field->type), node, errors);
        return ERR_INVALID;
    }
    return r;
}

int schema_scalar_default(const struct schema_field *field, struct str text, void *slot)
{
    int r;

    if (field->type == SCHEMA_ENUM) {
        const struct schema_enum_value *value = value_find(field->values, text);

        CHECK(value != NULL);
        *(int *)slot = value->value;
        return 0;
    }
    r = text_decode(field, text, slot);
    CHECK(r == 0 || r == ERR_NOMEM);
    return r;
}
