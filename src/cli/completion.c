/* `lease completion bash|zsh|fish`. Roles aren't completed: asking for them would be a request with
 * a record. */
#include "cli/completion.h"

#include "cli/cli.h"

#include <string.h>

static const char *const formats =
    "table json env shell dotenv systemd docker pgpass pgservice aws raw field= template=";
static const char *const bindings = "process parent connection none pid: comm:";

static bool takes(const struct command *command, size_t id)
{
    return ((command->options | OPTIONS_COMMON) & OPTION_BIT(id)) != 0;
}

static bool is_same_word(const struct command *command, const struct command *other)
{
    struct str rest = str_of(command->name);
    struct str other_rest = str_of(other->name); /* at the table's end: NULL */

    return other_rest.ptr != NULL && str_eq(str_cut(&rest, ' '), str_cut(&other_rest, ' '));
}

/* Of all commands with this first word, which stand together. */
static void add_options(struct buf *out, const struct command *command)
{
    uint64_t options = OPTIONS_COMMON;
    const struct command *at;
    size_t id;

    for (at = command; is_same_word(command, at); at++) {
        options |= at->options;
    }
    for (id = 0; id < OPTION_COUNT; id++) {
        if ((options & OPTION_BIT(id)) != 0) {
            buf_printf(out, " --%s", option_specs[id].name);
            if (option_specs[id].short_name != '\0') {
                buf_printf(out, " -%c", option_specs[id].short_name);
            }
        }
    }
}

/* The first words of commands, each once: commands of two words share theirs. */
static void add_first_words(struct buf *out)
{
    const struct command *command;
    struct str previous = {.ptr = NULL, .len = 0};

    for (command = commands; command->name != NULL; command++) {
        struct str rest = str_of(command->name);
        struct str first = str_cut(&rest, ' ');

        if (!str_eq(first, previous)) {
            buf_printf(out, "%s%.*s", previous.ptr != NULL ? " " : "", STR_ARG(first));
        }
        previous = first;
    }
}

/* What stands behind the first word: options, and the second words or fixed arguments. */
static void add_case(struct buf *out, const struct command *command)
{
    struct str second = str_of(command->name);
    struct str first = str_cut(&second, ' ');
    const struct command *at;

    buf_printf(out, "    %.*s) choices='%s", STR_ARG(first),
               strcmp(command->name, "completion") == 0 ? "bash zsh fish" : "");
    for (at = command; is_same_word(command, at); at++) {
        struct str word = str_of(at->name);

        (void)str_cut(&word, ' ');
        buf_printf(out, "%s%.*s", at != command ? " " : "", STR_ARG(word));
    }
    if (strcmp(command->name, "help") == 0) {
        add_first_words(out);
    }
    add_options(out, command);
    buf_add_c(out, "' ;;\n");
}

static void add_cases(struct buf *out)
{
    const struct command *command;

    for (command = commands; command->name != NULL; command++) {
        if (command == commands || !is_same_word(command, command - 1)) {
            add_case(out, command);
        }
    }
}

static void completion_bash(struct buf *out)
{
    buf_add_c(out, "# bash completion for lease\n"
                   "_lease() {\n"
                   "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} "
                   "choices= i\n"
                   "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
                   "        if [[ ${COMP_WORDS[i]} == -- ]]; then\n"
                   "            if declare -F _command_offset >/dev/null; then\n"
                   "                _command_offset $((i + 1))\n"
                   "            else\n"
                   "                COMPREPLY=($(compgen -c -f -- \"$cur\"))\n"
                   "            fi\n"
                   "            return\n"
                   "        fi\n"
                   "    done\n"
                   "    case $prev in\n");
    buf_printf(
        out,
        "    -o|--output) COMPREPLY=($(compgen -W '%s' -- \"$cur\")); return ;;\n"
        "    --bind) COMPREPLY=($(compgen -W '%s' -- \"$cur\")); return ;;\n"
        "    --socket|--token-file|-a|--agent) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n"
        "    --for|--role|--wait|--reason|--ticket|--map|--addr|--address|--backend) return ;;\n"
        "    --file|--signal) return ;;\n"
        "    esac\n"
        "    case ${COMP_WORDS[1]} in\n",
        formats, bindings);
    add_cases(out);
    buf_add_c(out, "    esac\n    if ((COMP_CWORD == 1)); then\n        choices='");
    add_first_words(out);
    buf_add_c(out, "'\n    fi\n"
                   "    COMPREPLY=($(compgen -W \"$choices\" -- \"$cur\"))\n"
                   "    if [[ ${COMP_WORDS[1]} == @(audit|ledger|policy) && $cur != -* ]]; then\n"
                   "        COMPREPLY+=($(compgen -f -- \"$cur\"))\n"
                   "    fi\n"
                   "}\n"
                   "complete -F _lease lease\n");
}

