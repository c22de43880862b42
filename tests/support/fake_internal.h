/* Between the files of the fake env. */
#ifndef LEASED_TESTS_SUPPORT_FAKE_INTERNAL_H
#define LEASED_TESTS_SUPPORT_FAKE_INTERNAL_H

#include "support/fake_env.h"

/* malloc that ends the test instead of failing. */
void *fake_alloc(size_t size);
char *fake_strdup(const char *text);

struct fake_env *fake_of(struct env *env);

/* Each runs what is due in its part; true if something ran. */
bool fake_files_run(struct fake_env *fake);
bool fake_https_run(struct fake_env *fake);
bool fake_watches_run(struct fake_env *fake);
bool fake_cgroups_run(struct fake_env *fake);
bool fake_programs_run(struct fake_env *fake);

void fake_files_fini(struct fake_env *fake);

int fake_file_open(struct env *env, const char *path, struct env_file **ret_file, struct err *e);
int fake_file_put(struct env *env, struct env_put *put);
int fake_http_start(struct env *env, struct env_http *http, struct err *e);
void fake_http_cancel(struct env *env, struct env_http *http);
int fake_process_lookup(struct env *env, int32_t pid, struct env_process *ret_process);
int fake_process_watch_start(struct env *env, struct env_process_watch *watch);
void fake_process_watch_close(struct env *env, struct env_process_watch *watch);
bool fake_process_watch_has_ended(struct env *env, struct env_process_watch *watch);
int fake_cgroup_find(struct env *env, const struct env_cgroup_query *query,
                     struct env_cgroup *ret_cgroup, struct err *e);
int fake_cgroup_watch_start(struct env *env, struct env_cgroup_watch *watch);
void fake_cgroup_watch_close(struct env *env, struct env_cgroup_watch *watch);
bool fake_cgroup_watch_has_ended(struct env *env, struct env_cgroup_watch *watch);
int fake_run_start(struct env *env, struct env_run *run);
void fake_run_cancel(struct env *env, struct env_run *run);
const char *fake_run_problem(struct env *env);

#endif
