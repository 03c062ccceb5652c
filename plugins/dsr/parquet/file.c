/*
 * The footer: found from the file's end, read as a tree, its schema flattened to the columns that
 * hold values, its row groups and chunks checked against the file. What pages say of themselves is
 * left to page.c.
 */
#include "file.h"

#include "fields.h"

#include <run-core/str.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    MAGIC = 4,
    TAIL = 8,              /* the footer's length and the magic number */
    FIRST_READ = 64 << 10, /* from the end, which holds most footers */
    TREE_FACTOR = 8,
    NESTING_LIMIT = 128,
};

enum { ORDER_OF_TYPE = 1 }; /* the only ColumnOrder that is known here */

enum { REQUIRED, OPTIONAL, REPEATED };

static const char magic[] = "PAR1", encrypted_magic[] = "PARE";

static struct pq_node *list_of_structs(const struct pq_node *record, int16_t id)
{
    struct pq_node *list = pq_field(record, id, PQ_KIND_LIST);

    return list && (list->list.len == 0 || list->value_kind == PQ_KIND_STRUCT) ? list : NULL;
}

/* ---- what a column's values are -------------------------------------------------------------- */

enum annotation {
    PLAIN,
    TEXT,
    MOMENT,
    SIGNED,
    UNSIGNED,
    DECIMAL,
    UUID,
    HALF,
    ANOTHER,
};

static enum annotation annotation_of_logical(const struct pq_node *logical)
{
    enum { INTEGER_IS_SIGNED = 2 };
    const struct pq_node *kind = logical->list.items;

    if (logical->list.len != 1 || kind->kind != PQ_KIND_STRUCT)
        return ANOTHER;
    switch (kind->id) {
    case 1:  /* STRING */
    case 4:  /* ENUM */
    case 12: /* JSON */
    case 13: /* BSON */
        return TEXT;
    case 5:
        return DECIMAL;
    case 6: /* DATE */
    case 7: /* TIME */
    case 8: /* TIMESTAMP */
        return MOMENT;
    case 10:
        return pq_field_bool(kind, INTEGER_IS_SIGNED, true) ? SIGNED : UNSIGNED;
    case 14:
        return UUID;
    case 15:
        return HALF;
    default:
        return ANOTHER;
    }
}

static enum annotation annotation_of_converted(int64_t converted)
{
    enum {
        UTF8,
        ENUM = 4,
        CONVERTED_DECIMAL,
        DATE,
        TIMESTAMP_MICROS = 10,
        UINT_8,
        UINT_64 = 14,
        INT_8,
        INT_64 = 18,
        JSON,
        BSON
    };

    if (converted == UTF8 || converted == ENUM || converted == JSON || converted == BSON)
        return TEXT;
    if (converted == CONVERTED_DECIMAL)
        return DECIMAL;
    if (converted >= DATE && converted <= TIMESTAMP_MICROS)
        return MOMENT;
    if (converted >= UINT_8 && converted <= UINT_64)
        return UNSIGNED;
    return converted >= INT_8 && converted <= INT_64 ? SIGNED : ANOTHER;
}

static enum annotation annotation_of(const struct pq_node *element)
{
    enum { NO_CONVERTED = -1 };
    const struct pq_node *logical = pq_field(element, PQ_ELEMENT_LOGICAL, PQ_KIND_STRUCT);
    int64_t converted = pq_field_int(element, PQ_ELEMENT_CONVERTED, NO_CONVERTED);

    if (logical)
        return annotation_of_logical(logical);
    return converted == NO_CONVERTED ? PLAIN : annotation_of_converted(converted);
}

static void annotate_integer(struct pq_column *column, enum annotation annotation)
{
    if (annotation == PLAIN || annotation == SIGNED || annotation == UNSIGNED)
        column->meaning = PQ_MEANS_INTEGER;
    column->is_signed = annotation != UNSIGNED;
    if (annotation == UNSIGNED)
        column->order = PQ_ORDER_UNSIGNED;
    else if (column->meaning == PQ_MEANS_INTEGER || annotation == DECIMAL || annotation == MOMENT)
        column->order = PQ_ORDER_SIGNED;
}

