/* One question, one answer, no dump.
 *
 * Happy path: the four addresses of a connection, seen from its other end → send → the kernel looks
 * into its table and queues the answer before send returns → recv.
 *
 * Failure paths: a socket that nobody has open any more (its process has ended, its last bytes are
 * still on their way) is in the table with inode 0 and uid 0: the owner is given as that, and the
 * caller must not take it for root. When the connection isn't in the table the kernel looks for
 * a socket that listens at the client's address, which may be anybody's: the answer's addresses are
 * compared. The cookie, which the kernel never gives out twice, tells the socket from a later one
 * with the same addresses. */
#include "io/diag.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/sock_diag.h>

/* An answer has 72 bytes and a few attributes, an error repeats the question. */
#define ANSWER_MAX_BYTES 1024U

/* Answers to questions whose own answer was given up. */
#define STALE_ANSWERS_MAX 16

static_assert(sizeof(struct diag_query) == NLMSG_HDRLEN + sizeof(struct inet_diag_req_v2),
              "header and request are sent as one");

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

void diag_init(struct diag *diag)
{
    *diag = (struct diag){.fd = -1};
}

void diag_fini(struct diag *diag)
{
    if (diag->fd >= 0) {
        (void)close(diag->fd);
        diag->fd = -1;
    }
}

/* The kernel keeps IPv4 connections in one table, whichever kind of socket they belong to. */
static void unmap(union address *address)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};

    if (address->any.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&address->v6.sin6_addr)) {
        v4.sin_port = address->v6.sin6_port;
        memcpy(&v4.sin_addr, &address->v6.sin6_addr.s6_addr[12], sizeof(v4.sin_addr));
        address->v4 = v4;
    }
}

static void put_address(const union address *address, __be32 out[4], __be16 *ret_port)
{
    if (address->any.sa_family == AF_INET) {
        memcpy(out, &address->v4.sin_addr, sizeof(address->v4.sin_addr));
        *ret_port = address->v4.sin_port;
    } else {
        memcpy(out, &address->v6.sin6_addr, sizeof(address->v6.sin6_addr));
        *ret_port = address->v6.sin6_port;
    }
}

/* `theirs` NULL: a socket that listens at `ours`. */
static void query_fill(struct diag_query *query, const union address *ours,
                       const union address *theirs)
{
    struct inet_diag_sockid *id = &query->request.id;

    memset(query, 0, sizeof(*query));
    query->header.nlmsg_len = sizeof(*query);
    query->header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    query->header.nlmsg_flags = NLM_F_REQUEST;
    query->request.sdiag_family = (uint8_t)ours->any.sa_family;
    query->request.sdiag_protocol = IPPROTO_TCP;
    id->idiag_cookie[0] = INET_DIAG_NOCOOKIE;
    id->idiag_cookie[1] = INET_DIAG_NOCOOKIE;
    if (theirs != NULL) {
        /* Their own address comes first: it is their socket that is meant. */
        put_address(theirs, id->idiag_src, &id->idiag_sport);
        put_address(ours, id->idiag_dst, &id->idiag_dport);
    } else {
        put_address(ours, id->idiag_src, &id->idiag_sport);
    }
}

int diag_query_init(struct diag_query *query, int accepted_fd)
{
    union address ours;
    union address theirs;
    socklen_t ours_size = sizeof(ours);
    socklen_t theirs_size = sizeof(theirs);

    memset(&ours, 0, sizeof(ours));
    memset(&theirs, 0, sizeof(theirs));
    if (getsockname(accepted_fd, &ours.any, &ours_size) != 0 ||
        getpeername(accepted_fd, &theirs.any, &theirs_size) != 0) {
        return ERR_GONE;
    }
    unmap(&ours);
    unmap(&theirs);
    query_fill(query, &ours, &theirs);
    return 0;
}

/* The answer may show an IPv4 connection in its IPv6 clothes. */
static bool is_address(const struct inet_diag_msg *answer, const __be32 have[4],
                       const struct inet_diag_req_v2 *request, const __be32 wanted[4])
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

    if (answer->idiag_family == request->sdiag_family) {
        return memcmp(have, wanted, request->sdiag_family == AF_INET ? 4 : 16) == 0;
    }
    return answer->idiag_family == AF_INET6 && memcmp(have, mapped, sizeof(mapped)) == 0 &&
           have[3] == wanted[0];
}

