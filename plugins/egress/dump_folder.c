/*
 * The run's folder: what earlier runs of the same time have left in it must not be taken for part
 * of this one. Only names that the layout makes, of tables of this run, are ever removed.
 */
#include "dump.h"
#include "texts.h"

#include <inttypes.h>
#include <string.h>

enum { URI_LIMIT = 1 << 20, AT_ONCE = 1000 };

/* All endings that objects of any configuration have; a longer one before one that it ends with. */
static const char *const endings[] = { ".csv.gz", ".csv.zst", ".csv", ".parquet" };

/* ---- before ---- */

enum rc_code egress_dump_check_lease(struct egress_dump *dump, struct rc_error *err)
{
    if (rc_lock_check(dump->job, dump->lock, err))
        return rc_context(err, "make sure that no other run dumps to '%s'", dump->folder);
    return RC_OK;
}

static enum rc_code sweep(struct egress_dump *dump, const char *prefix, struct rc_error *err)
{
    int64_t swept = 0;

    if (rc_storage_sweep(dump->job, prefix, INT64_MAX, &swept, err))
        return rc_context(err, "give up unfinished uploads to '%s'", prefix);
    if (swept > 0)
        rc_info(dump->job, "gave up %" PRId64 " unfinished upload%s of an earlier run to '%s'",
                swept, swept == 1 ? "" : "s", prefix);
    return RC_OK;
}

/*
 * A folder that the layout makes is of one run at a time, by the lock. Without one the objects lie
 * beside who knows what, and only uploads of their own names are ours.
 */
enum rc_code egress_dump_sweep(struct egress_dump *dump, struct rc_error *err)
{
    if (dump->layout.folder_len > 0)
        return sweep(dump, dump->folder, err);
    for (size_t i = 0; i < dump->plan.object_count; i++) {
        RC_STR_AUTO uri = rc_strf("%s%s", dump->folder, dump->plan.objects[i].key);

        if (sweep(dump, uri, err))
            return err->code;
    }
    return RC_OK;
}

enum rc_code egress_dump_drop_manifest(struct egress_dump *dump, struct rc_error *err)
{
    RC_STR_AUTO uri = rc_strf("%s" EGRESS_MANIFEST, dump->folder);
    const char *uris[] = { uri };

    if (rc_storage_remove(dump->job, uris, RC_ARRAY_LEN(uris), err))
        return rc_context(err, "remove the manifest of an earlier run");
    return RC_OK;
}

/* ---- afterwards ---- */

/* "orders" of "orders/part-00007.csv.gz", to be freed; NULL: the layout makes no such name. */
static char *table_of(const char *name)
{
    static const char part[] = "/part-";

    for (size_t i = 0; i < RC_ARRAY_LEN(endings); i++) {
        size_t len = strlen(name), digits = 0;
        char *stem, *dash;

        if (!rc_str_ends(name, endings[i]))
            continue;
        stem = rc_strndup(name, len - strlen(endings[i]));
        dash = strrchr(stem, '/');
        if (dash && rc_str_starts(dash, part))
            digits = strspn(dash + strlen(part), "0123456789");
        if (digits >= 5 && dash[strlen(part) + digits] == '\0')
            *dash = '\0';
        return stem;
    }
    return NULL;
}

/* The names that tables of this run have in the folder, and the objects that they have now. */
static void gather_names(const struct egress_dump *dump, struct egress_texts *tables,
                         struct egress_texts *current)
{
    for (size_t i = 0; i < dump->catalog.count; i++) {
        RC_BUF_AUTO(name, URI_LIMIT);

        egress_layout_key(&dump->layout, dump->catalog.tables[i].name, -1, "", &name);
        egress_texts_take(tables, rc_buf_take(&name));
    }
    for (size_t i = 0; i < dump->plan.object_count; i++)
        if (!egress_dump_failure(dump, dump->plan.objects[i].table))
            egress_texts_take(current, rc_strdup(dump->plan.objects[i].key));
    egress_texts_sort(tables);
    egress_texts_sort(current);
}

static bool is_stale(const char *name, const struct egress_texts *tables,
                     const struct egress_texts *current)
{
    RC_STR_AUTO table = table_of(name);

    return table && egress_texts_has(tables, table) && !egress_texts_has(current, name);
}

static enum rc_code list_stale(struct egress_dump *dump, struct rc_listing *listing,
                               struct egress_texts *stale, struct rc_error *err)
{
    EGRESS_TEXTS_AUTO(tables);
    EGRESS_TEXTS_AUTO(current);
    const struct rc_object *object;

    gather_names(dump, &tables, &current);
    for (;;) {
        if (rc_storage_list_next(dump->job, listing, &object, err))
            return err->code;
        if (!object)
            return RC_OK;
        if (is_stale(object->name, &tables, &current))
            egress_texts_take(stale, rc_strdup(object->uri));
    }
}

static enum rc_code find_stale(struct egress_dump *dump, struct egress_texts *stale,
                               struct rc_error *err)
{
    struct rc_listing *listing;
    enum rc_code code;

    if (rc_storage_list(dump->job, dump->folder, NULL, &listing, err))
        return err->code;
    code = list_stale(dump, listing, stale, err);
    rc_storage_list_close(dump->job, listing);
    return code;
}

/*
 * Of a table that failed nothing stays: the folder is of this run, and an older object in it would
 * be taken for what the table holds now.
 */
enum rc_code egress_dump_drop_stale(struct egress_dump *dump, struct rc_error *err)
{
    EGRESS_TEXTS_AUTO(stale);

    if (find_stale(dump, &stale, err))
        return rc_context(err, "look for objects of an earlier run in '%s'", dump->folder);
    for (size_t i = 0; i < stale.count; i += AT_ONCE) {
        size_t count = stale.count - i < AT_ONCE ? stale.count - i : AT_ONCE;

        if (rc_storage_remove(dump->job, (const char *const *)&stale.items[i], count, err))
            return rc_context(err, "remove objects of an earlier run from '%s'", dump->folder);
    }
    if (stale.count > 0)
        rc_info(dump->job, "removed %zu object%s of an earlier run from '%s'", stale.count,
                stale.count == 1 ? "" : "s", dump->folder);
    return RC_OK;
}
