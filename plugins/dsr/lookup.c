/*
 * Reads the footers of all objects first: they tell how many rows there are to be seen, and as what
 * the engine has to read the columns of the ids. It is asked about the objects of one kind of
 * columns, that of most of them.
 */
#include "lookup.h"

#include <run-core/host.h>
#include <run-core/time.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* An object before the engine is asked. */
struct footer {
    char *kind;      /* a letter for each column of the ids; NULL: it is not asked about */
    const char *why; /* it is not, of data that has rows and can be read */
    int64_t row_count;
};

struct looking {
    const struct dsr_lookup *lookup;
    const struct dsr_table *table;
    struct footer *footers;
    struct dsr_looked_up *out;

    const char *kind; /* that is asked about */
    char **folders;
    const char **except;
    size_t folder_count, except_count;
};

#define DAY_KEY "day"

/* ---- footers -------------------------------------------------------------------------------- */

/* The kinds of columns whose values the engine compares as the plugin does. */
static const struct {
    char letter;
    const char *type;
} kinds[] = { { 't', "varchar" }, { 'i', "integer" }, { 'l', "bigint" } };

static const char *type_of(char letter)
{
    size_t i = 0;

    while (i < RC_ARRAY_LEN(kinds) - 1 && kinds[i].letter != letter)
        i++;
    return kinds[i].type;
}

/* A name that means the same column to everybody, whatever they make of letters and quotes. */
static bool is_plain(const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";

    return *name && name[strspn(name, allowed)] == '\0' && strcasecmp(name, DAY_KEY) != 0;
}

/* Two columns whose names differ by case alone are one to an engine, or keep it from the file. */
static bool has_twins(const struct pq_file *file)
{
    for (size_t i = 0; i < file->column_count; i++)
        for (size_t k = 0; k < i; k++)
            if (strcasecmp(file->columns[i].names[0], file->columns[k].names[0]) == 0 &&
                strcmp(file->columns[i].names[0], file->columns[k].names[0]) != 0)
                return true;
    return false;
}

/* Codecs that came late, or never became usual. */
static bool has_rare_codec(const struct pq_file *file)
{
    for (size_t i = 0; i < file->group_count; i++)
        for (size_t k = 0; k < file->column_count; k++) {
            enum pq_codec codec = file->groups[i].chunks[k].codec;

            if (codec == PQ_LZO || codec == PQ_BROTLI || codec == PQ_LZ4_RAW)
                return true;
        }
    return false;
}

/* NULL; else why the engine is not asked about such a file, whatever its ids are. */
static const char *judge_file(const struct pq_file *file)
{
    if (file->is_encrypted)
        return "it is encrypted in part";
    if (has_twins(file))
        return "it has columns whose names differ by case alone";
    if (has_rare_codec(file))
        return "it has a codec that not every SQL engine reads";
    return NULL;
}

/* NULL, with the column's letter; else why the engine is not asked. */
static const char *judge_column(const struct pq_column *column, char *letter)
{
    if (column->depth > 1)
        return "a column of the ids is within a struct";
    if (!is_plain(column->names[0]))
        return "the name of a column of the ids may mean another one to an SQL engine";
    if (column->meaning == PQ_MEANS_BYTES && column->type == PQ_BYTE_ARRAY)
        *letter = 't';
    else if (column->meaning == PQ_MEANS_INTEGER && column->is_signed && column->type == PQ_INT32)
        *letter = 'i';
    else if (column->meaning == PQ_MEANS_INTEGER && column->is_signed && column->type == PQ_INT64)
        *letter = 'l';
    else
        return "a column of the ids is neither text nor an integer with a sign";
    return NULL;
}

static enum rc_code judge_columns(const struct pq_file *file, const struct dsr_table *table,
                                  struct footer *out, struct rc_error *err)
{
    RC_STR_AUTO kind = rc_calloc(table->id_columns.len + 1, 1);
    size_t *columns;

    if (dsr_find_columns(file, table, &columns, err))
        return err->code;
    out->why = judge_file(file);
    for (size_t i = 0; i < table->id_columns.len && !out->why; i++)
        out->why = judge_column(&file->columns[columns[i]], &kind[i]);
    free(columns);
    if (!out->why) {
        out->kind = kind;
        kind = NULL;
    }
    return RC_OK;
}

