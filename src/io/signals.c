/* Signals that arrive in the loop: a libuv handle for each started signal, closed by io_close. */
#include "base/mem.h"
#include "io/io_internal.h"

#define SIGNAL_MAGIC 0x7369676eU /* "sign" */

struct io_signal {
    uint32_t magic;
    struct io *io;
    uv_signal_t uv;
    io_signal_fn fn;
    void *user;
    struct list node; /* in io->signals */
};

static void on_signal(uv_signal_t *handle, int signum)
{
    struct io_signal *watch = OBJ_CAST(handle->data, struct io_signal, SIGNAL_MAGIC);

    io_enter(watch->io);
    watch->fn(watch->user, signum);
}

static void on_closed(uv_handle_t *handle)
{
    mem_free(OBJ_CAST(handle->data, struct io_signal, SIGNAL_MAGIC));
}

int io_signal_start(struct io *io, int signum, io_signal_fn fn, void *user)
{
    struct io_signal *watch;
    int rc;

    if (io->is_closing) {
        return ERR_CLOSED;
    }
    watch = mem_calloc(1, sizeof(*watch));
    if (watch == NULL) {
        return ERR_NOMEM;
    }
    watch->magic = SIGNAL_MAGIC;
    watch->io = io;
    watch->fn = fn;
    watch->user = user;
    rc = uv_signal_init(&io->loop, &watch->uv);
    if (rc != 0) {
        mem_free(watch);
        return rc;
    }
    watch->uv.data = watch;
    rc = uv_signal_start(&watch->uv, on_signal, signum);
    if (rc != 0) {
        uv_close((uv_handle_t *)&watch->uv, on_closed);
        return rc;
    }
    list_push_back(&io->signals, &watch->node);
    return 0;
}

void io_signals_close(struct io *io)
{
    struct list *node;

    while ((node = list_pop_front(&io->signals)) != NULL) {
        struct io_signal *watch = LIST_ENTRY(node, struct io_signal, node);

        uv_close((uv_handle_t *)&watch->uv, on_closed);
    }
}
