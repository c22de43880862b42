/* Refusals that are remembered. A pause is as long as the issuer says, else it begins with a
 * second, and at most half a minute, so a policy that is mended at the issuer is noticed within
 * that time. */
#include "lease/refusal.h"

#include "base/err.h"
#include "base/mem.h"
#include "lease/schedule.h"

#include <stdio.h>

#define PAUSE_MAX_MS 30000U
#define PAUSE_DOUBLINGS_MAX 5U
#define REFUSAL_TEXT_MAX_BYTES 256
#define PROBE_MS 2000U /* while one tries again */

struct refusal {
    uint32_t count; /* in a row */
    int status;
    uint64_t until_ms;
    char text[REFUSAL_TEXT_MAX_BYTES];
};

int refusal_check(struct refusal *refusal, uint64_t now_ms, uint64_t *ret_retry_after_ms,
                  struct err *e)
{
    if (refusal == NULL) {
        return 0;
    }
    if (now_ms < refusal->until_ms) {
        *ret_retry_after_ms = refusal->until_ms - now_ms;
        return err_set(e, refusal->status, "%s", refusal->text);
    }
    refusal->until_ms = now_ms + PROBE_MS;
    return 0;
}

static uint64_t pause_ms(const struct refusal *refusal, uint64_t retry_after_ms)
{
    uint32_t doublings =
        refusal->count < PAUSE_DOUBLINGS_MAX ? refusal->count : PAUSE_DOUBLINGS_MAX;
    uint64_t wanted_ms =
        retry_after_ms > 0 ? retry_after_ms : (uint64_t)SCHEDULE_FLOOR_MS << doublings;

    return wanted_ms < PAUSE_MAX_MS ? wanted_ms : PAUSE_MAX_MS;
}

uint64_t refusal_note(struct refusal **place, uint64_t now_ms, int status, uint64_t retry_after_ms,
                      const char *text)
{
    struct refusal *refusal = *place;
    uint64_t wait_ms;

    if (refusal == NULL) {
        refusal = mem_calloc(1, sizeof(*refusal));
        if (refusal == NULL) {
            return retry_after_ms;
        }
        *place = refusal;
    }
    wait_ms = pause_ms(refusal, retry_after_ms);
    refusal->count++;
    refusal->status = status;
    refusal->until_ms = now_ms + wait_ms;
    (void)snprintf(refusal->text, sizeof(refusal->text), "%s", text);
    return wait_ms;
}

void refusal_forget(struct refusal **place)
{
    mem_free(*place);
    *place = NULL;
}
