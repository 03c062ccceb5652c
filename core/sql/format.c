/*
 * See format.h.
 */
#include <sql/format.h>

#include <run-core/str.h>

#include <string.h>

const char *core_format_name(enum core_format format)
{
    static const char *const names[] = {
        [CORE_FORMAT_PARQUET] = "parquet",
        [CORE_FORMAT_JSON] = "json",
        [CORE_FORMAT_CSV] = "csv",
    };

    return names[format];
}

static bool ends_with_any(const char *name, const char *const *suffixes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (rc_str_ends(name, suffixes[i]))
            return true;
    return false;
}

enum rc_code core_format_find(const char *declared, const char *path, enum core_format *out,
                              struct rc_error *err)
{
    static const char *const json[] = { ".json",     ".jsonl",     ".ndjson",
                                        ".json.gz",  ".jsonl.gz",  ".ndjson.gz",
                                        ".json.zst", ".jsonl.zst", ".ndjson.zst" };
    static const char *const csv[] = { ".csv", ".csv.gz", ".csv.zst" };

    if (declared) {
        for (int format = CORE_FORMAT_PARQUET; format <= CORE_FORMAT_CSV; format++)
            if (rc_str_eq(declared, core_format_name((enum core_format)format))) {
                *out = (enum core_format)format;
                return RC_OK;
            }
        return rc_fail(err, RC_INVALID, "format '%s' is not parquet, json or csv", declared);
    }
    if (rc_str_ends(path, ".parquet"))
        *out = CORE_FORMAT_PARQUET;
    else if (ends_with_any(path, json, RC_ARRAY_LEN(json)))
        *out = CORE_FORMAT_JSON;
    else if (ends_with_any(path, csv, RC_ARRAY_LEN(csv)))
        *out = CORE_FORMAT_CSV;
    else
        return rc_fail(err, RC_INVALID,
                       "the name of '%s' does not tell its format (.parquet, .json, .jsonl, "
                       ".ndjson or .csv, the latter also with .gz or .zst)",
                       path);
    return RC_OK;
}

bool core_format_is_hidden(const char *name)
{
    while (*name) {
        size_t len = strcspn(name, "/");

        if (*name == '.' || (*name == '_' && !memchr(name, '=', len)))
            return true;
        name += len;
        name += *name == '/';
    }
    return false;
}

bool core_format_is_data(const char *name)
{
    return *name && !rc_str_ends(name, "/") && !core_format_is_hidden(name);
}
