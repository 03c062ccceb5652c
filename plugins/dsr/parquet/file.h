/*
 * A Parquet file as its footer describes it: columns, row groups, chunks. Reads the footer alone.
 *
 * Everything a footer says is checked against the file's size and against itself before anyone
 * follows it, so that a damaged or hostile file ends in an error and nothing else. Source: Apache
 * Parquet format 2.11, parquet.thrift.
 *
 * A file belongs to one thread.
 */
#ifndef DSR_PARQUET_FILE_H
#define DSR_PARQUET_FILE_H

#include "thrift.h"

/* Bytes at any place, such as a local file or ranges of an object. */
struct pq_source {
    enum rc_code (*read)(void *context, int64_t offset_bytes, void *data, size_t len,
                         struct rc_error *err); /* all of it, or an error */
    void *context;
    int64_t size_bytes;
    const char *name; /* in messages */
};

/* Physical types, as the format numbers them. */
enum pq_type {
    PQ_BOOLEAN,
    PQ_INT32,
    PQ_INT64,
    PQ_INT96,
    PQ_FLOAT,
    PQ_DOUBLE,
    PQ_BYTE_ARRAY,
    PQ_FIXED,
};

/* Likewise. PQ_LZ4 is in Hadoop's frames, or one block, or in LZ4's own frames: writers differ. */
enum pq_codec {
    PQ_UNCOMPRESSED,
    PQ_SNAPPY,
    PQ_GZIP,
    PQ_LZO,
    PQ_BROTLI,
    PQ_LZ4,
    PQ_ZSTD,
    PQ_LZ4_RAW,
};

/* How the least and the greatest value of a column are found. */
enum pq_order {
    PQ_ORDER_NONE, /* not defined, or not known here: statistics are left out */
    PQ_ORDER_SIGNED,
    PQ_ORDER_UNSIGNED,
    PQ_ORDER_FLOAT,   /* of FLOAT and DOUBLE; no NaN, -0 and +0 as the format has it */
    PQ_ORDER_FLOAT16, /* of two bytes, likewise */
    PQ_ORDER_BYTES,   /* unsigned, byte by byte */
    PQ_ORDER_DECIMAL, /* two's complement, big-endian, of any length */
};

/* What a column's value is as text, for who compares it with an id. */
enum pq_meaning {
    PQ_MEANS_BYTES,   /* BYTE_ARRAY and FIXED as they stand */
    PQ_MEANS_INTEGER, /* in decimal, by its sign */
    PQ_MEANS_UUID,    /* 8-4-4-4-12 in lower case */
    PQ_MEANS_OTHER,   /* dates, decimals, floats...: no id is compared with it */
};

struct pq_column {
    const char *path; /* names on the way to the leaf, with dots between */
    const char *const *names;
    size_t depth; /* of 'names' */
    enum pq_type type;
    int32_t width; /* bytes of a value; 0: BYTE_ARRAY; a BOOLEAN has 1, as it is unpacked */
    int16_t max_definition, max_repetition;
    enum pq_order order;
    bool has_order; /* the file says that its least and greatest values are in this order */
    enum pq_meaning meaning;
    bool is_signed;
};

/* A column of a row group. Offsets are of the file; 0 or -1, as said: there is none. */
struct pq_chunk {
    struct pq_node *node, *meta; /* ColumnChunk, ColumnMetaData; NULL if that is encrypted */
    int64_t start, len;          /* of all its pages, the dictionary's too */
    int64_t dictionary_len;      /* of 'len', as far as the offsets tell; 0: not told */
    int64_t slack;       /* bytes behind 'len' that may be its too; 0 with nearly all files */
    int64_t value_count; /* nulls included */
    enum pq_codec codec;
    int64_t bloom_offset, bloom_len;                  /* -1: none; a length of -1 is not said */
    int64_t column_index_offset, offset_index_offset; /* -1 */
    int32_t column_index_len, offset_index_len;
    bool lies_elsewhere; /* in another file, as of a summary such as _metadata: no offsets here */
    bool is_encrypted;
};

struct pq_group {
    struct pq_node *node; /* RowGroup */
    int64_t row_count;
    struct pq_chunk *chunks; /* as many as the file has columns, in their order */
};

struct pq_file {
    struct pq_source source;
    struct pq_tree tree;
    uint8_t *footer;     /* the bytes the tree borrows from */
    struct pq_node root; /* FileMetaData */
    struct pq_column *columns;
    size_t column_count;
    struct pq_group *groups;
    size_t group_count;
    int64_t row_count;
    int64_t data_end;  /* where the footer begins */
    bool is_encrypted; /* in part, and the footer is signed */
};

/*
 * Whether the object begins and ends as a Parquet file does: its first and its last four bytes. One
 * whose footer is encrypted is such a file, although none that could be opened.
 */
bool pq_is_parquet(const uint8_t head[4], const uint8_t tail[4]);

/*
 * RC_INVALID: not a Parquet file, or one whose footer cannot be; RC_UNSUPPORTED: an encrypted
 * footer, or types invented since; RC_TOO_LARGE: a footer above 'limit_bytes', or one that takes
 * more than eight times that as a tree. On RC_OK to be closed.
 */
RC_MUST_CHECK enum rc_code pq_file_open(struct pq_file *out, const struct pq_source *source,
                                        size_t limit_bytes, struct rc_error *err);
void pq_file_close(struct pq_file *file);

/*
 * The column at a dotted path, as "id" or "user.id"; names may hold dots themselves. Where none has
 * these very letters, the one that differs in upper and lower case alone, as SQL engines have it.
 * PQ_NO_COLUMN, PQ_MANY_COLUMNS: more than one may be meant.
 */
enum { PQ_NO_COLUMN = -1, PQ_MANY_COLUMNS = -2 };
ptrdiff_t pq_file_column(const struct pq_file *file, const char *path);

#endif
