/*
 * Tables over files: which tables of the catalogue the folders of some locations take, and the
 * query over them that stands in for the table of the session.
 *
 * Folders that differ in their keys only share a table at what is common to them, partitioned by
 * the rest; where there are no more than two, or few among many, each has a table at that very
 * folder, with its keys as constants: the server need not look for partitions then. What else lies
 * below the common folder is left out by a condition.
 */
#include <sql/presto.h>
#include <sql/presto_folders.h>

#include <run-core/str.h>
#include <run-core/time.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    MOST_PARTS = 64,
    FEW_VALUES = 16,   /* each a part: servers carry out as many stages of a statement */
    FEW_COLUMNS = 200, /* of all of these parts together, see add_lines() */
    MANY_TIMES = 2,    /* as many folders as there are values that are asked for */
    LEAST_RUN = 3,     /* values in a row that are written as a range */
    URI_LIMIT = 64 * 1024,
};

/* Some folders that share a table: those from 'first' on, of one shape. */
struct part {
    size_t first, count;
    size_t folded;     /* keys that are the same for all of them */
    size_t restricted; /* keys behind those that a condition is needed for */
};

struct attachment {
    struct core_presto *session;
    const struct rc_sql_table *table;
    struct core_presto_folders folders;
    struct part parts[MOST_PARTS];
    size_t part_count;
    struct core_arena arena;
    struct core_presto_table *made; /* a name in the catalogue for each part */
};

static bool is_partition(const struct rc_sql_table *table, const char *name)
{
    for (size_t i = 0; i < table->partition_count; i++)
        if (strcasecmp(table->partitions[i].name, name) == 0)
            return true;
    return false;
}

/* ---- which tables --------------------------------------------------------------------------- */

static const struct core_presto_folder *folder_at(const struct attachment *work, size_t index)
{
    return &work->folders.items[index];
}

static bool is_same_base(const struct core_presto_folder *a, const struct core_presto_folder *b)
{
    return a->base_len == b->base_len && memcmp(a->uri, b->uri, a->base_len) == 0;
}

static bool is_same_shape(const struct core_presto_folder *a, const struct core_presto_folder *b)
{
    return is_same_base(a, b) && a->format == b->format && a->key_count == b->key_count &&
           memcmp(a->keys, b->keys, a->key_count) == 0;
}

/* How many keys from the first on both have the same values of. */
static size_t count_same(const struct core_presto_folder *a, const struct core_presto_folder *b)
{
    size_t same = 0;

    while (same < a->key_count &&
           core_presto_folder_len(a, same + 1) == core_presto_folder_len(b, same + 1) &&
           memcmp(a->uri, b->uri, core_presto_folder_len(a, same + 1)) == 0)
        same++;
    return same;
}

/* Behind the last of the folders that have the first 'keys' values of the one at 'from'. */
static size_t end_of_value(const struct attachment *work, size_t from, size_t end, size_t keys)
{
    size_t at = from + 1;

    while (at < end && count_same(folder_at(work, from), folder_at(work, at)) >= keys)
        at++;
    return at;
}

static enum rc_code add_part(struct attachment *work, size_t first, size_t count, size_t folded,
                             size_t restricted, struct rc_error *err)
{
    if (work->part_count == MOST_PARTS)
        return rc_fail(err, RC_UNSUPPORTED,
                       "the files lie in more than %d folders that cannot be the partitions of one "
                       "table, such as '%s': their keys stand at several depths, or have values "
                       "that the server does not know as those of folders",
                       MOST_PARTS, folder_at(work, first)->uri);
    work->parts[work->part_count++] = (struct part){
        .first = first,
        .count = count,
        .folded = folded,
        .restricted = restricted,
    };
    return RC_OK;
}

