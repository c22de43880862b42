/* A scripted leased for the tests of `lease exec`, and what its programs write. */
#ifndef LEASED_TESTS_EXEC_DAEMON_H
#define LEASED_TESTS_EXEC_DAEMON_H

#include "fake_daemon.h"

#define EXEC_POST "POST /leased/v1/leases"
#define EXEC_DELETE "DELETE /leased/v1/grants/"

extern struct fake_daemon exec_daemon;

/* Programs write to $OUT, which is this file. */
extern char exec_out_path[96];

/* A test's setup and teardown. */
int exec_daemon_start(void **state);
int exec_daemon_stop(void **state);

void exec_assert_out(const char *wanted);

#define EXEC(...) RUN_LEASE(&exec_daemon, "exec", __VA_ARGS__)

#endif
