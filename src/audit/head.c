/* Finds the head of the chain in the last bytes of a trail. */
#include "audit/head.h"

#include "base/mem.h"
#include "base/str.h"

#include <string.h>

/* Room for a whole record, for some that were cut off behind it by one crash after the other, and
 * for the end of the line before. */
#define TAIL_MAX_BYTES (8U * AUDIT_RECORD_MAX_BYTES + 1U)

/* Takes the last line off `rest`; the empty slice if there is none. */
static struct str last_line_cut(struct str *rest)
{
    struct str line;
    const char *before;

    if (rest->len > 0 && rest->ptr[rest->len - 1] == '\n') {
        rest->len--;
    }
    before = rest->len > 0 ? memrchr(rest->ptr, '\n', rest->len) : NULL;
    line.ptr = before != NULL ? before + 1 : rest->ptr;
    line.len = rest->len - (size_t)(line.ptr - rest->ptr);
    rest->len -= line.len;
    return line;
}

/* What a cut-off first record of a chain can look like. */
static bool is_begin_of_record(struct str line)
{
    static const char begin[] = "{\"v\":";
    size_t len = line.len < sizeof(begin) - 1 ? line.len : sizeof(begin) - 1;

    return memcmp(line.ptr, begin, len) == 0;
}

static int tail_parse(struct str tail, struct audit_line *ret_head, struct err *e)
{
    bool is_all = tail.len < TAIL_MAX_BYTES;
    bool has_end = tail.ptr[tail.len - 1] == '\n';
    struct str line;
    int r;

    do {
        line = last_line_cut(&tail);
        r = audit_line_parse(line, ret_head, e);
        if (r != ERR_INVALID || line.len >= AUDIT_RECORD_MAX_BYTES ||
            (has_end && !audit_line_is_cut_off(line))) {
            return r;
        }
        has_end = true; /* as every line before the last has */
    } while (tail.len > 0);
    return is_all && is_begin_of_record(line) ? ERR_NOT_FOUND : r;
}

int audit_head_find(struct env_file *file, const char *path, struct audit_line *ret_head,
                    struct err *e)
{
    struct err why = {0};
    char *bytes = NULL;
    size_t size = 0;
    int r = env_file_tail(file, TAIL_MAX_BYTES, &bytes, &size);

    if (r != 0) {
        return err_set(e, r, "could not read the end of %s: %s", path, err_str(r));
    }
    r = ERR_NOT_FOUND;
    if (size > 0) {
        r = tail_parse((struct str){.ptr = bytes, .len = size}, ret_head, &why);
    }
    mem_free(bytes);
    if (r == ERR_INVALID || r == ERR_CORRUPT) {
        return err_set(e, ERR_CORRUPT, "%s doesn't end in an audit record of leased: %s", path,
                       why.text);
    }
    if (r == ERR_NOMEM) {
        return err_set(e, r, "%s", err_str(r));
    }
    return r;
}
