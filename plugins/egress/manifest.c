/*
 * Prints and parses manifests. What is parsed may come from anybody who can write into a bucket,
 * and URIs are made of its keys: nothing is believed that was not looked at. Whether the objects
 * are as the manifest says is the business of 'verify'.
 */
#include "manifest.h"
#include "names.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum {
    FORMAT = 1,
    KEY_LIMIT = 1024,
    SHA256_DIGITS = 64,
    ARRAY_LIMIT = 1 << 20, /* items; no manifest within the limit of bytes can have more */
};

static void clear_table(struct egress_manifest_table *table)
{
    for (size_t i = 0; i < table->column_count; i++) {
        free(table->columns[i].name);
        free(table->columns[i].type);
    }
    for (size_t i = 0; i < table->object_count; i++) {
        free(table->objects[i].key);
        free(table->objects[i].sha256);
    }
    free(table->columns);
    free(table->objects);
    free(table->name);
    free(table->schema);
    free(table->relation);
    free(table->query);
    free(table->error);
}

void egress_manifest_clear(struct egress_manifest *manifest)
{
    for (size_t i = 0; i < manifest->table_count; i++)
        clear_table(&manifest->tables[i]);
    free(manifest->tables);
    free(manifest->run_id);
    free(manifest->job);
    free(manifest->server_version);
    free(manifest->database);
    free(manifest->system_identifier);
    free(manifest->snapshot);
    free(manifest->lsn);
    free(manifest->xmin);
    free(manifest->xmax);
    free(manifest->format);
    free(manifest->compression);
    free(manifest->delimiter);
    free(manifest->null_string);
    free(manifest->encoding);
    *manifest = (struct egress_manifest){ .tables = NULL };
}

size_t egress_manifest_failed(const struct egress_manifest *manifest,
                              const struct egress_manifest_table **first)
{
    size_t failed = 0;

    if (first)
        *first = NULL;
    for (size_t i = 0; i < manifest->table_count; i++) {
        if (!manifest->tables[i].error)
            continue;
        if (first && failed == 0)
            *first = &manifest->tables[i];
        failed++;
    }
    return failed;
}

/* ---- printing ---- */

/* Begins a member: behind a comma, unless it is the first. 'lead' is a blank, or a new line. */
static void add_key(struct rc_buf *out, const char *lead, const char *key)
{
    if (out->len > 0 && out->data[out->len - 1] != '{')
        rc_buf_addc(out, ',');
    rc_buf_addf(out, "%s\"%s\": ", lead, key);
}

static void add_text(struct rc_buf *out, const char *lead, const char *key, const char *text)
{
    if (!text)
        return;
    add_key(out, lead, key);
    rc_buf_add_json(out, text, strlen(text));
}

static void add_number(struct rc_buf *out, const char *lead, const char *key, int64_t number)
{
    add_key(out, lead, key);
    rc_buf_addf(out, "%" PRId64, number);
}

static void add_flag(struct rc_buf *out, const char *lead, const char *key, bool flag)
{
    add_key(out, lead, key);
    rc_buf_adds(out, flag ? "true" : "false");
}

static void add_time(struct rc_buf *out, const char *lead, const char *key, int64_t unix_ms)
{
    char text[RC_TIME_TEXT];

    add_text(out, lead, key, rc_format_time(unix_ms, text));
}

static void print_columns(const struct egress_manifest_table *table, struct rc_buf *out)
{
    add_key(out, "\n   ", "columns");
    rc_buf_addc(out, '[');
    for (size_t i = 0; i < table->column_count; i++) {
        rc_buf_adds(out, i == 0 ? "\n    {" : ",\n    {");
        add_text(out, " ", "name", table->columns[i].name);
        add_text(out, " ", "type", table->columns[i].type);
        rc_buf_adds(out, " }");
    }
    rc_buf_adds(out, "\n   ]");
}

