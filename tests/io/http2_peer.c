#include "io/http2_peer.h"

#include "io/loop_fixture.h"

#include <string.h>

#include <openssl/ssl.h>

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define FRAME_MAX_BYTES 16384U
#define ENDLESS_BYTES (4U * 1024U * 1024U)

enum frame_type {
    FRAME_DATA = 0,
    FRAME_HEADERS = 1,
    FRAME_RST_STREAM = 3,
    FRAME_SETTINGS = 4,
    FRAME_PING = 6,
    FRAME_GOAWAY = 7,
};

enum frame_flags {
    FLAG_END_STREAM = 1,
    FLAG_ACK = 1,
    FLAG_END_HEADERS = 4,
};

struct frame {
    size_t size;
    unsigned type;
    unsigned flags;
    uint32_t stream;
    unsigned char payload[FRAME_MAX_BYTES];
};

/* --- frames ----------------------------------------------------------------------------------- */

static bool read_all(struct peer_conn *conn, unsigned char *bytes, size_t size)
{
    size_t len = 0;

    while (len < size) {
        int got = SSL_read(conn->tls, bytes + len, (int)(size - len));

        if (got <= 0) {
            return false;
        }
        len += (size_t)got;
    }
    return true;
}

static bool read_frame(struct peer_conn *conn, struct frame *frame)
{
    unsigned char head[9];

    if (!read_all(conn, head, sizeof(head))) {
        return false;
    }
    frame->size = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
    frame->type = head[3];
    frame->flags = head[4];
    frame->stream = ((uint32_t)head[5] << 24 | (uint32_t)head[6] << 16 | (uint32_t)head[7] << 8 |
                     (uint32_t)head[8]) &
                    0x7fffffffU;
    return frame->size <= sizeof(frame->payload) && read_all(conn, frame->payload, frame->size);
}

static bool write_frame(struct peer_conn *conn, enum frame_type type, unsigned flags,
                        uint32_t stream, struct str payload)
{
    unsigned char head[9] = {(unsigned char)(payload.len >> 16),
                             (unsigned char)(payload.len >> 8),
                             (unsigned char)payload.len,
                             (unsigned char)type,
                             (unsigned char)flags,
                             (unsigned char)(stream >> 24),
                             (unsigned char)(stream >> 16),
                             (unsigned char)(stream >> 8),
                             (unsigned char)stream};

    return peer_write_bytes(conn, head, sizeof(head)) &&
           peer_write_bytes(conn, payload.ptr, payload.len);
}

/* --- streams ---------------------------------------------------------------------------------- */

/* 0x88 is ":status: 200" of the static table. */
static bool begin_answer(struct peer_conn *conn, uint32_t stream)
{
    return write_frame(conn, FRAME_HEADERS, FLAG_END_HEADERS, stream, STR("\x88"));
}

static bool answer(struct peer_conn *conn, uint32_t stream)
{
    char name[64];
    struct str body = str_of(http_ca_shown_name(conn->tls, name));

    return begin_answer(conn, stream) &&
           write_frame(conn, FRAME_DATA, FLAG_END_STREAM, stream, body.len > 0 ? body : STR("two"));
}

static bool answer_endless(struct peer_conn *conn, uint32_t stream)
{
    static const char bytes[8192];
    bool is_open = begin_answer(conn, stream);
    size_t sent;

    for (sent = 0; is_open && sent < ENDLESS_BYTES; sent += sizeof(bytes)) {
        is_open = write_frame(conn, FRAME_DATA, 0, stream,
                              (struct str){.ptr = bytes, .len = sizeof(bytes)});
    }
    return is_open;
}

static bool reset(struct peer_conn *conn, uint32_t stream)
{
    return write_frame(conn, FRAME_RST_STREAM, 0, stream, STR("\0\0\0\x02"));
}