static void annotate_bytes(struct pq_column *column, enum annotation annotation)
{
    if (annotation == PLAIN || annotation == TEXT) {
        column->order = PQ_ORDER_BYTES;
        column->meaning = PQ_MEANS_BYTES;
    } else if (annotation == UUID && column->width == 16) {
        column->order = PQ_ORDER_BYTES;
        column->meaning = PQ_MEANS_UUID;
    } else if (annotation == HALF && column->width == 2) {
        column->order = PQ_ORDER_FLOAT16;
    } else if (annotation == DECIMAL) {
        column->order = PQ_ORDER_DECIMAL;
    }
}

static void annotate(struct pq_column *column, enum annotation annotation)
{
    column->order = PQ_ORDER_NONE;
    column->meaning = PQ_MEANS_OTHER;
    switch (column->type) {
    case PQ_INT32:
    case PQ_INT64:
        annotate_integer(column, annotation);
        break;
    case PQ_BYTE_ARRAY:
    case PQ_FIXED:
        annotate_bytes(column, annotation);
        break;
    case PQ_BOOLEAN:
        column->order = annotation == PLAIN ? PQ_ORDER_UNSIGNED : PQ_ORDER_NONE;
        break;
    case PQ_FLOAT:
    case PQ_DOUBLE:
        column->order = annotation == PLAIN ? PQ_ORDER_FLOAT : PQ_ORDER_NONE;
        break;
    case PQ_INT96: /* whose order was never settled */
        break;
    }
}

/* ---- the schema ------------------------------------------------------------------------------ */

struct walk {
    struct pq_file *file;
    struct pq_node *elements;
    size_t element_count, next;
    const char *names[NESTING_LIMIT]; /* on the way to where the walk is */
    struct rc_error *err;
};

static enum rc_code refuse_schema(const struct walk *walk, enum rc_code code, const char *what)
{
    return rc_fail(walk->err, code, "element %zu of the schema %s", walk->next, what);
}

/* The text may lie in the middle of the footer, so it is copied to be ended. */
static enum rc_code read_name(struct walk *walk, const struct pq_node *element, const char **out)
{
    const struct pq_node *name = pq_field(element, PQ_ELEMENT_NAME, PQ_KIND_BINARY);

    if (!name)
        return refuse_schema(walk, RC_INVALID, "has no name");
    if (memchr(name->bytes.data, '\0', name->bytes.len))
        return refuse_schema(walk, RC_UNSUPPORTED, "has a NUL byte in its name");

    char *copy = pq_tree_alloc(&walk->file->tree, name->bytes.len + 1);
    if (!copy)
        return pq_tree_full(&walk->file->tree, walk->err);
    memcpy(copy, name->bytes.data, name->bytes.len);
    *out = copy;
    return RC_OK;
}

static enum rc_code name_column(struct walk *walk, struct pq_column *column, size_t depth)
{
    struct pq_tree *tree = &walk->file->tree;
    const char **names = pq_tree_alloc(tree, depth * sizeof(*names));
    size_t len = 0;

    for (size_t i = 0; i < depth; i++)
        len += strlen(walk->names[i]) + 1;
    char *path = pq_tree_alloc(tree, len);
    if (!names || !path)
        return pq_tree_full(tree, walk->err);

    column->names = names;
    column->depth = depth;
    column->path = path;
    for (size_t i = 0; i < depth; i++) {
        size_t name_len = strlen(walk->names[i]);

        names[i] = walk->names[i];
        memcpy(path, names[i], name_len);
        path += name_len;
        *path++ = i + 1 < depth ? '.' : '\0';
    }
    return RC_OK;
}

