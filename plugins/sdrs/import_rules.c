/*
 * The action 'import-rules': takes over the rules of the older system, of which its table
 * retention_rule is given as CSV. All of them, or none.
 */
#include "csv.h"
#include "run.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    READ_BYTES = 64 << 10,
    URI_BYTES = 8192,
    LINES_SHOWN = 20, /* of those that are wrong */
};

/* The columns that are looked at, by the names that they have in the table. */
enum column {
    ID,
    TYPE,
    PROJECT,
    STORAGE,
    DATASET,
    PERIOD,
    VERSION,
    ACTIVE,
    USER,
    CREATED,
    UPDATED,
    COLUMNS
};

static const struct {
    const char *name;
    bool is_required;
} columns[COLUMNS] = {
    [ID] = { "id", false },
    [TYPE] = { "type", true },
    [PROJECT] = { "project_id", true },
    [STORAGE] = { "data_storage_name", true },
    [DATASET] = { "dataset_name", false },
    [PERIOD] = { "retention_value", true },
    [VERSION] = { "version", false },
    [ACTIVE] = { "is_active", false },
    [USER] = { "user", false },
    [CREATED] = { "created_at", false },
    [UPDATED] = { "updated_at", false },
};

struct line {
    size_t number;
    struct sdrs_rule rule;
};

struct import {
    struct rc_job *job;
    const struct sdrs_config *config;
    struct sdrs_state state;
    size_t places[COLUMNS]; /* from 1; 0: there is no such column */
    size_t width;           /* 0 until the names are read */
    struct line *lines;
    size_t count;
    size_t wrong;
    struct rc_error first; /* what is wrong with the first of them */
    size_t outcomes[SDRS_IMPORTS];
};

/* ---- reading --------------------------------------------------------------------------------- */

static enum rc_code read_names(struct import *import, const struct rc_strs *names,
                               struct rc_error *err)
{
    for (size_t i = 0; i < names->len; i++)
        for (size_t k = 0; k < COLUMNS; k++) {
            if (!rc_str_eq(names->items[i], columns[k].name))
                continue;
            if (import->places[k] > 0)
                return rc_fail(err, RC_INVALID, "the column '%s' is there twice", columns[k].name);
            import->places[k] = i + 1;
        }
    for (size_t k = 0; k < COLUMNS; k++)
        if (columns[k].is_required && import->places[k] == 0)
            return rc_fail(
                err, RC_INVALID,
                "there is no column '%s': the first line has the names of the columns of "
                "the table retention_rule",
                columns[k].name);
    import->width = names->len;
    return RC_OK;
}

/* NULL: the column is not there, or says nothing, in one of the ways that MySQL has for it. */
static const char *cell(const struct import *import, const struct rc_strs *fields,
                        enum column column)
{
    size_t place = import->places[column];
    const char *text = place > 0 ? fields->items[place - 1] : "";

    return text[0] == '\0' || rc_str_eq(text, "\\N") || rc_str_eq(text, "NULL") ? NULL : text;
}

static enum rc_code fail_cell(enum column column, const char *text, const char *form,
                              struct rc_error *err)
{
    return rc_fail(err, RC_INVALID, "%s has '%s', which is not %s", columns[column].name, text,
                   form);
}

static enum rc_code read_number(const struct import *import, const struct rc_strs *fields,
                                enum column column, int64_t *out, struct rc_error *err)
{
    const char *text = cell(import, fields, column);

    *out = 0;
    if (text && (!rc_parse_int(text, out) || *out < 0))
        return fail_cell(column, text, "a number", err);
    return RC_OK;
}

/* As MySQL writes it, "2019-03-10 05:30:00"; in UTC. */
static enum rc_code read_time(const struct import *import, const struct rc_strs *fields,
                              enum column column, int64_t *out, struct rc_error *err)
{
    const char *text = cell(import, fields, column);

    if (!text)
        return RC_OK;
    RC_STR_AUTO zoned = rc_strf("%sZ", text);
    if (!rc_parse_time(text, out) && !rc_parse_time(zoned, out))
        return fail_cell(column, text, "a time such as 2019-03-10 05:30:00", err);
    return RC_OK;
}

