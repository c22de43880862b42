/* The journal's native protocol: one datagram an entry, of lines NAME=value, or NAME, a line break,
 * the value's length in eight bytes and the value, where it has line breaks of its own. Written out
 * here because it is smaller than what libsystemd would bring along.
 *
 * The address is given with each datagram: a journal that was restarted has a new socket there. */
#include "daemon/journal.h"

#include "base/buf.h"

#include <endian.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void journal_init(struct journal *journal, const char *path)
{
    journal->path = path;
    journal->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

void journal_fini(struct journal *journal)
{
    if (journal->fd >= 0) {
        (void)close(journal->fd);
        journal->fd = -1;
    }
}

static void value_add(struct buf *out, struct str value)
{
    uint64_t size = htole64(value.len);

    if (value.len == 0 || memchr(value.ptr, '\n', value.len) == NULL) {
        buf_add_char(out, '=');
    } else {
        buf_add_char(out, '\n');
        buf_add(out, &size, sizeof(size));
    }
    buf_add_str(out, value);
    buf_add_char(out, '\n');
}

/* Names of fields are capitals, digits and underscores. */
static void field_add(struct buf *out, const char *key, struct str value)
{
    buf_add_c(out, "LEASED_");
    for (; *key != '\0'; key++) {
        bool is_small = *key >= 'a' && *key <= 'z';

        buf_add_char(out, is_small ? (char)(*key - 'a' + 'A') : *key == '.' ? '_' : *key);
    }
    value_add(out, value);
}

bool journal_send(const struct journal *journal, const struct journal_entry *entry)
{
    static const char *const priorities[] = {"7", "6", "4", "3"};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t i;
    BUF_AUTO text;

    buf_init(&text, JOURNAL_ENTRY_MAX_BYTES);
    if (journal->fd < 0 || strlen(journal->path) >= sizeof(address.sun_path)) {
        return false;
    }
    memcpy(address.sun_path, journal->path, strlen(journal->path));
    buf_add_c(&text, "MESSAGE");
    value_add(&text, entry->message);
    buf_printf(&text, "PRIORITY=%s\nSYSLOG_IDENTIFIER=leased\n", priorities[entry->level]);
    field_add(&text, "event", str_of(entry->event));
    for (i = 0; i < entry->field_count; i++) {
        field_add(&text, entry->fields[i].key, entry->fields[i].value);
    }
    return buf_status(&text) == 0 &&
           sendto(journal->fd, text.bytes, text.len, MSG_DONTWAIT | MSG_NOSIGNAL,
                  (const struct sockaddr *)&address, sizeof(address)) >= 0;
}
