/*
 * Lists the locations of a table, and makes of the names of files the folders that hold them.
 */
#include <sql/presto_folders.h>

#include <run-core/str.h>
#include <run-core/uri.h>

#include <stdlib.h>
#include <string.h>

enum { MOST_FOLDERS = 200 * 1000 };

/* ---- what a folder's name says -------------------------------------------------------------- */

/* The partition whose key the component is a folder of; partition_count: of none. */
static size_t key_of(const struct rc_sql_table *table, const char *component, size_t len)
{
    for (size_t i = 0; i < table->partition_count; i++) {
        size_t name = strlen(table->partitions[i].name);

        if (name < len && memcmp(component, table->partitions[i].name, name) == 0 &&
            component[name] == '=')
            return i;
    }
    return table->partition_count;
}

/* Where the path begins: behind the bucket, or at the root of this machine. */
static const char *path_of(const char *uri)
{
    const char *authority = strstr(uri, "://");
    const char *slash = authority ? strchr(authority + 3, '/') : NULL;

    return slash ? slash + 1 : uri + strlen(uri);
}

/*
 * How much of a file's URI is the folder that a table is made of. Where the server reads what lies
 * in folders within, it is the innermost that the location or a key tells of.
 */
static size_t folder_len(const struct rc_sql_table *table, const char *location, const char *uri,
                         bool nested)
{
    size_t whole = (size_t)(strrchr(uri, '/') + 1 - uri);
    size_t told = strlen(location);

    for (const char *part = path_of(uri); nested && part < uri + whole;) {
        size_t len = strcspn(part, "/");
        bool is_key = key_of(table, part, len) < table->partition_count;

        part += len + 1;
        if (is_key && (size_t)(part - uri) > told)
            told = (size_t)(part - uri);
    }
    return nested ? told : whole;
}

/*
 * The keys of a folder, the last folder of a name counting, and how many of them end the path one
 * behind the other.
 */
static enum rc_code find_keys(const struct rc_sql_table *table, struct core_presto_folder *folder,
                              struct rc_error *err)
{
    size_t where[CORE_PRESTO_KEYS] = { 0 };
    size_t at[CORE_PRESTO_KEYS] = { 0 }; /* of the component among all, counted from 1 */
    size_t components = 0;
    const char *next;

    for (const char *part = path_of(folder->uri); *part; part = next) {
        size_t len = strcspn(part, "/");
        size_t key = key_of(table, part, len);

        next = part + len + (part[len] == '/');
        components++;
        if (key == table->partition_count)
            continue;
        size_t name = strlen(table->partitions[key].name) + 1;
        folder->values[key] = (struct core_presto_key_value){ part + name, len - name };
        where[key] = (size_t)(part - folder->uri);
        at[key] = components;
    }
    folder->base_len = strlen(folder->uri);
    for (size_t i = 0; i < table->partition_count; i++)
        if (!at[i])
            return rc_fail(err, RC_INVALID, "no folder '%s=...' is on the way to the files in '%s'",
                           table->partitions[i].name, folder->uri);
    for (size_t end = components; folder->key_count < table->partition_count; end--) {
        size_t key = 0;

        while (key < table->partition_count && at[key] != end)
            key++;
        if (key == table->partition_count)
            break;
        memmove(folder->keys + 1, folder->keys, folder->key_count);
        folder->keys[0] = (unsigned char)key;
        folder->key_count++;
        folder->base_len = where[key];
    }
    return RC_OK;
}

size_t core_presto_folder_len(const struct core_presto_folder *folder, size_t keys)
{
    const struct core_presto_key_value *last;

    if (keys == 0)
        return folder->base_len;
    last = &folder->values[folder->keys[keys - 1]];
    return (size_t)(last->text + last->len + 1 - folder->uri);
}

/* ---- listing -------------------------------------------------------------------------------- */

static struct core_presto_folder *add_folder(struct core_presto_folders *folders, const char *uri,
                                             size_t len)
{
    if (folders->count == folders->capacity) {
        folders->capacity = folders->capacity ? folders->capacity * 2 : 64;
        folders->items = rc_realloc(folders->items, folders->capacity * sizeof(*folders->items));
    }
    folders->items[folders->count] = (struct core_presto_folder){
        .uri = core_arena_strndup(&folders->arena, uri, len),
    };
    return &folders->items[folders->count++];
}

static enum rc_code mixed(const struct core_presto_folder *folder, enum core_format other,
                          struct rc_error *err)
{
    return rc_fail(err, RC_UNSUPPORTED,
                   "files of two formats, %s and %s, lie in '%s'; the server reads all files of a "
                   "folder alike",
                   core_format_name(folder->format), core_format_name(other), folder->uri);
}

