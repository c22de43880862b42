/* Secrets: copied in, viewed briefly, wiped. */
#include "base/secret.h"

#include "base/err.h"
#include "base/mem.h"

void secret_init(struct secret *secret)
{
    *secret = (struct secret){.secret_bytes = NULL};
}

void secret_fini(struct secret *secret)
{
    mem_free(secret->secret_bytes);
    secret_init(secret);
}

int secret_set(struct secret *secret, struct str bytes)
{
    char *copy = mem_strndup(bytes.ptr, bytes.len);

    if (copy == NULL) {
        return ERR_NOMEM;
    }
    secret_fini(secret);
    secret->secret_bytes = copy;
    secret->secret_len = bytes.len;
    return 0;
}

struct str secret_view(const struct secret *secret)
{
    return (struct str){.ptr = secret->secret_bytes != NULL ? secret->secret_bytes : "",
                        .len = secret->secret_len};
}

bool secret_is_empty(const struct secret *secret)
{
    return secret->secret_len == 0;
}

bool secret_eq(const struct secret *secret, struct str bytes)
{
    unsigned char difference = 0;
    size_t i;

    if (secret->secret_len != bytes.len) {
        return false;
    }
    for (i = 0; i < bytes.len; i++) {
        difference |= (unsigned char)(secret->secret_bytes[i] ^ bytes.ptr[i]);
    }
    return difference == 0;
}
