/* `explain ROLE`: what the caller, or with --subject somebody else, would get, and why. Says it in
 * sentences first, then rule by rule. */
#include "cli/explain.h"

#include "base/units.h"
#include "cli/api.h"
#include "cli/credential.h"
#include "cli/show.h"
#include "wire/format.h"
#include "wire/json_out.h"

#include <jansson.h>
#include <string.h>

#define EXPLAIN_PARAMS_MAX_BYTES 65536U

static const struct show_column rule_columns[] = {
    {"RULE", "rule", SHOW_TEXT},
    {"EFFECT", "effect", SHOW_TEXT},
    {"VERDICT", "verdict", SHOW_TEXT},
    {"WHY", "detail", SHOW_TEXT},
};

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : "-";
}

/* Seconds as a duration; null: `otherwise`. */
static const char *duration_of(const json_t *object, const char *key, const char *otherwise,
                               char out[UNITS_DURATION_MAX_BYTES])
{
    const json_t *value = json_object_get(object, key);

    if (!json_is_integer(value) || json_integer_value(value) < 0) {
        return otherwise;
    }
    return units_format_duration((uint64_t)json_integer_value(value) * 1000, out);
}

static void decision_show(struct buf *text, const json_t *document)
{
    const char *decision = text_of(document, "decision");
    const char *rule = text_of(document, "rule");
    bool has_rule = strcmp(rule, "-") != 0;

    if (strcmp(decision, "allow") == 0) {
        buf_printf(text, "%s: allowed by rule %s\n", text_of(document, "role"), rule);
    } else {
        buf_printf(text, "%s: %s%s%s: %s\n", text_of(document, "role"), decision,
                   has_rule ? " by rule " : "", has_rule ? rule : "", text_of(document, "detail"));
    }
    if (json_is_string(json_object_get(document, "hint"))) {
        buf_printf(text, "  hint: %s\n", text_of(document, "hint"));
    }
}

static void grant_show(struct buf *text, const json_t *grant)
{
    const json_t *bindings = json_object_get(grant, "binding");
    char duration[UNITS_DURATION_MAX_BYTES];
    const json_t *binding;
    size_t i;

    if (grant == NULL) {
        return;
    }
    buf_printf(text, "  you would hold it for %s",
               duration_of(grant, "duration", "as long as you like", duration));
    if (json_is_string(json_object_get(grant, "until"))) {
        buf_printf(text, ", at most until its window closes at %s", text_of(grant, "until"));
    }
    buf_add_c(text, ", bound to");
    json_array_foreach (bindings, i, binding) {
        buf_printf(text, "%s %s", i > 0 ? "," : "", json_string_value(binding));
    }
    buf_add_char(text, '\n');
}

static int issue_show(struct buf *text, const json_t *document)
{
    const json_t *issue = json_object_get(document, "issue");
    const json_t *backend = json_object_get(document, "backend");
    char ttl[UNITS_DURATION_MAX_BYTES];
    char max_ttl[UNITS_DURATION_MAX_BYTES];
    char min[UNITS_DURATION_MAX_BYTES];
    BUF_AUTO params;

    buf_init(&params, EXPLAIN_PARAMS_MAX_BYTES);
    if (issue == NULL) {
        return 0;
    }
    if (format_add_json(&params, json_object_get(issue, "params"), JSON_COMPACT) != 0) {
        return ERR_NOMEM;
    }
    buf_printf(text, "  issued by backend %s%s: %.*s\n", text_of(issue, "backend"),
               backend == NULL                                ? ""
               : json_is_true(json_object_get(backend, "up")) ? " (up)"
                                                              : " (down)",
               STR_ARG(buf_str(&params)));
    buf_printf(
        text,
        "  ttl %s, max_ttl %s, never handed out with less than %s; renewed at %lld%%; shared "
        "with: %s\n",
        duration_of(issue, "ttl", "the issuer's own", ttl),
        duration_of(issue, "max_ttl", "-", max_ttl), duration_of(issue, "min_remaining", "-", min),
        (long long)json_integer_value(json_object_get(issue, "renew_at_percent")),
        text_of(issue, "share"));
    return 0;
}

/* Names and reasons come from elsewhere: nothing in them moves a terminal's cursor. */
static void lines_show(struct cli *cli, struct str text)
{
    while (text.len > 0) {
        format_add_visible(&cli->out, str_cut(&text, '\n'));
        buf_add_char(&cli->out, '\n');
    }
}

static int explanation_show(struct cli *cli, json_t *document)
{
    const json_t *rules = json_object_get(document, "rules");
    json_int_t others = json_integer_value(json_object_get(document, "rules_for_other_roles"));
    int exit_code = CLI_OK;
    BUF_AUTO text;

    buf_init(&text, CLI_OUTPUT_MAX_BYTES);
    decision_show(&text, document);
    grant_show(&text, json_object_get(document, "grant"));
    if (issue_show(&text, document) != 0 || buf_status(&text) != 0) {
        cli_message(cli, "could not show it: %s", err_str(ERR_NOMEM));
        return CLI_FAILED;
    }
    lines_show(cli, buf_str(&text));
    if (json_array_size(rules) > 0) {
        buf_add_char(&cli->out, '\n');
        exit_code = show_list(cli, rules, rule_columns, ARRAY_LEN(rule_columns));
    } else {
        buf_printf(&cli->out, "  no rule is about this role (%lld about others)\n",
                   (long long)others);
    }
    return exit_code;
}

