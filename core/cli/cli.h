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
    const char *listen; /* NULL: nothing is served */
    int log_level;      /* enum rc_log_level */
    bool has_log_level; /* else as the configuration says */
};

/* Runs it in the foreground. */
int core_cli_run(const struct core_run_request *request);

/* ---- flags ----------------------------------------------------------------------------------- */

/* Which flags a command takes; --help is taken everywhere. */
enum core_flag_bit {
    CORE_FLAG_CONFIG = 1u << 0,
    CORE_FLAG_SET = 1u << 1,
    CORE_FLAG_NOW = 1u << 2,
    CORE_FLAG_DRY_RUN = 1u << 3,
    CORE_FLAG_LISTEN = 1u << 4,
    CORE_FLAG_JSON = 1u << 5,
    CORE_FLAG_MARKDOWN = 1u << 6,
    CORE_FLAG_JOB = 1u << 7,
    CORE_FLAG_FORCE = 1u << 8,
    CORE_FLAG_LOG_LEVEL = 1u << 9,
    CORE_FLAG_VERBOSE = 1u << 10,
    CORE_FLAG_QUIET = 1u << 11,
    CORE_FLAG_VERSION = 1u << 12,
    CORE_FLAG_HELP = 1u << 13,
    CORE_FLAG_FROM = 1u << 14,
    CORE_FLAG_TIME_ZONE = 1u << 15,
    CORE_FLAG_COUNT = 1u << 16,
    CORE_FLAG_EXPLAIN = 1u << 17,
    CORE_FLAG_BATCH = 1u << 18,
    CORE_FLAG_STATUS = 1u << 19,
    CORE_FLAG_LIMIT = 1u << 20,
    CORE_FLAG_AS = 1u << 24,
    CORE_FLAG_OUTPUT = 1u << 25,
    CORE_FLAG_IMAGE = 1u << 26,
    CORE_FLAG_NAMESPACE = 1u << 27,
    CORE_FLAG_TAIL = 1u << 23,
    CORE_FLAG_FOLLOW = 1u << 28,
    CORE_FLAG_ATTEMPT = 1u << 29,
    CORE_FLAG_WAIT = 1u << 30,
};

/* What a run takes, of a plugin or a job. */
enum {
    CORE_FLAGS_RUN = CORE_FLAG_CONFIG | CORE_FLAG_SET | CORE_FLAG_NOW | CORE_FLAG_DRY_RUN |
                     CORE_FLAG_LISTEN | CORE_FLAG_JSON | CORE_FLAG_FORCE | CORE_FLAG_LOG_LEVEL |
                     CORE_FLAG_VERBOSE | CORE_FLAG_QUIET,
    CORE_FLAGS_PLUGIN = CORE_FLAGS_RUN | CORE_FLAG_JOB,
};

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
    unsigned bit;
    const char *name;  /* without its dashes */
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
};

struct core_command {
    const char *name;
    const char *operands; /* as in the synopsis: "NAME [DIR]"; NULL: none */
    const char *summary;  /* one sentence */
    const char *details;  /* paragraphs for its own help; or NULL */
    unsigned flags;       /* enum core_flag_bit */
    size_t min_words, max_words;
    bool hidden; /* for programs: left out of the help */
    int (*run)(const struct core_arguments *arguments);
    /* Adds what the word behind those of 'arguments' may be, one a line; or NULL. */
    void (*complete)(const struct core_arguments *arguments, struct rc_buf *out);
};

extern const struct core_command core_command_run, core_command_daemon, core_command_serve,
    core_command_next, core_command_runs, core_command_trigger, core_command_cancel,
    core_command_pause, core_command_resume, core_command_reload, core_command_logs,
    core_command_token, core_command_check, core_command_list, core_command_describe,
    core_command_new_plugin, core_command_check_plugin, core_command_version, core_command_export,
    core_command_help, core_command_complete, core_command_manual;

/* What 'run-core <plugin> [action]' is; its first word is the plugin. Not in the table. */
extern const struct core_command core_command_plugin;

/* Parses, dispatches and returns the exit status. 'commands' ends with NULL. */
int core_cli_main(const struct core_command *const *commands, int argc, char **argv);

#endif
