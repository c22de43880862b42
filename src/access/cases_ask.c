/* What a test asks for: its own keys, and those of the file's defaults where it has none. */
#include "access/cases_config.h"

#include "base/units.h"

#include <string.h>

/* Monday, noon: inside of what people call working hours. */
#define DEFAULT_WALL_MS INT64_C(1767614400000)

static struct schema_strings strings_or(const struct schema_strings *own,
                                        const struct schema_strings *fallback)
{
    return own->count > 0 ? *own : *fallback;
}

/* Key by key; what is a role in one and a path in the other isn't both. */
static struct access_ask_config ask_merge(const struct access_ask_config *own,
                                          const struct access_ask_config *fallback)
{
    bool asks_role = own->role != NULL;
    bool asks_path = own->path != NULL;
    struct access_ask_config ask = *own;

    ask.role = asks_role || asks_path ? own->role : fallback->role;
    ask.path = asks_role || asks_path ? own->path : fallback->path;
    ask.duration_ms = own->duration_ms > 0 ? own->duration_ms : fallback->duration_ms;
    ask.reason = own->reason != NULL ? own->reason : fallback->reason;
    ask.ticket = own->ticket != NULL ? own->ticket : fallback->ticket;
    ask.backend = own->backend != NULL ? own->backend : fallback->backend;
    ask.binding = strings_or(&own->binding, &fallback->binding);
    ask.capabilities = strings_or(&own->capabilities, &fallback->capabilities);
    if (own->node == NULL || yaml_get(own->node, "break_glass") == NULL) {
        ask.is_break_glass = fallback->is_break_glass;
    }
    if (own->node == NULL || yaml_get(own->node, "approved") == NULL) {
        ask.is_approved = fallback->is_approved;
    }
    if (own->node == NULL || yaml_get(own->node, "live") == NULL) {
        ask.live = fallback->live;
    }
    return ask;
}

static uint32_t capability_of(const char *word)
{
    uint32_t capability;

    for (capability = 1; access_capability_word(capability) != NULL; capability <<= 1) {
        if (strcmp(access_capability_word(capability), word) == 0) {
            return capability;
        }
    }
    return 0;
}

static void bindings_read(const struct access_cases_reading *it,
                          const struct access_ask_config *ask, const struct yaml_node *node,
                          struct access_request *request)
{
    size_t i;

    if (ask->binding.count > ACCESS_BINDINGS_MAX) {
        yaml_error_at(it->errors, node, "at most %d bindings can be asked for",
                      ACCESS_BINDINGS_MAX);
        return;
    }
    for (i = 0; i < ask->binding.count; i++) {
        if (access_binding_parse(str_of(ask->binding.items[i]), &request->bindings[i]) != 0) {
            yaml_error_at(it->errors, node, "`%s` is no binding", ask->binding.items[i]);
        }
    }
    request->binding_count = ask->binding.count;
}

static void path_read(const struct access_cases_reading *it, const struct access_ask_config *ask,
                      const struct yaml_node *node, struct access_path_request *path)
{
    size_t i;

    path->path = str_of(ask->path);
    path->backend = ask->backend;
    path->needs = ask->capabilities.count == 0 ? ACCESS_CAN_READ : 0;
    if (ask->path != NULL && ask->backend == NULL) {
        yaml_error_at(it->errors, node, "a request for a `path` needs a `backend`");
    }
    for (i = 0; i < ask->capabilities.count; i++) {
        uint32_t capability = capability_of(ask->capabilities.items[i]);

        if (capability == 0) {
            yaml_error_at(it->errors, node, "`%s` is no capability", ask->capabilities.items[i]);
        }
        path->needs |= capability;
    }
}

int64_t access_case_time_read(const struct access_cases_reading *it, const char *text,
                              const struct yaml_node *node, const char *key, int64_t fallback)
{
    int64_t wall_ms = fallback;
    const struct yaml_node *place = yaml_get(node, key);

    if (text != NULL && units_parse_time(str_of(text), &wall_ms) != 0) {
        yaml_error_at(it->errors, place != NULL ? place : node,
                      "`%s` is no time: write it as in 2026-11-30T10:00:00+01:00", text);
    }
    return wall_ms;
}

void access_case_ask_read(const struct access_cases_reading *it,
                          const struct access_ask_config *own, const char *time,
                          struct access_case_pattern *pattern)
{
    const struct access_defaults_config *defaults = &it->cases->config.defaults;
    struct access_ask_config ask = ask_merge(own, &defaults->request);
    struct access_case *made = &pattern->case_;
    const struct yaml_node *node = own->node != NULL ? own->node : pattern->node;

    if (ask.role != NULL && ask.path != NULL) {
        yaml_error_at(it->errors, node, "a request is for a `role` or for a `path`");
    }
    made->request = (struct access_request){.role = ask.role,
                                            .duration_ms = ask.duration_ms,
                                            .reason = ask.reason,
                                            .ticket = ask.ticket,
                                            .live_count = (uint32_t)ask.live,
                                            .is_break_glass = ask.is_break_glass};
    made->is_approved = ask.is_approved;
    bindings_read(it, &ask, node, &made->request);
    path_read(it, &ask, node, &made->path);
    made->request.wall_ms =
        access_case_time_read(it, time != NULL ? time : defaults->time,
                              time != NULL || defaults->node == NULL ? pattern->node
                                                                     : defaults->node,
                              "time", DEFAULT_WALL_MS);
    made->path.wall_ms = made->request.wall_ms;
}
