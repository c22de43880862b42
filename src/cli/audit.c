/* `lease audit verify FILE…`.
 *
 * The files are one chain. They are walked in the order of their first records, so that
 * `audit.jsonl*` of a rotated log is right in whichever order the shell names them; when that can't
 * be known of one ("-", a first line that is no record), all keep their places. The walk goes on
 * behind a problem: records that were moved show first as a gap, then as a changed order. */
#include "cli/audit.h"

#include "base/mem.h"
#include "cli/cli.h"
#include "wire/audit_record.h"
#include "wire/json_out.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Longer than any record, so that a longer line is known for what it is. */
#define AUDIT_LINE_MAX_BYTES (AUDIT_RECORD_MAX_BYTES + 2)
/* Problems told; all are counted. */
#define AUDIT_TOLD_MAX 20
#define AUDIT_SEQ_UNKNOWN UINT64_MAX
#define AUDIT_SEQ_EMPTY (UINT64_MAX - 1)

struct audit_file {
    const char *path;
    uint64_t first_seq; /* or AUDIT_SEQ_* */
};

/* One run over the files. */
struct audit_run {
    struct cli *cli;
    struct audit_verifier verifier;
    const char *name; /* of the current file */
    struct json_out json;
    uint64_t told_count;
};

enum line_end {
    LINE_WHOLE,
    LINE_REST, /* no newline behind it: the file's end; often empty */
    LINE_TOO_LONG,
    LINE_UNREADABLE,
};

static enum line_end read_line(FILE *file, char *bytes, struct str *ret_line)
{
    size_t len = 0;
    int c;

    *ret_line = (struct str){.ptr = bytes, .len = 0};
    while ((c = getc(file)) != EOF && c != '\n') {
        if (len < AUDIT_LINE_MAX_BYTES) {
            bytes[len] = (char)c;
        }
        len++;
    }
    ret_line->len = len < AUDIT_LINE_MAX_BYTES ? len : AUDIT_LINE_MAX_BYTES;
    if (ferror(file) != 0) {
        return LINE_UNREADABLE;
    }
    if (len > AUDIT_LINE_MAX_BYTES) {
        return LINE_TOO_LONG;
    }
    return c == EOF ? LINE_REST : LINE_WHOLE;
}

static uint64_t first_seq(const char *path)
{
    char bytes[AUDIT_LINE_MAX_BYTES];
    struct audit_line parsed;
    struct str line;
    uint64_t seq = AUDIT_SEQ_UNKNOWN;
    enum line_end end;
    FILE *file = strcmp(path, "-") != 0 ? fopen(path, "re") : NULL;

    if (file == NULL) {
        return seq;
    }
    end = read_line(file, bytes, &line);
    if (end == LINE_REST && line.len == 0) {
        seq = AUDIT_SEQ_EMPTY;
    } else if (end == LINE_WHOLE && audit_line_parse(line, &parsed, NULL) == 0) {
        seq = parsed.seq;
    }
    (void)fclose(file);
    return seq;
}

static void sort_files(struct audit_file *files, size_t count)
{
    size_t i;
    size_t j;

    for (i = 0; i < count; i++) {
        if (files[i].first_seq == AUDIT_SEQ_UNKNOWN) {
            return;
        }
    }
    for (i = 1; i < count; i++) {
        struct audit_file file = files[i];

        for (j = i; j > 0 && files[j - 1].first_seq > file.first_seq; j--) {
            files[j] = files[j - 1];
        }
        files[j] = file;
    }
}

static void tell(struct audit_run *run, const char *problem)
{
    if (run->told_count++ >= AUDIT_TOLD_MAX) {
        return;
    }
    cli_message(run->cli, "%s: %s", run->name, problem);
    json_out_object_open(&run->json, NULL);
    json_out_string_c(&run->json, "file", run->name);
    json_out_u64(&run->json, "line", run->verifier.line_count);
    json_out_string_c(&run->json, "error", problem);
    json_out_object_close(&run->json);
}

