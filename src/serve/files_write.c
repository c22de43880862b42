/* The files of a hold, one after the other: what the helper process is asked to do with each.
 *
 * Happy path: check: each place is looked at → (the credential comes) → the contents' hashes are
 * put on record → put: each content goes to the helper, which writes it whole → the credential
 * counts as delivered → change: who uses the file is told → settle → the version before isn't
 * needed any more.
 *
 * Without on_change nobody says when its users have moved over: the version before lives on for the
 * role's overlap.
 *
 * Failure paths: a file that can't be written doesn't keep the others from it; what failed is tried
 * again with the next round. A user who can't be told is told again; the version before isn't given
 * up until then. */
#include "serve/files_internal.h"

#include "base/log.h"

#include <stdio.h>
#include <string.h>

/* The helper has others to serve. */
#define RUNS_MAX 8U
#define CONTENT_MAX_BYTES ENV_RUN_INPUT_MAX_BYTES

/* As the helper knows them: helper/programs.h. */
#define OWNER "file:"
#define WRITTEN "written"

static void step_next(struct hold *hold);

static struct env *env_of(const struct hold *hold)
{
    return hold->files->serve->options.env;
}

/* ---- which of them ---------------------------------------------------------- */

static bool is_to_be_removed(const struct file *file)
{
    return !file->is_replaced && file_is_there(file) &&
           (!file->is_configured || hold_has_end(file->hold));
}

static bool is_to_be_written(const struct file *file)
{
    return file->is_configured && strcmp(file->lease, file->hold->wanted) != 0;
}

static bool is_to_be_told(const struct file *file)
{
    return file->is_configured && file->is_changed;
}

static bool is_configured(const struct file *file)
{
    return file->is_configured;
}

/* The next one that this step hasn't handled. NULL: none. */
static struct file *next_file(const struct hold *hold, bool (*is_meant)(const struct file *file))
{
    struct list *node;
    struct list *following;

    LIST_EACH (&hold->items, node, following) {
        struct file *file = LIST_ENTRY(node, struct file, node);

        if (!file->is_handled && is_meant(file)) {
            return file;
        }
    }
    return NULL;
}

bool write_has_remains(const struct hold *hold)
{
    struct list *node;
    struct list *following;

    LIST_EACH (&hold->items, node, following) {
        if (is_to_be_removed(LIST_ENTRY(node, struct file, node))) {
            return true;
        }
    }
    return false;
}

static void step_begin(struct hold *hold, enum hold_step step)
{
    struct list *node;
    struct list *following;

    hold->step = step;
    LIST_EACH (&hold->items, node, following) {
        LIST_ENTRY(node, struct file, node)->is_handled = false;
    }
}

/* The first problem that a file has. NULL: none has one. */
static const char *problem_of(const struct hold *hold)
{
    struct list *node;
    struct list *following;

    LIST_EACH (&hold->items, node, following) {
        const struct file *file = LIST_ENTRY(node, struct file, node);

        if (file->is_configured && file->problem[0] != '\0') {
            return file->problem;
        }
    }
    return NULL;
}

/* ---- runs -------------------------------------------------------------------- */

void write_run_next(struct files *files)
{
    struct list *node = files->run_count < RUNS_MAX ? list_pop_front(&files->waiting_runs) : NULL;

    if (node != NULL) {
        step_next(LIST_ENTRY(node, struct hold, waiting_node));
    }
}

/* False: it has to wait, and step_next comes again. */
static bool has_turn(struct hold *hold)
{
    if (hold->files->run_count < RUNS_MAX) {
        return true;
    }
    list_push_back(&hold->files->waiting_runs, &hold->waiting_node);
    return false;
}

static void change_ended(struct hold *hold, struct file *file, bool is_good)
{
    if (is_good) {
        file->is_changed = false;
        hold->files->changed_total++;
        hold->settle_ms = file->settle_ms > hold->settle_ms ? file->settle_ms : hold->settle_ms;
    } else {
        hold->files->change_failed_total++;
    }
}