static enum rc_code read_footer(const struct looking *looking, struct dsr_reader *reader,
                                struct footer *out, struct rc_error *err)
{
    struct pq_file file;
    bool is_summary;
    enum rc_code code = pq_file_open(&file, dsr_reader_source(reader), DSR_FOOTER_LIMIT, err);

    if (code)
        return code;
    code = dsr_find_elsewhere(&file, &is_summary, err);
    if (!code && !is_summary) {
        out->row_count = file.row_count;
        code = judge_columns(&file, looking->table, out, err);
    }
    pq_file_close(&file);
    return code;
}

/* What is wrong with an object that cannot be read, who searches it tells. */
static enum rc_code look_at(struct rc_job *job, void *context, size_t index, struct rc_error *err)
{
    struct looking *looking = context;
    const struct dsr_object *object = &looking->lookup->objects->items[index];
    struct footer *footer = &looking->footers[index];
    struct rc_error ignored = RC_ERROR_INIT;
    struct dsr_reader *reader;
    bool is_data;

    if (!dsr_reader_open(job, object->uri, &object->stat, NULL, &reader, &ignored)) {
        if (!dsr_reader_is_data(reader, &is_data, &ignored) && is_data &&
            read_footer(looking, reader, footer, &ignored))
            *footer = (struct footer){ .kind = NULL };
        dsr_reader_close(reader);
    }
    return rc_job_check(job, err);
}

/* ---- what is asked -------------------------------------------------------------------------- */

/* Two names of the configuration that differ by case alone would be one column. */
static bool has_name_twice(const struct rc_strs *names)
{
    for (size_t i = 0; i < names->len; i++)
        for (size_t k = 0; k < i; k++)
            if (strcasecmp(names->items[i], names->items[k]) == 0 &&
                strcmp(names->items[i], names->items[k]) != 0)
                return true;
    return false;
}

/* The length of the letter that the bytes begin with; 0: there is none, as UTF-8 has them. */
static uint32_t letter_len(struct pq_slice text)
{
    static const struct {
        uint8_t mask, head;
        uint32_t least;
    } forms[] = {
        { 0x80, 0x00, 0 }, { 0xe0, 0xc0, 0x80 }, { 0xf0, 0xe0, 0x800 }, { 0xf8, 0xf0, 0x10000 }
    };
    uint32_t letter;

    for (uint32_t more = 0; more < RC_ARRAY_LEN(forms) && more < text.len; more++) {
        if ((text.data[0] & forms[more].mask) != forms[more].head)
            continue;
        letter = text.data[0] & (uint8_t)~forms[more].mask;
        for (uint32_t i = 1; i <= more; i++) {
            if ((text.data[i] & 0xc0) != 0x80)
                return 0;
            letter = letter << 6 | (text.data[i] & 0x3fu);
        }
        return letter >= forms[more].least && letter <= 0x10ffff && letter >> 11 != 0x1b ? more + 1
                                                                                         : 0;
    }
    return 0;
}

/* An engine may read bytes that are no text as other ones. */
static bool has_id_that_is_no_text(const struct dsr_users *users)
{
    for (size_t i = 0; i < dsr_users_count(users); i++) {
        struct pq_slice rest = dsr_users_at(users, i);

        for (uint32_t len; rest.len > 0; rest.data += len, rest.len -= len)
            if ((len = letter_len(rest)) == 0)
                return true;
    }
    return false;
}

/* NULL; else why the engine is asked about none of the files. */
static const char *judge_question(const struct looking *looking)
{
    const struct dsr_table *table = looking->table;

    if (has_name_twice(&table->id_columns))
        return "the columns of the ids differ by case alone";
    if (table->id_separator && table->id_separator[0] == '\0')
        return "userIdSeparator is empty, so that a letter may be cut in two";
    if (has_id_that_is_no_text(looking->lookup->users))
        return "an id among those of the shard is not UTF-8";
    return NULL;
}

/* Of most objects; of as many, the first. */
static void choose_kind(struct looking *looking)
{
    size_t count = looking->lookup->objects->count, most = 0;

    for (size_t i = 0; i < count; i++) {
        const char *kind = looking->footers[i].kind;
        size_t alike = 0;

        if (!kind || (looking->kind && strcmp(kind, looking->kind) == 0))
            continue;
        for (size_t k = i; k < count; k++)
            alike += looking->footers[k].kind && strcmp(looking->footers[k].kind, kind) == 0;
        if (alike > most) {
            most = alike;
            looking->kind = kind;
        }
    }
}

