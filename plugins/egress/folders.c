/*
 * Folders with a manifest. The listing of the source finds them, several threads read them, and
 * from then on only what each lists is held: a sorted array of keys and sizes.
 */
#include "folders.h"
#include "clock.h"
#include "manifest.h"
#include "names.h"
#include "texts.h"

#include <pthread.h>
#include <stdlib.h>

enum {
    READERS = 16,
    LARGE_BYTES = 1 << 20, /* of a manifest: parsed it takes many times as much */
    FIRST_PAUSE_MS = 250,
    LONGEST_PAUSE_MS = 15000,
};

struct listed {
    char *key;
    int64_t size_bytes;
    bool is_seen;     /* at the source, with that size; of the thread that lists */
    bool is_filtered; /* left out by the filters; of the same */
    bool is_odd;      /* there, but not as it is listed; of the same */
    bool is_there;    /* at the target, too; of whoever reports */
};

struct folder {
    char *name; /* "2026-11-21/", or "" */
    char etag[RC_ETAG_TEXT];
    int64_t size_bytes, modified_unix_ms; /* of the manifest */

    char *fault; /* why it is not complete; NULL: it is */
    struct listed *listed;
    size_t count;

    bool is_at_target; /* a manifest is */
    bool is_same;      /* and it is this one */

    char *odd; /* an object that is not as the manifest says */
};

struct egress_folders {
    struct rc_job *job;
    const struct egress_place *source, *target;
    struct folder *items; /* by name */
    size_t count;
    bool is_listed; /* all of the source was */
    /* Those whose manifest only the target has: nothing is removed from there. */
    struct egress_texts foreign;
    pthread_mutex_t large; /* of whoever reads a large manifest: one at a time */
};

static const char no_manifest[] = "it has no manifest yet";

static char *manifest_uri(const struct egress_place *place, const char *folder)
{
    return rc_strf("%s%s" EGRESS_MANIFEST, place->uri, folder);
}

/* ---- one manifest ---- */

/* Why the folder is not complete; NULL: it is. */
static char *fault_of(const struct egress_manifest *manifest)
{
    if (manifest->complete)
        return NULL;
    return rc_strf("its manifest says that it is not complete: %zu of %zu tables failed",
                   egress_manifest_failed(manifest, NULL), manifest->table_count);
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct listed *)a)->key, ((const struct listed *)b)->key);
}

static void keep_objects(struct folder *folder, const struct egress_manifest *manifest)
{
    size_t count = 0;

    for (size_t i = 0; i < manifest->table_count; i++)
        count += manifest->tables[i].object_count;
    folder->listed = rc_calloc(count + 1, sizeof(*folder->listed));
    for (size_t i = 0; i < manifest->table_count; i++)
        for (size_t k = 0; k < manifest->tables[i].object_count; k++) {
            const struct egress_manifest_object *object = &manifest->tables[i].objects[k];

            folder->listed[folder->count++] = (struct listed){
                .key = rc_strdup(object->key),
                .size_bytes = object->stored_bytes,
            };
        }
    qsort(folder->listed, folder->count, sizeof(*folder->listed), by_key);
}

/* Whether the target has a manifest there, and the very same. */
static enum rc_code look_at_target(struct rc_job *job, const struct egress_place *target,
                                   struct folder *folder, const struct rc_buf *text,
                                   struct rc_error *err)
{
    RC_STR_AUTO uri = manifest_uri(target, folder->name);
    RC_BUF_AUTO(there, EGRESS_MANIFEST_LIMIT);
    enum rc_code code = rc_storage_get(job, uri, &there, err);

    if (code == RC_NOT_FOUND)
        return RC_OK;
    if (code && code != RC_TOO_LARGE)
        return rc_context(err, "read the manifest '%s'", uri);
    folder->is_at_target = true;
    folder->is_same =
        !code && there.len == text->len && memcmp(there.data, text->data, text->len) == 0;
    return RC_OK;
}

/*
 * Reads a manifest, of which 'text' then is the text. What makes no manifest makes no complete
 * folder, and is no failure of the sync: *fault says why it is not complete, and is NULL if it is.
 */
static enum rc_code read_manifest(struct rc_job *job, const char *uri, struct rc_buf *text,
                                  struct egress_manifest *out, char **fault, struct rc_error *err)
{
    enum rc_code code = rc_storage_get(job, uri, text, err);

