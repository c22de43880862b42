/* Waits for what must be durable before an issuer is asked. */
#include "lease/issuer.h"

void lease_intent_forget(struct lease_intent *intent)
{
    if (intent->impl == NULL) {
        return;
    }
    intent->impl = NULL;
}