static bool are_plain(const struct attachment *work, size_t first, size_t end, size_t folded)
{
    for (size_t i = first; i < end; i++) {
        const struct core_presto_folder *folder = folder_at(work, i);

        for (size_t key = folded; key < folder->key_count; key++)
            if (!core_presto_key_is_plain(work->session->dialect,
                                          &work->table->partitions[folder->keys[key]],
                                          &folder->values[folder->keys[key]]))
                return false;
    }
    return true;
}

/* How many of the keys the locations say, and not only the folders below them. */
static size_t count_given(const struct attachment *work, size_t first, size_t end)
{
    size_t most = 0;

    for (size_t i = first; i < end; i++) {
        const struct core_presto_folder *folder = folder_at(work, i);
        size_t keys = folder->key_count;

        while (keys > most && core_presto_folder_len(folder, keys) > folder->given_len)
            keys--;
        most = keys;
    }
    return most;
}

/* Whether more folders than so many lie in there. A look that fails does not tell. */
static bool has_more_folders(const struct attachment *work, const char *place, size_t most)
{
    const struct rc_list_options shallow = { .shallow = true };
    struct rc_error ignored = RC_ERROR_INIT;
    struct rc_listing *listing = NULL;
    const struct rc_object *object = NULL;
    size_t found = 0;

    if (core_storage_list(&work->session->storage, place, &shallow, &listing, &ignored))
        return false;
    while (found <= most && !core_listing_next(listing, &object, &ignored) && object)
        found += object->is_prefix;
    core_listing_close(listing);
    return found > most;
}

/*
 * Whether each value of the key behind those that are the same is to have tables of its own. A
 * server that looks for partitions finds those of all values, also of those that nobody asks for.
 */
static bool is_better_apart(const struct attachment *work, size_t first, size_t end, size_t folded,
                            size_t restricted)
{
    const struct core_presto_folder *folder = folder_at(work, first);
    RC_STR_AUTO place = rc_strndup(folder->uri, core_presto_folder_len(folder, folded));
    size_t values = 0;

    for (size_t from = first; from < end; from = end_of_value(work, from, end, folded + 1))
        values++;
    if (values <= 2)
        return values == 2;
    /* A statement says all of its columns once for each table over JSON. */
    if (folder->format == CORE_FORMAT_JSON && values * work->table->column_count > FEW_COLUMNS)
        return false;
    return work->session->dialect->add_find_partitions && restricted > 0 && values <= FEW_VALUES &&
           work->part_count + values <= MOST_PARTS / 2 &&
           has_more_folders(work, place, MANY_TIMES * values);
}

/* Folders of one shape. 'shared': others that are not of it lie below the same base. */
static enum rc_code plan_shape(struct attachment *work, size_t first, size_t end, bool shared,
                               bool may_split, struct rc_error *err)
{
    const struct core_presto_folder *folder = folder_at(work, first);
    size_t folded = count_same(folder, folder_at(work, end - 1));
    size_t given = shared ? folder->key_count : count_given(work, first, end);
    size_t restricted = given > folded ? given - folded : 0;

    if (folded < folder->key_count && !are_plain(work, first, end, folded)) {
        for (size_t i = first; i < end; i++)
            if (add_part(work, i, 1, folder->key_count, 0, err))
                return err->code;
        return RC_OK;
    }
    if (!may_split || !is_better_apart(work, first, end, folded, restricted))
        return add_part(work, first, end - first, folded, restricted, err);
    for (size_t from = first, to; from < end; from = to) {
        to = end_of_value(work, from, end, folded + 1);
        if (plan_shape(work, from, to, shared, /* may_split = */ false, err))
            return err->code;
    }
    return RC_OK;
}

static enum rc_code plan(struct attachment *work, struct rc_error *err)
{
    for (size_t first = 0, end; first < work->folders.count; first = end) {
        const struct core_presto_folder *folder = folder_at(work, first);
        bool shared = first > 0 && is_same_base(folder, folder_at(work, first - 1));

        end = first + 1;
        while (end < work->folders.count && is_same_shape(folder, folder_at(work, end)))
            end++;
        shared =
            shared || (end < work->folders.count && is_same_base(folder, folder_at(work, end)));
        if (plan_shape(work, first, end, shared, /* may_split = */ true, err))
            return err->code;
    }
    return RC_OK;
}

