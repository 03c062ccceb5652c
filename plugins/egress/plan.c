/*
 * Cuts tables into pieces and gathers pieces into objects. What there is to dump the catalogue
 * says, what an object is called names.c.
 */
#include "plan.h"
#include "compress.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_BYTES                                                                                 \
    INT64_C(8192) /* nearly every server's; only the size of a range follows from it */

/*
 * A piece of about 16 MiB takes a tenth of a second and more, so that its statement costs little;
 * it is small enough that some of them, compressed, wait in memory for the one whose turn it is.
 */
#define RANGE_BYTES (INT64_C(16) << 20)
#define OBJECT_BYTES (INT64_C(256) << 20) /* of an object where a table is split */

enum { EXTENSION_LIMIT = 32, KEY_LIMIT = 1 << 20 };

struct planning {
    const struct egress_catalog *catalog;
    const struct egress_config *config;
    const struct egress_layout *layout;
    struct egress_plan *plan;
    const char *extension;
    size_t piece_capacity, object_capacity;
};

/* ---- pieces ---- */

static void add_piece(struct planning *planning, struct egress_piece piece)
{
    struct egress_plan *plan = planning->plan;

    if (plan->piece_count == planning->piece_capacity) {
        planning->piece_capacity = planning->piece_capacity ? 2 * planning->piece_capacity : 16;
        plan->pieces = rc_realloc(plan->pieces, planning->piece_capacity * sizeof(*plan->pieces));
    }
    plan->pieces[plan->piece_count++] = piece;
}

static int64_t heap_pages(const struct egress_table *table)
{
    int64_t pages = 0;

    for (size_t i = 0; i < table->leaf_count; i++)
        pages += table->leaves[i].pages;
    return pages;
}

/* What a page of the table's heap stands for, with its share of the long values kept elsewhere. */
static int64_t bytes_of_page(const struct egress_table *table)
{
    int64_t pages = heap_pages(table);
    int64_t bytes = pages > 0 ? table->bytes / pages : 0;

    return bytes > PAGE_BYTES ? bytes : PAGE_BYTES;
}

static void add_leaf(struct planning *planning, const struct egress_table *table,
                     const struct egress_leaf *leaf)
{
    int64_t most = RANGE_BYTES / bytes_of_page(table);
    int64_t ranges = most > 0 ? (leaf->pages + most - 1) / most : leaf->pages;
    struct egress_piece piece = {
        .table = table,
        .leaf = leaf,
        .first_page = EGRESS_NO_PAGE,
        .end_page = EGRESS_NO_PAGE,
        .rows = leaf->rows,
    };

    if (!leaf->has_ctids || ranges < 2) {
        add_piece(planning, piece);
        return;
    }
    if (leaf->rows >= 0)
        piece.rows = leaf->rows / (double)ranges;
    for (int64_t i = 0; i < ranges; i++) {
        /* In two steps, as the product might not fit. */
        piece.first_page = leaf->pages / ranges * i + leaf->pages % ranges * i / ranges;
        piece.end_page = i + 1 < ranges ? leaf->pages / ranges * (i + 1) +
                                              leaf->pages % ranges * (i + 1) / ranges
                                        : EGRESS_NO_PAGE;
        add_piece(planning, piece);
    }
}

static void add_pieces(struct planning *planning, const struct egress_table *table)
{
    for (size_t i = 0; i < table->leaf_count; i++)
        add_leaf(planning, table, &table->leaves[i]);
    if (table->leaf_count == 0)
        add_piece(planning, (struct egress_piece){ .table = table,
                                                   .first_page = EGRESS_NO_PAGE,
                                                   .end_page = EGRESS_NO_PAGE,
                                                   .rows = table->rows });
}

/* Of what lies on disk; -1: not known. */
static int64_t piece_bytes(const struct egress_piece *piece)
{
    int64_t first = piece->first_page == EGRESS_NO_PAGE ? 0 : piece->first_page;

    if (!piece->leaf)
        return piece->table->bytes;
    return ((piece->end_page == EGRESS_NO_PAGE ? piece->leaf->pages : piece->end_page) - first) *
           bytes_of_page(piece->table);
}

/* ---- objects ---- */

