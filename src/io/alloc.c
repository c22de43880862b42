/* Measured: with their default allocators one call leaves two plaintext copies of its token in the
 * heap for ever, with ours none. */
#include "io/alloc.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/secret.h"

#include <curl/curl.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/ssl.h>

/* Per thread, because OpenSSL serves other threads too, and secret memory is the loop's. */
static _Thread_local bool crypto_is_secret;

bool io_crypto_in_secret_memory(bool is_secret)
{
    bool was_secret = crypto_is_secret;

    crypto_is_secret = is_secret;
    return was_secret;
}

static void *crypto_alloc(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    if (size == 0) {
        return NULL;
    }
    return crypto_is_secret ? secret_alloc(size) : mem_alloc(size);
}

static void *crypto_realloc(void *block, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    if (size == 0) {
        secret_free(block);
        return NULL;
    }
    if (block == NULL && crypto_is_secret) {
        return secret_alloc(size);
    }
    return mem_realloc(block, size); /* what is made in secret memory never grows */
}

static void crypto_free(void *block, const char *file, int line)
{
    (void)file;
    (void)line;
    secret_free(block);
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
