/*
 * Statements on a Trino server. One is given to it, and then asked for page after page until none
 * is left: that it is over is known by that alone. For one thread at a time.
 */
#ifndef CORE_SQL_TRINO_CLIENT_H
#define CORE_SQL_TRINO_CLIENT_H

#include <sql/presto.h>
#include <sql/trino_headers.h>
#include <sql/trino_messages.h>

struct core_trino_client;

/* What is 0 gets the default that is named with it. */
struct core_trino_limits {
    int64_t patience_ms; /* how long a server is asked again that is not there or has too much to
                            do: 2 minutes */
    int64_t backoff_ms;  /* the shortest pause between: 100 ms */
    size_t page_bytes;   /* of one answer, which may be as long as a row is: 256 MiB */
};

/*
 * 'session' has its context and its wish to stop, and outlives the client. 'limits' may be NULL.
 * RC_INVALID: the settings.
 */
RC_MUST_CHECK enum rc_code core_trino_client_new(struct core_presto *session,
                                                 const struct core_trino_limits *limits,
                                                 struct core_trino_client **out,
                                                 struct rc_error *err);
/* May be NULL. */
void core_trino_client_free(struct core_trino_client *client);

/* NULL, or what keeps an engine of these settings from being asked. Pure. */
const char *core_trino_settings_fault(const struct core_engine_settings *settings);

/* Session properties and the like, which hold from the next statement on. */
struct core_trino_headers *core_trino_client_headers(struct core_trino_client *client);

struct core_trino_statement {
    struct core_trino_client *client;
    struct core_trino_page page; /* the last that came; until the next is asked for */
    char *id, *info_uri;
    char *next_uri; /* NULL: it is over */

    struct core_http_answer answer;
    struct core_arena arena;
    int64_t waited_ms; /* for the server */
    int64_t processed_bytes;
    bool was_told; /* where it can be looked at */
};

/*
 * Gives the server a statement, and then the next page of what came of it. RC_OK: 'page' is there,
 * maybe without rows or columns. A statement that fails is over.
 *
 * It is never carried out twice: the server begins with it when it is first asked what came of it,
 * so one whose answer was lost is not begun, and is sent again.
 */
RC_MUST_CHECK enum rc_code core_trino_start(struct core_trino_client *client, const char *text,
                                            struct core_trino_statement **out,
                                            struct rc_error *err);
RC_MUST_CHECK enum rc_code core_trino_next(struct core_trino_statement *statement,
                                           struct rc_error *err);
/* Ends it on the server, unless it is over, and frees it. May be NULL. */
void core_trino_end(struct core_trino_statement *statement);

/* ---- trino_rows.c ---------------------------------------------------------------------------- */

/* The rows of a statement that was started, which is theirs then, or ended if this fails. */
RC_MUST_CHECK enum rc_code core_trino_rows(struct core_trino_statement *statement,
                                           struct rc_rows **out, struct rc_error *err);

/*
 * Reads the next row of 'data', within the list that 'json' has entered, as values of such types;
 * '*row' false: there is none. 'texts' gets what is text. RC_CORRUPT: it has not these columns.
 */
struct core_trino_cell {
    enum rc_value_type type;
    bool is_single;    /* a number of 32 bits */
    bool is_timestamp; /* without zone */
};
RC_MUST_CHECK enum rc_code core_trino_row_read(struct core_trino_json *json,
                                               const struct core_trino_cell *cells, size_t count,
                                               struct rc_buf *texts, struct rc_value *values,
                                               bool *row, struct rc_error *err);

#endif
