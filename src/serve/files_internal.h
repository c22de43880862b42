/* What the files of the file delivery share: files.c (what there is, the record, start and stop),
 * files_hold.c (one holder of one role: its grant), files_ask.c (how it gets that), files_write.c
 * (its files, one after the other), files_content.c (one of them), files_status.c. */
#ifndef LEASED_SERVE_FILES_INTERNAL_H
#define LEASED_SERVE_FILES_INTERNAL_H

#include "env/run.h"
#include "serve/exchange.h"
#include "serve/files.h"
#include "wire/file_record.h"

#define HOLD_MAGIC 0x686f6c64U

/* What a hold is at. One thing at a time; from each it comes back to REST, where hold_go decides
 * anew by what is true then. */
enum hold_step {
    HOLD_REST,
    HOLD_CHECK,   /* can its files be written? Before anything is issued for them */
    HOLD_ACQUIRE, /* the credential */
    HOLD_RECORD,  /* what is about to be written is put on record */
    HOLD_PUT,
    HOLD_CHANGE, /* who uses them is told */
    HOLD_SETTLE, /* … and has a moment to move over */
    HOLD_REMOVE,
};

struct file {
    struct list node; /* in its hold */
    struct hold *hold;
    char *path;
    char *format;
    char *template_text; /* NULL: it is none */
    bool is_configured;
    bool is_required;
    bool has_change;
    bool is_changed;  /* … and nobody has been told yet */
    bool is_handled;  /* in this step */
    bool is_replaced; /* another hold writes it now: it isn't removed */
    uint64_t settle_ms;
    char hashes[FILE_RECORD_HASHES_MAX]
               [FILE_HASH_HEX_BYTES + 1]; /* "": none; of what may be there */
    char lease[LEASE_ID_BYTES + 1];       /* that was written; "": none */
    int64_t written_wall_ms;
    char problem[ERR_TEXT_MAX_BYTES]; /* ""; why it isn't written, or nobody was told */
};

/* One identity at one role, with the files that show its credential. */
struct hold {
    uint32_t magic;
    struct files *files;
    struct list node;
    struct list items; /* struct file */
    char *role;        /* NULL: of an earlier start, to be removed */
    char *unit;        /* NULL: none */
    uint32_t uid;
    uint32_t gid;
    enum hold_step step;
    struct file *at; /* whose run is under way; NULL: none is */
    struct env_run run;
    char owner[FILE_RECORD_PATH_MAX_BYTES + 16]; /* of the run */
    char hash[FILE_HASH_HEX_BYTES + 1];          /* of the content that it puts */
    struct list waiting_node;                    /* a run has to wait for its turn */
    struct access_identity identity;
    struct access_decision decision;
    char rule[SERVE_RULE_MAX_BYTES + 1];
    char digest[SERVE_DIGEST_BYTES + 1];
    char request[EXCHANGE_REQUEST_ID_MAX_BYTES];
    struct lease_acquire acquire;
    char grant[LEASE_ID_BYTES + 1];     /* "": none */
    char old_grant[LEASE_ID_BYTES + 1]; /* whose duration ends; until its successor is in use */
    char wanted[LEASE_ID_BYTES + 1];    /* the lease that its files are to show */
    bool wants_new_grant;
    bool is_over; /* its grant has ended: its files go */
    bool is_unit_there;
    bool is_delivered; /* a file of this acquire is there */
    uint64_t record_number;
    uint64_t retry_ms;  /* nothing is asked for before */
    uint64_t remove_ms; /* and nothing removed before this */
    uint64_t settle_ms; /* of those that were told in this round */
    uint32_t failure_count;
    struct env_timer timer;     /* of SETTLE, or the next try */
    struct env_timer unit_look; /* is its unit there? */
    char why[ERR_TEXT_MAX_BYTES];
};

/* --- files.c --- */

/* A new state of the record is wanted: its number, which hold->record_number waits for. */
uint64_t files_record(struct files *files);
/* Something may have come to rest. */
void files_rested(struct files *files);

/* --- files_hold.c --- */

struct hold *hold_new(struct files *files, const struct serve_file *config);
bool hold_is_of(const struct hold *hold, const struct serve_file *config);
/* Nothing is under way. */
void hold_free(struct hold *hold);
/* At rest: does what is to be done next. `hold` may be gone. */
void hold_go(struct hold *hold);
/* Whatever it is at that only waits ends; then hold_go. `hold` may be gone. */
void hold_wake(struct hold *hold);
/* The step has ended. `hold` may be gone. */
void hold_rest(struct hold *hold);
/* … without success: again after a while. */
void hold_fail(struct hold *hold, const char *why, uint64_t retry_after_ms);
/* How long to wait after one more failure. */
uint64_t hold_backoff_ms(struct hold *hold);
/* Files are there (or not): the grant's holder has its credential (or not). */
void hold_delivered(struct hold *hold);
/* Whoever uses the files has moved over. */
void hold_moved(struct hold *hold);
/* Its grant, if it lives. */
struct grant *hold_grant(const struct hold *hold);
bool hold_is_wanted(const struct hold *hold);
bool hold_has_end(const struct hold *hold);
/* For unit_look. */
void hold_look(struct env_timer *timer);
void hold_watch_unit(struct hold *hold);

/* --- files_ask.c --- */

/* Asks for the credential, for a new grant where the hold wants one: then write_begin, or
 * hold_fail. `hold` may be gone. */
void ask_begin(struct hold *hold);

/* --- files_content.c --- */

struct file *file_new(struct hold *hold, const char *path);
void file_free(struct file *file);
/* May anything of ours stand at its path? */
bool file_is_there(const struct file *file);
void file_set_problem(struct file *file, const char *text);
/* Appends what the hold's credential is in its format (at most ENV_RUN_INPUT_MAX_BYTES), and hashes
 * it. ERR_*: its problem says why. */
int file_content(const struct hold *hold, struct file *file, struct buf *out,
                 char ret_hash[FILE_HASH_HEX_BYTES + 1]) ATTR_MUST_USE;
/* From now on it may have this content, too; it has this one and no other; may it? */
void file_hash_add(struct file *file, const char *hash);
void file_hash_settle(struct file *file, const char *hash);
bool file_has_hash(const struct file *file, const char *hash);

/* --- files_write.c --- */

/* Is there anything to be taken away? */
bool write_has_remains(const struct hold *hold);
void write_check(struct hold *hold);
/* From the credential of the hold's grant to the files, and to who uses them. */
void write_begin(struct hold *hold);
/* The record is as it was wanted. */
void write_recorded(struct hold *hold, int status);
void write_remove(struct hold *hold);
/* A run may start that had to wait. */
void write_run_next(struct files *files);

#endif
