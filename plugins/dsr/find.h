/*
 * Finding: which rows of a file are rows of the users, by the plugin's own reader.
 */
#ifndef DSR_FIND_H
#define DSR_FIND_H

#include "config.h"
#include "users.h"

struct dsr_user_rows {
    uint32_t user; /* of the shard's users */
    int64_t rows;
};

struct dsr_found {
    int64_t *rows; /* in the file, rising and each once */
    size_t count;
    struct dsr_user_rows *users; /* rising; a row that is two users' counts for both */
    size_t user_count;
    int64_t row_count; /* of the whole file */
    int64_t id_bytes;  /* of it that are the ids' columns */
    struct pq_scanned scanned;
    /*
     * The file is a summary of others, such as _metadata: it describes their rows, their least and
     * greatest values too, and has none of its own. Nothing is found in it.
     */
    bool is_summary;
};

/*
 * RC_NOT_FOUND: the file has no such column; RC_UNSUPPORTED: ids cannot be compared with its type,
 * or it is within a list. Neither is ever taken for a file without users. A row whose id is null is
 * nobody's. On RC_OK to be cleared.
 */
RC_MUST_CHECK enum rc_code dsr_find(const struct pq_file *file, const struct dsr_table *table,
                                    const struct dsr_users *users, bool trust_statistics,
                                    struct dsr_found *out, struct rc_error *err);
void dsr_found_clear(struct dsr_found *found);

/*
 * Whether the file is such a summary. RC_UNSUPPORTED: some of its columns lie in other files, and
 * some in this one.
 */
RC_MUST_CHECK enum rc_code dsr_find_elsewhere(const struct pq_file *file, bool *is_summary,
                                              struct rc_error *err);

/* The columns of the ids in this file, one for each of userIdColumn; freed with free(). */
RC_MUST_CHECK enum rc_code dsr_find_columns(const struct pq_file *file,
                                            const struct dsr_table *table, size_t **columns,
                                            struct rc_error *err);

#endif
