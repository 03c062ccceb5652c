/*
 * The files that the AWS tools share: ~/.aws/config and ~/.aws/credentials, or what AWS_CONFIG_FILE
 * and AWS_SHARED_CREDENTIALS_FILE name. What stands in both counts as the credentials file has it.
 * For one thread at a time.
 */
#ifndef CORE_CLOUD_AWS_PROFILES_H
#define CORE_CLOUD_AWS_PROFILES_H

#include <base/arena.h>

#include <run-core/buf.h>

#include <stdbool.h>
#include <stddef.h>

enum core_aws_section { CORE_AWS_PROFILE, CORE_AWS_SSO_SESSION, CORE_AWS_SERVICES };
enum core_aws_file { CORE_AWS_CONFIG, CORE_AWS_CREDENTIALS };

struct core_aws_value {
    const char *text; /* not empty: what is empty is not there */
    const char *file; /* its place */
    int line;
};

struct core_aws_profiles {
    struct core_arena arena; /* of all texts */
    struct core_aws_entry *entries;
    struct core_aws_name *names;
    const char *paths[2]; /* by enum core_aws_file, as messages show them */
};

#define CORE_AWS_PROFILES_AUTO(name)                                                               \
    RC_CLEANUP(core_aws_profiles_clear) struct core_aws_profiles name = { .entries = NULL }

void core_aws_profiles_clear(struct core_aws_profiles *profiles);

/*
 * Reads both files; one that is not there is empty. RC_INVALID names the line, and nothing of what
 * stands in it. RC_DENIED: a file may not be read.
 */
RC_MUST_CHECK enum rc_code core_aws_profiles_load(struct core_aws_profiles *profiles,
                                                  struct rc_error *err);
/* Adds a file's text, without I/O; 'path' is for messages. */
RC_MUST_CHECK enum rc_code core_aws_profiles_parse(struct core_aws_profiles *profiles,
                                                   enum core_aws_file file, const char *path,
                                                   const char *text, size_t len,
                                                   struct rc_error *err);

bool core_aws_profiles_has(const struct core_aws_profiles *profiles, enum core_aws_section section,
                           const char *name);
/* NULL: it is not there. */
const struct core_aws_value *core_aws_profiles_get(const struct core_aws_profiles *profiles,
                                                   enum core_aws_section section, const char *name,
                                                   const char *key);
/* Of a profile, and in that file only. */
const struct core_aws_value *core_aws_profiles_get_in(const struct core_aws_profiles *profiles,
                                                      enum core_aws_file file, const char *name,
                                                      const char *key);
/* The key in the indented lines under 'group': "s3 =" and, below it, "  endpoint_url = ...". */
const struct core_aws_value *core_aws_profiles_nested(const struct core_aws_profiles *profiles,
                                                      enum core_aws_section section,
                                                      const char *name, const char *group,
                                                      const char *key);

/* RC_INVALID, with the names that there are. 'named_by' says where the name comes from. */
enum rc_code core_aws_profiles_fail_missing(const struct core_aws_profiles *profiles,
                                            enum core_aws_section section, const char *name,
                                            const char *named_by, struct rc_error *err);

/* The name that the environment gives (AWS_DEFAULT_PROFILE, AWS_PROFILE), or NULL. */
const char *core_aws_profile_of_environment(void);

/* getenv(), but what is empty is not set. */
const char *core_aws_environment(const char *name);
/* "rest" in the user's home directory. The caller frees it. */
char *core_aws_home_path(const char *rest);

/*
 * Splits a text into words as a POSIX shell does, without expanding anything. The array belongs to
 * the arena and ends with NULL. NULL, with *wrong: a quote that does not end.
 */
char **core_aws_split_words(struct core_arena *arena, const char *text, size_t *count,
                            const char **wrong);

#endif
