/*
 * Log messages of a run. Whole sentences without a full stop; values in single
 * quotes; units written. Secret option values are masked wherever they appear.
 */
#ifndef RUN_CORE_LOG_H
#define RUN_CORE_LOG_H

#include <run-core/attr.h>

#include <stddef.h>

struct rc_job;

enum rc_log_level { RC_LOG_ERROR = 0, RC_LOG_WARN = 1, RC_LOG_INFO = 2, RC_LOG_DEBUG = 3 };

/* A fact for programs, beside the sentence for people. */
struct rc_log_field {
    const char *key, *value;
};

struct rc_log_api {
    /* 'fields' may be NULL when 'field_count' is 0. */
    void (*write)(struct rc_job *job, enum rc_log_level level, const struct rc_log_field *fields,
                  size_t field_count, const char *format, ...) RC_PRINTF(5, 6);
};

/* The arguments are evaluated only if the level is on. Need host.h. */
#define rc_log_with(job, level, fields, field_count, ...)                                          \
    do {                                                                                           \
        if ((job)->log_level >= (int)(level))                                                      \
            (job)->host->log->write((job), (level), (fields), (field_count), __VA_ARGS__);         \
    } while (0)

#define rc_error(job, ...) rc_log_with(job, RC_LOG_ERROR, NULL, 0, __VA_ARGS__)
#define rc_warn(job, ...) rc_log_with(job, RC_LOG_WARN, NULL, 0, __VA_ARGS__)
#define rc_info(job, ...) rc_log_with(job, RC_LOG_INFO, NULL, 0, __VA_ARGS__)
#define rc_debug(job, ...) rc_log_with(job, RC_LOG_DEBUG, NULL, 0, __VA_ARGS__)

#endif
