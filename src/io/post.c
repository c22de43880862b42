/* Calls from other threads: a queue behind a lock and one uv_async that wakes the loop. libuv
 * merges wake-ups, so each one empties the queue. */
#include "base/mem.h"
#include "io/io_internal.h"

struct post {
    void (*fn)(void *user);
    void *user;
    struct list node;
};

static void run_posts(struct io *io)
{
    struct list due;
    struct list *node;

    list_init(&due);
    uv_mutex_lock(&io->posts.lock);
    list_splice(&due, &io->posts.queue);
    io->posts.count = 0;
    uv_mutex_unlock(&io->posts.lock);
    while ((node = list_pop_front(&due)) != NULL) {
        struct post *post = LIST_ENTRY(node, struct post, node);
        void (*fn)(void *user) = post->fn;
        void *user = post->user;

        mem_free(post);
        fn(user);
    }
}

static void on_wake(uv_async_t *handle)
{
    struct io *io = OBJ_CAST(handle->data, struct io, IO_MAGIC);

    io_enter(io);
    run_posts(io);
}

int io_posts_init(struct io *io)
{
    int rc;

    list_init(&io->posts.queue);
    io->posts.is_closed = true;
    rc = uv_mutex_init(&io->posts.lock);
    if (rc != 0) {
        return rc;
    }
    rc = uv_async_init(&io->loop, &io->posts.wake, on_wake);
    if (rc != 0) {
        uv_mutex_destroy(&io->posts.lock);
        return rc;
    }
    io->posts.wake.data = io;
    io->posts.is_closed = false;
    return 0;
}

int io_post(struct env *env, void (*fn)(void *user), void *user)
{
    struct io *io = io_of(env);
    struct post *post = mem_alloc(sizeof(*post));
    int rc = 0;

    if (post == NULL) {
        return ERR_NOMEM;
    }
    *post = (struct post){.fn = fn, .user = user};
    uv_mutex_lock(&io->posts.lock);
    if (io->posts.is_closed) {
        rc = ERR_CLOSED;
    } else if (io->posts.count >= IO_POSTS_MAX) {
        rc = ERR_LIMIT;
    } else {
        list_push_back(&io->posts.queue, &post->node);
        io->posts.count++;
        /* Inside the lock, so that the handle isn't closed between the check and the wake-up. */
        (void)uv_async_send(&io->posts.wake);
    }
    uv_mutex_unlock(&io->posts.lock);
    if (rc != 0) {
        mem_free(post);
    }
    return rc;
}

void io_posts_close(struct io *io)
{
    if (io->posts.wake.data == NULL) {
        return; /* io_posts_init failed. */
    }
    uv_mutex_lock(&io->posts.lock);
    io->posts.is_closed = true;
    uv_mutex_unlock(&io->posts.lock);
    run_posts(io);
    uv_close((uv_handle_t *)&io->posts.wake, NULL);
}

void io_posts_fini(struct io *io)
{
    if (io->posts.wake.data != NULL) {
        uv_mutex_destroy(&io->posts.lock);
    }
}
