/* `reload`: has leased read its configuration anew, and tells what has changed. */
#include "cli/reload.h"

#include "cli/api.h"
#include "cli/show.h"
#include "wire/format.h"

#include <jansson.h>
#include <string.h>

/* "  roles added: a, b" */
static bool names_show(struct cli *cli, const json_t *document, const char *kind, const char *what)
{
    const json_t *names = json_object_get(json_object_get(document, kind), what);
    const json_t *name;
    size_t i;

    json_array_foreach (names, i, name) {
        if (i == 0) {
            buf_printf(&cli->out, "  %s %s: ", kind, what);
        } else {
            buf_add_c(&cli->out, ", ");
        }
        format_add_visible(&cli->out, str_of(json_is_string(name) ? json_string_value(name) : "-"));
    }
    if (json_array_size(names) > 0) {
        buf_add_char(&cli->out, '\n');
    }
    return json_array_size(names) > 0;
}

static bool flag_show(struct cli *cli, const json_t *value, const char *text)
{
    if (json_is_true(value)) {
        buf_printf(&cli->out, "  %s\n", text);
    }
    return json_is_true(value);
}

static void changes_show(struct cli *cli, const json_t *document)
{
    static const char *const kinds[] = {"roles", "backends", "listeners"};
    static const char *const whats[] = {"added", "removed", "changed"};
    json_int_t ended = json_integer_value(json_object_get(document, "grants_ended"));
    bool has_any = false;
    size_t i;
    size_t k;

    buf_add_c(&cli->out, "reloaded\n");
    for (i = 0; i < ARRAY_LEN(kinds); i++) {
        for (k = 0; k < ARRAY_LEN(whats); k++) {
            has_any = names_show(cli, document, kinds[i], whats[k]) || has_any;
        }
    }
    has_any = flag_show(cli, json_object_get(json_object_get(document, "policy"), "changed"),
                        "policy changed") ||
              has_any;
    has_any =
        flag_show(cli, json_object_get(document, "limits_changed"), "limits changed") || has_any;
    has_any =
        flag_show(cli, json_object_get(document, "clients_changed"), "clients changed") || has_any;
    has_any = flag_show(cli, json_object_get(document, "log_changed"), "log changed") || has_any;
    if (ended > 0) {
        buf_printf(&cli->out, "  grants ended: %lld\n", (long long)ended);
    } else if (!has_any) {
        buf_add_c(&cli->out, "  nothing has changed\n");
    }
}

int reload_run(struct cli *cli)
{
    const struct api_request request = {.method = "POST",
                                        .path = API_ROOT "/reload",
                                        .action = "reload"};
    json_t *document = NULL;
    int exit_code = api_call_json(cli, &request, NULL, &document);

    if (exit_code == CLI_OK && cli_wants_json(cli)) {
        exit_code = show_json(cli, document);
    } else if (exit_code == CLI_OK) {
        changes_show(cli, document);
    }
    json_decref(document);
    return exit_code;
}
