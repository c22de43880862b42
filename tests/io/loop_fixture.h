/* A real loop for a test: made before, closed after, with a guard so that nothing waits for ever.
 */
#ifndef LEASED_TESTS_IO_LOOP_FIXTURE_H
#define LEASED_TESTS_IO_LOOP_FIXTURE_H

#include "env/env.h"
#include "io/io.h"

/* cmocka's headers in the order that they need. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* A test that takes longer than this is stuck. */
#define LOOP_GUARD_MS 60000U

struct loop {
    struct io *io;
    struct env *env;
    size_t bytes_before;
};

/* cmocka's setup and teardown; *state is a struct loop. The teardown demands that io_close gives 0
 * and that no memory is left. */
int loop_setup(void **state);
int loop_teardown(void **state);

/* Turns the loop until *flag is true; fails the test when the guard's time is up. */
void loop_until(struct loop *loop, const bool *flag);

/* Turns that don't wait. */
void loop_turns(struct loop *loop, unsigned count);

#endif
