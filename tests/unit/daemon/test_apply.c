/* A policy that is applied, with a disk that fails at each step, and a daemon that is killed
 * between each two: the old policy rules or the new one, the answer says which, and the next daemon
 * starts with it. */
#include "unit/daemon/daemon_fixture.h"

#include "env/env.h"
#include "env/file.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILES                                                                                      \
    "\"files\":[{\"name\":\"a.yaml\",\"text\":\"rules: []\\npersons: {%s: [{user: somebody}]}\\n"  \
    "admins: [{subjects: [{user: '*'}]}]\\n\"}]"
#define SETTINGS                                                                                   \
    DAEMON_FIXTURE_SETTINGS                                                                        \
    "state: {ledger: {sqlite: '%D/state/ledger.db'}}\n"                                            \
    "policies: {rules: [], admins: [{subjects: [{user: '*'}]}]}\n"

/* The files of an apply, in this order. */
enum put {
    PUT_ARCHIVE = 1,
    PUT_NEXT,
    PUT_COPY,
    PUT_COUNT = PUT_COPY,
};

/* What happens to one of them. */
static struct {
    const char *name; /* in the policy that is applied */
    int which;        /* 0: nothing happens */
    int status;       /* it fails so … */
    bool is_done;     /* … when it is on disk all the same */
    bool kills;       /* or: the daemon dies, before it … */
    bool is_after;    /* … or when it is there, and nobody has been told */
    int count;        /* puts that have begun */
    char digest[80];  /* of the last plan */
    const struct env_ops *real;
    struct env_ops ops;
    void (*fn)(struct env_put *put, int status, const char *detail);
} plan;

static void put_done(struct env_put *put, int status, const char *detail)
{
    if (plan.kills) {
        (void)raise(SIGKILL);
    }
    assert_int_equal(status, 0);
    (void)detail;
    plan.fn(put, plan.status, "the disk fails");
}

struct failing {
    struct env_deferred deferred;
    struct env_put *put;
};

static struct failing failing;

static void put_fails(struct env_deferred *deferred)
{
    (void)deferred;
    failing.put->fn(failing.put, plan.status, "the disk fails");
}

static int file_put(struct env *env, struct env_put *put)
{
    if (++plan.count != plan.which) {
        return plan.real->file_put(env, put);
    }
    if (plan.kills && !plan.is_after) {
        (void)raise(SIGKILL);
    }
    if (plan.kills || plan.is_done) {
        plan.fn = put->fn;
        put->fn = put_done;
        return plan.real->file_put(env, put);
    }
    failing = (struct failing){.deferred = {.fn = put_fails}, .put = put};
    env_defer(env, &failing.deferred);
    return 0;
}

static void intercept(struct config_fixture *f)
{
    plan.count = 0;
    plan.real = f->env->ops;
    plan.ops = *f->env->ops;
    plan.ops.file_put = file_put;
    f->env->ops = &plan.ops;
}

/* ---- the operator ---------------------------------------------------------------- */

static void ask_with_files(struct config_fixture *f, const char *path, const char *digest)
{
    char body[1024];

    (void)snprintf(body, sizeof(body), "{" FILES "%s%s%s}", plan.name,
                   digest != NULL ? ",\"digest\":\"" : "", digest != NULL ? digest : "",
                   digest != NULL ? "\"" : "");
    daemon_fixture_ask(f, "POST", path, body);
}

static void ask_plan(struct config_fixture *f)
{
    ask_with_files(f, "/leased/v1/policy/plan", NULL);
}

/* The value of the answer's first key of this name; static. */
static const char *value_of(const struct config_fixture *f, const char *key)
{
    static char value[80];
    char name[32];
    const char *at;

    (void)snprintf(name, sizeof(name), "\"%s\":\"", key);
    at = strstr(f->answer, name);
    if (at == NULL) {
        fail_msg("no %s in: %s", key, f->answer);
        return "";
    }
    at += strlen(name);
    (void)snprintf(value, sizeof(value), "%.*s", (int)strcspn(at, "\""), at);
    return value;
}

static void ask_apply(struct config_fixture *f)
{
    (void)snprintf(plan.digest, sizeof(plan.digest), "%s", value_of(f, "digest"));
    ask_with_files(f, "/leased/v1/policy/apply", plan.digest);
}

static void ask_policy(struct config_fixture *f)
{
    daemon_fixture_ask(f, "GET", "/leased/v1/policy", NULL);
}

static void expect_source(struct config_fixture *f, const char *source)
{
    assert_string_equal(value_of(f, "source"), source);
}

static void expect_old(struct config_fixture *f)
{
    expect_source(f, "seed");
}

static void expect_new(struct config_fixture *f)
{
    expect_source(f, "applied");
}

static void expect_applied(struct config_fixture *f)
{
    assert_non_null(strstr(f->answer, "HTTP/1.1 200"));
    expect_new(f);
}

static void expect_refused(struct config_fixture *f)
{
    assert_non_null(strstr(f->answer, "HTTP/1.1 503"));
    assert_non_null(strstr(f->answer, "the disk fails"));
}

static void run(struct config_fixture *f, const struct daemon_step *steps)
{
    bool was_ready;

    assert_int_equal(daemon_fixture_run(f, steps, &was_ready), 0);
}

static void apply_run(struct config_fixture *f, void (*answered)(struct config_fixture *f),
                      void (*expect)(struct config_fixture *f))
{
    const struct daemon_step steps[] = {
        {.check = intercept},
        {.check = ask_plan},
        {.until = daemon_fixture_answered, .check = ask_apply},
        {.until = daemon_fixture_answered, .check = answered},
        {.check = ask_policy},
        {.until = daemon_fixture_answered, .check = expect, .signum = SIGTERM},
        {0}};

    run(f, steps);
}