static enum rc_code read_width(struct walk *walk, const struct pq_node *element,
                               struct pq_column *column)
{
    static const int32_t widths[] = {
        [PQ_BOOLEAN] = 1, [PQ_INT32] = 4,  [PQ_INT64] = 8,      [PQ_INT96] = 12,
        [PQ_FLOAT] = 4,   [PQ_DOUBLE] = 8, [PQ_BYTE_ARRAY] = 0, [PQ_FIXED] = 0,
    };
    int64_t type = pq_field_int(element, PQ_ELEMENT_TYPE, -1);

    if (type < 0 || type >= (int64_t)RC_ARRAY_LEN(widths))
        return refuse_schema(walk, RC_UNSUPPORTED, "is of an unknown type");
    column->type = (enum pq_type)type;
    column->width = widths[type];
    if (column->type == PQ_FIXED) {
        column->width = (int32_t)pq_field_int(element, PQ_ELEMENT_TYPE_LENGTH, 0);
        if (column->width <= 0)
            return refuse_schema(walk, RC_INVALID, "is of a fixed length that is not said");
    }
    return RC_OK;
}

static enum rc_code add_column(struct walk *walk, const struct pq_node *element, size_t depth,
                               int16_t definition, int16_t repetition)
{
    const struct pq_node *orders = list_of_structs(&walk->file->root, PQ_FILE_ORDERS);
    size_t index = walk->file->column_count;
    struct pq_column *column = &walk->file->columns[index];

    column->max_definition = definition;
    column->max_repetition = repetition;
    if (read_width(walk, element, column) || name_column(walk, column, depth))
        return walk->err->code;
    annotate(column, annotation_of(element));
    if (orders && index < orders->list.len) {
        column->has_order = pq_field(&orders->list.items[index], ORDER_OF_TYPE, PQ_KIND_STRUCT);
        if (!column->has_order)
            column->order = PQ_ORDER_NONE;
    }
    walk->file->column_count++;
    return RC_OK;
}

/* An element and those in it, with the levels of the group that it is in. */
static enum rc_code walk_element(struct walk *walk, size_t depth, int16_t definition,
                                 int16_t repetition)
{
    if (walk->next == walk->element_count)
        return refuse_schema(walk, RC_INVALID, "is missing");
    if (depth == NESTING_LIMIT)
        return refuse_schema(walk, RC_UNSUPPORTED, "is nested too deep");

    const struct pq_node *element = &walk->elements[walk->next];
    int64_t repeats = pq_field_int(element, PQ_ELEMENT_REPETITION, -1);
    int64_t children = pq_field_int(element, PQ_ELEMENT_CHILDREN, 0);

    if (repeats < REQUIRED || repeats > REPEATED)
        return refuse_schema(walk, RC_INVALID, "is neither required, optional nor repeated");
    if (read_name(walk, element, &walk->names[depth]))
        return walk->err->code;
    definition = (int16_t)(definition + (repeats != REQUIRED));
    repetition = (int16_t)(repetition + (repeats == REPEATED));

    if (pq_field(element, PQ_ELEMENT_TYPE, PQ_KIND_I32)) {
        if (children != 0)
            return refuse_schema(walk, RC_INVALID, "has both a type and members");
        if (add_column(walk, element, depth + 1, definition, repetition))
            return walk->err->code;
        walk->next++;
        return RC_OK;
    }
    walk->next++;
    for (int64_t i = 0; i < children; i++)
        if (walk_element(walk, depth + 1, definition, repetition))
            return walk->err->code;
    return RC_OK;
}

static enum rc_code read_schema(struct pq_file *file, struct rc_error *err)
{
    const struct pq_node *schema = list_of_structs(&file->root, PQ_FILE_SCHEMA);

    if (!schema || schema->list.len == 0)
        return rc_fail(err, RC_INVALID, "the footer has no schema");
    file->columns = pq_tree_alloc(&file->tree, schema->list.len * sizeof(*file->columns));
    if (!file->columns)
        return pq_tree_full(&file->tree, err);

