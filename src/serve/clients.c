/* GET /clients/{git|docker}: which role the configuration has for what a client's helper is asked
 * for (`target`), or, without one, for which patterns the caller may get something.
 *
 * Where several patterns fit, the first whose role policy would give the caller counts; where it
 * gives none, the first: asking for it tells why not, and goes on record. Nothing is issued. */
#include "serve/decide.h"

static bool is_allowed(struct exchange *x, const char *name)
{
    const struct lease_role *role = lease_core_role(x->serve->options.core, str_of(name));

    if (role == NULL) {
        return false;
    }
    decide_exchange(x, role, 0, &x->decision);
    return x->decision.outcome != ACCESS_DENY;
}

static const struct schema_pair *client_find(struct exchange *x, const struct schema_pairs *pairs)
{
    const struct schema_pair *first = NULL;
    size_t i;

    for (i = 0; i < pairs->count; i++) {
        const struct schema_pair *pair = &pairs->items[i];

        if (!client_match(str_of(pair->name), str_of(x->params.target))) {
            continue;
        }
        if (is_allowed(x, pair->value)) {
            return pair;
        }
        first = first != NULL ? first : pair;
    }
    return first;
}

static void client_write(struct json_out *json, const struct schema_pair *pair)
{
    json_out_object_open(json, NULL);
    json_out_string_c(json, "match", pair->name);
    json_out_string_c(json, "role", pair->value);
    json_out_object_close(json);
}

static void client_reply(struct exchange *x, const struct schema_pairs *pairs)
{
    const struct schema_pair *found = client_find(x, pairs);
    struct json_out json;

    if (found == NULL) {
        exchange_fail(x, &(struct exchange_problem){.status = 404,
                                                    .code = "not_found",
                                                    .detail = "no pattern of `clients` fits this"});
        return;
    }
    exchange_json(x, &json);
    client_write(&json, found);
    exchange_reply(x, 200);
}

static void clients_reply(struct exchange *x, const struct schema_pairs *pairs)
{
    struct json_out json;
    size_t i;

    exchange_json(x, &json);
    json_out_object_open(&json, NULL);
    json_out_array_open(&json, "items");
    for (i = 0; i < pairs->count; i++) {
        if (is_allowed(x, pairs->items[i].value)) {
            client_write(&json, &pairs->items[i]);
        }
    }
    json_out_array_close(&json);
    json_out_object_close(&json);
    exchange_reply(x, 200);
}

void serve_clients_find(struct exchange *x)
{
    const struct serve_clients *clients = &x->serve->options.clients;
    const struct schema_pairs *pairs = str_eq_c(x->path_arg, "git")      ? clients->git
                                       : str_eq_c(x->path_arg, "docker") ? clients->docker
                                                                         : NULL;

    if (pairs == NULL) {
        exchange_fail(x, &(struct exchange_problem){.status = 404,
                                                    .code = "not_found",
                                                    .detail =
                                                        "there are roles for git and docker only"});
    } else if (x->params.target[0] != '\0') {
        client_reply(x, pairs);
    } else {
        clients_reply(x, pairs);
    }
}