static void print_objects(const struct egress_manifest_table *table, struct rc_buf *out)
{
    add_key(out, "\n   ", "objects");
    rc_buf_addc(out, '[');
    for (size_t i = 0; i < table->object_count; i++) {
        const struct egress_manifest_object *object = &table->objects[i];

        rc_buf_adds(out, i == 0 ? "\n    {" : ",\n    {");
        add_text(out, " ", "key", object->key);
        add_number(out, " ", "rows", object->rows);
        add_number(out, " ", "bytes", object->bytes);
        add_number(out, " ", "stored_bytes", object->stored_bytes);
        add_text(out, " ", "sha256", object->sha256);
        rc_buf_adds(out, " }");
    }
    rc_buf_adds(out, "\n   ]");
}

static void print_table(const struct egress_manifest_table *table, struct rc_buf *out)
{
    int64_t rows = 0, bytes = 0, stored_bytes = 0;

    for (size_t i = 0; i < table->object_count; i++) {
        rows += table->objects[i].rows;
        bytes += table->objects[i].bytes;
        stored_bytes += table->objects[i].stored_bytes;
    }
    rc_buf_adds(out, "\n  {");
    add_text(out, "\n   ", "name", table->name);
    add_text(out, "\n   ", "schema", table->schema);
    add_text(out, "\n   ", "relation", table->relation);
    add_text(out, "\n   ", "query", table->query);
    add_text(out, "\n   ", "error", table->error);
    add_number(out, "\n   ", "rows", rows);
    add_number(out, "\n   ", "bytes", bytes);
    add_number(out, "\n   ", "stored_bytes", stored_bytes);
    print_columns(table, out);
    print_objects(table, out);
    rc_buf_adds(out, "\n  }");
}

static void print_snapshot(const struct egress_manifest *manifest, struct rc_buf *out)
{
    add_key(out, "\n ", "snapshot");
    rc_buf_addc(out, '{');
    add_text(out, " ", "id", manifest->snapshot);
    add_time(out, " ", "time", manifest->snapshot_unix_ms);
    add_text(out, " ", "lsn", manifest->lsn);
    add_text(out, " ", "xmin", manifest->xmin);
    add_text(out, " ", "xmax", manifest->xmax);
    rc_buf_adds(out, " }");
}

static void print_format(const struct egress_manifest *manifest, struct rc_buf *out)
{
    add_text(out, "\n ", "format", manifest->format);
    add_text(out, "\n ", "compression", manifest->compression);
    if (!rc_str_eq(manifest->format, "csv"))
        return;
    add_key(out, "\n ", "csv");
    rc_buf_addc(out, '{');
    add_flag(out, " ", "header", manifest->header);
    add_text(out, " ", "delimiter", manifest->delimiter);
    add_text(out, " ", "null_string", manifest->null_string);
    add_text(out, " ", "encoding", manifest->encoding);
    rc_buf_adds(out, " }");
}

enum rc_code egress_manifest_print(const struct egress_manifest *manifest, struct rc_buf *out,
                                   struct rc_error *err)
{
    rc_buf_addc(out, '{');
    add_number(out, "\n ", "version", FORMAT);
    add_flag(out, "\n ", "complete", manifest->complete);
    add_text(out, "\n ", "run_id", manifest->run_id);
    add_text(out, "\n ", "job", manifest->job);
    add_time(out, "\n ", "nominal", manifest->nominal_unix_ms);
    add_time(out, "\n ", "started", manifest->started_unix_ms);
    add_time(out, "\n ", "finished", manifest->finished_unix_ms);
    add_text(out, "\n ", "server_version", manifest->server_version);
    add_text(out, "\n ", "database", manifest->database);
    add_text(out, "\n ", "system_identifier", manifest->system_identifier);
    print_snapshot(manifest, out);
    print_format(manifest, out);
    add_key(out, "\n ", "tables");
    rc_buf_addc(out, '[');
    for (size_t i = 0; i < manifest->table_count; i++) {
        if (i > 0)
            rc_buf_addc(out, ',');
        print_table(&manifest->tables[i], out);
    }
    rc_buf_adds(out, "\n ]\n}\n");
    return rc_buf_check(out, err);
}

/* ---- parsing: members ---- */

static enum rc_code wrong(struct rc_error *err, const char *key, const char *what)
{
    return rc_fail(err, RC_CORRUPT, "'%s' is missing, or is not %s", key, what);
}

