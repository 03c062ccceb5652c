/*
 * Step S4 of README.md: older versions of a table's objects, which a bucket with versions has kept,
 * of the days that were cleaned; those of objects that are removed by now, too. One that holds a
 * user is removed for ever, or counted. A role that erases may well not be let see them: that is
 * told, and an error only where they are to be removed.
 */
#include "run.h"

#include <run-core/host.h>

#include <stdlib.h>
#include <string.h>

struct version {
    char *uri, *version;
    struct rc_stat stat;
    bool remains;
};

struct versions {
    struct dsr_run *run;
    const struct dsr_shard_markers *markers;
    size_t table;
    struct version *items; /* in the order of their URIs */
    size_t count, capacity;
};

/* ---- listing -------------------------------------------------------------------------------- */

/* Whether a name as "day=2024-01-31/..." is of a day in the range. */
static bool is_of_range(const struct dsr_shard_markers *markers, const char *name)
{
    static const char folder[] = "day=";
    const char *slash = strchr(name, '/');
    int32_t day;

    if (!slash || !rc_str_starts(name, folder))
        return false;
    RC_STR_AUTO text =
        rc_strndup(name + sizeof(folder) - 1, (size_t)(slash - name) - (sizeof(folder) - 1));
    return rc_parse_day(text, &day) && day >= markers->first_day && day <= markers->last_day;
}

static void add(struct versions *versions, const struct rc_version *version)
{
    if (versions->count == versions->capacity) {
        versions->capacity = versions->capacity ? 2 * versions->capacity : 64;
        versions->items =
            rc_realloc(versions->items, versions->capacity * sizeof(*versions->items));
    }
    versions->items[versions->count++] = (struct version){
        .uri = rc_strdup(version->uri),
        .version = rc_strdup(version->version),
        .stat = version->stat,
    };
}

/* Those that are not what a reader finds today, and hold something. */
static enum rc_code list(struct versions *versions, struct rc_job *job, struct rc_error *err)
{
    RC_STR_AUTO folder =
        dsr_place_shard(versions->run->places.tables[versions->table], versions->markers->shard);
    struct rc_listing *listing;
    const struct rc_version *version = NULL;
    enum rc_code code = rc_storage_versions(job, folder, &listing, err);

    if (code)
        return rc_context(err, "list the versions below '%s'", folder);
    while (!(code = rc_storage_version_next(job, listing, &version, err)) && version)
        if (!version->is_current && !version->is_removal && version->version &&
            is_of_range(versions->markers, version->name))
            add(versions, version);
    rc_storage_list_close(job, listing);
    return code ? rc_context(err, "list the versions below '%s'", folder) : RC_OK;
}

/* ---- one version ---------------------------------------------------------------------------- */

static enum rc_code search(struct rc_job *job, const struct versions *versions,
                           const struct version *version, bool *holds, struct rc_error *err)
{
    const struct dsr_config *config = versions->run->config;
    struct dsr_reader *reader;
    struct dsr_found found;
    struct pq_file file;
    bool is_data;
    enum rc_code code =
        dsr_reader_open(job, version->uri, &version->stat, version->version, &reader, err);

    *holds = false;
    if (code)
        return code;
    code = dsr_reader_is_data(reader, &is_data, err);
    if (!code && is_data) {
        code = pq_file_open(&file, dsr_reader_source(reader), DSR_FOOTER_LIMIT, err);
        if (!code) {
            code = dsr_find(&file, RC_OBJECT_AT(struct dsr_table, config->tables, versions->table),
                            versions->markers->users, config->trust_statistics, &found, err);
            pq_file_close(&file);
        }
        if (!code) {
            *holds = found.count > 0;
            dsr_found_clear(&found);
        }
    }
    dsr_reader_close(reader);
    return code;
}

static enum rc_code remove_one(struct rc_job *job, const struct version *version,
                               struct rc_error *err)
{
    const struct rc_remove_options options = {
        .struct_bytes = sizeof(options),
        .version = version->version,
    };