static void verify_lines(struct audit_run *run, FILE *file)
{
    char bytes[AUDIT_LINE_MAX_BYTES];
    struct str line;
    struct err e;
    enum line_end end;

    do {
        int status = 0;

        e.text[0] = '\0';
        end = read_line(file, bytes, &line);
        if (end == LINE_UNREADABLE) {
            (void)err_set(&e, ERR_IO, "could not be read: %s", err_str(-errno));
            status = ERR_IO;
        } else if (end == LINE_REST) {
            status = audit_verifier_rest(&run->verifier, line, &e);
        } else {
            /* What doesn't fit is no record, which its beginning shows as well. */
            status = audit_verifier_line(&run->verifier, line, &e);
        }
        if (status != 0) {
            tell(run, e.text);
        }
    } while (end == LINE_WHOLE || end == LINE_TOO_LONG);
}

static void verify_file(struct audit_run *run, const char *path)
{
    bool is_stdin = strcmp(path, "-") == 0;
    FILE *file = is_stdin ? stdin : fopen(path, "re");
    struct err e;

    run->name = is_stdin ? "stdin" : path;
    audit_verifier_next_file(&run->verifier);
    if (file == NULL) {
        (void)err_set(&e, ERR_IO, "could not be opened: %s", err_str(-errno));
        tell(run, e.text);
        return;
    }
    verify_lines(run, file);
    if (!is_stdin) {
        (void)fclose(file);
    }
}

static void tell_result(struct audit_run *run)
{
    const struct audit_verifier *verifier = &run->verifier;

    if (run->told_count > AUDIT_TOLD_MAX) {
        cli_message(run->cli, "%llu problems in all", (unsigned long long)run->told_count);
    } else if (run->told_count == 0 && !verifier->has_last) {
        buf_add_c(&run->cli->out, "ok: no records\n");
    } else if (run->told_count == 0) {
        buf_printf(&run->cli->out, "ok: %llu records, %llu to %llu%s\nhead: %s\n",
                   (unsigned long long)verifier->record_count,
                   (unsigned long long)verifier->first_seq, (unsigned long long)verifier->last.seq,
                   verifier->first_seq > 1 ? " (what came before is not in these files)" : "",
                   verifier->last.hash);
    }
    if (run->told_count == 0 && verifier->mended_count > 0) {
        buf_printf(&run->cli->out,
                   "%llu lines were cut off by a crash; their records stand whole behind them\n",
                   (unsigned long long)verifier->mended_count);
    }
}

static void json_begin(struct audit_run *run)
{
    json_out_init(&run->json, &run->cli->out);
    json_out_object_open(&run->json, NULL);
    json_out_array_open(&run->json, "problems");
}

static void json_end(struct audit_run *run)
{
    const struct audit_verifier *verifier = &run->verifier;

    json_out_array_close(&run->json);
    json_out_u64(&run->json, "problem_count", run->told_count);
    json_out_bool(&run->json, "ok", run->told_count == 0);
    json_out_u64(&run->json, "records", verifier->record_count);
    json_out_u64(&run->json, "mended", verifier->mended_count);
    if (verifier->has_last) {
        json_out_u64(&run->json, "first", verifier->first_seq);
        json_out_u64(&run->json, "last", verifier->last.seq);
        json_out_string_c(&run->json, "head", verifier->last.hash);
    }
    json_out_object_close(&run->json);
    buf_add_char(&run->cli->out, '\n');
}

int audit_run_verify(struct cli *cli)
{
    size_t count = cli->options.arg_count;
    struct audit_file *files = mem_calloc(count, sizeof(*files));
    struct audit_run run = {.cli = cli};
    size_t i;

    if (files == NULL) {
        cli_message(cli, "%s", err_str(ERR_NOMEM));
        return CLI_FAILED;
    }
    for (i = 0; i < count; i++) {
        files[i].path = cli->options.args[i];
        files[i].first_seq = first_seq(files[i].path);
    }
    sort_files(files, count);
    audit_verifier_init(&run.verifier);
    json_begin(&run);
    for (i = 0; i < count; i++) {
        verify_file(&run, files[i].path);
    }
    if (cli_wants_json(cli)) {
        json_end(&run);
    } else {
        buf_reset(&cli->out);
        tell_result(&run);
    }
    mem_free(files);
    return run.told_count == 0 ? CLI_OK : CLI_FAILED;
}
