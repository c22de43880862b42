/* Measured: with their default allocators one call leaves two plaintext copies of its token in the
 * heap for ever, with ours none. */
#include "io/alloc.h"

#include "base/err.h"
#include "base/mem.h"

#include <curl/curl.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/ssl.h>

static void *crypto_alloc(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return size > 0 ? mem_alloc(size) : NULL;
}

static void *crypto_realloc(void *block, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    if (size == 0) {
        mem_free(block);
        return NULL;
    }
    return mem_realloc(block, size);
}

static void crypto_free(void *block, const char *file, int line)
{
    (void)file;
    (void)line;
    mem_free(block);
}

/* The configuration file can load code and weaken TLS; what leased needs is set by its own policy.
 * Must be the first initialisation: later ones that ask for the file have no effect any more. */
static int start_openssl(void)
{
    return OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) == 1 &&
                   OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) == 1
               ? 0
               : ERR_NOMEM;
}

int io_use_allocator(void)
{
    if (CRYPTO_set_mem_functions(crypto_alloc, crypto_realloc, crypto_free) != 1) {
        return ERR_BUSY;
    }
    json_set_alloc_funcs(mem_alloc, mem_free);
    json_object_seed(0);
    if (start_openssl() != 0) {
        return ERR_NOMEM;
    }
    return curl_global_init_mem(CURL_GLOBAL_DEFAULT, mem_alloc, mem_free, mem_realloc, mem_strdup,
                                mem_calloc) == CURLE_OK
               ? 0
               : ERR_NOMEM;
}

int io_libraries_start(void)
{
    if (start_openssl() != 0) {
        return ERR_NOMEM;
    }
    return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? 0 : ERR_NOMEM;
}

void io_libraries_stop(void)
{
    curl_global_cleanup();
}
