/*
 * What the commands of 'run-core storage' share: the stores that their words lie in, places and
 * folders, and results. One command at a time in a process.
 */
#ifndef CORE_CLI_STORAGE_H
#define CORE_CLI_STORAGE_H

#include <base/arena.h>
#include <base/cancel.h>
#include <cli/cli.h>
#include <storage/storage.h>

#include <run-core/error.h>

/* ---- a command at work ----------------------------------------------------------------------- */

struct core_storage_command {
    const struct core_arguments *arguments;
    const char *const *uris; /* one for each word; "-" stays */
    size_t uri_count;
    struct core_storage *storage;
    struct core_cancel *cancel; /* a signal asks to stop, where the command looks at it */
    int log_level;              /* enum rc_log_level */
    struct core_arena arena;    /* for what lasts as long as the command */
    struct rc_buf out;          /* on its way to stdout */
    bool is_out_gone;           /* nobody reads it any more, which ends the command in peace */
    bool has_failed;            /* one of several things, and it was said why */
    bool has_said;              /* why the work ends */

    struct core_config *config;
    struct core_remote *remote;
    struct core_store_settings *stores; /* with what the flags say of them */
};

/*
 * Reads the configuration, does the work, says why it failed, and returns the exit status. With
 * 'changes' the first SIGINT or SIGTERM is left to the work, so that nothing stays half done.
 */
int core_storage_command_run(const struct core_arguments *arguments, bool changes,
                             enum rc_code (*work)(struct core_storage_command *command,
                                                  struct rc_error *err));

/*
 * One of several words failed: says why, and the work goes on with the next. Returns the error
 * where it ends all the same.
 */
RC_MUST_CHECK enum rc_code core_storage_one_failed(struct core_storage_command *command,
                                                   struct rc_error *err);

/* ---- results --------------------------------------------------------------------------------- */

/* What was added to 'out' goes to stdout, a line at a time on a terminal; else in large pieces. */
RC_MUST_CHECK enum rc_code core_storage_out(struct core_storage_command *command,
                                            struct rc_error *err);
RC_MUST_CHECK enum rc_code core_storage_out_flush(struct core_storage_command *command,
                                                  struct rc_error *err);

/* "name":"value" and "name":5, with a comma in front where one is needed. NULL is left out. */
void core_storage_add_text(struct rc_buf *out, const char *name, const char *value);
void core_storage_add_number(struct rc_buf *out, const char *name, int64_t value);
/* RFC 3339, or null where it is not known. */
void core_storage_add_time(struct rc_buf *out, const char *name, int64_t unix_ms);

/* ---- places ---------------------------------------------------------------------------------- */

/* A plain path is a local file. RC_INVALID: a slip, such as "s3:bucket". */
RC_MUST_CHECK enum rc_code core_storage_word_to_uri(struct core_arena *arena, const char *word,
                                                    const char **uri, struct rc_error *err);

/* Whether a URI can only mean a folder: it ends with a slash, or is a whole bucket. */
bool core_storage_is_folder_by_name(const char *uri);
/* A whole bucket, or "file:///". */
bool core_storage_is_root(const char *uri);
/* Whether something lies below the place; a whole bucket and a local folder may be empty. */
RC_MUST_CHECK enum rc_code core_storage_is_folder(struct core_storage_command *command,
                                                  const char *uri, bool *is_folder,
                                                  struct rc_error *err);
/* Whether there is an object of exactly that name. */
RC_MUST_CHECK enum rc_code core_storage_is_object(struct core_storage_command *command,
                                                  const char *uri, bool *is_object,
                                                  struct rc_error *err);
/* With a slash at the end, where it has none. */
const char *core_storage_as_folder(struct core_arena *arena, const char *uri);

/* Whether --include and --exclude let the name through, which is relative to its folder. */
bool core_storage_is_wanted(const struct core_arguments *arguments, const char *name);

/* ---- the work of each ------------------------------------------------------------------------ */

extern const struct core_command core_command_storage_ls, core_command_storage_stat,
    core_command_storage_cat, core_command_storage_cp, core_command_storage_mv,
    core_command_storage_sync, core_command_storage_rm, core_command_storage_sweep,
    core_command_storage_mb, core_command_storage_rb;

/* What all of them take: where the stores are and how much is said. */
#define CORE_FLAGS_STORAGE                                                                         \
    (CORE_FLAG_CONFIG | CORE_FLAG_ENDPOINT | CORE_FLAG_REGION | CORE_FLAG_PROFILE |                \
     CORE_FLAG_ANONYMOUS | CORE_FLAG_LOG_LEVEL | CORE_FLAG_VERBOSE | CORE_FLAG_QUIET)

#endif
