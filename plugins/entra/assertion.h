/* The JWT by which a certificate's holder proves who he is. */
#ifndef PLUGIN_ENTRA_ASSERTION_H
#define PLUGIN_ENTRA_ASSERTION_H

#include "instance.h"

/* Signed with the key and named by the certificate as their files hold them now, for the token
 * endpoint `audience`; host->secret_free. NULL with the reason. */
char *entra_assertion(struct leased_instance *entra, const char *audience,
                      struct entra_failure *failure);

#endif