static void put_ended(struct hold *hold, struct file *file, const struct env_run_end *end,
                      bool is_good)
{
    bool is_written = is_good && str_eq_c(end->output, WRITTEN);

    if (!is_good) {
        hold->files->failed_total++;
        return;
    }
    hold->is_delivered = true;
    memcpy(file->lease, hold->wanted, sizeof(file->lease));
    file_hash_settle(file, hold->hash);
    file->written_wall_ms = env_wall_ms(env_of(hold));
    file->is_changed = file->is_changed || is_written;
    hold->files->written_total += is_written ? 1 : 0;
    hold->files->unchanged_total += is_written ? 0 : 1;
    if (is_written) {
        log_event(LOG_LEVEL_INFO, "file.written", "path", file->path, "role", hold->role, "lease",
                  file->lease, NULL);
    }
}

static void remove_ended(struct hold *hold, struct file *file, bool is_good)
{
    if (!is_good) {
        hold->files->failed_total++;
        return;
    }
    memset(file->hashes, 0, sizeof(file->hashes));
    file->lease[0] = '\0';
    file->written_wall_ms = 0;
    file->is_changed = false;
    log_event(LOG_LEVEL_INFO, "file.removed", "path", file->path, "role", hold->role, NULL);
}

static void run_ended(struct env_run *run, const struct env_run_end *end)
{
    struct hold *hold = OBJ_CAST(run->user, struct hold, HOLD_MAGIC);
    struct files *files = hold->files;
    struct file *file = hold->at;
    bool is_good = end->outcome == ENV_RUN_EXITED && end->exit_code == 0;
    char text[ERR_TEXT_MAX_BYTES];

    files->run_count--;
    hold->at = NULL;
    file->is_handled = true;
    if (is_good) {
        file->problem[0] = '\0';
    } else if (end->text.len > 0) {
        (void)snprintf(text, sizeof(text), "%.*s", STR_ARG(end->text));
        file_set_problem(file, text);
    } else {
        (void)snprintf(text, sizeof(text), "the program failed with %u", end->exit_code);
        file_set_problem(file, text);
    }
    if (hold->step == HOLD_PUT) {
        put_ended(hold, file, end, is_good);
    } else if (hold->step == HOLD_CHANGE) {
        change_ended(hold, file, is_good);
    } else if (hold->step == HOLD_REMOVE) {
        remove_ended(hold, file, is_good);
    }
    step_next(hold); /* the hold may be gone */
    write_run_next(files);
}

/* Whatever becomes of it, the file is handled; false: already. */
static bool run_start(struct hold *hold, struct file *file, const char *program, struct str input)
{
    int r;

    (void)snprintf(hold->owner, sizeof(hold->owner), OWNER "%s", file->path);
    hold->run = (struct env_run){
        .backend = hold->owner, .program = program, .input = input, .fn = run_ended, .user = hold};
    if (hold->role != NULL) {
        hold->run.variables[hold->run.variable_count++] =
            (struct env_run_variable){.name = STR("LEASED_ROLE"), .value = str_of(hold->role)};
    }
    hold->at = file;
    hold->files->run_count++;
    r = env_run_start(env_of(hold), &hold->run);
    if (r != 0) {
        hold->files->run_count--;
        hold->files->failed_total++;
        hold->at = NULL;
        file->is_handled = true;
        file_set_problem(file, err_str(r));
    }
    return r == 0;
}

/* ---- the steps --------------------------------------------------------------- */

static void check_next(struct hold *hold)
{
    struct file *file;
    const char *problem = NULL;
    struct list *node;
    struct list *following;

    while ((file = next_file(hold, is_configured)) != NULL) {
        if (!has_turn(hold) || run_start(hold, file, "check", STR(""))) {
            return;
        }
    }
    LIST_EACH (&hold->items, node, following) {
        file = LIST_ENTRY(node, struct file, node);
        if (file->is_configured && file->problem[0] == '\0') {
            ask_begin(hold);
            return;
        }
        problem = file->is_configured ? file->problem : problem;
    }
    hold_fail(hold, problem != NULL ? problem : "", 0);
}

void write_check(struct hold *hold)
{
    step_begin(hold, HOLD_CHECK);
    step_next(hold);
}

/* All were told, or nobody could be. */
static void round_end(struct hold *hold)
{
    const char *problem = problem_of(hold);
    bool is_all_told = true;
    struct list *node;
    struct list *following;

    LIST_EACH (&hold->items, node, following) {
        const struct file *file = LIST_ENTRY(node, struct file, node);

        is_all_told = is_all_told && (!file->is_configured || file->has_change);
    }
    if (problem != NULL) {
        char why[ERR_TEXT_MAX_BYTES];

        (void)snprintf(why, sizeof(why), "%s", problem);
        hold_fail(hold, why, 0);
        return;
    }
    hold->failure_count = 0;
    hold->why[0] = '\0';
    if (is_all_told && hold->settle_ms > 0) {
        hold->step = HOLD_SETTLE;
        env_timer_arm(env_of(hold), &hold->timer, env_now_ms(env_of(hold)) + hold->settle_ms);
        hold_wake(hold);
        return;
    }
    if (is_all_told) {
        hold_moved(hold);
    }
    hold_rest(hold);
}

