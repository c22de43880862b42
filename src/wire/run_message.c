/* Happy path: kind, id, then the fields of that kind, each text behind its length.
 *
 * The rules are checked by one function for both directions, so that nothing is written that isn't
 * read. */
#include "wire/run_message.h"

#include "wire/utf8.h"

struct variable {
    const char *name;
    size_t max_bytes;
};

static const struct variable variables[] = {
#define X(name, text, max) {text, max},
    RUN_VARIABLES(X)
#undef X
};

/* What is left to be read. */
struct reader {
    const unsigned char *at;
    size_t left;
    bool is_wrong;
};

const char *run_variable_name(enum run_variable variable)
{
    return variables[variable].name;
}

enum run_variable run_variable_find(struct str name)
{
    size_t i;

    for (i = 0; i < RUN_VARIABLE_COUNT && !str_eq_c(name, variables[i].name); i++) {
    }
    return (enum run_variable)i;
}

/* ---- rules ------------------------------------------------------------------ */

/* One line of characters: what it becomes part of stays what it is. */
static bool is_line(struct str text)
{
    while (text.len > 0) {
        uint32_t code_point = 0;
        size_t len = utf8_decode(text, &code_point);

        if (len == 0 || code_point < 0x20 || (code_point >= 0x7f && code_point < 0xa0)) {
            return false;
        }
        text.ptr += len;
        text.len -= len;
    }
    return true;
}

static bool is_name(struct str name)
{
    return name.len > 0 && name.len <= RUN_NAME_MAX_BYTES && is_line(name);
}

static bool start_is_right(const struct run_message *message)
{
    size_t i;

    for (i = 0; i < RUN_VARIABLE_COUNT; i++) {
        if (message->values[i].len > variables[i].max_bytes || !is_line(message->values[i])) {
            return false;
        }
    }
    return is_name(message->backend) && is_name(message->program) &&
           message->input.len <= RUN_INPUT_MAX_BYTES;
}

static bool end_is_right(const struct run_message *message)
{
    return message->outcome >= RUN_EXITED && message->outcome <= RUN_CANCELED &&
           message->output.len <= RUN_OUTPUT_MAX_BYTES && message->text.len <= RUN_TEXT_MAX_BYTES &&
           is_line(message->text);
}

static bool is_right(const struct run_message *message)
{
    switch (message->kind) {
    case RUN_START:
        return start_is_right(message);
    case RUN_CANCEL:
        return true;
    case RUN_END:
        return end_is_right(message);
    default:
        return false;
    }
}

/* ---- writing ---------------------------------------------------------------- */

static void put_u32(struct buf *out, size_t value)
{
    const unsigned char bytes[] = {(unsigned char)(value >> 24), (unsigned char)(value >> 16),
                                   (unsigned char)(value >> 8), (unsigned char)value};

    buf_add(out, bytes, sizeof(bytes));
}

static void put_text(struct buf *out, struct str text)
{
    put_u32(out, text.len);
    buf_add_str(out, text);
}

int run_message_write(const struct run_message *message, struct buf *out)
{
    size_t i;

    if (!is_right(message)) {
        return ERR_INVALID;
    }
    buf_add_char(out, (char)message->kind);
    put_u32(out, message->id);
    if (message->kind == RUN_START) {
        put_text(out, message->backend);
        put_text(out, message->program);
        for (i = 0; i < RUN_VARIABLE_COUNT; i++) {
            put_text(out, message->values[i]);
        }
        put_text(out, message->input);
    } else if (message->kind == RUN_END) {
        buf_add_char(out, (char)message->outcome);
        buf_add_char(out, (char)message->exit_code);
        put_text(out, message->output);
        put_text(out, message->text);
    }
    return buf_status(out);
}

/* ---- reading ---------------------------------------------------------------- */

static uint8_t get_u8(struct reader *reader)
{
    if (reader->left == 0) {
        reader->is_wrong = true;
        return 0;
    }
    reader->left--;
    return *reader->at++;
}

static uint32_t get_u32(struct reader *reader)
{
    uint32_t value = 0;
    size_t i;

    for (i = 0; i < sizeof(value); i++) {
        value = value << 8 | get_u8(reader);
    }
    return value;
}

static struct str get_text(struct reader *reader)
{
    size_t len = get_u32(reader);
    struct str text = {.ptr = (const char *)reader->at, .len = len};

    if (reader->is_wrong || len > reader->left) {
        reader->is_wrong = true;
        return (struct str){.len = 0};
    }
    reader->at += len;
    reader->left -= len;
    return text;
}

int run_message_read(struct str bytes, struct run_message *ret_message)
{
    struct reader reader = {.at = (const unsigned char *)bytes.ptr, .left = bytes.len};
    struct run_message message = {.kind = (enum run_kind)get_u8(&reader)};
    size_t i;

    message.id = get_u32(&reader);
    if (message.kind == RUN_START) {
        message.backend = get_text(&reader);
        message.program = get_text(&reader);
        for (i = 0; i < RUN_VARIABLE_COUNT; i++) {
            message.values[i] = get_text(&reader);
        }
        message.input = get_text(&reader);
    } else if (message.kind == RUN_END) {
        message.outcome = (enum run_outcome)get_u8(&reader);
        message.exit_code = get_u8(&reader);
        message.output = get_text(&reader);
        message.text = get_text(&reader);
    }
    if (reader.is_wrong || reader.left > 0 || !is_right(&message)) {
        return ERR_INVALID;
    }
    *ret_message = message;
    return 0;
}
