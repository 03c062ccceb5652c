/*
 * Pages of a chunk: what is written is read again, in every kind and codec; rows that go on in the
 * next page, dictionaries, checksums and pages that hold nothing are what they are; and whatever
 * cannot be is refused with the page's offset.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "parquet/page.h"

#include <chance.h>

#include <stdlib.h>
#include <string.h>

enum { LIMIT = 64 << 20, START = 4, DATA_V1 = 0, INDEX = 1, DICTIONARY = 2, DATA_V2 = 3 };

/* ---- a file of one chunk -------------------------------------------------------------------- */

struct world {
    struct pq_file file;
    struct pq_column column;
    struct pq_group group;
    struct pq_chunk chunk;
    struct pq_node meta;
    struct rc_buf data; /* the chunk from START on */
    int64_t read_end;
    size_t reads, fail_at; /* the read that fails; 0: none */
};

static enum rc_code world_read(void *context, int64_t offset_bytes, void *data, size_t len,
                               struct rc_error *err)
{
    struct world *world = context;

    assert_true(offset_bytes >= START && len > 0 && len <= 1 << 20);
    assert_true((size_t)(offset_bytes - START) + len <= world->data.len);
    assert_true(offset_bytes >= world->read_end); /* no byte twice */
    world->read_end = offset_bytes + (int64_t)len;
    if (++world->reads == world->fail_at)
        return rc_fail(err, RC_UNAVAILABLE, "the store is away");
    memcpy(data, world->data.data + (offset_bytes - START), len);
    return RC_OK;
}

static void world_begin(struct world *world, enum pq_type type, int32_t width,
                        int16_t max_definition, int16_t max_repetition)
{
    *world = (struct world){
        .column = { .path = "user.id",
                    .type = type,
                    .width = width,
                    .max_definition = max_definition,
                    .max_repetition = max_repetition },
        .meta = { .kind = PQ_KIND_STRUCT },
    };
    rc_buf_init(&world->data, LIMIT);
}

static void world_end(struct world *world)
{
    rc_buf_clear(&world->data);
}

static struct pq_pages *world_open(struct world *world, int64_t rows, int64_t values)
{
    struct rc_error err = RC_ERROR_INIT;
    struct pq_pages *pages;

    world->chunk.meta = &world->meta;
    world->chunk.start = START;
    world->chunk.len = (int64_t)world->data.len;
    world->chunk.value_count = values;
    world->group = (struct pq_group){ .row_count = rows, .chunks = &world->chunk };
    world->file = (struct pq_file){
        .source = { world_read, world, START + (int64_t)world->data.len, "dump.parquet" },
        .columns = &world->column,
        .column_count = 1,
        .groups = &world->group,
        .group_count = 1,
        .data_end = START + (int64_t)world->data.len,
    };
    world->read_end = START;
    world->reads = 0;
    assert_int_equal(pq_pages_open(&world->file, 0, 0, &pages, &err), RC_OK);
    return pages;
}

/* Reads all pages; their number goes to '*count'. */
static enum rc_code world_read_all(struct world *world, int64_t rows, int64_t values, size_t *count,
                                   struct rc_error *err)
{
    RC_CLEANUP(pq_pages_drop) struct pq_pages *pages = world_open(world, rows, values);
    const struct pq_page *page;

    for (*count = 0;; (*count)++) {
        if (pq_pages_next(pages, &page, err))
            return err->code;
        if (!page)
            return RC_OK;
    }
}

static void assert_refused(struct world *world, int64_t rows, int64_t values, enum rc_code code,
                           const char *says)
{
    struct rc_error err = RC_ERROR_INIT;
    size_t count;

    assert_int_equal(world_read_all(world, rows, values, &count, &err), code);
    if (!strstr(err.cause, says) && !strstr(err.context, says))
        fail_msg("'%s' is not in '%s': '%s'", says, err.context, err.cause);
}

/* ---- headers -------------------------------------------------------------------------------- */

/* A header's fields; -1 leaves one out. */
struct spec {
    int type, values, encoding;
    int levels;  /* encoding of both */
    int lens[2]; /* of definition and repetition levels, DATA_V2 */
    int expanded_len, stored_len;
    int statistics_len;
    bool has_crc, is_plain, has_more;
};

