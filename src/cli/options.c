/* Parsing of the command line by the tables. */
#include "cli/options.h"

#include "base/units.h"

#include <string.h>

#define OPTION_SUGGEST_MAX 2

const struct option_spec option_specs[OPTION_COUNT] = {
#define X(id, name, short_name, argument, repeats, text)                                           \
    [id] = {name, short_name, argument, repeats, text},
    OPTIONS_TABLE(X)
#undef X
};

static_assert(OPTION_COUNT <= 64, "a command's options are kept as bits");

/* Where the next word (NULL: none) isn't its value. */
static bool option_may_lack_value(const struct option_spec *spec, const char *next)
{
    return spec->argument[0] == '[' && str_ends_with(str_of(spec->argument), "]") &&
           (next == NULL || next[0] < '0' || next[0] > '9');
}

/* Is `next` this option's value, whichever command it is for? */
static bool takes_next_word(const char *word, const char *next)
{
    struct str name = str_of(word + (word[1] == '-' ? 2 : 1));
    bool takes = false;
    size_t id;

    for (id = 0; id < OPTION_COUNT; id++) {
        const struct option_spec *spec = &option_specs[id];
        bool is_meant = word[1] == '-' ? str_eq_c(name, spec->name)
                                       : name.len == 1 && name.ptr[0] == spec->short_name;

        if (is_meant && (spec->argument == NULL || option_may_lack_value(spec, next))) {
            return false;
        }
        takes = takes || is_meant;
    }
    return takes;
}

/* The first word that is no option: options may stand before the command. NULL at the end. */
static char **options_first_word(char **argv)
{
    while (*argv != NULL && (*argv)[0] == '-') {
        argv += argv[1] != NULL && takes_next_word(argv[0], argv[1]) ? 2 : 1;
    }
    return *argv != NULL ? argv : NULL;
}

const struct command *options_find_command(char **argv, size_t *ret_words)
{
    const struct command *command;
    char **word = options_first_word(argv);
    char **next = word != NULL ? options_first_word(word + 1) : NULL;

    for (command = commands; word != NULL && command->name != NULL; command++) {
        struct str second = str_of(command->name);
        struct str first = str_cut(&second, ' ');

        if (str_eq_c(first, *word) &&
            (second.ptr == NULL || (next != NULL && str_eq_c(second, *next)))) {
            *ret_words = second.ptr == NULL ? 1 : 2;
            return command;
        }
    }
    return NULL;
}

const char *options_first_argument(char **argv)
{
    char **word = options_first_word(argv);

    return word != NULL ? *word : NULL;
}

const char *options_suggest_command(const char *word)
{
    const struct command *command;
    const char *best = NULL;
    size_t best_distance = OPTION_SUGGEST_MAX + 1;

    for (command = commands; command->name != NULL; command++) {
        struct str rest = str_of(command->name);
        size_t distance = str_distance(str_cut(&rest, ' '), str_of(word), OPTION_SUGGEST_MAX);

        if (distance < best_distance) {
            best = command->name;
            best_distance = distance;
        }
    }
    return best;
}

static bool option_is_taken(const struct command *command, size_t id)
{
    return ((command->options | OPTIONS_COMMON) & OPTION_BIT(id)) != 0;
}

static int option_unknown(const struct command *command, const char *word, struct err *e)
{
    struct str name = str_of(word + strspn(word, "-"));
    const char *best = NULL;
    size_t best_distance = OPTION_SUGGEST_MAX + 1;
    size_t id;

    name = str_cut(&name, '=');
    for (id = 0; id < OPTION_COUNT; id++) {
        size_t distance = str_distance(str_of(option_specs[id].name), name, OPTION_SUGGEST_MAX);

        if (option_is_taken(command, id) && distance < best_distance) {
            best = option_specs[id].name;
            best_distance = distance;
        }
    }
    if (best != NULL) {
        return err_set(e, ERR_INVALID, "unknown option %s; did you mean --%s?", word, best);
    }
    return err_set(e, ERR_INVALID, "unknown option %s", word);
}

static int option_add(struct options *options, size_t id, const char *value, struct err *e)
{
    struct option_values *values = &options->values[id];

    if (values->count > 0 && !option_specs[id].repeats) {
        return err_set(e, ERR_INVALID, "--%s is given twice", option_specs[id].name);
    }
    if (values->count == OPTION_VALUES_MAX) {
        return err_set(e, ERR_INVALID, "--%s is given more than %d times", option_specs[id].name,
                       OPTION_VALUES_MAX);
    }
    values->items[values->count++] = value;
    return 0;
}

