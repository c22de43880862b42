/* Writes JSON Schema by the tables that decode the configuration, so that the two can't differ.
 * Objects stand where they are used: the tables are a tree, a few levels deep. */
#include "wire/schema_json.h"

#include "wire/json_out.h"
#include "wire/schema_internal.h"

#include <stdio.h>

#define DOC_MAX_BYTES 512
#define NAME_PATTERN "^[a-z0-9][a-z0-9_-]{0,63}$"

static void object_write(struct json_out *json, const struct schema_object *table,
                         bool may_be_null);

/* ---- scalars ---------------------------------------------------------------- */

static void types_write(struct json_out *json, const char *first, const char *second)
{
    json_out_array_open(json, "type");
    json_out_string_c(json, NULL, first);
    json_out_string_c(json, NULL, second);
    json_out_array_close(json);
}

static void range_write(struct json_out *json, const struct schema_field *field, uint64_t unit)
{
    json_out_u64(json, "minimum", (field->min + unit - 1) / unit);
    if (field->max != 0) {
        json_out_u64(json, "maximum", field->max / unit);
    }
}

static void words_write(struct json_out *json, const struct schema_enum_value *values)
{
    json_out_array_open(json, "enum");
    for (; values->name != NULL; values++) {
        if (values->value != SCHEMA_VALUE_UNSUPPORTED) {
            json_out_string_c(json, NULL, values->name);
        }
    }
    json_out_array_close(json);
}

/* What YAML takes for a number or a truth is text to us where text is wanted. */
static void text_types_write(struct json_out *json, const char *number)
{
    json_out_array_open(json, "type");
    json_out_string_c(json, NULL, "string");
    json_out_string_c(json, NULL, number);
    json_out_string_c(json, NULL, "boolean");
    json_out_array_close(json);
}

static void string_write(struct json_out *json, const struct schema_field *field)
{
    if (field->pattern != NULL) {
        json_out_string_c(json, "type", "string");
    } else {
        text_types_write(json, "number");
    }
    json_out_u64(json, "minLength", field->min != 0 ? field->min : 1);
    if (field->max != 0) {
        json_out_u64(json, "maxLength", field->max);
    }
    if (field->pattern != NULL) {
        json_out_string_c(json, "pattern", field->pattern);
    }
}

/* Text with a unit, or a number. `unit`: of the number. */
static void number_write(struct json_out *json, const struct schema_field *field, uint64_t unit)
{
    types_write(json, "string", "integer");
    schema_pattern_write(json, field);
    range_write(json, field, unit);
}

/* Some readers of YAML take 0660 for octal, and some for decimal: 432 is meant as well as 660. */
static void mode_write(struct json_out *json, const struct schema_field *field)
{
    uint64_t rest = field->max != 0 ? field->max : 07777;
    uint64_t max = 0;
    uint64_t place;

    for (place = 1; rest != 0; place *= 10, rest /= 8) {
        max += rest % 8 * place;
    }
    types_write(json, "string", "integer");
    schema_pattern_write(json, field);
    json_out_u64(json, "minimum", field->min);
    json_out_u64(json, "maximum", max);
}

static void scalar_write(struct json_out *json, const struct schema_field *field)
{
    switch (field->type) {
    case SCHEMA_BOOL:
        json_out_string_c(json, "type", "boolean");
        break;
    case SCHEMA_UINT:
        number_write(json, field, 1);
        break;
    case SCHEMA_NAME:
        text_types_write(json, "integer");
        json_out_string_c(json, "pattern", NAME_PATTERN);
        json_out_u64(json, "minimum", 0);
        break;
    case SCHEMA_DURATION:
        number_write(json, field, 1000);
        break;
    case SCHEMA_SIZE:
        number_write(json, field, 1);
        break;
    case SCHEMA_RATE:
        json_out_string_c(json, "type", "string");
        json_out_string_c(json, "pattern", "^0*[1-9][0-9]{0,8}/[smhd]$");
        break;
    case SCHEMA_PERCENT:
        json_out_string_c(json, "type", "string");
        schema_pattern_write(json, field);
        break;
    case SCHEMA_MODE:
        mode_write(json, field);
        break;
    case SCHEMA_RANGE:
        types_write(json, "string", "integer");
        json_out_string_c(json, "pattern", "^[0-9]{1,20}(-[0-9]{1,20})?$");
        range_write(json, field, 1);
        break;
    case SCHEMA_ENUM:
        words_write(json, field->values);
        break;
    default:
        string_write(json, field);
        break;
    }
}

