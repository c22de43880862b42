/* Ids are hex, as all runtimes have them, so that none can lead out of its place in a path. What is
 * known stands in a table in which each id has one slot; who loses it is read again. */
#include "access/containers.h"

#include "base/log.h"
#include "base/mem.h"
#include "env/file.h"

#include <stdio.h>
#include <string.h>

#define SLOTS 256U
#define UNKNOWN_MS (5ULL * 1000)
#define POINTER_DEPTH_MAX 16U

struct slot {
    char id[ACCESS_CONTAINER_MAX_BYTES]; /* "": it is free */
    char image[ACCESS_IMAGE_MAX_BYTES];  /* "": not known */
    uint64_t read_ms;
};

struct access_containers {
    struct env *env;
    const struct access_container_config *configs;
    size_t count;
    struct slot slots[SLOTS];
};

const char *access_container_file_problem(const char *file)
{
    const char *place = strstr(file, ACCESS_CONTAINER_PLACE);

    if (file[0] != '/' || strstr(file, "/../") != NULL) {
        return "it is no absolute path";
    }
    if (place == NULL) {
        return "it has no " ACCESS_CONTAINER_PLACE " in it, which stands for the container's id";
    }
    if (strstr(place + 1, "${") != NULL) {
        return ACCESS_CONTAINER_PLACE " stands in it once, and nothing else does";
    }
    return strlen(file) + ACCESS_CONTAINER_MAX_BYTES < ACCESS_CONTAINER_PATH_MAX_BYTES
               ? NULL
               : "it is too long";
}

const char *access_container_image_problem(const char *image)
{
    struct str rest = str_of(image);
    size_t depth = 0;

    while (rest.ptr != NULL) {
        (void)str_cut(&rest, '/');
        depth++;
    }
    return image[0] == '/' && depth <= POINTER_DEPTH_MAX
               ? NULL
               : "expected the way to a member of the file's JSON, such as /Config/Image";
}

int access_containers_new(struct env *env, const struct access_container_config *configs,
                          size_t count, struct access_containers **ret_containers)
{
    struct access_containers *containers = mem_calloc(1, sizeof(*containers));

    if (containers == NULL) {
        return ERR_NOMEM;
    }
    containers->env = env;
    containers->configs = configs;
    containers->count = count;
    *ret_containers = containers;
    return 0;
}

void access_containers_free(struct access_containers *containers)
{
    mem_free(containers);
}

static bool is_hex(const char *id)
{
    return id[0] != '\0' && strspn(id, "0123456789abcdef") == strlen(id);
}

/* FNV-1a; who can choose ids of containers can at most have files read again. */
static struct slot *slot_of(struct access_containers *containers, const char *id)
{
    uint32_t hash = 2166136261U;
    const char *at;

    for (at = id; *at != '\0'; at++) {
        hash = (hash ^ (unsigned char)*at) * 16777619U;
    }
    return &containers->slots[hash % SLOTS];
}

/* --- a file --- */

/* A component of the way, with its escapes resolved. False: it is too long. */
static bool component_take(struct str *rest, char out[ACCESS_IMAGE_MAX_BYTES])
{
    struct str component = str_cut(rest, '/');
    size_t i;
    size_t size = 0;

    for (i = 0; i < component.len; i++) {
        bool is_escape = component.ptr[i] == '~' && i + 1 < component.len;

        if (size + 1 >= ACCESS_IMAGE_MAX_BYTES) {
            return false;
        }
        i += is_escape ? 1 : 0;
        out[size++] = !is_escape ? component.ptr[i] : component.ptr[i] == '1' ? '/' : '~';
    }
    out[size] = '\0';
    return true;
}

static const json_t *member_find(const json_t *root, const char *way)
{
    struct str rest = str_of(way + 1);
    char name[ACCESS_IMAGE_MAX_BYTES];

    while (root != NULL && rest.ptr != NULL) {
        root = component_take(&rest, name) ? json_object_get(root, name) : NULL;
    }
    return root;
}

/* Names with blanks or control bytes are none; cutting one would make it another. */
static bool image_take(const json_t *value, char ret_image[ACCESS_IMAGE_MAX_BYTES])
{
    const char *text = json_string_value(value);
    size_t len = json_string_length(value);
    size_t i;

    if (text == NULL || len == 0 || len >= ACCESS_IMAGE_MAX_BYTES) {
        return false;
    }
    for (i = 0; i < len; i++) {
        if ((unsigned char)text[i] <= 0x20 || (unsigned char)text[i] >= 0x7f) {
            return false;
        }
    }
    memcpy(ret_image, text, len + 1);
    return true;
}

/* The folder before the component with the id is the runtime's; what follows has the id in it. */
static int file_read(struct access_containers *containers,
                     const struct access_container_config *config, const char *id, struct buf *out,
                     struct err *e)
{
    const char *mark = strstr(config->file, ACCESS_CONTAINER_PLACE);
    char path[ACCESS_CONTAINER_PATH_MAX_BYTES];
    const char *folder = path;
    char *split;

    (void)snprintf(path, sizeof(path), "%.*s%s%s", (int)(mark - config->file), config->file, id,
                   mark + strlen(ACCESS_CONTAINER_PLACE));
    split = path + (mark - config->file);
    while (*split != '/') {
        split--;
    }
    *split = '\0';
    return env_file_read(
        containers->env,
        &(struct env_file_place){.folder = split > path ? folder : "/", .path = split + 1}, out, e);
}

static bool image_read(struct access_containers *containers,
                       const struct access_container_config *config, const char *id,
                       char ret_image[ACCESS_IMAGE_MAX_BYTES])
{
    struct err e = {0};
    json_t *root = NULL;
    bool is_known = false;
    int r;
    BUF_AUTO text;

    buf_init(&text, ACCESS_CONTAINER_FILE_MAX_BYTES);
    r = file_read(containers, config, id, &text, &e);
    if (r == 0) {
        root = json_loadb(text.len > 0 ? text.bytes : "", text.len, JSON_REJECT_DUPLICATES, NULL);
        is_known = image_take(member_find(root, config->image), ret_image);
        json_decref(root);
    }
    if (!is_known) {
        log_event(LOG_LEVEL_DEBUG, "container.unknown", "container", id, "err",
                  r != 0 ? e.text : "the file names no image", NULL);
    }
    return is_known;
}

void access_containers_image(struct access_containers *containers, const char *id,
                             char ret_image[ACCESS_IMAGE_MAX_BYTES])
{
    struct slot *slot;
    uint64_t now_ms;
    size_t i;

    ret_image[0] = '\0';
    if (containers == NULL || containers->count == 0 || !is_hex(id)) {
        return;
    }
    slot = slot_of(containers, id);
    now_ms = env_now_ms(containers->env);
    if (strcmp(slot->id, id) != 0 ||
        (slot->image[0] == '\0' && now_ms - slot->read_ms >= UNKNOWN_MS)) {
        (void)snprintf(slot->id, sizeof(slot->id), "%s", id);
        slot->image[0] = '\0';
        slot->read_ms = now_ms;
        for (i = 0; i < containers->count; i++) {
            if (image_read(containers, &containers->configs[i], id, slot->image)) {
                break;
            }
        }
    }
    memcpy(ret_image, slot->image, sizeof(slot->image));
}