/* An object without rows needs nobody to search it. */
static void sort_out(struct looking *looking)
{
    const char *why = judge_question(looking);

    for (size_t i = 0; i < looking->lookup->objects->count; i++) {
        struct footer *footer = &looking->footers[i];

        if (footer->kind && strcmp(footer->kind, looking->kind) != 0)
            footer->why = "its columns of the ids are of another type than those of most files";
        if (footer->kind && why)
            footer->why = why;
        looking->out->items[i].row_count = footer->row_count;
        looking->out->items[i].is_judged = (footer->kind || footer->why) && footer->row_count == 0;
    }
}

static bool is_asked(const struct looking *looking, size_t index)
{
    const struct footer *footer = &looking->footers[index];

    return footer->kind && !footer->why && footer->row_count > 0;
}

/* The folders of days that have something to search, and what else is in them. */
static void gather(struct looking *looking)
{
    const struct dsr_lookup *lookup = looking->lookup;
    const struct dsr_objects *objects = lookup->objects;
    RC_STR_AUTO shard = dsr_place_shard(lookup->places->tables[lookup->table], lookup->shard);

    looking->folders = rc_calloc(objects->count + 1, sizeof(*looking->folders));
    looking->except = rc_calloc(objects->count + 1, sizeof(*looking->except));
    for (size_t first = 0, end; first < objects->count; first = end) {
        int32_t day = objects->items[first].day;
        size_t asked = 0;

        for (end = first; end < objects->count && objects->items[end].day == day; end++)
            asked += is_asked(looking, end);
        for (size_t i = first; asked > 0 && i < end; i++)
            if (!is_asked(looking, i))
                looking->except[looking->except_count++] = objects->items[i].uri;
        if (asked > 0) {
            char text[RC_DAY_TEXT];

            looking->folders[looking->folder_count++] =
                rc_strf("%s" DAY_KEY "=%s/", shard, rc_format_day(day, text));
        }
    }
}

/* ---- what is answered ----------------------------------------------------------------------- */

static int compare_uri(const void *uri, const void *object)
{
    return strcmp(uri, ((const struct dsr_object *)object)->uri);
}

/* An object that was not listed has come meanwhile. */
static void note_later(struct dsr_looked_up *out, const char *uri, int64_t users_rows)
{
    out->later_rows += users_rows;
    if (users_rows > 0 && !out->later)
        out->later = rc_strdup(uri);
}

static void note(void *context, const char *uri, int64_t rows, int64_t users_rows)
{
    struct looking *looking = context;
    const struct dsr_objects *objects = looking->lookup->objects;
    const struct dsr_object *object =
        bsearch(uri, objects->items, objects->count, sizeof(*objects->items), compare_uri);
    size_t index;

    if (!object) {
        note_later(looking->out, uri, users_rows);
        return;
    }
    index = (size_t)(object - objects->items);
    if (is_asked(looking, index) && rows == looking->footers[index].row_count) {
        looking->out->items[index].is_judged = true;
        looking->out->items[index].rows = users_rows;
    }
}

static enum rc_code ask(struct rc_job *job, struct looking *looking, struct rc_error *err)
{
    const struct dsr_lookup *lookup = looking->lookup;
    size_t id_count = looking->table->id_columns.len;
    struct rc_sql_column *ids = rc_calloc(id_count, sizeof(*ids));
    const struct dsr_engine_lake lake = {
        .folders = (const char *const *)looking->folders,
        .folder_count = looking->folder_count,
        .ids = ids,
        .id_count = id_count,
        .separator = looking->table->id_separator,
        .except = looking->except,
        .except_count = looking->except_count,
    };
    RC_CLEANUP(dsr_engines_drop) struct dsr_engine *engine = NULL;
    enum rc_code code;

    for (size_t i = 0; i < id_count; i++)
        ids[i] = (struct rc_sql_column){ looking->table->id_columns.items[i],
                                         type_of(looking->kind[i]) };
    code = dsr_engines_borrow(job, lookup->engines, lookup->users, &engine, err);
    if (!code)
        code = dsr_engine_search(engine, &lake, note, looking, err);
    free(ids);
    return code;
}

/* ---- what is left --------------------------------------------------------------------------- */