static enum rc_code add_file(struct core_presto_folders *folders, const struct rc_sql_table *table,
                             const char *location, const struct rc_object *object, bool nested,
                             struct rc_error *err)
{
    struct core_presto_folder *folder = folders->count ? &folders->items[folders->count - 1] : NULL;
    size_t len = folder_len(table, location, object->uri, nested);
    enum core_format format;

    if (core_format_find(table->format, object->uri, &format, err))
        return err->code;
    if (format == CORE_FORMAT_CSV)
        return rc_fail(err, RC_UNSUPPORTED, "'%s' is CSV, which only the embedded engine reads",
                       object->uri);
    if (folder && strlen(folder->uri) == len && memcmp(folder->uri, object->uri, len) == 0)
        return folder->format == format ? RC_OK : mixed(folder, format, err);
    if (folders->count == MOST_FOLDERS)
        return rc_fail(err, RC_TOO_LARGE, "the files lie in more than %d folders; take fewer",
                       MOST_FOLDERS);
    folder = add_folder(folders, object->uri, len);
    folder->given_len = strlen(location);
    folder->format = format;
    return find_keys(table, folder, err);
}

static enum rc_code list(struct core_storage *storage, const struct rc_sql_table *table,
                         const char *location, bool nested, struct core_presto_folders *out,
                         struct rc_error *err)
{
    struct rc_listing *listing = NULL;
    const struct rc_object *object = NULL;
    enum rc_code code = core_storage_list(storage, location, NULL, &listing, err);

    while (!code && !(code = core_listing_next(listing, &object, err)) && object) {
        if (core_format_is_data(object->name))
            code = add_file(out, table, location, object, nested, err);
    }
    core_listing_close(listing);
    return code ? rc_context(err, "list '%s'", location) : RC_OK;
}

/* ---- what is found twice -------------------------------------------------------------------- */

static int compare_uris(const void *a, const void *b)
{
    return strcmp(((const struct core_presto_folder *)a)->uri,
                  ((const struct core_presto_folder *)b)->uri);
}

static int compare_shapes(const void *one, const void *other)
{
    const struct core_presto_folder *a = one, *b = other;
    size_t len = a->base_len < b->base_len ? a->base_len : b->base_len;
    int order = memcmp(a->uri, b->uri, len);

    if (!order && a->base_len != b->base_len)
        order = a->base_len < b->base_len ? -1 : 1;
    if (!order && a->key_count != b->key_count)
        order = a->key_count < b->key_count ? -1 : 1;
    if (!order)
        order = memcmp(a->keys, b->keys, a->key_count);
    if (!order && a->format != b->format)
        order = a->format < b->format ? -1 : 1;
    return order ? order : compare_uris(one, other);
}

static bool has_same_values(const struct core_presto_folder *a, const struct core_presto_folder *b)
{
    for (size_t i = 0; i < CORE_PRESTO_KEYS; i++)
        if (a->values[i].len != b->values[i].len ||
            (a->values[i].len && memcmp(a->values[i].text, b->values[i].text, a->values[i].len)))
            return false;
    return true;
}

/* A folder's own files may be listed before and behind those of a folder in it. */
static enum rc_code merge(struct core_presto_folders *folders, bool nested, struct rc_error *err)
{
    size_t count = 0;

    qsort(folders->items, folders->count, sizeof(*folders->items), compare_uris);
    for (size_t i = 0; i < folders->count; i++) {
        struct core_presto_folder *last = count ? &folders->items[count - 1] : NULL;
        struct core_presto_folder *folder = &folders->items[i];
        bool is_same = last && rc_str_eq(last->uri, folder->uri);

        if (is_same && last->format != folder->format)
            return mixed(last, folder->format, err);
        if (is_same && folder->given_len > last->given_len)
            last->given_len = folder->given_len;
        if (!is_same && nested && last && rc_str_starts(folder->uri, last->uri)) {
            if (last->format != folder->format || !has_same_values(last, folder))
                return rc_fail(err, RC_UNSUPPORTED,
                               "the server reads the files in '%s' together with those in '%s', "
                               "which have other keys or another format",
                               folder->uri, last->uri);
            is_same = true;
        }
        if (!is_same)
            folders->items[count++] = *folder;
    }
    folders->count = count;
    if (count > 0)
        qsort(folders->items, count, sizeof(*folders->items), compare_shapes);
    return RC_OK;
}

enum rc_code core_presto_list_folders(struct core_storage *storage,
                                      const struct rc_sql_table *table, bool nested,
                                      struct core_presto_folders *out, struct rc_error *err)
{
    for (size_t i = 0; i < table->location_count; i++)
        if (list(storage, table, table->locations[i], nested, out, err))
            return err->code;
    return out->count > 0 ? merge(out, nested, err) : RC_OK;
}

void core_presto_folders_clear(struct core_presto_folders *folders)
{
    core_arena_clear(&folders->arena);
    free(folders->items);
    *folders = (struct core_presto_folders){ .arena = CORE_ARENA_INIT };
}
