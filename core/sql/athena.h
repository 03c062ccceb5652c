/*
 * Amazon Athena: statements run by its API (JSON 1.1 over HTTPS, each request signed), tables in
 * the catalogue of Glue, files in S3. What it shares with Trino is in presto.h.
 *
 *     athena.c           the engine, its dialect, its rules
 *     athena_client.c    requests: signed, repeated, limited
 *     athena_query.c     a statement from its start to its end; what it costs
 *     athena_stop.c      queries that dead sessions have left running
 *     athena_limits.c    how often and how many at once, over all sessions of the process
 *     athena_rows.c      results, page by page
 *     athena_ddl.c       texts of statements in Hive's words and Athena's           (pure)
 *     athena_messages.c  the bodies of requests and replies, and what failures mean (pure)
 *
 * A client may be used by several threads; what else there is belongs to one at a time.
 */
#ifndef CORE_SQL_ATHENA_H
#define CORE_SQL_ATHENA_H

#include <sql/presto.h>

#include <base/arena.h>
#include <cloud/aws_reply.h>

struct core_node;

/* What Athena itself sets. */
enum {
    CORE_ATHENA_STATEMENT_BYTES = 262144,
    CORE_ATHENA_PAGE_ROWS = 1000,
    CORE_ATHENA_PARTITIONS = 100, /* that one statement may write into */
    CORE_ATHENA_ID_TEXT = 129,
    CORE_ATHENA_TOKEN_TEXT = 64,
};

/* ---- athena_messages.c ----------------------------------------------------------------------- */

/* What is NULL is left to the work group. */
struct core_athena_start {
    const char *statement;
    const char *token; /* the same for each repetition, so that one query comes of them */
    const char *catalog, *database, *work_group;
    const char *output; /* s3://bucket/folder/ of the results */
    int encryption;     /* enum core_results_encryption, of these */
    const char *kms_key, *owner;
};
void core_athena_add_start(const struct core_athena_start *start, struct rc_buf *out);
/* The body that names a query, for looks at it and its end. */
void core_athena_add_query(const char *id, struct rc_buf *out);
void core_athena_add_work_group(const char *name, struct rc_buf *out);
/* 'token' is that of the page before; NULL: the first. */
void core_athena_add_page(const char *id, const char *token, int max_rows, struct rc_buf *out);

enum core_athena_state {
    CORE_ATHENA_QUEUED,
    CORE_ATHENA_RUNNING,
    CORE_ATHENA_SUCCEEDED,
    CORE_ATHENA_FAILED,
    CORE_ATHENA_CANCELLED,
};

/* What Athena takes a statement for. */
enum core_athena_type {
    CORE_ATHENA_UNKNOWN,
    CORE_ATHENA_DML,
    CORE_ATHENA_DDL,
    CORE_ATHENA_UTILITY
};

/* How far a query is. Texts belong to the arena. */
struct core_athena_execution {
    enum core_athena_state state;
    enum core_athena_type type;
    const char *reason; /* never NULL */
    int category;       /* of a failure: 1 the system's, 2 the user's, 3 another; 0: not said */
    bool retryable;     /* it may succeed if it is started again */
    int64_t scanned_bytes;
};

struct core_athena_column {
    const char *name, *type;
};

/* A page of a result. All of it belongs to the arena. */
struct core_athena_page {
    const struct core_athena_column *columns;
    size_t column_count;
    const struct core_node *rows; /* NULL: none */
    size_t row_count;
    const char *next_token; /* NULL: it is the last */
    int64_t updated;        /* rows that the statement wrote; -1: not said */
};

/* RC_CORRUPT: the reply is none of this kind. */
RC_MUST_CHECK enum rc_code core_athena_read_id(const char *body, size_t len,
                                               char out[CORE_ATHENA_ID_TEXT], struct rc_error *err);
RC_MUST_CHECK enum rc_code core_athena_read_execution(struct core_arena *arena, const char *body,
                                                      size_t len, struct core_athena_execution *out,
                                                      struct rc_error *err);
RC_MUST_CHECK enum rc_code core_athena_read_page(struct core_arena *arena, const char *body,
                                                 size_t len, struct core_athena_page *out,
                                                 struct rc_error *err);
