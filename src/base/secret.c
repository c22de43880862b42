/* Secrets: copied in, viewed briefly, wiped. And the choice of the memory that they live in. */
#include "base/secret.h"

#include "base/err.h"
#include "base/mem.h"

#include <string.h>

static const struct secret_memory *secret_memory;

void secret_set_memory(const struct secret_memory *memory)
{
    secret_memory = memory;
}

void *secret_alloc(size_t size)
{
    return secret_memory != NULL ? secret_memory->alloc(size) : mem_alloc(size);
}

void secret_free(void *block)
{
    if (secret_memory != NULL && secret_memory->owns(block)) {
        secret_memory->free(block);
    } else {
        mem_free(block);
    }
}

void secret_memory_stats(struct secret_stats *ret_stats)
{
    if (secret_memory != NULL) {
        secret_memory->stats(ret_stats);
    } else {
        *ret_stats = (struct secret_stats){.kind = "heap"};
    }
}

void secret_init(struct secret *secret)
{
    *secret = (struct secret){.secret_bytes = NULL};
}

void secret_fini(struct secret *secret)
{
    secret_free(secret->secret_bytes);
    secret_init(secret);
}

int secret_make(struct secret *secret, size_t len, char **ret_bytes)
{
    char *bytes = len < SIZE_MAX ? secret_alloc(len + 1) : NULL;

    if (bytes == NULL) {
        return ERR_NOMEM;
    }
    bytes[len] = '\0';
    secret_fini(secret);
    secret->secret_bytes = bytes;
    secret->secret_len = len;
    *ret_bytes = bytes;
    return 0;
}

int secret_set(struct secret *secret, struct str bytes)
{
    struct secret fresh;
    char *copy;
    int r;

    /* Not in place: `bytes` may be a part of what it holds. */
    secret_init(&fresh);
    r = secret_make(&fresh, bytes.len, &copy);
    if (r != 0) {
        return r;
    }
    if (bytes.len > 0) {
        memcpy(copy, bytes.ptr, bytes.len);
    }
    secret_fini(secret);
    *secret = fresh;
    return 0;
}

int secret_set_on_heap(struct secret *secret, struct str bytes)
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

void secret_cut(struct secret *secret, size_t len)
{
    CHECK(len <= secret->secret_len);
    if (len < secret->secret_len) {
        mem_wipe(secret->secret_bytes + len, secret->secret_len - len);
        secret->secret_len = len;
    }
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
