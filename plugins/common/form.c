/* A buffer that doubles; each old block is wiped when it is freed. */
#include "form.h"

#include <string.h>

#define FIRST_BYTES 256U
#define MOST_BYTES (256U * 1024U)

static bool grow(struct plugin_form *form, size_t more)
{
    size_t size = form->size > 0 ? form->size : FIRST_BYTES;
    char *bytes;

    if (form->is_failed || more >= MOST_BYTES || form->len + more >= MOST_BYTES) {
        form->is_failed = true;
        return false;
    }
    while (size <= form->len + more) {
        size *= 2;
    }
    if (size == form->size) {
        return true;
    }
    bytes = plugin_alloc(form->host, size);
    if (bytes == NULL) {
        form->is_failed = true;
        return false;
    }
    if (form->len > 0) {
        memcpy(bytes, form->bytes, form->len);
    }
    form->host->secret_free(form->bytes);
    form->bytes = bytes;
    form->size = size;
    return true;
}

void plugin_form_add(struct plugin_form *form, struct leased_str text)
{
    if (text.len > 0 && grow(form, text.len)) {
        memcpy(form->bytes + form->len, text.ptr, text.len);
        form->len += text.len;
        form->bytes[form->len] = '\0';
    }
}

static bool is_unreserved(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

void plugin_form_add_encoded(struct plugin_form *form, struct leased_str text)
{
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        const char escaped[] = {'%', digits[c >> 4], digits[c & 15U]};

        if (is_unreserved(text.ptr[i])) {
            plugin_form_add(form, (struct leased_str){text.ptr + i, 1});
        } else {
            plugin_form_add(form, (struct leased_str){escaped, sizeof(escaped)});
        }
    }
}

void plugin_form_pair(struct plugin_form *form, const char *key, struct leased_str value)
{
    if (form->len > 0) {
        plugin_form_add(form, PLUGIN_STR("&"));
    }
    plugin_form_add_encoded(form, plugin_str(key));
    plugin_form_add(form, PLUGIN_STR("="));
    plugin_form_add_encoded(form, value);
}

void plugin_form_pair_if(struct plugin_form *form, const char *key, struct leased_str value)
{
    if (value.len > 0) {
        plugin_form_pair(form, key, value);
    }
}

struct leased_str plugin_form_str(const struct plugin_form *form)
{
    return (struct leased_str){form->bytes != NULL ? form->bytes : "", form->len};
}

void plugin_form_fini(struct plugin_form *form)
{
    form->host->secret_free(form->bytes);
    form->bytes = NULL;
    form->len = form->size = 0;
}
