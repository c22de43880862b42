/* A certification authority that a test makes. */
#ifndef LEASED_TESTS_SUPPORT_CA_H
#define LEASED_TESTS_SUPPORT_CA_H

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdint.h>

struct test_ca {
    EVP_PKEY *key;
    X509 *certificate;
    char key_pem[1024];
    char pem[2048]; /* the certificate */
};

/* Signs its own certificate; `key` is taken, `usage` is its keyUsage, both ends are unix time. */
void test_ca_make(struct test_ca *ca, EVP_PKEY *key, const char *usage, int64_t begins_s,
                  int64_t ends_s);

/* Of one that was made, or zeroed. */
void test_ca_fini(struct test_ca *ca);

#endif