/* A text that may be missing. */
static enum rc_code get_text(const json_t *object, const char *key, char **out,
                             struct rc_error *err)
{
    const json_t *value = json_object_get(object, key);

    if (value && !json_is_null(value) && !json_is_string(value))
        return wrong(err, key, "a text");
    *out = rc_strdup(json_string_value(value));
    return RC_OK;
}

static enum rc_code get_name(const json_t *object, const char *key, char **out,
                             struct rc_error *err)
{
    if (get_text(object, key, out, err))
        return err->code;
    return *out && **out ? RC_OK : wrong(err, key, "a text");
}

static enum rc_code get_flag(const json_t *object, const char *key, bool *out, struct rc_error *err)
{
    const json_t *value = json_object_get(object, key);

    *out = json_is_true(value);
    return json_is_boolean(value) ? RC_OK : wrong(err, key, "true or false");
}

/* A time that may be missing. */
static enum rc_code get_time(const json_t *object, const char *key, int64_t *out,
                             struct rc_error *err)
{
    const json_t *value = json_object_get(object, key);
    char text[RC_TIME_TEXT];
    int64_t again;

    if (!value || json_is_null(value))
        return RC_OK;
    /* An offset can lead out of the years that can be written. */
    if (!json_is_string(value) || !rc_parse_time(json_string_value(value), out) ||
        !rc_parse_time(rc_format_time(*out, text), &again))
        return wrong(err, key, "a time as in RFC 3339");
    return RC_OK;
}

/* A number that, with all others of its kind, stays below the limit of its type. */
static enum rc_code get_number(const json_t *object, const char *key, int64_t *sum, int64_t *out,
                               struct rc_error *err)
{
    const json_t *value = json_object_get(object, key);

    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return wrong(err, key, "a whole number of 0 and more");
    *out = json_integer_value(value);
    if (*out > INT64_MAX - *sum)
        return rc_fail(err, RC_CORRUPT, "'%s' adds up to more than can be", key);
    *sum += *out;
    return RC_OK;
}

/* An array, whose count is 0 where it may be missing and is. */
static enum rc_code get_array(const json_t *object, const char *key, bool is_needed,
                              const json_t **out, struct rc_error *err)
{
    *out = json_object_get(object, key);
    if ((*out || is_needed) && !json_is_array(*out))
        return wrong(err, key, "an array");
    if (json_array_size(*out) > ARRAY_LIMIT)
        return rc_fail(err, RC_CORRUPT, "'%s' has more than %d items", key, ARRAY_LIMIT);
    return RC_OK;
}

/* ---- parsing: the parts ---- */

struct parser {
    json_t *keys; /* seen so far */
    int64_t rows, bytes, stored_bytes;
};

/* Below the folder, and in no other way than an object store and a file system both see it. */
static bool is_key(const char *key)
{
    size_t len = strlen(key);

    if (len == 0 || len > KEY_LIMIT || strcmp(key, EGRESS_MANIFEST) == 0)
        return false;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)key[i] < 0x20 || key[i] == 0x7f)
            return false;
    for (const char *at = key;; at++) {
        size_t part = strcspn(at, "/");

        if (part == 0 || (part == 1 && at[0] == '.') || (part == 2 && at[0] == '.' && at[1] == '.'))
            return false;
        at += part;
        if (*at == '\0')
            return true;
    }
}

static bool is_sha256(const char *text)
{
    return strlen(text) == SHA256_DIGITS && strspn(text, "0123456789abcdef") == SHA256_DIGITS;
}

static enum rc_code parse_object(struct parser *parser, const json_t *item,
                                 struct egress_manifest_object *out, struct rc_error *err)
{
    if (get_name(item, "key", &out->key, err) || get_name(item, "sha256", &out->sha256, err) ||
        get_number(item, "rows", &parser->rows, &out->rows, err) ||
        get_number(item, "bytes", &parser->bytes, &out->bytes, err) ||
        get_number(item, "stored_bytes", &parser->stored_bytes, &out->stored_bytes, err))
        return err->code;
    if (!is_key(out->key))
        return rc_fail(err, RC_CORRUPT, "'%s' is no key of an object below the folder", out->key);
    if (!is_sha256(out->sha256))
        return wrong(err, "sha256", "64 hexadecimal digits");
    if (json_object_get(parser->keys, out->key))
        return rc_fail(err, RC_CORRUPT, "'%s' is listed twice", out->key);
    if (json_object_set_new(parser->keys, out->key, json_true()))
        rc_out_of_memory(strlen(out->key));
    return RC_OK;
}

