/* `lease ledger sweep FILE`.
 *
 * Happy path: the ledger is opened under the daemon's lock → its leases are read → each is revoked
 * at the issuer, with the operator's token → what the issuer has confirmed is removed, record by
 * record, so that a sweep that is interrupted goes on where it was. Without --yes it is only told
 * what would be done, and nobody is asked.
 *
 * Failure paths: what can't be revoked stays in the ledger and is told. An issuer that can't be
 * reached ends the run. One that doesn't know a lease may be the wrong one: that is believed once
 * it has known another of this ledger, or when the lease's time is over anyway. */
#include "base/mem.h"
#include "base/units.h"
#include "cli/cli.h"
#include "cli/clock.h"
#include "cli/ledger.h"
#include "cli/sweep_list.h"
#include "cli/table.h"
#include "wire/json_out.h"
#include "wire/ledger_grant.h"
#include "wire/ledger_header.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Clocks aren't the same, and an issuer's own end takes a while. */
#define SWEEP_OVER_MARGIN_MS 60000

struct sweep {
    struct cli *cli;
    struct ledger_file file;
    struct sweep_list list;
    struct issuer issuer;
    bool is_real;
    bool takes_logins;
    bool has_known;  /* the issuer has known something of the ledger's */
    bool is_stopped; /* no use in going on */
    bool is_unheard; /* the output can't be written */
    int status;      /* of the ledger's writing */
    size_t ended_count;
};

/* --- what the operator gives ------------------------------------------------------------------ */

/* BAO_NAME, else VAULT_NAME; an empty one is none. */
static const char *variable(const char *name)
{
    static const char *const prefixes[] = {"BAO_", "VAULT_"};
    char whole[64];
    size_t i;

    for (i = 0; i < ARRAY_LEN(prefixes); i++) {
        const char *value;

        (void)snprintf(whole, sizeof(whole), "%s%s", prefixes[i], name);
        value = getenv(whole);
        if (value != NULL && value[0] != '\0') {
            return value;
        }
    }
    return NULL;
}

static int read_token_file(const char *path, struct secret *token, struct err *e)
{
    FILE *file = fopen(path, "re");
    char *bytes;
    size_t size = 0;
    int r;

    if (file == NULL) {
        return err_set(e, -errno, "could not open %s: %s", path, err_str(-errno));
    }
    (void)setvbuf(file, NULL, _IONBF, 0); /* its buffer would not be wiped */
    r = secret_make(token, ISSUER_TOKEN_MAX_BYTES, &bytes);
    if (r == 0) {
        size = fread(bytes, 1, ISSUER_TOKEN_MAX_BYTES, file);
        while (size > 0 && (bytes[size - 1] == '\n' || bytes[size - 1] == '\r')) {
            size--;
        }
        secret_cut(token, size);
    }
    (void)fclose(file);
    if (r != 0) {
        return err_set(e, r, "%s", err_str(r));
    }
    return size > 0 ? 0 : err_set(e, ERR_INVALID, "there is no token in %s", path);
}

static int read_token(const struct options *options, struct secret *token, struct err *e)
{
    const char *path = options_get(options, OPTION_TOKEN_FILE);
    const char *text = variable("TOKEN");

    if (path != NULL) {
        return read_token_file(path, token, e);
    }
    if (text == NULL) {
        return err_set(e, ERR_INVALID, "no token: give --token-file, BAO_TOKEN or VAULT_TOKEN");
    }
    return secret_set(token, str_of(text)) == 0 ? 0
                                                : err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
}

static int open_issuer(struct sweep *sweep, struct err *e)
{
    const struct options *options = &sweep->cli->options;
    const char *address = options_get(options, OPTION_ADDRESS);
    struct secret token;
    struct issuer_options wanted = {.address = address != NULL ? address : variable("ADDR"),
                                    .ns = variable("NAMESPACE"),
                                    .ca_file = variable("CACERT"),
                                    .token = &token};
    int r;

    if (wanted.address == NULL) {
        return err_set(e, ERR_INVALID, "no address: give --address, BAO_ADDR or VAULT_ADDR");
    }
    secret_init(&token);
    r = read_token(options, &token, e);
    if (r == 0) {
        r = issuer_open(&sweep->issuer, &wanted, e);
    }
    secret_fini(&token);
    return r;
}

/* --- revoking --------------------------------------------------------------------------------- */

static void set_why(struct sweep_item *item, const char *why)
{
    mem_free(item->why);
    item->why = mem_strdup(why);
}

static void tell_left(struct sweep *sweep, const struct sweep_item *item)
{
    cli_message(sweep->cli, "%s stays: %s", item->id, item->why != NULL ? item->why : "");
}

