/*
 * Builds the URIs of all that the plugin reads and writes, and refuses those of which one would be
 * taken for another. What lies there is of no concern here.
 */
#include "places.h"
#include "digest.h"

#include <run-core/plugin.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { URI_LIMIT = 8192 };

/* ---- folders ---- */

/* Where the path of a URI begins: behind the bucket, and behind the "//" of file://. */
static size_t path_start(const char *uri)
{
    size_t scheme = (size_t)(strstr(uri, "://") - uri) + 3;

    return rc_str_starts(uri, "file://") ? scheme : scheme + strcspn(uri + scheme, "/");
}

/* The folder as a URI: no two slashes together but those of its scheme, and one at its end. */
static char *folder(const char *bucket, const char *path, const char *working_dir)
{
    RC_BUF_AUTO(placed, URI_LIMIT);
    RC_BUF_AUTO(uri, URI_LIMIT);
    size_t start;

    rc_uri_place(&placed, bucket, path, working_dir);
    start = path_start(placed.data);
    rc_buf_add(&uri, placed.data, start);
    for (const char *rest = placed.data + start; *rest != '\0';) {
        size_t len;

        rest += strspn(rest, "/");
        len = strcspn(rest, "/");
        if (len > 0)
            rc_buf_addf(&uri, "/%.*s", (int)len, rest);
        rest += len;
    }
    rc_buf_addc(&uri, '/');
    return uri.overflow ? NULL : rc_buf_take(&uri);
}

static enum rc_code place(const char *option, const char *bucket, const char *path,
                          const char *working_dir, char **out, struct rc_error *err)
{
    *out = folder(bucket, path, working_dir);
    if (!*out)
        return rc_fail(err, RC_INVALID, "'%s' names a folder of more than %d bytes", option,
                       URI_LIMIT);
    return RC_OK;
}

/* The bucket of tempFolder: as configured, or that of the table's folder, wherever it is named. */
static char *temp_bucket(const struct dsr_config *config, const struct dsr_table *table,
                         const char *uri)
{
    if (config->target_bucket && config->target_bucket[0] != '\0')
        return rc_strdup(config->target_bucket);
    if (rc_str_starts(uri, "file://"))
        return rc_strdup(table->bucket);
    return rc_strndup(uri, path_start(uri));
}

static enum rc_code place_table(const struct dsr_config *config, size_t i, const char *working_dir,
                                struct dsr_places *out, struct rc_error *err)
{
    const struct dsr_table *table = RC_OBJECT_AT(struct dsr_table, config->tables, i);
    RC_STR_AUTO bucket = NULL;

    if (place("sourceS3Folder", table->bucket, table->folder, working_dir, &out->tables[i], err))
        return err->code;
    bucket = temp_bucket(config, table, out->tables[i]);
    return place("tempFolder", bucket, config->temp_folder, working_dir, &out->temps[i], err);
}

/* ---- what the archive keeps ---- */

/*
 * Behind the first place in 'text' where its segments are those of 'part'; NULL: they are nowhere.
 * 'text' begins with a segment or a slash and ends with a slash, 'part' has at least one segment.
 */
static const char *behind_segments(const char *text, const char *part)
{
    for (;; text += strcspn(text, "/")) {
        const char *at, *wanted = part + strspn(part, "/");

        text += strspn(text, "/");
        if (*text == '\0')
            return NULL;
        for (at = text; *wanted != '\0'; wanted += strspn(wanted, "/")) {
            size_t len = strcspn(wanted, "/");

            if (strncmp(at, wanted, len) != 0 || at[len] != '/')
                break;
            at += len + 1;
            wanted += len;
        }
        if (*wanted == '\0')
            return at;
    }
}

/*
 * A path that is relative is searched without the directory that it is relative to, which may hold
 * the same words by chance.
 */
static enum rc_code find_archived(const struct dsr_config *config, const char *working_dir,
                                  struct dsr_places *out, struct rc_error *err)
{
    const char *part = config->archived_after ? config->archived_after : "";
    const char *from = strstr(out->markers, "://") + 3, *found;

    out->archived_from = strlen(out->markers);
    if (part[strspn(part, "/")] == '\0')
        return RC_OK;
    if (!rc_uri_has_scheme(config->markers_folder) && config->markers_folder[0] != '/') {
        RC_STR_AUTO above = folder(NULL, working_dir, "/");

        if (above && rc_str_starts(out->markers, above))
            from = out->markers + strlen(above);
    }
    found = behind_segments(from, part);
    if (!found)
        return rc_fail(err, RC_INVALID,
                       "'archivedPartAfter' is '%s', which is no part of markersBaseFolder '%s'; "
                       "name one or more of its folders, or leave it out",
                       part, config->markers_folder);
    out->archived_from = (size_t)(found - out->markers);
    return RC_OK;
}

/* ---- what must not lie in one another ---- */

/* Whether a folder is the other one or lies in it. */
static bool lies_in(const char *inner, const char *outer)
{
    return rc_str_starts(inner, outer);
}

