/* The scripted leased of the tests of `lease exec`. */
#include "exec_daemon.h"

#include "base/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define CREDENTIAL(role, grant)                                                                    \
    "{\"role\":\"" role "\",\"lease\":\"l-1\",\"grant\":\"" grant "\",\"credential\":"             \
    "{\"username\":\"bob\",\"password\":\"s3 'cret\"}}"
#define WITH_TOKEN(role, fields, endpoints)                                                        \
    "{\"role\":\"" role                                                                            \
    "\",\"lease\":\"l-1\",\"grant\":\"g-1\",\"token\":\"g-1.t0ken\",\"endpoints\":{" endpoints     \
    "},\"credential\":{" fields "}}"
#define ROLE(role) EXEC_POST " {\"role\":\"" role "\","

static const struct fake_route standard[] = {
    {ROLE("orders-db"), 201, NULL, CREDENTIAL("orders-db", "g-1"), 0},
    {ROLE("orders_db"), 201, NULL, CREDENTIAL("orders_db", "g-2"), 0},
    {ROLE("other"), 201, NULL, CREDENTIAL("other", "g-3"), 0},
    {ROLE("s3"), 201, NULL,
     WITH_TOKEN("s3", "\"access_key_id\":\"AKIA\",\"secret_access_key\":\"s3cret\"",
                "\"aws\":\"http://127.0.0.1:1/aws/credentials/s3\""),
     0},
    {ROLE("cloud"), 201, NULL,
     WITH_TOKEN("cloud", "\"access_token\":\"ya29\"",
                "\"vault\":\"http://127.0.0.1:1\",\"gcp\":\"http://127.0.0.1:2\","
                "\"azure\":\"http://127.0.0.1:3/azure/token/cloud\""),
     0},
    {ROLE("denied"), 403, NULL, "{\"code\":\"denied\",\"detail\":\"no rule\"}", 0},
    {EXEC_DELETE, 200, NULL, "{\"id\":\"g-1\",\"state\":\"ended\"}", 0},
};

struct fake_daemon exec_daemon;
char exec_out_path[96];

int exec_daemon_start(void **state)
{
    (void)state;
    fake_daemon_start(&exec_daemon, standard, ARRAY_LEN(standard));
    (void)snprintf(exec_out_path, sizeof(exec_out_path), "%s/out", exec_daemon.folder);
    return setenv("OUT", exec_out_path, 1);
}

int exec_daemon_stop(void **state)
{
    (void)state;
    (void)unlink(exec_out_path);
    fake_daemon_stop(&exec_daemon);
    return 0;
}

void exec_assert_out(const char *wanted)
{
    char text[1024] = "";
    FILE *file = fopen(exec_out_path, "re");

    assert_non_null(file);
    (void)!fread(text, 1, sizeof(text) - 1, file);
    (void)fclose(file);
    assert_string_equal(text, wanted);
}
