/* Effects that take the issuer's time: the client waits for one, for as long as it likes.
 *
 * Happy path: serve_wait_begin → the core ends the wait → the answer. Time passes first: the answer
 * says how things stand, and the effect goes on by itself. The client goes away: nobody waits. */
#include "serve/wait.h"

#include <stdio.h>

static void wait_forget(struct exchange *x)
{
    x->is_waiting = false;
    lease_wait_forget(&x->wait);
    env_timer_disarm(x->serve->options.env, &x->wait_timer);
}

static void wait_gone(struct env_request *request, bool delivered)
{
    struct exchange *x = OBJ_CAST(request->user, struct exchange, EXCHANGE_MAGIC);

    (void)delivered;
    wait_forget(x);
    exchange_release(x);
}

static void wait_timed_out(struct env_timer *timer)
{
    struct exchange *x = OBJ_CAST(timer->user, struct exchange, EXCHANGE_MAGIC);

    wait_forget(x);
    x->request->finished = NULL;
    x->waited->answer(x, false);
}

static void wait_fail(struct exchange *x, int status)
{
    x->request->finished = NULL;
    exchange_fail_status(x, x->waited->failures, status, &x->wait.error, 0);
}

static void wait_done(struct lease_wait *wait, int status)
{
    struct exchange *x = OBJ_CAST(wait->user, struct exchange, EXCHANGE_MAGIC);

    x->is_waiting = false;
    env_timer_disarm(x->serve->options.env, &x->wait_timer);
    if (status == 0) {
        x->request->finished = NULL;
        x->waited->answer(x, true);
    } else {
        wait_fail(x, status);
    }
}

void serve_wait_begin(struct exchange *x, const struct serve_wait *how, const char *id,
                      uint64_t limit_ms)
{
    struct env *env = x->serve->options.env;

    (void)snprintf(x->id, sizeof(x->id), "%s", id);
    x->waited = how;
    x->wait = (struct lease_wait){.fn = wait_done, .user = x};
    x->wait_timer = (struct env_timer){.fn = wait_timed_out, .user = x};
    x->is_waiting = true;
    env_timer_arm(env, &x->wait_timer, env_now_ms(env) + limit_ms);
    exchange_keep(x, wait_gone);
}

void serve_wait_refused(struct exchange *x)
{
    x->is_waiting = false;
    env_timer_disarm(x->serve->options.env, &x->wait_timer);
    x->request->finished = NULL;
}