static enum rc_code parse_objects(struct parser *parser, const json_t *list,
                                  struct egress_manifest_table *out, struct rc_error *err)
{
    size_t index;
    const json_t *item;

    out->objects = rc_calloc(json_array_size(list) + 1, sizeof(*out->objects));
    json_array_foreach(list, index, item)
    {
        out->object_count++;
        if (parse_object(parser, item, &out->objects[index], err))
            return rc_context(err, "objects[%zu]", index);
    }
    return RC_OK;
}

static enum rc_code parse_columns(const json_t *list, struct egress_manifest_table *out,
                                  struct rc_error *err)
{
    size_t index;
    const json_t *item;

    out->columns = rc_calloc(json_array_size(list) + 1, sizeof(*out->columns));
    json_array_foreach(list, index, item)
    {
        struct egress_manifest_column *column = &out->columns[index];

        out->column_count++;
        if (get_name(item, "name", &column->name, err) ||
            get_name(item, "type", &column->type, err))
            return rc_context(err, "columns[%zu]", index);
    }
    return RC_OK;
}

static enum rc_code parse_table(struct parser *parser, const json_t *item,
                                struct egress_manifest_table *out, struct rc_error *err)
{
    const json_t *columns, *objects;

    if (get_name(item, "name", &out->name, err) || get_text(item, "schema", &out->schema, err) ||
        get_text(item, "relation", &out->relation, err) ||
        get_text(item, "query", &out->query, err) || get_text(item, "error", &out->error, err) ||
        get_array(item, "columns", /* is_needed = */ false, &columns, err) ||
        get_array(item, "objects", /* is_needed = */ true, &objects, err) ||
        parse_columns(columns, out, err))
        return err->code;
    return parse_objects(parser, objects, out, err);
}

static enum rc_code parse_tables(const json_t *list, struct egress_manifest *out,
                                 struct rc_error *err)
{
    struct parser parser = { .keys = json_object() };
    enum rc_code code = RC_OK;
    size_t index;
    const json_t *item;

    out->tables = rc_calloc(json_array_size(list) + 1, sizeof(*out->tables));
    json_array_foreach(list, index, item)
    {
        out->table_count++;
        code = parse_table(&parser, item, &out->tables[index], err);
        if (!code && out->complete && out->tables[index].error)
            code = rc_fail(err, RC_CORRUPT, "it failed, and yet the whole is said to be complete");
        if (code) {
            code = rc_context(err, "tables[%zu]", index);
            break;
        }
    }
    json_decref(parser.keys);
    return code;
}

/* What is told of the run, the server and the snapshot, none of which is needed. */
static enum rc_code parse_origin(const json_t *root, struct egress_manifest *out,
                                 struct rc_error *err)
{
    const json_t *snapshot = json_object_get(root, "snapshot");

    if (get_text(root, "run_id", &out->run_id, err) || get_text(root, "job", &out->job, err) ||
        get_time(root, "nominal", &out->nominal_unix_ms, err) ||
        get_time(root, "started", &out->started_unix_ms, err) ||
        get_time(root, "finished", &out->finished_unix_ms, err) ||
        get_text(root, "server_version", &out->server_version, err) ||
        get_text(root, "database", &out->database, err) ||
        get_text(root, "system_identifier", &out->system_identifier, err))
        return err->code;
    if (get_text(snapshot, "id", &out->snapshot, err) ||
        get_time(snapshot, "time", &out->snapshot_unix_ms, err) ||
        get_text(snapshot, "lsn", &out->lsn, err) || get_text(snapshot, "xmin", &out->xmin, err) ||
        get_text(snapshot, "xmax", &out->xmax, err))
        return rc_context(err, "snapshot");
    return RC_OK;
}

