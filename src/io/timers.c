/* All env timers behind one libuv timer.
 *
 * Before each poll the libuv timer is set to the earliest deadline, at least 1 ms ahead (libuv 1.44
 * runs a timer of 0 ms again in the same pass and starves I/O) and at most IO_TIMER_RECHECK_MS (its
 * clock stops in suspend, ours doesn't). When it fires, the timers that are due leave the heap
 * together, in order, and then run; so one that its callback arms in the past runs in the next
 * turn, not in this one.
 *
 * Arming can't fail: when the heap can't grow, the timer waits in a list that each pass looks
 * through. */
#include "io/io_internal.h"

#include "base/mem.h"

/* heap_index of a timer that is in a list (due or unsorted) instead of the heap. */
#define TIMER_LISTED SIZE_MAX

#define TIMERS_FIRST_CAPACITY 64U

static bool timer_is_before(const struct env_timer *a, const struct env_timer *b)
{
    return a->when_ms < b->when_ms || (a->when_ms == b->when_ms && a->sequence < b->sequence);
}

static void heap_put(struct io_timers *timers, size_t index, struct env_timer *timer)
{
    timers->heap[index] = timer;
    timer->heap_index = index;
}

static void heap_rise(struct io_timers *timers, size_t index)
{
    struct env_timer *timer = timers->heap[index];

    while (index > 1 && timer_is_before(timer, timers->heap[index / 2])) {
        heap_put(timers, index, timers->heap[index / 2]);
        index /= 2;
    }
    heap_put(timers, index, timer);
}

static void heap_sink(struct io_timers *timers, size_t index)
{
    struct env_timer *timer = timers->heap[index];

    while (index * 2 <= timers->count) {
        size_t child = index * 2;

        if (child < timers->count &&
            timer_is_before(timers->heap[child + 1], timers->heap[child])) {
            child++;
        }
        if (!timer_is_before(timers->heap[child], timer)) {
            break;
        }
        heap_put(timers, index, timers->heap[child]);
        index = child;
    }
    heap_put(timers, index, timer);
}

static int heap_add(struct io_timers *timers, struct env_timer *timer)
{
    if (timers->count + 1 >= timers->capacity) {
        size_t capacity = timers->capacity > 0 ? timers->capacity * 2 : TIMERS_FIRST_CAPACITY;
        struct env_timer **heap = mem_realloc(timers->heap, capacity * sizeof(*heap));

        if (heap == NULL) {
            return ERR_NOMEM;
        }
        timers->heap = heap;
        timers->capacity = capacity;
    }
    timers->count++;
    timers->heap[timers->count] = timer;
    heap_rise(timers, timers->count);
    return 0;
}

static void heap_remove(struct io_timers *timers, struct env_timer *timer)
{
    size_t index = timer->heap_index;
    struct env_timer *last = timers->heap[timers->count];

    CHECK(index >= 1 && index <= timers->count);
    CHECK(timers->heap[index] == timer);
    timers->count--;
    timer->heap_index = 0;
    if (last == timer) {
        return;
    }
    timers->heap[index] = last;
    heap_rise(timers, index);
    heap_sink(timers, last->heap_index);
}

static void place(struct io_timers *timers, struct env_timer *timer)
{
    if (heap_add(timers, timer) != 0) {
        timer->heap_index = TIMER_LISTED;
        list_push_back(&timers->unsorted, &timer->node);
    }
}

/* Tries again to find room for the timers that had none. */
static void place_unsorted(struct io_timers *timers)
{
    struct list waiting;
    struct list *node;

    list_init(&waiting);
    list_splice(&waiting, &timers->unsorted);
    while ((node = list_pop_front(&waiting)) != NULL) {
        place(timers, LIST_ENTRY(node, struct env_timer, node));
    }
}

static void collect_due(struct io_timers *timers, uint64_t now_ms, struct list *due)
{
    struct list *node;
    struct list *following;

    place_unsorted(timers);
    while (timers->count > 0 && timers->heap[1]->when_ms <= now_ms) {
        struct env_timer *timer = timers->heap[1];

        heap_remove(timers, timer);
        timer->heap_index = TIMER_LISTED;
        list_push_back(due, &timer->node);
    }
    for (node = timers->unsorted.next; node != &timers->unsorted; node = following) {
        following = node->next;
        if (LIST_ENTRY(node, struct env_timer, node)->when_ms <= now_ms) {
            list_move_back(due, node);
        }
    }
}

static void on_timer(uv_timer_t *handle)
{
    struct io *io = OBJ_CAST(handle->data, struct io, IO_MAGIC);
    struct list due;
    struct list *node;

    io_enter(io);
    list_init(&due);
    collect_due(&io->timers, io_now_ms(&io->env), &due);
    while ((node = list_pop_front(&due)) != NULL) {
        struct env_timer *timer = LIST_ENTRY(node, struct env_timer, node);

        timer->heap_index = 0;
        timer->fn(timer); /* the timer may be gone */
    }
}

void io_timer_arm(struct env *env, struct env_timer *timer, uint64_t when_ms)
{
    struct io *io = io_of(env);

    CHECK(timer->fn != NULL);
    io_timer_disarm(env, timer);
    timer->when_ms = when_ms;
    timer->sequence = io->timers.next_sequence++;
    place(&io->timers, timer);
}

void io_timer_disarm(struct env *env, struct env_timer *timer)
{
    struct io *io = io_of(env);

    if (timer->heap_index == TIMER_LISTED) {
        list_remove(&timer->node);
        timer->heap_index = 0;
    } else if (timer->heap_index != 0) {
        heap_remove(&io->timers, timer);
    }
}

void io_timers_schedule(struct io *io)
{
    struct io_timers *timers = &io->timers;
    uint64_t now_ms = io_now_ms(&io->env);
    uint64_t delay_ms = IO_TIMER_RECHECK_MS;

    if (timers->count == 0 && list_is_empty(&timers->unsorted)) {
        (void)uv_timer_stop(&timers->uv);
        return;
    }
    if (!list_is_empty(&timers->unsorted)) {
        delay_ms = 1; /* Memory is short: look again soon instead of searching the list. */
    } else if (timers->heap[1]->when_ms <= now_ms) {
        delay_ms = 1;
    } else if (timers->heap[1]->when_ms - now_ms < delay_ms) {
        delay_ms = timers->heap[1]->when_ms - now_ms;
    }
    (void)uv_timer_start(&timers->uv, on_timer, delay_ms, 0);
}

void io_timers_init(struct io *io)
{
    list_init(&io->timers.unsorted);
    (void)uv_timer_init(&io->loop, &io->timers.uv);
    io->timers.uv.data = io;
}

void io_timers_close(struct io *io)
{
    while (io->timers.count > 0) {
        heap_remove(&io->timers, io->timers.heap[io->timers.count]);
    }
    uv_close((uv_handle_t *)&io->timers.uv, NULL);
}

void io_timers_fini(struct io *io)
{
    mem_free(io->timers.heap);
    io->timers.heap = NULL;
}
