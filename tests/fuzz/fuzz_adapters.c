/* What git, docker, kubectl and Terraform say to their helpers: reading it ends, a target is one
 * line within its limit, and nothing is left allocated. */
#include "base/mem.h"
#include "wire/docker_credential.h"
#include "wire/git_credential.h"
#include "wire/kube_credential.h"
#include "wire/terraform_query.h"

#include <jansson.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void git(struct str text)
{
    struct git_question question;
    char target[CLIENT_TARGET_MAX_BYTES + 1];

    if (git_question_parse(text, &question, NULL) == 0 && git_question_target(&question, target)) {
        CHECK(strlen(target) <= CLIENT_TARGET_MAX_BYTES);
        CHECK(strchr(target, '\n') == NULL);
        CHECK(!client_match(STR("*.example.com/a"), STR("evil.com/x.example.com/a")));
        (void)client_match(str_of(target), str_of(target));
    }
}

static void docker(struct str text)
{
    struct docker_server server;
    struct err e;
    BUF_AUTO url;

    buf_init(&url, DOCKER_INPUT_MAX_BYTES);
    if (docker_server_parse(text, &server, &e) == 0) {
        CHECK(server.target[0] != '\0');
        CHECK(strpbrk(server.target, "/\n ") == NULL);
    }
    (void)!docker_store_parse(text, &url, &e);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct str text = {.ptr = (const char *)bytes, .len = size};
    char role[TERRAFORM_ROLE_MAX_BYTES + 1];
    const char *version;
    struct err e;
    char *copy;

    json_set_alloc_funcs(mem_alloc, mem_free);
    git(text);
    docker(text);
    if (terraform_query_parse(text, role, &e) == 0) {
        CHECK(strlen(role) <= TERRAFORM_ROLE_MAX_BYTES);
    }
    copy = mem_strndup(text.ptr, text.len);
    if (copy != NULL) {
        (void)!kube_exec_info_parse(copy, &version, &e);
    }
    mem_free(copy);
    CHECK(mem_in_use_bytes() == 0);
    return 0;
}