static void set(struct pq_tree *tree, struct pq_node *record, int16_t id, int64_t value)
{
    struct rc_error err = RC_ERROR_INIT;

    if (value >= 0)
        assert_int_equal(pq_set_int(tree, record, id, PQ_KIND_I32, value, &err), RC_OK);
}

static void make_header(struct pq_tree *tree, const struct spec *spec, struct pq_node *header)
{
    static const int16_t fields[] = { 5, 6, 7, 8 };
    static char zeros[1 << 16];
    struct rc_error err = RC_ERROR_INIT;
    struct pq_node *details;

    *header = (struct pq_node){ .kind = PQ_KIND_STRUCT };
    set(tree, header, 1, spec->type);
    set(tree, header, 2, spec->expanded_len);
    set(tree, header, 3, spec->stored_len);
    if (spec->has_crc)
        set(tree, header, 4, 0);
    if (spec->has_more)
        set(tree, header, 99, 42);
    if (spec->type < 0 || spec->type > 3)
        return;
    details = pq_set(tree, header, fields[spec->type], PQ_KIND_STRUCT);
    assert_non_null(details);
    set(tree, details, 1, spec->values);
    set(tree, details, spec->type == DATA_V2 ? 4 : 2, spec->encoding);
    if (spec->type == DATA_V1) {
        set(tree, details, 3, spec->levels);
        set(tree, details, 4, spec->levels);
    } else if (spec->type == DATA_V2) {
        set(tree, details, 2, 0);
        set(tree, details, 3, 0);
        set(tree, details, 5, spec->lens[0]);
        set(tree, details, 6, spec->lens[1]);
        if (spec->is_plain)
            assert_non_null(pq_set(tree, details, 7, PQ_KIND_FALSE));
    }
    if (spec->statistics_len > 0) {
        int16_t id = spec->type == DATA_V2 ? 8 : 5;
        struct pq_node *statistics = pq_set(tree, details, id, PQ_KIND_STRUCT);

        assert_non_null(statistics);
        assert_int_equal(
            pq_set_bytes(tree, statistics, 1, zeros, (size_t)spec->statistics_len, &err), RC_OK);
    }
}

/* Lengths that the spec leaves at 0 are those of the body. */
static void add_page(struct rc_buf *out, const struct spec *given, const void *body, size_t len)
{
    struct spec spec = *given;
    struct pq_tree tree;
    struct pq_node header;

    spec.expanded_len = spec.expanded_len ? spec.expanded_len : (int)len;
    spec.stored_len = spec.stored_len ? spec.stored_len : (int)len;
    pq_tree_init(&tree, LIMIT);
    make_header(&tree, &spec, &header);
    pq_thrift_write(out, &header);
    pq_tree_clear(&tree);
    rc_buf_add(out, body, len);
}

/* ---- written and read again ----------------------------------------------------------------- */

static const enum pq_codec codecs[] = { PQ_UNCOMPRESSED, PQ_SNAPPY, PQ_GZIP,   PQ_BROTLI,
                                        PQ_LZ4,          PQ_ZSTD,   PQ_LZ4_RAW };

struct drawn {
    struct pq_tree tree;
    struct pq_page page;
};

/* Levels at random: rows of one to three values, a third of them not there. */
static void draw_levels(struct pq_page *page, const struct pq_column *column, size_t count,
                        struct chance *chance)
{
    page->level_count = page->row_count = page->value_count = count;
    if (column->max_definition > 0) {
        page->definition = rc_malloc(count * sizeof(uint32_t) + 1);
        page->value_count = 0;
        for (size_t i = 0; i < count; i++) {
            page->definition[i] =
                (uint32_t)chance_below(chance, (uint64_t)column->max_definition + 1);
            page->value_count += page->definition[i] == (uint32_t)column->max_definition;
        }
    }
    if (column->max_repetition > 0) {
        page->repetition = rc_malloc(count * sizeof(uint32_t) + 1);
        page->row_count = 0;
        for (size_t i = 0; i < count; i++) {
            page->repetition[i] =
                i == 0 ? 0 : (uint32_t)chance_below(chance, (uint64_t)column->max_repetition + 1);
            page->row_count += page->repetition[i] == 0;
        }
    }
}