/* The issuer's word is there. */
static void remove_record(struct sweep *sweep, struct sweep_item *item, enum sweep_result result)
{
    struct err e = {0};

    if (ledger_file_remove(&sweep->file, item->id, &e) != 0) {
        sweep->status = e.code;
        sweep->is_stopped = true;
        item->result = SWEEP_FAILED;
        set_why(item, e.text);
        tell_left(sweep, item);
        return;
    }
    item->result = result;
    sweep->ended_count++;
    if (!cli_wants_json(sweep->cli)) {
        buf_printf(&sweep->cli->out, "%s %s\n", item->id,
                   result == SWEEP_REVOKED ? "revoked" : "gone");
        /* A reader that went away takes nothing from the work. */
        if (cli_flush(sweep->cli) != CLI_OK) {
            sweep->is_unheard = true;
        }
    }
}

static void leave(struct sweep *sweep, struct sweep_item *item, enum sweep_result result,
                  const char *why)
{
    item->result = result;
    set_why(item, why);
    tell_left(sweep, item);
}

static bool is_left_alone(const struct sweep *sweep, const struct sweep_item *item)
{
    return item->target.kind == REVOCATION_LOGIN && !sweep->takes_logins;
}

static void end(struct sweep *sweep, struct sweep_item *item)
{
    struct err e = {0};
    int r;

    if (sweep->is_stopped) {
        leave(sweep, item, SWEEP_FAILED, "not tried");
        return;
    }
    if (is_left_alone(sweep, item)) {
        leave(sweep, item, SWEEP_LEFT, "it hangs on a login of leased; --logins ends that");
        return;
    }
    r = revocation_run(&sweep->issuer, &item->target, &sweep->has_known, &e);
    if (r == 0) {
        remove_record(sweep, item, SWEEP_REVOKED);
    } else if (r == ERR_GONE) {
        item->result = SWEEP_UNKNOWN;
    } else {
        leave(sweep, item, SWEEP_FAILED, e.text);
        sweep->is_stopped = r == ERR_CONNECT || r == ERR_UNAVAILABLE || r == ERR_NOMEM;
    }
}

static void settle(struct sweep *sweep, struct sweep_item *item)
{
    bool is_over =
        item->ends_wall_ms != 0 && item->ends_wall_ms + SWEEP_OVER_MARGIN_MS < clock_wall_ms();

    if (item->result != SWEEP_UNKNOWN) {
        return;
    }
    if (sweep->has_known || is_over) {
        remove_record(sweep, item, SWEEP_GONE);
    } else {
        leave(sweep, item, SWEEP_UNKNOWN,
              "the issuer doesn't know it, nor anything else in this ledger: are address and "
              "namespace right? When its time is over it may go");
    }
}

static void unread(void *user, const char *id, const struct err *e)
{
    struct sweep *sweep = user;

    cli_message(sweep->cli, "%s: the record of %s can't be read: %s", sweep->file.path, id,
                e->text);
}

/* What holds the leases goes with them. */
static void join_grant(void *user, const char *id, struct str body)
{
    struct sweep *sweep = user;
    struct ledger_grant grant;
    struct err e = {0};
    int r = ledger_grant_read(body, &grant, &e);

    if (r == 0) {
        r = ledger_file_join(&sweep->file, grant.lease, id, &e);
    }
    if (r != 0) {
        unread(sweep, id, &e);
    }
}

static int revoke_all(struct sweep *sweep, struct err *e)
{
    size_t i;
    int r = ledger_file_each(&sweep->file, LEDGER_KIND_GRANT, join_grant, sweep, e);

    for (i = 0; r == 0 && i < sweep->list.count; i++) {
        end(sweep, &sweep->list.items[i]);
    }
    for (i = 0; r == 0 && i < sweep->list.count; i++) {
        settle(sweep, &sweep->list.items[i]);
    }
    return r;
}

/* --- telling ---------------------------------------------------------------------------------- */

static void describe(const struct sweep *sweep, const struct sweep_item *item, struct buf *out)
{
    if (is_left_alone(sweep, item)) {
        buf_printf(out, "leave the login %.*s alone (--logins)", STR_ARG(item->target.name));
    } else {
        revocation_describe(&item->target, out);
    }
}

static int show_plan(const struct sweep *sweep)
{
    static const char *const headers[] = {"LEASE", "ROLE", "BACKEND", "USER", "ENDS", "WOULD"};
    struct table table;
    size_t i;
    int r;

    table_init(&table, ARRAY_LEN(headers), headers, sweep->cli->has_color);
    for (i = 0; i < sweep->list.count; i++) {
        const struct sweep_item *item = &sweep->list.items[i];
        char ends[UNITS_TIME_MAX_BYTES] = "-";
        BUF_AUTO what;

        buf_init(&what, 4096);
        describe(sweep, item, &what);
        if (item->ends_wall_ms != 0) {
            (void)units_format_time(item->ends_wall_ms, ends);
        }
        table_add(&table, item->id, TABLE_PLAIN);
        table_add(&table, item->role, TABLE_PLAIN);
        table_add(&table, item->backend, TABLE_PLAIN);
        table_add(&table, item->user, TABLE_PLAIN);
        table_add(&table, ends, TABLE_PLAIN);
        table_add(&table, buf_status(&what) == 0 && what.len > 0 ? what.bytes : "-", TABLE_PLAIN);
    }
    r = table_print(&table, &sweep->cli->out);
    table_fini(&table);
    return r;
}