    if (rc_storage_remove_with(job, version->uri, &options, err))
        return rc_context(err, "remove the version '%s' of '%s'", version->version, version->uri);
    rc_info(job, "'%s': the version '%s', which held a user, is removed", version->uri,
            version->version);
    rc_job_count(job, "versions_removed", 1);
    return RC_OK;
}

/*
 * A version that cannot be searched, since it has other columns or is damaged, is taken for one
 * that holds a user, and never removed: nobody knows.
 */
static enum rc_code see_to(struct rc_job *job, void *context, size_t index, struct rc_error *err)
{
    const struct versions *versions = context;
    struct version *version = &versions->items[index];
    enum rc_code code = search(job, versions, version, &version->remains, err);
    struct rc_error ignored = RC_ERROR_INIT;

    if (code == RC_CONFLICT && !rc_job_check(job, &ignored))
        return RC_OK; /* it is gone */
    if (code && (rc_retryable(code) || code == RC_CANCELLED ||
                 (code == RC_DENIED && versions->run->config->delete_old_versions)))
        return rc_context(err, "search the version '%s' of '%s'", version->version, version->uri);
    if (code) {
        rc_warn(job, "the version '%s' of '%s' cannot be searched and may hold a user: %s",
                version->version, version->uri, err->cause);
        version->remains = true;
        return RC_OK;
    }
    if (!version->remains || !versions->run->config->delete_old_versions)
        return RC_OK;
    version->remains = false;
    return remove_one(job, version, err);
}

/* ---- the whole ------------------------------------------------------------------------------ */

static void count_remaining(const struct versions *versions, struct dsr_shard_result *out)
{
    const char *last = NULL;

    for (size_t i = 0; i < versions->count; i++) {
        const struct version *version = &versions->items[i];

        if (!version->remains)
            continue;
        out->old_versions++;
        out->old_objects += !last || strcmp(last, version->uri) != 0;
        last = version->uri;
    }
}

/* The store does not show its versions, and nobody has asked for their removal. */
static bool may_go_on_without(const struct dsr_run *run, enum rc_code code)
{
    return (code == RC_DENIED || code == RC_UNSUPPORTED) && !run->config->delete_old_versions;
}

static enum rc_code clean_table(struct dsr_run *run, struct rc_job *job,
                                const struct dsr_shard_markers *markers, size_t table,
                                struct dsr_shard_result *out, struct rc_error *err)
{
    struct versions versions = {
        .run = run,
        .markers = markers,
        .table = table,
    };
    enum rc_code code = list(&versions, job, err);

    if (may_go_on_without(run, code)) {
        rc_warn(job,
                "shard %d of the table '%s': nobody knows whether older versions hold a user: "
                "%s: %s",
                (int)markers->shard,
                RC_OBJECT_AT(struct dsr_table, run->config->tables, table)->name, err->context,
                err->cause);
        out->hides_versions = true;
        code = RC_OK;
    } else if (!code) {
        code = rc_parallel(job, dsr_share(run), versions.count, see_to, &versions, err);
    }
    count_remaining(&versions, out);
    for (size_t i = 0; i < versions.count; i++) {
        free(versions.items[i].uri);
        free(versions.items[i].version);
    }
    free(versions.items);
    return code;
}

enum rc_code dsr_versions_clean(struct dsr_run *run, struct rc_job *job,
                                const struct dsr_shard_markers *markers,
                                struct dsr_shard_result *out, struct rc_error *err)
{
    for (size_t i = 0; i < run->places.table_count; i++)
        if (clean_table(run, job, markers, i, out, err))
            return rc_context(err, "table '%s'",
                              RC_OBJECT_AT(struct dsr_table, run->config->tables, i)->name);
    if (out->old_versions > 0)
        rc_job_count(job, "old_versions", out->old_versions);
    if (out->hides_versions)
        rc_job_count(job, "shards_hiding_versions", 1);
    return RC_OK;
}