    struct walk walk = {
        .file = file,
        .elements = schema->list.items,
        .element_count = schema->list.len,
        .next = 1,
        .err = err,
    };
    int64_t children = pq_field_int(schema->list.items, PQ_ELEMENT_CHILDREN, 0);
    for (int64_t i = 0; i < children; i++)
        if (walk_element(&walk, 0, 0, 0))
            return err->code;
    if (walk.next != walk.element_count)
        return refuse_schema(&walk, RC_INVALID, "is in no group");
    return RC_OK;
}

/* ---- row groups ------------------------------------------------------------------------------ */

/* A part of the file that need not be there; false: it lies outside. */
static bool place_extra(const struct pq_file *file, int64_t offset, int64_t len, int64_t *out)
{
    *out = offset > 0 ? offset : -1;
    return offset <= 0 || (len <= file->data_end && offset <= file->data_end - (len < 0 ? 0 : len));
}

static bool place_extras(const struct pq_file *file, struct pq_chunk *chunk)
{
    int64_t offset_len = pq_field_int(chunk->node, PQ_CHUNK_OFFSET_INDEX_BYTES, 0);
    int64_t column_len = pq_field_int(chunk->node, PQ_CHUNK_COLUMN_INDEX_BYTES, 0);
    int64_t offset_at = pq_field_int(chunk->node, PQ_CHUNK_OFFSET_INDEX, -1);
    int64_t column_at = pq_field_int(chunk->node, PQ_CHUNK_COLUMN_INDEX, -1);

    chunk->bloom_len = pq_field_int(chunk->meta, PQ_META_BLOOM_BYTES, -1);
    chunk->offset_index_len = (int32_t)offset_len;
    chunk->column_index_len = (int32_t)column_len;
    return place_extra(file, pq_field_int(chunk->meta, PQ_META_BLOOM_OFFSET, -1), chunk->bloom_len,
                       &chunk->bloom_offset) &&
           place_extra(file, offset_len > 0 ? offset_at : -1, offset_len,
                       &chunk->offset_index_offset) &&
           place_extra(file, column_len > 0 ? column_at : -1, column_len,
                       &chunk->column_index_offset);
}

/*
 * parquet-mr before 1.2.9 has left the dictionary's header out of a chunk's length (PARQUET-816).
 * At its largest it is this long.
 */
static int64_t slack_of(const struct pq_file *file, const struct pq_chunk *chunk)
{
    enum { DICTIONARY_HEADER = 100 };
    static const char with_version[] = "parquet-mr version ";
    const struct pq_node *by = pq_field(&file->root, PQ_FILE_CREATED_BY, PQ_KIND_BINARY);
    int64_t behind = file->data_end - chunk->start - chunk->len;
    char text[64] = "";
    unsigned major = 0, minor = 0, patch = 0;

    if (!by)
        return 0;
    memcpy(text, by->bytes.data, by->bytes.len < sizeof(text) ? by->bytes.len : sizeof(text) - 1);
    if (rc_str_starts(text, with_version))
        (void)sscanf(text + sizeof(with_version) - 1, "%3u.%3u.%3u", &major, &minor, &patch);
    else if (!rc_str_eq(text, "parquet-mr")) /* others, such as parquet-mr-trino, are not it */
        return 0;
    if (major > 1 || (major == 1 && (minor > 2 || (minor == 2 && patch > 8))))
        return 0;
    return behind < DICTIONARY_HEADER ? behind : DICTIONARY_HEADER;
}

/*
 * The dictionary comes before the data. Old writers have 0 for its place, or any other number,
 * where there is none; others 0 for the place of the data of no rows.
 */
