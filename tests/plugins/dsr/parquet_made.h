/*
 * Parquet files made for tests, of columns that a test describes, in memory; and what is in a file,
 * read back. The rows are random, but the same for the same seed.
 */
#ifndef TESTS_DSR_PARQUET_MADE_H
#define TESTS_DSR_PARQUET_MADE_H

#include "chance.h"

#include "parquet/page.h"
#include "parquet/rewrite.h"

enum { MADE_COLUMNS = 12, MADE_GROUPS = 8 };

struct made_column {
    const char *path;   /* with dots */
    const char *levels; /* of each name in it: 'r'equired, 'o'ptional, '*' repeated */
    enum pq_type type;
    int32_t width; /* of PQ_FIXED */
    enum pq_codec codec;
    enum pq_page_kind kind;
    enum pq_encoding encoding;
    size_t page_levels;     /* in a page; 0: all in one */
    size_t fallback_levels; /* with a dictionary: pages behind so many are PLAIN; 0: none */
    uint32_t distinct;      /* values are drawn of so many */
    bool has_crc, splits_rows, is_text, is_encrypted, lies_elsewhere;
    bool has_statistics, has_sizes, has_index, has_bloom;
};

/* A level of a column. 'value' is a number, of which made_value() gives the bytes. */
struct made_cell {
    uint32_t repetition, definition, value;
    bool is_there;
};

struct made {
    const struct made_column *columns;
    size_t column_count;
    int64_t group_rows[MADE_GROUPS];
    size_t group_count;
    struct {
        struct made_cell *cells;
        size_t len, capacity;
    } cells[MADE_COLUMNS];
    bool is_signed; /* with a key, as of an encrypted file with a plain footer */
    struct rc_buf bytes;
};

/* Draws rows for all groups and writes them. To be cleared. */
void made_file(struct made *made, struct chance *chance);
void made_clear(struct made *made);

/* The bytes of a value, of at most 64. */
size_t made_value(const struct made_column *column, uint32_t value, uint8_t out[64]);

/* A source and a sink that are buffers; both fail at the n-th call, counted from 1. */
struct memory {
    struct rc_buf *bytes;
    int calls, fails_at;
};
struct pq_source memory_source(struct memory *memory);
struct pq_sink memory_sink(struct memory *memory);

/* Opens what is in a buffer, which the memory names. */
void memory_open(struct memory *memory, struct pq_file *out);

/* Fails the test unless the file has exactly the rows that were made, without some. */
void made_check(const struct made *made, const struct pq_rows *without, const struct pq_file *file);

#endif
