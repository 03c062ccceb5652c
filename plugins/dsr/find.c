/*
 * Looks for the users in each column of the ids, and puts together what that says of rows. How a
 * column is searched is Parquet's business, what the ids are in it the users'.
 */
#include "find.h"

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

enum { NAMES_LIMIT = 400, NEAREST = 3, NAME_LIMIT = 64 };

#define HITS_LIMIT ((size_t)4 << 30)

/* A row of a user. */
struct owned {
    int64_t row;
    uint32_t user;
};

struct finding {
    const struct pq_file *file;
    const struct dsr_table *table;
    const struct dsr_users *users;
    struct pq_scan_options options;
    struct dsr_found *out;
    struct rc_buf owned; /* struct owned */
};

/* ---- columns ---- */

static size_t min_of(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* How many letters are to be changed, put in or left out; names are looked at up to NAME_LIMIT. */
static size_t distance(const char *a, const char *b)
{
    size_t a_len = min_of(strlen(a), NAME_LIMIT), b_len = min_of(strlen(b), NAME_LIMIT);
    size_t row[NAME_LIMIT + 1];

    for (size_t j = 0; j <= b_len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t above = row[j];

            row[j] = min_of(min_of(above, row[j - 1]) + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[b_len];
}

/* The names that are most like the one that was asked for. */
static void add_nearest(const struct pq_file *file, const char *name, struct rc_buf *out)
{
    size_t order[NEAREST], rank[NEAREST], count = 0;

    for (size_t i = 0; i < file->column_count; i++) {
        size_t apart = distance(name, file->columns[i].path), at = count;

        while (at > 0 && apart < rank[at - 1])
            at--;
        if (at == NEAREST)
            continue;
        count = min_of(count + 1, NEAREST);
        memmove(order + at + 1, order + at, (count - at - 1) * sizeof(*order));
        memmove(rank + at + 1, rank + at, (count - at - 1) * sizeof(*rank));
        order[at] = i;
        rank[at] = apart;
    }
    for (size_t i = 0; i < count; i++)
        rc_buf_addf(out, "%s'%s'", i ? ", " : "", file->columns[order[i]].path);
}

static enum rc_code no_column(const struct pq_file *file, const struct dsr_table *table,
                              const char *name, struct rc_error *err)
{
    RC_BUF_AUTO(names, NAMES_LIMIT);

    add_nearest(file, name, &names);
    return rc_fail(err, RC_NOT_FOUND,
                   "'%s' has no column '%s', which userIdColumn of the table '%s' names; the most "
                   "like it are %s",
                   file->source.name, name, table->name, names.len > 0 ? names.data : "none");
}

static enum rc_code find_column(const struct pq_file *file, const struct dsr_table *table,
                                const char *name, size_t *out, struct rc_error *err)
{
    ptrdiff_t column = pq_file_column(file, name);

    if (column == PQ_NO_COLUMN)
        return no_column(file, table, name, err);
    if (column == PQ_MANY_COLUMNS)
        return rc_fail(err, RC_UNSUPPORTED,
                       "'%s' has more than one column that '%s' may mean, which userIdColumn of "
                       "the table '%s' names",
                       file->source.name, name, table->name);
    if (file->columns[column].max_repetition > 0)
        return rc_fail(err, RC_UNSUPPORTED,
                       "the column '%s' of '%s' is within a list, so that a row may hold many "
                       "ids; name a column of which each row has one",
                       name, file->source.name);
    *out = (size_t)column;
    return RC_OK;
}

enum rc_code dsr_find_columns(const struct pq_file *file, const struct dsr_table *table,
                              size_t **columns, struct rc_error *err)
{
    size_t *found = rc_calloc(table->id_columns.len + 1, sizeof(*found));

    for (size_t i = 0; i < table->id_columns.len; i++)
        if (find_column(file, table, table->id_columns.items[i], &found[i], err)) {
            free(found);
            return err->code;
        }
    *columns = found;
    return RC_OK;
}

/* ---- one column ---- */

struct column_scan {
    struct finding *finding;
    const struct dsr_wanted *wanted;
    size_t part; /* of a composite id */
    struct composite *composite;
};

static enum rc_code scan(struct finding *finding, size_t column, const struct dsr_wanted *wanted,
                         enum rc_code (*hit)(void *context, int64_t row, size_t which,
                                             struct rc_error *err),
                         void *context, struct rc_error *err)
{
    struct pq_scanned scanned = { 0 }, *sum = &finding->out->scanned;

    if (pq_scan(finding->file, column, dsr_wanted_ask(wanted), &finding->options, hit, context,
                &scanned, err))
        return rc_context(err, "search the column '%s' of '%s'",
                          finding->file->columns[column].path, finding->file->source.name);
    sum->groups_skipped += scanned.groups_skipped;
    sum->groups_read += scanned.groups_read;
    sum->bytes_read += scanned.bytes_read;
    return RC_OK;
}

static enum rc_code own(struct finding *finding, int64_t row, uint32_t user, struct rc_error *err)
{
    struct owned owned = { row, user };

    rc_buf_add(&finding->owned, &owned, sizeof(owned));
    return rc_buf_check(&finding->owned, err);
}

static enum rc_code hit_user(void *context, int64_t row, size_t which, struct rc_error *err)
{
    const struct column_scan *column = context;
    size_t count;
    const uint32_t *users = dsr_wanted_ways(column->wanted, which, &count);

    for (size_t i = 0; i < count; i++)
        if (own(column->finding, row, users[i], err))
            return err->code;
    return RC_OK;
}

static enum rc_code find_any(struct finding *finding, const size_t *columns, struct rc_error *err)
{
    for (size_t i = 0; i < finding->table->id_columns.len; i++) {
        struct column_scan column = { .finding = finding };
        struct dsr_wanted *wanted;
        enum rc_code code =
            dsr_wanted_new(finding->users, &finding->file->columns[columns[i]],
                           /* separator = */ NULL, /* part = */ 0, /* parts = */ 1, &wanted, err);

        if (code)
            return rc_context(err, "'%s'", finding->file->source.name);
        column.wanted = wanted;
        code = scan(finding, columns[i], wanted, hit_user, &column, err);
        dsr_wanted_free(wanted);
        if (code)
            return code;
    }
    return RC_OK;
}

/* ---- several columns that make up the id ---- */

/* Rows of which each part that was searched so far is wanted, and as which of its values. */
struct composite {
    size_t parts;
    struct dsr_wanted **wanted;
    struct rc_buf rows;  /* int64_t */
    struct rc_buf which; /* for each row one size_t a part */
    size_t at, kept;     /* of the rows, while a further part is searched */
    bool has_rows;       /* a part has been searched */
};

static enum rc_code hit_part(void *context, int64_t row, size_t which, struct rc_error *err)
{
    const struct column_scan *column = context;
    struct composite *composite = column->composite;
    size_t stride = composite->parts * sizeof(size_t);
    int64_t *rows = (int64_t *)(void *)composite->rows.data;
    size_t *all;

    if (!composite->has_rows) {
        char *room = rc_buf_reserve(&composite->which, stride);

        rc_buf_add(&composite->rows, &row, sizeof(row));
        if (room) {
            memset(room, 0, stride);
            memcpy(room + column->part * sizeof(which), &which, sizeof(which));
            rc_buf_added(&composite->which, stride);
        }
        return rc_buf_check(&composite->rows, err) ? err->code
                                                   : rc_buf_check(&composite->which, err);
    }
    while (composite->at < composite->rows.len / sizeof(row) && rows[composite->at] < row)
        composite->at++;
    if (composite->at == composite->rows.len / sizeof(row) || rows[composite->at] != row)
        return RC_OK;
    all = (size_t *)(void *)composite->which.data;
    rows[composite->kept] = row;
    memmove(all + composite->kept * composite->parts, all + composite->at * composite->parts,
            stride);
    all[composite->kept * composite->parts + column->part] = which;
    composite->kept++;
    composite->at++;
    return RC_OK;
}

static bool has_way(const struct dsr_wanted *wanted, size_t which, uint32_t way)
{
    size_t high, low = 0;
    const uint32_t *ways = dsr_wanted_ways(wanted, which, &high);
    size_t count = high;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (ways[middle] < way)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && ways[low] == way;
}

/* The row's values are pieces of ids; whether they are all the pieces of one. */
static enum rc_code own_composite(struct finding *finding, const struct composite *composite,
                                  size_t at, struct rc_error *err)
{
    const size_t *which = (const size_t *)(const void *)composite->which.data;
    const int64_t *rows = (const int64_t *)(const void *)composite->rows.data;
    size_t rarest = 0, fewest = SIZE_MAX, count;
    const uint32_t *ways;

    which += at * composite->parts;
    for (size_t i = 0; i < composite->parts; i++) {
        dsr_wanted_ways(composite->wanted[i], which[i], &count);
        if (count < fewest) {
            fewest = count;
            rarest = i;
        }
    }
    ways = dsr_wanted_ways(composite->wanted[rarest], which[rarest], &count);
    for (size_t w = 0; w < count; w++) {
        size_t i = 0;

        while (i < composite->parts && has_way(composite->wanted[i], which[i], ways[w]))
            i++;
        if (i == composite->parts &&
            own(finding, rows[at], dsr_wanted_user(composite->wanted[rarest], ways[w]), err))
            return err->code;
    }
    return RC_OK;
}

static enum rc_code search_parts(struct finding *finding, const size_t *columns,
                                 struct composite *composite, struct rc_error *err)
{
    for (size_t i = 0; i < composite->parts; i++) {
        struct column_scan column = {
            .finding = finding, .wanted = composite->wanted[i], .part = i, .composite = composite
        };

        composite->at = composite->kept = 0;
        if (scan(finding, columns[i], composite->wanted[i], hit_part, &column, err))
            return err->code;
        if (composite->has_rows) {
            rc_buf_truncate(&composite->rows, composite->kept * sizeof(int64_t));
            rc_buf_truncate(&composite->which, composite->kept * composite->parts * sizeof(size_t));
        }
        composite->has_rows = true;
        if (composite->rows.len == 0)
            return RC_OK;
    }
    for (size_t at = 0; at < composite->rows.len / sizeof(int64_t); at++)
        if (own_composite(finding, composite, at, err))
            return err->code;
    return RC_OK;
}

static enum rc_code find_all(struct finding *finding, const size_t *columns, struct rc_error *err)
{
    size_t parts = finding->table->id_columns.len;
    struct composite composite = {
        .parts = parts,
        .wanted = rc_calloc(parts + 1, sizeof(*composite.wanted)),
        .rows = RC_BUF_INIT(HITS_LIMIT),
        .which = RC_BUF_INIT(HITS_LIMIT),
    };
    enum rc_code code = RC_OK;

    for (size_t i = 0; i < parts && !code; i++)
        code = dsr_wanted_new(finding->users, &finding->file->columns[columns[i]],
                              finding->table->id_separator, i, parts, &composite.wanted[i], err);
    if (code)
        rc_context(err, "'%s'", finding->file->source.name);
    else
        code = search_parts(finding, columns, &composite, err);
    for (size_t i = 0; i < parts; i++)
        dsr_wanted_free(composite.wanted[i]);
    free(composite.wanted);
    rc_buf_clear(&composite.rows);
    rc_buf_clear(&composite.which);
    return code;
}

/* ---- what was found ---- */

static int compare_owned(const void *a, const void *b)
{
    const struct owned *left = a, *right = b;

    if (left->row != right->row)
        return left->row < right->row ? -1 : 1;
    return (left->user > right->user) - (left->user < right->user);
}

static int compare_users(const void *a, const void *b)
{
    const struct owned *left = a, *right = b;

    return (left->user > right->user) - (left->user < right->user);
}

/* Leaves each pair once: a row may have been come by in two columns. */
static size_t sort_owned(struct owned *owned, size_t count)
{
    bool sorted = true;
    size_t kept = 0;

    for (size_t i = 1; i < count && sorted; i++)
        sorted = compare_owned(&owned[i - 1], &owned[i]) < 0;
    if (sorted)
        return count;
    qsort(owned, count, sizeof(*owned), compare_owned);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || compare_owned(&owned[kept - 1], &owned[i]) != 0)
            owned[kept++] = owned[i];
    return kept;
}

static void conclude(struct finding *finding)
{
    struct dsr_found *out = finding->out;
    struct owned *owned = (struct owned *)(void *)finding->owned.data;
    size_t count = sort_owned(owned, finding->owned.len / sizeof(*owned));

    out->rows = rc_malloc((count + 1) * sizeof(*out->rows));
    for (size_t i = 0; i < count; i++)
        if (i == 0 || owned[i].row != owned[i - 1].row)
            out->rows[out->count++] = owned[i].row;

    if (count > 0)
        qsort(owned, count, sizeof(*owned), compare_users);
    for (size_t i = 0; i < count; i++)
        out->user_count += i == 0 || owned[i].user != owned[i - 1].user;
    out->users = rc_calloc(out->user_count + 1, sizeof(*out->users));
    for (size_t i = 0, at = 0; i < count; i++) {
        at += i > 0 && owned[i].user != owned[i - 1].user;
        out->users[at].user = owned[i].user;
        out->users[at].rows++;
    }
}

enum rc_code dsr_find_elsewhere(const struct pq_file *file, bool *is_summary, struct rc_error *err)
{
    size_t here = 0, elsewhere = 0;

    for (size_t i = 0; i < file->group_count; i++)
        for (size_t j = 0; j < file->column_count; j++)
            *(file->groups[i].chunks[j].lies_elsewhere ? &elsewhere : &here) += 1;
    if (here > 0 && elsewhere > 0)
        return rc_fail(err, RC_UNSUPPORTED,
                       "'%s' has some of its columns in other files; such files cannot be changed "
                       "one by one",
                       file->source.name);
    *is_summary = elsewhere > 0;
    return RC_OK;
}

enum rc_code dsr_find(const struct pq_file *file, const struct dsr_table *table,
                      const struct dsr_users *users, bool trust_statistics, struct dsr_found *out,
                      struct rc_error *err)
{
    struct finding finding = {
        .file = file,
        .table = table,
        .users = users,
        .options = { .trusts_statistics = trust_statistics },
        .out = out,
        .owned = RC_BUF_INIT(HITS_LIMIT),
    };
    size_t *columns;
    enum rc_code code;

    *out = (struct dsr_found){ .row_count = file->row_count };
    if (dsr_find_columns(file, table, &columns, err))
        return err->code;
    for (size_t i = 0; i < table->id_columns.len; i++)
        for (size_t k = 0; k < file->group_count; k++)
            out->id_bytes += file->groups[k].chunks[columns[i]].len;
    code = dsr_find_elsewhere(file, &out->is_summary, err);
    if (!code && !out->is_summary)
        code = table->id_separator && table->id_columns.len > 1 ? find_all(&finding, columns, err)
                                                                : find_any(&finding, columns, err);
    if (!code)
        conclude(&finding);
    rc_buf_clear(&finding.owned);
    free(columns);
    return code;
}

void dsr_found_clear(struct dsr_found *found)
{
    free(found->rows);
    free(found->users);
    *found = (struct dsr_found){ .rows = NULL };
}