/* Answers the stream and takes none behind it. */
static bool say_goodbye(struct peer_conn *conn, uint32_t stream)
{
    const char bytes[8] = {0, 0, 0, (char)stream, 0, 0, 0, 0};

    (void)write_frame(conn, FRAME_GOAWAY, 0, 0, (struct str){.ptr = bytes, .len = sizeof(bytes)});
    (void)answer(conn, stream);
    return false;
}

static bool act(struct peer_conn *conn, uint32_t stream)
{
    struct http2_peer *h2 = conn->user;
    size_t place = atomic_fetch_add(&h2->streams, 1);

    switch (place < strlen(h2->acts) ? h2->acts[place] : 'a') {
    case 'h':
        h2->held = stream;
        return true;
    case 'r':
        return reset(conn, stream);
    case 'e':
        return answer_endless(conn, stream);
    case 'g':
        return say_goodbye(conn, stream);
    default:
        return answer(conn, stream);
    }
}

static bool take_frame(struct peer_conn *conn, const struct frame *frame)
{
    struct http2_peer *h2 = conn->user;
    struct str payload = {.ptr = (const char *)frame->payload, .len = frame->size};

    switch (frame->type) {
    case FRAME_HEADERS:
    case FRAME_DATA:
        return (frame->flags & FLAG_END_STREAM) == 0 || act(conn, frame->stream);
    case FRAME_RST_STREAM:
        /* curl 7.88 resets those that have ended, too. */
        (void)atomic_fetch_add(&h2->held_resets, frame->stream == h2->held ? 1 : 0);
        return true;
    case FRAME_SETTINGS:
        return (frame->flags & FLAG_ACK) != 0 ||
               write_frame(conn, FRAME_SETTINGS, FLAG_ACK, 0, STR(""));
    case FRAME_PING:
        return (frame->flags & FLAG_ACK) != 0 ||
               write_frame(conn, FRAME_PING, FLAG_ACK, 0, payload);
    default:
        return frame->type != FRAME_GOAWAY;
    }
}

static void speak_2(struct peer_conn *conn)
{
    unsigned char preface[sizeof(PREFACE) - 1];
    struct frame frame;
    bool is_open = read_all(conn, preface, sizeof(preface)) &&
                   memcmp(preface, PREFACE, sizeof(preface)) == 0 &&
                   write_frame(conn, FRAME_SETTINGS, 0, 0, STR(""));

    while (is_open && read_frame(conn, &frame)) {
        is_open = take_frame(conn, &frame);
    }
}

static void script(struct peer_conn *conn)
{
    struct http2_peer *h2 = conn->user;
    const unsigned char *name;
    unsigned len;

    SSL_get0_alpn_selected(conn->tls, &name, &len);
    if (len == 2 && memcmp(name, "h2", 2) == 0) {
        (void)atomic_fetch_add(&h2->connections_2, 1);
        speak_2(conn);
    } else {
        (void)atomic_fetch_add(&h2->connections_1, 1);
        peer_script_ok(conn);
    }
}

/* --- the peer --------------------------------------------------------------------------------- */

/* style-ok: params: OpenSSL's signature */
static int select_protocol(SSL *tls, const unsigned char **out, unsigned char *out_len,
                           const unsigned char *offered, unsigned offered_len, void *user)
{
    static const unsigned char wanted[] = "\x02h2\x08http/1.1";
    unsigned char *selected;

    (void)tls;
    (void)user;
    if (SSL_select_next_proto(&selected, out_len, wanted, sizeof(wanted) - 1, offered,
                              offered_len) != OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_NOACK;
    }
    *out = selected;
    return SSL_TLSEXT_ERR_OK;
}

void http2_peer_start(struct http2_peer *h2, struct http_ca *ca, const char *acts, unsigned flags)
{
    struct peer_options options = {.script = script, .user = h2};

    *h2 = (struct http2_peer){.acts = acts};
    options.tls = http_ca_server(ca, "localhost", flags);
    SSL_CTX_set_alpn_select_cb(options.tls, select_protocol, NULL);
    h2->peer = peer_new(&options);
}

void http2_peer_stop(struct http2_peer *h2)
{
    peer_free(h2->peer);
}
