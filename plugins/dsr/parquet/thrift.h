/*
 * Thrift's compact protocol as a tree, in which Parquet's metadata is read, changed and written.
 *
 * A tree keeps every field it was given, those too that were invented after this was written: what
 * nobody changes is written as it was read. Source: Apache Thrift, "Thrift compact protocol
 * encoding".
 *
 * All memory of a tree is given back at once, by pq_tree_clear(). Texts of a tree that was read
 * are borrowed from the bytes it was read from.
 */
#ifndef DSR_PARQUET_THRIFT_H
#define DSR_PARQUET_THRIFT_H

#include <run-core/buf.h>

#include <stdbool.h>
#include <stdint.h>

/* As they are numbered on the wire. */
enum pq_kind {
    PQ_KIND_TRUE = 1,
    PQ_KIND_FALSE,
    PQ_KIND_I8,
    PQ_KIND_I16,
    PQ_KIND_I32,
    PQ_KIND_I64,
    PQ_KIND_DOUBLE,
    PQ_KIND_BINARY,
    PQ_KIND_LIST,
    PQ_KIND_SET,
    PQ_KIND_MAP,
    PQ_KIND_STRUCT,
    PQ_KIND_UUID,
};

struct pq_node {
    uint8_t kind;                 /* enum pq_kind */
    uint8_t key_kind, value_kind; /* of a map; of a list and a set 'value_kind' alone */
    int16_t id;                   /* of a field of a struct */
    union {
        int64_t integer; /* I8 to I64 */
        double number;
        struct {
            const uint8_t *data;
            size_t len;
        } bytes; /* of BINARY, and the 16 of UUID */
        struct {
            struct pq_node
                *items; /* fields of a struct by rising id; a map's keys and values in turn */
            size_t len;
        } list;
    };
};

struct pq_tree {
    struct pq_slab *slabs;
    size_t bytes, limit_bytes;
};

void pq_tree_init(struct pq_tree *tree, size_t limit_bytes);
void pq_tree_clear(struct pq_tree *tree);
/* Zeroed memory that lives as long as the tree; NULL: beyond the limit, or the machine has none. */
void *pq_tree_alloc(struct pq_tree *tree, size_t bytes);
/* The error of that: RC_TOO_LARGE. */
enum rc_code pq_tree_full(const struct pq_tree *tree, struct rc_error *err);

/*
 * Reads one struct; '*used' bytes of the data were it. RC_INVALID: these bytes are none, are cut
 * short, or lie deeper than any metadata does; the message says at which byte.
 */
RC_MUST_CHECK enum rc_code pq_thrift_read(struct pq_tree *tree, const void *data, size_t len,
                                          struct pq_node *out, size_t *used, struct rc_error *err);
void pq_thrift_write(struct rc_buf *out, const struct pq_node *record);

/* A field of a struct; NULL: there is none of that number, or it is of another kind. */
struct pq_node *pq_field(const struct pq_node *record, int16_t id, enum pq_kind kind);
/* The same of integers of any width and of truth values; 'otherwise' where there is none. */
int64_t pq_field_int(const struct pq_node *record, int16_t id, int64_t otherwise);
bool pq_field_bool(const struct pq_node *record, int16_t id, bool otherwise);

/*
 * Puts a field in place of the one with that number, or between its neighbours, and then the
 * record's fields lie elsewhere: what pointed to any of them has to be looked up again. NULL: as
 * of pq_tree_alloc(). The value is zero, no bytes, no items, and is the caller's to fill.
 */
struct pq_node *pq_set(struct pq_tree *tree, struct pq_node *record, int16_t id, enum pq_kind kind);
RC_MUST_CHECK enum rc_code pq_set_int(struct pq_tree *tree, struct pq_node *record, int16_t id,
                                      enum pq_kind kind, int64_t value, struct rc_error *err);
/* Copies the bytes. */
RC_MUST_CHECK enum rc_code pq_set_bytes(struct pq_tree *tree, struct pq_node *record, int16_t id,
                                        const void *data, size_t len, struct rc_error *err);
void pq_drop(struct pq_node *record, int16_t id);
/* A copy down to the last text, in a tree of any age. */
RC_MUST_CHECK enum rc_code pq_copy(struct pq_tree *tree, const struct pq_node *from,
                                   struct pq_node *out, struct rc_error *err);

#endif
