/* Those who wait for a renewal, a rotation or a revocation. They stand in one list of the core:
 * there are few, and leases are many. Each is told from the loop, at the end of a turn. */
#include "lease/core_internal.h"

#include <stdio.h>

void waits_add(struct lease *lease, enum wait_kind kind, struct lease_wait *wait)
{
    wait->lease = lease;
    wait->kind = kind;
    wait->error = (struct err){.code = 0};
    lease->has_waits = true;
    list_push_back(&lease->role->core->waits, &wait->node);
}

void wait_end(struct lease_core *core, struct lease_wait *wait, int status, const char *text)
{
    list_remove(&wait->node);
    wait->lease = NULL;
    wait->error.code = status;
    if (status != 0) {
        (void)err_set(&wait->error, status, "%s",
                      text != NULL && text[0] != '\0' ? text : err_str(status));
    }
    list_push_back(&core->waits_done, &wait->node);
    core_touch(core);
}

void waits_end(struct lease *lease, enum wait_kind kind, int status, const char *text)
{
    struct list *node;
    struct list *following;
    bool has_more = false;

    if (!lease->has_waits) {
        return;
    }
    LIST_EACH (&lease->role->core->waits, node, following) {
        struct lease_wait *wait = LIST_ENTRY(node, struct lease_wait, node);

        if (wait->lease == lease && wait->kind == (int)kind) {
            wait_end(lease->role->core, wait, status, text);
        } else if (wait->lease == lease) {
            has_more = true;
        }
    }
    lease->has_waits = has_more;
}

void waits_end_drain(struct lease_core *core, int status, const char *text)
{
    struct list *node;
    struct list *following;

    LIST_EACH (&core->waits, node, following) {
        struct lease_wait *wait = LIST_ENTRY(node, struct lease_wait, node);

        if (wait->kind == WAIT_DRAIN) {
            wait_end(core, wait, status, text);
        }
    }
}

void waits_tell(struct lease_core *core, bool is_closing)
{
    struct list *node;

    while (is_closing && !list_is_empty(&core->waits)) {
        wait_end(core, LIST_ENTRY(core->waits.next, struct lease_wait, node), ERR_CANCELED, NULL);
    }
    while ((node = list_pop_front(&core->waits_done)) != NULL) {
        struct lease_wait *wait = LIST_ENTRY(node, struct lease_wait, node);

        wait->fn(wait, wait->error.code); /* the wait may be gone */
    }
}

/* The lease goes on thinking that it is waited for, and isn't freed before it has looked: waits_end
 * for any kind does. */
void lease_wait_forget(struct lease_wait *wait)
{
    list_remove(&wait->node);
}