/* A column of bits, which every way of writing a table out writes in another way. */
static enum rc_code read_active(const struct import *import, const struct rc_strs *fields,
                                bool *out, struct rc_error *err)
{
    static const char *const on[] = { "\x01", "b'1'", "0x01" }, *const off[] = { "\\0", "b'0'",
                                                                                 "0x00" };
    const char *text = cell(import, fields, ACTIVE);

    *out = true;
    if (!text || rc_parse_bool(text, out))
        return RC_OK;
    for (size_t i = 0; i < RC_ARRAY_LEN(on); i++) {
        *out = rc_str_eq(text, on[i]);
        if (*out || rc_str_eq(text, off[i]))
            return RC_OK;
    }
    return fail_cell(ACTIVE, text, "1 or 0", err);
}

/* "30:day"; *unit is the caller's to free. */
static enum rc_code read_period(const struct import *import, const struct rc_strs *fields,
                                int64_t *period, char **unit, struct rc_error *err)
{
    const char *text = cell(import, fields, PERIOD), *colon = text ? strchr(text, ':') : NULL;

    if (!colon)
        return fail_cell(PERIOD, text ? text : "", "such as 30:day", err);
    RC_STR_AUTO number = rc_strndup(text, (size_t)(colon - text));
    if (!rc_parse_int(number, period))
        return fail_cell(PERIOD, text, "such as 30:day", err);
    *unit = rc_strdup(colon + 1);
    return RC_OK;
}

static enum rc_code read_rule(const struct import *import, const struct rc_strs *fields,
                              struct sdrs_rule *out, struct rc_error *err)
{
    RC_STR_AUTO unit = NULL;
    struct sdrs_rule_request request = { .has_period = true };
    int64_t id, version, created = import->job->now_unix_ms, changed;
    bool is_active;

    if (fields->len != import->width)
        return rc_fail(err, RC_INVALID, "there are %zu fields for %zu columns", fields->len,
                       import->width);
    if (read_period(import, fields, &request.period, &unit, err) ||
        read_number(import, fields, ID, &id, err) ||
        read_number(import, fields, VERSION, &version, err) ||
        read_active(import, fields, &is_active, err) ||
        read_time(import, fields, CREATED, &created, err))
        return err->code;
    changed = created;
    if (read_time(import, fields, UPDATED, &changed, err))
        return err->code;
    request.type = cell(import, fields, TYPE);
    request.project = cell(import, fields, PROJECT);
    request.storage = cell(import, fields, STORAGE);
    request.dataset = cell(import, fields, DATASET);
    request.unit = unit;
    if (sdrs_rule_make(&request, import->config, out, err))
        return err->code;
    out->id = id;
    out->version = version;
    out->is_active = is_active;
    out->user = rc_strdup(cell(import, fields, USER));
    out->created_unix_ms = created;
    out->changed_unix_ms = changed;
    return RC_OK;
}

static void tell_wrong(struct import *import, size_t number, struct rc_error *err)
{
    (void)rc_context(err, "line %zu", number);
    if (import->wrong++ == 0)
        import->first = *err;
    if (import->wrong <= LINES_SHOWN)
        rc_error(import->job, "%s: %s", err->context, err->cause);
}

static enum rc_code read_row(void *context, size_t number, const struct rc_strs *fields,
                             struct rc_error *err)
{
    struct import *import = context;
    struct rc_error mistake = RC_ERROR_INIT;
    struct sdrs_rule rule = { .project = NULL };

    if (import->width == 0)
        return read_names(import, fields, err);
    if (read_rule(import, fields, &rule, &mistake)) {
        tell_wrong(import, number, &mistake);
        return RC_OK;
    }
    /* Grown by doubling, where the count is a power of two. */
    if ((import->count & (import->count - 1)) == 0)
        import->lines = rc_realloc(import->lines, (import->count ? 2 * import->count : 1) *
                                                      sizeof(*import->lines));
    import->lines[import->count++] = (struct line){ .number = number, .rule = rule };
    return RC_OK;
}

static enum rc_code read_pieces(struct import *import, struct rc_reader *reader,
                                struct sdrs_csv *csv, struct rc_error *err)
{
    RC_STR_AUTO piece = rc_malloc(READ_BYTES);
    size_t len;

    do {
        if (rc_job_check(import->job, err) ||
            rc_storage_read(import->job, reader, piece, READ_BYTES, &len, err) ||
            sdrs_csv_read(csv, piece, len, err))
            return err->code;
    } while (len > 0);
    return sdrs_csv_end(csv, err);
}

static enum rc_code read_file(struct import *import, const char *uri, struct rc_error *err)
{
    struct rc_reader *reader;
    struct sdrs_csv csv;
    enum rc_code code;