static bool is_ours(const struct inet_diag_msg *answer, const struct inet_diag_req_v2 *request)
{
    const struct inet_diag_sockid *have = &answer->id;
    const struct inet_diag_sockid *wanted = &request->id;

    return have->idiag_sport == wanted->idiag_sport && have->idiag_dport == wanted->idiag_dport &&
           is_address(answer, have->idiag_src, request, wanted->idiag_src) &&
           is_address(answer, have->idiag_dst, request, wanted->idiag_dst);
}

/* 0, or what the kernel's error means. */
static int status_of(int error)
{
    switch (error) {
    case ENOENT: /* older and newer kernels differ in what a wrong cookie is */
    case ESTALE:
        return ERR_GONE;
    case EINVAL:
    case EOPNOTSUPP:
    case EPROTONOSUPPORT:
        return ERR_UNSUPPORTED;
    default:
        return ERR_UNAVAILABLE;
    }
}

static int take_answer(struct diag_query *query, const struct nlmsghdr *header, size_t size,
                       struct diag_owner *ret_owner)
{
    struct nlmsgerr error;
    struct inet_diag_msg answer;
    struct inet_diag_sockid *id = &query->request.id;

    if (header->nlmsg_type == NLMSG_ERROR && size >= NLMSG_LENGTH(sizeof(error))) {
        memcpy(&error, NLMSG_DATA(header), sizeof(error));
        return status_of(-error.error);
    }
    if (header->nlmsg_type != SOCK_DIAG_BY_FAMILY || size < NLMSG_LENGTH(sizeof(answer))) {
        return ERR_UNAVAILABLE;
    }
    memcpy(&answer, NLMSG_DATA(header), sizeof(answer));
    if (!is_ours(&answer, &query->request)) {
        return ERR_GONE;
    }
    if (id->idiag_cookie[0] == INET_DIAG_NOCOOKIE && id->idiag_cookie[1] == INET_DIAG_NOCOOKIE) {
        memcpy(id->idiag_cookie, answer.id.idiag_cookie, sizeof(id->idiag_cookie));
    } else if (memcmp(id->idiag_cookie, answer.id.idiag_cookie, sizeof(id->idiag_cookie)) != 0) {
        return ERR_GONE;
    }
    *ret_owner = (struct diag_owner){.uid = answer.idiag_uid, .inode = answer.idiag_inode};
    return 0;
}

int diag_look_up(struct diag *diag, struct diag_query *query, struct diag_owner *ret_owner)
{
    union {
        struct nlmsghdr header;
        char bytes[ANSWER_MAX_BYTES];
    } answer;
    int attempt;

    if (diag->fd < 0) {
        return ERR_UNSUPPORTED;
    }
    query->header.nlmsg_seq = ++diag->sequence;
    if (send(diag->fd, query, sizeof(*query), MSG_DONTWAIT) != (ssize_t)sizeof(*query)) {
        return ERR_UNAVAILABLE;
    }
    for (attempt = 0; attempt < STALE_ANSWERS_MAX; attempt++) {
        ssize_t size = recv(diag->fd, &answer, sizeof(answer), MSG_DONTWAIT);

        if (size < (ssize_t)sizeof(answer.header)) {
            return ERR_UNAVAILABLE;
        }
        if (answer.header.nlmsg_seq == diag->sequence) {
            return take_answer(query, &answer.header, (size_t)size, ret_owner);
        }
    }
    return ERR_UNAVAILABLE;
}

static int try_out(struct diag *diag, int listening_fd)
{
    union address ours;
    socklen_t size = sizeof(ours);
    struct diag_query query;
    struct diag_owner owner;

    memset(&ours, 0, sizeof(ours));
    if (getsockname(listening_fd, &ours.any, &size) != 0) {
        return ERR_UNSUPPORTED;
    }
    unmap(&ours);
    query_fill(&query, &ours, NULL);
    return diag_look_up(diag, &query, &owner) == 0 ? 0 : ERR_UNSUPPORTED;
}

int diag_open(struct diag *diag, int listening_fd)
{
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};

    if (diag->fd >= 0) {
        return 0;
    }
    diag->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);
    if (diag->fd < 0) {
        return ERR_UNSUPPORTED;
    }
    /* Nobody but the kernel is heard. */
    if (connect(diag->fd, (const struct sockaddr *)&kernel, sizeof(kernel)) != 0 ||
        try_out(diag, listening_fd) != 0) {
        diag_fini(diag);
        return ERR_UNSUPPORTED;
    }
    return 0;
}
