/* Results of tests, and their report in JUnit's XML. */
#include "cli/policy_results.h"

#include "base/mem.h"
#include "wire/utf8.h"

#include <string.h>

static void result_free(const struct policy_result *result)
{
    mem_free(result->name);
    mem_free(result->rule);
    mem_free(result->detail);
    mem_free(result->explanation);
}

void policy_results_fini(struct policy_results *results)
{
    size_t i;

    for (i = 0; i < results->count; i++) {
        result_free(&results->items[i]);
    }
    for (i = 0; i < results->file_count; i++) {
        mem_free(results->files[i]);
    }
    mem_free(results->items);
    mem_free((void *)results->files);
    *results = (struct policy_results){.files = NULL};
}

int policy_results_add_file(struct policy_results *results, const char *file)
{
    char **files = mem_realloc((void *)results->files, (results->file_count + 1) * sizeof(*files));

    if (files == NULL) {
        return ERR_NOMEM;
    }
    results->files = files;
    files[results->file_count] = mem_strdup(file);
    if (files[results->file_count] == NULL) {
        return ERR_NOMEM;
    }
    results->file_count++;
    return 0;
}

int policy_results_add(struct policy_results *results, const struct policy_result *result)
{
    if (result->name == NULL || result->detail == NULL || result->explanation == NULL) {
        result_free(result);
        return ERR_NOMEM;
    }
    if (results->count == results->cap) {
        size_t cap = results->cap > 0 ? 2 * results->cap : 64;
        struct policy_result *items = mem_realloc(results->items, cap * sizeof(*items));

        if (items == NULL) {
            result_free(result);
            return ERR_NOMEM;
        }
        results->items = items;
        results->cap = cap;
    }
    results->items[results->count] = *result;
    results->items[results->count].suite = results->file_count - 1;
    results->failed_count += result->has_passed ? 0 : 1;
    results->count++;
    return 0;
}

/* --- JUnit --- */

/* What XML can hold; C0 controls but for the line end and the tab, and what is no UTF-8 (a text may
 * have been cut), are not in it. */
static bool is_xml(uint32_t code_point)
{
    return (code_point >= 0x20 && code_point != 0x7f && code_point != 0xfffe &&
            code_point != 0xffff) ||
           code_point == '\n' || code_point == '\t';
}

static const char *escaped(uint32_t code_point)
{
    return code_point == '&'   ? "&amp;"
           : code_point == '<' ? "&lt;"
           : code_point == '>' ? "&gt;"
           : code_point == '"' ? "&quot;"
                               : NULL;
}

static void add_text(struct buf *out, const char *text)
{
    struct str rest = str_of(text);

    while (rest.len > 0) {
        uint32_t code_point = 0;
        size_t len = utf8_decode(rest, &code_point);

        if (len == 0 || !is_xml(code_point)) {
            buf_add_char(out, '?');
        } else if (escaped(code_point) != NULL) {
            buf_add_c(out, escaped(code_point));
        } else {
            buf_add(out, rest.ptr, len);
        }
        len = len > 0 ? len : 1;
        rest.ptr += len;
        rest.len -= len;
    }
}

static void add_attribute(struct buf *out, const char *name, const char *text)
{
    buf_printf(out, " %s=\"", name);
    add_text(out, text);
    buf_add_char(out, '"');
}

static void write_case(struct buf *out, const char *file, const struct policy_result *result)
{
    buf_add_c(out, "    <testcase");
    add_attribute(out, "name", result->name);
    add_attribute(out, "classname", file);
    add_attribute(out, "file", file);
    buf_printf(out, " line=\"%u\" time=\"0\"", result->line);
    if (result->has_passed) {
        buf_add_c(out, "/>\n");
        return;
    }
    buf_add_c(out, ">\n      <failure type=\"decision\"");
    add_attribute(out, "message", result->detail);
    buf_add_char(out, '>');
    add_text(out, file);
    buf_printf(out, ":%u:%u: ", result->line, result->column);
    add_text(out, result->detail);
    buf_add_char(out, '\n');
    add_text(out, result->explanation);
    buf_add_c(out, "</failure>\n    </testcase>\n");
}

static void write_suite(struct buf *out, const struct policy_results *results, size_t suite)
{
    size_t count = 0;
    size_t failed = 0;
    size_t i;

    for (i = 0; i < results->count; i++) {
        bool is_its = results->items[i].suite == suite;

        count += is_its ? 1 : 0;
        failed += is_its && !results->items[i].has_passed ? 1 : 0;
    }
    buf_add_c(out, "  <testsuite");
    add_attribute(out, "name", results->files[suite]);
    buf_printf(out, " tests=\"%zu\" failures=\"%zu\" errors=\"0\" skipped=\"0\" time=\"0\">\n",
               count, failed);
    for (i = 0; i < results->count; i++) {
        if (results->items[i].suite == suite) {
            write_case(out, results->files[suite], &results->items[i]);
        }
    }
    buf_add_c(out, "  </testsuite>\n");
}

void policy_results_write_junit(const struct policy_results *results, struct buf *out)
{
    size_t i;

    buf_add_c(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    buf_printf(out,
               "<testsuites name=\"policy\" tests=\"%zu\" failures=\"%zu\" errors=\"0\" "
               "time=\"0\">\n",
               results->count, results->failed_count);
    for (i = 0; i < results->file_count; i++) {
        write_suite(out, results, i);
    }
    buf_add_c(out, "</testsuites>\n");
}
