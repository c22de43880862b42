/* Short texts, kept once. */
#include "lease/text.h"

#include "base/mem.h"

#include <string.h>

struct text *text_get_bytes(struct map *texts, struct str wanted)
{
    struct map_entry *entry = map_find(texts, wanted);
    struct text *text;

    if (entry != NULL) {
        text = MAP_ENTRY(entry, struct text, entry);
        text->user_count++;
        return text;
    }
    text = mem_calloc(1, sizeof(*text) + wanted.len + 1);
    if (text == NULL) {
        return NULL;
    }
    if (wanted.len > 0) {
        memcpy(text->chars, wanted.ptr, wanted.len);
    }
    text->user_count = 1;
    if (map_add(texts, &text->entry, (struct str){.ptr = text->chars, .len = wanted.len}) != 0) {
        mem_free(text);
        return NULL;
    }
    return text;
}

struct text *text_get(struct map *texts, const char *chars)
{
    return text_get_bytes(texts, str_of(chars));
}

void text_put(struct map *texts, struct text *text)
{
    if (text == NULL || --text->user_count > 0) {
        return;
    }
    map_remove(texts, &text->entry);
    mem_free(text);
}