/* Of the pieces from 'first' on, up to and without 'end'. */
static void add_object(struct planning *planning, size_t table, int part, size_t first, size_t end)
{
    struct egress_plan *plan = planning->plan;
    struct egress_object object = { .table = table, .first = first, .count = end - first };
    RC_BUF_AUTO(key, KEY_LIMIT);

    for (size_t i = first; i < end; i++) {
        const struct egress_piece *piece = &plan->pieces[i];
        int64_t bytes = piece_bytes(piece);

        object.rows = piece->rows < 0 || object.rows < 0 ? -1 : object.rows + piece->rows;
        object.bytes = bytes < 0 || object.bytes < 0 ? -1 : object.bytes + bytes;
    }
    plan->pieces[first].header = planning->config->header && planning->config->format == EGRESS_CSV;
    egress_layout_key(planning->layout, planning->catalog->tables[table].name, part,
                      planning->extension, &key);
    object.key = rc_buf_take(&key);
    if (plan->object_count == planning->object_capacity) {
        planning->object_capacity = planning->object_capacity ? 2 * planning->object_capacity : 16;
        plan->objects =
            rc_realloc(plan->objects, planning->object_capacity * sizeof(*plan->objects));
    }
    plan->objects[plan->object_count++] = object;
}

/* Behind the last piece of the object that begins with 'first': each leaf has its own objects. */
static size_t find_end(const struct egress_plan *plan, size_t first)
{
    const struct egress_piece *pieces = plan->pieces;
    int64_t bytes = piece_bytes(&pieces[first]);
    size_t end = first + 1;

    while (end < plan->piece_count && pieces[end].leaf == pieces[first].leaf &&
           bytes < OBJECT_BYTES)
        bytes += piece_bytes(&pieces[end++]);
    return end;
}

static void plan_table(struct planning *planning, size_t table)
{
    struct egress_plan *plan = planning->plan;
    size_t first = plan->piece_count;
    int part = 0;

    add_pieces(planning, &planning->catalog->tables[table]);
    if (!planning->config->split_objects) {
        add_object(planning, table, -1, first, plan->piece_count);
        return;
    }
    for (size_t end; first < plan->piece_count; first = end) {
        end = find_end(plan, first);
        add_object(planning, table, part++, first, end);
    }
}

/* ---- the whole ---- */

struct rank {
    size_t table;
    int64_t bytes;
};

/* What nobody knows the size of comes first: it is read in one stream, which may be the longest. */
static int compare_ranks(const void *a, const void *b)
{
    const struct rank *left = a, *right = b;

    if (left->bytes != right->bytes) {
        if (left->bytes < 0 || right->bytes < 0)
            return left->bytes < 0 ? -1 : 1;
        return left->bytes > right->bytes ? -1 : 1;
    }
    return left->table < right->table ? -1 : 1;
}

static int compare_keys(const void *a, const void *b)
{
    const struct egress_object *const *left = a, *const *right = b;

    return strcmp((*left)->key, (*right)->key);
}

static enum rc_code check_keys(const struct egress_catalog *catalog, const struct egress_plan *plan,
                               struct rc_error *err)
{
    const struct egress_object **sorted = rc_calloc(plan->object_count + 1, sizeof(*sorted));
    const struct egress_object *twin = NULL, *other = NULL;

    for (size_t i = 0; i < plan->object_count; i++)
        sorted[i] = &plan->objects[i];
    qsort(sorted, plan->object_count, sizeof(*sorted), compare_keys);
    for (size_t i = 1; i < plan->object_count && !twin; i++) {
        if (strcmp(sorted[i - 1]->key, sorted[i]->key) == 0) {
            twin = sorted[i - 1];
            other = sorted[i];
        }
    }
    free(sorted);
    if (twin)
        return rc_fail(err, RC_CONFLICT,
                       "'%s' and '%s' would both be the object '%s'; dump one of them as a query "
                       "of another name, or change 'path'",
                       catalog->tables[twin->table].name, catalog->tables[other->table].name,
                       twin->key);
    return RC_OK;
}

enum rc_code egress_plan_extension(const struct egress_config *config, struct rc_buf *out,
                                   struct rc_error *err)
{
    struct egress_compression compression;

    if (config->format == EGRESS_PARQUET) {
        rc_buf_adds(out, ".parquet");
        return RC_OK;
    }
    if (egress_compression_read(config->compression, &compression, err))
        return rc_context(err, "option 'compression'");
    rc_buf_adds(out, ".csv");
    rc_buf_adds(out, egress_compression_extension(&compression));
    return RC_OK;
}

