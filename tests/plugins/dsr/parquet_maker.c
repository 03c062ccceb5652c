/*
 * Small Parquet files, made of the tree that the plugin reads metadata into.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "parquet_maker.h"

#include <run-core/str.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM = 64, LIMIT = 4 << 20 };

void maker_init(struct maker *maker)
{
    memset(maker, 0, sizeof(*maker));
    pq_tree_init(&maker->tree, LIMIT);
    rc_buf_init(&maker->bytes, LIMIT);
    maker->root.kind = PQ_KIND_STRUCT;
    rc_buf_adds(&maker->bytes, "PAR1");
    maker_int(maker, &maker->root, 1, PQ_KIND_I32, 1);
    maker_int(maker, &maker->root, 3, PQ_KIND_I64, 0);
}

void maker_clear(struct maker *maker)
{
    pq_tree_clear(&maker->tree);
    rc_buf_clear(&maker->bytes);
}

struct pq_node *maker_append(struct maker *maker, struct pq_node *record, int16_t id)
{
    struct pq_node *list = pq_field(record, id, PQ_KIND_LIST);

    if (!list) {
        list = pq_set(&maker->tree, record, id, PQ_KIND_LIST);
        assert_non_null(list);
        list->value_kind = PQ_KIND_STRUCT;
        list->list.items = pq_tree_alloc(&maker->tree, ROOM * sizeof(*list));
        assert_non_null(list->list.items);
    }
    assert_true(list->list.len < ROOM);
    list->list.items[list->list.len].kind = PQ_KIND_STRUCT;
    return &list->list.items[list->list.len++];
}

void maker_int(struct maker *maker, struct pq_node *record, int16_t id, enum pq_kind kind,
               int64_t value)
{
    assert_int_equal(pq_set_int(&maker->tree, record, id, kind, value, &maker->err), RC_OK);
}

void maker_text(struct maker *maker, struct pq_node *record, int16_t id, const void *text,
                size_t len)
{
    assert_int_equal(pq_set_bytes(&maker->tree, record, id, text, len, &maker->err), RC_OK);
}

struct pq_node *maker_struct(struct maker *maker, struct pq_node *record, int16_t id)
{
    struct pq_node *field = pq_set(&maker->tree, record, id, PQ_KIND_STRUCT);

    assert_non_null(field);
    return field;
}

struct pq_node *maker_element(struct maker *maker, const char *name, int type, int repetition,
                              int children)
{
    struct pq_node *element = maker_append(maker, &maker->root, 2);

    if (type == MAKER_GROUP)
        maker_int(maker, element, 5, PQ_KIND_I32, children);
    else
        maker_int(maker, element, 1, PQ_KIND_I32, type);
    maker_int(maker, element, 3, PQ_KIND_I32, repetition);
    maker_text(maker, element, 4, name, strlen(name));
    return element;
}

struct pq_node *maker_group(struct maker *maker, int64_t rows)
{
    struct pq_node *group = maker_append(maker, &maker->root, 4);

    maker_int(maker, group, 2, PQ_KIND_I64, 0);
    maker_int(maker, group, 3, PQ_KIND_I64, rows);
    maker_int(maker, &maker->root, 3, PQ_KIND_I64, pq_field_int(&maker->root, 3, 0) + rows);
    return group;
}

struct pq_node *maker_chunk(struct maker *maker, enum pq_type type, int64_t values,
                            const struct rc_buf *pages, size_t dictionary_len)
{
    struct pq_node *groups = pq_field(&maker->root, 4, PQ_KIND_LIST);
    struct pq_node *chunk = maker_append(maker, &groups->list.items[groups->list.len - 1], 1);
    int64_t start = (int64_t)maker->bytes.len;

    maker_int(maker, chunk, 2, PQ_KIND_I64, 0);
    struct pq_node *meta = maker_struct(maker, chunk, 3);
    maker_int(maker, meta, 1, PQ_KIND_I32, type);
    maker_int(maker, meta, 4, PQ_KIND_I32, PQ_UNCOMPRESSED);
    maker_int(maker, meta, 5, PQ_KIND_I64, values);
    maker_int(maker, meta, 6, PQ_KIND_I64, (int64_t)pages->len);
    maker_int(maker, meta, 7, PQ_KIND_I64, (int64_t)pages->len);
    maker_int(maker, meta, 9, PQ_KIND_I64, start + (int64_t)dictionary_len);
    if (dictionary_len > 0)
        maker_int(maker, meta, 11, PQ_KIND_I64, start);
    rc_buf_add(&maker->bytes, pages->data, pages->len);
    return chunk;
}

struct pq_node *maker_meta(struct pq_node *chunk)
{
    return pq_field(chunk, 3, PQ_KIND_STRUCT);
}

static void add_page(struct rc_buf *out, bool is_dictionary, int encoding, int64_t values,
                     const void *body, size_t len)
{
    enum { RLE = 3 };
    struct maker maker;
    struct pq_node page = { .kind = PQ_KIND_STRUCT };

    maker_init(&maker);
    maker_int(&maker, &page, 1, PQ_KIND_I32, is_dictionary ? 2 : 0);
    maker_int(&maker, &page, 2, PQ_KIND_I32, (int64_t)len);
    maker_int(&maker, &page, 3, PQ_KIND_I32, (int64_t)len);
    struct pq_node *own = maker_struct(&maker, &page, is_dictionary ? 7 : 5);
    maker_int(&maker, own, 1, PQ_KIND_I32, values);
    maker_int(&maker, own, 2, PQ_KIND_I32, encoding);
    if (!is_dictionary) {
        maker_int(&maker, own, 3, PQ_KIND_I32, RLE);
        maker_int(&maker, own, 4, PQ_KIND_I32, RLE);
    }
    pq_thrift_write(out, &page);
    rc_buf_add(out, body, len);
    maker_clear(&maker);
}

void maker_page(struct rc_buf *out, int encoding, int64_t values, const void *body, size_t len)
{
    add_page(out, false, encoding, values, body, len);
}

void maker_dictionary(struct rc_buf *out, int64_t values, const void *body, size_t len)
{
    add_page(out, true, 0, values, body, len);
}

static enum rc_code read_made(void *context, int64_t offset_bytes, void *data, size_t len,
                              struct rc_error *err)
{
    struct maker *maker = context;

    maker->reads++;
    maker->read_bytes += (int64_t)len;
    if (offset_bytes < 0 || offset_bytes > (int64_t)maker->bytes.len ||
        len > maker->bytes.len - (size_t)offset_bytes)
        return rc_fail(err, RC_FAILED, "a read outside of the file");
    memcpy(data, maker->bytes.data + offset_bytes, len);
    return RC_OK;
}

struct pq_source maker_finish(struct maker *maker)
{
    size_t start = maker->bytes.len;

    pq_thrift_write(&maker->bytes, &maker->root);
    size_t len = maker->bytes.len - start;
    for (size_t i = 0; i < 4; i++)
        rc_buf_addc(&maker->bytes, (char)(len >> 8 * i));
    rc_buf_adds(&maker->bytes, "PAR1");
    assert_false(maker->bytes.overflow);
    return (struct pq_source){
        .read = read_made,
        .context = maker,
        .size_bytes = (int64_t)maker->bytes.len,
        .name = "made.parquet",
    };
}

/* ---- a file that is opened ---- */