/* ---- containers ------------------------------------------------------------- */

static void item_write(struct json_out *json, const char *key, const struct schema_field *field)
{
    json_out_object_open(json, key);
    if (field->values != NULL) {
        words_write(json, field->values);
    } else {
        string_write(json, &(struct schema_field){.max = field->max, .pattern = field->pattern});
    }
    json_out_object_close(json);
}

/* One text counts as a list of one. */
static void strings_write(struct json_out *json, const struct schema_field *field)
{
    json_out_array_open(json, "anyOf");
    item_write(json, NULL, field);
    json_out_object_open(json, NULL);
    json_out_string_c(json, "type", "array");
    item_write(json, "items", field);
    if (field->min > 0) {
        json_out_u64(json, "minItems", field->min);
    }
    json_out_object_close(json);
    json_out_array_close(json);
}

static void pairs_write(struct json_out *json)
{
    types_write(json, "object", "null");
    json_out_object_open(json, "additionalProperties");
    text_types_write(json, "number");
    json_out_object_close(json);
}

static void child_write(struct json_out *json, const char *key, const struct schema_object *table)
{
    json_out_object_open(json, key);
    object_write(json, table, false);
    json_out_object_close(json);
}

/* Names, and behind each an object or a list of them. */
static void named_write(struct json_out *json, const struct schema_field *field)
{
    types_write(json, "object", "null");
    json_out_object_open(json, "additionalProperties");
    json_out_array_open(json, "anyOf");
    child_write(json, NULL, field->object);
    json_out_object_open(json, NULL);
    json_out_string_c(json, "type", "array");
    child_write(json, "items", field->object);
    json_out_object_close(json);
    json_out_array_close(json);
    json_out_object_close(json);
}

/* A list whose owner decodes it; its entries may have two forms. */
static void json_list_write(struct json_out *json, const struct schema_field *field)
{
    if (field->object == NULL) {
        return;
    }
    types_write(json, "array", "null");
    if (field->other_object == NULL) {
        child_write(json, "items", field->object);
        return;
    }
    json_out_object_open(json, "items");
    json_out_array_open(json, "anyOf");
    child_write(json, NULL, field->object);
    child_write(json, NULL, field->other_object);
    json_out_array_close(json);
    json_out_object_close(json);
}

static void container_write(struct json_out *json, const struct schema_field *field)
{
    switch (field->type) {
    case SCHEMA_STRINGS:
        strings_write(json, field);
        break;
    case SCHEMA_PAIRS:
        pairs_write(json);
        break;
    case SCHEMA_OBJECT:
        if ((field->flags & SCHEMA_OR_NONE) != 0) {
            json_out_array_open(json, "anyOf");
            json_out_object_open(json, NULL);
            json_out_string_c(json, "const", "none");
            json_out_object_close(json);
            child_write(json, NULL, field->object);
            json_out_array_close(json);
        } else {
            object_write(json, field->object, field->min == 0);
        }
        break;
    case SCHEMA_LIST:
        if (field->min > 0) {
            json_out_string_c(json, "type", "array");
            json_out_u64(json, "minItems", field->min);
        } else {
            types_write(json, "array", "null");
        }
        child_write(json, "items", field->object);
        break;
    case SCHEMA_MAP:
        types_write(json, "object", "null");
        json_out_object_open(json, "propertyNames");
        json_out_string_c(json, "pattern", NAME_PATTERN);
        json_out_object_close(json);
        child_write(json, "additionalProperties", field->object);
        break;
    default:
        if ((field->flags & SCHEMA_BY_NAME) != 0) {
            named_write(json, field);
        } else {
            json_list_write(json, field);
        }
        break;
    }
}

/* ---- fields ----------------------------------------------------------------- */

/* A pattern can't hold the range of a text with units, so the description does. */
static void doc_write(struct json_out *json, const struct schema_field *field)
{
    bool has_units = field->type == SCHEMA_DURATION || field->type == SCHEMA_SIZE ||
                     field->type == SCHEMA_PERCENT || field->type == SCHEMA_MODE;
    char text[DOC_MAX_BYTES];
    char low[UNITS_DURATION_MAX_BYTES];
    char high[UNITS_DURATION_MAX_BYTES];
    const char *doc = field->doc != NULL ? field->doc : "";

    (void)schema_amount_format(field, field->min, low);
    (void)schema_amount_format(field, field->max, high);
    if (has_units && field->max != 0) {
        (void)snprintf(text, sizeof(text), "%s%s%s to %s", doc, doc[0] != '\0' ? "; " : "", low,
                       high);
    } else {
        (void)snprintf(text, sizeof(text), "%s", doc);
    }
    if (text[0] != '\0') {
        json_out_string_c(json, "description", text);
    }
}

