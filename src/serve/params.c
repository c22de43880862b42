/* Parameters of a request: one table of names serves the query string and the JSON body. */
#include "serve/params.h"

#include "base/units.h"
#include "wire/json_bounds.h"
#include "wire/query.h"

#include <jansson.h>
#include <string.h>

#define PARAMS_VALUE_MAX_BYTES 512

/* What all parameters together take, and room for those of later versions. A body of brackets would
 * otherwise keep everyone waiting while a tree is made of it. */
#define PARAMS_DEPTH_MAX 4
#define PARAMS_VALUES_MAX 64

struct param {
    const char *name;
    uint32_t bit;
    int (*set)(struct serve_params *params, struct str value, struct err *e);
    bool may_repeat;
    bool takes_number; /* of JSON: a number of seconds, or just a number */
    bool takes_bool;   /* of JSON: nothing else */
};

static int copy_text(char *out, size_t size, struct str value, const char *name, struct err *e)
{
    size_t i;

    if (value.len >= size) {
        return err_set(e, ERR_INVALID, "%s is longer than %zu bytes", name, size - 1);
    }
    for (i = 0; i < value.len; i++) {
        if ((unsigned char)value.ptr[i] < 0x20 || value.ptr[i] == 0x7f) {
            return err_set(e, ERR_INVALID, "%s has a control character", name);
        }
    }
    memcpy(out, value.len > 0 ? value.ptr : "", value.len);
    out[value.len] = '\0';
    return 0;
}

static int parse_duration(struct str value, const char *name, uint64_t *ret_ms, struct err *e)
{
    if (units_parse_duration(value, ret_ms) != 0) {
        return err_set(e, ERR_INVALID, "%s is no duration such as 90s, 15m or 1h30m: \"%.*s\"",
                       name, STR_ARG(value));
    }
    return 0;
}

static int set_role(struct serve_params *params, struct str value, struct err *e)
{
    return copy_text(params->role, sizeof(params->role), value, "role", e);
}

static int set_reason(struct serve_params *params, struct str value, struct err *e)
{
    return copy_text(params->reason, sizeof(params->reason), value, "reason", e);
}

static int set_ticket(struct serve_params *params, struct str value, struct err *e)
{
    return copy_text(params->ticket, sizeof(params->ticket), value, "ticket", e);
}

static int set_cursor(struct serve_params *params, struct str value, struct err *e)
{
    return copy_text(params->cursor, sizeof(params->cursor), value, "cursor", e);
}

static int set_grant(struct serve_params *params, struct str value, struct err *e)
{
    return copy_text(params->grant, sizeof(params->grant), value, "grant", e);
}

static int set_target(struct serve_params *params, struct str value, struct err *e)
{
    return copy_text(params->target, sizeof(params->target), value, "target", e);
}

static int set_duration(struct serve_params *params, struct str value, struct err *e)
{
    int r = parse_duration(value, "duration", &params->duration_ms, e);

    if (r == 0 && params->duration_ms == 0) {
        r = err_set(e, ERR_INVALID, "duration must be more than 0");
    }
    return r;
}

static int set_min_remaining(struct serve_params *params, struct str value, struct err *e)
{
    return parse_duration(value, "min_remaining", &params->min_remaining_ms, e);
}

static int set_wait(struct serve_params *params, struct str value, struct err *e)
{
    int r = parse_duration(value, "wait", &params->wait_ms, e);

    if (r == 0 && params->wait_ms > PARAMS_WAIT_MAX_MS) {
        r = err_set(e, ERR_INVALID, "wait is more than %u seconds", PARAMS_WAIT_MAX_MS / 1000);
    }
    return r;
}

static int set_limit(struct serve_params *params, struct str value, struct err *e)
{
    uint64_t limit;

    if (str_parse_u64(value, &limit) != 0 || limit < 1 || limit > PARAMS_LIST_MAX) {
        return err_set(e, ERR_INVALID, "limit is no number from 1 to %d", PARAMS_LIST_MAX);
    }
    params->limit = (uint32_t)limit;
    return 0;
}

static int set_block(struct serve_params *params, struct str value, struct err *e)
{
    return parse_duration(value, "block", &params->block_ms, e);
}

/* It comes as an object: params_set_match. */
static int set_match(struct serve_params *params, struct str value, struct err *e)
{
    (void)params;
    (void)value;
    return err_set(e, ERR_INVALID, "match is an object");
}

