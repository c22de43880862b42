/* What another role gives, for the plugin's own use: a loan of the lease layer's for each look at
 * it (lease/lend.h), with the credential as the plugin ABI has it.
 *
 * A look that ends after the plugin's instance is gone is delivered to nobody. */
#include "backend/host.h"
#include "base/mem.h"

#include <stdio.h>

#define BORROW_MAGIC 0x68626f72U

struct host_borrow {
    uint32_t magic;
    struct leased_host_context *context;
    void *handle;
    struct lease_loan loan;
    leased_borrow_fn fn;
    void *user;
};

static int32_t status_of(const struct lease_loan *loan, int status)
{
    switch (status) {
    case 0:
        return LEASED_OK;
    case ERR_DENIED:
        return LEASED_DENIED;
    case ERR_INVALID:
        return LEASED_INVALID;
    case ERR_CANCELED:
        return LEASED_CANCELED;
    default:
        return loan->retry_after_ms > 0 ? LEASED_RETRY_AFTER : LEASED_RETRY;
    }
}

static void deliver(struct host_borrow *borrow, const struct leased_borrowed *borrowed)
{
    struct leased_host_context *context = borrow->context;
    leased_borrow_fn fn = borrow->fn;
    void *user = borrow->user;

    handles_remove(&context->borrows, borrow->handle);
    mem_free(borrow);
    if (context->is_ended) {
        host_settle(context); /* self may be gone soon */
        return;
    }
    host_enter(context);
    fn(user, borrowed);
    host_leave(context, "borrow");
}

static void lent(struct lease_loan *loan, int status, const struct lease_lent *given)
{
    struct host_borrow *borrow = OBJ_CAST(loan->user, struct host_borrow, BORROW_MAGIC);
    struct leased_kv fields[LEASE_FIELDS_MAX];
    struct leased_borrowed borrowed = {.size = sizeof(borrowed),
                                       .status = status_of(loan, status),
                                       .fields = fields,
                                       .retry_after_ms = loan->retry_after_ms};
    char detail[BACKEND_ERROR_MAX_BYTES] = "";

    if (status != 0) {
        (void)snprintf(detail, sizeof(detail), "role %.120s: %.240s", loan->role, loan->error.text);
    } else {
        borrowed.expires_ms = given->expires_ms;
        borrowed.field_count = given->field_count;
    }
    borrowed.detail = host_leased_str(str_of(detail));
    for (size_t i = 0; i < borrowed.field_count; i++) {
        const struct lease_field *field = &given->fields[i];

        fields[i] = (struct leased_kv){.key = host_leased_str(field->name),
                                       .value = host_leased_str(field->value),
                                       .flags = field->is_secret ? LEASED_KV_SECRET : 0};
    }
    deliver(borrow, &borrowed);
}

leased_borrow *host_borrow_start(leased_host_context *context, uint32_t flags, leased_borrow_fn fn,
                                 void *user)
{
    struct host_borrow *borrow;

    if (context->is_ended || context->borrow_start == NULL) {
        return NULL;
    }
    borrow = mem_calloc(1, sizeof(*borrow));
    if (borrow == NULL) {
        return NULL;
    }
    borrow->magic = BORROW_MAGIC;
    borrow->context = context;
    borrow->fn = fn;
    borrow->user = user;
    borrow->loan.fn = lent;
    borrow->loan.user = borrow;
    borrow->loan.is_refused = (flags & LEASED_BORROW_REFUSED) != 0;
    if (handles_add(&context->borrows, borrow, &borrow->handle) != 0) {
        mem_free(borrow);
        return NULL;
    }
    if (context->borrow_start(context->user, &borrow->loan) != 0) {
        handles_remove(&context->borrows, borrow->handle);
        mem_free(borrow);
        return NULL;
    }
    return (leased_borrow *)borrow->handle;
}

void host_borrow_cancel(leased_host_context *context, leased_borrow *handle)
{
    struct host_borrow *borrow = handles_get(&context->borrows, handle);

    if (borrow != NULL) {
        context->borrow_cancel(context->user, &borrow->loan);
    }
}

void host_borrow_cancel_all(struct leased_host_context *context)
{
    struct host_borrow *borrow;
    size_t index = 0;

    while ((borrow = handles_next(&context->borrows, &index)) != NULL) {
        context->borrow_cancel(context->user, &borrow->loan);
    }
}
