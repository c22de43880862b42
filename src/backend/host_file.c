/* Files that a plugin publishes: path and bytes are copied, a few at once, and what ends after the
 * instance is told to nobody. */
#include "backend/host.h"

#include "base/mem.h"
#include "env/file.h"

#include <string.h>

#define PUT_MAGIC 0x68707574U /* "hput" */

struct host_put {
    uint32_t magic;
    struct leased_host_context *context;
    struct env_put put;
    leased_file_fn fn;
    void *user;
    char *path;
    char *bytes;
};

static void put_free(struct host_put *put)
{
    mem_free(put->path);
    mem_free(put->bytes);
    mem_free(put);
}

static int32_t status_of(int status)
{
    switch (status) {
    case 0:
        return 0;
    case ERR_INVALID:
    case ERR_DENIED:
    case ERR_NOT_FOUND:
        return -LEASED_INVALID;
    default:
        return -LEASED_RETRY;
    }
}

static void put_done(struct env_put *env_put, int status, const char *detail)
{
    struct host_put *put = OBJ_CAST(env_put->user, struct host_put, PUT_MAGIC);
    struct leased_host_context *context = put->context;
    leased_file_fn fn = put->fn;
    void *user = put->user;

    put_free(put);
    context->put_count--;
    if (context->is_ended) {
        host_settle(context); /* the context may be gone */
        return;
    }
    host_enter(context);
    fn(user, status_of(status), host_leased_str(str_of(status != 0 ? detail : "")));
    host_leave(context, "file");
}

int32_t host_file_put(leased_host_context *context, struct leased_str path, struct leased_str bytes,
                      leased_file_fn fn, void *user)
{
    struct str name = host_str(path);
    struct str content = host_str(bytes);
    struct host_put *put;

    if (context->is_ended || name.len == 0 || name.ptr[0] != '/' ||
        memchr(name.ptr, '\0', name.len) != NULL || content.len > HOST_PUT_MAX_BYTES) {
        return -LEASED_INVALID;
    }
    put = context->put_count < HOST_PUTS_MAX ? mem_calloc(1, sizeof(*put)) : NULL;
    if (put == NULL) {
        return -LEASED_RETRY;
    }
    *put = (struct host_put){.magic = PUT_MAGIC, .context = context, .fn = fn, .user = user};
    put->path = mem_strndup(name.ptr, name.len);
    put->bytes = mem_strndup(content.ptr, content.len);
    put->put = (struct env_put){
        .path = put->path, .bytes = {put->bytes, content.len}, .fn = put_done, .user = put};
    if (put->path == NULL || put->bytes == NULL || env_put_start(context->env, &put->put) != 0) {
        put_free(put);
        return -LEASED_RETRY;
    }
    context->put_count++;
    return 0;
}