static bool place_pages(const struct pq_file *file, struct pq_chunk *chunk)
{
    int64_t data = pq_field_int(chunk->meta, PQ_META_DATA_OFFSET, -1);
    int64_t dictionary = pq_field_int(chunk->meta, PQ_META_DICTIONARY_OFFSET, -1);

    chunk->len = pq_field_int(chunk->meta, PQ_META_COMPRESSED_BYTES, -1);
    chunk->start = chunk->len == 0 ? MAGIC : data;
    if (chunk->len > 0 && dictionary > 0 && (data <= 0 || dictionary < data)) {
        chunk->start = dictionary;
        chunk->dictionary_len = data <= 0 ? chunk->len : data - dictionary;
    }
    return chunk->start >= MAGIC && chunk->len >= 0 && chunk->len <= file->data_end &&
           chunk->start <= file->data_end - chunk->len && chunk->dictionary_len <= chunk->len;
}

static const char *check_meta(const struct pq_file *file, const struct pq_column *column,
                              const struct pq_group *group, struct pq_chunk *chunk)
{
    int64_t codec = pq_field_int(chunk->meta, PQ_META_CODEC, -1);

    if (pq_field_int(chunk->meta, PQ_META_TYPE, -1) != (int64_t)column->type)
        return "is of another type than in the schema";
    if (codec < 0)
        return "has no codec";
    chunk->codec = (enum pq_codec)codec;
    chunk->value_count = pq_field_int(chunk->meta, PQ_META_VALUES, -1);
    if (chunk->value_count < group->row_count ||
        (column->max_repetition == 0 && chunk->value_count != group->row_count))
        return "has another number of values than there are rows";
    /* The offsets are those of the other file, of which nothing is known here. */
    if (chunk->lies_elsewhere)
        return NULL;
    if (!place_pages(file, chunk))
        return "has pages outside of the file's data";
    chunk->slack = slack_of(file, chunk);
    return place_extras(file, chunk) ? NULL : "has an index or a filter outside of the file's data";
}

static enum rc_code read_chunk(const struct pq_file *file, struct pq_group *group, size_t column,
                               struct pq_node *node, struct rc_error *err)
{
    const struct pq_node *path = pq_field(node, PQ_CHUNK_FILE, PQ_KIND_BINARY);
    struct pq_chunk *chunk = &group->chunks[column];
    const char *wrong;

    *chunk = (struct pq_chunk){
        .node = node,
        .meta = pq_field(node, PQ_CHUNK_META, PQ_KIND_STRUCT),
        .bloom_offset = -1,
        .bloom_len = -1,
        .column_index_offset = -1,
        .offset_index_offset = -1,
        .lies_elsewhere = path && path->bytes.len > 0,
        .is_encrypted = pq_field(node, PQ_CHUNK_CRYPTO, PQ_KIND_STRUCT) ||
                        pq_field(node, PQ_CHUNK_ENCRYPTED_META, PQ_KIND_BINARY),
    };
    if (chunk->meta)
        wrong = check_meta(file, &file->columns[column], group, chunk);
    else
        wrong = chunk->is_encrypted ? NULL : "has no metadata";
    return wrong ? rc_fail(err, RC_INVALID, "its column '%s' %s", file->columns[column].path, wrong)
                 : RC_OK;
}

static enum rc_code read_group(struct pq_file *file, struct pq_group *group, struct pq_node *node,
                               struct rc_error *err)
{
    const struct pq_node *columns = list_of_structs(node, PQ_GROUP_CHUNKS);

    group->node = node;
    group->row_count = pq_field_int(node, PQ_GROUP_ROWS, -1);
    if (group->row_count < 0 || group->row_count > INT64_MAX - file->row_count)
        return rc_fail(err, RC_INVALID, "its number of rows cannot be");
    if (!columns || columns->list.len != file->column_count)
        return rc_fail(err, RC_INVALID, "it has %zu columns, the schema %zu",
                       columns ? columns->list.len : 0, file->column_count);
    group->chunks = pq_tree_alloc(&file->tree, file->column_count * sizeof(*group->chunks));
    if (!group->chunks)
        return pq_tree_full(&file->tree, err);
    for (size_t i = 0; i < file->column_count; i++)
        if (read_chunk(file, group, i, &columns->list.items[i], err))
            return err->code;
    file->row_count += group->row_count;
    return RC_OK;
}

