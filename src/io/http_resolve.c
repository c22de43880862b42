/* Names to addresses with uv_getaddrinfo, in a thread of libuv's pool. curl's own threaded resolver
 * is never used, because cancelling a transfer would then wait for its thread: measured 4 s of
 * blocked loop with a dead name server.
 *
 * Happy path: the first who asks for a host starts the look-up, others join it, all are answered
 * from the loop, and the answer serves for HTTP_NAME_FRESH_MS (a renewal storm is no storm of DNS
 * queries).
 *
 * Failure paths: the look-up fails: all who wait are told, nothing is kept. Somebody stops waiting:
 * the others aren't touched; when nobody is left, a look-up that hasn't begun is taken back, one
 * that has goes on in its thread and its answer is kept. A connection fails: what was known is
 * forgotten. */
#include "io/http_internal.h"

#include "base/mem.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>

#define NAME_MAGIC 0x6e616d65U /* "name" */
#define ADDRESS_MAX_BYTES 64U

struct name_entry {
    uint32_t magic;
    struct http_names *names;
    char host[HTTP_HOST_MAX_BYTES];
    char *addresses; /* owned; NULL: not known */
    uint64_t fresh_until_ms;
    bool is_running;
    uv_getaddrinfo_t query;
    struct list waits;
    struct list node; /* in names->entries */
};

static void entry_forget(struct name_entry *entry)
{
    mem_free(entry->addresses);
    entry->addresses = NULL;
}

static void entry_free(struct name_entry *entry)
{
    list_remove(&entry->node);
    entry->names->count--;
    entry_forget(entry);
    entry->magic = 0;
    mem_free(entry);
}

static void add_address(struct buf *text, const struct sockaddr *address)
{
    char name[ADDRESS_MAX_BYTES];

    if (address->sa_family == AF_INET &&
        uv_ip4_name((const struct sockaddr_in *)(const void *)address, name, sizeof(name)) == 0) {
        buf_printf(text, "%s%s", text->len > 0 ? "," : "", name);
    } else if (address->sa_family == AF_INET6 &&
               uv_ip6_name((const struct sockaddr_in6 *)(const void *)address, name,
                           sizeof(name)) == 0) {
        buf_printf(text, "%s[%s]", text->len > 0 ? "," : "", name);
    }
}

/* The addresses in the resolver's order, which is the order of preference. NULL if there is none.
 */
static char *format_addresses(const struct addrinfo *list)
{
    struct buf text;
    size_t count = 0;
    char *result = NULL;

    buf_init(&text, HTTP_ADDRESSES_MAX * ADDRESS_MAX_BYTES);
    for (const struct addrinfo *at = list; at != NULL && count < HTTP_ADDRESSES_MAX;
         at = at->ai_next) {
        add_address(&text, at->ai_addr);
        count++;
    }
    if (text.len > 0) {
        result = buf_steal(&text);
    }
    buf_fini(&text);
    return result;
}

static void on_resolved(uv_getaddrinfo_t *query, int status, struct addrinfo *list)
{
    struct name_entry *entry = OBJ_CAST(query->data, struct name_entry, NAME_MAGIC);
    struct http_names *names = entry->names;
    const char *problem = status != 0 ? uv_strerror(status) : "no address";
    struct list waits;
    struct list *node;

    io_enter(names->io);
    entry->is_running = false;
    names->running_count--;
    if (status == 0) {
        entry->addresses = format_addresses(list);
        entry->fresh_until_ms = io_now_ms(&names->io->env) + HTTP_NAME_FRESH_MS;
    }
    uv_freeaddrinfo(list);
    list_init(&waits);
    list_splice(&waits, &entry->waits);
    while ((node = list_pop_front(&waits)) != NULL) {
        struct http_name_wait *wait = LIST_ENTRY(node, struct http_name_wait, node);

        wait->entry = NULL;
        wait->fn(wait, entry->addresses, problem);
    }
}

static struct name_entry *find_entry(struct http_names *names, const char *host)
{
    struct list *node;

    for (node = names->entries.next; node != &names->entries; node = node->next) {
        struct name_entry *entry = LIST_ENTRY(node, struct name_entry, node);

        if (strcmp(entry->host, host) == 0) {
            return entry;
        }
    }
    return NULL;
}

/* Makes room by giving up the least recently used name that nobody waits for. */
static int make_room(struct http_names *names)
{
    struct list *node;

    if (names->count < HTTP_NAMES_MAX) {
        return 0;
    }
    for (node = names->entries.next; node != &names->entries; node = node->next) {
        struct name_entry *entry = LIST_ENTRY(node, struct name_entry, node);

        if (!entry->is_running && list_is_empty(&entry->waits)) {
            entry_free(entry);
            return 0;
        }
    }
    return ERR_LIMIT;
}

static int add_entry(struct http_names *names, const char *host, struct name_entry **ret_entry)
{
    struct name_entry *entry;
    int rc = make_room(names);

    if (rc != 0) {
        return rc;
    }
    entry = mem_calloc(1, sizeof(*entry));
    if (entry == NULL) {
        return ERR_NOMEM;
    }
    entry->magic = NAME_MAGIC;
    entry->names = names;
    (void)snprintf(entry->host, sizeof(entry->host), "%s", host);
    list_init(&entry->waits);
    list_push_back(&names->entries, &entry->node);
    names->count++;
    *ret_entry = entry;
    return 0;
}

static int start_query(struct name_entry *entry)
{
    struct http_names *names = entry->names;
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    int rc =
        uv_getaddrinfo(&names->io->loop, &entry->query, on_resolved, entry->host, NULL, &hints);

    if (rc != 0) {
        return rc == UV_ENOMEM ? ERR_NOMEM : rc;
    }
    entry->query.data = entry;
    entry->is_running = true;
    names->running_count++;
    return 0;
}

int http_names_start(struct http_names *names, const char *host, struct http_name_wait *wait,
                     const char **ret_addresses)
{
    struct name_entry *entry = find_entry(names, host);
    int rc = 0;

    if (entry == NULL) {
        rc = add_entry(names, host, &entry);
        if (rc != 0) {
            return rc;
        }
    }
    list_move_back(&names->entries, &entry->node);
    if (entry->addresses != NULL && entry->fresh_until_ms > io_now_ms(&names->io->env)) {
        *ret_addresses = entry->addresses;
        return 0;
    }
    if (!entry->is_running) {
        entry_forget(entry);
        rc = start_query(entry);
    }
    if (rc != 0) {
        return rc;
    }
    wait->entry = entry;
    list_push_back(&entry->waits, &wait->node);
    *ret_addresses = NULL;
    return 0;
}

void http_names_leave(struct http_name_wait *wait)
{
    struct name_entry *entry = wait->entry;

    list_remove(&wait->node);
    wait->entry = NULL;
    if (entry != NULL && entry->is_running && list_is_empty(&entry->waits)) {
        /* Succeeds only while the query waits for a thread; on_resolved runs in either case. */
        (void)uv_cancel((uv_req_t *)&entry->query);
    }
}

void http_names_forget(struct http_names *names, const char *host)
{
    struct name_entry *entry = find_entry(names, host);

    if (entry != NULL && !entry->is_running) {
        entry_forget(entry);
    }
}

void http_names_init(struct http_names *names, struct io *io)
{
    *names = (struct http_names){.io = io};
    list_init(&names->entries);
}

void http_names_fini(struct http_names *names)
{
    CHECK(names->running_count == 0);
    while (!list_is_empty(&names->entries)) {
        entry_free(LIST_ENTRY(names->entries.next, struct name_entry, node));
    }
}
