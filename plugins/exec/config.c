/* Each failure names the key and what was expected. */
#include "config.h"

#include "common/when.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define WORDS_MAX 64U
#define WORD_MAX_BYTES 4096U
#define VARIABLES_MAX 32U
#define VALUE_MAX_BYTES 1024U
#define USER_MAX_BYTES 64U
#define TIMEOUT_MAX_S 180

static const char *const keys[] = {"command", "revoke_command", "user", "env", "timeout"};

/* A program and its arguments, as it is run: without a shell. */
static int check_command(json_t *root, const char *key, struct plugin_text *detail)
{
    json_t *command = json_object_get(root, key);
    json_t *word;
    size_t i;

    if (command == NULL) {
        return 0;
    }
    if (!json_is_array(command) || json_array_size(command) == 0 ||
        json_array_size(command) > WORDS_MAX) {
        plugin_text_set(detail,
                        "%s: a list is expected: the absolute path of a program, and its "
                        "arguments, at most %u in all",
                        key, WORDS_MAX);
        return -1;
    }
    json_array_foreach (command, i, word) {
        if (!json_is_string(word) || json_string_length(word) > WORD_MAX_BYTES) {
            plugin_text_set(detail,
                            "%s: texts of at most %u bytes are expected; put numbers in "
                            "quotes",
                            key, WORD_MAX_BYTES);
            return -1;
        }
    }
    if (json_string_value(json_array_get(command, 0))[0] != '/') {
        plugin_text_set(detail,
                        "%s: the path of the program must begin with \"/\": nothing is "
                        "searched for",
                        key);
        return -1;
    }
    return 0;
}

static bool is_variable_name(const char *name)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
    static const char others[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";

    return name[0] != '\0' && strchr(letters, name[0]) != NULL &&
           name[strspn(name, others)] == '\0' && strlen(name) <= USER_MAX_BYTES;
}

static int check_env(json_t *root, struct plugin_text *detail)
{
    json_t *env = json_object_get(root, "env");
    const char *name;
    json_t *value;

    if (env == NULL) {
        return 0;
    }
    if (!json_is_object(env) || json_object_size(env) > VARIABLES_MAX) {
        plugin_text_set(detail, "env: an object of at most %u variables is expected",
                        VARIABLES_MAX);
        return -1;
    }
    json_object_foreach (env, name, value) {
        if (!is_variable_name(name) || strncmp(name, "LEASED_", 7) == 0) {
            plugin_text_set(detail,
                            "env: %.64s is not the name of a variable that can be set; "
                            "those of LEASED_ are the host's",
                            name);
            return -1;
        }
        if (!json_is_string(value) || json_string_length(value) > VALUE_MAX_BYTES) {
            plugin_text_set(detail,
                            "env.%.64s: a text of at most %u bytes is expected; put "
                            "numbers in quotes",
                            name, VALUE_MAX_BYTES);
            return -1;
        }
    }
    return 0;
}

static int check_timeout(json_t *root, struct plugin_text *detail)
{
    json_t *timeout = json_object_get(root, "timeout");
    int64_t seconds = -1;

    if (timeout == NULL) {
        return 0;
    }
    if (json_is_integer(timeout)) {
        seconds = json_integer_value(timeout);
    } else if (json_is_string(timeout)) {
        seconds = plugin_when_duration(plugin_str(json_string_value(timeout)));
    }
    if (seconds < 1 || seconds > TIMEOUT_MAX_S) {
        plugin_text_set(detail, "timeout: a duration from 1s to %us is expected",
                        (unsigned)TIMEOUT_MAX_S);
        return -1;
    }
    return 0;
}

static int check(json_t *root, struct plugin_text *detail)
{
    char user[USER_MAX_BYTES + 1] = "";

    if (!json_is_object(root)) {
        plugin_text_set(detail, "the configuration is not a JSON object");
        return -1;
    }
    if (plugin_config_check_keys(root, keys, COUNT(keys), "", detail) != 0) {
        return -1;
    }
    if (json_object_get(root, "command") == NULL) {
        plugin_text_set(detail, "command is missing: the program that prints a credential");
        return -1;
    }
    return check_command(root, "command", detail) == 0 &&
                   check_command(root, "revoke_command", detail) == 0 &&
                   plugin_config_text(root, "user", user, sizeof(user), detail) == 0 &&
                   check_env(root, detail) == 0
               ? check_timeout(root, detail)
               : -1;
}

int exec_config_parse(struct leased_str json, struct exec_config *ret_config,
                      struct plugin_text *ret_detail)
{
    json_error_t problem;
    json_t *root = json_loadb(json.ptr, json.len, JSON_REJECT_DUPLICATES, &problem);
    int rc = check(root, ret_detail);

    if (rc == 0) {
        ret_config->can_revoke = json_object_get(root, "revoke_command") != NULL;
    }
    json_decref(root);
    return rc;
}
