/* What an issuer has refused and is not asked for again for a short while: who asks anew gets the
 * same answer from memory, and when to come again.
 *
 * Kept for a holder, since an issuer may refuse one caller and not the next; for a role where all
 * callers share one credential, or where the issuer itself has said when to come again. */
#ifndef LEASED_LEASE_REFUSAL_H
#define LEASED_LEASE_REFUSAL_H

#include "lease/issuer.h"

struct err;
struct refusal;

/* Is it still refused? The refusal's status with its text and when to come again. Else 0, and who
 * comes while this one is tried is told to wait. NULL: nothing was refused. */
int refusal_check(struct refusal *refusal, uint64_t now_ms, uint64_t *ret_retry_after_ms,
                  struct err *e) ATTR_MUST_USE;

/* An issue has failed for good. `retry_after_ms` 0: the issuer didn't say, so the pause doubles
 * from refusal to refusal. Without memory nothing is remembered. Returns the pause. */
uint64_t refusal_note(struct refusal **place, uint64_t now_ms, int status, uint64_t retry_after_ms,
                      const char *text);

/* An issue has succeeded, or something else is asked for by now. */
void refusal_forget(struct refusal **place);

#endif
