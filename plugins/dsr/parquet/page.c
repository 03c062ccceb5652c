/*
 * Reads the pages of a chunk: the file in pieces, headers, checksums, levels and values. All that a
 * page says of itself is compared with what is there before it is used. Putting pages together is
 * in page_write.c.
 */
#include "page_internal.h"

#include "bits.h"

#include <inttypes.h>
#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>

enum {
    PIECE_BYTES = 1 << 20,         /* read from the file at once */
    HEADER_BYTES = 1 << 10,        /* looked at first: nearly every header is shorter */
    HEADER_LIMIT_BYTES = 16 << 20, /* statistics within may hold long values */
    PAGE_LIMIT_BYTES = 1 << 30,
    /*
     * The most rows that a writer has put into a row group by default. If all are null they may be
     * one page of a few bytes, and take four each in memory.
     */
    LEVELS_LIMIT = 64 << 20,
};

struct pq_pages {
    const struct pq_source *source;
    const struct pq_column *column;
    const struct pq_chunk *chunk;
    int64_t row_count;    /* that there should be */
    int64_t rows, levels; /* in the pages before 'next' */
    int64_t next, end;    /* in the file: the page to be read, and behind the last one */
    struct rc_buf window; /* bytes of the file from 'window_start' on */
    int64_t window_start;
    struct pq_coder *coder;
    struct rc_buf body;  /* of 'page', decompressed */
    struct pq_tree tree; /* of its header */
    struct pq_page page;
    uint32_t *definition, *repetition, *indices; /* the page has them, or NULL instead */
    size_t level_capacity, index_capacity;
    bool has_dictionary;
    struct pq_tree dictionary_tree;
    struct pq_node dictionary_header;
    struct rc_buf dictionary_body;
    struct pq_values dictionary;
};

/* A page as its header describes it. */
struct head {
    struct pq_node *details; /* of its kind */
    const uint8_t *body;
    size_t stored_len, expanded_len;
};

/* Bytes to be taken from the front. */
struct bytes {
    const uint8_t *at, *end;
};

static size_t left_of(const struct bytes *bytes)
{
    return (size_t)(bytes->end - bytes->at);
}

/* ---- opening -------------------------------------------------------------------------------- */

enum rc_code pq_pages_open(const struct pq_file *file, size_t group, size_t column,
                           struct pq_pages **out, struct rc_error *err)
{
    const struct pq_chunk *chunk = &file->groups[group].chunks[column];
    struct pq_pages *pages;

    if (chunk->is_encrypted || !chunk->meta)
        return rc_fail(err, RC_UNSUPPORTED, "column '%s' of '%s' is encrypted",
                       file->columns[column].path, file->source.name);
    if (chunk->lies_elsewhere)
        return rc_fail(err, RC_UNSUPPORTED, "column '%s' of '%s' lies in another file",
                       file->columns[column].path, file->source.name);
    if (pq_codec_check(chunk->codec, err))
        return rc_context(err, "read column '%s' of '%s'", file->columns[column].path,
                          file->source.name);
    pages = rc_malloc(sizeof(*pages));
    *pages = (struct pq_pages){
        .source = &file->source,
        .column = &file->columns[column],
        .chunk = chunk,
        .row_count = file->groups[group].row_count,
        .next = chunk->start,
        .end = chunk->start + chunk->len + chunk->slack,
        .window_start = chunk->start,
    };
    rc_buf_init(&pages->window, PAGE_LIMIT_BYTES + HEADER_LIMIT_BYTES);
    rc_buf_init(&pages->body, PAGE_LIMIT_BYTES);
    rc_buf_init(&pages->dictionary_body, PAGE_LIMIT_BYTES);
    pq_values_init(&pages->page.values, pages->column->width);
    pq_values_init(&pages->dictionary, pages->column->width);
    pq_tree_init(&pages->tree, 2 * HEADER_LIMIT_BYTES);
    pq_tree_init(&pages->dictionary_tree, 2 * HEADER_LIMIT_BYTES);
    if (pq_coder_new(&pages->coder, err)) {
        pq_pages_close(pages);
        return err->code;
    }
    *out = pages;
    return RC_OK;
}

