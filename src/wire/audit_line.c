/* Reading audit lines back: for the verifier, and for the start-up that looks for the head of the
 * chain.
 *
 * Nothing here believes a line. jansson reads the few fields that are needed (duplicate keys are
 * refused, since two readers could take different ones), and the hash is computed over the bytes as
 * they stand in the file. */
#include "wire/audit_record.h"

#include "base/str.h"
#include "wire/audit_hash.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

static bool is_hash(const char *text)
{
    return text != NULL && strlen(text) == AUDIT_HASH_HEX_BYTES &&
           strspn(text, "0123456789abcdef") == AUDIT_HASH_HEX_BYTES;
}

/* The line must end in `,"hash":"…"}` to the byte: the hash covers what stands before. */
static bool body_cut(struct str line, const char *hash, struct str *ret_body)
{
    struct str body = line;

    if (line.len <= AUDIT_TRAILER_BYTES) {
        return false;
    }
    body.len = line.len - AUDIT_TRAILER_BYTES;
    line.ptr += body.len;
    if (memcmp(line.ptr, AUDIT_TRAILER_BEGIN, AUDIT_TRAILER_BEGIN_LEN) != 0 ||
        memcmp(line.ptr + AUDIT_TRAILER_BEGIN_LEN, hash, AUDIT_HASH_HEX_BYTES) != 0 ||
        memcmp(line.ptr + AUDIT_TRAILER_BEGIN_LEN + AUDIT_HASH_HEX_BYTES, AUDIT_TRAILER_END,
               AUDIT_TRAILER_END_LEN) != 0) {
        return false;
    }
    *ret_body = body;
    return true;
}

static int fields_read(const json_t *root, struct audit_line *line, struct err *e)
{
    json_int_t version = json_integer_value(json_object_get(root, "v"));
    json_int_t seq = json_integer_value(json_object_get(root, "seq"));
    json_int_t ledger_seq = json_integer_value(json_object_get(root, "ledger"));
    const char *prev = json_string_value(json_object_get(root, "prev"));
    const char *hash = json_string_value(json_object_get(root, "hash"));

    if (version != AUDIT_RECORD_VERSION) {
        return err_set(e, ERR_INVALID, "its version isn't %d", AUDIT_RECORD_VERSION);
    }
    if (seq <= 0 || !is_hash(prev) || !is_hash(hash)) {
        return err_set(e, ERR_INVALID, "its number or hashes aren't valid");
    }
    line->seq = (uint64_t)seq;
    line->ledger_seq = ledger_seq > 0 ? (uint64_t)ledger_seq : 0;
    memcpy(line->prev, prev, sizeof(line->prev));
    memcpy(line->hash, hash, sizeof(line->hash));
    return 0;
}

/* What the line says of itself, and whether its hash fits: then 0 and `ret_fits`. ERR_INVALID: it
 * is no record. */
static int line_read(struct str text, struct audit_line *ret_line, bool *ret_fits, struct err *e)
{
    struct audit_line line;
    char hash[AUDIT_HASH_HEX_BYTES + 1];
    struct str body;
    json_error_t error;
    json_t *root = NULL;
    int r;

    if (text.ptr == NULL) {
        text = STR("");
    }
    if (text.len >= AUDIT_RECORD_MAX_BYTES) {
        return err_set(e, ERR_INVALID, "it is longer than a record can be");
    }
    root = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(root)) {
        r = err_set(e, ERR_INVALID, "it is not a JSON object");
        goto out;
    }
    r = fields_read(root, &line, e);
    if (r != 0) {
        goto out;
    }
    if (!body_cut(text, line.hash, &body)) {
        r = err_set(e, ERR_INVALID, "its hash doesn't stand at the end");
        goto out;
    }
    r = audit_hash(line.prev, body, hash);
    if (r == 0) {
        *ret_fits = strcmp(hash, line.hash) == 0;
        *ret_line = line;
    }
out:
    json_decref(root);
    return r;
}

int audit_line_parse(struct str line, struct audit_line *ret_line, struct err *e)
{
    struct audit_line parsed = {0};
    bool fits = false;
    int r = line_read(line, &parsed, &fits, e);

    if (r != 0) {
        return r;
    }
    if (!fits) {
        return err_set(e, ERR_CORRUPT, "record %" PRIu64 " was changed: its hash doesn't fit",
                       parsed.seq);
    }
    *ret_line = parsed;
    return 0;
}