/* 'entries': of the dictionary that its values are in; 0: they are in the page. */
static void draw(struct drawn *drawn, const struct pq_column *column, const struct spec *spec,
                 size_t count, size_t entries, struct chance *chance)
{
    struct pq_page *page = &drawn->page;
    struct rc_error err = RC_ERROR_INIT;

    *drawn = (struct drawn){ 0 };
    pq_tree_init(&drawn->tree, LIMIT);
    make_header(&drawn->tree, spec, &page->header);
    page->kind = spec->type == DATA_V1 ? PQ_PAGE_DATA_V1 : PQ_PAGE_DATA_V2;
    page->has_crc = spec->has_crc;
    page->is_compressed = !spec->is_plain;
    page->encoding = entries ? PQ_RLE_DICTIONARY : PQ_PLAIN;
    page->has_indices = entries > 0;
    draw_levels(page, column, count, chance);
    pq_values_init(&page->values, column->width);
    if (entries) {
        page->indices = rc_malloc(page->value_count * sizeof(uint32_t) + 1);
        for (size_t i = 0; i < page->value_count; i++)
            page->indices[i] = (uint32_t)chance_below(chance, entries);
        return;
    }
    assert_int_equal(pq_values_reserve(&page->values, page->value_count, &err), RC_OK);
    page->values.len = page->value_count;
    for (size_t i = 0; i < page->value_count * (size_t)column->width; i++)
        page->values.fixed[i] = (uint8_t)chance_any(chance);
}

static void drawn_clear(struct drawn *drawn)
{
    pq_tree_clear(&drawn->tree);
    pq_values_clear(&drawn->page.values);
    free(drawn->page.definition);
    free(drawn->page.repetition);
    free(drawn->page.indices);
}

static void assert_levels(const uint32_t *a, const uint32_t *b, size_t count)
{
    assert_true(!a == !b);
    if (a && count > 0)
        assert_memory_equal(a, b, count * sizeof(*a));
}

static void assert_page(const struct pq_page *page, const struct pq_page *expected,
                        int64_t first_row)
{
    assert_non_null(page);
    assert_int_equal(page->kind, expected->kind);
    assert_int_equal(page->level_count, expected->level_count);
    assert_int_equal(page->value_count, expected->value_count);
    assert_int_equal(page->row_count, expected->row_count);
    assert_int_equal(page->first_row, first_row);
    assert_int_equal(page->has_crc, expected->has_crc);
    assert_int_equal(page->encoding, expected->encoding);
    assert_levels(page->definition, expected->definition, page->level_count);
    assert_levels(page->repetition, expected->repetition, page->level_count);
    if (expected->has_indices)
        assert_levels(page->indices, expected->indices, page->value_count);
    else if (page->value_count > 0)
        assert_memory_equal(page->values.fixed, expected->values.fixed,
                            page->value_count * (size_t)page->values.width);
}

enum { PAGES = 4, ENTRIES = 20 };

/* A chunk of some pages, the first of them with a dictionary or none. */
static void check_chunk(struct world *world, const struct spec *spec, bool has_dictionary,
                        struct chance *chance)
{
    static const size_t counts[PAGES] = { 300, 0, 1, 1000 };
    const struct spec dictionary_spec = { .type = DICTIONARY, .has_crc = spec->has_crc };
    RC_CLEANUP(pq_pages_drop) struct pq_pages *pages = NULL;
    struct drawn drawn[PAGES], dictionary;
    struct rc_error err = RC_ERROR_INIT;
    struct pq_column flat = { .type = world->column.type, .width = world->column.width };
    struct pq_coder *coder;
    const struct pq_page *page;
    size_t entries = has_dictionary ? ENTRIES : 0, uncompressed_len, plain_len = 0, pages_len = 0;
    int64_t rows = 0, values = 0;