    *out = (struct egress_manifest){ .tables = NULL };
    *fault = NULL;
    if (code == RC_NOT_FOUND)
        *fault = rc_strdup(no_manifest);
    else if (code == RC_TOO_LARGE)
        *fault = rc_strdup("what is named as its manifest is too large to be one");
    else if (code)
        return rc_context(err, "read the manifest '%s'", uri);
    if (*fault)
        return RC_OK;
    code = egress_manifest_parse(text->data, text->len, out, err);
    if (code == RC_CORRUPT)
        *fault = rc_strdup(err->cause);
    else if (code)
        return rc_context(err, "read the manifest '%s'", uri);
    else
        *fault = fault_of(out);
    return RC_OK;
}

static enum rc_code load_folder(const struct egress_folders *folders, struct folder *folder,
                                struct rc_error *err)
{
    RC_CLEANUP(egress_manifest_clear) struct egress_manifest manifest = { .tables = NULL };
    RC_STR_AUTO uri = manifest_uri(folders->source, folder->name);
    RC_BUF_AUTO(text, EGRESS_MANIFEST_LIMIT);

    if (read_manifest(folders->job, uri, &text, &manifest, &folder->fault, err))
        return err->code;
    if (folder->fault)
        return RC_OK;
    keep_objects(folder, &manifest);
    return look_at_target(folders->job, folders->target, folder, &text, err);
}

static enum rc_code load(struct rc_job *job, void *context, size_t index, struct rc_error *err)
{
    struct egress_folders *folders = context;
    struct folder *folder = &folders->items[index];
    enum rc_code code;

    (void)job;
    if (folder->size_bytes < LARGE_BYTES)
        return load_folder(folders, folder, err);
    pthread_mutex_lock(&folders->large);
    code = load_folder(folders, folder, err);
    pthread_mutex_unlock(&folders->large);
    return code;
}

/* ---- the run's date ---- */

/* Why the folder is not complete; NULL: it is. */
static enum rc_code look_for(struct rc_job *job, const char *uri, char **fault,
                             struct rc_error *err)
{
    RC_CLEANUP(egress_manifest_clear) struct egress_manifest manifest = { .tables = NULL };
    RC_BUF_AUTO(text, EGRESS_MANIFEST_LIMIT);

    rc_str_free(fault);
    return read_manifest(job, uri, &text, &manifest, fault, err);
}

static enum rc_code give_up_waiting(const char *shown, int64_t wait_ms, const char *fault,
                                    struct rc_error *err)
{
    char waited[RC_AMOUNT_TEXT];

    rc_format_duration(wait_ms, waited);
    if (!rc_str_eq(fault, no_manifest))
        return rc_fail(err, RC_SKIPPED, "'%s' is not complete after %s: %s", shown, waited, fault);
    return rc_fail(err, RC_SKIPPED,
                   "'%s' is not complete after %s: %s; if it lies elsewhere, the source has to be "
                   "what 'output' is for dump, with the same 'path'",
                   shown, waited, fault);
}

static enum rc_code wait_for(struct rc_job *job, const char *uri, const char *shown,
                             int64_t wait_ms, struct rc_error *err)
{
    int64_t waited_ms = 0, pause_ms = FIRST_PAUSE_MS;
    RC_STR_AUTO fault = NULL;

    for (;;) {
        if (look_for(job, uri, &fault, err))
            return err->code;
        if (!fault)
            return RC_OK;
        if (waited_ms == 0)
            rc_info(job, "waiting for '%s' to be complete: %s", shown, fault);
        if (waited_ms >= wait_ms)
            return give_up_waiting(shown, wait_ms, fault, err);
        pause_ms = pause_ms < wait_ms - waited_ms ? pause_ms : wait_ms - waited_ms;
        if (egress_pause(job, pause_ms, err))
            return err->code;
        waited_ms += pause_ms;
        pause_ms = 2 * pause_ms < LONGEST_PAUSE_MS ? 2 * pause_ms : LONGEST_PAUSE_MS;
    }
}

enum rc_code egress_folders_wait(struct rc_job *job, const struct egress_config *config,
                                 const struct egress_place *source, struct rc_error *err)
{
    struct egress_layout layout;
    RC_BUF_AUTO(folder, 4096);

    if (config->wait_for_manifest_ms == 0)
        return RC_OK;
    if (egress_layout_read(config->path, &layout, err) ||
        egress_layout_folder(job, &layout, job->slot_unix_ms, &folder, err))
        return rc_context(err, "find the folder of the run's date");
    RC_STR_AUTO uri = manifest_uri(source, folder.data);
    RC_STR_AUTO shown = rc_strf("%s%s", source->shown, folder.data);
    return wait_for(job, uri, shown, config->wait_for_manifest_ms, err);
}

