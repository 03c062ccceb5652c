/*
 * The command line. Commands and flags stand in tables, from which parsing, usage
 * errors, --help, the synopsis of the man page and shell completion all follow.
 *
 * Every run() returns the exit status of the process: see runtime/exit.h.
 */
#ifndef CORE_CLI_CLI_H
#define CORE_CLI_CLI_H

#include <runtime/exit.h>

#include <run-core/buf.h>
#include <run-core/option.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct core_submitted;

/* ---- running one action ---------------------------------------------------------------------- */

/* What 'run-core <plugin> [action]' and 'run-core run <job>' ask for. All text is borrowed. */
struct core_run_request {
    const char *config_path; /* file or directory, found already; NULL: no configuration */
    const char *plugin;      /* NULL: the job's */
    const char *action;      /* NULL: the job's, else the plugin's first */
    const char *job;         /* NULL: a run without a job */
    const char *const *set;  /* KEY=VALUE */
    size_t set_count;
    int64_t now_unix_ms;
    bool has_now;
    bool dry_run, json, force;
    const char *listen;                     /* NULL: nothing is served */
    int log_level;                          /* enum rc_log_level */
    bool has_log_level;                     /* else as the configuration says */
    const struct core_submitted *submitted; /* NULL: it is not a plugin that has begun it */
};

/* Runs it in the foreground. */
int core_cli_run(const struct core_run_request *request);

/* ---- flags ----------------------------------------------------------------------------------- */

/* Which flags a command takes; --help is taken everywhere. */
#define CORE_FLAG_CONFIG (UINT64_C(1) << 0)
#define CORE_FLAG_SET (UINT64_C(1) << 1)
#define CORE_FLAG_NOW (UINT64_C(1) << 2)
#define CORE_FLAG_DRY_RUN (UINT64_C(1) << 3)
#define CORE_FLAG_LISTEN (UINT64_C(1) << 4)
#define CORE_FLAG_JSON (UINT64_C(1) << 5)
#define CORE_FLAG_MARKDOWN (UINT64_C(1) << 6)
#define CORE_FLAG_JOB (UINT64_C(1) << 7)
#define CORE_FLAG_FORCE (UINT64_C(1) << 8)
#define CORE_FLAG_LOG_LEVEL (UINT64_C(1) << 9)
#define CORE_FLAG_VERBOSE (UINT64_C(1) << 10)
#define CORE_FLAG_QUIET (UINT64_C(1) << 11)
#define CORE_FLAG_VERSION (UINT64_C(1) << 12)
#define CORE_FLAG_HELP (UINT64_C(1) << 13)
#define CORE_FLAG_FROM (UINT64_C(1) << 14)
#define CORE_FLAG_TIME_ZONE (UINT64_C(1) << 15)
#define CORE_FLAG_COUNT (UINT64_C(1) << 16)
#define CORE_FLAG_EXPLAIN (UINT64_C(1) << 17)
#define CORE_FLAG_BATCH (UINT64_C(1) << 18)
#define CORE_FLAG_STATUS (UINT64_C(1) << 19)
#define CORE_FLAG_LIMIT (UINT64_C(1) << 20)
#define CORE_FLAG_AS (UINT64_C(1) << 21)
#define CORE_FLAG_OUTPUT (UINT64_C(1) << 22)
#define CORE_FLAG_IMAGE (UINT64_C(1) << 23)
#define CORE_FLAG_NAMESPACE (UINT64_C(1) << 24)
#define CORE_FLAG_TAIL (UINT64_C(1) << 25)
#define CORE_FLAG_FOLLOW (UINT64_C(1) << 26)
#define CORE_FLAG_ATTEMPT (UINT64_C(1) << 27)
#define CORE_FLAG_WAIT (UINT64_C(1) << 28)
#define CORE_FLAG_RECURSIVE (UINT64_C(1) << 29)
#define CORE_FLAG_VERSIONS (UINT64_C(1) << 30)
#define CORE_FLAG_VERSION_ID (UINT64_C(1) << 31)
#define CORE_FLAG_SUMMARY (UINT64_C(1) << 32)
#define CORE_FLAG_HUMAN (UINT64_C(1) << 33)
#define CORE_FLAG_RANGE (UINT64_C(1) << 34)
#define CORE_FLAG_DELETE (UINT64_C(1) << 35)
#define CORE_FLAG_INCLUDE (UINT64_C(1) << 36)
#define CORE_FLAG_EXCLUDE (UINT64_C(1) << 37)
#define CORE_FLAG_WIDTH (UINT64_C(1) << 38)
#define CORE_FLAG_LIMIT_RATE (UINT64_C(1) << 39)
#define CORE_FLAG_STORAGE_CLASS (UINT64_C(1) << 40)
#define CORE_FLAG_METADATA (UINT64_C(1) << 41)
#define CORE_FLAG_CONTENT_TYPE (UINT64_C(1) << 42)
#define CORE_FLAG_IF_ABSENT (UINT64_C(1) << 43)
#define CORE_FLAG_KEEP_GOING (UINT64_C(1) << 44)
#define CORE_FLAG_RESUME (UINT64_C(1) << 45)
#define CORE_FLAG_OLDER (UINT64_C(1) << 46)
#define CORE_FLAG_ENDPOINT (UINT64_C(1) << 47)
#define CORE_FLAG_REGION (UINT64_C(1) << 48)
#define CORE_FLAG_PROFILE (UINT64_C(1) << 49)
#define CORE_FLAG_ANONYMOUS (UINT64_C(1) << 50)
#define CORE_FLAG_REMOVE_ALL (UINT64_C(1) << 51)
#define CORE_FLAG_VERSION_IDS (UINT64_C(1) << 52)
#define CORE_FLAG_CHECKSUM (UINT64_C(1) << 53)
#define CORE_FLAG_COMPARE (UINT64_C(1) << 54)
#define CORE_FLAG_MAX_DELETE (UINT64_C(1) << 55)
#define CORE_FLAG_ALLOW_EMPTY (UINT64_C(1) << 56)

