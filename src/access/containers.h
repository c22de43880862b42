/* What containers were made from, as their runtimes leave it in files. Read when the first caller
 * out of a container is identified, and kept: a container's image doesn't change. */
#ifndef LEASED_ACCESS_CONTAINERS_H
#define LEASED_ACCESS_CONTAINERS_H

#include "access/identity.h"

#define ACCESS_CONTAINER_FILES_MAX 16U
#define ACCESS_CONTAINER_FILE_MAX_BYTES (512U * 1024U)
#define ACCESS_CONTAINER_PATH_MAX_BYTES 512U
#define ACCESS_CONTAINER_PLACE "${container}" /* stands for the container's id */

/* One runtime's. Strings are borrowed and outlive the containers. */
struct access_container_config {
    const char *file;  /* absolute, with the place for the id in it */
    const char *image; /* the way to the image's name in its JSON (RFC 6901) */
};

/* Why this is no such file, or no such way, for people; NULL: it is one. */
const char *access_container_file_problem(const char *file);
const char *access_container_image_problem(const char *image);

struct access_containers;

/* At most ACCESS_CONTAINER_FILES_MAX. ERR_NOMEM. */
int access_containers_new(struct env *env, const struct access_container_config *configs,
                          size_t count, struct access_containers **ret_containers) ATTR_MUST_USE;
void access_containers_free(struct access_containers *containers);

/* The image of the container `id`: the first that one of the files gives. "" when none does, when
 * the id is none that a runtime gives, or without `containers` (NULL); that is asked again after a
 * while. Blocks briefly. */
void access_containers_image(struct access_containers *containers, const char *id,
                             char ret_image[ACCESS_IMAGE_MAX_BYTES]);

#endif