    if (rc_storage_open(import->job, uri, 0, -1, &reader, err))
        return err->code;
    sdrs_csv_init(&csv, read_row, import);
    code = read_pieces(import, reader, &csv, err);
    sdrs_csv_clear(&csv);
    rc_storage_read_close(import->job, reader);
    if (!code && import->width == 0)
        return rc_fail(err, RC_INVALID, "there is nothing in it, not even names of columns");
    return code;
}

/* ---- taking over ----------------------------------------------------------------------------- */

static int compare_names(const struct sdrs_rule *a, const struct sdrs_rule *b)
{
    int order = (int)a->type - (int)b->type;

    if (order == 0)
        order = strcmp(a->storage, b->storage);
    return order != 0 ? order : strcmp(a->project, b->project);
}

static int compare_lines(const void *a, const void *b)
{
    const struct line *first = *(const struct line *const *)a;
    const struct line *second = *(const struct line *const *)b;
    int order = compare_names(&first->rule, &second->rule);

    return order != 0 ? order : first->number < second->number ? -1 : 1;
}

/* The table has none twice, so such a file was put together from several. */
static void find_twins(struct import *import)
{
    const struct line **sorted = rc_calloc(import->count + 1, sizeof(struct line *));

    for (size_t i = 0; i < import->count; i++)
        sorted[i] = &import->lines[i];
    qsort(sorted, import->count, sizeof(*sorted), compare_lines);
    for (size_t i = 1; i < import->count; i++) {
        struct rc_error mistake = RC_ERROR_INIT;

        if (compare_names(&sorted[i - 1]->rule, &sorted[i]->rule) != 0)
            continue;
        (void)rc_fail(&mistake, RC_INVALID, "it is of the same type, project and name as line %zu",
                      sorted[i - 1]->number);
        tell_wrong(import, sorted[i]->number, &mistake);
    }
    free(sorted);
}

static enum rc_code take_over(struct sdrs_state *state, void *context, struct rc_error *err)
{
    struct import *import = context;

    memset(import->outcomes, 0, sizeof(import->outcomes));
    for (size_t i = 0; i < import->count; i++) {
        enum sdrs_import outcome;

        if (sdrs_rules_import(state, &import->lines[i].rule, &outcome, err))
            return rc_context(err, "line %zu", import->lines[i].number);
        import->outcomes[outcome]++;
    }
    return RC_OK;
}

static enum rc_code import_file(struct import *import, const char *uri, struct rc_error *err)
{
    if (read_file(import, uri, err))
        return err->code;
    find_twins(import);
    if (import->wrong > 0)
        return rc_fail(err, RC_INVALID, "%zu %s wrong, and nothing was imported; %s: %s",
                       import->wrong, import->wrong == 1 ? "line is" : "lines are",
                       import->first.context, import->first.cause);
    return sdrs_state_transact(&import->state, take_over, import, err);
}

static void tell(const struct import *import)
{
    size_t made = import->outcomes[SDRS_IMPORT_MADE];
    size_t changed = import->outcomes[SDRS_IMPORT_CHANGED];
    size_t kept = import->outcomes[SDRS_IMPORT_KEPT];
    RC_STR_AUTO text =
        rc_strf("%s %zu rules, changed %zu, and left %zu that are here already",
                import->job->dry_run ? "would have made" : "made", made, changed, kept);

    rc_job_count(import->job, "rules_made", (int64_t)made);
    rc_job_count(import->job, "rules_changed", (int64_t)changed);
    rc_job_count(import->job, "rules_kept", (int64_t)kept);
    rc_job_say(import->job, text);
}

enum rc_code sdrs_import_rules(struct rc_job *job, const void *config, struct rc_error *err)
{
    const struct sdrs_import_params *params = job->params;
    struct import import = { .job = job, .config = config };
    RC_BUF_AUTO(uri, URI_BYTES);
    enum rc_code code;

    rc_uri_place(&uri, NULL, params->file, job->working_dir);
    if (rc_buf_check(&uri, err) || sdrs_open(job, config, &import.state, err))
        return err->code;
    code = import_file(&import, uri.data, err);
    if (code)
        (void)rc_context(err, "import the rules in '%s'", params->file);
    else
        tell(&import);
    for (size_t i = 0; i < import.count; i++)
        sdrs_rule_clear(&import.lines[i].rule);
    free(import.lines);
    sdrs_state_close(&import.state);
    return code;
}
