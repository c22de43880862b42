/* One exchange of a test, with what came back kept. */
#ifndef LEASED_TESTS_IO_HTTP_CALL_H
#define LEASED_TESTS_IO_HTTP_CALL_H

#include "env/http.h"
#include "io/loop_fixture.h"
#include "io/http_peer.h"

#define CALL_BODY_MAX_BYTES 2048U

struct call {
    struct env_http http;
    char url[256];
    bool is_done;
    unsigned runs; /* of the callback */
    int status;
    uint32_t http_status;
    char body[CALL_BODY_MAX_BYTES];
    size_t body_len;
    size_t header_count;
    char retry_after[32]; /* the header of that name */
    char detail[256];
    bool *also; /* NULL, or set when done */
};

/* A GET of the peer's path with a total time of 20 s. */
void call_init(struct call *call, const struct peer *peer, const char *path);
void call_start(struct loop *loop, struct call *call);
/* Starts it and turns the loop until it is done. Returns its status. */
int call_run(struct loop *loop, struct call *call);

#endif