/* The option that `word` (with its dashes) names; OPTION_COUNT if none. ret_value: what is joined
 * to it, or NULL. */
static size_t option_find(const struct command *command, const char *word, const char **ret_value)
{
    struct str rest = str_of(word + 2);
    struct str name = {.ptr = NULL, .len = 0};
    bool is_long = word[1] == '-';
    size_t id;

    if (is_long) {
        name = str_cut(&rest, '=');
        *ret_value = rest.ptr;
    } else {
        *ret_value = word[2] != '\0' ? word + 2 : NULL;
    }
    for (id = 0; id < OPTION_COUNT; id++) {
        const struct option_spec *spec = &option_specs[id];

        if (option_is_taken(command, id) &&
            (is_long ? str_eq_c(name, spec->name) : spec->short_name == word[1])) {
            break;
        }
    }
    return id;
}

/* Takes the option at *at, and its value, which may be the next word. */
static int option_parse(const struct command *command, char ***at, struct options *options,
                        struct err *e)
{
    const char *word = **at;
    const char *value;
    size_t id = option_find(command, word, &value);

    if (id == OPTION_COUNT) {
        return option_unknown(command, word, e);
    }
    if (option_specs[id].argument == NULL) {
        if (value != NULL) {
            return err_set(e, ERR_INVALID, "--%s takes no value", option_specs[id].name);
        }
        value = "";
    } else if (value == NULL && option_may_lack_value(&option_specs[id], (*at)[1])) {
        value = "";
    } else if (value == NULL) {
        value = *++*at;
        if (value == NULL) {
            return err_set(e, ERR_INVALID, "--%s needs a value: %s", option_specs[id].name,
                           option_specs[id].argument);
        }
    }
    return option_add(options, id, value, e);
}

static int options_check(const struct command *command, const struct options *options,
                         struct err *e)
{
    if (options_get(options, OPTION_HELP) != NULL) {
        return 0;
    }
    if (command->takes_program && !command->may_lack_program &&
        (options->program == NULL || options->program[0] == NULL)) {
        return err_set(e, ERR_INVALID, "no program: put it behind --, as in `lease %s ROLE -- id`",
                       command->name);
    }
    if (options->arg_count < command->args_min) {
        return err_set(e, ERR_INVALID, "too few arguments: lease %s %s", command->name,
                       command->usage);
    }
    if (options->arg_count > command->args_max) {
        return err_set(e, ERR_INVALID, "too many arguments: lease %s %s", command->name,
                       command->usage);
    }
    return 0;
}

static int argument_add(struct options *options, const char *word, struct err *e)
{
    if (options->arg_count == OPTION_ARGS_MAX) {
        return err_set(e, ERR_INVALID, "more than %d arguments", OPTION_ARGS_MAX);
    }
    options->args[options->arg_count++] = word;
    return 0;
}

int options_parse(const struct command *command, size_t words, char **argv,
                  struct options *ret_options, struct err *e)
{
    bool takes_options = true;
    char **at;
    int status = 0;

    *ret_options = (struct options){0};
    for (at = argv; status == 0 && *at != NULL; at++) {
        const char *word = *at;

        if (takes_options && strcmp(word, "--") == 0) {
            takes_options = false;
            if (command->takes_program) {
                ret_options->program = at + 1;
                break;
            }
        } else if (takes_options && word[0] == '-' && word[1] != '\0') {
            status = option_parse(command, &at, ret_options, e);
        } else if (words > 0) {
            words--;
        } else {
            status = argument_add(ret_options, word, e);
        }
    }
    return status != 0 ? status : options_check(command, ret_options, e);
}

const char *options_get(const struct options *options, enum option_id id)
{
    const struct option_values *values = &options->values[id];

    return values->count > 0 ? values->items[values->count - 1] : NULL;
}

int options_get_duration(const struct options *options, enum option_id id, uint64_t fallback_ms,
                         uint64_t *ret_ms, struct err *e)
{
    const char *text = options_get(options, id);

    if (text == NULL) {
        *ret_ms = fallback_ms;
        return 0;
    }
    if (units_parse_duration(str_of(text), ret_ms) != 0) {
        return err_set(e, ERR_INVALID, "--%s: '%s' is no duration; write 90s, 15m, 1h30m",
                       option_specs[id].name, text);
    }
    return 0;
}
