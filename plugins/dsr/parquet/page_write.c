/*
 * Puts pages together: levels and values as the page's header has them encoded, then the header
 * itself, which keeps whatever is not known here.
 */
#include "page_internal.h"

#include "bits.h"

#include <libdeflate.h>

enum { HEADER_LIMIT_BYTES = 16 << 20 };

/* The parts of a page's body, as they go into the file. */
struct body {
    const struct rc_buf *plain,
        *stored;       /* before and after compression; the same where there is none */
    size_t levels_len; /* in front of 'plain', and not in 'stored' */
};

static size_t stored_len(const struct body *body)
{
    return body->stored == body->plain ? body->plain->len : body->levels_len + body->stored->len;
}

/* ---- bodies --------------------------------------------------------------------------------- */

/* Levels of DATA_V1, in the packing that they had. */
static void add_levels_v1(const uint32_t *levels, size_t count, int16_t max, int64_t encoding,
                          struct rc_buf *out)
{
    unsigned bits = pq_bits_of((uint32_t)max);
    uint8_t len[PQ_LEVELS_LEN_BYTES] = { 0 };
    size_t begin = out->len;

    if (encoding == PQ_BIT_PACKED) {
        pq_encode_bit_packed(levels, count, bits, out);
        return;
    }
    rc_buf_add(out, len, sizeof(len));
    pq_encode_hybrid(levels, count, bits, out);
    if (!out->overflow)
        pq_store32((uint8_t *)out->data + begin, (uint32_t)(out->len - begin - sizeof(len)));
}

static void add_levels(const struct pq_column *column, const struct pq_page *page,
                       const struct pq_node *details, struct rc_buf *out, size_t *repetition_len)
{
    bool is_v1 = page->kind == PQ_PAGE_DATA_V1;

    *repetition_len = 0;
    if (column->max_repetition > 0 && is_v1)
        add_levels_v1(page->repetition, page->level_count, column->max_repetition,
                      pq_field_int(details, V1_REPETITION_ENCODING, PQ_RLE), out);
    else if (column->max_repetition > 0)
        pq_encode_hybrid(page->repetition, page->level_count,
                         pq_bits_of((uint32_t)column->max_repetition), out);
    *repetition_len = out->len;
    if (column->max_definition > 0 && is_v1)
        add_levels_v1(page->definition, page->level_count, column->max_definition,
                      pq_field_int(details, V1_DEFINITION_ENCODING, PQ_RLE), out);
    else if (column->max_definition > 0)
        pq_encode_hybrid(page->definition, page->level_count,
                         pq_bits_of((uint32_t)column->max_definition), out);
}

static enum rc_code add_values(const struct pq_column *column, const struct pq_page *page,
                               unsigned bits, struct rc_buf *out, struct rc_error *err)
{
    if (!page->has_indices) {
        RC_ASSERT(page->values.len == page->value_count);
        return pq_encode_values(page->encoding, column->type, &page->values, out, err);
    }
    rc_buf_addc(out, (char)bits);
    pq_encode_hybrid(page->indices, page->value_count, bits, out);
    return rc_buf_check(out, err);
}

/* Compresses all but the first bytes of the body. */
static enum rc_code store(struct pq_coder *coder, enum pq_codec codec, struct body *body,
                          struct rc_error *err)
{
    struct rc_buf *stored = pq_coder_room(coder, PQ_ROOM_COMPRESSED);

    body->stored = body->plain;
    if (codec == PQ_UNCOMPRESSED)
        return RC_OK;
    rc_buf_reset(stored);
    body->stored = stored;
    return pq_compress(coder, codec, (const uint8_t *)body->plain->data + body->levels_len,
                       body->plain->len - body->levels_len, stored, err);
}

/* ---- headers -------------------------------------------------------------------------------- */

struct field {
    int16_t id;
    size_t value;
};

static enum rc_code set_fields(struct pq_tree *tree, struct pq_node *record,
                               const struct field *fields, size_t count, struct rc_error *err)
{
    for (size_t i = 0; i < count; i++)
        if (fields[i].value > INT32_MAX)
            return rc_fail(err, RC_TOO_LARGE, "a page would have %zu bytes or values",
                           fields[i].value);
        else if (pq_set_int(tree, record, fields[i].id, PQ_KIND_I32, (int64_t)fields[i].value, err))
            return err->code;
    return RC_OK;
}

static uint32_t crc_of(const struct body *body)
{
    uint32_t crc = 0;

    if (body->stored != body->plain)
        crc = libdeflate_crc32(crc, body->plain->data, body->levels_len);
    return libdeflate_crc32(crc, body->stored->data, body->stored->len);
}