    assert_int_equal(pq_coder_new(&coder, &err), RC_OK);
    draw(&dictionary, &flat, &dictionary_spec, ENTRIES, 0, chance);
    if (has_dictionary)
        assert_int_equal(pq_dictionary_write(coder, world->chunk.codec, world->column.type,
                                             &dictionary.page.header, &dictionary.page.values,
                                             &world->data, &uncompressed_len, &err),
                         RC_OK);
    for (size_t i = 0; i < PAGES; i++) {
        size_t begin = world->data.len;

        draw(&drawn[i], &world->column, spec, counts[i], entries, chance);
        assert_int_equal(pq_page_write(coder, world->chunk.codec, &world->column, &drawn[i].page,
                                       pq_bits_of(ENTRIES - 1), &world->data, &uncompressed_len,
                                       &err),
                         RC_OK);
        plain_len += uncompressed_len;
        pages_len += world->data.len - begin;
        rows += (int64_t)drawn[i].page.row_count;
        values += (int64_t)drawn[i].page.level_count;
    }
    if (world->chunk.codec == PQ_UNCOMPRESSED)
        assert_int_equal(plain_len, pages_len);

    pages = world_open(world, rows, values);
    assert_null(pq_pages_dictionary(pages));
    rows = 0;
    for (size_t i = 0; i < PAGES; i++) {
        assert_int_equal(pq_pages_next(pages, &page, &err), RC_OK);
        assert_page(page, &drawn[i].page, rows);
        assert_int_equal(page->is_compressed, !spec->is_plain);
        rows += (int64_t)page->row_count;
        assert_true(!pq_pages_dictionary(pages) == !has_dictionary);
        assert_true(!pq_pages_dictionary_header(pages) == !has_dictionary);
    }
    if (has_dictionary)
        assert_memory_equal(pq_pages_dictionary(pages)->fixed, dictionary.page.values.fixed,
                            ENTRIES * (size_t)world->column.width);
    assert_int_equal(pq_pages_next(pages, &page, &err), RC_OK);
    assert_null(page);
    assert_int_equal(pq_pages_next(pages, &page, &err), RC_OK);
    assert_null(page);

    for (size_t i = 0; i < PAGES; i++)
        drawn_clear(&drawn[i]);
    drawn_clear(&dictionary);
    pq_coder_free(coder);
}

static void pages_come_back(void **state)
{
    static const struct {
        int16_t definition, repetition;
    } levels[] = { { 0, 0 }, { 1, 0 }, { 3, 0 }, { 2, 1 }, { 5, 2 } };
    static const struct spec specs[] = {
        { .type = DATA_V1, .levels = PQ_RLE },
        { .type = DATA_V1, .levels = PQ_RLE, .has_crc = true },
        { .type = DATA_V1, .levels = PQ_BIT_PACKED, .has_crc = true },
        { .type = DATA_V2 },
        { .type = DATA_V2, .has_crc = true },
        { .type = DATA_V2, .has_crc = true, .is_plain = true },
    };
    struct chance chance = chance_new(__func__);

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(levels) * RC_ARRAY_LEN(specs) * RC_ARRAY_LEN(codecs); i++)
        for (int with = 0; with < 2; with++) {
            struct world world;
            size_t of = i / RC_ARRAY_LEN(codecs);

            world_begin(&world, PQ_INT64, 8, levels[of % RC_ARRAY_LEN(levels)].definition,
                        levels[of % RC_ARRAY_LEN(levels)].repetition);
            world.chunk.codec = codecs[i % RC_ARRAY_LEN(codecs)];
            check_chunk(&world, &specs[of / RC_ARRAY_LEN(levels)], with == 1, &chance);
            world_end(&world);
        }
}