static void completion_zsh(struct buf *out)
{
    buf_add_c(out, "#compdef lease\n"
                   "_lease() {\n"
                   "    local cmd=${words[2]} prev=${words[CURRENT-1]} sep=${words[(i)--]}\n"
                   "    if (( sep < CURRENT )); then\n"
                   "        shift $sep words; (( CURRENT -= sep )); _normal; return\n"
                   "    fi\n"
                   "    case $prev in\n");
    buf_printf(
        out,
        "    -o|--output) compadd -- %s; return ;;\n"
        "    --bind) compadd -- %s; return ;;\n"
        "    --socket|--token-file|-a|--agent) _files; return ;;\n"
        "    --for|--role|--wait|--reason|--ticket|--map|--addr|--address|--backend) return ;;\n"
        "    --file|--signal) return ;;\n"
        "    esac\n"
        "    if (( CURRENT == 2 )); then\n"
        "        compadd -- ",
        formats, bindings);
    add_first_words(out);
    buf_add_c(out, "\n        return\n    fi\n    local choices\n    case $cmd in\n");
    add_cases(out);
    buf_add_c(out, "    esac\n"
                   "    compadd -- ${=choices}\n"
                   "    [[ $cmd == (audit|ledger|policy) ]] && _files\n"
                   "}\n"
                   "if [[ ${funcstack[1]} == _lease ]]; then\n"
                   "    _lease \"$@\"\n"
                   "else\n"
                   "    compdef _lease lease\n"
                   "fi\n");
}

static void fish_option(struct buf *out, const struct command *command, size_t id)
{
    const struct option_spec *spec = &option_specs[id];
    struct str rest = str_of(command->name);
    struct str first = str_cut(&rest, ' ');
    bool is_path = id == OPTION_SOCKET || id == OPTION_TOKEN_FILE || id == OPTION_AGENT;

    buf_printf(out, "complete -c lease -n '__fish_seen_subcommand_from %.*s' -l %s", STR_ARG(first),
               spec->name);
    if (spec->short_name != '\0') {
        buf_printf(out, " -s %c", spec->short_name);
    }
    if (spec->argument != NULL) {
        buf_add_c(out, is_path ? " -r -F" : " -x");
    }
    if (id == OPTION_OUTPUT || id == OPTION_BIND) {
        buf_printf(out, " -a '%s'", id == OPTION_OUTPUT ? formats : bindings);
    }
    buf_add_char(out, '\n');
}

/* Between single quotes fish knows \\' and \\\\ alone. */
static void fish_quoted(struct buf *out, const char *text)
{
    buf_add_char(out, '\'');
    for (; *text != '\0'; text++) {
        if (*text == '\'' || *text == '\\') {
            buf_add_char(out, '\\');
        }
        buf_add_char(out, *text);
    }
    buf_add_c(out, "'\n");
}

static void completion_fish(struct buf *out)
{
    const struct command *command;
    size_t id;

    buf_add_c(out, "# fish completion for lease\ncomplete -c lease -f\n");
    for (command = commands; command->name != NULL; command++) {
        struct str second = str_of(command->name);
        struct str first = str_cut(&second, ' ');

        buf_printf(out, "complete -c lease -n __fish_use_subcommand -a %.*s -d ", STR_ARG(first));
        fish_quoted(out, command->summary);
        if (second.ptr != NULL) {
            buf_printf(out, "complete -c lease -n '__fish_seen_subcommand_from %.*s' -F -a %.*s\n",
                       STR_ARG(first), STR_ARG(second));
        }
        for (id = 0; id < OPTION_COUNT; id++) {
            if (takes(command, id)) {
                fish_option(out, command, id);
            }
        }
    }
    buf_add_c(out, "complete -c lease -n '__fish_seen_subcommand_from completion' -a 'bash zsh "
                   "fish'\n");
}

int completion_run(struct cli *cli)
{
    static const struct {
        const char *shell;
        void (*print)(struct buf *out);
    } shells[] = {{"bash", completion_bash}, {"zsh", completion_zsh}, {"fish", completion_fish}};
    size_t i;

    for (i = 0; i < ARRAY_LEN(shells); i++) {
        if (strcmp(cli->options.args[0], shells[i].shell) == 0) {
            shells[i].print(&cli->out);
            return CLI_OK;
        }
    }
    return cli_usage_error(cli, "unknown shell '%s'; known: bash, zsh, fish", cli->options.args[0]);
}