/* ---- the tables ----------------------------------------------------------------------------- */

static struct rc_strs list_values(struct attachment *work, size_t first, size_t end, size_t key)
{
    return core_presto_key_list(&work->arena, folder_at(work, first), end - first,
                                folder_at(work, first)->keys[key]);
}

static enum rc_code create(struct attachment *work, const struct part *part,
                           const struct core_presto_name *name, struct rc_error *err)
{
    const struct rc_sql_table *table = work->table;
    const struct core_presto_folder *folder = folder_at(work, part->first);
    static const struct rc_sql_column line = { "line", "varchar" };
    struct rc_sql_column *columns =
        core_arena_alloc(&work->arena, table->column_count * sizeof(*columns));
    struct core_presto_partition keys[CORE_PRESTO_KEYS] = { { .name = NULL } };
    bool is_json = folder->format == CORE_FORMAT_JSON;
    size_t count = 0, key_count = folder->key_count - part->folded;
    RC_BUF_AUTO(there, URI_LIMIT);
    RC_STR_AUTO place = rc_strndup(folder->uri, core_presto_folder_len(folder, part->folded));

    for (size_t i = 0; i < table->column_count; i++)
        if (!is_partition(table, table->columns[i].name))
            columns[count++] = table->columns[i];
    for (size_t i = 0; i < key_count; i++)
        core_presto_key_describe(
            &table->partitions[folder->keys[part->folded + i]],
            list_values(work, part->first, part->first + part->count, part->folded + i), &keys[i]);
    if (core_presto_there(work->session, place, &there, err))
        return err->code;
    return core_presto_create(work->session, work->session->database, name->table,
                              &(struct core_presto_external){
                                  .table = name->ddl,
                                  .columns = is_json ? &line : columns,
                                  .column_count = is_json ? 1 : count,
                                  .partitions = keys,
                                  .partition_count = key_count,
                                  .location = there.data,
                                  .format = is_json ? "lines" : "parquet",
                              },
                              err);
}

static enum rc_code make_tables(struct attachment *work, struct rc_error *err)
{
    struct core_presto_table *made = work->made;

    if (work->part_count > 0 && core_presto_begin_work(work->session, err))
        return err->code;
    made->names = rc_calloc(work->part_count + 1, sizeof(*made->names));
    for (size_t i = 0; i < work->part_count; i++) {
        struct core_presto_name *name = &made->names[made->name_count++];

        core_presto_new_name(work->session, work->table->name, name);
        rc_str_free(&name->folder); /* the files are not ours */
        rc_str_free(&name->there);
        if (create(work, &work->parts[i], name, err))
            return err->code;
    }
    return RC_OK;
}

/* ---- the query over them -------------------------------------------------------------------- */

/* Whether the values are numbers or days without a gap, so that a range is all that is needed. */
static bool is_run(const struct core_presto_partition *key)
{
    return key->range != CORE_PARTITION_VALUES && key->values.len >= LEAST_RUN &&
           (uint64_t)key->greatest - (uint64_t)key->least == key->values.len - 1;
}