/* The same, unless a name between them begins with a dot: no marker is looked for there. */
static bool is_seen_in(const char *inner, const char *outer)
{
    return lies_in(inner, outer) && inner[strlen(outer)] != '.' &&
           !strstr(inner + strlen(outer), "/.");
}

static enum rc_code check_markers(const struct dsr_places *places, struct rc_error *err)
{
    RC_STR_AUTO archived = dsr_place_archived(places, places->markers);

    if (is_seen_in(archived, places->markers) || is_seen_in(places->report, places->markers))
        return rc_fail(err, RC_INVALID,
                       "markers would be archived to '%s', and the record written to '%s': that "
                       "lies among the markers of '%s' and would be read as such; choose another "
                       "markersArchiveFolder",
                       archived, places->report, places->markers);
    for (size_t i = 0; i < places->table_count; i++) {
        if (is_seen_in(places->temps[i], places->markers))
            return rc_fail(err, RC_INVALID,
                           "tempFolder '%s' lies among the markers of '%s' and would be read as "
                           "such; choose another one",
                           places->temps[i], places->markers);
        if (is_seen_in(places->tables[i], places->markers))
            return rc_fail(err, RC_INVALID,
                           "the table's folder '%s' lies among the markers of '%s' and would be "
                           "read as such",
                           places->tables[i], places->markers);
    }
    return RC_OK;
}

/* Whoever reads the table reads all that lies in its folder. */
static enum rc_code check_table(const struct dsr_places *places, const char *table,
                                struct rc_error *err)
{
    RC_STR_AUTO archived = dsr_place_archived(places, places->markers);

    if (lies_in(archived, table) || lies_in(places->report, table))
        return rc_fail(err, RC_INVALID,
                       "markers would be archived to '%s', and the record written to '%s': that is "
                       "within the table's folder '%s'; choose another markersArchiveFolder",
                       archived, places->report, table);
    for (size_t i = 0; i < places->table_count; i++) {
        RC_STR_AUTO backups = dsr_place_backup(places, i, "");

        if (lies_in(backups, table))
            return rc_fail(err, RC_INVALID,
                           "tempFolder '%s' is within the table's folder '%s', where the originals "
                           "in it would be read as data; choose another one",
                           places->temps[i], table);
    }
    return RC_OK;
}

static enum rc_code check_nesting(const struct dsr_places *places, struct rc_error *err)
{
    if (check_markers(places, err))
        return err->code;
    for (size_t i = 0; i < places->table_count; i++)
        if (check_table(places, places->tables[i], err))
            return err->code;
    return RC_OK;
}

/* ---- all of them ---- */

static void make_scope(struct dsr_places *out)
{
    char digest[DSR_HASH_TEXT];

    dsr_digest_text(out->markers, digest);
    (void)snprintf(out->scope, sizeof(out->scope), "%.*s", (int)sizeof(out->scope) - 1, digest);
}

static enum rc_code make(const struct dsr_config *config, const char *working_dir,
                         struct dsr_places *out, struct rc_error *err)
{
    if (place("markersBaseFolder", NULL, config->markers_folder, working_dir, &out->markers, err) ||
        place("markersArchiveFolder", NULL, config->archive_folder, working_dir, &out->archive,
              err))
        return err->code;
    out->report = rc_strf("%sdsr-report/", out->archive);
    for (size_t i = 0; i < out->table_count; i++)
        if (place_table(config, i, working_dir, out, err))
            return err->code;
    make_scope(out);
    if (find_archived(config, working_dir, out, err))
        return err->code;
    return check_nesting(out, err);
}

enum rc_code dsr_places_make(const struct dsr_config *config, const char *working_dir,
                             struct dsr_places *out, struct rc_error *err)
{
    size_t count = config->tables.len;

    *out = (struct dsr_places){
        .tables = rc_calloc(count + 1, sizeof(*out->tables)),
        .temps = rc_calloc(count + 1, sizeof(*out->temps)),
        .table_count = count,
    };
    if (make(config, working_dir, out, err)) {
        dsr_places_clear(out);
        return err->code;
    }
    return RC_OK;
}

void dsr_places_clear(struct dsr_places *places)
{
    for (size_t i = 0; i < places->table_count; i++) {
        free(places->tables[i]);
        free(places->temps[i]);
    }
    free(places->tables);
    free(places->temps);
    free(places->markers);
    free(places->archive);
    free(places->report);
    *places = (struct dsr_places){ .markers = NULL };
}

char *dsr_place_shard(const char *folder_uri, int32_t shard)
{
    return rc_strf("%sshard=%d/", folder_uri, (int)shard);
}

char *dsr_place_archived(const struct dsr_places *places, const char *marker_uri)
{
    return rc_strf("%s%s", places->archive, marker_uri + places->archived_from);
}

char *dsr_place_backup(const struct dsr_places *places, size_t table, const char *id)
{
    return rc_strf("%sbackup/%s", places->temps[table], id);
}

char *dsr_place_report(const struct dsr_places *places, const char *name)
{
    return rc_strf("%s%s", places->report, name);
}
