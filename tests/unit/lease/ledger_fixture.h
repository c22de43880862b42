/* The fixture with a ledger, and with daemons that die and follow each other on it. */
#ifndef LEASED_TESTS_UNIT_LEASE_LEDGER_FIXTURE_H
#define LEASED_TESTS_UNIT_LEASE_LEDGER_FIXTURE_H

#include "support/fake_ledger.h"
#include "unit/lease/fixture.h"

extern struct fake_ledger ledger;
extern struct lease_recovery recovery; /* of the last start */

/* A second issuer, whose leases are told by its name; NULL: there is none. */
extern struct model_issuer *ledger_second;

/* cmocka's setup and teardown; in the end nothing may be left in the ledger. */
int ledger_setup(void **state);
int ledger_teardown(void **state);

/* The core dies with all that it knows; the ledger keeps what was committed. */
void ledger_kill(void);
/* The core stops in order, and leaves what another can go on with. */
void ledger_stop(void);
/* The rest of it, after a drain. */
void ledger_stop_drained(void);
/* The next core starts on what the ledger has. */
void ledger_start(void);
/* The same in two parts, between which it is told what isn't allowed any more. */
void ledger_start_reading(void);
void ledger_start_going_on(void);

/* The lease or grant that the last core knew under this id; NULL: this one doesn't know it. */
struct lease *ledger_lease_of(const char *id);

#define ledger_test(test) cmocka_unit_test_setup_teardown(test, ledger_setup, ledger_teardown)

#endif