/* "key" IN (...), of all folders from 'first' to 'end'. */
static void add_choice(struct attachment *work, struct rc_buf *out, size_t first, size_t end,
                       size_t key)
{
    const struct core_presto_folder *folder = folder_at(work, first);
    size_t partition = folder->keys[key];
    const struct rc_sql_column *column = &work->table->partitions[partition];
    struct core_presto_partition found = { .name = NULL };
    bool has_null = false;

    for (size_t i = first; i < end; i++)
        has_null = has_null ||
                   !core_presto_key_decode(&work->arena, &folder_at(work, i)->values[partition]);
    core_presto_key_describe(column, list_values(work, first, end, key), &found);
    if (has_null) {
        rc_buf_addc(out, '(');
        rc_buf_add_ident(out, column->name);
        rc_buf_addf(out, " IS NULL%s", found.values.len ? " OR " : "");
    }
    if (found.values.len)
        rc_buf_add_ident(out, column->name);
    if (found.values.len == 1) {
        rc_buf_adds(out, " = ");
        core_presto_key_add(work->session->dialect, out, column, found.values.items[0]);
    } else if (strcasecmp(column->type, "varchar") != 0 && is_run(&found)) {
        /* Texts of other folders may stand between two days. */
        char least[RC_DAY_TEXT], greatest[RC_DAY_TEXT];

        if (found.range == CORE_PARTITION_DAYS)
            rc_buf_addf(out, " BETWEEN DATE '%s' AND DATE '%s'",
                        rc_format_day((int32_t)found.least, least),
                        rc_format_day((int32_t)found.greatest, greatest));
        else
            rc_buf_addf(out, " BETWEEN %" PRId64 " AND %" PRId64, found.least, found.greatest);
    } else if (found.values.len > 1) {
        rc_buf_adds(out, " IN (");
        for (size_t i = 0; i < found.values.len; i++) {
            rc_buf_adds(out, i ? ", " : "");
            core_presto_key_add(work->session->dialect, out, column, found.values.items[i]);
        }
        rc_buf_addc(out, ')');
    }
    if (has_null)
        rc_buf_addc(out, ')');
}

/* The condition for the keys from 'key' to 'last' of some folders. */
static void add_condition(struct attachment *work, struct rc_buf *out, size_t first, size_t end,
                          size_t key, size_t last)
{
    bool several = key < last && end_of_value(work, first, end, key + 1) < end;

    if (key == last) {
        add_choice(work, out, first, end, key);
        return;
    }
    rc_buf_adds(out, several ? "(" : "");
    for (size_t from = first, to; from < end; from = to) {
        to = end_of_value(work, from, end, key + 1);
        rc_buf_adds(out, from > first ? " OR " : "");
        rc_buf_adds(out, several ? "(" : "");
        add_choice(work, out, from, to, key);
        rc_buf_adds(out, " AND ");
        add_condition(work, out, from, to, key + 1, last);
        rc_buf_adds(out, several ? ")" : "");
    }
    rc_buf_adds(out, several ? ")" : "");
}

static void add_constant(struct attachment *work, struct rc_buf *out,
                         const struct rc_sql_column *column, const char *text)
{
    bool is_text = text && strcasecmp(column->type, "varchar") == 0;

    rc_buf_adds(out, is_text ? "CAST(" : "");
    core_presto_key_add(work->session->dialect, out, column, text);
    rc_buf_adds(out, is_text ? " AS varchar)" : "");
}

/*
 * A column of JSON lines as what it is declared: what cannot be that ends the statement, as it does
 * where the server knows the column.
 */
static void add_typed(struct attachment *work, struct rc_buf *out, size_t index)
{
    const char *type = work->table->columns[index].type;
    RC_STR_AUTO text = rc_strf("\"c%zu\"", index);

    if (strcasecmp(type, "varchar") == 0) {
        rc_buf_adds(out, text);
        return;
    }
    rc_buf_adds(out, "coalesce(");
    core_presto_add_try_cast(&work->session->base, out, text, type);
    rc_buf_addf(out, ", CAST(%s AS ", text);
    (void)core_presto_add_type(work->session->dialect, out, type);
    rc_buf_adds(out, "))");
}

/*
 * The columns of a part as those of the table: the keys that are the same for all its files are
 * constants.
 */
