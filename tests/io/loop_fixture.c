#include "io/loop_fixture.h"

#include "base/mem.h"

#include <stdlib.h>

static void on_guard(struct env_timer *timer)
{
    bool *is_late = timer->user;

    *is_late = true;
}

int loop_setup(void **state)
{
    size_t bytes_before = mem_in_use_bytes();
    struct loop *loop = mem_calloc(1, sizeof(*loop));
    struct err e;

    if (loop == NULL || io_new(&loop->io, &e) != 0) {
        return -1;
    }
    loop->bytes_before = bytes_before;
    loop->env = io_env(loop->io);
    *state = loop;
    return 0;
}

int loop_teardown(void **state)
{
    struct loop *loop = *state;
    size_t bytes_before = loop->bytes_before;
    int rc = loop->io != NULL ? io_close(loop->io) : 0;

    mem_free(loop);
    if (rc != 0 || mem_in_use_bytes() != bytes_before) {
        print_error("io_close gave %d; %zu bytes before, %zu after\n", rc, bytes_before,
                    mem_in_use_bytes());
        return -1;
    }
    return 0;
}

void loop_until(struct loop *loop, const bool *flag)
{
    bool is_late = false;
    struct env_timer guard = {.fn = on_guard, .user = &is_late};

    env_timer_arm(loop->env, &guard, env_now_ms(loop->env) + LOOP_GUARD_MS);
    while (!*flag && !is_late) {
        io_run_once(loop->io, true);
    }
    env_timer_disarm(loop->env, &guard);
    assert_false(is_late);
}

void loop_turns(struct loop *loop, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        io_run_once(loop->io, false);
    }
}