void pq_pages_close(struct pq_pages *pages)
{
    if (!pages)
        return;
    pq_coder_free(pages->coder);
    pq_tree_clear(&pages->tree);
    pq_tree_clear(&pages->dictionary_tree);
    pq_values_clear(&pages->page.values);
    pq_values_clear(&pages->dictionary);
    rc_buf_clear(&pages->window);
    rc_buf_clear(&pages->body);
    rc_buf_clear(&pages->dictionary_body);
    free(pages->definition);
    free(pages->repetition);
    free(pages->indices);
    free(pages);
}

void pq_pages_drop(struct pq_pages **pages)
{
    pq_pages_close(*pages);
}

const struct pq_values *pq_pages_dictionary(const struct pq_pages *pages)
{
    return pages->has_dictionary ? &pages->dictionary : NULL;
}

const struct pq_node *pq_pages_dictionary_header(const struct pq_pages *pages)
{
    return pages->has_dictionary ? &pages->dictionary_header : NULL;
}

/* ---- the file ------------------------------------------------------------------------------- */

/* What the window has of the page to be read. */
static struct bytes ahead(const struct pq_pages *pages)
{
    const uint8_t *data = (const uint8_t *)pages->window.data;
    int64_t skipped = pages->next - pages->window_start;
    size_t from = skipped < (int64_t)pages->window.len ? (size_t)skipped : pages->window.len;

    return (struct bytes){ data + from, data + pages->window.len };
}

/* Has 'wanted' bytes of the page in the window, which the chunk has; what is before them goes. */
static enum rc_code fetch(struct pq_pages *pages, size_t wanted, struct rc_error *err)
{
    struct bytes there = ahead(pages);
    size_t kept = left_of(&there), goal = wanted < PIECE_BYTES ? PIECE_BYTES : wanted;

    if (kept >= wanted)
        return RC_OK;
    if ((int64_t)goal > pages->end - pages->next)
        goal = (size_t)(pages->end - pages->next);
    if (kept > 0)
        memmove(pages->window.data, there.at, kept);
    rc_buf_truncate(&pages->window, kept);
    pages->window_start = pages->next;
    while (pages->window.len < goal) {
        size_t part = goal - pages->window.len;
        char *room = rc_buf_reserve(&pages->window, part);

        if (!room)
            return rc_buf_check(&pages->window, err);
        if (part > PIECE_BYTES)
            part = PIECE_BYTES;
        if (pages->source->read(pages->source->context,
                                pages->window_start + (int64_t)pages->window.len, room, part, err))
            return err->code;
        rc_buf_added(&pages->window, part);
    }
    return RC_OK;
}

/* ---- headers -------------------------------------------------------------------------------- */

static enum rc_code parse_header(struct pq_pages *pages, struct rc_error *err)
{
    struct bytes there = ahead(pages);

    pq_tree_clear(&pages->tree);
    return pq_thrift_read(&pages->tree, there.at, left_of(&there), &pages->page.header,
                          &pages->page.header_len, err);
}

/* A header's length is known when it has been read: if it is cut off, more of it is fetched. */
static enum rc_code find_header(struct pq_pages *pages, struct rc_error *err)
{
    size_t left = pages->end - pages->next < HEADER_LIMIT_BYTES ? (size_t)(pages->end - pages->next)
                                                                : HEADER_LIMIT_BYTES;

    for (size_t wanted = HEADER_BYTES;; wanted *= 2) {
        struct bytes there;

        if (fetch(pages, wanted < left ? wanted : left, err))
            return err->code;
        if (parse_header(pages, err) == RC_OK)
            return RC_OK;
        there = ahead(pages);
        if (err->code != RC_INVALID || left_of(&there) >= left)
            return err->code;
    }
}

static enum rc_code read_details(struct pq_page *page, struct head *head, struct rc_error *err)
{
    int16_t field = 0;

    switch (pq_field_int(&page->header, PAGE_TYPE, -1)) {
    case TYPE_DATA_V1:
        page->kind = PQ_PAGE_DATA_V1;
        field = PAGE_DATA_V1;
        break;
    case TYPE_DICTIONARY:
        page->kind = PQ_PAGE_DICTIONARY;
        field = PAGE_DICTIONARY;
        break;
    case TYPE_DATA_V2:
        page->kind = PQ_PAGE_DATA_V2;
        field = PAGE_DATA_V2;
        break;
    case -1:
        return rc_fail(err, RC_INVALID, "it has no type");
    default:
        page->kind = PQ_PAGE_OTHER;
        return RC_OK;
    }
    head->details = pq_field(&page->header, field, PQ_KIND_STRUCT);
    return head->details ? RC_OK : rc_fail(err, RC_INVALID, "the header of its type is missing");
}