static int set_token(struct serve_params *params, struct str value, struct err *e)
{
    (void)e;
    params->wants_token = str_eq_c(value, "true");
    return 0;
}

static int set_bool(struct str value, const char *name, bool *ret_is_true, struct err *e)
{
    if (!str_eq_c(value, "true") && !str_eq_c(value, "false")) {
        return err_set(e, ERR_INVALID, "%s is true or false, nothing else", name);
    }
    *ret_is_true = str_eq_c(value, "true");
    return 0;
}

static int set_break_glass(struct serve_params *params, struct str value, struct err *e)
{
    return set_bool(value, "break_glass", &params->is_break_glass, e);
}

static int set_review(struct serve_params *params, struct str value, struct err *e)
{
    return set_bool(value, "review", &params->is_review, e);
}

static int set_comment(struct serve_params *params, struct str value, struct err *e)
{
    return copy_text(params->comment, sizeof(params->comment), value, "comment", e);
}

static int set_state(struct serve_params *params, struct str value, struct err *e)
{
    int state;

    for (state = REQUEST_PENDING; state <= REQUEST_STALE; state++) {
        if (str_eq_c(value, request_state_str((enum request_state)state))) {
            return copy_text(params->state, sizeof(params->state), value, "state", e);
        }
    }
    return err_set(e, ERR_INVALID,
                   "state is none of pending, approved, used, denied, withdrawn, expired, stale");
}

static int set_digest(struct serve_params *params, struct str value, struct err *e)
{
    return copy_text(params->digest, sizeof(params->digest), value, "digest", e);
}

static int set_max_ended(struct serve_params *params, struct str value, struct err *e)
{
    if (str_parse_u64(value, &params->max_ended) != 0) {
        return err_set(e, ERR_INVALID, "max_ended is no number");
    }
    params->has_max_ended = true;
    return 0;
}

static int set_drain(struct serve_params *params, struct str value, struct err *e)
{
    int r = parse_duration(value, "drain", &params->drain_ms, e);

    if (r == 0 && params->drain_ms > PARAMS_DRAIN_MAX_MS) {
        r = err_set(e, ERR_INVALID, "drain is more than 24 hours");
    }
    return r;
}

static int set_observe(struct serve_params *params, struct str value, struct err *e)
{
    (void)e;
    params->wants_observed = str_eq_c(value, "true");
    return 0;
}

/* Its handler has looked for it. */
static int set_elsewhere(struct serve_params *params, struct str value, struct err *e)
{
    (void)params;
    (void)value;
    (void)e;
    return 0;
}

/* One binding, or several with commas between them. */
static int set_binding(struct serve_params *params, struct str value, struct err *e)
{
    while (value.len > 0) {
        struct str one = str_cut(&value, ',');

        if (params->binding_count == ACCESS_BINDINGS_MAX) {
            return err_set(e, ERR_INVALID, "more than %d bindings", ACCESS_BINDINGS_MAX);
        }
        if (access_binding_parse(one, &params->bindings[params->binding_count]) != 0) {
            return err_set(e, ERR_INVALID,
                           "binding \"%.*s\" is none of process, parent, session, unit, "
                           "connection, none, pid:N, comm:NAME",
                           STR_ARG(one));
        }
        params->binding_count++;
    }
    return 0;
}

