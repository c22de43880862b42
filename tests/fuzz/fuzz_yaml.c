/* Any bytes as YAML, decoded by a table with a field of each type: parsing and decoding end, leak
 * nothing, and every refusal has said why. What is accepted is valid JSON for plugins, and merging
 * it with itself only adds errors. */
#include "base/mem.h"
#include "wire/schema.h"

#include <jansson.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* libfyaml 0.7 loses a table of its own after some syntax errors; the configuration is read once
 * per start. What we allocate is counted below. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libfyaml";
}

struct item {
    const struct yaml_node *node;
    char *name;
    char *text;
    uint64_t number;
};

struct sample {
    const struct yaml_node *node;
    bool flag;
    uint64_t number;
    uint64_t wait_ms;
    uint64_t size_bytes;
    uint64_t percent;
    uint64_t mode;
    struct units_rate rate;
    int kind;
    char *name;
    struct schema_strings words;
    struct schema_pairs pairs;
    struct item object;
    struct schema_list list;
    struct schema_list map;
    char *json;
};

static const struct schema_field item_fields[] = {
    {.key = "text",
     .type = SCHEMA_STRING,
     .offset = offsetof(struct item, text),
     .flags = SCHEMA_REQUIRED},
    {.key = "number", .type = SCHEMA_UINT, .offset = offsetof(struct item, number), .max = 9},
    {0},
};
static const struct schema_object item_table = {.name = "an item",
                                                .size = sizeof(struct item),
                                                .fields = item_fields};

static const struct schema_enum_value kinds[] = {
    {"small", 1}, {"large", 2}, {"huge", SCHEMA_VALUE_UNSUPPORTED}, {NULL, 0}};

#define FIELD(word, kind_of, member)                                                               \
    .key = (word), .type = (kind_of), .offset = offsetof(struct sample, member)
static const struct schema_field sample_fields[] = {
    {FIELD("flag", SCHEMA_BOOL, flag), .default_text = "true"},
    {FIELD("number", SCHEMA_UINT, number), .min = 1, .max = 100, .default_text = "7"},
    {FIELD("wait", SCHEMA_DURATION, wait_ms), .min = 1000, .default_text = "20s"},
    {FIELD("size", SCHEMA_SIZE, size_bytes), .max = 1048576},
    {FIELD("percent", SCHEMA_PERCENT, percent), .max = 100},
    {FIELD("mode", SCHEMA_MODE, mode)},
    {FIELD("rate", SCHEMA_RATE, rate)},
    {FIELD("kind", SCHEMA_ENUM, kind), .values = kinds},
    {FIELD("name", SCHEMA_NAME, name)},
    {FIELD("words", SCHEMA_STRINGS, words), .default_text = "a,b"},
    {FIELD("pairs", SCHEMA_PAIRS, pairs)},
    {FIELD("object", SCHEMA_OBJECT, object), .object = &item_table},
    {FIELD("list", SCHEMA_LIST, list), .object = &item_table},
    {FIELD("map", SCHEMA_MAP, map), .object = &item_table},
    {FIELD("json", SCHEMA_JSON, json)},
    {.key = "later", .flags = SCHEMA_UNSUPPORTED},
    {0},
};
static const struct schema_object sample_table = {.name = "the sample",
                                                  .size = sizeof(struct sample),
                                                  .fields = sample_fields};

static void check_json(const struct yaml_node *root)
{
    json_error_t error;
    json_t *parsed;
    BUF_AUTO out;

    buf_init(&out, (size_t)16 * YAML_INPUT_MAX_BYTES);
    CHECK(yaml_to_json(root, NULL, &out) == 0);
    parsed = json_loadb(out.bytes, out.len, JSON_DECODE_ANY, &error);
    CHECK(parsed != NULL);
    json_decref(parsed);
}

static void check_decode(const struct yaml_node *root, struct yaml_errors *errors)
{
    size_t count_before = errors->count;
    struct sample sample = {0};
    int r = schema_decode(&sample_table, root, &sample, errors);

    CHECK(r == 0 || r == ERR_INVALID);
    CHECK((r == 0) == (errors->count == count_before));
    CHECK(sample.number >= 1 && sample.number <= 100);
    schema_fini(&sample_table, &sample);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct str text = {.ptr = (const char *)bytes, .len = size};
    size_t bytes_before = mem_in_use_bytes();
    struct yaml_document *document = NULL;
    struct yaml_document *second = NULL;
    struct yaml_errors errors;
    int r;

    yaml_errors_init(&errors);
    r = yaml_parse("fuzz.yaml", text, &document, &errors);
    CHECK(r == 0 || errors.count > 0);
    if (r == 0) {
        check_json(yaml_root(document));
        check_decode(yaml_root(document), &errors);
        CHECK(yaml_parse("fuzz.yaml", text, &second, &errors) == 0);
        if (yaml_merge(document, second, &errors) != 0) {
            yaml_free(second);
        }
        check_json(yaml_root(document));
    }
    yaml_free(document);
    yaml_errors_fini(&errors);
    CHECK(mem_in_use_bytes() == bytes_before);
    return 0;
}