static enum rc_code check_crc(const struct pq_page *page, const struct head *head,
                              struct rc_error *err)
{
    uint32_t said = (uint32_t)pq_field_int(&page->header, PAGE_CRC, 0), found;

    if (!page->has_crc)
        return RC_OK;
    found = libdeflate_crc32(0, head->body, head->stored_len);
    return found == said ? RC_OK
                         : rc_fail(err, RC_INVALID,
                                   "it is damaged: its checksum is %08" PRIx32 ", and should be "
                                   "%08" PRIx32,
                                   found, said);
}

/* Reads the header of the next page and has all of its body in the window. */
static enum rc_code read_head(struct pq_pages *pages, struct head *head, struct rc_error *err)
{
    struct pq_page *page = &pages->page;
    const uint8_t *begin;
    int64_t stored, expanded, left;

    if (find_header(pages, err))
        return err->code;
    stored = pq_field_int(&page->header, PAGE_COMPRESSED_LEN, -1);
    expanded = pq_field_int(&page->header, PAGE_UNCOMPRESSED_LEN, -1);
    left = pages->end - pages->next - (int64_t)page->header_len;
    if (stored < 0 || expanded < 0 || stored > left)
        return rc_fail(err, RC_INVALID,
                       "it has %" PRId64 " bytes, compressed from %" PRId64
                       ", as its header says, and there are %" PRId64,
                       stored, expanded, left);
    if (stored > PAGE_LIMIT_BYTES || expanded > PAGE_LIMIT_BYTES)
        return rc_fail(err, RC_TOO_LARGE,
                       "it has %" PRId64 " bytes, compressed from %" PRId64
                       "; pages of up to %d are read",
                       stored, expanded, PAGE_LIMIT_BYTES);

    /* What the header's texts are borrowed from may move when the rest is fetched. */
    begin = ahead(pages).at;
    if (fetch(pages, page->header_len + (size_t)stored, err))
        return err->code;
    if (ahead(pages).at != begin && parse_header(pages, err))
        return err->code;

    page->offset = pages->next;
    page->len = (int64_t)page->header_len + stored;
    page->has_crc = pq_field(&page->header, PAGE_CRC, PQ_KIND_I32) != NULL;
    *head = (struct head){
        .body = ahead(pages).at + page->header_len,
        .stored_len = (size_t)stored,
        .expanded_len = (size_t)expanded,
    };
    if (read_details(page, head, err))
        return err->code;
    return check_crc(page, head, err);
}

/* A count that the kind's header has to have; -1: it has none, or one below 0. */
static enum rc_code count_of(const struct head *head, int16_t field, size_t *out,
                             struct rc_error *err)
{
    int64_t count = pq_field_int(head->details, field, -1);

    if (count < 0)
        return rc_fail(err, RC_INVALID, "the header's field %d is missing or below 0", (int)field);
    *out = (size_t)count;
    return RC_OK;
}

/* ---- bodies --------------------------------------------------------------------------------- */

static enum rc_code expand(struct pq_pages *pages, struct bytes stored, size_t expanded_len,
                           struct rc_buf *room, struct bytes *out, struct rc_error *err)
{
    size_t len = left_of(&stored);
    uint8_t *data;

    if (expanded_len > pq_decompressed_bound(pages->chunk->codec, len))
        return rc_fail(err, RC_INVALID, "%zu bytes of %s cannot give the %zu that they should", len,
                       pq_codec_name(pages->chunk->codec), expanded_len);
    rc_buf_reset(room);
    data = (uint8_t *)rc_buf_reserve(room, expanded_len);
    if (!data)
        return rc_buf_check(room, err);
    if (pq_decompress(pages->coder, pages->chunk->codec, stored.at, len, data, expanded_len, err))
        return err->code;
    *out = (struct bytes){ data, data + expanded_len };
    return RC_OK;
}

/* What is not compressed is read from where it lies, for as long as the page is valid. */
static enum rc_code open_body(struct pq_pages *pages, struct bytes stored, size_t expanded_len,
                              struct bytes *out, struct rc_error *err)
{
    *out = stored;
    if (pages->chunk->codec == PQ_UNCOMPRESSED || !pages->page.is_compressed)
        return RC_OK;
    return expand(pages, stored, expanded_len, &pages->body, out, err);
}