static enum rc_code read_groups(struct pq_file *file, struct rc_error *err)
{
    const struct pq_node *groups = list_of_structs(&file->root, PQ_FILE_GROUPS);
    int64_t row_count = pq_field_int(&file->root, PQ_FILE_ROWS, -1);

    if (!groups)
        return rc_fail(err, RC_INVALID, "the footer has no list of row groups");
    file->groups = pq_tree_alloc(&file->tree, groups->list.len * sizeof(*file->groups));
    if (!file->groups)
        return pq_tree_full(&file->tree, err);
    for (; file->group_count < groups->list.len; file->group_count++) {
        size_t i = file->group_count;

        if (read_group(file, &file->groups[i], &groups->list.items[i], err))
            return rc_context(err, "look at row group %zu", i);
    }
    if (file->row_count != row_count)
        return rc_fail(err, RC_INVALID,
                       "the footer tells of %" PRId64 " rows, its row groups of %" PRId64,
                       row_count, file->row_count);
    return RC_OK;
}

struct extent {
    int64_t start, end;
};

static int compare_extents(const void *a, const void *b)
{
    const struct extent *one = a, *other = b;

    return (one->start > other->start) - (one->start < other->start);
}

/*
 * No two chunks have a byte in common: a footer of a few bytes could otherwise tell of more than
 * any disk holds. What a chunk may have beyond its length does not count.
 */
static enum rc_code check_extents(const struct pq_file *file, struct rc_error *err)
{
    struct extent *extents =
        rc_calloc(file->group_count * file->column_count + 1, sizeof(*extents));
    bool is_sorted = true;
    int64_t overlap_at = -1;
    size_t count = 0;

    for (size_t i = 0; i < file->group_count; i++)
        for (size_t j = 0; j < file->column_count; j++) {
            const struct pq_chunk *chunk = &file->groups[i].chunks[j];

            if (chunk->len == 0)
                continue;
            extents[count] = (struct extent){ chunk->start, chunk->start + chunk->len };
            is_sorted &= count == 0 || extents[count - 1].start <= extents[count].start;
            count++;
        }
    if (!is_sorted)
        qsort(extents, count, sizeof(*extents), compare_extents);
    for (size_t i = 1; i < count && overlap_at < 0; i++)
        if (extents[i].start < extents[i - 1].end)
            overlap_at = extents[i].start;
    free(extents);
    return overlap_at < 0 ? RC_OK
                          : rc_fail(err, RC_INVALID,
                                    "two of its column chunks have the byte %" PRId64 " in common",
                                    overlap_at);
}

/* ---- the file -------------------------------------------------------------------------------- */

bool pq_is_parquet(const uint8_t head[4], const uint8_t tail[4])
{
    return (memcmp(head, magic, MAGIC) == 0 || memcmp(head, encrypted_magic, MAGIC) == 0) &&
           memcmp(head, tail, MAGIC) == 0;
}

static enum rc_code check_magic(const struct pq_source *source, const uint8_t *end, size_t end_len,
                                struct rc_error *err)
{
    const uint8_t *tail = end + end_len - MAGIC;
    uint8_t head[MAGIC];

    if (memcmp(tail, encrypted_magic, MAGIC) == 0)
        return rc_fail(err, RC_UNSUPPORTED, "its footer is encrypted");
    if ((int64_t)end_len == source->size_bytes)
        memcpy(head, end, MAGIC);
    else if (source->read(source->context, 0, head, MAGIC, err))
        return err->code;
    if (!pq_is_parquet(head, tail))
        return rc_fail(err, RC_INVALID, "it is not a Parquet file: PAR1 is not at both its ends");
    return RC_OK;
}

