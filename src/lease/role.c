/* Roles and their sources: made, copied, counted, freed. What a change means for the leases that
 * live stands in reload.c. */
#include "lease/role.h"

#include "base/mem.h"
#include "lease/core_internal.h"

#include <string.h>

/* --- a copy of the configuration --- */

static size_t fields_bytes(const struct lease_field *fields, size_t count)
{
    size_t bytes = count * sizeof(*fields);
    size_t i;

    for (i = 0; i < count; i++) {
        bytes += fields[i].name.len + fields[i].value.len + 2;
    }
    return bytes;
}

static struct str put_text(char **at, struct str text)
{
    struct str copy = {.ptr = *at, .len = text.len};

    if (text.len > 0) {
        memcpy(*at, text.ptr, text.len);
    }
    (*at)[text.len] = '\0';
    *at += text.len + 1;
    return copy;
}

static void put_fields(char **at, struct lease_field *copies, const struct lease_field *fields,
                       size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        copies[i].name = put_text(at, fields[i].name);
        copies[i].value = put_text(at, fields[i].value);
        copies[i].is_secret = fields[i].is_secret;
    }
}

/* One block: both arrays, then all texts. */
int role_texts_copy(const struct lease_role *config, struct role_texts *ret_texts)
{
    size_t field_count = config->attribute_count + config->env_name_count;
    size_t verify_bytes = config->verify_json != NULL ? strlen(config->verify_json) + 1 : 0;
    struct lease_field *fields;
    char *at;

    if (strlen(config->name) >= ROLE_NAME_MAX_BYTES ||
        config->attribute_count >= LEASE_FIELDS_MAX) {
        return ERR_INVALID;
    }
    fields = mem_calloc(1, fields_bytes(config->attributes, config->attribute_count) +
                               fields_bytes(config->env_names, config->env_name_count) +
                               verify_bytes + 1);
    if (fields == NULL) {
        return ERR_NOMEM;
    }
    at = (char *)(fields + field_count);
    put_fields(&at, fields, config->attributes, config->attribute_count);
    put_fields(&at, fields + config->attribute_count, config->env_names, config->env_name_count);
    ret_texts->block = fields;
    ret_texts->config = *config;
    ret_texts->config.attributes = fields;
    ret_texts->config.env_names = fields + config->attribute_count;
    if (config->verify_json != NULL) {
        ret_texts->config.verify_json = put_text(&at, str_of(config->verify_json)).ptr;
    }
    return 0;
}

/* --- has it changed? --- */

static bool rate_is(struct units_rate a, struct units_rate b)
{
    return a.count == b.count && (a.count == 0 || a.per_ms == b.per_ms);
}

static bool fields_are(const struct lease_field *a, size_t a_count, const struct lease_field *b,
                       size_t b_count)
{
    size_t i;

    for (i = 0; i < a_count && a_count == b_count; i++) {
        if (!str_eq(a[i].name, b[i].name) || !str_eq(a[i].value, b[i].value) ||
            a[i].is_secret != b[i].is_secret) {
            return false;
        }
    }
    return a_count == b_count;
}