static enum rc_code read_dictionary(struct pq_pages *pages, const struct head *head,
                                    struct rc_error *err)
{
    int64_t encoding = pq_field_int(head->details, DICTIONARY_ENCODING, -1);
    struct bytes stored = { head->body, head->body + head->stored_len }, body;
    size_t count = 0;

    if (pages->has_dictionary)
        return rc_fail(err, RC_INVALID, "it is the second dictionary of its column");
    if (encoding != PQ_PLAIN && encoding != PQ_PLAIN_DICTIONARY)
        return rc_fail(err, RC_UNSUPPORTED,
                       "a dictionary in encoding number %" PRId64 " is not read here", encoding);
    if (count_of(head, DICTIONARY_VALUES, &count, err) ||
        expand(pages, stored, head->expanded_len, &pages->dictionary_body, &body, err) ||
        pq_decode_values(PQ_PLAIN, pages->column->type, body.at, left_of(&body), count,
                         &pages->dictionary, err) ||
        pq_copy(&pages->dictionary_tree, &pages->page.header, &pages->dictionary_header, err))
        return rc_context(err, "the dictionary");
    pages->has_dictionary = true;
    return RC_OK;
}

/* ---- levels --------------------------------------------------------------------------------- */

static void reserve_levels(struct pq_pages *pages, size_t count)
{
    if (count <= pages->level_capacity)
        return;
    pages->level_capacity = count;
    free(pages->definition);
    free(pages->repetition);
    pages->definition = pages->repetition = NULL;
    if (pages->column->max_definition > 0)
        pages->definition = rc_malloc(count * sizeof(*pages->definition));
    if (pages->column->max_repetition > 0)
        pages->repetition = rc_malloc(count * sizeof(*pages->repetition));
}

/* How many levels are 'wanted'; the greatest of all goes to '*greatest'. */
static size_t count_levels(const uint32_t *levels, size_t count, uint32_t wanted,
                           uint32_t *greatest)
{
    size_t found = 0;
    uint32_t most = 0;

    for (size_t i = 0; i < count; i++) {
        found += levels[i] == wanted;
        most = levels[i] > most ? levels[i] : most;
    }
    *greatest = most;
    return found;
}

/* The levels of DATA_V1: the hybrid has its length in front, the older packing needs none. */
static enum rc_code read_levels_v1(struct bytes *body, int64_t encoding, int16_t max, size_t count,
                                   uint32_t *out, struct rc_error *err)
{
    unsigned bits = pq_bits_of((uint32_t)max);
    size_t len = left_of(body);

    if (encoding == PQ_BIT_PACKED) {
        size_t used;

        if (pq_decode_bit_packed(body->at, len, bits, count, out, &used, err))
            return err->code;
        body->at += used;
        return RC_OK;
    }
    if (encoding != PQ_RLE)
        return rc_fail(err, RC_INVALID, "levels in encoding number %" PRId64 " cannot be",
                       encoding);
    if (count == 0 && len == 0) /* writers differ in what they make of nothing */
        return RC_OK;
    if (len < PQ_LEVELS_LEN_BYTES || pq_load32(body->at) > len - PQ_LEVELS_LEN_BYTES)
        return rc_fail(err, RC_INVALID, "the levels are cut off");
    len = pq_load32(body->at);
    body->at += PQ_LEVELS_LEN_BYTES;
    if (pq_decode_hybrid(body->at, len, bits, count, out, err))
        return err->code;
    body->at += len;
    return RC_OK;
}

/* Counts what the levels tell: values that are there, and rows. */
static enum rc_code take_levels(struct pq_pages *pages, struct rc_error *err)
{
    uint32_t max_definition = (uint32_t)pages->column->max_definition;
    uint32_t max_repetition = (uint32_t)pages->column->max_repetition;
    struct pq_page *page = &pages->page;
    uint32_t greatest;