static const struct param param_table[] = {
    {"role", PARAM_ROLE, set_role, .may_repeat = false},
    {"duration", PARAM_DURATION, set_duration, .takes_number = true},
    {"reason", PARAM_REASON, set_reason, .may_repeat = false},
    {"ticket", PARAM_TICKET, set_ticket, .may_repeat = false},
    {"binding", PARAM_BINDING, set_binding, .may_repeat = true},
    {"min_remaining", PARAM_MIN_REMAINING, set_min_remaining, .takes_number = true},
    {"wait", PARAM_WAIT, set_wait, .takes_number = true},
    {"limit", PARAM_LIMIT, set_limit, .takes_number = true},
    {"cursor", PARAM_CURSOR, set_cursor, .may_repeat = false},
    {"grant", PARAM_GRANT, set_grant, .may_repeat = false},
    {"token", PARAM_TOKEN, set_token, .takes_bool = true},
    {"target", PARAM_TARGET, set_target, .may_repeat = false},
    {"match", PARAM_MATCH, set_match, .may_repeat = false},
    {"block", PARAM_BLOCK, set_block, .takes_number = true},
    {"break_glass", PARAM_BREAK_GLASS, set_break_glass, .takes_bool = true},
    {"comment", PARAM_COMMENT, set_comment, .may_repeat = false},
    {"state", PARAM_STATE, set_state, .may_repeat = false},
    {"review", PARAM_REVIEW, set_review, .takes_bool = true},
    {"digest", PARAM_DIGEST, set_digest, .may_repeat = false},
    {"max_ended", PARAM_MAX_ENDED, set_max_ended, .takes_number = true},
    {"drain", PARAM_DRAIN, set_drain, .takes_number = true},
    {"observe", PARAM_OBSERVE, set_observe, .takes_bool = true},
    {"files", PARAM_FILES, set_elsewhere, .may_repeat = false},
    {"main", PARAM_MAIN, set_elsewhere, .may_repeat = false},
    {"revision", PARAM_REVISION, set_elsewhere, .may_repeat = false},
    {"subject", PARAM_SUBJECT, set_elsewhere, .may_repeat = false},
};

const char *params_name(uint32_t bit)
{
    size_t i = 0;

    while (param_table[i].bit != bit) {
        i++;
        CHECK(i < ARRAY_LEN(param_table));
    }
    return param_table[i].name;
}

/* One query string or body while it is read. */
struct params_input {
    struct serve_params *params;
    uint32_t allowed;
    uint32_t seen;
    bool is_number; /* the value that comes next isn't a text */
    bool is_bool;
    bool is_query; /* where everything is a text */
};

void params_init(struct serve_params *params)
{
    params->role[0] = '\0';
    params->reason[0] = '\0';
    params->ticket[0] = '\0';
    params->cursor[0] = '\0';
    params->grant[0] = '\0';
    params->target[0] = '\0';
    params->comment[0] = '\0';
    params->state[0] = '\0';
    params->duration_ms = 0;
    params->min_remaining_ms = 0;
    params->wait_ms = 0;
    params->limit = PARAMS_LIST_DEFAULT;
    params->binding_count = 0;
    params->wants_token = false;
    params->match = NULL;
    params->block_ms = 0;
    params->is_break_glass = false;
    params->is_review = false;
    params->wants_observed = false;
    params->has_max_ended = false;
    params->max_ended = 0;
    params->drain_ms = 0;
    params->digest[0] = '\0';
}

void params_fini(struct serve_params *params)
{
    access_match_free(params->match);
    params->match = NULL;
}

static int params_set(struct params_input *input, struct str name, struct str value, struct err *e)
{
    size_t i;

    for (i = 0; i < ARRAY_LEN(param_table); i++) {
        const struct param *param = &param_table[i];

        if (!str_eq_c(name, param->name) || (input->allowed & param->bit) == 0) {
            continue;
        }
        if ((input->seen & param->bit) != 0 && !param->may_repeat) {
            return err_set(e, ERR_INVALID, "%s is given twice", param->name);
        }
        if (input->is_number && !param->takes_number) {
            return err_set(e, ERR_INVALID, "%s is a number, not a string", param->name);
        }
        if (!input->is_query && input->is_bool != param->takes_bool) {
            return err_set(e, ERR_INVALID, "%s is %s", param->name,
                           param->takes_bool ? "true or false, nothing else" : "no boolean");
        }
        input->seen |= param->bit;
        return param->set(input->params, value, e);
    }
    return err_set(e, ERR_INVALID, "unknown parameter \"%.*s\"", STR_ARG(name));
}

/* Why a value can't be decoded. */
static int value_fail(struct str name, int status, struct err *e)
{
    switch (status) {
    case ERR_NOMEM:
        return err_set(e, status, "%s", err_str(status));
    case ERR_RANGE:
        return err_set(e, ERR_INVALID, "%.*s has a control character", STR_ARG(name));
    case ERR_TOO_LARGE:
        return err_set(e, ERR_INVALID, "%.*s is longer than %d bytes", STR_ARG(name),
                       PARAMS_VALUE_MAX_BYTES);
    default:
        return err_set(e, ERR_INVALID, "the value of \"%.*s\" is badly encoded", STR_ARG(name));
    }
}

