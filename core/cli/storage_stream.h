/*
 * Objects from stdin and to stdout, for 'run-core storage'.
 */
#ifndef CORE_CLI_STORAGE_STREAM_H
#define CORE_CLI_STORAGE_STREAM_H

#include <cli/storage.h>

/* Of an object's bytes. */
struct core_storage_part {
    int64_t offset_bytes, len_bytes; /* -1: to the end */
    int64_t last_bytes;              /* above 0: the last so many instead */
};

/* 'uri' may be "-", which is stdin. */
RC_MUST_CHECK enum rc_code core_storage_to_stdout(struct core_storage_command *command,
                                                  const char *uri,
                                                  const struct core_storage_part *part,
                                                  struct rc_error *err);
/* Until stdin ends. *bytes is what was written; RC_CONFLICT: the condition does not hold. */
RC_MUST_CHECK enum rc_code core_storage_from_stdin(struct core_storage_command *command,
                                                   const char *uri,
                                                   const struct rc_put_options *options,
                                                   int64_t *bytes, struct rc_error *err);

#endif