/* What a header has beside what is known stays; its statistics, which hold values, do not. */
static void headers_are_made_after_the_one_given(void **state)
{
    const struct spec specs[] = {
        { .type = DATA_V1, .levels = PQ_RLE, .statistics_len = 20, .has_more = true },
        { .type = DATA_V2, .statistics_len = 20, .has_more = true },
    };
    struct chance chance = chance_new(__func__);
    struct rc_error err = RC_ERROR_INIT;
    struct pq_coder *coder;

    (void)state;
    assert_int_equal(pq_coder_new(&coder, &err), RC_OK);
    for (size_t i = 0; i < 2; i++) {
        const struct pq_column column = { .type = PQ_INT32, .width = 4, .max_definition = 1 };
        RC_BUF_AUTO(out, LIMIT);
        struct drawn drawn;
        struct pq_tree tree;
        struct pq_node header, *details;
        size_t uncompressed_len, used;

        draw(&drawn, &column, &specs[i], 100, 0, &chance);
        assert_int_equal(
            pq_page_write(coder, PQ_SNAPPY, &column, &drawn.page, 0, &out, &uncompressed_len, &err),
            RC_OK);
        pq_tree_init(&tree, LIMIT);
        assert_int_equal(pq_thrift_read(&tree, out.data, out.len, &header, &used, &err), RC_OK);
        assert_int_equal(pq_field_int(&header, 99, 0), 42);
        assert_int_equal(pq_field_int(&header, 3, 0), out.len - used);
        assert_int_equal(pq_field_int(&header, 2, 0), uncompressed_len - used);
        assert_null(pq_field(&header, 4, PQ_KIND_I32));
        details = pq_field(&header, i == 0 ? 5 : 8, PQ_KIND_STRUCT);
        assert_non_null(details);
        assert_null(pq_field(details, i == 0 ? 5 : 8, PQ_KIND_STRUCT));
        assert_int_equal(pq_field_int(details, 1, 0), 100);
        if (i == 1) {
            assert_int_equal(pq_field_int(details, 2, 0), 100 - drawn.page.value_count);
            assert_int_equal(pq_field_int(details, 3, 0), 100);
        }
        pq_tree_clear(&tree);
        drawn_clear(&drawn);
    }
    pq_coder_free(coder);
}

/* ---- rows and pages ------------------------------------------------------------------------- */

static void rows_may_go_on_in_the_next_page(void **state)
{
    static const struct spec spec = { .type = DATA_V1, .values = 2, .levels = PQ_BIT_PACKED };
    /* Repetition in one bit, definition in two, of which 2 has a value. */
    static const char first[] = "\x40\xa0"
                                "abcdefgh",
                      second[] = "\xc0\xa0"
                                 "ABCDEFGH",
                      third[] = "\x00\x00";
    struct rc_error err = RC_ERROR_INIT;
    struct world world;
    struct pq_pages *pages;
    const struct pq_page *page;

    (void)state;
    world_begin(&world, PQ_INT32, 4, 2, 1);
    add_page(&world.data, &spec, first, 10);  /* a row of two */
    add_page(&world.data, &spec, second, 10); /* which goes on */
    add_page(&world.data, &spec, third, 2);   /* two more, both empty */
    pages = world_open(&world, 3, 6);
    assert_int_equal(pq_pages_next(pages, &page, &err), RC_OK);
    assert_int_equal(page->first_row, 0);
    assert_int_equal(page->row_count, 1);
    assert_int_equal(pq_pages_next(pages, &page, &err), RC_OK);
    assert_int_equal(page->first_row, 0);
    assert_int_equal(page->row_count, 0);
    assert_int_equal(page->repetition[0], 1);
    assert_memory_equal(page->values.fixed, "ABCDEFGH", 8);
    assert_int_equal(pq_pages_next(pages, &page, &err), RC_OK);
    assert_int_equal(page->first_row, 1);
    assert_int_equal(page->row_count, 2);
    assert_int_equal(page->value_count, 0);
    assert_int_equal(pq_pages_next(pages, &page, &err), RC_OK);
    assert_null(page);
    pq_pages_close(pages);

    assert_refused(&world, 4, 6, RC_INVALID, "3 rows");
    assert_refused(&world, 2, 6, RC_INVALID, "more rows than the 2");
    rc_buf_reset(&world.data);
    add_page(&world.data, &spec, second, 10);
    assert_refused(&world, 1, 2, RC_INVALID, "none has begun");
    world_end(&world);
}

static const char two_ints[] = "\1\0\0\0\2\0\0\0";
static const struct spec plain_two = { .type = DATA_V1, .values = 2, .levels = PQ_RLE };

