/*
 * Parquet files of random rows, in memory, of columns that a test describes; and whether a file has
 * these rows. Everything is the same for the same seed.
 */
#ifndef TESTS_DSR_PARQUET_DRAWN_H
#define TESTS_DSR_PARQUET_DRAWN_H

#include <chance.h>

#include "parquet/page.h"
#include "parquet/rewrite.h"

enum { DRAWN_COLUMNS = 12, DRAWN_GROUPS = 8, DRAWN_VALUE_BYTES = 64 };

struct drawn_column {
    const char *path;   /* with dots */
    const char *levels; /* of each name in it: 'r'equired, 'o'ptional, '*' repeated */
    enum pq_type type;
    int32_t width; /* of PQ_FIXED */
    enum pq_codec codec;
    enum pq_page_kind kind;
    enum pq_encoding encoding;
    size_t page_levels;        /* in a page; 0: all in one */
    size_t fallback_levels;    /* with a dictionary: pages behind so many are PLAIN; 0: none */
    uint32_t distinct;         /* values are drawn of so many */
    bool has_whole_dictionary; /* of all these, whether a row has them or not */
    bool has_crc, splits_rows, is_text, is_encrypted, lies_elsewhere;
    bool has_statistics, has_sizes, has_index, has_bloom;
};

/* A level of a column. 'value' is a number, of which drawn_value() gives the bytes. */
struct drawn_cell {
    uint32_t repetition, definition, value;
    bool is_there;
};

struct drawn {
    const struct drawn_column *columns;
    size_t column_count;
    int64_t group_rows[DRAWN_GROUPS];
    size_t group_count;
    struct {
        struct drawn_cell *cells;
        size_t len, capacity;
    } cells[DRAWN_COLUMNS];
    bool is_signed; /* with a key, as of an encrypted file with a plain footer */
    struct rc_buf bytes;
};

/* Draws rows for all groups and writes them. To be cleared. */
void drawn_file(struct drawn *drawn, struct chance *chance);
void drawn_clear(struct drawn *drawn);
#define DRAWN_AUTO RC_CLEANUP(drawn_clear) struct drawn
/* Writes the same rows again, of other groups or of columns that are written in another way. */
void drawn_write(struct drawn *drawn);

size_t drawn_value(const struct drawn_column *column, uint32_t value,
                   uint8_t out[DRAWN_VALUE_BYTES]);
/* The greatest levels. */
uint32_t drawn_repetition(const struct drawn_column *column);
uint32_t drawn_definition(const struct drawn_column *column);

/* A source and a sink that are buffers; both fail at the n-th call, counted from 1. */
struct memory {
    struct rc_buf *bytes;
    int calls, fails_at;
};
struct pq_source memory_source(struct memory *memory);
struct pq_sink memory_sink(struct memory *memory);

/* Opens what is in a buffer, which the memory names. */
void memory_open(struct memory *memory, struct pq_file *out);
#define FILE_AUTO RC_CLEANUP(pq_file_close) struct pq_file

/* Fails the test unless the file has exactly the rows that were drawn, without some. */
void drawn_check(const struct drawn *drawn, const struct pq_rows *without,
                 const struct pq_file *file);

#endif
