/* One identity at one role. */
#include "lease/holder.h"

#include "base/mem.h"
#include "lease/core_internal.h"

#include <string.h>

#define HOLDER_KEY_MAX_BYTES (ACCESS_KEY_MAX_BYTES + ROLE_NAME_MAX_BYTES + 2)

static struct str holder_key(const char *identity_key, const char *role,
                             char out[HOLDER_KEY_MAX_BYTES])
{
    size_t identity_len = strlen(identity_key);
    size_t role_len = strlen(role);

    CHECK(identity_len < ACCESS_KEY_MAX_BYTES && role_len < ROLE_NAME_MAX_BYTES);
    memcpy(out, identity_key, identity_len + 1);
    memcpy(out + identity_len + 1, role, role_len + 1);
    return (struct str){.ptr = out, .len = identity_len + 1 + role_len};
}

struct holder *holder_find(const struct lease_core *core, const char *identity_key,
                           const struct lease_role *role)
{
    char key[HOLDER_KEY_MAX_BYTES];
    struct map_entry *entry = map_find(&core->holders, holder_key(identity_key, role->name, key));

    return entry != NULL ? MAP_ENTRY(entry, struct holder, entry) : NULL;
}

static const char *put_text(char **at, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = *at;

    memcpy(copy, text, size);
    *at += size;
    return copy;
}

static struct holder *holder_new(struct lease_core *core, struct role *role,
                                 const struct access_identity *identity, struct str key)
{
    const char *listener = identity->listener != NULL ? identity->listener : "";
    size_t size = sizeof(struct holder) + key.len + 1 + strlen(identity->user) + 1 +
                  strlen(identity->unit) + 1 + strlen(identity->container) + 1 + strlen(listener) +
                  1;
    struct holder *holder = mem_calloc(1, size);
    char *at;

    if (holder == NULL) {
        return NULL;
    }
    memcpy(holder->key, key.ptr, key.len);
    at = holder->key + key.len + 1;
    holder->user = put_text(&at, identity->user);
    holder->unit = put_text(&at, identity->unit);
    holder->container = put_text(&at, identity->container);
    holder->listener = put_text(&at, listener);
    holder->uid = identity->uid;
    holder->role = role;
    list_init(&holder->idle);
    if (map_add(&core->holders, &holder->entry, (struct str){.ptr = holder->key, .len = key.len}) !=
        0) {
        mem_free(holder);
        return NULL;
    }
    return holder;
}

struct holder *holder_get(struct lease_core *core, struct role *role,
                          const struct access_identity *identity)
{
    char identity_key[ACCESS_KEY_MAX_BYTES];
    char key_bytes[HOLDER_KEY_MAX_BYTES];
    struct str key =
        holder_key(access_identity_key(identity, identity_key), role->config->name, key_bytes);
    struct map_entry *entry = map_find(&core->holders, key);
    struct holder *holder;

    holder = entry != NULL ? MAP_ENTRY(entry, struct holder, entry)
                           : holder_new(core, role, identity, key);
    return holder != NULL ? holder_again(holder) : NULL;
}

struct holder *holder_again(struct holder *holder)
{
    holder->user_count++;
    return holder;
}

void holder_put(struct lease_core *core, struct holder *holder)
{
    if (holder == NULL || --holder->user_count > 0) {
        return;
    }
    CHECK(holder->grant_count == 0 && holder->shared == NULL && list_is_empty(&holder->idle));
    map_remove(&core->holders, &holder->entry);
    mem_free(holder);
}