static void other_pages_are_passed_over(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct world world;
    size_t count;

    (void)state;
    world_begin(&world, PQ_INT32, 4, 0, 0);
    add_page(&world.data, &(struct spec){ .type = INDEX, .values = -1, .encoding = -1 }, "index",
             5);
    add_page(&world.data, &(struct spec){ .type = DATA_V1, .values = 0 }, "", 0);
    add_page(&world.data, &plain_two, two_ints, 8);
    add_page(&world.data, &(struct spec){ .type = 77 }, "from the future", 15);
    add_page(&world.data, &(struct spec){ .type = DATA_V2, .values = 2 }, two_ints, 8);
    rc_buf_adds(&world.data, "what is counted and is nobody's");
    assert_int_equal(world_read_all(&world, 4, 4, &count, &err), RC_OK);
    assert_int_equal(count, 3);
    assert_int_equal(world_read_all(&world, 0, 0, &count, &err), RC_OK);
    assert_int_equal(count, 0);
    assert_refused(&world, 5, 5, RC_INVALID, "byte");
    assert_refused(&world, 3, 4, RC_INVALID, "more rows");
    assert_refused(&world, 3, 3, RC_INVALID, "more values than the 3");
    world_end(&world);
}

/* The header is longer than what is looked at first, the body than what is read at once. */
static void long_headers_and_bodies_are_read_in_pieces(void **state)
{
    enum { COUNT = 700000 };
    const struct spec spec = { .type = DATA_V1, .values = COUNT, .statistics_len = 60000 };
    struct rc_error err = RC_ERROR_INIT;
    struct world world;
    size_t count;
    char *body = rc_calloc(COUNT, 4);

    (void)state;
    world_begin(&world, PQ_INT32, 4, 0, 0);
    for (int i = 0; i < 3; i++) {
        add_page(&world.data, &spec, body, (size_t)COUNT * 4);
        add_page(&world.data, &plain_two, two_ints, 8);
    }
    assert_int_equal(world_read_all(&world, 3 * (COUNT + 2), 3 * (COUNT + 2), &count, &err), RC_OK);
    assert_int_equal(count, 6);
    assert_true(world.reads >= 9 && world.reads < 16);
    for (size_t reads = world.reads, n = 1; n <= reads; n++) {
        world.fail_at = n;
        assert_refused(&world, 3 * (COUNT + 2), 3 * (COUNT + 2), RC_UNAVAILABLE, "away");
    }
    world_end(&world);
    free(body);
}

/* ---- dictionaries --------------------------------------------------------------------------- */

static void dictionaries_are_where_they_are_needed(void **state)
{
    static const struct spec dictionary = { .type = DICTIONARY, .values = 2 };
    static const struct spec indices = {
        .type = DATA_V1, .values = 3, .encoding = PQ_RLE_DICTIONARY, .levels = PQ_BIT_PACKED
    };
    static const char right[] = "\xe0\x01\x03\x02", wrong[] = "\xe0\x02\x06\x02", nulls[] = "\x00";
    struct rc_error err = RC_ERROR_INIT;
    struct world world;
    size_t count;

    (void)state;
    world_begin(&world, PQ_INT32, 4, 1, 0);
    add_page(&world.data, &indices, nulls, 1); /* refers to nothing */
    assert_int_equal(world_read_all(&world, 3, 3, &count, &err), RC_OK);
    add_page(&world.data, &dictionary, two_ints, 8); /* late, but nobody has asked for it */
    add_page(&world.data, &indices, right, 4);
    assert_int_equal(world_read_all(&world, 6, 6, &count, &err), RC_OK);
    assert_int_equal(count, 2);
    add_page(&world.data, &indices, wrong, 4);
    assert_refused(&world, 9, 9, RC_INVALID, "entry 2 of a dictionary that has 2");

    rc_buf_reset(&world.data);
    add_page(&world.data, &indices, right, 4);
    add_page(&world.data, &dictionary, two_ints, 8);
    assert_refused(&world, 3, 3, RC_INVALID, "none before it");

    rc_buf_reset(&world.data);
    add_page(&world.data, &dictionary, two_ints, 8);
    add_page(&world.data, &dictionary, two_ints, 8);
    assert_refused(&world, 3, 3, RC_INVALID, "second dictionary");
    world_end(&world);
}

/* ---- what cannot be ------------------------------------------------------------------------- */