/* What belongs to a token stands in `jwt`. `ret_key`: the member's name there, or at the top. */
static bool is_of_token(struct str key, struct str *ret_key)
{
    static const char *const keys[] = {"issuer", "sub", "session", "person"};
    size_t i;

    *ret_key = key;
    for (i = 0; i < ARRAY_LEN(keys); i++) {
        if (str_eq_c(key, keys[i])) {
            return true;
        }
    }
    return false;
}

/* What belongs to a token may be written as policies have it, too: jwt.issuer, jwt.claims.NAME. */
static struct str key_of(const char *pair, struct str *ret_value)
{
    struct str key;

    *ret_value = str_of(pair);
    key = str_cut(ret_value, '=');
    return str_starts_with(key, "jwt.") ? (struct str){.ptr = key.ptr + 4, .len = key.len - 4}
                                        : key;
}

static void value_add(struct json_out *json, struct str key, struct str value)
{
    uint64_t number;

    if ((str_eq_c(key, "uid") || str_eq_c(key, "gid")) && str_parse_u64(value, &number) == 0) {
        json_out_u64(json, NULL, number);
    } else {
        json_out_string(json, NULL, value);
    }
}

/* One key of the subject with all its values; `name` stands for it. */
static void key_add(const struct option_values *pairs, size_t first, struct str name,
                    struct json_out *json)
{
    struct str value;
    struct str key = key_of(pairs->items[first], &value);
    size_t count = 0;
    size_t i;

    for (i = 0; i < pairs->count; i++) {
        if (str_eq(key_of(pairs->items[i], &value), key)) {
            if (i < first) {
                return; /* it was there already */
            }
            count++;
        }
    }
    buf_add_c(json->out, json->needs_comma ? "," : "");
    json_out_add_quoted(json->out, name);
    buf_add_c(json->out, count > 1 ? ":[" : ":");
    json->needs_comma = false;
    for (i = first; i < pairs->count; i++) {
        if (str_eq(key_of(pairs->items[i], &value), key)) {
            value_add(json, key, value);
        }
    }
    buf_add_c(json->out, count > 1 ? "]" : "");
    json->needs_comma = true;
}

enum part {
    PART_TOP,
    PART_TOKEN,
    PART_CLAIMS,
};

static enum part part_of(struct str key, struct str *ret_name)
{
    if (str_starts_with(key, "claims.")) {
        *ret_name = (struct str){.ptr = key.ptr + 7, .len = key.len - 7};
        return PART_CLAIMS;
    }
    return is_of_token(key, ret_name) ? PART_TOKEN : PART_TOP;
}

static size_t part_add(const struct option_values *pairs, enum part part, struct json_out *json)
{
    size_t count = 0;
    struct str name;
    struct str value;
    size_t i;

    for (i = 0; i < pairs->count; i++) {
        if (part_of(key_of(pairs->items[i], &value), &name) == part) {
            count++;
            if (json != NULL) {
                key_add(pairs, i, name, json);
            }
        }
    }
    return count;
}

/* `--subject KEY=VALUE …` as the API has it. */
static void subject_add(const struct option_values *pairs, struct json_out *json)
{
    if (pairs->count == 0) {
        return;
    }
    json_out_object_open(json, "subject");
    (void)part_add(pairs, PART_TOP, json);
    if (part_add(pairs, PART_TOKEN, NULL) + part_add(pairs, PART_CLAIMS, NULL) > 0) {
        json_out_object_open(json, "jwt");
        (void)part_add(pairs, PART_TOKEN, json);
        json_out_object_open(json, "claims");
        (void)part_add(pairs, PART_CLAIMS, json);
        json_out_object_close(json);
        json_out_object_close(json);
    }
    json_out_object_close(json);
}

int explain_run(struct cli *cli)
{
    struct api_request request = {.method = "POST",
                                  .path = API_ROOT "/policy/explain",
                                  .action = "explain"};
    json_t *document = NULL;
    uint64_t ignored_ms;
    struct err e = {0};
    struct json_out json;
    BUF_AUTO body;
    int exit_code;

    buf_init(&body, CREDENTIAL_QUESTION_MAX_BYTES);
    if (options_get_duration(&cli->options, OPTION_FOR, 0, &ignored_ms, &e) != 0) {
        return cli_usage_error(cli, "%s", e.text);
    }
    /* The same question as `lease get` asks. */
    json_out_init(&json, &body);
    credential_begin_question(cli, cli->options.args[0], "parent", &json);
    subject_add(&cli->options.values[OPTION_WHO], &json);
    json_out_object_close(&json);
    if (buf_status(&body) != 0) {
        return cli_usage_error(cli, "what is asked for is longer than %u bytes",
                               CREDENTIAL_QUESTION_MAX_BYTES);
    }
    request.body = buf_str(&body).ptr;
    exit_code = api_call_json(cli, &request, NULL, &document);
    if (exit_code != CLI_OK) {
        return exit_code;
    }
    exit_code = cli_wants_json(cli) ? show_json(cli, document) : explanation_show(cli, document);
    if (exit_code == CLI_OK && strcmp(text_of(document, "decision"), "allow") != 0) {
        exit_code = CLI_DENIED;
    }
    json_decref(document);
    return exit_code;
}
