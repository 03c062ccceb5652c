/*
 * Parquet files of the rows that a test writes down, as texts: for the tests of what is found.
 */
#ifndef TESTS_DSR_USERS_FILE_H
#define TESTS_DSR_USERS_FILE_H

#include "parquet_maker.h"

/* A column; its texts are integers in decimal, UUIDs in 32 hex digits (of PQ_FIXED), or bytes. */
struct users_column {
    const char *path; /* "id", or "user.id" of an optional struct */
    enum pq_type type;
    bool is_repeated;
    const char *const *texts; /* NULL: null */
};

/* Writes the rows in row groups of at most so many. To be cleared by maker_clear(). */
struct pq_source users_file(struct maker *maker, const struct users_column *columns,
                            size_t column_count, size_t row_count, size_t group_rows);

#endif
