/* `lease ledger check FILE`, `lease ledger dump FILE`.
 *
 * Happy path: the file is opened under the lock that a daemon would have (ledger_file.c), and read.
 * Nothing is written.
 *
 * Failures: it can't be opened; a record that can't be read is told and counted, and the others are
 * shown. */
#include "cli/ledger.h"

#include "base/units.h"
#include "cli/cli.h"
#include "cli/ledger_file.h"
#include "cli/table.h"
#include "wire/json_out.h"
#include "wire/ledger_block.h"
#include "wire/ledger_grant.h"
#include "wire/ledger_header.h"
#include "wire/ledger_lease.h"

#include <stdio.h>
#include <string.h>

struct ledger_run {
    struct cli *cli;
    const char *path;
    struct ledger_file file;
    uint64_t lease_count;
    uint64_t grant_count;
    uint64_t wrong_count;
    struct table table;
    struct json_out json;
    bool is_dump;
};

/* --- records ---------------------------------------------------------------------------------- */

static void add_time(struct table *table, int64_t wall_ms)
{
    char text[UNITS_TIME_MAX_BYTES] = "-";

    if (wall_ms != 0) {
        (void)units_format_time(wall_ms, text);
    }
    table_add(table, text, TABLE_PLAIN);
}

static void show_row(struct ledger_run *run, const char *id, const struct ledger_lease *lease)
{
    /* What follows a line feed is the plugin's own. */
    struct str rest = lease->issuer_ref;
    struct str name = str_cut(&rest, '\n');
    char ref[512];

    (void)snprintf(ref, sizeof(ref), "%.*s", STR_ARG(name));
    table_add(&run->table, id, TABLE_PLAIN);
    table_add(&run->table, lease->state, TABLE_PLAIN);
    table_add(&run->table, lease->role, TABLE_PLAIN);
    table_add(&run->table, lease->backend, TABLE_PLAIN);
    table_add(&run->table, lease->holder.user[0] != '\0' ? lease->holder.user : lease->holder.sans,
              TABLE_PLAIN);
    add_time(&run->table, lease->ends_wall_ms);
    table_add(&run->table, ref, TABLE_PLAIN);
}

static void show_json(struct ledger_run *run, const char *id, const struct ledger_lease *lease)
{
    json_out_object_open(&run->json, NULL);
    json_out_string_c(&run->json, "lease", id);
    json_out_string_c(&run->json, "state", lease->state);
    json_out_string_c(&run->json, "role", lease->role);
    json_out_string_c(&run->json, "backend", lease->backend);
    json_out_string(&run->json, "issuer_ref", lease->issuer_ref);
    json_out_time(&run->json, "issued_at", lease->issued_wall_ms);
    json_out_time(&run->json, "expires_at", lease->expires_wall_ms);
    json_out_time(&run->json, "ends_at", lease->ends_wall_ms);
    json_out_u64(&run->json, "uid", lease->holder.uid);
    json_out_string_c(&run->json, "user", lease->holder.user);
    json_out_string_c(&run->json, "unit", lease->holder.unit);
    json_out_string_c(&run->json, "container", lease->holder.container);
    json_out_string_c(&run->json, "san", lease->holder.sans);
    json_out_object_close(&run->json);
}

static void wrong(struct ledger_run *run, const char *id, const struct err *e)
{
    run->wrong_count++;
    cli_message(run->cli, "%s: the record of %s can't be read: %s", run->path,
                id[0] != '\0' ? id : "-", e->text);
}

static int check_id(const char *id, struct err *e)
{
    return id[0] != '\0' ? 0 : err_set(e, ERR_CORRUPT, "it has no id");
}

static void take_lease(void *user, const char *id, struct str body)
{
    struct ledger_run *run = user;
    struct ledger_lease lease;
    struct err e;

    if (check_id(id, &e) != 0 || ledger_lease_read(body, &lease, &e) != 0) {
        wrong(run, id, &e);
        return;
    }
    run->lease_count++;
    if (run->is_dump && cli_wants_json(run->cli)) {
        show_json(run, id, &lease);
    } else if (run->is_dump) {
        show_row(run, id, &lease);
    }
}