static void default_write(struct json_out *json, const struct schema_field *field)
{
    struct str rest = str_of(field->default_text);
    uint64_t number;

    switch (field->type) {
    case SCHEMA_BOOL:
        json_out_bool(json, "default", str_eq_c(rest, "true"));
        break;
    case SCHEMA_UINT:
        CHECK(str_parse_u64(rest, &number) == 0);
        json_out_u64(json, "default", number);
        break;
    case SCHEMA_STRINGS:
        json_out_array_open(json, "default");
        while (rest.len > 0) {
            json_out_string(json, NULL, str_cut(&rest, ','));
        }
        json_out_array_close(json);
        break;
    default:
        json_out_string(json, "default", rest);
        break;
    }
}

static void unsupported_write(struct json_out *json, const struct schema_field *field)
{
    char text[DOC_MAX_BYTES];

    (void)snprintf(text, sizeof(text), "not supported by this version%s%s",
                   field->doc != NULL ? ": " : "", field->doc != NULL ? field->doc : "");
    json_out_object_open(json, field->key);
    json_out_object_open(json, "not");
    json_out_object_close(json);
    json_out_string_c(json, "description", text);
    json_out_object_close(json);
}

static void field_write(struct json_out *json, const struct schema_field *field)
{
    if ((field->flags & SCHEMA_UNSUPPORTED) != 0) {
        unsupported_write(json, field);
        return;
    }
    json_out_object_open(json, field->key);
    doc_write(json, field);
    if (field->type < SCHEMA_STRINGS) {
        scalar_write(json, field);
    } else {
        container_write(json, field);
    }
    if (field->default_text != NULL) {
        default_write(json, field);
    }
    json_out_object_close(json);
}

static void required_write(struct json_out *json, const struct schema_object *table)
{
    const struct schema_field *field;
    bool is_open = false;

    for (field = table->fields; field->key != NULL; field++) {
        if ((field->flags & (SCHEMA_REQUIRED | SCHEMA_REQUIRED_BY_OWNER)) == 0) {
            continue;
        }
        if (!is_open) {
            json_out_array_open(json, "required");
            is_open = true;
        }
        json_out_string_c(json, NULL, field->key);
    }
    if (is_open) {
        json_out_array_close(json);
    }
}

/* The members of one object's schema. Recursion ends with the tables, which are a tree. Items of
 * lists and maps are there, others may be left empty unless something must stand in them. */
static void object_write(struct json_out *json, const struct schema_object *table, bool may_be_null)
{
    const struct schema_field *field;
    bool has_required = false;

    for (field = table->fields; field->key != NULL; field++) {
        has_required =
            has_required || (field->flags & (SCHEMA_REQUIRED | SCHEMA_REQUIRED_BY_OWNER)) != 0;
    }
    if (has_required || !may_be_null) {
        json_out_string_c(json, "type", "object");
    } else {
        types_write(json, "object", "null");
    }
    json_out_object_open(json, "properties");
    for (field = table->fields; field->key != NULL; field++) {
        field_write(json, field);
    }
    json_out_object_close(json);
    required_write(json, table);
    if (table->is_open) {
        json_out_string_c(json, "description",
                          "other keys belong to the plugin, and are checked by `leased --check` "
                          "only");
    } else {
        json_out_bool(json, "additionalProperties", false);
    }
    if (table->relations_json != NULL) {
        json_out_text_at(json, (struct str){.ptr = NULL, .len = 0}, str_of(table->relations_json));
    }
}

void schema_json_write(const struct schema_object *table, const char *title, struct buf *out)
{
    struct json_out json;

    json_out_init(&json, out);
    json_out_object_open(&json, NULL);
    json_out_string_c(&json, "$schema", "https://json-schema.org/draft/2020-12/schema");
    json_out_string_c(&json, "title", title);
    object_write(&json, table, false);
    json_out_object_close(&json);
    buf_add_char(out, '\n');
}