static void add_columns(struct attachment *work, struct rc_buf *out, const struct part *part,
                        bool paths)
{
    const struct rc_sql_table *table = work->table;
    const struct core_presto_folder *folder = folder_at(work, part->first);
    bool is_json = folder->format == CORE_FORMAT_JSON;
    const char *separator = "";

    for (size_t i = 0; i < table->column_count; i++) {
        if (is_partition(table, table->columns[i].name))
            continue;
        rc_buf_adds(out, separator);
        if (is_json)
            add_typed(work, out, i);
        rc_buf_adds(out, is_json ? " AS " : "");
        rc_buf_add_ident(out, table->columns[i].name);
        separator = ", ";
    }
    for (size_t i = 0; i < table->partition_count; i++) {
        const unsigned char *own = folder->keys + part->folded;
        bool is_own = memchr(own, (int)i, folder->key_count - part->folded) != NULL;

        rc_buf_adds(out, separator);
        if (!is_own) {
            add_constant(work, out, &table->partitions[i],
                         core_presto_key_decode(&work->arena, &folder->values[i]));
            rc_buf_adds(out, " AS ");
        } else if (is_json) {
            rc_buf_addf(out, "\"k%zu\" AS ", i);
        }
        rc_buf_add_ident(out, table->partitions[i].name);
        separator = ", ";
    }
    if (paths)
        rc_buf_adds(out, is_json ? ", \"p\" AS \"$path\"" : ", \"$path\"");
}

/* Lines of JSON, taken apart: "c0", ... are texts. A broken one ends the statement. */
static void add_lines(struct attachment *work, struct rc_buf *out, const struct part *part,
                      const char *from, const char *condition)
{
    const struct rc_sql_table *table = work->table;
    const struct core_presto_folder *folder = folder_at(work, part->first);

    rc_buf_adds(out, "(SELECT ");
    for (size_t i = 0; i < table->column_count; i++) {
        RC_STR_AUTO path = rc_strf("$.\"%s\"", table->columns[i].name);

        core_presto_add_json_text(&work->session->base, out, "\"line\"", path);
        rc_buf_addf(out, " AS \"c%zu\", ", i);
    }
    for (size_t key = part->folded; key < folder->key_count; key++) {
        rc_buf_add_ident(out, table->partitions[folder->keys[key]].name);
        rc_buf_addf(out, " AS \"k%d\", ", folder->keys[key]);
    }
    rc_buf_addf(out,
                "\"$path\" AS \"p\" FROM %s WHERE %s%sCASE WHEN regexp_like(\"line\", '\\S') THEN "
                "CASE WHEN ",
                from, condition, *condition ? " AND " : "");
    core_presto_add_json_valid(&work->session->base, out, "\"line\"");
    rc_buf_adds(out, " THEN TRUE ELSE CAST(fail('Cannot convert value to JSON') AS boolean) END "
                     "ELSE FALSE END)");
}

static size_t count_components(const char *uri)
{
    size_t count = 0;

    for (size_t len; *uri; uri += len + (uri[len] == '/')) {
        len = strcspn(uri, "/");
        count += len > 0;
    }
    return count;
}

/* Whether files of another part lie in folders within those of this one. */
static bool has_nested(const struct attachment *work, const struct part *part)
{
    const struct core_presto_folder *own = folder_at(work, part->first);
    size_t len = core_presto_folder_len(own, part->folded);
    size_t depth = count_components(own->uri);

    for (size_t i = 0; i < work->folders.count; i++) {
        const struct core_presto_folder *folder = folder_at(work, i);
        bool is_own = i >= part->first && i < part->first + part->count;

        if (!is_own && strncmp(folder->uri, own->uri, len) == 0 &&
            count_components(folder->uri) > depth)
            return true;
    }
    return false;
}

/*
 * That a file lies right in a folder of the part. Servers may be set up to read folders within,
 * and then would give the rows of those twice; all folders of a part have the same depth.
 */
static enum rc_code add_depth(struct attachment *work, struct rc_buf *out, const struct part *part,
                              struct rc_error *err)
{
    RC_BUF_AUTO(there, URI_LIMIT);

