/* What only admins may. */
#include "serve/admin.h"

#include "serve/acquire.h"

#include <stdio.h>

bool admin_may(struct exchange *x, uint32_t rights, const char *what, const char *rights_text)
{
    char detail[96];
    char hint[96];

    if ((x->admin & rights) != 0) {
        return true;
    }
    (void)snprintf(detail, sizeof(detail), "only an admin that may %s can do this", what);
    if (x->identity.kind == ENV_PEER_LOOPBACK) {
        (void)snprintf(hint, sizeof(hint),
                       "who comes over loopback TCP is never an admin: use the unix socket");
    } else {
        (void)snprintf(hint, sizeof(hint), "admins stand in the policies, with what they may: %s",
                       rights_text);
    }
    acquire_refuse(x, detail, hint);
    return false;
}

const char *admin_name(const struct exchange *x, char out[SERVE_BY_MAX_BYTES + 1])
{
    const struct access_claims *claims = x->identity.claims;
    char uid[ACCESS_UID_TEXT_MAX_BYTES];

    (void)snprintf(out, SERVE_BY_MAX_BYTES + 1, "%s",
                   claims != NULL && claims->person[0] != '\0'
                       ? claims->person
                       : access_identity_name(&x->identity, uid));
    return out;
}
