/* One frame after the other is read and answered. A client that doesn't take its answers, sends
 * what is no frame, or belongs to somebody else is hung up on; the others don't wait for it. */
#include "cli/ssh_socket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 16

static int fail(struct err *e, const char *what, const char *path)
{
    return err_set(e, ERR_IO, "could not %s %s: %s", what, path, err_str(-errno));
}

/* --- the place --- */

/* XDG_RUNTIME_DIR may be another user's, after su. */
static int make_folder(struct ssh_socket *socket, struct err *e)
{
    const char *roots[] = {getenv("XDG_RUNTIME_DIR"), "/tmp"};
    size_t i;

    for (i = 0; i < ARRAY_LEN(roots); i++) {
        const char *root = roots[i] != NULL && roots[i][0] == '/' ? roots[i] : "/tmp";
        int len = snprintf(socket->folder, sizeof(socket->folder), "%s/lease-ssh-XXXXXX", root);

        if (len > 0 && (size_t)len < sizeof(socket->folder) && mkdtemp(socket->folder) != NULL) {
            (void)snprintf(socket->path, sizeof(socket->path), "%s/agent", socket->folder);
            return 0;
        }
    }
    socket->folder[0] = '\0';
    return fail(e, "make a folder in", "/tmp");
}

static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    memcpy(address.sun_path, path, strlen(path) + 1);
    return address;
}

/* What an agent that was killed has left; nothing else. */
static int clear_place(const char *path, struct err *e)
{
    struct sockaddr_un address = address_of(path);
    struct stat info;
    int fd;
    int refused;

    if (lstat(path, &info) != 0) {
        return errno == ENOENT ? 0 : fail(e, "look at", path);
    }
    if (!S_ISSOCK(info.st_mode) || info.st_uid != geteuid()) {
        return err_set(e, ERR_EXISTS, "%s exists, and is no socket of yours", path);
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return fail(e, "make a socket for", path);
    }
    refused = connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0 &&
              errno == ECONNREFUSED;
    (void)close(fd);
    if (!refused) {
        return err_set(e, ERR_EXISTS, "somebody listens at %s already", path);
    }
    return unlink(path) == 0 ? 0 : fail(e, "replace", path);
}

static int listen_there(struct ssh_socket *it, struct err *e)
{
    struct sockaddr_un address = address_of(it->path);
    mode_t old;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int r;

    if (fd < 0) {
        return fail(e, "make a socket for", it->path);
    }
    old = umask(0177);
    r = bind(fd, (const struct sockaddr *)&address, sizeof(address));
    (void)umask(old);
    if (r != 0 || listen(fd, BACKLOG) != 0) {
        r = fail(e, "listen at", it->path);
        (void)close(fd);
        return r;
    }
    it->fd = fd;
    return 0;
}

int ssh_socket_open(struct ssh_socket *socket, const char *path, struct err *e)
{
    int status = 0;
    size_t i;

    *socket = (struct ssh_socket){.fd = -1};
    for (i = 0; i < SSH_SOCKET_CLIENTS_MAX; i++) {
        socket->clients[i].fd = -1;
    }
    if (path == NULL) {
        status = make_folder(socket, e);
    } else if (path[0] == '\0' || strlen(path) >= sizeof(socket->path)) {
        status = err_set(e, ERR_INVALID, "the path of a socket has 1 to %zu bytes",
                         sizeof(socket->path) - 1);
    } else {
        (void)snprintf(socket->path, sizeof(socket->path), "%s", path);
        status = clear_place(socket->path, e);
    }
    return status == 0 ? listen_there(socket, e) : status;
}

/* --- clients --- */

static void hang_up(struct ssh_client *client)
{
    (void)close(client->fd);
    client->fd = -1;
    buf_fini(&client->read);
}

void ssh_socket_close(struct ssh_socket *socket)
{
    size_t i;

    for (i = 0; i < SSH_SOCKET_CLIENTS_MAX; i++) {
        if (socket->clients[i].fd >= 0) {
            hang_up(&socket->clients[i]);
        }
    }
    if (socket->fd >= 0) {
        (void)close(socket->fd);
        (void)unlink(socket->path);
    }
    if (socket->folder[0] != '\0') {
        (void)rmdir(socket->folder);
    }
    socket->fd = -1;
}

static bool is_own(int fd)
{
    struct ucred peer = {.uid = (uid_t)-1};
    socklen_t size = sizeof(peer);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == geteuid();
}

static void take_client(struct ssh_socket *socket)
{
    int fd = accept4(socket->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    size_t i = 0;

    while (i < SSH_SOCKET_CLIENTS_MAX && socket->clients[i].fd >= 0) {
        i++;
    }
    if (fd >= 0 && (i == SSH_SOCKET_CLIENTS_MAX || !is_own(fd))) {
        (void)close(fd);
    } else if (fd >= 0) {
        socket->clients[i].fd = fd;
        buf_init(&socket->clients[i].read, SSH_AGENT_FRAME_MAX_BYTES + sizeof(uint32_t));
    }
}

static bool answer_one(const struct ssh_client *client, const struct ssh_agent_request *request,
                       struct ssh_keyring *keyring)
{
    BUF_AUTO out;

    buf_init(&out, SSH_AGENT_FRAME_MAX_BYTES);
    ssh_keyring_answer(keyring, request, &out);
    return buf_status(&out) == 0 &&
           send(client->fd, out.bytes, out.len, MSG_NOSIGNAL) == (ssize_t)out.len;
}

/* Answers what is whole; false: hang up. */
static bool answer(struct ssh_client *client, struct ssh_keyring *keyring)
{
    struct ssh_agent_request request;
    size_t size = 0;

    while (ssh_agent_read(buf_str(&client->read), &request, &size) == 0) {
        if (size == 0) {
            return true;
        }
        if (!answer_one(client, &request, keyring)) {
            return false;
        }
        memmove(client->read.bytes, client->read.bytes + size, client->read.len - size);
        client->read.len -= size;
    }
    return false;
}

static bool serve_client(struct ssh_client *client, struct ssh_keyring *keyring)
{
    char piece[4096];
    ssize_t size = recv(client->fd, piece, sizeof(piece), 0);

    if (size <= 0) {
        return size < 0 && (errno == EAGAIN || errno == EINTR);
    }
    buf_add(&client->read, piece, (size_t)size);
    return buf_status(&client->read) == 0 && answer(client, keyring);
}

void ssh_socket_poll(const struct ssh_socket *socket, struct pollfd *polls)
{
    size_t i;

    polls[0] = (struct pollfd){.fd = socket->fd, .events = POLLIN};
    for (i = 0; i < SSH_SOCKET_CLIENTS_MAX; i++) {
        polls[1 + i] = (struct pollfd){.fd = socket->clients[i].fd, .events = POLLIN};
    }
}

void ssh_socket_serve(struct ssh_socket *socket, const struct pollfd *polls,
                      struct ssh_keyring *keyring)
{
    size_t i;

    for (i = 0; i < SSH_SOCKET_CLIENTS_MAX; i++) {
        struct ssh_client *client = &socket->clients[i];

        if (polls[1 + i].revents != 0 && client->fd >= 0 && !serve_client(client, keyring)) {
            hang_up(client);
        }
    }
    if (polls[0].revents != 0) {
        take_client(socket);
    }
}