static void show_json(const struct sweep *sweep)
{
    static const char *const results[] = {
        [SWEEP_PLANNED] = "planned", [SWEEP_LEFT] = "left", [SWEEP_FAILED] = "failed",
        [SWEEP_UNKNOWN] = "unknown", [SWEEP_GONE] = "gone", [SWEEP_REVOKED] = "revoked",
    };
    struct json_out json;
    size_t i;

    json_out_init(&json, &sweep->cli->out);
    json_out_object_open(&json, NULL);
    json_out_bool(&json, "dry_run", !sweep->is_real);
    json_out_u64(&json, "ended", sweep->ended_count);
    json_out_u64(&json, "left", sweep->list.count - sweep->ended_count + sweep->list.unread_count);
    json_out_array_open(&json, "leases");
    for (i = 0; i < sweep->list.count; i++) {
        const struct sweep_item *item = &sweep->list.items[i];
        bool is_left = !sweep->is_real && is_left_alone(sweep, item);

        json_out_object_open(&json, NULL);
        json_out_string_c(&json, "lease", item->id);
        json_out_string_c(&json, "role", item->role);
        json_out_string_c(&json, "backend", item->backend);
        json_out_string_c(&json, "user", item->user);
        json_out_string_c(&json, "issuer_ref", item->reference);
        json_out_time(&json, "ends_at", item->ends_wall_ms);
        json_out_string_c(&json, "result", results[is_left ? SWEEP_LEFT : item->result]);
        if (item->why != NULL) {
            json_out_string_c(&json, "detail", item->why);
        }
        json_out_object_close(&json);
    }
    json_out_array_close(&json);
    json_out_object_close(&json);
    buf_add_char(&sweep->cli->out, '\n');
}

static int show(const struct sweep *sweep)
{
    if (cli_wants_json(sweep->cli)) {
        show_json(sweep);
    } else if (!sweep->is_real) {
        if (show_plan(sweep) != 0) {
            return CLI_FAILED;
        }
        cli_message(sweep->cli, "nothing was done, nobody was asked: --yes does it");
    } else {
        buf_printf(&sweep->cli->out, "%zu of %zu leases are over\n", sweep->ended_count,
                   sweep->list.count + (size_t)sweep->list.unread_count);
    }
    return CLI_OK;
}

static int exit_code_of(const struct sweep *sweep)
{
    bool has_left = sweep->ended_count < sweep->list.count || sweep->list.unread_count > 0;

    if (!sweep->is_real) {
        return sweep->list.unread_count > 0 ? CLI_FAILED : CLI_OK;
    }
    if (!has_left) {
        return sweep->is_unheard ? CLI_FAILED : CLI_OK;
    }
    return sweep->ended_count > 0 && sweep->status == 0 && !sweep->is_unheard ? CLI_PARTLY
                                                                              : CLI_FAILED;
}

static int run(struct sweep *sweep, struct err *e)
{
    int r = ledger_file_open(&sweep->file, sweep->cli->options.args[0], sweep->is_real, e);

    if (r == 0) {
        r = ledger_file_check(&sweep->file, e);
    }
    if (r == 0) {
        r = sweep_list_read(&sweep->list, &sweep->file, e);
    }
    if (r == 0 && sweep->is_real) {
        r = revoke_all(sweep, e);
    }
    return r;
}

int ledger_run_sweep(struct cli *cli)
{
    struct sweep sweep = {.cli = cli,
                          .list.backend = options_get(&cli->options, OPTION_BACKEND),
                          .list.tell = unread,
                          .is_real = options_get(&cli->options, OPTION_YES) != NULL,
                          .takes_logins = options_get(&cli->options, OPTION_LOGINS) != NULL};
    struct err e = {0};
    int exit_code;

    if (options_get(&cli->options, OPTION_ADDR) != NULL) {
        return cli_usage_error(cli,
                               "--addr is where leased is: --address says where the issuer is");
    }
    sweep.list.user = &sweep;
    if (sweep.is_real && open_issuer(&sweep, &e) != 0) {
        exit_code = cli_usage_error(cli, "%s", e.text);
    } else if (run(&sweep, &e) != 0) {
        exit_code = e.code == ERR_RANGE ? CLI_USAGE : CLI_FAILED;
        cli_message(cli, "%s", e.text);
    } else {
        exit_code = show(&sweep) == CLI_OK ? exit_code_of(&sweep) : CLI_FAILED;
    }
    ledger_file_close(&sweep.file);
    issuer_close(&sweep.issuer);
    sweep_list_free(&sweep.list);
    return exit_code;
}
