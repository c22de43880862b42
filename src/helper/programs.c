/* A table that is searched by name. */
#include "helper/programs.h"

#include "base/mem.h"

const struct helper_program *helper_programs_find(const struct helper_programs *programs,
                                                  struct str backend, struct str name)
{
    size_t i;

    for (i = 0; i < programs->count; i++) {
        const struct helper_program *program = &programs->items[i];

        if (str_eq_c(backend, program->backend) && str_eq_c(name, program->name)) {
            return program;
        }
    }
    return NULL;
}

void helper_texts_free(char **texts)
{
    size_t i;

    for (i = 0; texts != NULL && texts[i] != NULL; i++) {
        mem_free(texts[i]);
    }
    mem_free((void *)texts);
}

void helper_programs_fini(struct helper_programs *programs)
{
    size_t i;

    for (i = 0; i < programs->count; i++) {
        mem_free(programs->items[i].backend);
        mem_free(programs->items[i].name);
        helper_texts_free(programs->items[i].argv);
        helper_texts_free(programs->items[i].environment);
        mem_free(programs->items[i].file.path);
        mem_free(programs->items[i].unit);
    }
    mem_free(programs->items);
    *programs = (struct helper_programs){.count = 0};
}
