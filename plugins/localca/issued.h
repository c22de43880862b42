/* A certificate that was made, as fields; and the two ways to make one. */
#ifndef LOCALCA_ISSUED_H
#define LOCALCA_ISSUED_H

#include "ca.h"
#include "common/form.h"
#include "params.h"
#include "revoked.h"

#define LOCALCA_SKEW_S 60U /* how far back a certificate begins: clocks differ */
#define LOCALCA_WHEN_MAX_BYTES 32
#define LOCALCA_SERIAL_TEXT_MAX_BYTES 40

/* What a certificate is made of beside the role's parameters. */
struct localca_order {
    const struct leased_host *host;
    const struct localca_ca *ca;
    const struct localca_params *params;
    struct leased_str key_id; /* SSH */
    int64_t wall_ms;
    int64_t now_s; /* unix time, as the next */
    int64_t end_s;
    struct localca_serial serial; /* random; made to fit */
    unsigned char seed[48];       /* the new key's */
    uint32_t check;               /* any number */
    unsigned char nonce[32];      /* SSH */
};

struct localca_issued {
    struct plugin_form certificate;
    struct plugin_form private_key; /* nothing: the caller has it */
    struct plugin_form public_key;  /* SSH */
    char serial[LOCALCA_SERIAL_TEXT_MAX_BYTES];
};

/* 0, or -1 with the reason (out of memory; nothing else can go wrong). `ret_issued` is to be
 * finished by localca_issued_fini in either case. */
int localca_x509_make(struct localca_order *order, struct localca_issued *ret_issued,
                      struct plugin_text *detail);
int localca_ssh_make(struct localca_order *order, struct localca_issued *ret_issued,
                     struct plugin_text *detail);
void localca_issued_fini(struct localca_issued *issued);

/* A serial as people know it: hexadecimal for X.509, decimal for SSH. */
void localca_serial_text(enum localca_type type, const struct localca_serial *serial,
                         char out[LOCALCA_SERIAL_TEXT_MAX_BYTES]);

#endif