static const struct {
    struct spec spec;
    const char *body;
    size_t len;
    enum rc_code code;
    const char *says;
} hostile[] = {
    { { .type = -1 }, "", 0, RC_INVALID, "no type" },
    { { .type = DATA_V1, .values = -1 }, "", 0, RC_INVALID, "field 1" },
    { { .type = DATA_V1, .values = 2, .encoding = -1, .levels = PQ_BIT_PACKED },
      "\xc0"
      "abcdefgh",
      9,
      RC_INVALID,
      "field 2" },
    { { .type = DATA_V1, .values = 2, .levels = PQ_RLE }, "\2\0\0", 3, RC_INVALID, "cut off" },
    { { .type = DATA_V1, .values = 2, .levels = PQ_RLE },
      "\5\0\0\0\4\1",
      6,
      RC_INVALID,
      "cut off" },
    { { .type = DATA_V1, .values = 2, .levels = PQ_RLE },
      "\2\0\0\0\4\1abcdefg",
      13,
      RC_INVALID,
      "the values" },
    { { .type = DATA_V1, .values = 2, .levels = PQ_PLAIN },
      "xx",
      2,
      RC_INVALID,
      "encoding number 0" },
    { { .type = DATA_V1, .values = 2, .levels = PQ_RLE, .encoding = 10 },
      "\2\0\0\0\4\1abcdefgh",
      14,
      RC_UNSUPPORTED,
      "number 10" },
    { { .type = DATA_V1, .values = 2, .stored_len = 100 },
      "",
      0,
      RC_INVALID,
      "as its header says" },
    { { .type = DATA_V1, .values = 2, .stored_len = -1 }, "", 0, RC_INVALID, "as its header says" },
    { { .type = DATA_V1, .values = 2, .expanded_len = -1 },
      "",
      0,
      RC_INVALID,
      "as its header says" },
    { { .type = DATA_V1, .values = 2, .expanded_len = INT32_MAX },
      "",
      0,
      RC_TOO_LARGE,
      "are read" },
    { { .type = DATA_V1, .values = 2, .has_crc = true }, "ab", 2, RC_INVALID, "checksum" },
    { { .type = DATA_V2, .values = 2, .lens = { -1, 0 } }, "", 0, RC_INVALID, "field 5" },
    { { .type = DATA_V2, .values = 2, .lens = { 0, -1 } }, "", 0, RC_INVALID, "field 6" },
    { { .type = DATA_V2, .values = 2, .lens = { 2, 1 } }, "\4\1", 2, RC_INVALID, "cut off" },
    { { .type = DATA_V2, .values = 2, .lens = { INT32_MAX, INT32_MAX } },
      "\4\1",
      2,
      RC_INVALID,
      "cut off" },
    { { .type = DATA_V2, .values = 2, .lens = { 1, 0 } }, "\4", 1, RC_INVALID, "definition" },
    { { .type = DICTIONARY, .values = 3 }, two_ints, 8, RC_INVALID, "the dictionary" },
    { { .type = DICTIONARY, .values = 2, .encoding = PQ_RLE },
      two_ints,
      8,
      RC_UNSUPPORTED,
      "number 3" },
    { { .type = DATA_V1, .values = 2, .encoding = 2, .levels = PQ_RLE },
      "\2\0\0\0\4\1\1\4\0",
      9,
      RC_INVALID,
      "none before it" },
};

static void hostile_pages_are_refused(void **state)
{
    struct world world;

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(hostile); i++) {
        world_begin(&world, PQ_INT32, 4, 1, 0);
        add_page(&world.data, &hostile[i].spec, hostile[i].body, hostile[i].len);
        assert_refused(&world, 2, 2, hostile[i].code, hostile[i].says);
        assert_refused(&world, 2, 2, hostile[i].code, "byte 4 of 'dump.parquet', column 'user.id'");
        world_end(&world);
    }
}

static void levels_above_the_greatest_are_refused(void **state)
{
    static const struct spec spec = { .type = DATA_V2, .values = 2, .lens = { 2, 2 } };
    struct world world;

    (void)state;
    world_begin(&world, PQ_INT32, 4, 2, 2);
    add_page(&world.data, &spec, "\4\3\4\0", 4);
    assert_refused(&world, 2, 2, RC_INVALID, "a repetition level is 3, above 2");
    rc_buf_reset(&world.data);
    add_page(&world.data, &spec, "\4\0\4\3", 4);
    assert_refused(&world, 2, 2, RC_INVALID, "a definition level is 3, above 2");
    world_end(&world);
}

