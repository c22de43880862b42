/* Happy path: plugin_work_new → send → replied → (send again …) → plugin_work_end.
 *
 * Cancelled: what is out and creates nothing is cancelled at the host, whose answer says so; what
 * creates runs on, and its answer ends it; a program is killed; what waits ends at once. Closing
 * cancels all, and the last one that ends lets the instance go. */
#include "work.h"

#include <string.h>

void *plugin_work_new(struct plugin_works *works, size_t size, leased_op *op)
{
    struct plugin_work *work = plugin_alloc(works->host, size);

    if (work == NULL) {
        return NULL;
    }
    work->works = works;
    work->op = op;
    work->next = works->first;
    if (works->first != NULL) {
        works->first->previous = work;
    }
    works->first = work;
    return work;
}

static void unlink_and_free(struct plugin_work *work)
{
    struct plugin_works *works = work->works;

    if (work->timer != NULL) {
        works->host->timer_stop(works->context, work->timer);
    }
    if (work->previous != NULL) {
        work->previous->next = work->next;
    } else {
        works->first = work->next;
    }
    if (work->next != NULL) {
        work->next->previous = work->previous;
    }
    if (work->fini != NULL) {
        work->fini(work);
    }
    works->host->secret_free(work);
}

/* --- closing ---------------------------------------------------------------------------------- */

static void let_go(struct plugin_works *works, int32_t status)
{
    const struct leased_host *host = works->host;
    leased_host_context *context = works->context;
    leased_op *op = works->close_op;

    works->freed(works); /* works are gone */
    host->op_done(context, op, status, NULL);
}

static void closed(struct plugin_works *works)
{
    if (works->close_op != NULL && works->first == NULL && works->close_timer == NULL) {
        let_go(works, LEASED_OK);
    }
}

static void forget_all(struct plugin_works *works)
{
    while (works->first != NULL) {
        unlink_and_free(works->first);
    }
}

/* The host waits no longer, for a program that doesn't die, say: what is out is its to end. */
static void close_given_up(struct plugin_works *works)
{
    if (works->close_timer != NULL) {
        works->host->timer_stop(works->context, works->close_timer);
    }
    forget_all(works);
    let_go(works, LEASED_CANCELED);
}

static void close_ran(void *user)
{
    struct plugin_works *works = user;

    works->close_timer = NULL;
    closed(works);
}

int32_t plugin_works_close(struct plugin_works *works, leased_op *op,
                           void (*freed)(struct plugin_works *works))
{
    struct plugin_work *following;

    works->freed = freed;
    for (struct plugin_work *work = works->first; work != NULL; work = following) {
        following = work->next;
        work->is_creating = false; /* nobody hears of it any more */
        plugin_works_cancel(works, work->op);
    }
    /* Nothing may be left to wait for, and close can't end from inside itself. */
    works->close_timer = works->host->timer_start(works->context, 0, close_ran, works);
    if (works->close_timer == NULL) {
        forget_all(works);
        freed(works);
        return -LEASED_RETRY;
    }
    works->close_op = op;
    return 0;
}

/* --- ends ------------------------------------------------------------------------------------- */

void plugin_work_end(struct plugin_work *work, int32_t status, const struct leased_result *result)
{
    struct plugin_works *works = work->works;

    works->host->op_done(works->context, work->op, status, result);
    unlink_and_free(work);
    closed(works);
}

void plugin_work_fail_by(struct plugin_work *work, int32_t status, uint64_t retry_after_ms,
                         const char *detail)
{
    const struct leased_result result = {.size = sizeof(result),
                                         .retry_after_ms = retry_after_ms,
                                         .detail = plugin_str(detail)};

    plugin_work_end(work, status, &result);
}

void plugin_work_fail(struct plugin_work *work, int32_t status, const char *detail)
{
    plugin_work_fail_by(work, status, 0, detail);
}

void plugin_work_retry_after(struct plugin_work *work, uint64_t retry_after_ms, const char *detail)
{
    plugin_work_fail_by(work, LEASED_RETRY_AFTER, retry_after_ms, detail);
}

int32_t plugin_work_refuse(struct plugin_work *work)
{
    unlink_and_free(work);
    return -LEASED_RETRY;
}

static void end_now(struct plugin_work *work)
{
    struct plugin_text detail = work->end_detail;

    plugin_work_fail(work, work->end_status, detail.bytes);
}

int32_t plugin_work_fail_soon(struct plugin_work *work, int32_t status, const char *detail)
{
    work->end_status = status;
    plugin_text_set(&work->end_detail, "%s", detail);
    return plugin_work_wait(work, 0, end_now) == 0 ? 0 : plugin_work_refuse(work);
}