/* NULL: none. */
static bool text_is(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool timing_is(const struct lease_role *a, const struct lease_role *b)
{
    return a->ttl_ms == b->ttl_ms && a->max_ttl_ms == b->max_ttl_ms &&
           a->renew_at_percent == b->renew_at_percent &&
           a->min_remaining_ms == b->min_remaining_ms && a->overlap_ms == b->overlap_ms &&
           a->linger_ms == b->linger_ms;
}

bool role_is_configured(const struct role *role, const struct lease_role *config)
{
    const struct lease_role *own = &role->config;

    return timing_is(own, config) && own->share == config->share &&
           own->binding == config->binding && own->is_kept_on_stop == config->is_kept_on_stop &&
           text_is(own->verify_json, config->verify_json) &&
           own->verify_timeout_ms == config->verify_timeout_ms &&
           own->live_max == config->live_max && rate_is(own->issue_rate, config->issue_rate) &&
           rate_is(own->renew_rate, config->renew_rate) &&
           rate_is(own->revoke_rate, config->revoke_rate) &&
           fields_are(own->attributes, own->attribute_count, config->attributes,
                      config->attribute_count) &&
           fields_are(own->env_names, own->env_name_count, config->env_names,
                      config->env_name_count);
}

/* --- roles --- */

struct role *role_new(struct lease_core *core, const char *name)
{
    size_t len = strlen(name);
    struct role *role = mem_calloc(1, sizeof(*role) + len + 1);

    if (role == NULL) {
        return NULL;
    }
    role->magic = ROLE_MAGIC;
    role->core = core;
    list_init(&role->holders);
    role->tolerance_ms = UINT64_MAX;
    memcpy(role->name, name, len);
    queue_rates_init(&role->rates, core_now_ms(core));
    if (map_add(&core->roles, &role->entry, (struct str){.ptr = role->name, .len = len}) != 0) {
        mem_free(role);
        return NULL;
    }
    return role;
}

void role_configure(struct role *role, const struct role_texts *texts)
{
    const struct units_rate rates[] = {texts->config.issue_rate, texts->config.renew_rate,
                                       texts->config.revoke_rate};
    uint64_t now_ms = core_now_ms(role->core);

    mem_free(role->texts);
    role->texts = texts->block;
    role->config = texts->config;
    role->config.name = role->name;
    queue_bucket_set(&role->rates.issues, rates[0], now_ms);
    queue_bucket_set(&role->rates.renews, rates[1], now_ms);
    queue_bucket_set(&role->rates.revokes, rates[2], now_ms);
}

struct role *role_find(const struct lease_core *core, struct str name)
{
    struct map_entry *entry = map_find(&core->roles, name);
    struct role *role = entry != NULL ? MAP_ENTRY(entry, struct role, entry) : NULL;

    return role != NULL && !role->is_removed ? role : NULL;
}

struct role *role_of(const struct lease_role *config)
{
    struct role *role = (struct role *)(void *)((uintptr_t)config - offsetof(struct role, config));

    CHECK(role->magic == ROLE_MAGIC);
    return role;
}

void role_again(struct role *role)
{
    role->user_count++;
}

void role_free(struct role *role)
{
    map_remove(&role->core->roles, &role->entry);
    if (role->source != NULL) {
        source_put(role->source);
    }
    refusal_forget(&role->refusal);
    mem_free(role->texts);
    mem_free(role);
}

void role_put(struct role *role)
{
    if (--role->user_count == 0 && role->is_removed) {
        role_free(role);
    }
}

/* --- sources --- */

struct source *source_new(struct role *role, struct issuer *issuer, const char *params_json)
{
    size_t params_size = strlen(params_json) + 1;
    size_t name_size = strlen(issuer->config->name) + 1;
    struct source *source = mem_calloc(1, sizeof(*source) + params_size + name_size);

    if (source == NULL) {
        return NULL;
    }
    memcpy(source->params_json, params_json, params_size);
    memcpy(source->params_json + params_size, issuer->config->name, name_size);
    source->issuer_name = source->params_json + params_size;
    source->role = role;
    source->issuer = issuer;
    source->user_count = 1;
    source->since_ms = core_now_ms(role->core);
    queue_lane_init(&source->lane, &issuer->queue, &role->rates);
    list_push_back(&issuer->sources, &source->node);
    return source;
}

bool source_is(const struct source *source, const struct issuer *issuer, const char *params_json)
{
    return source != NULL && source->issuer == issuer &&
           strcmp(source->params_json, params_json) == 0;
}

void source_put(struct source *source)
{
    if (--source->user_count == 0) {
        list_remove(&source->node);
        mem_free(source);
    }
}

void role_set_source(struct role *role, struct source *source)
{
    struct source *before = role->source;

    role->source = source;
    role->config.issuer = source->issuer->config;
    role->config.params_json = source->params_json;
    if (before != NULL) {
        source_put(before);
    }
}
