/* Policies: rules from identities to roles. Default deny; a deny wins; each allow rule is judged
 * whole, limits don't add up. The first allow rule that fits decides: those without approval in
 * file order, then those with one; break-glass rules last, and only for who asks for that. Rules
 * that are only observed decide nothing. */
#ifndef LEASED_ACCESS_POLICY_H
#define LEASED_ACCESS_POLICY_H

#include "access/identity.h"
#include "base/units.h"
#include "wire/schema.h"

/* What a grant's life hangs on. */
enum access_binding {
    ACCESS_BINDING_DEFAULT, /* not asked for: the role's */
    ACCESS_BINDING_PROCESS, /* the caller's process */
    ACCESS_BINDING_PARENT,  /* nearest ancestor of the same uid that has exec'd */
    ACCESS_BINDING_SESSION, /* the caller's scope (login, job), else the leader of its session */
    ACCESS_BINDING_UNIT,    /* the caller's service, scope or cgroup, until it is empty */
    ACCESS_BINDING_CONNECTION,
    ACCESS_BINDING_NONE, /* the duration alone */
    ACCESS_BINDING_PID,  /* pid:N, an ancestor of the same uid */
    ACCESS_BINDING_COMM, /* comm:NAME, an ancestor of the same uid */
    ACCESS_BINDING_FILE, /* a file that the configuration names; nobody can ask for it */
};

#define ACCESS_BINDINGS_MAX 4

struct access_binding_spec {
    enum access_binding kind;
    int32_t pid;                   /* ACCESS_BINDING_PID */
    char name[ENV_NAME_MAX_BYTES]; /* ACCESS_BINDING_COMM */
};

/* Parses "process", "pid:123", "comm:NAME", …; 0 or ERR_INVALID. */
int access_binding_parse(struct str text, struct access_binding_spec *ret_spec) ATTR_MUST_USE;

/* The spec as it is written. Returns `out`. */
#define ACCESS_BINDING_TEXT_MAX_BYTES 80
const char *access_binding_format(const struct access_binding_spec *spec,
                                  char out[ACCESS_BINDING_TEXT_MAX_BYTES]);

/* The same bindings in the same order? */
bool access_bindings_are_equal(const struct access_binding_spec *a, size_t a_count,
                               const struct access_binding_spec *b, size_t b_count);

enum access_admin {
    ACCESS_ADMIN_READ = 1,
    ACCESS_ADMIN_REVOKE = 2,
    ACCESS_ADMIN_POLICY = 4,
    ACCESS_ADMIN_RELOAD = 8,
};

struct access_request {
    const char *role;
    enum access_binding role_binding; /* the role's own, for what may be asked instead */
    uint64_t role_max_ttl_ms;         /* the default limit of duration */
    uint64_t duration_ms;             /* 0: not asked */
    struct access_binding_spec bindings[ACCESS_BINDINGS_MAX];
    size_t binding_count; /* 0: not asked */
    const char *reason;   /* NULL: none */
    const char *ticket;   /* NULL: none */
    uint32_t live_count; /* grants that this identity holds for this role now, without the one asked
                            for */
    int64_t wall_ms;     /* now: windows are open or closed by it */
    const char *approved_rule; /* digest of the rule for which an approval of exactly this request
                                  stands; NULL: none does */
    bool is_break_glass;       /* the caller asks to break the glass */
};

enum access_outcome {
    ACCESS_ALLOW,
    ACCESS_DENY,           /* no rule allows, a deny rule matched, or the rule's window is closed */
    ACCESS_LIMIT_EXCEEDED, /* duration, live or binding over the rule's limit */
    ACCESS_REASON_REQUIRED,   /* a reason, or a ticket (`limit` says so), is missing or unfit */
    ACCESS_APPROVAL_REQUIRED, /* everything else of the rule fits */
    ACCESS_BLOCKED,           /* by a block, before any policy is asked; no policy decides so */
};

struct access_subjects;

/* What a rule asks of others. */
struct access_approval {
    uint32_t count; /* of different people */
    uint64_t decide_within_ms;
    uint64_t use_within_ms;             /* of the approval */
    const struct access_subjects *from; /* for access_policy_may_approve */
    uint64_t fingerprint;               /* of all that is asked: others ask for something else */
};

#define ACCESS_DETAIL_MAX_BYTES 256
#define ACCESS_BLOCK_MAX_BYTES 36