    if (core_presto_there(work->session, folder_at(work, part->first)->uri, &there, err))
        return err->code;
    rc_buf_addf(out, "%scardinality(filter(split(\"$path\", '/'), part -> part <> '')) = %zu",
                out->len ? " AND " : "", count_components(there.data) + 1);
    return RC_OK;
}

static enum rc_code add_part_query(struct attachment *work, struct rc_buf *out, size_t index,
                                   bool paths, struct rc_error *err)
{
    const struct part *part = &work->parts[index];
    const char *from = work->made->names[index].from;
    RC_BUF_AUTO(condition, CORE_PRESTO_STATEMENT_LIMIT);

    if (part->restricted > 0)
        add_condition(work, &condition, part->first, part->first + part->count, part->folded,
                      part->folded + part->restricted - 1);
    if (has_nested(work, part) && add_depth(work, &condition, part, err))
        return err->code;
    out->overflow = out->overflow || condition.overflow;
    rc_buf_adds(out, "SELECT ");
    add_columns(work, out, part, paths);
    rc_buf_adds(out, " FROM ");
    if (folder_at(work, part->first)->format == CORE_FORMAT_JSON)
        add_lines(work, out, part, from, condition.data);
    else
        rc_buf_addf(out, "%s%s%s", from, condition.len ? " WHERE " : "", condition.data);
    return RC_OK;
}

/* The columns with no rows. */
static void add_empty(struct attachment *work, struct rc_buf *out, bool paths)
{
    const struct rc_sql_table *table = work->table;
    const char *separator = "";

    rc_buf_adds(out, "SELECT ");
    for (size_t i = 0; i < table->column_count + table->partition_count; i++) {
        bool is_key = i >= table->column_count;
        const struct rc_sql_column *column =
            is_key ? &table->partitions[i - table->column_count] : &table->columns[i];

        if (!is_key && is_partition(table, column->name))
            continue;
        rc_buf_adds(out, separator);
        add_constant(work, out, column, NULL);
        rc_buf_adds(out, " AS ");
        rc_buf_add_ident(out, column->name);
        separator = ", ";
    }
    rc_buf_addf(out, "%s WHERE FALSE", paths ? ", CAST(NULL AS varchar) AS \"$path\"" : "");
}

/* Whether the only table is just what was asked for. */
static bool is_direct(const struct attachment *work)
{
    const struct core_presto_folder *folder = folder_at(work, work->parts[0].first);

    if (work->part_count != 1 || work->parts[0].restricted > 0 ||
        folder->format == CORE_FORMAT_JSON ||
        folder->key_count - work->parts[0].folded != work->table->partition_count)
        return false;
    for (size_t i = 0; i < folder->key_count; i++)
        if (folder->keys[i] != i)
            return false;
    return true;
}

static enum rc_code write_from(struct attachment *work, bool paths, char **out,
                               struct rc_error *err)
{
    RC_BUF_AUTO(text, CORE_PRESTO_STATEMENT_LIMIT);

    if (work->part_count > 0 && is_direct(work)) {
        *out = rc_strdup(work->made->names[0].from);
        return RC_OK;
    }
    rc_buf_addc(&text, '(');
    if (work->part_count == 0)
        add_empty(work, &text, paths);
    for (size_t i = 0; i < work->part_count; i++) {
        rc_buf_adds(&text, i ? " UNION ALL " : "");
        if (add_part_query(work, &text, i, paths, err))
            return err->code;
    }
    rc_buf_addc(&text, ')');
    if (rc_buf_check(&text, err))
        return err->code;
    *out = rc_buf_take(&text);
    return RC_OK;
}

/* ---- the verb ------------------------------------------------------------------------------- */

