/*
 * A chunk of pages from bytes: headers, codecs, levels, dictionaries, values. A page that is read
 * is written, and read again it is the same. The first bytes say of which column the chunk is.
 */
#include <parquet/page.h>

#include <stdlib.h>
#include <string.h>

enum { HEAD = 8, LIMIT = 64 << 20 };

static const struct {
    enum pq_type type;
    int32_t width;
} types[] = {
    { PQ_BOOLEAN, 1 }, { PQ_INT32, 4 },  { PQ_INT64, 8 }, { PQ_INT96, 12 },
    { PQ_FLOAT, 4 },   { PQ_DOUBLE, 8 }, { PQ_FIXED, 3 }, { PQ_BYTE_ARRAY, 0 },
};

struct bytes {
    const uint8_t *data;
    size_t len;
};

static enum rc_code read_bytes(void *context, int64_t offset_bytes, void *data, size_t len,
                               struct rc_error *err)
{
    const struct bytes *bytes = context;

    (void)err;
    RC_ASSERT(offset_bytes >= 0 && (size_t)offset_bytes <= bytes->len &&
              len <= bytes->len - (size_t)offset_bytes);
    memcpy(data, bytes->data + offset_bytes, len);
    return RC_OK;
}

/* A file of this one chunk. */
struct world {
    struct bytes bytes;
    struct pq_column column;
    struct pq_node meta;
    struct pq_chunk chunk;
    struct pq_group group;
    struct pq_file file;
};

static struct pq_pages *open_chunk(struct world *world, const struct pq_column *column,
                                   enum pq_codec codec, struct bytes bytes, int64_t rows,
                                   int64_t values)
{
    struct rc_error err = RC_ERROR_INIT;
    struct pq_pages *pages;

    *world = (struct world){
        .bytes = bytes,
        .column = *column,
        .meta = { .kind = PQ_KIND_STRUCT },
        .chunk = { .len = (int64_t)bytes.len, .value_count = values, .codec = codec },
    };
    world->chunk.meta = &world->meta;
    world->group = (struct pq_group){ .row_count = rows, .chunks = &world->chunk };
    world->file = (struct pq_file){
        .source = { read_bytes, &world->bytes, (int64_t)bytes.len, "fuzz" },
        .columns = &world->column,
        .column_count = 1,
        .groups = &world->group,
        .group_count = 1,
    };
    return pq_pages_open(&world->file, 0, 0, &pages, &err) == RC_OK ? pages : NULL;
}

static bool same_numbers(const uint32_t *a, const uint32_t *b, size_t count)
{
    return !a == !b && (!a || count == 0 || memcmp(a, b, count * sizeof(*a)) == 0);
}

static void check_same(const struct pq_page *a, const struct pq_page *b)
{
    RC_ASSERT(a->kind == b->kind && a->level_count == b->level_count &&
              a->value_count == b->value_count && a->row_count == b->row_count);
    RC_ASSERT(same_numbers(a->definition, b->definition, a->level_count));
    RC_ASSERT(same_numbers(a->repetition, b->repetition, a->level_count));
    RC_ASSERT(a->has_indices == b->has_indices && a->values.len == b->values.len);
    RC_ASSERT(!a->has_indices || same_numbers(a->indices, b->indices, a->value_count));
    for (size_t i = 0; i < a->values.len; i++) {
        struct pq_slice x = pq_value_at(&a->values, i), y = pq_value_at(&b->values, i);

        RC_ASSERT(x.len == y.len && (x.len == 0 || memcmp(x.data, y.data, x.len) == 0));
    }
}

/* Writes the page behind its dictionary as a chunk of its own, and reads that. */
static void check_page(struct pq_coder *coder, const struct pq_pages *pages,
                       const struct pq_page *page, const struct pq_column *column,
                       enum pq_codec codec)
{
    const struct pq_values *dictionary = pq_pages_dictionary(pages);
    struct rc_error err = RC_ERROR_INIT;
    RC_BUF_AUTO(out, LIMIT);
    struct pq_pages *again;
    const struct pq_page *page_again;
    struct world world;
    size_t len;

    /* Nothing to be read, or the end of a row that is not there. */
    if (page->level_count == 0 || (page->repetition && page->repetition[0] > 0))
        return;
    if (dictionary &&
        pq_dictionary_write(coder, codec, column->type, pq_pages_dictionary_header(pages),
                            dictionary, &out, &len, &err))
        return; /* more than the buffer's limit, as below */
    if (pq_page_write(coder, codec, column, page,
                      dictionary ? pq_bits_of((uint32_t)dictionary->len) : 0, &out, &len, &err))
        return;
    again = open_chunk(&world, column, codec, (struct bytes){ (const uint8_t *)out.data, out.len },
                       (int64_t)page->row_count, (int64_t)page->level_count);
    RC_ASSERT(again && pq_pages_next(again, &page_again, &err) == RC_OK && page_again);
    check_same(page, page_again);
    RC_ASSERT(pq_pages_next(again, &page_again, &err) == RC_OK && !page_again);
    pq_pages_close(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rc_error err = RC_ERROR_INIT;
    struct pq_coder *coder;
    struct pq_column column;
    struct pq_pages *pages;
    const struct pq_page *page;
    struct world world;
    enum pq_codec codec;

    if (size < HEAD)
        return 0;
    codec = (enum pq_codec)(data[1] % 8);
    column = (struct pq_column){
        .path = "fuzz",
        .type = types[data[0] % 8].type,
        .width = types[data[0] % 8].width,
        .max_definition = data[2] % 5,
        .max_repetition = (int16_t)(data[3] % (data[2] % 5 + 1)),
    };
    pages = open_chunk(&world, &column, codec, (struct bytes){ data + HEAD, size - HEAD },
                       data[4] << 8 | data[5], data[6] << 8 | data[7]);
    if (!pages)
        return 0;
    RC_ASSERT(pq_coder_new(&coder, &err) == RC_OK);
    for (;;) {
        if (pq_pages_next(pages, &page, &err)) {
            RC_ASSERT(err.cause[0] != '\0');
            break;
        }
        if (!page)
            break;
        check_page(coder, pages, page, &column, codec);
    }
    pq_coder_free(coder);
    pq_pages_close(pages);
    return 0;
}