struct access_decision {
    enum access_outcome outcome;
    const char
        *rule; /* name of the deciding rule; NULL when none matched. Lives as long as the policy */
    const char *rule_digest; /* hex SHA-256 over what that rule means; NULL where `rule` is */
    const char *limit;       /* ACCESS_LIMIT_EXCEEDED: which one, by its key in a rule's limits;
                                ACCESS_REASON_REQUIRED: "ticket" where it is that; ACCESS_DENY: "window"
                                where it is closed; else NULL */
    char
        detail[ACCESS_DETAIL_MAX_BYTES]; /* for people: why not, and the maximum; "" when allowed */
    const struct access_approval *approval; /* what the rule asks; NULL: none, or none decided */
    int64_t opens_wall_ms;                  /* "window": when it does; 0: not in years */
    bool is_break_glass;                    /* it is a break-glass rule that allows */
    const char *glass_rule; /* ACCESS_DENY, and no rule that denies: the first break-glass rule that
                               is about the caller and the role, who doesn't ask for that; else
                               NULL */
    /* ACCESS_ALLOW, and what would be given with ACCESS_APPROVAL_REQUIRED: */
    uint64_t duration_ms;  /* the grant's life */
    int64_t until_wall_ms; /* … which ends then at the latest, with its window; 0: no window */
    uint64_t ttl_ms;       /* limit of the credential's ttl; 0: the role's own */
    uint64_t min_remaining_ms; /* what a credential must have left at least; 0: the role's own */
    struct units_rate issue;   /* new grants of one identity by this rule; count 0: no limit */
    struct access_binding_spec bindings[ACCESS_BINDINGS_MAX]; /* what to bind to */
    size_t binding_count;
    char block[ACCESS_BLOCK_MAX_BYTES]; /* ACCESS_BLOCKED: its id, and when it ends */
    int64_t block_until_wall_ms;
};

struct access_policy;

/* What rules may name; each list is ended by NULL, and a NULL list has nothing in it. */
struct access_known {
    const char *const *roles;
    const char *const *issuers;
    /* Reads time zones for windows: access/zones.h. NULL: only UTC is known. */
    int (*zone_read)(void *user, const char *name, struct buf *out);
    void *zone_user;
};

/* The files of a policy as trees, {rules: […], admins: […], …} each. */
struct access_nodes {
    const struct yaml_node *const *items;
    size_t count;
};

struct access_policy_options {
    bool counts_observed; /* rules with `mode: observe` count like all others */
    /* Where roles and issuers go that exist nowhere; such a name fits none. NULL: they are
     * mistakes. */
    struct yaml_errors *unknown;
};

/* Compiles trees; they and what they point to may go afterwards. `known` is used to refuse rules
 * whose roles or issuers exist nowhere; it is borrowed until the call returns, as are the options
 * (NULL: none). All mistakes go to `errors`. ERR_INVALID, ERR_NOMEM. */
int access_policy_parse(const struct access_nodes *nodes, const struct access_known *known,
                        const struct access_policy_options *options,
                        struct access_policy **ret_policy,
                        struct yaml_errors *errors) ATTR_MUST_USE;
void access_policy_free(struct access_policy *policy);

/* Hex SHA-256 over the rules in canonical form; stands in every audit record. */
const char *access_policy_digest(const struct access_policy *policy);

/* Is there a rule that is only observed? */
bool access_policy_has_observed(const struct access_policy *policy);

/* Decides one request. Cheap: called for each read, and only a required reason's expression may
 * allocate, within its limit.
 *
 * A caller from another container matches only subjects that name `container`, or `listener` when
 * it came by one that takes foreign callers, except in rules that deny. A binding may be asked for
 * when it lets the grant live no longer than the role's would (connection < process = parent <
 * session < unit < pid, comm < none) or when the rule lists it; of several, one is enough, because
 * the first end ends the grant. When no rule allows, the first that lacks nothing but an approval
 * says so, else the first that matched the caller says why not. */
void access_policy_decide(const struct access_policy *policy,
                          const struct access_identity *identity,
                          const struct access_request *request,
                          struct access_decision *ret_decision);

/* What one rule says about a request. */
enum access_verdict {
    ACCESS_VERDICT_DECIDES,  /* allows or denies; or nobody allows, and this one says why not */
    ACCESS_VERDICT_FITS,     /* would allow or deny too; another one decides */
    ACCESS_VERDICT_REFUSES,  /* is about the caller, but doesn't allow this */
    ACCESS_VERDICT_NO_MATCH, /* isn't about this role, or not about this caller */
};