/* No beginning of an object is one itself. */
bool audit_line_is_cut_off(struct str line)
{
    static const char begin[] = "{\"v\":";
    size_t len = line.len < sizeof(begin) - 1 ? line.len : sizeof(begin) - 1;
    json_error_t error = {0}; /* without memory jansson may leave it as it was */
    json_t *root;
    bool is_whole;

    if (len == 0 || memcmp(line.ptr, begin, len) != 0) {
        return false;
    }
    root = json_loadb(line.ptr, line.len, 0, &error);
    is_whole = root != NULL || error.text[0] == '\0' ||
               json_error_code(&error) == json_error_out_of_memory;
    json_decref(root);
    return !is_whole;
}

void audit_verifier_init(struct audit_verifier *verifier)
{
    *verifier = (struct audit_verifier){0};
}

void audit_verifier_next_file(struct audit_verifier *verifier)
{
    verifier->line_count = 0;
}

static int problem_set(struct audit_verifier *verifier, enum audit_problem problem)
{
    verifier->problem = problem;
    verifier->problem_count++;
    return ERR_CORRUPT;
}

/* A record that was cut off while it was written looks like the beginning of one. */
static bool is_torn(struct str line)
{
    static const char begin[] = "{\"v\":";
    size_t len = line.len < sizeof(begin) - 1 ? line.len : sizeof(begin) - 1;

    return len > 0 && memcmp(line.ptr, begin, len) == 0 && line.ptr[line.len - 1] != '}';
}

static int foreign_line(struct audit_verifier *verifier, struct str line, uint64_t at,
                        const struct err *why, struct err *e)
{
    if (is_torn(line)) {
        (void)err_set(e, ERR_CORRUPT, "line %" PRIu64 " is a record that was cut off", at);
        return problem_set(verifier, AUDIT_PROBLEM_TORN);
    }
    (void)err_set(e, ERR_CORRUPT, "line %" PRIu64 " is no audit record: %s", at, why->text);
    return problem_set(verifier, AUDIT_PROBLEM_FOREIGN);
}

/* --- cut-off lines --- */

static bool begins_with(struct str text, struct str begin)
{
    return text.len >= begin.len && memcmp(text.ptr, begin.ptr, begin.len) == 0;
}

/* Could the line be a cut-off one whose record comes next? */
static bool is_mendable(struct str line)
{
    return line.len > 0 && line.len < AUDIT_RECORD_MAX_BYTES &&
           (begins_with(line, STR("{\"v\":")) || begins_with(STR("{\"v\":"), line));
}

static struct str cut_off_of(const struct audit_verifier *verifier)
{
    return (struct str){.ptr = verifier->cut_off.bytes, .len = verifier->cut_off.len};
}

/* It isn't mended: now it is a problem. */
static int cut_off_tell(struct audit_verifier *verifier, struct err *e)
{
    struct audit_line parsed;
    struct err why = {0};
    bool fits;

    (void)!line_read(cut_off_of(verifier), &parsed, &fits, &why);
    (void)foreign_line(verifier, cut_off_of(verifier), verifier->cut_off.line, &why, e);
    verifier->cut_off.len = 0;
    return ERR_CORRUPT;
}

/* The line is the latest cut-off one, of the same record as those directly before it. */
static int cut_off_note(struct audit_verifier *verifier, struct str line, struct err *e)
{
    struct str before = cut_off_of(verifier);
    int r = 0;

    if (before.len > 0 && !begins_with(before, line) && !begins_with(line, before)) {
        r = cut_off_tell(verifier, e);
    }
    if (line.len > verifier->cut_off.len) {
        verifier->cut_off.count = verifier->cut_off.len > 0 ? verifier->cut_off.count : 0;
        memcpy(verifier->cut_off.bytes, line.ptr, line.len);
        verifier->cut_off.len = line.len;
        verifier->cut_off.line = verifier->line_count;
    }
    verifier->cut_off.count++;
    return r;
}

/* Behind the line `line`, which is right or (status not 0) has told `e` what is wrong with it. */
static int cut_off_settle(struct audit_verifier *verifier, struct str line, int status,
                          struct err *e)
{
    enum audit_problem problem = verifier->problem;
    struct err own = {0};
    struct err before = {0};

    if (verifier->cut_off.len == 0) {
        return status;
    }
    if (status == 0 && begins_with(line, cut_off_of(verifier))) {
        verifier->mended_count += verifier->cut_off.count;
        verifier->cut_off.len = 0;
        return 0;
    }
    (void)cut_off_tell(verifier, &before);
    if (status == 0) {
        return err_set(e, ERR_CORRUPT, "%s", before.text);
    }
    verifier->problem = problem;
    own = e != NULL ? *e : own;
    return err_set(e, ERR_CORRUPT, "%s; %s", before.text, own.text);
}

