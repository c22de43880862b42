/* Where the runtimes of containers describe them: the keys in the configuration, and what can be
 * wrong with them. */
#include "access/containers.h"
#include "base/mem.h"
#include "daemon/config_fields.h"

static const struct schema_field container_fields[] = {
    {FIELD(config_container, "file", SCHEMA_STRING, file), ABSOLUTE, .flags = SCHEMA_REQUIRED,
     .doc = "what the runtime leaves for each container, ${container} being its id"},
    {FIELD(config_container, "image", SCHEMA_STRING, image), ABSOLUTE, .flags = SCHEMA_REQUIRED,
     .doc = "the way to the image's name in that file's JSON, such as /Config/Image (RFC 6901)"},
    {0},
};
const struct schema_object config_container_table =
    TABLE("containers", config_container, container_fields, false);

static void container_check(const struct config_container *container, struct yaml_errors *errors)
{
    const char *problem;

    if (container->file != NULL) {
        problem = access_container_file_problem(container->file);
        if (problem != NULL) {
            yaml_error_at(errors, yaml_get(container->node, "file"), "%s", problem);
        }
    }
    if (container->image != NULL) {
        problem = access_container_image_problem(container->image);
        if (problem != NULL) {
            yaml_error_at(errors, yaml_get(container->node, "image"), "%s", problem);
        }
    }
}

void config_check_containers(const struct config_settings *settings, struct yaml_errors *errors)
{
    const struct config_container *containers = settings->containers.items;
    size_t i;

    for (i = 0; i < settings->containers.count; i++) {
        container_check(&containers[i], errors);
    }
    if (settings->containers.count > ACCESS_CONTAINER_FILES_MAX) {
        yaml_error_at(errors, containers[ACCESS_CONTAINER_FILES_MAX].node,
                      "at most %u are possible", ACCESS_CONTAINER_FILES_MAX);
    }
}

int config_make_containers(struct config *config)
{
    const struct config_container *containers = config->settings.containers.items;
    size_t count = config->settings.containers.count;
    size_t i;

    config->containers = mem_calloc(count + 1, sizeof(*config->containers));
    if (config->containers == NULL) {
        return ERR_NOMEM;
    }
    for (i = 0; i < count; i++) {
        config->containers[i] = (struct access_container_config){.file = containers[i].file,
                                                                 .image = containers[i].image};
    }
    return 0;
}