/* ---- all of them ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct folder *)a)->name, ((const struct folder *)b)->name);
}

/* Compares as strcmp() does the text of 'len' bytes. */
static int compare_part(const char *part, size_t len, const char *name)
{
    int order = strncmp(part, name, len);

    return order != 0 ? order : name[len] == '\0' ? 0 : -1;
}

static struct folder *folder_of_len(const struct egress_folders *folders, const char *name,
                                    size_t len)
{
    size_t low = 0, high = folders->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_part(name, len, folders->items[middle].name);

        if (order == 0)
            return &folders->items[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

static void add_folder(struct egress_folders *folders, const struct rc_object *object)
{
    size_t len = strlen(object->name) - strlen(EGRESS_MANIFEST);

    /* By doubling, where the count is a power of two. */
    if ((folders->count & (folders->count - 1)) == 0)
        folders->items = rc_realloc(folders->items, (folders->count ? 2 * folders->count : 1) *
                                                        sizeof(*folders->items));
    struct folder *folder = &folders->items[folders->count++];
    *folder = (struct folder){
        .name = rc_strndup(object->name, len),
        .size_bytes = object->stat.size_bytes,
        .modified_unix_ms = object->stat.modified_unix_ms,
    };
    memcpy(folder->etag, object->stat.etag, sizeof(folder->etag));
}

static bool is_manifest(const char *name)
{
    return rc_str_eq(name, EGRESS_MANIFEST) || rc_str_ends(name, "/" EGRESS_MANIFEST);
}

/* Only what the source has not: 'items' are sorted by then. */
static void add_foreign(struct egress_folders *folders, const struct rc_object *object)
{
    size_t len = strlen(object->name) - strlen(EGRESS_MANIFEST);

    if (!folder_of_len(folders, object->name, len))
        egress_texts_take(&folders->foreign, rc_strndup(object->name, len));
}

static enum rc_code list_manifests(struct egress_folders *folders, const struct egress_place *place,
                                   void (*add)(struct egress_folders *folders,
                                               const struct rc_object *object),
                                   struct rc_error *err)
{
    struct rc_job *job = folders->job;
    const struct rc_object *object = NULL;
    struct rc_listing *listing;
    enum rc_code code = rc_storage_list(job, place->uri, NULL, &listing, err);

    if (code)
        return rc_context(err, "list '%s'", place->shown);
    while ((code = rc_storage_list_next(job, listing, &object, err)) == RC_OK && object)
        if (is_manifest(object->name))
            add(folders, object);
    rc_storage_list_close(job, listing);
    return code ? rc_context(err, "list '%s'", place->shown) : RC_OK;
}

/* A manifest that went since it was listed is of a folder that is being dumped again. */
static void tell_fault(const struct egress_folders *folders, const struct folder *folder)
{
    const char *shown = folders->source->shown;

    if (!folder->fault)
        return;
    if (rc_str_eq(folder->fault, no_manifest))
        rc_info(folders->job, "leaving out '%s%s': %s", shown, folder->name, folder->fault);
    else
        rc_warn(folders->job, "leaving out '%s%s': %s", shown, folder->name, folder->fault);
}

enum rc_code egress_folders_find(struct rc_job *job, const struct egress_config *config,
                                 const struct egress_place *source,
                                 const struct egress_place *target, struct egress_folders **out,
                                 struct rc_error *err)
{
    struct egress_folders *folders = rc_calloc(1, sizeof(*folders));

    *folders = (struct egress_folders){
        .job = job, .source = source, .target = target, .large = PTHREAD_MUTEX_INITIALIZER
    };
    *out = folders;
    if (list_manifests(folders, source, add_folder, err))
        return err->code;
    if (folders->count > 0)
        qsort(folders->items, folders->count, sizeof(*folders->items), by_name);
    if (config->remove_extra && list_manifests(folders, target, add_foreign, err))
        return err->code;
    egress_texts_sort(&folders->foreign);
    if (rc_parallel(job, READERS, folders->count, load, folders, err))
        return rc_context(err, "read the manifests of '%s'", source->shown);
    for (size_t i = 0; i < folders->count; i++)
        tell_fault(folders, &folders->items[i]);
    return RC_OK;
}

void egress_folders_free(struct egress_folders *folders)
{
    if (!folders)
        return;
    for (size_t i = 0; i < folders->count; i++) {
        struct folder *folder = &folders->items[i];

        for (size_t k = 0; k < folder->count; k++)
            free(folder->listed[k].key);
        free(folder->listed);
        free(folder->name);
        free(folder->fault);
        free(folder->odd);
    }
    egress_texts_clear(&folders->foreign);
    free(folders->items);
    pthread_mutex_destroy(&folders->large);
    free(folders);
}

enum rc_code egress_folders_begin(struct egress_folders *folders, struct rc_error *err)
{
    EGRESS_TEXTS_AUTO(uris);

    for (size_t i = 0; i < folders->count; i++) {
        const struct folder *folder = &folders->items[i];

        if (!folder->fault && folder->is_at_target && !folder->is_same)
            egress_texts_take(&uris, manifest_uri(folders->target, folder->name));
    }
    if (uris.count > 0 &&
        rc_storage_remove(folders->job, (const char *const *)uris.items, uris.count, err))
        return rc_context(err, "remove the old manifests of '%s'", folders->target->shown);
    return RC_OK;
}

void egress_folders_reset(struct egress_folders *folders)
{
    folders->is_listed = false;
    for (size_t i = 0; i < folders->count; i++) {
        struct folder *folder = &folders->items[i];

        rc_str_free(&folder->odd);
        folder->odd = NULL;
        for (size_t k = 0; k < folder->count; k++)
            folder->listed[k] = (struct listed){
                .key = folder->listed[k].key,
                .size_bytes = folder->listed[k].size_bytes,
            };
    }
}

/* ---- lookups ---- */

/* The innermost folder with a manifest that the name lies in; NULL: none, or it is not complete. */
static struct folder *find_folder(const struct egress_folders *folders, const char *name,
                                  const char **key)
{
    for (size_t len = strlen(name);; len--) {
        struct folder *folder = NULL;

        if (len == 0 || name[len - 1] == '/')
            folder = folder_of_len(folders, name, len);
        *key = name + len;
        if (folder || len == 0)
            return folder && !folder->fault ? folder : NULL;
    }
}

static struct listed *find_listed(const struct folder *folder, const char *key)
{
    const struct listed wanted = { .key = (char *)key };

    return bsearch(&wanted, folder->listed, folder->count, sizeof(*folder->listed), by_key);
}

/*
 * Where the target has this very manifest, it stays there, and only what it speaks of may come to
 * lie beside it. What is newer is of a dump that has begun since the manifest was read.
 */
static bool is_of_manifest(const struct folder *folder, const struct rc_object *object)
{
    return !folder->is_same || object->stat.modified_unix_ms <= folder->modified_unix_ms;
}

bool egress_folders_wants(struct egress_folders *folders, const struct rc_object *object, bool fits)
{
    int64_t size_bytes = object->stat.size_bytes;
    const char *key;
    struct folder *folder = find_folder(folders, object->name, &key);
    struct listed *listed = folder ? find_listed(folder, key) : NULL;

    if (!listed)
        return false;
    if (!fits) {
        listed->is_filtered = true;
        return false;
    }
    listed->is_odd = size_bytes != listed->size_bytes || !is_of_manifest(folder, object);
    if (size_bytes != listed->size_bytes) {
        rc_str_free(&folder->odd);
        folder->odd = rc_strf("'%s' has %lld bytes, not %lld as its manifest says", key,
                              (long long)size_bytes, (long long)listed->size_bytes);
        return false;
    }
    if (listed->is_odd) {
        rc_str_free(&folder->odd);
        folder->odd = rc_strf("'%s' is newer than it", key);
        return false;
    }
    listed->is_seen = true;
    return true;
}

/* Whether what lies behind the folder's own name begins with one that only the target has. */
static bool is_foreign(const struct egress_folders *folders, const char *name, const char *key)
{
    RC_STR_AUTO inner = rc_strdup(name);

    for (size_t len = strlen(name); name + len > key; len--) {
        inner[len] = '\0';
        if (name[len - 1] == '/' && egress_texts_has(&folders->foreign, inner))
            return true;
    }
    return false;
}

bool egress_folders_may_remove(const struct egress_folders *folders, const char *name)
{
    const char *key;
    const struct folder *folder = find_folder(folders, name, &key);

    return folder && !rc_str_eq(key, EGRESS_MANIFEST) && !find_listed(folder, key) &&
           !is_foreign(folders, name, key);
}

void egress_folders_arrived(struct egress_folders *folders, const char *name)
{
    const char *key;
    const struct folder *folder = find_folder(folders, name, &key);
    struct listed *listed = folder ? find_listed(folder, key) : NULL;

    if (listed)
        listed->is_there = true;
}

/* ---- what is missing ---- */

static bool is_missing(const struct listed *listed)
{
    return !listed->is_seen && !listed->is_filtered && !listed->is_odd;
}

/* Whether the manifest that was read is still that of the folder. */
static enum rc_code is_current(const struct egress_folders *folders, const struct folder *folder,
                               bool *out, struct rc_error *err)
{
    RC_STR_AUTO uri = manifest_uri(folders->source, folder->name);
    struct rc_stat stat;
    enum rc_code code = rc_storage_stat(folders->job, uri, &stat, err);

    *out = false;
    if (code == RC_NOT_FOUND)
        return RC_OK;
    if (code)
        return rc_context(err, "look at the manifest '%s' again", uri);
    *out = stat.size_bytes == folder->size_bytes && rc_str_eq(stat.etag, folder->etag);
    return RC_OK;
}

/*
 * Adds the names of what is missing, below the source. What lies in a folder of its own, though
 * listed by an outer one, is for that folder's manifest to say.
 */
static void find_missing(const struct egress_folders *folders, const struct folder *folder,
                         struct egress_texts *names)
{
    for (size_t i = 0; i < folder->count; i++) {
        RC_STR_AUTO name = rc_strf("%s%s", folder->name, folder->listed[i].key);
        const char *key;

        if (is_missing(&folder->listed[i]) && find_folder(folders, name, &key) == folder)
            egress_texts_take(names, rc_strdup(name));
    }
}

enum rc_code egress_folders_missing(struct egress_folders *folders,
                                    void (*tell)(void *context, const char *name), void *context,
                                    struct rc_error *err)
{
    folders->is_listed = true;
    for (size_t i = 0; i < folders->count; i++) {
        const struct folder *folder = &folders->items[i];
        EGRESS_TEXTS_AUTO(names);
        bool is_here = false;

        if (!folder->fault && !folder->is_same)
            find_missing(folders, folder, &names);
        if (names.count > 0 && is_current(folders, folder, &is_here, err))
            return err->code;
        for (size_t k = 0; is_here && k < names.count; k++)
            tell(context, names.items[k]);
    }
    return RC_OK;
}

/* ---- what follows ---- */

static size_t count_filtered(const struct folder *folder)
{
    size_t filtered = 0;

    for (size_t i = 0; i < folder->count; i++)
        filtered += folder->listed[i].is_filtered;
    return filtered;
}

static const struct listed *first_missing(const struct folder *folder)
{
    for (size_t i = 0; i < folder->count; i++)
        if (!folder->listed[i].is_seen || !folder->listed[i].is_there)
            return &folder->listed[i];
    return NULL;
}

/* Whether all that the manifest lists is at the target; says why not. */
static bool is_whole(const struct egress_folders *folders, const struct folder *folder)
{
    const struct listed *missing = first_missing(folder);
    size_t filtered = count_filtered(folder);
    RC_STR_AUTO place = rc_strf("%s%s", folders->source->shown, folder->name);

    if (folder->odd)
        rc_warn(folders->job, "the manifest of '%s' does not follow: %s", place, folder->odd);
    else if (filtered > 0)
        rc_info(folders->job,
                "the manifest of '%s' does not follow: filters leave out %zu of its objects", place,
                filtered);
    else if (missing && is_missing(missing) && folders->is_listed && folder->is_same)
        rc_info(folders->job, "'%s' no longer has '%s'; the target has had all of it", place,
                missing->key);
    else if (missing)
        rc_warn(folders->job, "the manifest of '%s' does not follow: its object '%s' %s", place,
                missing->key,
                missing->is_seen     ? "did not arrive"
                : folders->is_listed ? "is not there"
                                     : "was not come to");
    return !folder->odd && filtered == 0 && !missing;
}

bool egress_folders_next(struct egress_folders *folders, size_t *at, struct egress_following *out)
{
    while (*at < folders->count) {
        const struct folder *folder = &folders->items[(*at)++];

        if (folder->fault || !is_whole(folders, folder) || folder->is_same)
            continue;
        *out = (struct egress_following){
            .name = folder->name,
            .etag = folder->etag[0] ? folder->etag : NULL,
            .size_bytes = folder->size_bytes,
        };
        return true;
    }
    return false;
}