/* Where the record stands in the chain. Later lines are judged against it, unless it came out of
 * order. */
static int chain_check(struct audit_verifier *verifier, const struct audit_line *line,
                       struct err *e)
{
    static const char zeros[] = AUDIT_HASH_ZERO;
    uint64_t at = verifier->line_count;
    uint64_t last = verifier->last.seq;

    if (!verifier->has_last) {
        if (line->seq == 1 && strcmp(line->prev, zeros) != 0) {
            (void)err_set(e, ERR_CORRUPT,
                          "line %" PRIu64 ": record 1 doesn't start the chain with zeros", at);
            return problem_set(verifier, AUDIT_PROBLEM_EDIT);
        }
        return 0;
    }
    if (line->seq == last && strcmp(line->hash, verifier->last.hash) == 0) {
        (void)err_set(e, ERR_CORRUPT, "line %" PRIu64 ": record %" PRIu64 " stands there twice", at,
                      line->seq);
        return problem_set(verifier, AUDIT_PROBLEM_ORDER);
    }
    if (line->seq <= last) {
        (void)err_set(e, ERR_CORRUPT,
                      "line %" PRIu64 ": record %" PRIu64 " stands behind record %" PRIu64
                      ": the order was changed",
                      at, line->seq, last);
        return problem_set(verifier, AUDIT_PROBLEM_ORDER);
    }
    if (line->seq == last + 2) {
        (void)err_set(e, ERR_CORRUPT, "line %" PRIu64 ": record %" PRIu64 " is missing", at,
                      last + 1);
        return problem_set(verifier, AUDIT_PROBLEM_GAP);
    }
    if (line->seq > last + 1) {
        (void)err_set(e, ERR_CORRUPT,
                      "line %" PRIu64 ": records %" PRIu64 " to %" PRIu64 " are missing", at,
                      last + 1, line->seq - 1);
        return problem_set(verifier, AUDIT_PROBLEM_GAP);
    }
    if (strcmp(line->prev, verifier->last.hash) != 0) {
        (void)err_set(e, ERR_CORRUPT,
                      "line %" PRIu64 ": record %" PRIu64
                      " doesn't continue the one before it, which was changed or replaced",
                      at, line->seq);
        return problem_set(verifier, AUDIT_PROBLEM_EDIT);
    }
    return 0;
}

int audit_verifier_line(struct audit_verifier *verifier, struct str line, struct err *e)
{
    struct audit_line parsed = {0};
    struct err why = {0};
    bool fits = false;
    int r;

    verifier->line_count++;
    r = line_read(line, &parsed, &fits, &why);
    if (r == ERR_INVALID && is_mendable(line)) {
        return cut_off_note(verifier, line, e);
    }
    if (r == ERR_INVALID) {
        r = foreign_line(verifier, line, verifier->line_count, &why, e);
        return cut_off_settle(verifier, line, r, e);
    }
    if (r != 0) {
        return err_set(e, r, "line %" PRIu64 " could not be checked: %s", verifier->line_count,
                       err_str(r));
    }
    verifier->record_count++;
    if (fits) {
        r = chain_check(verifier, &parsed, e);
    } else {
        (void)err_set(e, ERR_CORRUPT,
                      "line %" PRIu64 ": record %" PRIu64 " was changed: its hash doesn't fit",
                      verifier->line_count, parsed.seq);
        r = problem_set(verifier, AUDIT_PROBLEM_EDIT);
    }
    /* A changed line can claim any number; only the one that is expected here may stand in for the
     * record. */
    if (!verifier->has_last ||
        (fits ? parsed.seq > verifier->last.seq : parsed.seq == verifier->last.seq + 1)) {
        verifier->first_seq = verifier->has_last ? verifier->first_seq : parsed.seq;
        verifier->has_last = true;
        verifier->last = parsed;
    }
    return cut_off_settle(verifier, line, r, e);
}

int audit_verifier_rest(struct audit_verifier *verifier, struct str rest, struct err *e)
{
    int r = 0;

    if (rest.len > 0) {
        verifier->line_count++;
        (void)err_set(e, ERR_CORRUPT, "line %" PRIu64 " is cut off: it has no end",
                      verifier->line_count);
        r = problem_set(verifier, AUDIT_PROBLEM_TORN);
    }
    return cut_off_settle(verifier, STR(""), r, e);
}
