/* Configurations in a folder of their own, read with the real plugins. */
#include "unit/daemon/config_fixture.h"

#include "base/mem.h"
#include "daemon/builtins.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int config_fixture_setup(void **state)
{
    static struct config_fixture fixture;

    fixture = (struct config_fixture){.bytes_before = mem_in_use_bytes()};
    (void)snprintf(fixture.folder, sizeof(fixture.folder), "/tmp/leased-config-XXXXXX");
    assert_non_null(mkdtemp(fixture.folder));
    assert_int_equal(backend_registry_new(&fixture.registry), 0);
    assert_int_equal(builtins_add(fixture.registry, NULL), 0);
    yaml_errors_init(&fixture.errors);
    *state = &fixture;
    return 0;
}

static void folder_remove(const char *path)
{
    DIR *folder = opendir(path);
    const struct dirent *entry;

    assert_non_null(folder);
    while ((entry = readdir(folder)) != NULL) {
        char name[512];

        (void)snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.') {
            folder_remove(name);
        } else if (entry->d_type != DT_DIR) {
            (void)unlink(name);
        }
    }
    (void)closedir(folder);
    (void)rmdir(path);
}

int config_fixture_teardown(void **state)
{
    struct config_fixture *f = *state;

    config_free(f->config);
    yaml_errors_fini(&f->errors);
    backend_registry_free(f->registry);
    folder_remove(f->folder);
    return mem_in_use_bytes() == f->bytes_before ? 0 : -1;
}

void config_fixture_write(struct config_fixture *f, const char *name, const char *text)
{
    char path[512];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/%s", f->folder, name);
    file = fopen(path, "we");
    assert_non_null(file);
    for (; *text != '\0'; text++) {
        if (text[0] == '%' && text[1] == 'D') {
            assert_true(fputs(f->folder, file) >= 0);
            text++;
        } else {
            assert_int_not_equal(fputc(*text, file), EOF);
        }
    }
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0600), 0);
}

int config_fixture_load(struct config_fixture *f, const char *name)
{
    char path[512];
    struct config_options options = {.path = path, .registry = f->registry};

    config_free(f->config);
    f->config = NULL;
    yaml_errors_fini(&f->errors);
    (void)snprintf(path, sizeof(path), "%s%s%s", f->folder, name[0] != '\0' ? "/" : "", name);
    return config_load(&options, &f->config, &f->errors);
}

const char *config_fixture_errors(struct config_fixture *f)
{
    static char text[65536];
    const char *from = buf_str(&f->errors.text).ptr;
    size_t length = strlen(f->folder);
    size_t used = 0;

    while (*from != '\0' && used + 1 < sizeof(text)) {
        if (strncmp(from, f->folder, length) == 0) {
            from += length + (from[length] == '/' ? 1 : 0);
        } else {
            text[used++] = *from++;
        }
    }
    text[used] = '\0';
    return text;
}

void config_fixture_expect(struct config_fixture *f, const char *text, const char *errors)
{
    config_fixture_write(f, "c.yaml", text);
    assert_int_equal(config_fixture_load(f, "c.yaml"), ERR_INVALID);
    assert_string_equal(config_fixture_errors(f), errors);
    assert_null(f->config);
}

void config_fixture_expect_valid(struct config_fixture *f, const char *text)
{
    config_fixture_write(f, "c.yaml", text);
    if (config_fixture_load(f, "c.yaml") != 0) {
        fail_msg("%s", config_fixture_errors(f));
    }
}

void config_fixture_expect_each(struct config_fixture *f, const struct config_mistake *mistakes,
                                size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        config_fixture_expect(f, mistakes[i].text, mistakes[i].errors);
    }
}
