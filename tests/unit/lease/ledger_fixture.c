#include "unit/lease/ledger_fixture.h"

#include "wire/ledger_grant.h"
#include "wire/ledger_lease.h"

#include <string.h>

struct fake_ledger ledger;
struct lease_recovery recovery;
struct model_issuer *ledger_second;

int ledger_setup(void **state)
{
    (void)fixture_setup(state);
    fake_ledger_init(&ledger, &f.fake.env);
    f.options.ledger = &ledger.ledger;
    return 0;
}

int ledger_teardown(void **state)
{
    int r;

    ledger.is_held = false;
    ledger.fail_status = ledger.put_status = 0;
    if (f.core != NULL) {
        fake_ledger_run(&ledger);
    }
    r = fixture_teardown(state);
    assert_int_equal(fake_ledger_count(&ledger, ENV_LEDGER_LEASE), 0);
    assert_int_equal(fake_ledger_count(&ledger, ENV_LEDGER_READ), 0);
    assert_int_equal(fake_ledger_count(&ledger, ENV_LEDGER_GRANT), 0);
    fake_ledger_fini(&ledger);
    return r;
}

static void closed(void *user)
{
    (*(int *)user)++;
}

static void close_core(void)
{
    int closed_count = 0;

    lease_core_close(f.core, closed, &closed_count);
    model_answer_all(&f.model);
    fake_env_run(&f.fake);
    audit_close(f.audit, closed, &closed_count);
    fake_env_run(&f.fake);
    assert_int_equal(closed_count, 2);
    f.core = NULL;
}

void ledger_kill(void)
{
    fake_ledger_crash(&ledger);
    model_answer_all(&f.model);
    fake_env_run(&f.fake);
    close_core();
    fake_ledger_run(&ledger);
    fake_ledger_restart(&ledger);
}

void ledger_stop(void)
{
    lease_core_drain(f.core, f.fake.now_ms + HOUR_MS, true, fixture_wait());
    fake_env_run(&f.fake);
    fake_env_advance(&f.fake, MINUTE_MS);
    ledger_stop_drained();
}

void ledger_stop_drained(void)
{
    assert_int_equal(f.wait_status, 0);
    close_core();
    fake_ledger_run(&ledger);
}

static int recover_lease(void *user, struct str id, struct str body)
{
    struct model_issuer *model = &f.model;
    struct ledger_lease record;

    (void)user;
    assert_int_equal(ledger_lease_read(body, &record, NULL), 0);
    if (ledger_second != NULL && strcmp(record.backend, ledger_second->issuer.name) == 0) {
        model = ledger_second;
    }
    assert_int_equal(lease_core_recover(f.core, id, &record, &model->issuer), 0);
    return 0;
}

static int recover_grant(void *user, struct str id, struct str body)
{
    struct ledger_grant record;

    (void)user;
    assert_int_equal(ledger_grant_read(body, &record, NULL), 0);
    assert_int_equal(lease_core_recover_grant(f.core, id, &record), 0);
    return 0;
}

/* The same consumers, who have to ask anew. */
static void forget_grants(void)
{
    size_t i;

    for (i = 0; i < FIXTURE_CLIENTS_MAX; i++) {
        struct client *client = &f.clients[i];

        client->grant = NULL;
        client->call_count = 0;
        memset(&client->acquire, 0, sizeof(client->acquire));
    }
}

static int recover_budget(void *user, struct str id, struct str body)
{
    (void)user;
    assert_int_equal(lease_core_recover_budget(f.core, id, body), 0);
    return 0;
}

static int recover_rate(void *user, struct str id, struct str body)
{
    (void)user;
    assert_int_equal(lease_core_recover_rate(f.core, id, body), 0);
    return 0;
}

static int recover_read(void *user, struct str id, struct str body)
{
    (void)user;
    assert_int_equal(lease_core_recover_read(f.core, id, body), 0);
    return 0;
}

void ledger_start_reading(void)
{
    forget_grants();
    fixture_open();
    assert_int_equal(env_ledger_each(&ledger.ledger, ENV_LEDGER_LEASE, recover_lease, NULL, NULL),
                     0);
    assert_int_equal(env_ledger_each(&ledger.ledger, ENV_LEDGER_READ, recover_read, NULL, NULL), 0);
    assert_int_equal(env_ledger_each(&ledger.ledger, ENV_LEDGER_GRANT, recover_grant, NULL, NULL),
                     0);
    assert_int_equal(
        env_ledger_each(&ledger.ledger, ENV_LEDGER_SETTING, recover_budget, NULL, NULL), 0);
    assert_int_equal(env_ledger_each(&ledger.ledger, ENV_LEDGER_RATE, recover_rate, NULL, NULL), 0);
}

void ledger_start_going_on(void)
{
    lease_core_recovered(f.core, &recovery);
    fixture_run();
}

void ledger_start(void)
{
    ledger_start_reading();
    ledger_start_going_on();
}

struct lease *ledger_lease_of(const char *id)
{
    return lease_core_find_lease(f.core, str_of(id));
}