/* Sets what all kinds have and appends the page. */
static enum rc_code finish(struct pq_tree *tree, struct pq_node *header, const struct body *body,
                           struct rc_buf *out, size_t *uncompressed_len, struct rc_error *err)
{
    const struct field fields[] = {
        { PAGE_UNCOMPRESSED_LEN, body->plain->len },
        { PAGE_COMPRESSED_LEN, stored_len(body) },
    };
    size_t begin = out->len;

    if (set_fields(tree, header, fields, RC_ARRAY_LEN(fields), err))
        return err->code;
    if (pq_field(header, PAGE_CRC, PQ_KIND_I32) &&
        pq_set_int(tree, header, PAGE_CRC, PQ_KIND_I32, (int32_t)crc_of(body), err))
        return err->code;
    pq_thrift_write(out, header);
    *uncompressed_len = out->len - begin + body->plain->len;
    if (body->stored != body->plain)
        rc_buf_add(out, body->plain->data, body->levels_len);
    rc_buf_add(out, body->stored->data, body->stored->len);
    return rc_buf_check(out, err);
}

static enum rc_code set_details(struct pq_tree *tree, const struct pq_page *page,
                                struct pq_node *details, size_t levels_len, size_t repetition_len,
                                struct rc_error *err)
{
    const struct field v1[] = {
        { V1_VALUES, page->level_count },
        { V1_ENCODING, page->encoding },
    };
    const struct field v2[] = {
        { V2_VALUES, page->level_count },
        { V2_NULLS, page->level_count - page->value_count },
        { V2_ROWS, page->row_count },
        { V2_ENCODING, page->encoding },
        { V2_DEFINITION_LEN, levels_len - repetition_len },
        { V2_REPETITION_LEN, repetition_len },
    };

    if (page->kind == PQ_PAGE_DATA_V1) {
        pq_drop(details, V1_STATISTICS);
        return set_fields(tree, details, v1, RC_ARRAY_LEN(v1), err);
    }
    pq_drop(details, V2_STATISTICS);
    return set_fields(tree, details, v2, RC_ARRAY_LEN(v2), err);
}

static void tree_drop(struct pq_tree *tree)
{
    pq_tree_clear(tree);
}

/* ---- pages ---------------------------------------------------------------------------------- */

enum rc_code pq_page_write(struct pq_coder *coder, enum pq_codec codec,
                           const struct pq_column *column, const struct pq_page *page,
                           unsigned bits, struct rc_buf *out, size_t *uncompressed_len,
                           struct rc_error *err)
{
    bool is_v1 = page->kind == PQ_PAGE_DATA_V1;
    struct rc_buf *plain = pq_coder_room(coder, PQ_ROOM_BODY);
    struct body body = { .plain = plain };
    RC_CLEANUP(tree_drop) struct pq_tree tree;
    struct pq_node header, *details;
    size_t levels_len, repetition_len;

    RC_ASSERT(is_v1 || page->kind == PQ_PAGE_DATA_V2);
    RC_ASSERT(bits <= 32);
    pq_tree_init(&tree, HEADER_LIMIT_BYTES);
    if (pq_copy(&tree, &page->header, &header, err))
        return err->code;
    details = pq_field(&header, is_v1 ? PAGE_DATA_V1 : PAGE_DATA_V2, PQ_KIND_STRUCT);
    RC_ASSERT(details);

    rc_buf_reset(plain);
    add_levels(column, page, details, plain, &repetition_len);
    levels_len = plain->len;
    if (add_values(column, page, bits, plain, err))
        return err->code;
    body.levels_len = is_v1 ? 0 : levels_len;
    if (store(coder, is_v1 || page->is_compressed ? codec : PQ_UNCOMPRESSED, &body, err) ||
        set_details(&tree, page, details, levels_len, repetition_len, err))
        return err->code;
    return finish(&tree, &header, &body, out, uncompressed_len, err);
}

enum rc_code pq_dictionary_write(struct pq_coder *coder, enum pq_codec codec, enum pq_type type,
                                 const struct pq_node *like, const struct pq_values *values,
                                 struct rc_buf *out, size_t *uncompressed_len, struct rc_error *err)
{
    const struct field fields[] = { { DICTIONARY_VALUES, values->len } };
    struct rc_buf *plain = pq_coder_room(coder, PQ_ROOM_BODY);
    struct body body = { .plain = plain };
    RC_CLEANUP(tree_drop) struct pq_tree tree;
    struct pq_node header, *details;

    pq_tree_init(&tree, HEADER_LIMIT_BYTES);
    if (pq_copy(&tree, like, &header, err))
        return err->code;
    details = pq_field(&header, PAGE_DICTIONARY, PQ_KIND_STRUCT);
    RC_ASSERT(details);
    rc_buf_reset(plain);
    if (pq_encode_values(PQ_PLAIN, type, values, plain, err) || store(coder, codec, &body, err) ||
        set_fields(&tree, details, fields, RC_ARRAY_LEN(fields), err))
        return err->code;
    return finish(&tree, &header, &body, out, uncompressed_len, err);
}