/* The cells of a row that are there; their texts, NULL for the SQL NULL. */
size_t core_athena_row_len(const struct core_athena_page *page, size_t row);
const char *core_athena_cell(const struct core_athena_page *page, size_t row, size_t column);
/* Whether the first row is that of the names. */
bool core_athena_has_header(const struct core_athena_page *page);
/* Where a work group puts results; NULL: it does not say. */
RC_MUST_CHECK enum rc_code core_athena_read_work_group(struct core_arena *arena, const char *body,
                                                       size_t len, const char **output,
                                                       struct rc_error *err);

/* What a cell's text is, by the name of its column's type. Bytes go to 'bytes'. RC_CORRUPT. */
RC_MUST_CHECK enum rc_code core_athena_read_value(const char *type, const char *text,
                                                  struct rc_buf *bytes, struct rc_value *out,
                                                  struct rc_error *err);

/* Whether a request that was refused is made again. */
enum core_http_verdict core_athena_judge(unsigned status, const struct core_aws_failure *failure);
/* The error of a request that was refused; 'reply' is looked through for more words. */
enum rc_code core_athena_fail_refused(unsigned status, const struct core_aws_failure *failure,
                                      const struct rc_buf *reply, struct rc_error *err);
/*
 * The error of a query that has failed, or was cancelled by somebody else. RC_INVALID: also where
 * there is no 'database', which is the engine's own, or NULL.
 */
enum rc_code core_athena_fail_query(const struct core_athena_execution *execution, const char *id,
                                    const char *database, struct rc_error *err);

/* What a query has scanned that is charged for; and its price, in millionths of a US dollar. */
int64_t core_athena_charged_bytes(const struct core_athena_execution *execution);
int64_t core_athena_cost_micros(int64_t charged_bytes, double price_per_tib);

/* ---- athena_limits.c ------------------------------------------------------------------------- */

enum core_athena_flow { CORE_ATHENA_STARTS, CORE_ATHENA_READS, CORE_ATHENA_FREE };

/* One flow of requests, at even distances. Pure. */
struct core_athena_pace {
    int64_t gap_us;       /* 0: no limit */
    int64_t next_mono_us; /* when the next may go out */
};
/* Takes a turn, if there is one now; else how long it is until the next, and nothing is taken. */
int64_t core_athena_pace_take(struct core_athena_pace *pace, int64_t now_mono_us);

struct core_athena_limits;

/*
 * Those of an account, shared by all who name it by the same text; of different settings the
 * stricter ones hold. Returned with core_athena_limits_put().
 */
struct core_athena_limits *core_athena_limits_get(const char *account,
                                                  const struct core_engine_settings *settings);
void core_athena_limits_put(struct core_athena_limits *limits);

/*
 * Waits for a turn in the flow. RC_TIMEOUT: 'until_mono_ms', unless that is 0. Thread-safe, as the
 * two below.
 */
RC_MUST_CHECK enum rc_code core_athena_limits_wait(struct core_athena_limits *limits,
                                                   enum core_athena_flow flow,
                                                   const struct core_cancel *cancel,
                                                   int64_t until_mono_ms, struct rc_error *err);
/* Waits until one more statement of the kind may run; followed by leave when it has ended. */
RC_MUST_CHECK enum rc_code core_athena_limits_enter(struct core_athena_limits *limits,
                                                    enum core_presto_kind kind,
                                                    const struct core_cancel *cancel,
                                                    int64_t until_mono_ms, struct rc_error *err);
void core_athena_limits_leave(struct core_athena_limits *limits, enum core_presto_kind kind);

/* Sleeps, unless it is cancelled. */
RC_MUST_CHECK enum rc_code core_athena_pause(const struct core_cancel *cancel, int64_t ms,
                                             struct rc_error *err);

/* ---- athena_client.c ------------------------------------------------------------------------- */

struct core_athena;

/* How long faults are borne that may pass. What is 0 gets the default that is named with it. */
struct core_athena_patience {
    unsigned attempts;  /* of a request: 16, some minutes; 8 until Athena has answered one */
    int64_t backoff_ms; /* shortest pause between two: 100 ms */
    int64_t quota_ms;   /* until there is room for one more query in the account: 15 minutes */
};

/*
 * The settings, the cancellation and the callbacks of the context are borrowed. 'patience' may be
 * NULL. RC_INVALID: no region is named anywhere, or a profile makes no sense. Sends nothing.
 */
RC_MUST_CHECK enum rc_code core_athena_open(const struct core_sql_context *context,
                                            const struct core_athena_patience *patience,
                                            struct core_athena **out, struct rc_error *err);
