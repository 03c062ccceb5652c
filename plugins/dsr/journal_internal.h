/*
 * What the journal's own parts share: journal.c notes what is done to objects, report.c reads it.
 */
#ifndef DSR_JOURNAL_INTERNAL_H
#define DSR_JOURNAL_INTERNAL_H

#include "journal.h"

#include <run-core/plugin.h>

#include <pthread.h>

/* As the table 'erasures' has them: a settled one has the number of its outcome. */
enum { DSR_INTENDED = 0 };

struct dsr_journal {
    struct rc_job *job;
    pthread_mutex_t mutex; /* of the handle */
    struct rc_db *db;
    char scope[17];
    char *salt;
};

typedef enum rc_code dsr_journal_fn(struct dsr_journal *journal, void *context,
                                    struct rc_error *err);

/*
 * Calls 'body' within a transaction; where another one was first, several times. What it changes
 * beside the database it has to change back by itself.
 */
RC_MUST_CHECK enum rc_code dsr_journal_transact(struct dsr_journal *journal, dsr_journal_fn *body,
                                                void *context, struct rc_error *err);
/* Calls 'body' while nobody else uses the handle. */
RC_MUST_CHECK enum rc_code dsr_journal_read(struct dsr_journal *journal, dsr_journal_fn *body,
                                            void *context, struct rc_error *err);

/* Rows a statement: SQLite looks each parameter up among all of a statement, one by one. */
enum { DSR_JOURNAL_BATCH = 64 };

/* An INSERT of rows that share their first values. */
struct dsr_journal_rows {
    const char *into, *on_conflict; /* the table with all its columns; " ON CONFLICT ..." or "" */
    const struct rc_value *fixed;
    size_t fixed_count, columns; /* of the columns behind those that are shared */
    /* Gives what differs in a row, the 'in_batch'-th of its statement, which borrows it. */
    void (*row)(void *context, size_t row, size_t in_batch, struct rc_value *out);
    void *context;
};

RC_MUST_CHECK enum rc_code dsr_journal_insert(struct dsr_journal *journal,
                                              const struct dsr_journal_rows *rows, size_t count,
                                              struct rc_error *err);

void dsr_journal_hash_bytes(const struct dsr_journal *journal, const void *data, size_t len,
                            char out[DSR_HASH_TEXT]);

/* The machine's clock: when something was noted, whatever day the run is told to be at. */
int64_t dsr_journal_now_unix_ms(void);

#endif
