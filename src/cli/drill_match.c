/* --subject, --role, --backend, --identifier, --all as the API's `match`. What makes no sense there
 * is the API's to say. */
#include "cli/drill_match.h"

#include "base/mem.h"
#include "base/units.h"
#include "cli/cli.h"
#include "cli/credential.h"
#include "wire/format.h"

#include <jansson.h>
#include <string.h>

#define BODY_MAX_BYTES 16384U

bool drill_match_is_given(const struct cli *cli)
{
    static const enum option_id ids[] = {OPTION_SUBJECT, OPTION_OF_ROLE, OPTION_BACKEND,
                                         OPTION_IDENTIFIER, OPTION_ALL};
    size_t i;

    for (i = 0; i < ARRAY_LEN(ids); i++) {
        if (options_get(&cli->options, ids[i]) != NULL) {
            return true;
        }
    }
    return false;
}

/* "person=alice"; several narrow it. */
static int subject_add(struct cli *cli, const char *word, json_t *subject)
{
    struct str value = str_of(word);
    struct str key = str_cut(&value, '=');
    char name[64];

    if (value.ptr == NULL || value.len == 0 || key.len == 0 || key.len >= sizeof(name)) {
        return cli_usage_error(cli, "--subject is KEY=VALUE, as in person=alice: %s", word);
    }
    memcpy(name, key.ptr, key.len);
    name[key.len] = '\0';
    if (json_object_get(subject, name) != NULL) {
        return cli_usage_error(cli, "--subject names %s twice", name);
    }
    if (json_object_set_new(subject, name, json_stringn(value.ptr, value.len)) != 0) {
        return cli_usage_error(cli, "--subject can't be read: %s", word);
    }
    return CLI_OK;
}

static int subjects_add(struct cli *cli, json_t *match)
{
    const struct option_values *values = &cli->options.values[OPTION_SUBJECT];
    json_t *subject = values->count > 0 ? json_object() : NULL;
    int exit_code = CLI_OK;
    size_t i;

    for (i = 0; exit_code == CLI_OK && i < values->count; i++) {
        exit_code = subject_add(cli, values->items[i], subject);
    }
    if (subject != NULL && json_object_set_new(match, "subject", subject) != 0) {
        exit_code = CLI_FAILED;
    }
    return exit_code;
}

/* json_string makes NULL of what is no UTF-8, and that is refused. */
static int text_add(struct cli *cli, json_t *object, const char *key, const char *text)
{
    if (text != NULL && json_object_set_new(object, key, json_string(text)) != 0) {
        return cli_usage_error(cli, "%s can't be read: it is no UTF-8", key);
    }
    return CLI_OK;
}

static int match_make(struct cli *cli, json_t *match)
{
    const struct options *options = &cli->options;
    int exit_code = subjects_add(cli, match);

    if (exit_code == CLI_OK) {
        exit_code = text_add(cli, match, "role", options_get(options, OPTION_OF_ROLE));
    }
    if (exit_code == CLI_OK) {
        exit_code = text_add(cli, match, "backend", options_get(options, OPTION_BACKEND));
    }
    if (exit_code == CLI_OK) {
        exit_code = text_add(cli, match, "identifier", options_get(options, OPTION_IDENTIFIER));
    }
    if (exit_code == CLI_OK && options_get(options, OPTION_ALL) != NULL &&
        json_object_set_new(match, "all", json_true()) != 0) {
        exit_code = CLI_FAILED;
    }
    return exit_code;
}

static int block_add(struct cli *cli, json_t *root, const char *block)
{
    uint64_t ms = 0;

    if (block == NULL) {
        return CLI_OK;
    }
    if (units_parse_duration(str_of(block), &ms) != 0 || ms == 0) {
        return cli_usage_error(cli, "%s is no duration such as 90m or 24h", block);
    }
    return json_object_set_new(root, "block", json_integer((json_int_t)((ms + 999) / 1000))) == 0
               ? CLI_OK
               : CLI_FAILED;
}

int drill_match_body(struct cli *cli, const char *block, char **ret_body)
{
    char reason[CREDENTIAL_REASON_MAX_BYTES + 1];
    json_t *root = json_pack("{s:{}}", "match");
    BUF_AUTO text;
    int exit_code;

    buf_init(&text, BODY_MAX_BYTES);
    if (!drill_match_is_given(cli)) {
        json_decref(root);
        return cli_usage_error(
            cli, "say whom or what: --subject person=alice, --role ROLE, %s--backend NAME or --all",
            (cli->command->options & OPTION_BIT(OPTION_IDENTIFIER)) != 0 ? "--identifier NAME, "
                                                                         : "");
    }
    exit_code = match_make(cli, json_object_get(root, "match"));
    if (exit_code == CLI_OK) {
        exit_code = block_add(cli, root, block);
    }
    if (exit_code == CLI_OK) {
        exit_code = text_add(cli, root, "reason", credential_reason(cli, reason));
    }
    if (exit_code == CLI_OK) {
        if (format_add_json(&text, root, JSON_COMPACT) == 0) {
            *ret_body = buf_steal(&text);
        } else {
            exit_code = cli_usage_error(cli, "that is too much");
        }
    }
    json_decref(root);
    return exit_code;
}