void core_athena_close(struct core_athena *athena);

const struct core_sql_context *core_athena_context(const struct core_athena *athena);
/* Which Athena it is, as the place of struct core_presto_dialect. */
void core_athena_add_place(const struct core_athena *athena, struct rc_buf *out);
struct core_athena_limits *core_athena_limits_of(const struct core_athena *athena);
const struct core_athena_patience *core_athena_patience_of(const struct core_athena *athena);

/* One request of the API. */
struct core_athena_call {
    const char *operation; /* "StartQueryExecution" */
    const struct rc_buf *body;
    enum core_athena_flow flow;
    const struct core_cancel *cancel;
    int64_t until_mono_ms; /* no attempt is begun later, nor lasts much longer; 0: no limit */
    bool is_last; /* a word on the way out: for some seconds, whether the run is to stop or not */

    /* Set. */
    bool is_doubtful; /* something of it may have been carried out that was not answered */
    bool is_full;     /* refused, as the account runs as many queries as it may */
};

enum { CORE_ATHENA_REPLY_BYTES = 16 << 20 };

/*
 * RC_OK: the reply's body is in the answer, which has room for CORE_ATHENA_REPLY_BYTES. Else as
 * core_http_call(), or as core_athena_fail_refused() says.
 */
RC_MUST_CHECK enum rc_code core_athena_send(struct core_athena *athena,
                                            struct core_athena_call *call,
                                            struct core_http_answer *answer, struct rc_error *err);

/* ---- athena_query.c -------------------------------------------------------------------------- */

struct core_athena_statement {
    const char *text;
    enum core_presto_kind kind;
    const char *catalog, *database; /* may be NULL */
    const char *output;             /* as of struct core_athena_start */
    bool repeatable; /* may be run once more where it failed by a fault of the service */
    const struct core_cancel *cancel;
    int64_t until_mono_ms; /* when it has to have ended, whatever the settings say; 0: no limit */
};

/* A query that has succeeded. */
struct core_athena_done {
    char id[CORE_ATHENA_ID_TEXT];
    enum core_athena_type type;
};

/*
 * Runs a statement to its end: one query comes of it, however often requests are lost. If it is
 * cancelled, or takes longer than 'query_timeout' of the settings, the query is stopped.
 * RC_TOO_LARGE: it writes into too many partitions. RC_UNSUPPORTED: it reads a file that Athena
 * cannot read.
 */
RC_MUST_CHECK enum rc_code core_athena_run(struct core_athena *athena,
                                           const struct core_athena_statement *statement,
                                           struct core_athena_done *out, struct rc_error *err);

/*
 * athena_stop.c. Ends the queries of the work group that name a session which is over, and waits
 * until they have ended. RC_DENIED: this user may not see or end them. RC_TIMEOUT: 'until_mono_ms',
 * unless that is 0.
 */
RC_MUST_CHECK enum rc_code core_athena_stop_session(struct core_athena *athena, const char *session,
                                                    const struct core_cancel *cancel,
                                                    int64_t until_mono_ms, struct rc_error *err);

/* ---- athena_rows.c --------------------------------------------------------------------------- */

/* The rows of a query that has succeeded; the client and 'cancel' outlive them. */
RC_MUST_CHECK enum rc_code core_athena_rows_open(struct core_athena *athena,
                                                 const struct core_athena_done *done,
                                                 const struct core_cancel *cancel,
                                                 struct rc_rows **out, struct rc_error *err);
/* How many rows a statement has written; -1: Athena does not say. */
RC_MUST_CHECK enum rc_code core_athena_updated(struct core_athena *athena,
                                               const struct core_athena_done *done,
                                               const struct core_cancel *cancel, int64_t *out,
                                               struct rc_error *err);

/* ---- athena_ddl.c ---------------------------------------------------------------------------- */

/* An identifier in Hive's words: `name`. */
void core_athena_add_name(struct rc_buf *out, const char *name);
/* A text in Hive's words: 'text', in which no character ends the text or the statement. */
void core_athena_add_text(struct rc_buf *out, const char *text);
/* As of struct core_presto_dialect. */
void core_athena_add_create(const struct core_presto_external *table, struct rc_buf *out);
void core_athena_add_make(const struct core_presto_made *made, struct rc_buf *out);
/* The tables of a database whose names begin so. */
void core_athena_add_show_tables(struct rc_buf *out, const char *database, const char *prefix);

#endif