    page->definition = max_definition > 0 ? pages->definition : NULL;
    page->repetition = max_repetition > 0 ? pages->repetition : NULL;
    page->value_count = page->row_count = page->level_count;
    page->first_row = pages->rows;
    if (page->definition) {
        page->value_count =
            count_levels(page->definition, page->level_count, max_definition, &greatest);
        if (greatest > max_definition)
            return rc_fail(err, RC_INVALID, "a definition level is %" PRIu32 ", above %" PRIu32,
                           greatest, max_definition);
    }
    if (page->repetition) {
        page->row_count = count_levels(page->repetition, page->level_count, 0, &greatest);
        if (greatest > max_repetition)
            return rc_fail(err, RC_INVALID, "a repetition level is %" PRIu32 ", above %" PRIu32,
                           greatest, max_repetition);
        if (page->level_count > 0 && page->repetition[0] > 0 && page->first_row-- == 0)
            return rc_fail(err, RC_INVALID, "it goes on with a row, and none has begun");
    }
    if ((int64_t)page->row_count > pages->row_count - pages->rows)
        return rc_fail(err, RC_INVALID, "there are more rows than the %" PRId64 " of the row group",
                       pages->row_count);
    return RC_OK;
}

static enum rc_code begin_levels(struct pq_pages *pages, const struct head *head, int16_t field,
                                 struct rc_error *err)
{
    int64_t left = pages->chunk->value_count - pages->levels;
    size_t count = 0;

    if (count_of(head, field, &count, err))
        return err->code;
    if ((int64_t)count > left)
        return rc_fail(err, RC_INVALID, "there are more values than the %" PRId64 " of the column",
                       pages->chunk->value_count);
    if (count > LEVELS_LIMIT)
        return rc_fail(err, RC_TOO_LARGE, "it has %zu values; pages of up to %d are read", count,
                       LEVELS_LIMIT);
    pages->page.level_count = count;
    reserve_levels(pages, count);
    return RC_OK;
}

/* ---- data pages ----------------------------------------------------------------------------- */

static enum rc_code read_indices(struct pq_pages *pages, struct bytes body, struct rc_error *err)
{
    size_t count = pages->page.value_count;
    uint32_t greatest;

    if (count > pages->index_capacity) {
        free(pages->indices);
        pages->indices = rc_malloc(count * sizeof(*pages->indices));
        pages->index_capacity = count;
    }
    pages->page.indices = pages->indices;
    if (count == 0)
        return RC_OK;
    if (!pages->has_dictionary)
        return rc_fail(err, RC_INVALID, "it refers to a dictionary, and there is none before it");
    if (left_of(&body) == 0 || *body.at > 32)
        return rc_fail(err, RC_INVALID, "the width of its indices is missing or above 32 bits");
    if (pq_decode_hybrid(body.at + 1, left_of(&body) - 1, *body.at, count, pages->indices, err))
        return rc_context(err, "the indices");
    (void)count_levels(pages->indices, count, 0, &greatest);
    if (greatest >= pages->dictionary.len)
        return rc_fail(err, RC_INVALID,
                       "it refers to entry %" PRIu32 " of a dictionary that has %zu", greatest,
                       pages->dictionary.len);
    return RC_OK;
}

static enum rc_code read_values(struct pq_pages *pages, const struct head *head, int16_t field,
                                struct bytes body, struct rc_error *err)
{
    struct pq_page *page = &pages->page;
    size_t encoding = 0;

    if (count_of(head, field, &encoding, err))
        return err->code;
    page->encoding = (enum pq_encoding)encoding;
    page->has_indices = encoding == PQ_PLAIN_DICTIONARY || encoding == PQ_RLE_DICTIONARY;
    page->indices = NULL;
    page->values.len = 0;
    if (page->has_indices)
        return read_indices(pages, body, err);
    if (pq_decode_values(page->encoding, pages->column->type, body.at, left_of(&body),
                         page->value_count, &page->values, err))
        return rc_context(err, "the values");
    return RC_OK;
}

static enum rc_code read_data_v1(struct pq_pages *pages, const struct head *head,
                                 struct rc_error *err)
{
    const struct pq_column *column = pages->column;
    struct bytes stored = { head->body, head->body + head->stored_len }, body;
    size_t count;

    pages->page.is_compressed = true;
    if (begin_levels(pages, head, V1_VALUES, err) ||
        open_body(pages, stored, head->expanded_len, &body, err))
        return err->code;
    count = pages->page.level_count;
    if (column->max_repetition > 0 &&
        read_levels_v1(&body, pq_field_int(head->details, V1_REPETITION_ENCODING, -1),
                       column->max_repetition, count, pages->repetition, err))
        return rc_context(err, "the repetition levels");
    if (column->max_definition > 0 &&
        read_levels_v1(&body, pq_field_int(head->details, V1_DEFINITION_ENCODING, -1),
                       column->max_definition, count, pages->definition, err))
        return rc_context(err, "the definition levels");
    if (take_levels(pages, err))
        return err->code;
    return read_values(pages, head, V1_ENCODING, body, err);
}