static enum rc_code parse_format(const json_t *root, struct egress_manifest *out,
                                 struct rc_error *err)
{
    const json_t *csv = json_object_get(root, "csv");

    if (get_name(root, "format", &out->format, err) ||
        get_name(root, "compression", &out->compression, err))
        return err->code;
    if (!rc_str_eq(out->format, "csv"))
        return RC_OK;
    if (get_flag(csv, "header", &out->header, err) ||
        get_name(csv, "delimiter", &out->delimiter, err) ||
        get_text(csv, "null_string", &out->null_string, err) ||
        get_text(csv, "encoding", &out->encoding, err))
        return rc_context(err, "csv");
    return RC_OK;
}

static enum rc_code parse_root(const json_t *root, struct egress_manifest *out,
                               struct rc_error *err)
{
    const json_t *version = json_object_get(root, "version");
    const json_t *tables;

    if (!json_is_object(root))
        return rc_fail(err, RC_CORRUPT, "it is no JSON object");
    if (!json_is_integer(version) || json_integer_value(version) < 1)
        return wrong(err, "version", "a whole number");
    if (json_integer_value(version) > FORMAT)
        return rc_fail(err, RC_CORRUPT,
                       "it has version %" JSON_INTEGER_FORMAT ", of which only %d is known here; a "
                       "newer run-core can read it",
                       json_integer_value(version), FORMAT);
    out->version = FORMAT;
    if (get_flag(root, "complete", &out->complete, err) || parse_origin(root, out, err) ||
        parse_format(root, out, err) ||
        get_array(root, "tables", /* is_needed = */ true, &tables, err))
        return err->code;
    return parse_tables(tables, out, err);
}

enum rc_code egress_manifest_parse(const char *text, size_t len, struct egress_manifest *out,
                                   struct rc_error *err)
{
    json_error_t problem;
    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &problem);
    enum rc_code code;

    *out = (struct egress_manifest){ .tables = NULL };
    if (!root)
        return rc_fail(err, RC_CORRUPT, "it is not JSON: %s in line %d", problem.text,
                       problem.line);
    code = parse_root(root, out, err);
    if (code)
        egress_manifest_clear(out);
    json_decref(root);
    return code;
}

/* ---- in the store ---- */

enum rc_code egress_manifest_load(struct rc_job *job, const char *folder,
                                  struct egress_manifest *out, struct rc_error *err)
{
    RC_STR_AUTO uri = rc_strf("%s" EGRESS_MANIFEST, folder);
    RC_BUF_AUTO(body, EGRESS_MANIFEST_LIMIT);

    *out = (struct egress_manifest){ .tables = NULL };
    if (rc_storage_get(job, uri, &body, err) ||
        egress_manifest_parse(body.data, body.len, out, err))
        return rc_context(err, "read the manifest '%s'", uri);
    return RC_OK;
}

static enum rc_code write_whole(struct rc_job *job, const char *uri, const struct rc_buf *text,
                                struct rc_error *err)
{
    const struct rc_attributes attributes = { .content_type = "application/json" };
    const struct rc_put_options options = {
        .struct_bytes = sizeof(options),
        .size_bytes = (int64_t)text->len,
        .attributes = &attributes,
    };
    struct rc_writer *writer;
    enum rc_code code = rc_storage_create_with(job, uri, &options, &writer, err);

    if (code)
        return code;
    code = rc_storage_write(job, writer, text->data, text->len, err);
    if (!code)
        code = rc_storage_commit(job, writer, err);
    rc_storage_write_close(job, writer);
    return code;
}

enum rc_code egress_manifest_save(struct rc_job *job, const char *folder,
                                  const struct egress_manifest *manifest, struct rc_error *err)
{
    RC_STR_AUTO uri = rc_strf("%s" EGRESS_MANIFEST, folder);
    RC_BUF_AUTO(text, EGRESS_MANIFEST_LIMIT);

    if (egress_manifest_print(manifest, &text, err) || write_whole(job, uri, &text, err))
        return rc_context(err, "write the manifest '%s'", uri);
    return RC_OK;
}