struct access_rule_report {
    const char *rule; /* its name; borrowed from the policy */
    bool is_deny;
    enum access_verdict verdict;
    /* What keeps it from allowing, by its key: roles, subjects, break_glass, binding, duration,
     * live, window, reason, ticket, approval, mode; NULL: nothing. */
    const char *condition;
    char detail[ACCESS_DETAIL_MAX_BYTES]; /* for people; "" when there is nothing to say */
};

struct access_explain {
    /* Also says what the subjects are that don't match: for who may read the policy. */
    bool shows_subjects;
    /* Called for each rule in file order, before access_policy_explain returns. */
    void (*rule)(void *user, const struct access_rule_report *report);
    void *user;
};

/* Decides like access_policy_decide, and tells about each rule. */
void access_policy_explain(const struct access_policy *policy,
                           const struct access_identity *identity,
                           const struct access_request *request,
                           const struct access_explain *explain,
                           struct access_decision *ret_decision);

/* What may be done with a path of an issuer's own API, by the words of Vault's policies. */
enum access_capability {
    ACCESS_CAN_CREATE = 1,
    ACCESS_CAN_READ = 2,
    ACCESS_CAN_UPDATE = 4,
    ACCESS_CAN_DELETE = 8,
    ACCESS_CAN_LIST = 16,
    ACCESS_CAN_PATCH = 32,
    ACCESS_CAN_SUDO = 64,
    ACCESS_CAN_SCAN = 128,
};

/* The word of one capability; NULL: it is none. */
const char *access_capability_word(uint32_t capability);

struct access_path_request {
    const char *backend;
    struct str path; /* decoded, without v1/; the way of a namespace stands before it */
    uint32_t needs;  /* ACCESS_CAN_*, all of them */
    int64_t wall_ms; /* now */
};

/* May the caller pass a request on to this path? Default deny; a rule that denies any of what is
 * needed wins. Of the decision, outcome, rule and detail count. Cheap; allocates nothing. */
void access_policy_decide_path(const struct access_policy *policy,
                               const struct access_identity *identity,
                               const struct access_path_request *request,
                               struct access_decision *ret_decision);

/* Is anything allowed below the mount that `path` is in? Its first segment counts. */
bool access_policy_touches(const struct access_policy *policy,
                           const struct access_identity *identity, const char *backend,
                           struct str path);

/* All ACCESS_CAN_* that the caller has on a path; what the request needs doesn't matter. */
uint32_t access_policy_capabilities(const struct access_policy *policy,
                                    const struct access_identity *identity,
                                    const struct access_path_request *request);

/* Does the policy give this right to anybody at all? */
bool access_policy_has_admin(const struct access_policy *policy, enum access_admin right);

/* Which ACCESS_ADMIN_* this identity has; none over loopback TCP. */
uint32_t access_policy_admin(const struct access_policy *policy,
                             const struct access_identity *identity);

/* --- approvals and people --- */

bool access_policy_has_rule(const struct access_policy *policy, const char *rule_digest);

/* May this identity approve what the rule asks approval for? Whether it is the requester's own is
 * for the caller to see to. False for a rule that isn't there or asks for none. */
bool access_policy_may_approve(const struct access_policy *policy, const char *rule_digest,
                               const struct access_identity *identity);

/* Who is behind an identity: the person that its issuer names, else the first in the policy's
 * `persons` that it matches; NULL: not known. Borrowed from the identity or the policy. */
const char *access_policy_person(const struct access_policy *policy,
                                 const struct access_identity *identity);

/* The same by `persons` alone. Whoever wants to know who somebody may be looks at the token's
 * person and at this one: a token must not make a user somebody else than the policy says. */
const char *access_policy_mapped_person(const struct access_policy *policy,
                                        const struct access_identity *identity);

size_t access_policy_rule_count(const struct access_policy *policy);

/* The keys of policy files, for their JSON Schema: a file, a rule, and the two forms that an entry
 * of `admins` may have. */
extern const struct schema_object access_policy_table;
extern const struct schema_object access_rule_table;
extern const struct schema_object access_admins_table;
extern const struct schema_object access_subject_table;
extern const struct schema_enum_value access_mode_words[]; /* 0 active, 1 observe */

#endif