bool plugin_work_is_unanswered(struct plugin_work *work, const struct leased_http_reply *reply)
{
    struct plugin_text detail = {.bytes = ""};

    plugin_text_set(&detail, "%.*s", (int)reply->detail.len,
                    reply->detail.len > 0 ? reply->detail.ptr : "");
    switch (reply->transport) {
    case LEASED_HTTP_OK:
        return false;
    case LEASED_HTTP_NOT_SENT:
        plugin_work_fail(work, LEASED_RETRY, detail.bytes);
        return true;
    case LEASED_HTTP_CANCELED:
        plugin_work_fail(work, LEASED_CANCELED, detail.bytes);
        return true;
    case LEASED_HTTP_LOST:
    default:
        plugin_work_fail(work, work->is_creating ? LEASED_LOST : LEASED_RETRY, detail.bytes);
        return true;
    }
}

/* --- steps ------------------------------------------------------------------------------------ */

static void replied(void *user, const struct leased_http_reply *reply)
{
    struct plugin_work *work = user;

    work->http = NULL;
    work->replied(work, reply); /* the work may be gone */
}

int plugin_work_send(struct plugin_work *work, const struct leased_http_request *request,
                     plugin_replied_fn fn)
{
    struct plugin_works *works = work->works;

    work->replied = fn;
    work->sent_ms = works->host->now_ms(works->context);
    work->http = works->host->http_start(works->context, request, replied, work);
    return work->http != NULL ? 0 : -1;
}

static void ran(void *user, const struct leased_run_end *end)
{
    struct plugin_work *work = user;

    work->run = NULL;
    work->ran(work, end); /* the work may be gone */
}

int plugin_work_run(struct plugin_work *work, const struct leased_run_request *request,
                    plugin_ran_fn fn)
{
    struct plugin_works *works = work->works;

    work->ran = fn;
    work->sent_ms = works->host->now_ms(works->context);
    work->run = works->host->run_start(works->context, request, ran, work);
    return work->run != NULL ? 0 : -1;
}

static void lent(void *user, const struct leased_borrowed *borrowed)
{
    struct plugin_work *work = user;

    work->borrow = NULL;
    work->lent(work, borrowed); /* the work may be gone */
}

int plugin_work_borrow(struct plugin_work *work, uint32_t flags, plugin_lent_fn fn)
{
    struct plugin_works *works = work->works;

    work->lent = fn;
    work->borrow = works->host->borrow_start(works->context, flags, lent, work);
    return work->borrow != NULL ? 0 : -1;
}

static void waited(void *user)
{
    struct plugin_work *work = user;

    work->timer = NULL;
    work->went_on(work); /* the work may be gone */
}

int plugin_work_wait(struct plugin_work *work, uint64_t delay_ms, plugin_went_on_fn went_on)
{
    struct plugin_works *works = work->works;

    work->went_on = went_on;
    work->timer = works->host->timer_start(works->context, delay_ms, waited, work);
    return work->timer != NULL ? 0 : -1;
}

static void intended(void *user, int32_t status)
{
    struct plugin_work *work = user;

    work->is_intending = false;
    if (status == -LEASED_CANCELED) {
        plugin_work_fail(work, LEASED_CANCELED, "");
    } else if (status < 0) {
        plugin_work_fail(work, LEASED_RETRY, "what to revoke could not be put on record");
    } else {
        work->went_on(work); /* the work may be gone */
    }
}

int plugin_work_intend(struct plugin_work *work, struct leased_str ref, plugin_went_on_fn went_on)
{
    struct plugin_works *works = work->works;

    if (!LEASED_HAS(works->host, intent)) {
        return plugin_work_wait(work, 0, went_on);
    }
    work->went_on = went_on;
    work->is_intending = true;
    if (works->host->intent(works->context, work->op, ref, intended, work) < 0) {
        work->is_intending = false;
        return -1;
    }
    return 0;
}

/* --- cancelling ------------------------------------------------------------------------------- */

static void cancel(struct plugin_work *work)
{
    struct plugin_works *works = work->works;

    work->is_given_up = true;
    if (work->run != NULL) {
        works->host->run_cancel(works->context, work->run);
    } else if (work->borrow != NULL) {
        works->host->borrow_cancel(works->context, work->borrow);
    } else if (work->http == NULL) {
        plugin_work_fail(work, LEASED_CANCELED, "");
    } else if (!work->is_creating) {
        works->host->http_cancel(works->context, work->http);
    }
}

void plugin_works_cancel(struct plugin_works *works, const leased_op *op)
{
    if (works->close_op != NULL && op == works->close_op) {
        close_given_up(works);
        return;
    }
    for (struct plugin_work *work = works->first; work != NULL; work = work->next) {
        if (work->op == op) {
            cancel(work); /* the work may be gone */
            return;
        }
    }
}