/* Levels are in front, never compressed, and the header has their lengths. */
static enum rc_code read_data_v2(struct pq_pages *pages, const struct head *head,
                                 struct rc_error *err)
{
    const struct pq_column *column = pages->column;
    size_t definition_len = 0, repetition_len = 0, levels_len, count;
    struct bytes body;

    if (begin_levels(pages, head, V2_VALUES, err) ||
        count_of(head, V2_DEFINITION_LEN, &definition_len, err) ||
        count_of(head, V2_REPETITION_LEN, &repetition_len, err))
        return err->code;
    levels_len = definition_len + repetition_len;
    if (levels_len > head->stored_len || levels_len > head->expanded_len)
        return rc_fail(err, RC_INVALID, "the levels are cut off");
    count = pages->page.level_count;
    if (column->max_repetition > 0 &&
        pq_decode_hybrid(head->body, repetition_len, pq_bits_of((uint32_t)column->max_repetition),
                         count, pages->repetition, err))
        return rc_context(err, "the repetition levels");
    if (column->max_definition > 0 && pq_decode_hybrid(head->body + repetition_len, definition_len,
                                                       pq_bits_of((uint32_t)column->max_definition),
                                                       count, pages->definition, err))
        return rc_context(err, "the definition levels");
    pages->page.is_compressed = pq_field_bool(head->details, V2_IS_COMPRESSED, true);
    body = (struct bytes){ head->body + levels_len, head->body + head->stored_len };
    if (take_levels(pages, err) ||
        open_body(pages, body, head->expanded_len - levels_len, &body, err))
        return err->code;
    return read_values(pages, head, V2_ENCODING, body, err);
}

/* ---- one page after the other --------------------------------------------------------------- */

static enum rc_code check_end(const struct pq_pages *pages, struct rc_error *err)
{
    if (pages->rows == pages->row_count)
        return RC_OK;
    return rc_fail(err, RC_INVALID,
                   "column '%s' of '%s' has %" PRId64 " rows in its pages, and the row group has "
                   "%" PRId64,
                   pages->column->path, pages->source->name, pages->rows, pages->row_count);
}

/* Reads a page of any kind and goes on behind it. */
static enum rc_code read_page(struct pq_pages *pages, bool *is_data, struct rc_error *err)
{
    enum rc_code code = RC_OK;
    struct head head = { 0 };

    if (read_head(pages, &head, err))
        return err->code;
    switch (pages->page.kind) {
    case PQ_PAGE_DATA_V1:
        code = read_data_v1(pages, &head, err);
        break;
    case PQ_PAGE_DATA_V2:
        code = read_data_v2(pages, &head, err);
        break;
    case PQ_PAGE_DICTIONARY:
        code = read_dictionary(pages, &head, err);
        break;
    case PQ_PAGE_OTHER:
        break;
    }
    if (code)
        return code;
    *is_data = pages->page.kind == PQ_PAGE_DATA_V1 || pages->page.kind == PQ_PAGE_DATA_V2;
    if (*is_data) {
        pages->rows += (int64_t)pages->page.row_count;
        pages->levels += (int64_t)pages->page.level_count;
    }
    pages->next += pages->page.len;
    return RC_OK;
}

/*
 * The chunk ends with its last value, as for every reader: some writers have counted more bytes
 * than are theirs.
 */
enum rc_code pq_pages_next(struct pq_pages *pages, const struct pq_page **page,
                           struct rc_error *err)
{
    *page = NULL;
    for (bool is_data = false; !is_data;) {
        if (pages->levels == pages->chunk->value_count)
            return check_end(pages, err);
        if (pages->next >= pages->end)
            return rc_fail(err, RC_INVALID,
                           "column '%s' of '%s' has %" PRId64 " values in its pages, and should "
                           "have %" PRId64,
                           pages->column->path, pages->source->name, pages->levels,
                           pages->chunk->value_count);
        if (read_page(pages, &is_data, err))
            return rc_context(err, "read the page at byte %" PRId64 " of '%s', column '%s'",
                              pages->next, pages->source->name, pages->column->path);
    }
    *page = &pages->page;
    return RC_OK;
}