int params_parse_query(struct str query, uint32_t allowed, struct serve_params *params,
                       struct err *e)
{
    struct params_input input = {.params = params, .allowed = allowed, .is_query = true};
    struct str name;
    struct str value;
    BUF_AUTO decoded;
    int r = 0;

    buf_init(&decoded, PARAMS_VALUE_MAX_BYTES);
    while (r == 0 && query_next(&query, &name, &value)) {
        buf_reset(&decoded);
        r = query_decode(value, true, &decoded);
        if (r != 0) {
            return value_fail(name, r, e);
        }
        r = params_set(&input, name, buf_str(&decoded), e);
    }
    return r;
}

static int params_set_match(struct params_input *input, const json_t *value, struct err *e)
{
    /* Names are unique within an object: there can't be one already. */
    return (input->allowed & PARAM_MATCH) != 0
               ? access_match_new(value, &input->params->match, e)
               : err_set(e, ERR_INVALID, "unknown parameter \"match\"");
}

static int params_set_json(struct params_input *input, const char *name, const json_t *value,
                           struct err *e)
{
    char number[24];
    size_t i;
    const json_t *item;

    if (json_is_null(value)) {
        return 0;
    }
    if (json_is_object(value) && strcmp(name, "match") == 0) {
        return params_set_match(input, value, e);
    }
    input->is_number = json_is_integer(value);
    input->is_bool = json_is_boolean(value);
    if (input->is_bool) {
        return params_set(input, str_of(name), str_of(json_is_true(value) ? "true" : "false"), e);
    }
    if (json_is_string(value)) {
        return params_set(
            input, str_of(name),
            (struct str){.ptr = json_string_value(value), .len = json_string_length(value)}, e);
    }
    if (json_is_integer(value) && json_integer_value(value) >= 0) {
        (void)snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(value));
        return params_set(input, str_of(name), str_of(number), e);
    }
    if (!json_is_array(value)) {
        return err_set(e, ERR_INVALID, "%s is neither a string nor a whole number", name);
    }
    json_array_foreach (value, i, item) {
        int r = json_is_string(item)
                    ? params_set(input, str_of(name), str_of(json_string_value(item)), e)
                    : err_set(e, ERR_INVALID, "%s has an element that is no string", name);

        if (r != 0) {
            return r;
        }
    }
    return 0;
}

/* jansson gives some of these failures neither a code nor a text. */
static bool is_out_of_memory(const json_error_t *why)
{
    return why->text[0] == '\0' || json_error_code(why) == json_error_out_of_memory;
}

int params_parse_object(const struct json_t *object, uint32_t allowed, struct serve_params *params,
                        struct err *e)
{
    struct params_input input = {.params = params, .allowed = allowed};
    void *at = json_object_iter((json_t *)(uintptr_t)object); /* which jansson doesn't change */
    int r = 0;

    for (; r == 0 && at != NULL; at = json_object_iter_next((json_t *)(uintptr_t)object, at)) {
        const char *name = json_object_iter_key(at);
        bool is_elsewhere = (allowed & PARAM_FILES) != 0
                                ? strcmp(name, "files") == 0 || strcmp(name, "main") == 0 ||
                                      strcmp(name, "revision") == 0
                                : (allowed & PARAM_SUBJECT) != 0 && strcmp(name, "subject") == 0;

        r = is_elsewhere ? 0 : params_set_json(&input, name, json_object_iter_value(at), e);
    }
    return r;
}

int params_parse_json(struct str body, uint32_t allowed, struct serve_params *params, struct err *e)
{
    json_error_t why = {0};
    json_t *root;
    int r = 0;

    if (!json_bounds_hold(body, PARAMS_DEPTH_MAX, PARAMS_VALUES_MAX)) {
        return err_set(e, ERR_INVALID, "the body has more than %d values, or more than %d levels",
                       PARAMS_VALUES_MAX, PARAMS_DEPTH_MAX);
    }
    root = json_loadb(body.ptr != NULL ? body.ptr : "", body.len, JSON_REJECT_DUPLICATES, &why);
    if (root == NULL && is_out_of_memory(&why)) {
        return err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
    }
    if (!json_is_object(root)) {
        r = err_set(e, ERR_INVALID, "the body is no JSON object%s%s", root == NULL ? ": " : "",
                    root == NULL ? why.text : "");
        goto out;
    }
    r = params_parse_object(root, allowed, params, e);
out:
    json_decref(root);
    return r;
}
