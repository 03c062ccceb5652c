/*
 * Reads names of tables as SQL reads identifiers, matches patterns, and makes the names of folders
 * and objects from the layout. Whether there are such tables is the catalogue's business.
 */
#include "names.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum {
    NAME_LIMIT = 64 << 10, /* of one part; PostgreSQL has 63 bytes */
    WORD_SHOWN = 200,      /* bytes of what is refused */
    URI_LIMIT = 8192,
    HOUR_MS = 3600000,
};

/* ---- names of tables ---- */

struct reading {
    const char *item; /* of the list */
    size_t number;    /* from 1 on */
    const char *at;
};

/* One side of the dot. In 'text' what was quoted and would be wild has a backslash before it. */
struct part {
    struct rc_buf text; /* of a pattern */
    struct rc_buf name; /* of a plain name */
    bool is_wild, is_quoted, is_bare;
};

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_wild(char c)
{
    return c == '*' || c == '?';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Of an identifier without quotes; whatever is not ASCII is a letter. */
static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '_' ||
           c == '$' || (unsigned char)c >= 0x80;
}

static char fold(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Bytes of the character at 'text', which is not its end. */
static size_t character_len(const char *text)
{
    size_t len = 1;

    while (((unsigned char)text[len] & 0xc0) == 0x80)
        len++;
    return len;
}

/* A message about the character at 'at', which it shows with what stands around it. */
static enum rc_code fail(const struct reading *reading, const char *at, const char *why,
                         struct rc_error *err)
{
    size_t place = 1;
    const char *from = at, *to;

    for (const char *p = reading->item; p < at; p += character_len(p))
        place++;
    while (from > reading->item && !is_blank(from[-1]))
        from--;
    to = from;
    while (*to && !is_blank(*to) && to < from + WORD_SHOWN)
        to += character_len(to);
    return rc_fail(err, RC_INVALID, "item %zu, character %zu ('%.*s'): %s", reading->number, place,
                   (int)(to - from), from, why);
}

static void part_init(struct part *part)
{
    *part = (struct part){ .is_wild = false };
    rc_buf_init(&part->text, NAME_LIMIT);
    rc_buf_init(&part->name, NAME_LIMIT);
}

static void part_clear(struct part *part)
{
    rc_buf_clear(&part->text);
    rc_buf_clear(&part->name);
}

static enum rc_code read_quoted(struct reading *reading, struct part *part, struct rc_error *err)
{
    const char *start = reading->at++;

    for (;; reading->at++) {
        if (*reading->at == '\0')
            return fail(reading, start, "the quote is never closed", err);
        if (*reading->at == '"' && *++reading->at != '"')
            break;
        if (is_wild(*reading->at) || *reading->at == '\\')
            rc_buf_addc(&part->text, '\\');
        rc_buf_addc(&part->text, *reading->at);
        rc_buf_addc(&part->name, *reading->at);
    }
    if (reading->at == start + 2)
        return fail(reading, start, "there is nothing between the quotes", err);
    part->is_quoted = true;
    return RC_OK;
}

static void read_bare(struct reading *reading, struct part *part)
{
    for (; is_word(*reading->at) || is_wild(*reading->at); reading->at++) {
        part->is_wild |= is_wild(*reading->at);
        rc_buf_addc(&part->text, fold(*reading->at));
        rc_buf_addc(&part->name, fold(*reading->at));
    }
    part->is_bare = true;
}

static enum rc_code read_part(struct reading *reading, struct part *part, struct rc_error *err)
{
    const char *start = reading->at;

    for (;;) {
        if (*reading->at == '"') {
            if (read_quoted(reading, part, err))
                return err->code;
        } else if (is_word(*reading->at) || is_wild(*reading->at)) {
            read_bare(reading, part);
        } else {
            break;
        }
    }
    if (reading->at == start && (*start == '\0' || is_blank(*start)))
        return fail(reading, start, "a name is missing behind the dot", err);
    if (*reading->at == ',' || *reading->at == ';')
        return fail(reading, reading->at, "names are divided by blanks", err);
    if (reading->at == start && *start == '.')
        return fail(reading, start, "a name is missing before the dot", err);
    if (*reading->at && *reading->at != '.' && !is_blank(*reading->at))
        return fail(reading, reading->at, "such a character has to stand in double quotes", err);
    if (part->name.overflow || part->text.overflow)
        return fail(reading, start, "the name is too long", err);
    /* "Audit"* is a pattern; "Audit"x is nothing. */
    if (part->is_quoted && part->is_bare && !part->is_wild)
        return fail(reading, start, "a part of a name is in quotes, and a part is not", err);
    if (!part->is_quoted && !part->is_wild && (is_digit(*start) || *start == '$'))
        return fail(reading, start, "a name that begins so has to stand in double quotes", err);
    return RC_OK;
}

static char *take(struct part *part, bool is_pattern)
{
    return rc_buf_take(is_pattern ? &part->text : &part->name);
}

static enum rc_code read_name(struct reading *reading, struct egress_name *out,
                              struct rc_error *err)
{
    const char *start = reading->at;
    RC_CLEANUP(part_clear) struct part first, second;
    bool has_schema;

    part_init(&first);
    part_init(&second);
    if (read_part(reading, &first, err))
        return err->code;
    has_schema = *reading->at == '.';
    if (has_schema) {
        reading->at++;
        if (read_part(reading, &second, err))
            return err->code;
    }
    if (*reading->at == '.')
        return fail(reading, reading->at,
                    "a name has at most a schema and a table; which database is read is settled "
                    "by the connection",
                    err);
    *out = (struct egress_name){
        .text = rc_strndup(start, (size_t)(reading->at - start)),
        .is_pattern = first.is_wild || second.is_wild,
    };
    if (has_schema)
        out->schema = take(&first, out->is_pattern);
    out->table = take(has_schema ? &second : &first, out->is_pattern);
    return RC_OK;
}

static enum rc_code read_item(struct reading *reading, struct egress_names *names,
                              struct rc_error *err)
{
    for (;;) {
        struct egress_name name;

        while (is_blank(*reading->at))
            reading->at++;
        if (*reading->at == '\0')
            return RC_OK;
        if (read_name(reading, &name, err))
            return err->code;
        /* Grown by doubling, where the count is a power of two. */
        if ((names->count & (names->count - 1)) == 0)
            names->items = rc_realloc(names->items, (names->count ? 2 * names->count : 1) *
                                                        sizeof(*names->items));
        names->items[names->count++] = name;
    }
}

enum rc_code egress_names_read(const struct rc_strs *list, struct egress_names *out,
                               struct rc_error *err)
{
    *out = (struct egress_names){ .items = NULL };
    for (size_t i = 0; i < list->len; i++) {
        struct reading reading = { .item = list->items[i], .number = i + 1, .at = list->items[i] };

        if (read_item(&reading, out, err)) {
            egress_names_clear(out);
            return err->code;
        }
    }
    return RC_OK;
}

void egress_names_clear(struct egress_names *names)
{
    for (size_t i = 0; i < names->count; i++) {
        free(names->items[i].text);
        free(names->items[i].schema);
        free(names->items[i].table);
    }
    free(names->items);
    *names = (struct egress_names){ .items = NULL };
}

/* ---- patterns ---- */

/* Goes back only to the last '*', so the time is at most the product of both lengths. */
static bool glob(const char *pattern, const char *text)
{
    const char *star = NULL, *resume = NULL;

    while (*text) {
        if (*pattern == '*') {
            star = ++pattern;
            resume = text;
        } else if (*pattern == '?') {
            pattern++;
            text += character_len(text);
        } else if (*pattern && (*pattern == '\\' ? pattern[1] : *pattern) == *text) {
            pattern += *pattern == '\\' ? 2 : 1;
            text++;
        } else if (star) {
            pattern = star;
            resume += character_len(resume);
            text = resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

bool egress_name_fits(const struct egress_name *name, const char *schema, const char *table)
{
    if (!name->is_pattern)
        return (!name->schema || strcmp(name->schema, schema) == 0) &&
               strcmp(name->table, table) == 0;
    return (!name->schema || glob(name->schema, schema)) && glob(name->table, table);
}

/* ---- the layout ---- */

static const char table_field[] = "{table}";

static bool is_field(const char *at, const char *field)
{
    return strncmp(at, field, strlen(field)) == 0;
}

static enum rc_code check_segments(const char *path, struct rc_error *err)
{
    for (const char *at = path;; at++) {
        size_t len = strcspn(at, "/");

        if (len == 0)
            return rc_fail(err, RC_INVALID, "'%s' begins or ends with a slash, or has two in a row",
                           path);
        if ((len == 1 && at[0] == '.') || (len == 2 && at[0] == '.' && at[1] == '.'))
            return rc_fail(err, RC_INVALID, "'%s' has a segment '%.*s'", path, (int)len, at);
        at += len;
        if (*at == '\0')
            return RC_OK;
    }
}

/* The field at 'at', a brace, of which *len bytes are; RC_INVALID: there is none. */
static enum rc_code check_field(const char *path, const char *at, size_t *len, struct rc_error *err)
{
    static const char *const fields[] = { "{date}", "{year}", "{month}",
                                          "{day}",  "{hour}", table_field };

    for (size_t i = 0; i < RC_ARRAY_LEN(fields); i++) {
        if (is_field(at, fields[i])) {
            *len = strlen(fields[i]);
            return RC_OK;
        }
    }
    *len = strcspn(at, "}") + 1;
    if (*at == '}' || *len > strlen(at))
        return rc_fail(err, RC_INVALID, "'%s' has a brace without its other half", path);
    return rc_fail(err, RC_INVALID,
                   "'%s' has the field '%.*s'; there are {date}, {year}, {month}, {day}, {hour} "
                   "and {table}",
                   path, (int)*len, at);
}

enum rc_code egress_layout_read(const char *path, struct egress_layout *out, struct rc_error *err)
{
    const char *table = strstr(path, table_field);
    size_t folder_len, len;

    if (check_segments(path, err))
        return err->code;
    for (const char *at = path; (at = strpbrk(at, "{}")) != NULL; at += len)
        if (check_field(path, at, &len, err))
            return err->code;
    if (!table)
        return rc_fail(err, RC_INVALID, "'%s' has no {table}: all tables would be one object",
                       path);
    for (folder_len = (size_t)(table - path); folder_len > 0; folder_len--)
        if (path[folder_len - 1] == '/')
            break;
    for (const char *at = path + folder_len; (at = strchr(at, '{')) != NULL; at++)
        if (!is_field(at, table_field))
            return rc_fail(err, RC_INVALID,
                           "'%s' has '%.*s' beside or behind {table}; time belongs into the "
                           "folders before it, which have a manifest each",
                           path, (int)strcspn(at, "}") + 1, at);
    for (const char *at = path; *at; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            return rc_fail(err, RC_INVALID, "there is a control character in '%s'", path);
    *out = (struct egress_layout){ .path = path, .folder_len = folder_len };
    return RC_OK;
}

/* A point in time on the clock and calendar of the job's time zone. */
struct moment {
    char date[RC_DAY_TEXT];
    int year, month, day, hour;
};

static enum rc_code find_moment(struct rc_job *job, int64_t unix_ms, struct moment *out,
                                struct rc_error *err)
{
    int32_t day;
    int64_t start_unix_ms;

    if (rc_job_day_of(job, unix_ms, &day, err) || rc_job_day_start(job, day, &start_unix_ms, err))
        return err->code;
    rc_format_day(day, out->date);
    rc_day_to_date(day, &out->year, &out->month, &out->day);
    /* Counted since the day began: a day of 25 hours has a name for each of them. */
    out->hour = (int)((unix_ms - start_unix_ms) / HOUR_MS);
    return RC_OK;
}

static void add_field(struct rc_buf *out, const char *field, const struct moment *moment)
{
    if (is_field(field, "{date}"))
        rc_buf_adds(out, moment->date);
    else if (is_field(field, "{year}"))
        rc_buf_addf(out, "%04d", moment->year);
    else if (is_field(field, "{month}"))
        rc_buf_addf(out, "%02d", moment->month);
    else if (is_field(field, "{day}"))
        rc_buf_addf(out, "%02d", moment->day);
    else
        rc_buf_addf(out, "%02d", moment->hour);
}

enum rc_code egress_layout_folder(struct rc_job *job, const struct egress_layout *layout,
                                  int64_t nominal_unix_ms, struct rc_buf *out, struct rc_error *err)
{
    struct moment moment;
    const char *at = layout->path, *end = layout->path + layout->folder_len;

    if (find_moment(job, nominal_unix_ms, &moment, err))
        return rc_context(err, "name the folder of the run");
    while (at < end) {
        size_t len = strcspn(at, "{");

        if (len > (size_t)(end - at))
            len = (size_t)(end - at);
        rc_buf_add(out, at, len);
        at += len;
        if (at < end) {
            add_field(out, at, &moment);
            at = strchr(at, '}') + 1;
        }
    }
    return rc_buf_check(out, err);
}

enum rc_code egress_folder_below(struct rc_job *job, const struct egress_config *config,
                                 const char *place, int64_t nominal_unix_ms, char **out,
                                 struct rc_error *err)
{
    RC_BUF_AUTO(folder, URI_LIMIT);
    RC_BUF_AUTO(uri, URI_LIMIT);
    struct egress_layout layout;

    if (egress_layout_read(config->path, &layout, err))
        return rc_context(err, "option 'path'");
    if (egress_layout_folder(job, &layout, nominal_unix_ms, &folder, err))
        return err->code;
    rc_uri_join(&uri, place, folder.data);
    if (rc_buf_check(&uri, err))
        return rc_context(err, "name the folder of the run");
    *out = rc_buf_take(&uri);
    return RC_OK;
}

enum rc_code egress_folder_uri(struct rc_job *job, const struct egress_config *config,
                               int64_t nominal_unix_ms, char **out, struct rc_error *err)
{
    RC_BUF_AUTO(output, URI_LIMIT);

    if (!config->output || !config->output[0])
        return rc_fail(err, RC_INVALID, "there is no place for dumps; set 'output' or S3_OUTPUT");
    rc_uri_place(&output, NULL, config->output, job->working_dir);
    if (rc_buf_check(&output, err))
        return rc_context(err, "option 'output'");
    return egress_folder_below(job, config, output.data, nominal_unix_ms, out, err);
}

/* Whether 'name' begins with digits in the places of 'shape', which has '0' for each. */
static bool has_shape(const char *name, const char *shape)
{
    for (; *shape; name++, shape++)
        if (*shape == '0' ? !is_digit(*name) : *name != *shape)
            return false;
    return true;
}

bool egress_layout_fits(const struct egress_layout *layout, const char *name)
{
    const char *at = layout->path;

    if (layout->folder_len == 0)
        return true;
    while (*at != '/') {
        const char *shape = "00";

        if (*at != '{') {
            if (*at++ != *name++)
                return false;
            continue;
        }
        if (is_field(at, "{date}"))
            shape = "0000-00-00";
        else if (is_field(at, "{year}"))
            shape = "0000";
        if (!has_shape(name, shape))
            return false;
        name += strlen(shape);
        at = strchr(at, '}') + 1;
    }
    return strcmp(name, "/") == 0;
}

/* ---- keys ---- */

static bool is_utf8(const char *text)
{
    json_t *string = json_string(text); /* NULL if it is not */

    json_decref(string);
    return string != NULL;
}

/*
 * A database without an encoding (SQL_ASCII) can have any bytes in its names, stores and JSON only
 * UTF-8.
 */
static void add_table(struct rc_buf *out, const char *table)
{
    bool is_text = is_utf8(table);

    for (const char *at = table; *at; at++) {
        unsigned char c = (unsigned char)*at;

        if (c < 0x20 || c == 0x7f || c == '/' || c == '%' || (c > 0x7f && !is_text))
            rc_buf_addf(out, "%%%02X", c);
        else
            rc_buf_addc(out, *at);
    }
}

/* Whether what stands between two slashes would lead elsewhere, or be in the manifest's way. */
static bool is_taken(const char *segment, size_t len)
{
    static const char *const taken[] = { ".", "..", EGRESS_MANIFEST };

    for (size_t i = 0; i < RC_ARRAY_LEN(taken); i++)
        if (strlen(taken[i]) == len && memcmp(segment, taken[i], len) == 0)
            return true;
    return false;
}

/* The name without its ending decides, so that a table has one name with every ending. */
static void add_segments(struct rc_buf *out, const char *name)
{
    for (;;) {
        size_t len = strcspn(name, "/");

        if (is_taken(name, len)) {
            rc_buf_addf(out, "%%%02X", (unsigned char)*name++);
            len--;
        }
        rc_buf_add(out, name, len);
        name += len;
        if (*name == '\0')
            return;
        rc_buf_addc(out, *name++);
    }
}

void egress_layout_key(const struct egress_layout *layout, const char *table, int part,
                       const char *extension, struct rc_buf *out)
{
    const char *at = layout->path + layout->folder_len;
    RC_BUF_AUTO(name, out->limit);

    for (const char *field; (field = strstr(at, table_field)) != NULL;
         at = field + strlen(table_field)) {
        rc_buf_add(&name, at, (size_t)(field - at));
        add_table(&name, table);
    }
    rc_buf_adds(&name, at);
    add_segments(out, name.data);
    if (part >= 0)
        rc_buf_addf(out, "/part-%05d", part);
    rc_buf_adds(out, extension);
    out->overflow |= name.overflow;
}
