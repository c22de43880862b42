/* Happy path: the folder is made by a walk that trusts no stranger → the CA's files of an earlier
 * run are kept, or made → the configuration is written.
 *
 * Everything is the user's alone: the folder has mode 0700, the files 0600, and each is written
 * beside its name and renamed onto it. A folder that strangers can change is refused, also one that
 * somebody else has made in /tmp before. */
#include "daemon/dev.h"

#include "daemon/dev_ca.h"
#include "base/mem.h"
#include "io/safe_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FILE_MAX_BYTES 16384U
#define FOLDER_MAX_BYTES 490

/* --- files of the folder ---------------------------------------------------------------------- */

static int bytes_write(int fd, struct str bytes)
{
    while (bytes.len > 0) {
        ssize_t written = write(fd, bytes.ptr, bytes.len);

        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            return written < 0 ? -errno : ERR_IO;
        }
        bytes.ptr += written;
        bytes.len -= (size_t)written;
    }
    return 0;
}

static int file_write(int folder, const char *name, struct str bytes, struct err *e)
{
    char beside[64];
    int fd;
    int r;

    (void)snprintf(beside, sizeof(beside), ".%s.new", name);
    (void)unlinkat(folder, beside, 0);
    fd = openat(folder, beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    r = fd >= 0 ? bytes_write(fd, bytes) : -errno;
    if (fd >= 0 && close(fd) != 0 && r == 0) {
        r = -errno;
    }
    if (r == 0 && renameat(folder, beside, folder, name) != 0) {
        r = -errno;
    }
    return r == 0 ? 0 : err_set(e, r, "could not write %s for --dev: %s", name, err_str(r));
}

/* What is there, from now on for its owner alone; nothing when it can't be read. */
static void file_read(int folder, const char *name, struct buf *out)
{
    char chunk[4096];
    int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    ssize_t got = fd >= 0 && fchmod(fd, 0600) == 0 ? read(fd, chunk, sizeof(chunk)) : 0;

    while (got > 0 && buf_status(out) == 0) {
        buf_add(out, chunk, (size_t)got);
        got = read(fd, chunk, sizeof(chunk));
    }
    mem_wipe(chunk, sizeof(chunk));
    if (fd >= 0) {
        (void)close(fd);
    }
}

/* --- keys ------------------------------------------------------------------------------------- */

static int ca_prepare(int folder, struct err *e)
{
    int64_t now_s = (int64_t)time(NULL);
    BUF_AUTO key;
    BUF_AUTO certificate;
    int r;

    buf_init(&key, FILE_MAX_BYTES);
    buf_init(&certificate, FILE_MAX_BYTES);
    file_read(folder, "ca.key", &key);
    file_read(folder, "ca.pem", &certificate);
    if (dev_ca_is_good(buf_str(&key), buf_str(&certificate), now_s)) {
        return 0;
    }
    buf_reset(&key);
    buf_reset(&certificate);
    r = dev_ca_make(now_s, &key, &certificate);
    if (r != 0) {
        return err_set(e, r, "could not make a CA for --dev: %s", err_str(r));
    }
    r = file_write(folder, "ca.key", buf_str(&key), e);
    return r != 0 ? r : file_write(folder, "ca.pem", buf_str(&certificate), e);
}

static int ssh_ca_prepare(int folder, struct err *e)
{
    BUF_AUTO key;
    int r;

    buf_init(&key, FILE_MAX_BYTES);
    file_read(folder, "ssh_ca.key", &key);
    if (dev_key_is_good(buf_str(&key))) {
        return 0;
    }
    buf_reset(&key);
    r = dev_key_make(&key);
    return r == 0 ? file_write(folder, "ssh_ca.key", buf_str(&key), e)
                  : err_set(e, r, "could not make a key for --dev: %s", err_str(r));
}

/* --- the configuration ------------------------------------------------------------------------ */

static void config_write(const char *folder, uint32_t uid, struct buf *out)
{
    buf_printf(out,
               "# Written anew by each `leased --dev`: copy it to go on from it.\n"
               "listeners:\n"
               "  - {name: dev, unix: \"%s/leased.sock\", mode: \"0600\"}\n"
               "backends:\n"
               "  dev-ca:\n"
               "    plugin: localca\n"
               "    ca_key_file: \"%s/ca.key\"\n"
               "    ca_cert_file: \"%s/ca.pem\"\n"
               "    ssh_ca_key_file: \"%s/ssh_ca.key\"\n"
               "    crl_file: \"%s/ca.crl\"\n"
               "    krl_file: \"%s/ssh_ca.krl\"\n",
               folder, folder, folder, folder, folder, folder);
    buf_add_c(out, "roles:\n"
                   "  dev-cert:\n"
                   "    backend: dev-ca\n"
                   "    type: x509\n"
                   "    common_name: ${identity.user}\n"
                   "    uri: spiffe://leased.dev/user/${identity.uid}\n"
                   "    dns: [localhost]\n"
                   "    ip: [127.0.0.1, \"::1\"]\n"
                   "    usage: [client, server]\n"
                   "    ttl: 1h\n"
                   "  dev-ssh:\n"
                   "    backend: dev-ca\n"
                   "    type: ssh\n"
                   "    principals: [\"${identity.user}\"]\n"
                   "    extensions: [permit-pty, permit-port-forwarding, permit-agent-forwarding]\n"
                   "    ttl: 1h\n");
    buf_printf(out,
               "policies:\n"
               "  rules:\n"
               "    - {name: dev, subjects: [{uid: %u}], roles: [\"dev-*\"]}\n"
               "  admins:\n"
               "    - {subjects: [{uid: %u}]}\n"
               "audit:\n"
               "  - {sink: file, path: \"%s/audit.jsonl\"}\n"
               "state:\n"
               "  ledger: {sqlite: \"%s/ledger.db\"}\n",
               uid, uid, folder, folder);
}

static int config_prepare(int folder, struct dev *dev, struct err *e)
{
    BUF_AUTO text;

    buf_init(&text, FILE_MAX_BYTES);
    config_write(dev->folder, (uint32_t)geteuid(), &text);
    return buf_status(&text) == 0
               ? file_write(folder, "leased.yaml", buf_str(&text), e)
               : err_set(e, buf_status(&text), "could not write a configuration for --dev");
}

/* --- the folder ------------------------------------------------------------------------------- */

/* It stands between quotes in the configuration, and in what is to be typed. */
static bool is_plain(struct str path)
{
    for (size_t i = 0; i < path.len; i++) {
        if ((unsigned char)path.ptr[i] < 0x20 || path.ptr[i] == 0x7f || path.ptr[i] == '"' ||
            path.ptr[i] == '\'' || path.ptr[i] == '\\') {
            return false;
        }
    }
    return true;
}

static int folder_choose(struct str runtime_dir, struct dev *dev, struct err *e)
{
    bool has_dir = str_starts_with(runtime_dir, "/");
    int len =
        has_dir
            ? snprintf(dev->folder, sizeof(dev->folder), "%.*s/leased", STR_ARG(runtime_dir))
            : snprintf(dev->folder, sizeof(dev->folder), "/tmp/leased-%u", (unsigned int)geteuid());

    if (len < 0 || len > FOLDER_MAX_BYTES || !is_plain(runtime_dir)) {
        return err_set(e, ERR_INVALID,
                       "XDG_RUNTIME_DIR is no path that --dev can use; unset it, and /tmp is used");
    }
    (void)snprintf(dev->config_path, sizeof(dev->config_path), "%.*s/leased.yaml", FOLDER_MAX_BYTES,
                   dev->folder);
    return 0;
}

/* A second one would change the CA under the first. */
static int folder_lock(int folder, struct dev *dev, struct err *e)
{
    dev->lock = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dev->lock < 0 || fchmod(dev->lock, 0700) != 0) {
        return err_set(e, -errno, "could not open %s: %s", dev->folder, err_str(-errno));
    }
    return flock(dev->lock, LOCK_EX | LOCK_NB) == 0
               ? 0
               : err_set(e, ERR_BUSY, "another leased --dev runs in %s", dev->folder);
}

