#include "backend/kept.h"

#include "base/mem.h"

int kept_put(struct env_ledger *ledger, const char *name, struct str state)
{
    size_t size = state.len + ENV_LEDGER_SEAL_BYTES;
    char *sealed;
    int r;

    if (state.len == 0) {
        return env_ledger_remove(ledger, ENV_LEDGER_BACKEND, str_of(name));
    }
    sealed = mem_alloc(size);
    r = sealed != NULL ? env_ledger_seal(ledger, str_of(name), state, sealed) : ERR_NOMEM;
    if (r == 0) {
        r = env_ledger_put(ledger, ENV_LEDGER_BACKEND, str_of(name),
                           (struct str){.ptr = sealed, .len = size});
    }
    mem_free(sealed);
    return r;
}

struct search {
    struct env_ledger *ledger;
    const char *name;
    struct secret *ret_state;
};

static int take(void *user, struct str id, struct str body)
{
    struct search *search = user;
    struct secret state;
    char *plain;
    int r;

    if (!str_eq_c(id, search->name)) {
        return 0;
    }
    if (body.len <= ENV_LEDGER_SEAL_BYTES) {
        return ERR_CORRUPT;
    }
    secret_init(&state);
    r = secret_make(&state, body.len - ENV_LEDGER_SEAL_BYTES, &plain);
    if (r == 0) {
        r = env_ledger_unseal(search->ledger, id, body, plain);
    }
    if (r != 0) {
        secret_fini(&state);
        return r == ERR_INVALID ? ERR_CORRUPT : r;
    }
    secret_fini(search->ret_state);
    *search->ret_state = state;
    return 0;
}

int kept_read(struct env_ledger *ledger, const char *name, struct secret *ret_state, struct err *e)
{
    struct search search = {.ledger = ledger, .name = name, .ret_state = ret_state};
    int r = env_ledger_each(ledger, ENV_LEDGER_BACKEND, take, &search, e);

    if (r == ERR_NOT_FOUND) {
        return err_set(e, r, "the key that the login was sealed with isn't there");
    }
    return r == ERR_CORRUPT ? err_set(e, r, "what the ledger kept of the login was changed") : r;
}
