/* Runs a fuzz target over files instead of under libFuzzer: each argument is an input, or a folder
 * of inputs. So every compiler replays the corpora in `make test`. The empty input and a few
 * one-byte ones always run. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { INPUT_MAX_BYTES = 1 << 20, PATH_MAX_BYTES = 4096 };

static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *bytes;
    uint8_t *exact;
    size_t size;

    if (file == NULL) {
        perror(path);
        return -1;
    }
    bytes = malloc(INPUT_MAX_BYTES);
    if (bytes == NULL) {
        abort();
    }
    size = fread(bytes, 1, INPUT_MAX_BYTES, file);
    (void)fclose(file);

    /* A copy of exactly its size, so that reading past the end is noticed. */
    exact = malloc(size > 0 ? size : 1);
    if (exact == NULL) {
        abort();
    }
    memcpy(exact, bytes, size);
    free(bytes);
    (void)LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    return 0;
}

static int compare_names(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* Returns how many inputs ran, or -1. A folder that isn't there has none. */
static int replay(const char *path)
{
    struct dirent **entries;
    struct stat facts;
    int total = 0;
    int count;

    if (stat(path, &facts) != 0) {
        return 0;
    }
    if (!S_ISDIR(facts.st_mode)) {
        return replay_file(path) == 0 ? 1 : -1;
    }
    count = scandir(path, &entries, NULL, compare_names);
    for (int i = 0; i < count; i++) {
        char name[PATH_MAX_BYTES];
        int n = 0;

        (void)snprintf(name, sizeof(name), "%s/%s", path, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.') {
            n = replay(name);
        }
        total = n < 0 || total < 0 ? -1 : total + n;
        free(entries[i]);
    }
    if (count >= 0) {
        free(entries);
    }
    return total;
}

int main(int argc, char **argv)
{
    static const uint8_t bytes[] = {0, '\n', '"', '{', 0xff};
    uint8_t *nothing = calloc(1, 1);
    int total = 0;

    (void)LLVMFuzzerTestOneInput(nothing, 0);
    free(nothing);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        (void)LLVMFuzzerTestOneInput(&bytes[i], 1);
    }
    for (int i = 1; i < argc; i++) {
        int n = replay(argv[i]);

        if (n < 0) {
            return 1;
        }
        total += n;
    }
    (void)printf("%d inputs\n", total);
    return 0;
}
