/*
 * Makes small Parquet files for the tests of the reader, field by field, so that any of them can be
 * wrong. Everything is uncompressed.
 */
#ifndef TESTS_PARQUET_MAKER_H
#define TESTS_PARQUET_MAKER_H

#include "parquet/file.h"

enum { MAKER_GROUP = -1, MAKER_REQUIRED = 0, MAKER_OPTIONAL = 1, MAKER_REPEATED = 2 };

struct maker {
    struct pq_tree tree;
    struct pq_node root; /* FileMetaData, until it is finished */
    struct rc_buf bytes; /* of the file */
    struct rc_error err;
    int reads;
    int64_t read_bytes;
};

void maker_init(struct maker *maker);
void maker_clear(struct maker *maker);

/* A struct appended to a list field of the record, which is made if it is not there. */
struct pq_node *maker_append(struct maker *maker, struct pq_node *record, int16_t id);
void maker_int(struct maker *maker, struct pq_node *record, int16_t id, enum pq_kind kind,
               int64_t value);
void maker_text(struct maker *maker, struct pq_node *record, int16_t id, const void *text,
                size_t len);
struct pq_node *maker_struct(struct maker *maker, struct pq_node *record, int16_t id);

/* The next SchemaElement; 'type' MAKER_GROUP: of 'children' elements. The root is the first. */
struct pq_node *maker_element(struct maker *maker, const char *name, int type, int repetition,
                              int children);
/* The next RowGroup; the file's rows are counted up. */
struct pq_node *maker_group(struct maker *maker, int64_t rows);
/* The next ColumnChunk of the last group, with these pages; all its fields are set. */
struct pq_node *maker_chunk(struct maker *maker, enum pq_type type, int64_t values,
                            const struct rc_buf *pages, size_t dictionary_len);
struct pq_node *maker_meta(struct pq_node *chunk);

/* A data page of the first kind, and a dictionary in PLAIN. */
void maker_page(struct rc_buf *out, int encoding, int64_t values, const void *body, size_t len);
void maker_dictionary(struct rc_buf *out, int64_t values, const void *body, size_t len);

/* Appends the footer; the source reads from 'maker'. */
struct pq_source maker_finish(struct maker *maker);

/* A file that is made and then opened: what most tests of the reader need, as cmocka's state. */
struct made {
    struct maker maker; /* its bytes are those of the file */
    struct pq_file file;
    struct rc_error err;
};

int made_set_up(void **state);
int made_tear_down(void **state);
#define IN_MADE(test) cmocka_unit_test_setup_teardown(test, made_set_up, made_tear_down)
/* Opens a file of tests/data/parquet in place of one that is made. */
void made_open_data(struct made *made, const char *name);

#endif