/* Nothing that was said counts: what cannot be read may be any of them. */
static void withdraw(struct looking *looking)
{
    for (size_t i = 0; i < looking->lookup->objects->count; i++)
        if (is_asked(looking, i))
            looking->out->items[i] = (struct dsr_looked){ .is_judged = false };
    free(looking->out->later);
    looking->out->later = NULL;
    looking->out->later_rows = 0;
}

/* 'cannot': why the engine read none of them; NULL: it has read what it was asked about. */
static void tell_unseen(struct rc_job *job, struct looking *looking, const char *cannot)
{
    const struct dsr_lookup *lookup = looking->lookup;
    const char *first = NULL, *why = NULL;
    size_t count = 0;

    for (size_t i = 0; i < lookup->objects->count; i++) {
        if (looking->out->items[i].is_judged || (!looking->footers[i].why && !is_asked(looking, i)))
            continue;
        if (count++ == 0) {
            first = lookup->objects->items[i].uri;
            why = looking->footers[i].why;
        }
    }
    looking->out->unseen = count;
    if (count == 0)
        return;
    if (!why)
        why = cannot ? cannot : "the engine passes over it, or has seen another number of rows";
    if (dsr_engines_first_of(lookup->engines, lookup->table))
        rc_warn(job,
                "table '%s': the SQL engine is no judge of %zu files of shard %d, such as '%s', "
                "the plugin's own reader has to do: %s; what there is of this in other shards is "
                "counted only",
                looking->table->name, count, (int)lookup->shard, first, why);
    else
        rc_info(job, "table '%s': the SQL engine is no judge of %zu files of shard %d: %s",
                looking->table->name, count, (int)lookup->shard, why);
}

static enum rc_code look(struct rc_job *job, struct looking *looking, struct rc_error *err)
{
    const struct dsr_lookup *lookup = looking->lookup;
    struct rc_error cannot = RC_ERROR_INIT;

    if (rc_parallel(job, lookup->width, lookup->objects->count, look_at, looking, err))
        return rc_context(err, "look at the footers");
    choose_kind(looking);
    sort_out(looking);
    gather(looking);
    if (looking->folder_count > 0 && ask(job, looking, &cannot)) {
        if (cannot.code != RC_UNSUPPORTED) {
            *err = cannot;
            return err->code;
        }
        withdraw(looking);
    }
    RC_STR_AUTO why = rc_strf("%s%s%s", cannot.context, *cannot.context ? ": " : "", cannot.cause);
    tell_unseen(job, looking, cannot.code ? why : NULL);
    return RC_OK;
}

enum rc_code dsr_lookup(struct rc_job *job, const struct dsr_lookup *lookup,
                        struct dsr_looked_up *out, struct rc_error *err)
{
    struct looking looking = {
        .lookup = lookup,
        .table = RC_OBJECT_AT(struct dsr_table, lookup->config->tables, lookup->table),
        .out = out,
    };
    size_t count = lookup->objects->count;
    enum rc_code code;

    *out = (struct dsr_looked_up){ .items = NULL };
    if (!lookup->engines || dsr_engines_read_files(lookup->engines) || count == 0)
        return RC_OK;
    out->items = rc_calloc(count, sizeof(*out->items));
    looking.footers = rc_calloc(count, sizeof(*looking.footers));
    code = look(job, &looking, err);
    for (size_t i = 0; i < count; i++)
        free(looking.footers[i].kind);
    for (size_t i = 0; i < looking.folder_count; i++)
        free(looking.folders[i]);
    free(looking.footers);
    free(looking.folders);
    free(looking.except);
    if (code)
        dsr_looked_clear(out);
    return code;
}

void dsr_looked_clear(struct dsr_looked_up *looked)
{
    free(looked->items);
    free(looked->later);
    *looked = (struct dsr_looked_up){ .items = NULL };
}

int64_t dsr_looked_rows(const struct dsr_looked_up *looked, size_t index)
{
    return looked->items && looked->items[index].is_judged ? looked->items[index].rows
                                                           : DSR_NOT_TOLD;
}

enum rc_code dsr_looked_agree(int64_t told, size_t found, struct rc_error *err)
{
    if (told == DSR_NOT_TOLD || told == (int64_t)found)
        return RC_OK;
    return rc_fail(err, RC_FAILED,
                   "%lld rows of it are the users' to the SQL engine, and %zu to the plugin's own "
                   "reader: one of the two is wrong, and nothing is erased",
                   (long long)told, found);
}
