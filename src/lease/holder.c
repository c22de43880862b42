/* One identity at one role. */
#include "lease/holder.h"

#include "base/mem.h"
#include "lease/core_internal.h"

#include <stdio.h>
#include <string.h>

#define HOLDER_KEY_MAX_BYTES (ACCESS_KEY_MAX_BYTES + ROLE_NAME_MAX_BYTES + ENV_NAME_MAX_BYTES + 3)

static struct str put_key(struct str key, char *out, const char *text, size_t max_bytes)
{
    size_t len = strlen(text);

    CHECK(len < max_bytes);
    memcpy(out + key.len, text, len + 1);
    return (struct str){.ptr = out, .len = key.len + len + 1};
}

/* Another user behind the same uid is somebody else. */
static struct str holder_key(const struct role *role, const struct access_identity *identity,
                             char out[HOLDER_KEY_MAX_BYTES])
{
    char identity_key[ACCESS_KEY_MAX_BYTES];
    struct str key = {.ptr = out, .len = 0};

    key = put_key(key, out, access_identity_key(identity, identity_key), ACCESS_KEY_MAX_BYTES);
    key = put_key(key, out, role->name, ROLE_NAME_MAX_BYTES);
    return put_key(key, out, identity->user, ENV_NAME_MAX_BYTES);
}

struct holder *holder_find(const struct lease_core *core, const struct role *role,
                           const struct access_identity *identity)
{
    char key[HOLDER_KEY_MAX_BYTES];
    struct map_entry *entry = map_find(&core->holders, holder_key(role, identity, key));

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
    struct account *account = account_get(core, identity);
    const char *listener = identity->listener != NULL ? identity->listener : "";
    size_t texts_size = strlen(identity->unit) + strlen(identity->container) + strlen(listener) +
                        strlen(identity->sans) + 4;
    struct holder *holder =
        account != NULL ? mem_calloc(1, sizeof(struct holder) + key.len + texts_size) : NULL;
    char *at;

    if (holder == NULL) {
        goto err_account;
    }
    memcpy(holder->key, key.ptr, key.len);
    at = holder->key + key.len;
    holder->user = at - strlen(identity->user) - 1;
    holder->unit = put_text(&at, identity->unit);
    holder->container = put_text(&at, identity->container);
    holder->listener = put_text(&at, listener);
    holder->sans = put_text(&at, identity->sans);
    holder->kind = identity->kind;
    holder->uid = identity->uid;
    holder->account = account;
    holder->is_foreign = identity->is_foreign;
    holder->role = role;
    list_init(&holder->leases);
    list_init(&holder->grants);
    list_init(&holder->idle);
    if (map_add(&core->holders, &holder->entry, (struct str){.ptr = holder->key, .len = key.len}) !=
        0) {
        goto err_holder;
    }
    list_push_back(&account->holders, &holder->by_account);
    role_again(role);
    return holder;
err_holder:
    mem_free(holder);
err_account:
    if (account != NULL) {
        account_put(core, account);
    }
    return NULL;
}

struct holder *holder_get(struct lease_core *core, struct role *role,
                          const struct access_identity *identity)
{
    char key_bytes[HOLDER_KEY_MAX_BYTES];
    struct str key = holder_key(role, identity, key_bytes);
    struct map_entry *entry = map_find(&core->holders, key);
    struct holder *holder;

    holder = entry != NULL ? MAP_ENTRY(entry, struct holder, entry)
                           : holder_new(core, role, identity, key);
    return holder != NULL ? holder_again(holder) : NULL;
}

void holder_identity(const struct holder *holder, struct access_identity *ret_identity)
{
    *ret_identity = (struct access_identity){
        .kind = holder->kind,
        .listener = holder->listener,
        .uid = holder->uid,
        .is_foreign = holder->is_foreign,
        .env = holder->role->core->env,
    };
    (void)snprintf(ret_identity->user, sizeof(ret_identity->user), "%s", holder->user);
    (void)snprintf(ret_identity->unit, sizeof(ret_identity->unit), "%s", holder->unit);
    (void)snprintf(ret_identity->container, sizeof(ret_identity->container), "%s",
                   holder->container);
    (void)snprintf(ret_identity->sans, sizeof(ret_identity->sans), "%s", holder->sans);
}

struct holder *holder_again(struct holder *holder)
{
    holder->user_count++;
    return holder;
}

void holder_put(struct lease_core *core, struct holder *holder)
{
    struct role *role;

    if (holder == NULL || --holder->user_count > 0) {
        return;
    }
    role = holder->role;
    CHECK(holder->grant_count == 0 && holder->shared == NULL && list_is_empty(&holder->idle));
    map_remove(&core->holders, &holder->entry);
    list_remove(&holder->by_account);
    account_put(core, holder->account);
    refusal_forget(&holder->refusal);
    mem_free(holder);
    role_put(role);
}