int made_set_up(void **state)
{
    struct made *made = calloc(1, sizeof(*made));

    assert_non_null(made);
    maker_init(&made->maker);
    *state = made;
    return 0;
}

int made_tear_down(void **state)
{
    struct made *made = *state;

    pq_file_close(&made->file);
    maker_clear(&made->maker);
    free(made);
    return 0;
}

void made_open_data(struct made *made, const char *name)
{
    enum { PIECE = 65536 };
    RC_STR_AUTO path = rc_strf("%s/tests/data/parquet/%s", getenv("RUN_CORE_SOURCE"), name);
    struct pq_source source = maker_finish(&made->maker);
    FILE *file = fopen(path, "rb");
    size_t len;

    assert_non_null(file);
    rc_buf_reset(&made->maker.bytes);
    do {
        char *room = rc_buf_reserve(&made->maker.bytes, PIECE);

        assert_non_null(room);
        len = fread(room, 1, PIECE, file);
        rc_buf_added(&made->maker.bytes, len);
    } while (len > 0);
    fclose(file);
    source.size_bytes = (int64_t)made->maker.bytes.len;
    if (pq_file_open(&made->file, &source, LIMIT, &made->err))
        fail_msg("%s: %s: %s", name, made->err.context, made->err.cause);
    made->maker.reads = 0;
}