/* A few bytes that say to be very many are not believed. */
static void sizes_beyond_reason_are_refused(void **state)
{
    struct world world;

    (void)state;
    world_begin(&world, PQ_INT32, 4, 1, 0);
    world.chunk.codec = PQ_SNAPPY;
    add_page(&world.data, &(struct spec){ .type = DATA_V1, .values = 2, .expanded_len = 1 << 30 },
             "abc", 3);
    assert_refused(&world, 2, 2, RC_INVALID, "cannot give");
    world.chunk.codec = PQ_UNCOMPRESSED;
    rc_buf_reset(&world.data);
    add_page(&world.data, &(struct spec){ .type = DATA_V2, .values = INT32_MAX, .lens = { 6, 0 } },
             "\xfe\xff\xff\xff\x0f\1", 6);
    assert_refused(&world, INT32_MAX, INT32_MAX, RC_TOO_LARGE, "pages of up to");
    rc_buf_reset(&world.data);
    add_page(&world.data,
             &(struct spec){ .type = DATA_V2, .values = (64 << 20) + 1, .lens = { 6, 0 } },
             "\xfe\xff\xff\xff\x0f\0", 6);
    assert_refused(&world, (64 << 20) + 1, (64 << 20) + 1, RC_TOO_LARGE, "pages of up to");
    world_end(&world);
}

static void chunks_that_are_not_here_are_refused(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct world world;
    struct pq_pages *pages;

    (void)state;
    world_begin(&world, PQ_INT32, 4, 0, 0);
    pq_pages_close(world_open(&world, 0, 0));
    world.chunk.codec = PQ_LZO;
    assert_int_equal(pq_pages_open(&world.file, 0, 0, &pages, &err), RC_UNSUPPORTED);
    assert_non_null(strstr(err.cause, "LZO"));
    world.chunk.lies_elsewhere = true;
    assert_int_equal(pq_pages_open(&world.file, 0, 0, &pages, &err), RC_UNSUPPORTED);
    assert_non_null(strstr(err.cause, "another file"));
    world.chunk.is_encrypted = true;
    assert_int_equal(pq_pages_open(&world.file, 0, 0, &pages, &err), RC_UNSUPPORTED);
    assert_non_null(strstr(err.cause, "encrypted"));
    pq_pages_close(NULL);
    world_end(&world);
}

/* Each beginning of a chunk, and bytes changed at random. */
static void damage_is_refused_or_harmless(void **state)
{
    struct chance chance = chance_new(__func__);
    struct rc_error err = RC_ERROR_INIT;
    size_t count;

    (void)state;
    for (int round = 0; round < 600; round++) {
        struct world world;
        struct spec spec = { .type = round % 2 ? DATA_V1 : DATA_V2, .levels = PQ_RLE };
        size_t len;

        world_begin(&world, PQ_INT32, 4, 2, 1);
        world.chunk.codec = codecs[(size_t)round % RC_ARRAY_LEN(codecs)];
        check_chunk(&world, &spec, round % 3 == 0, &chance);
        len = world.data.len;
        if (round % 4 == 0) {
            rc_buf_truncate(&world.data, chance_below(&chance, len));
            assert_int_not_equal(world_read_all(&world, world.group.row_count,
                                                world.chunk.value_count, &count, &err),
                                 RC_OK);
        } else {
            for (int k = 0; k < round % 4; k++)
                world.data.data[chance_below(&chance, len)] ^= (char)(chance_any(&chance) | 1);
            (void)world_read_all(&world, world.group.row_count, world.chunk.value_count, &count,
                                 &err);
        }
        world_end(&world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_come_back),
        cmocka_unit_test(headers_are_made_after_the_one_given),
        cmocka_unit_test(rows_may_go_on_in_the_next_page),
        cmocka_unit_test(other_pages_are_passed_over),
        cmocka_unit_test(long_headers_and_bodies_are_read_in_pieces),
        cmocka_unit_test(dictionaries_are_where_they_are_needed),
        cmocka_unit_test(hostile_pages_are_refused),
        cmocka_unit_test(levels_above_the_greatest_are_refused),
        cmocka_unit_test(sizes_beyond_reason_are_refused),
        cmocka_unit_test(chunks_that_are_not_here_are_refused),
        cmocka_unit_test(damage_is_refused_or_harmless),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