/* What a run takes, of a plugin or a job. */
#define CORE_FLAGS_RUN                                                                             \
    (CORE_FLAG_CONFIG | CORE_FLAG_SET | CORE_FLAG_NOW | CORE_FLAG_DRY_RUN | CORE_FLAG_LISTEN |     \
     CORE_FLAG_JSON | CORE_FLAG_FORCE | CORE_FLAG_LOG_LEVEL | CORE_FLAG_VERBOSE | CORE_FLAG_QUIET)
#define CORE_FLAGS_PLUGIN (CORE_FLAGS_RUN | CORE_FLAG_JOB)

enum core_flag_kind {
    CORE_SWITCH, /* bool, set to true */
    CORE_TEXT,   /* const char *; the last one counts */
    CORE_TEXTS,  /* struct rc_strs; each one is kept */
    CORE_TIME,   /* struct core_flag_time */
    CORE_LEVEL,  /* struct core_flag_level */
    CORE_LOUDER, /* struct core_flag_level, one step up for each */
    CORE_QUIETER,
};

struct core_flag_time {
    bool given;
    int64_t unix_ms;
};

struct core_flag_level {
    bool given;
    int level; /* enum rc_log_level */
};

struct core_flag {
    uint64_t bit;
    const char *name;  /* without its dashes; several may share one, as they may a letter */
    char letter;       /* of the short form, or 0 */
    const char *value; /* what help calls the value; NULL: it takes none */
    enum core_flag_kind kind;
    size_t offset; /* in struct core_arguments */
    const char *help;
};

/* All flags, in the order of the help; ends with an entry without 'bit'. */
extern const struct core_flag core_flags[];

/* ---- commands -------------------------------------------------------------------------------- */

struct core_command;

/* A command line, parsed. Text is borrowed from argv. */
struct core_arguments {
    const struct core_command *const *commands; /* all of them; ends with NULL */
    const struct core_command *command;
    const char *const *words; /* behind the flags and the command's name */
    size_t word_count;

    const char *config, *listen, *job, *from, *time_zone, *count;
    const char *as, *output, *image, *name_space, *status, *limit;
    const char *attempt, *tail;
    struct rc_strs set;
    struct core_flag_time now;
    struct core_flag_level log_level;
    bool dry_run, json, markdown, force, help, version, explain, batch, follow, wait;

    /* Of 'storage'. */
    const char *version_id, *range, *width, *limit_rate, *storage_class, *content_type, *resume;
    const char *older, *endpoint, *region, *profile, *compare, *max_delete;
    struct rc_strs include, exclude, metadata, version_ids;
    bool recursive, versions, summary, human, remove_extra, if_absent, keep_going, anonymous;
    bool checksum, allow_empty;
};

struct core_command {
    const char *name;     /* of a part of another: with that one's in front, "storage ls" */
    const char *operands; /* as in the synopsis: "NAME [DIR]"; NULL: none */
    const char *summary;  /* one sentence */
    const char *details;  /* paragraphs for its own help; or NULL */
    uint64_t flags;       /* CORE_FLAG_... */
    size_t min_words, max_words;
    bool hidden; /* for programs: left out of the help */
    /* Those that its next word names, ends with NULL: "storage ls" of "storage". Or NULL. */
    const struct core_command *const *parts;
    int (*run)(const struct core_arguments *arguments);
    /* Adds what the word behind those of 'arguments' may be, one a line; or NULL. */
    void (*complete)(const struct core_arguments *arguments, struct rc_buf *out);
};

extern const struct core_command core_command_run, core_command_daemon, core_command_serve,
    core_command_next, core_command_runs, core_command_trigger, core_command_cancel,
    core_command_pause, core_command_resume, core_command_reload, core_command_logs,
    core_command_token, core_command_storage, core_command_check, core_command_list,
    core_command_describe, core_command_new_plugin, core_command_check_plugin, core_command_version,
    core_command_export, core_command_help, core_command_complete, core_command_manual,
    core_command_submitted;

/* What 'run-core <plugin> [action]' is; its first word is the plugin. Not in the table. */
extern const struct core_command core_command_plugin;

/* Parses, dispatches and returns the exit status. 'commands' ends with NULL. */
int core_cli_main(const struct core_command *const *commands, int argc, char **argv);

#endif
