/* One identity at one role. */
#include "lease/holder.h"

#include "base/mem.h"
#include "lease/core_internal.h"

#include <stdio.h>
#include <string.h>

struct holder_key {
    const struct role *role;
    const struct access_identity *identity;
};

/* What differs between two that are looked for is in here; the rest only has to compare. Reads
 * from memory pay for this. */
static uint64_t identity_hash(const struct lease_core *core, const struct role *role,
                              const struct access_identity *identity)
{
    uint64_t hash = index_hash(core->holders.seed ^ (uintptr_t)role, identity->uid);

    if (identity->claims != NULL) {
        hash = index_hash_text(hash, identity->claims->id);
    }
    if (identity->kind == ENV_PEER_TLS) {
        return index_hash_text(hash, identity->sans);
    }
    return index_hash_text(hash, identity->is_foreign ? identity->container : identity->unit);
}

uint64_t holder_hash(const struct index *index, struct index_entry *entry)
{
    (void)index;
    return CONTAINER_OF(entry, struct holder, entry)->hash;
}

static bool is_same_job(const struct access_claims *a, const struct access_claims *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a->id, b->id) == 0);
}

/* Another user behind the same uid is somebody else. */
static bool holder_match(struct index_entry *entry, const void *wanted)
{
    const struct holder *holder = CONTAINER_OF(entry, struct holder, entry);
    const struct holder_key *key = wanted;
    const struct access_identity *identity = key->identity;

    return holder->role == key->role && holder->uid == identity->uid &&
           holder->kind == identity->kind && holder->is_foreign == identity->is_foreign &&
           strcmp(holder->user, identity->user) == 0 && strcmp(holder->unit, identity->unit) == 0 &&
           strcmp(holder->container, identity->container) == 0 &&
           strcmp(holder->sans, identity->sans) == 0 &&
           is_same_job(holder->claims, identity->claims) &&
           strcmp(holder->listener, identity->listener != NULL ? identity->listener : "") == 0;
}

static struct holder *holder_by(const struct lease_core *core, const struct role *role,
                                const struct access_identity *identity, uint64_t hash)
{
    const struct holder_key key = {.role = role, .identity = identity};
    struct index_entry *entry = index_find(&core->holders, hash, holder_match, &key);

    return entry != NULL ? CONTAINER_OF(entry, struct holder, entry) : NULL;
}

struct holder *holder_find(const struct lease_core *core, const struct role *role,
                           const struct access_identity *identity)
{
    return holder_by(core, role, identity, identity_hash(core, role, identity));
}

static int claims_take(struct holder *holder, const struct access_claims *claims)
{
    BUF_AUTO text;
    int r;

    buf_init(&text, ACCESS_CLAIMS_TEXT_MAX_BYTES);
    if (claims == NULL) {
        return 0;
    }
    r = access_claims_write(claims, &text);
    if (r == 0) {
        holder->claims = access_claims_dup(claims);
        holder->claims_text = buf_steal(&text);
        r = holder->claims != NULL && holder->claims_text != NULL ? 0 : ERR_NOMEM;
    }
    return r;
}

static void holder_release(struct holder *holder)
{
    access_claims_free(holder->claims);
    mem_free(holder->claims_text);
    mem_free(holder);
}

static struct holder *holder_alloc(const struct access_identity *identity)
{
    char key[ACCESS_KEY_MAX_BYTES];
    const char *listener = identity->listener != NULL ? identity->listener : "";
    size_t key_size = strlen(access_identity_key(identity, key)) + 1;
    size_t texts_size = strlen(identity->user) + strlen(identity->unit) +
                        strlen(identity->container) + strlen(identity->image) + strlen(listener) +
                        strlen(identity->sans) + 6;
    struct holder *holder = mem_calloc(1, sizeof(struct holder) + key_size + texts_size);
    char *at;

    if (holder == NULL) {
        return NULL;
    }
    at = holder->key;
    (void)str_pack(&at, key);
    holder->user = str_pack(&at, identity->user);
    holder->unit = str_pack(&at, identity->unit);
    holder->container = str_pack(&at, identity->container);
    holder->image = str_pack(&at, identity->image);
    holder->listener = str_pack(&at, listener);
    holder->sans = str_pack(&at, identity->sans);
    holder->kind = identity->kind;
    holder->uid = identity->uid;
    holder->is_foreign = identity->is_foreign;
    list_init(&holder->leases);
    list_init(&holder->grants);
    list_init(&holder->idle);
    if (claims_take(holder, identity->claims) != 0) {
        holder_release(holder);
        return NULL;
    }
    return holder;
}

static struct holder *holder_new(struct lease_core *core, struct role *role,
                                 const struct access_identity *identity, uint64_t hash)
{
    struct account *account = account_get(core, identity);
    struct holder *holder = account != NULL ? holder_alloc(identity) : NULL;

    if (holder == NULL) {
        goto err_account;
    }
    holder->hash = hash;
    if (index_add(&core->holders, &holder->entry) != 0) {
        goto err_holder;
    }
    holder->role = role;
    holder->account = account;
    list_push_back(&account->holders, &holder->by_account);
    list_push_back(&role->holders, &holder->by_role);
    role_again(role);
    return holder;
err_holder:
    holder_release(holder);
err_account:
    if (account != NULL) {
        account_put(core, account);
    }
    return NULL;
}

struct holder *holder_get(struct lease_core *core, struct role *role,
                          const struct access_identity *identity)
{
    uint64_t hash = identity_hash(core, role, identity);
    struct holder *holder = holder_by(core, role, identity, hash);

    if (holder == NULL) {
        holder = holder_new(core, role, identity, hash);
    }
    return holder != NULL ? holder_again(holder) : NULL;
}

void holder_identity(const struct holder *holder, struct access_identity *ret_identity)
{
    *ret_identity = (struct access_identity){
        .kind = holder->kind,
        .listener = holder->listener,
        .uid = holder->uid,
        .is_foreign = holder->is_foreign,
        .claims = holder->claims,
        .env = holder->role->core->env,
    };
    (void)snprintf(ret_identity->user, sizeof(ret_identity->user), "%s", holder->user);
    (void)snprintf(ret_identity->unit, sizeof(ret_identity->unit), "%s", holder->unit);
    (void)snprintf(ret_identity->container, sizeof(ret_identity->container), "%s",
                   holder->container);
    (void)snprintf(ret_identity->image, sizeof(ret_identity->image), "%s", holder->image);
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
    index_remove(&core->holders, &holder->entry);
    list_remove(&holder->by_account);
    list_remove(&holder->by_role);
    account_put(core, holder->account);
    refusal_forget(&holder->refusal);
    holder_release(holder);
    role_put(role);
}
