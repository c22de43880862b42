/* Prints findings, one a line or one a member of a list. */
#include "cli/policy_findings.h"

#include "wire/format.h"

#include <stdio.h>

struct place {
    struct str file;
    uint64_t line; /* 0: unknown */
    uint64_t column;
};

void policy_findings_begin(struct policy_findings *findings, struct cli *cli)
{
    *findings = (struct policy_findings){.cli = cli};
    if (cli_wants_json(cli)) {
        json_out_init(&findings->json, &cli->out);
        json_out_object_open(&findings->json, NULL);
        json_out_array_open(&findings->json, "findings");
    }
}

void policy_findings_end(struct policy_findings *findings)
{
    if (cli_wants_json(findings->cli)) {
        json_out_array_close(&findings->json);
    }
}

static void tell_json(struct json_out *json, const struct place *place, bool is_error,
                      struct str text)
{
    json_out_object_open(json, NULL);
    json_out_string_c(json, "level", is_error ? "error" : "warning");
    json_out_string(json, "file", place->file);
    if (place->line > 0) {
        json_out_u64(json, "line", place->line);
        json_out_u64(json, "column", place->column);
    }
    json_out_string(json, "message", text);
    json_out_object_close(json);
}

static void tell(struct policy_findings *findings, const struct place *place, bool is_error,
                 struct str text)
{
    struct buf *out = &findings->cli->out;

    findings->error_count += is_error ? 1 : 0;
    findings->warning_count += is_error ? 0 : 1;
    if (findings->error_count + findings->warning_count > POLICY_FINDINGS_MAX) {
        return;
    }
    if (cli_wants_json(findings->cli)) {
        tell_json(&findings->json, place, is_error, text);
        return;
    }
    format_add_visible(out, place->file);
    if (place->line > 0) {
        buf_printf(out, ":%llu:%llu", (unsigned long long)place->line,
                   (unsigned long long)place->column);
    }
    buf_add_c(out, is_error ? ": " : ": warning: ");
    format_add_visible(out, text);
    buf_add_char(out, '\n');
}

void policy_findings_add(struct policy_findings *findings, const struct yaml_node *node,
                         bool is_error, const char *text)
{
    struct place place = {.file = str_of(node->file), .line = node->line, .column = node->column};

    tell(findings, &place, is_error, str_of(text));
}

/* "line:column: " at the beginning; false: it isn't there. */
static bool numbers_read(struct str *text, struct place *place)
{
    struct str rest = *text;
    struct str line = str_cut(&rest, ':');
    struct str column = str_cut(&rest, ':');

    if (rest.ptr == NULL || str_parse_u64(line, &place->line) != 0 ||
        str_parse_u64(column, &place->column) != 0) {
        place->line = 0;
        return false;
    }
    *text = str_trim(rest);
    return true;
}

/* "file:line:column: text", or "file: text"; the file's name may have colons. */
static void line_tell(struct policy_findings *findings, struct str line)
{
    struct place place = {.file = line};
    struct str text = line;

    while (text.ptr != NULL) {
        (void)str_cut(&text, ':');
        place.file.len = text.ptr != NULL ? (size_t)(text.ptr - 1 - line.ptr) : line.len;
        if (text.ptr != NULL && numbers_read(&text, &place)) {
            tell(findings, &place, true, text);
            return;
        }
    }
    text = line;
    place = (struct place){.file = str_cut(&text, ':')};
    tell(findings, &place, true, str_trim(text));
}

void policy_findings_add_errors(struct policy_findings *findings, const struct yaml_errors *errors)
{
    struct str rest = buf_str(&errors->text);

    while (rest.len > 0) {
        struct str line = str_cut(&rest, '\n');

        if (line.len > 0) {
            line_tell(findings, line);
        }
    }
    if (errors->count > YAML_ERRORS_MAX) {
        findings->error_count += errors->count - YAML_ERRORS_MAX;
    }
}