static void take_grant(void *user, const char *id, struct str body)
{
    struct ledger_run *run = user;
    struct ledger_grant grant;
    struct err e;

    if (check_id(id, &e) != 0 || ledger_grant_read(body, &grant, &e) != 0) {
        wrong(run, id, &e);
        return;
    }
    run->grant_count++;
}

static void take_block(void *user, const char *id, struct str body)
{
    struct ledger_run *run = user;
    struct ledger_block block;
    struct err e;

    if (check_id(id, &e) != 0 || ledger_block_read(body, &block, &e) != 0) {
        wrong(run, id, &e);
    }
}

/* --- the commands ----------------------------------------------------------------------------- */

static int run_over(struct ledger_run *run, struct err *e)
{
    int r = ledger_file_open(&run->file, run->path, false, e);

    if (r == 0) {
        r = ledger_file_check(&run->file, e);
    }
    if (r == 0) {
        r = ledger_file_each(&run->file, LEDGER_KIND_LEASE, take_lease, run, e);
    }
    if (r == 0) {
        r = ledger_file_each(&run->file, LEDGER_KIND_GRANT, take_grant, run, e);
    }
    if (r == 0) {
        r = ledger_file_each(&run->file, LEDGER_KIND_BLOCK, take_block, run, e);
    }
    ledger_file_close(&run->file);
    if (r == 0 && run->wrong_count > 0) {
        r = err_set(e, ERR_CORRUPT, "%s has %llu records that can't be read", run->path,
                    (unsigned long long)run->wrong_count);
    }
    return r;
}

static void tell_check(struct ledger_run *run, bool is_ok)
{
    struct json_out json;

    if (!cli_wants_json(run->cli)) {
        if (is_ok) {
            buf_printf(&run->cli->out, "ok: %llu leases, %llu grants\n",
                       (unsigned long long)run->lease_count, (unsigned long long)run->grant_count);
        }
        return;
    }
    json_out_init(&json, &run->cli->out);
    json_out_object_open(&json, NULL);
    json_out_bool(&json, "ok", is_ok);
    json_out_u64(&json, "leases", run->lease_count);
    json_out_u64(&json, "grants", run->grant_count);
    json_out_object_close(&json);
    buf_add_char(&run->cli->out, '\n');
}

int ledger_run_check(struct cli *cli)
{
    struct ledger_run run = {.cli = cli, .path = cli->options.args[0]};
    struct err e = {.code = 0};
    bool is_ok = run_over(&run, &e) == 0;

    if (!is_ok) {
        cli_message(cli, "%s", e.text);
    }
    tell_check(&run, is_ok);
    return is_ok ? CLI_OK : CLI_FAILED;
}

int ledger_run_dump(struct cli *cli)
{
    static const char *const headers[] = {"LEASE", "STATE", "ROLE",     "BACKEND",
                                          "USER",  "ENDS",  "REFERENCE"};
    struct ledger_run run = {.cli = cli, .path = cli->options.args[0], .is_dump = true};
    struct err e = {.code = 0};
    int r;

    table_init(&run.table, ARRAY_LEN(headers), headers, cli->has_color);
    json_out_init(&run.json, &cli->out);
    if (cli_wants_json(cli)) {
        json_out_array_open(&run.json, NULL);
    }
    r = run_over(&run, &e);
    if (r != 0 && run.lease_count + run.grant_count + run.wrong_count == 0) {
        buf_reset(&cli->out); /* no list is another thing than an empty one */
    } else if (cli_wants_json(cli)) {
        json_out_array_close(&run.json);
        buf_add_char(&cli->out, '\n');
    } else if (table_print(&run.table, &cli->out) != 0 && r == 0) {
        r = err_set(&e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
    }
    table_fini(&run.table);
    if (r != 0) {
        cli_message(cli, "%s", e.text);
    }
    return r == 0 ? CLI_OK : CLI_FAILED;
}