enum rc_code core_presto_check_table(const struct core_presto *session,
                                     const struct rc_sql_table *table, struct rc_error *err)
{
    RC_BUF_AUTO(ignored, 256);
    RC_BUF_AUTO(there, URI_LIMIT);
    enum core_format format = CORE_FORMAT_PARQUET;

    if (!table->name || !*table->name)
        return rc_fail(err, RC_INVALID, "an external table needs a name");
    if (table->column_count == 0)
        return rc_fail(err, RC_INVALID, "this engine needs to be told the columns of a table");
    if (table->format && core_format_find(table->format, "", &format, err))
        return err->code;
    if (format == CORE_FORMAT_CSV)
        return rc_fail(err, RC_UNSUPPORTED, "CSV is read by the embedded engine only");
    if (table->partition_count > CORE_PRESTO_KEYS)
        return rc_fail(err, RC_UNSUPPORTED, "at most %d partition columns are supported, not %zu",
                       CORE_PRESTO_KEYS, table->partition_count);
    for (size_t i = 0; i < table->column_count + table->partition_count; i++) {
        const struct rc_sql_column *column = i < table->column_count
                                                 ? &table->columns[i]
                                                 : &table->partitions[i - table->column_count];
        if (!core_presto_add_type(session->dialect, &ignored, column->type))
            return rc_fail(err, RC_INVALID,
                           "column '%s' has the type '%s'; known are varchar, bigint, integer, "
                           "double, boolean, date, timestamp and decimal(p,s)",
                           column->name, column->type);
        rc_buf_reset(&ignored);
    }
    for (size_t i = 0; i < table->location_count; i++) {
        rc_buf_reset(&there);
        if (core_presto_there(session, table->locations[i], &there, err))
            return err->code;
        if (!rc_str_ends(table->locations[i], "/"))
            return rc_fail(err, RC_UNSUPPORTED,
                           "'%s' is a single object; this engine reads folders, whose URIs end "
                           "with '/'",
                           table->locations[i]);
    }
    return RC_OK;
}

/* By which the places of files that the server names are the caller's again. */
static enum rc_code note_locations(struct attachment *work, struct rc_error *err)
{
    struct core_presto_table *made = work->made;

    made->locations = rc_calloc(work->table->location_count + 1, sizeof(*made->locations));
    for (size_t i = 0; i < work->table->location_count; i++) {
        struct core_presto_location *location = &made->locations[made->location_count];
        RC_BUF_AUTO(there, URI_LIMIT);

        if (core_presto_there(work->session, work->table->locations[i], &there, err))
            return err->code;
        location->given = rc_strdup(work->table->locations[i]);
        location->there = rc_buf_take(&there);
        made->location_count++;
    }
    return RC_OK;
}

static enum rc_code attach(struct attachment *work, struct rc_error *err)
{
    const struct core_presto_dialect *dialect = work->session->dialect;

    if (core_presto_check_table(work->session, work->table, err) || note_locations(work, err) ||
        core_presto_list_folders(&work->session->storage, work->table, dialect->reads_nested,
                                 &work->folders, err) ||
        plan(work, err) || make_tables(work, err) ||
        write_from(work, /* paths = */ false, &work->made->from, err))
        return err->code;
    return write_from(work, /* paths = */ true, &work->made->from_paths, err);
}

enum rc_code core_presto_attach(struct rc_sql *sql, const struct rc_sql_table *table,
                                struct rc_error *err)
{
    struct core_presto *session = (struct core_presto *)sql;
    struct attachment work = { .session = session, .table = table, .arena = CORE_ARENA_INIT };
    enum rc_code code = core_presto_begin(session, err);

    if (code)
        return code;
    work.made = rc_calloc(1, sizeof(*work.made));
    work.made->name = rc_strdup(table->name ? table->name : "");
    code = attach(&work, err);
    if (code)
        core_presto_discard(session, work.made);
    else
        core_presto_keep(session, work.made);
    core_presto_folders_clear(&work.folders);
    core_arena_clear(&work.arena);
    core_presto_done(session);
    return code ? rc_context(err, "attach table '%s'", table->name ? table->name : "") : RC_OK;
}
