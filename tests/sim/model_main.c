/* The model Vault as a program: one JSON object a line on stdin, one on stdout. test_model.py sends
 * the same requests to it and to a real server and compares.
 *
 *   {"method": "GET", "path": "database/creds/app", "token": "…", "body": {…}}
 *       → {"status": 200, "retry_after": 0, "body": {…} or null}
 *   {"setup": "role", "name": "app", "default_ttl": 8, "max_ttl": 20, "renewable": true}
 *   {"setup": "login", "ttl": 60, "max_ttl": 120}
 *   {"setup": "token", "ttl": 30, "max_ttl": 60, "period": 0, "renewable": true} → {"token": "…"}
 *   {"setup": "token_role", "name": "leased"}
 *   {"setup": "wait", "seconds": 4}
 *   {"setup": "seal"}, {"setup": "deny", "issue": true, "renew": false, "child": false}
 */
#include "sim_vault.h"

#include "base/mem.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES 65536
#define REQUEST_TAKES_MS 2

struct model {
    struct sim_random random;
    struct sim_vault vault;
    uint64_t now_ms;
    uint64_t request_count;
};

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : "";
}

static uint64_t ms_of(const json_t *object, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(object, key)) * 1000;
}

static struct sim_vault_token_options token_options(const json_t *line)
{
    return (struct sim_vault_token_options){
        .ttl_ms = ms_of(line, "ttl"),
        .max_ttl_ms = ms_of(line, "max_ttl"),
        .period_ms = ms_of(line, "period"),
        .is_renewable = !json_is_false(json_object_get(line, "renewable")),
    };
}

/* The answer to a line of setup. */
static json_t *set_up(struct model *model, const json_t *line)
{
    const char *what = text_of(line, "setup");
    struct sim_vault *vault = &model->vault;

    vault->now_ms = model->now_ms;
    if (strcmp(what, "role") == 0) {
        (void)sim_vault_add_role(vault, text_of(line, "name"), ms_of(line, "default_ttl"),
                                 ms_of(line, "max_ttl"),
                                 !json_is_false(json_object_get(line, "renewable")));
    } else if (strcmp(what, "login") == 0) {
        vault->login = token_options(line);
    } else if (strcmp(what, "token") == 0) {
        struct sim_vault_token_options options = token_options(line);

        return json_pack("{s:s}", "token", sim_vault_add_token(vault, &options)->id);
    } else if (strcmp(what, "token_role") == 0) {
        (void)snprintf(vault->token_role, sizeof(vault->token_role), "%s", text_of(line, "name"));
    } else if (strcmp(what, "wait") == 0) {
        model->now_ms += ms_of(line, "seconds");
    } else if (strcmp(what, "seal") == 0) {
        vault->is_sealed = true;
    } else if (strcmp(what, "deny") == 0) {
        vault->issuer.denies_issue = json_is_true(json_object_get(line, "issue"));
        vault->denies_renew = json_is_true(json_object_get(line, "renew"));
        vault->denies_child = json_is_true(json_object_get(line, "child"));
    } else {
        return json_pack("{s:s}", "error", "unknown setup");
    }
    return json_object();
}

static json_t *answer_request(struct model *model, const json_t *line)
{
    json_t *body = json_object_get(line, "body");
    char *body_text = json_is_object(body) ? json_dumps(body, JSON_COMPACT) : NULL;
    char path[256];
    struct sim_answer answer = {0};
    struct sim_call call = {.id = ++model->request_count,
                            .method = str_of(text_of(line, "method")),
                            .token = str_of(text_of(line, "token")),
                            .body = str_of(body_text)};
    json_t *answer_body;

    (void)snprintf(path, sizeof(path), "/v1/%s", text_of(line, "path"));
    model->now_ms += REQUEST_TAKES_MS;
    call.path = str_of(path);
    call.now_ms = model->now_ms;
    buf_init(&answer.body, LINE_MAX_BYTES);
    sim_vault_answer(&model->vault, &call, &answer);
    sim_vault_ended(&model->vault, call.id, true);
    answer_body =
        answer.body.len > 0 ? json_loadb(answer.body.bytes, answer.body.len, 0, NULL) : json_null();
    buf_fini(&answer.body);
    mem_free(body_text);
    return json_pack("{s:i, s:i, s:o}", "status", (int)answer.status, "retry_after",
                     (int)answer.retry_after_s, "body", answer_body);
}

static void answer_line(struct model *model, const char *text)
{
    json_t *line = json_loads(text, 0, NULL);
    json_t *answer;
    char *answer_text;

    if (!json_is_object(line)) {
        answer = json_pack("{s:s}", "error", "not a JSON object");
    } else if (json_object_get(line, "setup") != NULL) {
        answer = set_up(model, line);
    } else {
        answer = answer_request(model, line);
    }
    answer_text = json_dumps(answer, JSON_COMPACT);
    (void)puts(answer_text != NULL ? answer_text : "{}");
    (void)fflush(stdout);
    mem_free(answer_text);
    json_decref(answer);
    json_decref(line);
}

int main(void)
{
    static char text[LINE_MAX_BYTES];
    struct model model = {.random = {.state = 1}, .now_ms = SIM_START_MS};

    json_set_alloc_funcs(mem_alloc, mem_free);
    sim_vault_init(&model.vault, &model.random);
    while (fgets(text, sizeof(text), stdin) != NULL) {
        answer_line(&model, text);
    }
    sim_vault_fini(&model.vault);
    return 0;
}