/* The next daemon, on a disk that is well. */
static void next_run(struct config_fixture *f, void (*expect)(struct config_fixture *f))
{
    const struct daemon_step steps[] = {
        {.check = ask_policy},
        {.until = daemon_fixture_answered, .check = expect, .signum = SIGTERM},
        {0}};

    run(f, steps);
}

/* A folder of its own. */
static struct config_fixture *begin(int which)
{
    void *state = NULL;

    memset(&plan, 0, sizeof(plan));
    plan.which = which;
    plan.name = "new";
    assert_int_equal(config_fixture_setup(&state), 0);
    config_fixture_write(state, "c.yaml", SETTINGS);
    return state;
}

static void end(struct config_fixture *f)
{
    void *state = f;

    assert_int_equal(config_fixture_teardown(&state), 0);
}

/* ---- a disk that fails ------------------------------------------------------------- */

/* Done or not: what is put beside counts for nothing; with the commit it counts, wherever its copy
 * is. */
static void fail_at(int which, int status, bool is_done)
{
    struct config_fixture *f = begin(which);
    bool is_committed = which == PUT_COPY;

    plan.status = status;
    plan.is_done = is_done;
    apply_run(f, is_committed ? expect_applied : expect_refused,
              is_committed ? expect_new : expect_old);
    assert_int_equal(plan.count, which);
    next_run(f, is_committed ? expect_new : expect_old);
    next_run(f, is_committed ? expect_new : expect_old);
    assert_int_equal(daemon_fixture_trail_has(f, "\"policy.applied\""), is_committed);
    end(f);
}

static void test_a_disk_that_is_full_leaves_the_old_policy_or_the_new_one(void **state)
{
    (void)state;
    for (int which = PUT_ARCHIVE; which <= PUT_COUNT; which++) {
        fail_at(which, -ENOSPC, false);
    }
}

/* The file is renamed, its folder can't be synced. */
static void test_what_may_be_on_disk_counts_only_if_the_answer_says_so(void **state)
{
    (void)state;
    for (int which = PUT_ARCHIVE; which <= PUT_COUNT; which++) {
        fail_at(which, -EIO, true);
    }
}

static void disk_mends(struct config_fixture *f)
{
    expect_applied(f);
    plan.which = 0;
    plan.name = "newer";
    ask_plan(f);
}

static void expect_busy(struct config_fixture *f)
{
    assert_non_null(strstr(f->answer, "HTTP/1.1 503"));
    assert_non_null(strstr(f->answer, "could not be written to its place"));
}

/* Asks again until it isn't busy with the one before. */
static bool is_applied(struct config_fixture *f)
{
    bool has_answered = daemon_fixture_answered(f);

    if (has_answered && strstr(f->answer, "HTTP/1.1 503") != NULL) {
        ask_with_files(f, "/leased/v1/policy/apply", plan.digest);
        return false;
    }
    return has_answered;
}

/* Else the one that is to count after a restart would be nowhere, had the daemon been killed. */
static void test_a_policy_has_its_place_before_the_next_one_is_applied(void **state)
{
    static const struct daemon_step steps[] = {
        {.check = intercept},
        {.check = ask_plan},
        {.until = daemon_fixture_answered, .check = ask_apply},
        {.until = daemon_fixture_answered, .check = disk_mends},
        {.until = daemon_fixture_answered, .check = ask_apply},
        {.until = daemon_fixture_answered, .check = expect_busy},
        {.check = ask_plan},
        {.until = daemon_fixture_answered, .check = ask_apply},
        {.until = is_applied, .check = expect_applied, .signum = SIGTERM},
        {0}};
    struct config_fixture *f = begin(PUT_COPY);

    (void)state;
    plan.status = -ENOSPC;
    run(f, steps);
    assert_non_null(strstr(daemon_fixture_file(f, "state/ledger.db.policy.json"), "newer"));
    next_run(f, expect_new);
    end(f);
}

/* ---- a daemon that is killed --------------------------------------------------------- */

static void kill_at(int which, bool is_after)
{
    struct config_fixture *f = begin(which);
    bool is_committed = which == PUT_COPY;
    int status = 0;
    pid_t pid;

    plan.kills = true;
    plan.is_after = is_after;
    pid = fork();
    if (pid == 0) {
        apply_run(f, expect_applied, expect_new);
        _exit(1);
    }
    assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    next_run(f, is_committed ? expect_new : expect_old);
    next_run(f, is_committed ? expect_new : expect_old);
    assert_int_equal(daemon_fixture_trail_has(f, "\"policy.applied\""), is_committed);
    end(f);
}

static void test_killed_between_two_steps_it_is_the_old_policy_or_the_new_one(void **state)
{
    (void)state;
#if defined(__SANITIZE_THREAD__)
    skip(); /* it starts no threads in the child of a process that has had some */
#endif
    for (int which = PUT_ARCHIVE; which <= PUT_COUNT; which++) {
        kill_at(which, false);
        kill_at(which, true);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_disk_that_is_full_leaves_the_old_policy_or_the_new_one),
        cmocka_unit_test(test_what_may_be_on_disk_counts_only_if_the_answer_says_so),
        cmocka_unit_test(test_a_policy_has_its_place_before_the_next_one_is_applied),
        cmocka_unit_test(test_killed_between_two_steps_it_is_the_old_policy_or_the_new_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
