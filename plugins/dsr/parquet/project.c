/*
 * A file of some of another's columns. Their pages are copied as they are; the schema is cut down
 * to the way to them. Whatever a reader could use in place of the values is left out.
 */
#include "fields.h"
#include "rewrite_out.h"

#include <stdlib.h>

struct projection {
    const struct pq_file *file;
    bool *is_kept; /* of each column of the file */
    struct pq_tree tree;
    struct pq_out out;
};

static void clear(struct projection *projection)
{
    free(projection->is_kept);
    pq_tree_clear(&projection->tree);
    pq_out_clear(&projection->out);
}

/* Keeps the fields named; the order of the others does not change. */
static void keep_only(struct pq_node *record, const int16_t *ids, size_t count)
{
    size_t kept = 0;

    for (size_t i = 0; i < record->list.len; i++)
        for (size_t k = 0; k < count; k++)
            if (record->list.items[i].id == ids[k])
                record->list.items[kept++] = record->list.items[i];
    record->list.len = kept;
}

struct schema_cut {
    struct projection *projection;
    struct pq_node *elements;
    size_t from, to, column; /* the next one, where it goes, the next column */
};

/*
 * Moves an element forward, and those in it that stay; one without any goes. The schema was walked
 * when the file was opened: it is nested no deeper than that allows.
 */
static enum rc_code cut_element(struct schema_cut *cut, int64_t *kept, struct rc_error *err)
{
    static const int16_t fields[] = { PQ_ELEMENT_TYPE, PQ_ELEMENT_TYPE_LENGTH,
                                      PQ_ELEMENT_REPETITION, PQ_ELEMENT_NAME, PQ_ELEMENT_CHILDREN };
    struct pq_node element = cut->elements[cut->from++];
    bool is_column = cut->from > 1 && pq_field(&element, PQ_ELEMENT_TYPE, PQ_KIND_I32);
    size_t to = cut->to++;

    if (is_column) {
        *kept = cut->projection->is_kept[cut->column++];
    } else {
        int64_t children = pq_field_int(&element, PQ_ELEMENT_CHILDREN, 0), members = 0;

        for (int64_t i = 0; i < children; i++) {
            int64_t member;

            if (cut_element(cut, &member, err))
                return err->code;
            members += member;
        }
        if (pq_set_int(&cut->projection->tree, &element, PQ_ELEMENT_CHILDREN, PQ_KIND_I32, members,
                       err))
            return err->code;
        *kept = members > 0;
    }
    keep_only(&element, fields, RC_ARRAY_LEN(fields));
    cut->elements[to] = element;
    if (!*kept)
        cut->to = to;
    return RC_OK;
}

static enum rc_code cut_schema(struct projection *projection, struct pq_node *schema,
                               struct rc_error *err)
{
    struct schema_cut cut = { .projection = projection, .elements = schema->list.items };
    int64_t kept;

    if (cut_element(&cut, &kept, err))
        return err->code;
    schema->list.len = cut.to;
    return RC_OK;
}

static enum rc_code copy_chunk(struct projection *projection, const struct pq_chunk *chunk,
                               struct pq_node *node, struct rc_error *err)
{
    static const int16_t chunk_fields[] = { PQ_CHUNK_FILE_OFFSET, PQ_CHUNK_META };
    static const int16_t meta_fields[] = { PQ_META_TYPE,
                                           PQ_META_ENCODINGS,
                                           PQ_META_PATH,
                                           PQ_META_CODEC,
                                           PQ_META_VALUES,
                                           PQ_META_UNCOMPRESSED_BYTES,
                                           PQ_META_COMPRESSED_BYTES,
                                           PQ_META_DATA_OFFSET,
                                           PQ_META_DICTIONARY_OFFSET };
    int64_t start = projection->out.bytes, len = chunk->len + chunk->slack;

    keep_only(node, chunk_fields, RC_ARRAY_LEN(chunk_fields));
    keep_only(pq_field(node, PQ_CHUNK_META, PQ_KIND_STRUCT), meta_fields,
              RC_ARRAY_LEN(meta_fields));
    if (pq_out_move_chunk(&projection->tree, node, chunk, start, err) ||
        pq_set_int(&projection->tree, pq_field(node, PQ_CHUNK_META, PQ_KIND_STRUCT),
                   PQ_META_COMPRESSED_BYTES, PQ_KIND_I64, len, err))
        return err->code;
    return pq_out_copy(&projection->out, projection->file, chunk->start, len, err);
}

static enum rc_code copy_group(struct projection *projection, size_t group, struct pq_node *node,
                               struct rc_error *err)
{
    static const int16_t fields[] = { PQ_GROUP_CHUNKS, PQ_GROUP_ROWS };
    const struct pq_file *file = projection->file;
    struct pq_node *chunks = pq_field(node, PQ_GROUP_CHUNKS, PQ_KIND_LIST);
    int64_t bytes = 0;
    size_t kept = 0;

    for (size_t column = 0; column < file->column_count; column++) {
        struct pq_node *chunk = &chunks->list.items[column];

        if (!projection->is_kept[column])
            continue;
        if (pq_out_check_chunk(file, group, column, err) ||
            copy_chunk(projection, &file->groups[group].chunks[column], chunk, err))
            return rc_context(err, "row group %zu, column '%s'", group, file->columns[column].path);
        bytes += pq_field_int(pq_field(chunk, PQ_CHUNK_META, PQ_KIND_STRUCT),
                              PQ_META_UNCOMPRESSED_BYTES, 0);
        chunks->list.items[kept++] = *chunk;
    }
    chunks->list.len = kept;
    keep_only(node, fields, RC_ARRAY_LEN(fields));
    return pq_set_int(&projection->tree, node, PQ_GROUP_UNCOMPRESSED_BYTES, PQ_KIND_I64, bytes,
                      err);
}

static enum rc_code project(struct projection *projection, const struct pq_sink *sink,
                            struct rc_error *err)
{
    static const int16_t kept_fields[] = { PQ_FILE_VERSION, PQ_FILE_SCHEMA, PQ_FILE_ROWS,
                                           PQ_FILE_GROUPS, PQ_FILE_CREATED_BY };
    const struct pq_file *file = projection->file;
    struct pq_node root, *groups;

    if (pq_copy(&projection->tree, &file->root, &root, err) ||
        pq_out_begin(&projection->out, sink, err))
        return err->code;
    keep_only(&root, kept_fields, RC_ARRAY_LEN(kept_fields));
    if (cut_schema(projection, pq_field(&root, PQ_FILE_SCHEMA, PQ_KIND_LIST), err))
        return err->code;
    groups = pq_field(&root, PQ_FILE_GROUPS, PQ_KIND_LIST);
    for (size_t group = 0; group < file->group_count; group++)
        if (copy_group(projection, group, &groups->list.items[group], err))
            return err->code;
    return pq_out_end(&projection->out, &root, err);
}

enum rc_code pq_project(const struct pq_file *file, const size_t *columns, size_t column_count,
                        const struct pq_sink *sink, struct rc_error *err)
{
    RC_CLEANUP(clear)
    struct projection projection = { .file = file,
                                     .is_kept = rc_calloc(file->column_count, sizeof(bool)) };

    RC_ASSERT(column_count > 0);
    for (size_t i = 0; i < column_count; i++) {
        RC_ASSERT(columns[i] < file->column_count);
        projection.is_kept[columns[i]] = true;
    }
    pq_tree_init(&projection.tree, pq_out_tree_limit(file));
    if (project(&projection, sink, err))
        return rc_context(err, "project '%s'", file->source.name);
    return RC_OK;
}
