/*
 * What the forms of 'run-core export' share: the configuration as another machine will see it, the
 * jobs that are meant, and where the documents go. Private to core/cli/export*.c.
 */
#ifndef CORE_CLI_EXPORT_H
#define CORE_CLI_EXPORT_H

#include <config/config.h>

#include <run-core/buf.h>

#include <stdbool.h>
#include <stddef.h>

enum { CORE_EXPORT_TEXT_BYTES = 8 * 1024 * 1024 };

/* A file of the configuration, or one that it names as config_file or for_each_file. */
struct core_export_file {
    const char *path;   /* on this machine */
    const char *target; /* where the container has it */
    const char *key;    /* under which the ConfigMap has it */
    const char *text;
    const struct core_node *root; /* with every ${...} as it stands; NULL: it has no content */
};

/* A ${env:NAME} or ${file:PATH} in them. */
struct core_export_reference {
    bool is_file;
    bool optional;    /* it has a default wherever it stands */
    const char *name; /* of the variable; or the path in the container */
    const char *key;  /* under which the Secret has it */
};

/* A list that grows in an arena. */
struct core_export_notes {
    const char **items;
    size_t len, capacity;
};

struct core_export_document {
    const char *file; /* its name under --output */
    const char *text;
};

struct core_export {
    struct core_arena arena;
    struct core_problems *problems; /* what cannot be exported at all */
    struct core_config *config;
    const char *config_path;   /* absolute, on this machine */
    const char *config_target; /* in the container: a file or a folder */

    const struct core_job_settings **jobs;
    size_t job_count;
    /* Others, for which the form has no words. */
    const struct core_job_settings **left_out;
    size_t left_out_count;
    bool named;     /* the jobs were named one by one */
    bool is_daemon; /* the daemon is meant, which reads its tokens_file too */

    struct core_export_file *files;
    size_t file_count, file_capacity;
    struct core_export_reference *references;
    size_t reference_count, reference_capacity;

    const char *image, *name_space; /* the latter may be NULL */

    struct core_export_document *documents;
    size_t document_count, document_capacity;
};

/*
 * Reads the files of the configuration and what they refer to; nothing of that is resolved. What
 * is wrong with them goes to the problems.
 */
void core_export_read_files(struct core_export *export);

/*
 * Whether the value of a key of 'core' is a ${...} without a default, so that only the other
 * machine knows it.
 */
bool core_export_core_unknown(const struct core_export *export, const char *key);

/* The path that a key of 'core' names, as the container sees it; NULL where it is not given. */
const char *core_export_core_path(struct core_export *export, const char *key);

/* Something that the target cannot say; of the job, or of all with NULL. Said on stderr at once. */
RC_PRINTF(4, 5)
void core_export_note(struct core_export *export, struct core_export_notes *notes,
                      const struct core_job_settings *job, const char *format, ...);

/* Takes the text out of 'text'. */
void core_export_add(struct core_export *export, const char *file, struct rc_buf *text);

/*
 * A name that is a DNS label of at most 'limit' bytes, and no other job's: the job's own with the
 * characters that are not allowed replaced, and with a hash where that would not be unique.
 */
const char *core_export_label(struct core_export *export, const char *name, size_t limit);

/* FNV-1a of 'text', continuing from 'hash', or from CORE_EXPORT_HASH. */
#define CORE_EXPORT_HASH UINT64_C(0xcbf29ce484222325)
uint64_t core_export_hash(uint64_t hash, const char *text);

/* The time in whole seconds, rounded up. */
int64_t core_export_seconds(int64_t ms);

void core_export_kubernetes_jobs(struct core_export *export);
void core_export_kubernetes_daemon(struct core_export *export);
void core_export_systemd(struct core_export *export);

#endif
