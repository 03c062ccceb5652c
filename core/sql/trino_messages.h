/*
 * What a Trino server says: the pages of an answer, and its failures. Pure.
 */
#ifndef CORE_SQL_TRINO_MESSAGES_H
#define CORE_SQL_TRINO_MESSAGES_H

#include <sql/trino_json.h>

#include <base/arena.h>
#include <config/config.h>

struct core_trino_column {
    const char *name, *type; /* "varchar(3)" */
};

/* Why a statement failed. */
struct core_trino_failure {
    const char *name;    /* "SYNTAX_ERROR" */
    const char *type;    /* "USER_ERROR" */
    const char *message; /* never NULL */
};

/* Texts that did not come are NULL, numbers are -1. */
struct core_trino_page {
    const char *id, *info_uri, *next_uri;
    bool has_columns;
    struct core_trino_column *columns;
    size_t column_count;
    struct core_trino_span data; /* a list of lists, not looked into; empty: there are no rows */
    const char *update_type;
    int64_t update_count;
    const char *state; /* "RUNNING"; for people */
    double progress;   /* 0 to 1 */
    int64_t processed_bytes;
    const char *const *warnings;
    size_t warning_count;
    bool failed;
    struct core_trino_failure failure;
};

/*
 * Reads a page. Its texts are the arena's, its rows lie in 'text'. RC_CORRUPT: it is none; the
 * message says what it looks like.
 */
RC_MUST_CHECK enum rc_code core_trino_page_read(struct core_arena *arena, const char *text,
                                                size_t len, struct core_trino_page *out,
                                                struct rc_error *err);

/*
 * The error of a statement that failed: what it means, and what a user can do about it. RC_INVALID:
 * also where the server lacks a catalogue that the settings name.
 */
enum rc_code core_trino_fail(const struct core_trino_failure *failure,
                             const struct core_engine_settings *settings, struct rc_error *err);

/* Adds the text on one line, cut where it is longer than messages are. */
void core_trino_add_shown(struct rc_buf *out, const char *text, size_t len);

#endif