static void change_next(struct hold *hold)
{
    struct file *file;

    while ((file = next_file(hold, is_to_be_told)) != NULL && !hold_has_end(hold)) {
        if (!file->has_change) {
            file->is_changed = false;
        } else if (!has_turn(hold) || run_start(hold, file, "change", STR(""))) {
            return;
        }
    }
    round_end(hold);
}

static void change_begin(struct hold *hold)
{
    hold->settle_ms = 0;
    step_begin(hold, HOLD_CHANGE);
    step_next(hold);
}

static void record_begin(struct hold *hold)
{
    struct file *file;
    uint64_t number;

    step_begin(hold, HOLD_RECORD);
    while ((file = next_file(hold, is_to_be_written)) != NULL) {
        char hash[FILE_HASH_HEX_BYTES + 1];
        BUF_AUTO content;

        buf_init(&content, CONTENT_MAX_BYTES);
        file->is_handled = true;
        if (file_content(hold, file, &content, hash) == 0) {
            file_hash_add(file, hash);
        }
    }
    number = files_record(hold->files);
    hold->record_number = number;
    if (number == 0) {
        write_recorded(hold, 0);
    }
}

/* False: it could not be started, and is handled. */
static bool put_start(struct hold *hold, struct file *file)
{
    BUF_AUTO content;

    buf_init(&content, CONTENT_MAX_BYTES);
    if (file_content(hold, file, &content, hold->hash) != 0) {
        file->is_handled = true;
        hold->files->failed_total++;
        return false;
    }
    if (!file_has_hash(file, hold->hash)) {
        record_begin(hold); /* it was renewed meanwhile, and the format shows it */
        return true;
    }
    return run_start(hold, file, "put", buf_str(&content));
}

static void put_next(struct hold *hold)
{
    struct file *file;

    while ((file = next_file(hold, is_to_be_written)) != NULL && hold_grant(hold) != NULL) {
        if (!has_turn(hold) || put_start(hold, file)) {
            return;
        }
    }
    hold_delivered(hold);
    change_begin(hold);
}

void write_recorded(struct hold *hold, int status)
{
    CHECK(hold->step == HOLD_RECORD);
    if (status == 0) {
        step_begin(hold, HOLD_PUT);
        step_next(hold);
    } else {
        hold_delivered(hold);
        hold_fail(hold, "what is to be written can't be put on record", 0);
    }
}

void write_begin(struct hold *hold)
{
    hold->is_delivered = false;
    record_begin(hold);
}

static void remove_next(struct hold *hold)
{
    struct file *file;

    while ((file = next_file(hold, is_to_be_removed)) != NULL) {
        size_t i;
        BUF_AUTO hashes;

        buf_init(&hashes, CONTENT_MAX_BYTES);
        if (!has_turn(hold)) {
            return;
        }
        for (i = 0; i < FILE_RECORD_HASHES_MAX; i++) {
            buf_printf(&hashes, "%s\n", file->hashes[i]);
        }
        if (buf_status(&hashes) != 0) {
            file->is_handled = true;
            file_set_problem(file, err_str(ERR_NOMEM));
        } else if (run_start(hold, file, "remove", buf_str(&hashes))) {
            return;
        }
    }
    (void)files_record(hold->files);
    if (write_has_remains(hold)) {
        hold->remove_ms = env_now_ms(env_of(hold)) + hold_backoff_ms(hold);
    }
    hold_rest(hold);
}

void write_remove(struct hold *hold)
{
    step_begin(hold, HOLD_REMOVE);
    step_next(hold);
}

static void step_next(struct hold *hold)
{
    switch (hold->step) {
    case HOLD_CHECK:
        check_next(hold);
        break;
    case HOLD_PUT:
        put_next(hold);
        break;
    case HOLD_CHANGE:
        change_next(hold);
        break;
    case HOLD_REMOVE:
        remove_next(hold);
        break;
    default:
        break;
    }
}
