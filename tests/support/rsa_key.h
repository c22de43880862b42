/* RSA keys that stand in the tests, and are for nothing else: making one takes seconds under
 * valgrind. */
#ifndef LEASED_TESTS_SUPPORT_RSA_KEY_H
#define LEASED_TESTS_SUPPORT_RSA_KEY_H

#include <openssl/types.h>

enum rsa_key {
    RSA_KEY_2048,
    RSA_KEY_2048_OTHER,
    RSA_KEY_1024, /* weak */
};

/* The key of that name; EVP_PKEY_free(). */
EVP_PKEY *rsa_key(enum rsa_key name);

#endif