/* 'end' is what was read of the file's end, which may hold the whole footer already. */
static enum rc_code take_footer(struct pq_file *file, const uint8_t *end, size_t end_len,
                                size_t limit_bytes, size_t *len, struct rc_error *err)
{
    const struct pq_source *source = &file->source;
    const uint8_t *at = end + end_len - TAIL;

    *len = (size_t)at[0] | (size_t)at[1] << 8 | (size_t)at[2] << 16 | (size_t)at[3] << 24;
    if ((int64_t)*len > source->size_bytes - MAGIC - TAIL)
        return rc_fail(err, RC_INVALID, "its footer is said to have %zu bytes, more than it has",
                       *len);
    if (*len > limit_bytes)
        return rc_fail(err, RC_TOO_LARGE, "its footer has %zu bytes, of at most %zu", *len,
                       limit_bytes);
    file->data_end = source->size_bytes - TAIL - (int64_t)*len;

    file->footer = malloc(*len + 1);
    if (!file->footer)
        return rc_fail(err, RC_TOO_LARGE, "there is no memory for its footer of %zu bytes", *len);
    size_t known = *len < end_len - TAIL ? *len : end_len - TAIL;
    memcpy(file->footer + *len - known, at - known, known);
    if (known == *len)
        return RC_OK;
    return source->read(source->context, file->data_end, file->footer, *len - known, err);
}

static enum rc_code read_footer(struct pq_file *file, size_t limit_bytes, size_t *len,
                                struct rc_error *err)
{
    const struct pq_source *source = &file->source;
    RC_BUF_AUTO(end, FIRST_READ);

    if (source->size_bytes < MAGIC + TAIL)
        return rc_fail(err, RC_INVALID, "it is not a Parquet file: it has %" PRId64 " bytes",
                       source->size_bytes);
    size_t end_len = source->size_bytes < FIRST_READ ? (size_t)source->size_bytes : FIRST_READ;
    char *room = rc_buf_reserve(&end, end_len);
    if (!room)
        return rc_buf_check(&end, err);
    if (source->read(source->context, source->size_bytes - (int64_t)end_len, room, end_len, err))
        return err->code;
    if (check_magic(source, (const uint8_t *)room, end_len, err))
        return err->code;
    return take_footer(file, (const uint8_t *)room, end_len, limit_bytes, len, err);
}

static enum rc_code open_file(struct pq_file *file, size_t limit_bytes, struct rc_error *err)
{
    size_t len = 0, used;

    if (read_footer(file, limit_bytes, &len, err))
        return err->code;
    pq_tree_init(&file->tree,
                 limit_bytes < SIZE_MAX / TREE_FACTOR ? TREE_FACTOR * limit_bytes : SIZE_MAX);
    if (pq_thrift_read(&file->tree, file->footer, len, &file->root, &used, err) ||
        read_schema(file, err))
        return err->code;
    file->is_encrypted = pq_field(&file->root, PQ_FILE_ENCRYPTION, PQ_KIND_STRUCT);
    return read_groups(file, err) ? err->code : check_extents(file, err);
}

enum rc_code pq_file_open(struct pq_file *out, const struct pq_source *source, size_t limit_bytes,
                          struct rc_error *err)
{
    *out = (struct pq_file){ .source = *source };
    if (open_file(out, limit_bytes, err) == RC_OK)
        return RC_OK;
    pq_file_close(out);
    return rc_context(err, "read the footer of '%s'", source->name);
}

void pq_file_close(struct pq_file *file)
{
    pq_tree_clear(&file->tree);
    free(file->footer);
    *file = (struct pq_file){ 0 };
}

ptrdiff_t pq_file_column(const struct pq_file *file, const char *path)
{
    ptrdiff_t same = PQ_NO_COLUMN, alike = PQ_NO_COLUMN;

    for (size_t i = 0; i < file->column_count; i++) {
        if (strcmp(file->columns[i].path, path) == 0)
            same = same == PQ_NO_COLUMN ? (ptrdiff_t)i : PQ_MANY_COLUMNS;
        else if (strcasecmp(file->columns[i].path, path) == 0)
            alike = alike == PQ_NO_COLUMN ? (ptrdiff_t)i : PQ_MANY_COLUMNS;
    }
    return same == PQ_NO_COLUMN ? alike : same;
}