static int files_prepare(int folder, struct dev *dev, struct err *e)
{
    int r = ca_prepare(folder, e);

    if (r == 0) {
        r = ssh_ca_prepare(folder, e);
    }
    return r == 0 ? config_prepare(folder, dev, e) : r;
}

int dev_prepare(struct str runtime_dir, struct dev *ret_dev, struct err *e)
{
    const struct safe_dir_make make = {.mode = 0700};
    struct dev dev = {.lock = -1};
    int folder = -1;
    int r = folder_choose(runtime_dir, &dev, e);

    if (r == 0) {
        r = safe_dir_open(dev.folder, &make, &folder, e);
    }
    if (r == 0) {
        r = folder_lock(folder, &dev, e);
    }
    if (r == 0) {
        r = files_prepare(folder, &dev, e);
    }
    if (folder >= 0) {
        (void)close(folder);
    }
    if (r != 0) {
        dev_release(&dev);
        return r;
    }
    *ret_dev = dev;
    return 0;
}

void dev_release(struct dev *dev)
{
    if (dev->lock >= 0) {
        (void)close(dev->lock);
    }
    dev->lock = -1;
}

/* Does a shell take it as it is? */
static bool is_shell_word(const char *text)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./-";

    return text[strspn(text, plain)] == '\0';
}

void dev_guide(const struct dev *dev, struct buf *out)
{
    const char *quote = is_shell_word(dev->folder) ? "" : "'";

    buf_printf(out,
               "leased runs for development, with a CA of its own, for you alone. In another "
               "terminal:\n"
               "\n"
               "    export LEASED_ADDR=%sunix://%s/leased.sock%s\n"
               "    lease get dev-cert          # a certificate for TLS: you as client, localhost "
               "as server\n"
               "    lease get dev-ssh           # one to log in by SSH under your name\n"
               "    lease ls\n"
               "\n"
               "Who verifies them needs the CA's certificate, %s/ca.pem, or\n"
               "sshd its key:  ssh-keygen -y -f %s/ssh_ca.key\n"
               "The configuration, the audit trail and the lists of what is revoked are there, "
               "too.\n"
               "\n",
               quote, dev->folder, quote, dev->folder, dev->folder);
}