enum rc_code egress_plan_make(const struct egress_catalog *catalog,
                              const struct egress_config *config,
                              const struct egress_layout *layout, struct egress_plan *out,
                              struct rc_error *err)
{
    RC_BUF_AUTO(extension, EXTENSION_LIMIT);
    struct planning planning = {
        .catalog = catalog, .config = config, .layout = layout, .plan = out
    };
    struct rank *ranks;
    size_t count = 0;

    *out = (struct egress_plan){ .pieces = NULL };
    if (egress_plan_extension(config, &extension, err))
        return err->code;
    planning.extension = extension.data;
    ranks = rc_calloc(catalog->count + 1, sizeof(*ranks));
    for (size_t i = 0; i < catalog->count; i++)
        if (!catalog->tables[i].failure)
            ranks[count++] = (struct rank){ .table = i, .bytes = catalog->tables[i].bytes };
    qsort(ranks, count, sizeof(*ranks), compare_ranks);
    for (size_t i = 0; i < count; i++)
        plan_table(&planning, ranks[i].table);
    free(ranks);
    if (check_keys(catalog, out, err)) {
        egress_plan_clear(out);
        return err->code;
    }
    return RC_OK;
}

void egress_plan_clear(struct egress_plan *plan)
{
    for (size_t i = 0; i < plan->object_count; i++)
        free(plan->objects[i].key);
    free(plan->objects);
    free(plan->pieces);
    *plan = (struct egress_plan){ .pieces = NULL };
}

/* ---- statements ---- */

static void add_columns(const struct egress_table *table, struct rc_buf *out)
{
    for (size_t i = 0; i < table->column_count; i++) {
        rc_buf_adds(out, i ? ", " : " ");
        rc_buf_add_ident(out, table->columns[i].name);
    }
}

static void add_relation(const char *schema, const char *relation, struct rc_buf *out)
{
    rc_buf_add_ident(out, schema);
    rc_buf_addc(out, '.');
    rc_buf_add_ident(out, relation);
}

/*
 * COPY of a query throughout, which takes views, foreign tables and ranges, too, and costs next to
 * nothing more. ONLY: of a table that others inherit from, its own rows, as COPY of it gives.
 */
static void add_select(const struct egress_piece *piece, struct rc_buf *out)
{
    const struct egress_table *table = piece->table;
    const struct egress_leaf *leaf = piece->leaf;

    if (table->query) {
        /* The end of the line is for one that ends with a comment. */
        rc_buf_addf(out, "%s\n", table->query);
        return;
    }
    rc_buf_adds(out, "SELECT");
    add_columns(table, out);
    rc_buf_adds(out, leaf ? " FROM ONLY " : " FROM ");
    add_relation(leaf ? leaf->schema : table->schema, leaf ? leaf->relation : table->relation, out);
    if (piece->first_page != EGRESS_NO_PAGE)
        rc_buf_addf(out, " WHERE ctid >= '(%" PRId64 ",0)'::pg_catalog.tid", piece->first_page);
    if (piece->end_page != EGRESS_NO_PAGE)
        rc_buf_addf(out, " AND ctid < '(%" PRId64 ",0)'::pg_catalog.tid", piece->end_page);
}

void egress_plan_sql(const struct egress_piece *piece, const struct egress_config *config,
                     struct rc_buf *out)
{
    rc_buf_adds(out, "COPY (");
    add_select(piece, out);
    if (config->format == EGRESS_PARQUET) {
        /*
         * For the SQL engine, which is told the same. No value is \N without quotes. A value with
         * the quote in it is kept in memory by the engine until the end, so that is a character
         * which hardly any value has. A line that is empty would be none to it.
         */
        rc_buf_addf(out,
                    ") TO STDOUT WITH (FORMAT csv, NULL '\\N', QUOTE E'\\x01', ENCODING 'UTF8'%s)",
                    piece->table->column_count == 1 ? ", FORCE_QUOTE *" : "");
        return;
    }
    rc_buf_addf(out, ") TO STDOUT WITH (FORMAT csv, HEADER %s, DELIMITER ",
                piece->header ? "true" : "false");
    rc_buf_add_literal(out, config->delimiter);
    rc_buf_adds(out, ", NULL ");
    rc_buf_add_literal(out, config->null_string);
    rc_buf_adds(out, ", ENCODING ");
    rc_buf_add_literal(out, config->encoding);
    rc_buf_adds(out, config->force_quote ? ", FORCE_QUOTE *)" : ")");
}
