/*
 * Compares a folder with its manifest: which objects there are, and what each of them holds. An
 * object is read back in verify_object.c.
 */
#include "verify.h"
#include "egress.h"
#include "names.h"
#include "sides.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    URI_LIMIT = 8192,
    LEAST_READERS = 4,
    MOST_READERS = 16,
    STRANGERS_NAMED = 20,
    PROBLEMS_SAID = 200,
};

static const char *const places[] = { "output", "source", "target", NULL };

const struct rc_option egress_verify_options[] = {
    { RC_ENUM("at", struct egress_verify_params, at, places), .def = "output",
      .help = "Where the dump lies: where dumps go, or at a side of the sync, with its keys." },
    { RC_STR("folder", struct egress_verify_params, folder),
      .help = "Folder to verify: a URI or a local path; of a side of the sync, a folder below it. "
              "Without it that of 'date'." },
    { RC_DAY("date", struct egress_verify_params, date),
      .help = "Date of the dump to verify; without it that of the run." },
    { RC_BOOL("deep", struct egress_verify_params, deep), .def = "true",
      .help = "Expands each object, too, and counts its text and rows; without it only the "
              "stored bytes are compared." },
    { 0 },
};

/* ---- what there is to verify ---- */

static const char *plural(int64_t count)
{
    return count == 1 ? "" : "s";
}

struct place {
    char *uri, *shown; /* 'shown' is for people, and NULL where it is the same */
};

static void clear_place(struct place *place)
{
    rc_str_free(&place->uri);
    rc_str_free(&place->shown);
}

static const char *show(const struct place *place)
{
    return place->shown ? place->shown : place->uri;
}

static enum rc_code join_folder(const char *place, const char *folder, char **out,
                                struct rc_error *err)
{
    RC_BUF_AUTO(joined, URI_LIMIT);
    RC_BUF_AUTO(uri, URI_LIMIT);

    rc_uri_join(&joined, place, folder);
    rc_uri_join(&uri, joined.data, "");
    if (rc_buf_check(&joined, err) || rc_buf_check(&uri, err))
        return rc_context(err, "parameter 'folder'");
    *out = rc_buf_take(&uri);
    return RC_OK;
}

/* A folder that is named as it is. */
static enum rc_code find_named(struct rc_job *job, const char *folder, char **out,
                               struct rc_error *err)
{
    RC_BUF_AUTO(place, URI_LIMIT);

    rc_uri_place(&place, NULL, folder, job->working_dir);
    if (rc_buf_check(&place, err))
        return rc_context(err, "parameter 'folder'");
    return join_folder(place.data, "", out, err);
}

static enum rc_code find_at_side(struct rc_job *job, const struct egress_config *config,
                                 int64_t nominal_unix_ms, struct place *out, struct rc_error *err)
{
    const struct egress_verify_params *params = job->params;
    enum egress_which which = params->at == EGRESS_AT_SOURCE ? EGRESS_SOURCE : EGRESS_TARGET;
    struct egress_place place;
    enum rc_code code = egress_place_open(job, config, which, &place, err);

    if (code)
        return code;
    if (params->folder)
        code = join_folder(place.uri, params->folder, &out->uri, err);
    else
        code = egress_folder_below(job, config, place.uri, nominal_unix_ms, &out->uri, err);
    if (!code)
        out->shown = egress_place_show(&place, out->uri);
    egress_place_clear(&place);
    return code;
}

static enum rc_code find_folder(struct rc_job *job, const struct egress_config *config,
                                struct place *out, struct rc_error *err)
{
    const struct egress_verify_params *params = job->params;
    int64_t nominal_unix_ms = job->slot_unix_ms;

    if (params->date != RC_DAY_NONE && rc_job_day_start(job, params->date, &nominal_unix_ms, err))
        return rc_context(err, "name the folder of the date");
    if (params->at != EGRESS_AT_OUTPUT)
        return find_at_side(job, config, nominal_unix_ms, out, err);
    if (params->folder)
        return find_named(job, params->folder, &out->uri, err);
    return egress_folder_uri(job, config, nominal_unix_ms, &out->uri, err);
}

static enum rc_code begin(const struct egress_manifest *manifest, const struct place *place,
                          bool deep, struct egress_verification *out, struct rc_error *err)
{
    size_t next = 0;

    *out = (struct egress_verification){
        .manifest = manifest, .folder = place->uri, .shown = show(place), .counts_rows = deep
    };
    /* Written by a later version, perhaps: nothing that its user has to correct. */
    if (deep && rc_str_eq(manifest->format, "csv") &&
        egress_compression_read(manifest->compression, &out->compression, err)) {
        (void)!rc_fail(err, RC_UNSUPPORTED, "%s", err->cause);
        return rc_context(err, "the manifest of '%s'", out->shown);
    }
    for (size_t i = 0; i < manifest->table_count; i++)
        out->count += manifest->tables[i].object_count;
    out->objects = rc_calloc(out->count + 1, sizeof(*out->objects));
    out->order = rc_calloc(out->count + 1, sizeof(struct egress_checked *));
    for (size_t i = 0; i < manifest->table_count; i++) {
        const struct egress_manifest_table *table = &manifest->tables[i];

        for (size_t j = 0; j < table->object_count; j++, next++) {
            out->objects[next] = (struct egress_checked){ .table = table,
                                                          .object = &table->objects[j],
                                                          .listed_bytes = -1 };
            rc_buf_init(&out->objects[next].problems, EGRESS_PROBLEMS_LIMIT);
            out->order[next] = &out->objects[next];
            out->total_bytes += table->objects[j].stored_bytes;
        }
    }
    return RC_OK;
}

static void end(struct egress_verification *verification)
{
    for (size_t i = 0; i < verification->count; i++)
        rc_buf_clear(&verification->objects[i].problems);
    free(verification->objects);
    free(verification->order);
}

/* ---- listing ---- */

static int by_key(const void *a, const void *b)
{
    const struct egress_checked *const *first = a, *const *second = b;

    return strcmp((*first)->object->key, (*second)->object->key);
}

static int by_size(const void *a, const void *b)
{
    const struct egress_checked *const *first = a, *const *second = b;
    int64_t first_bytes = (*first)->object->stored_bytes;
    int64_t second_bytes = (*second)->object->stored_bytes;

    if (first_bytes != second_bytes)
        return first_bytes > second_bytes ? -1 : 1;
    return by_key(a, b);
}

static int key_against(const void *key, const void *item)
{
    const struct egress_checked *const *checked = item;

    return strcmp(key, (*checked)->object->key);
}

/* Takes the sizes of what is there, and names what no manifest accounts for. */
static enum rc_code list(struct rc_job *job, struct egress_verification *verification,
                         struct rc_error *err)
{
    struct rc_listing *listing;
    const struct rc_object *object = NULL;
    int64_t strangers = 0;
    enum rc_code code = rc_storage_list(job, verification->folder, NULL, &listing, err);

    if (code)
        return rc_context(err, "list '%s'", verification->shown);
    qsort(verification->order, verification->count, sizeof(struct egress_checked *), by_key);
    while ((code = rc_storage_list_next(job, listing, &object, err)) == RC_OK && object) {
        struct egress_checked **found =
            bsearch(object->name, verification->order, verification->count,
                    sizeof(struct egress_checked *), key_against);

        if (found)
            (*found)->listed_bytes = object->stat.size_bytes;
        else if (!rc_str_eq(object->name, EGRESS_MANIFEST) && strangers++ < STRANGERS_NAMED)
            rc_warn(job, "'%s%s' is in the folder, but not in its manifest", verification->shown,
                    object->name);
    }
    rc_storage_list_close(job, listing);
    if (strangers > STRANGERS_NAMED)
        rc_warn(job, "%" PRId64 " more object%s in the folder %s not in its manifest",
                strangers - STRANGERS_NAMED, plural(strangers - STRANGERS_NAMED),
                strangers - STRANGERS_NAMED == 1 ? "is" : "are");
    rc_job_count(job, "unlisted", strangers);
    return code ? rc_context(err, "list '%s'", verification->shown) : RC_OK;
}

/* ---- the report ---- */

struct sums {
    int64_t objects, damaged, rows, bytes, stored_bytes;
};

static void add(struct sums *sums, const struct egress_checked *checked)
{
    sums->objects++;
    sums->damaged += checked->problems.len > 0;
    sums->rows += checked->object->rows;
    sums->bytes += checked->object->bytes;
    sums->stored_bytes += checked->object->stored_bytes;
}

static char *number(int64_t value)
{
    return rc_strf("%" PRId64, value);
}

static char *size(int64_t bytes)
{
    char text[RC_AMOUNT_TEXT];

    return rc_strdup(rc_format_size(bytes, text));
}

static char *state(const struct egress_manifest_table *table, const struct sums *sums)
{
    if (sums->damaged > 0)
        return rc_strf("%" PRId64 " damaged", sums->damaged);
    return rc_strdup(table->error ? "failed when dumped" : "ok");
}

/* A row for each table, with the figures of the manifest. */
static void show_tables(struct rc_job *job, const struct egress_verification *verification)
{
    static const char *const columns[] = {
        "table", ">objects", ">rows", ">size", ">stored", "state"
    };
    const struct egress_manifest *manifest = verification->manifest;
    size_t width = RC_ARRAY_LEN(columns), cells = manifest->table_count * width;
    char **texts = rc_calloc(cells + 1, sizeof(*texts));
    size_t next = 0;

    for (size_t i = 0; i < manifest->table_count; i++) {
        const struct egress_manifest_table *table = &manifest->tables[i];
        struct sums sums = { .objects = 0 };
        char **row = &texts[i * width];

        for (; next < verification->count && verification->objects[next].table == table; next++)
            add(&sums, &verification->objects[next]);
        row[0] = rc_strdup(table->name);
        row[1] = number(sums.objects);
        row[2] = number(sums.rows);
        row[3] = size(sums.bytes);
        row[4] = size(sums.stored_bytes);
        row[5] = state(table, &sums);
    }
    if (manifest->table_count > 0)
        rc_job_show(job, &(struct rc_table){ .title = "Tables",
                                             .columns = columns,
                                             .column_count = width,
                                             .cells = (const char *const *)texts,
                                             .row_count = manifest->table_count });
    for (size_t i = 0; i < cells; i++)
        free(texts[i]);
    free(texts);
}

/* A line for each problem, and for each table that the dump itself had to give up. */
static void say_problems(struct rc_job *job, const struct egress_verification *verification)
{
    int64_t said = 0;

    for (size_t i = 0; i < verification->count; i++) {
        const char *at = verification->objects[i].problems.data;

        for (size_t len; (len = strcspn(at, "\n")) > 0; at += len + 1) {
            RC_STR_AUTO line = rc_strndup(at, len);

            if (said++ < PROBLEMS_SAID)
                rc_job_say(job, line);
        }
    }
    if (said > PROBLEMS_SAID) {
        RC_STR_AUTO line = rc_strf("%" PRId64 " more problem%s", said - PROBLEMS_SAID,
                                   plural(said - PROBLEMS_SAID));

        rc_job_say(job, line);
    }
    for (size_t i = 0; i < verification->manifest->table_count; i++) {
        const struct egress_manifest_table *table = &verification->manifest->tables[i];

        if (table->error) {
            RC_STR_AUTO line =
                rc_strf("Table '%s' failed when it was dumped: %s", table->name, table->error);

            rc_job_say(job, line);
        }
    }
}

static void say_verified(struct rc_job *job, const struct egress_verification *verification,
                         const struct sums *sums)
{
    char bytes[RC_AMOUNT_TEXT], stored[RC_AMOUNT_TEXT];
    RC_STR_AUTO line = NULL;

    rc_format_size(sums->bytes, bytes);
    rc_format_size(sums->stored_bytes, stored);
    if (verification->counts_rows)
        line = rc_strf("Verified: %" PRId64 " object%s, %" PRId64 " row%s, %s, %s as stored",
                       sums->objects, plural(sums->objects), sums->rows, plural(sums->rows), bytes,
                       stored);
    else
        line = rc_strf("Verified: %" PRId64 " object%s, %s as stored; rows were not counted",
                       sums->objects, plural(sums->objects), stored);
    rc_job_say(job, line);
}

static enum rc_code fail_incomplete(const struct egress_verification *verification,
                                    struct rc_error *err)
{
    const struct egress_manifest *manifest = verification->manifest;
    const struct egress_manifest_table *first;
    size_t failed = egress_manifest_failed(manifest, &first);

    if (!first)
        return rc_fail(err, RC_FAILED, "the manifest of '%s' says that the dump is not complete",
                       verification->shown);
    return rc_fail(err, RC_FAILED,
                   "the dump in '%s' is not complete: %zu of %zu tables failed, the first of them "
                   "'%s'",
                   verification->shown, failed, manifest->table_count, first->name);
}

static enum rc_code report(struct rc_job *job, const struct egress_verification *verification,
                           struct rc_error *err)
{
    struct sums sums = { .objects = 0 };

    for (size_t i = 0; i < verification->count; i++)
        add(&sums, &verification->objects[i]);
    rc_job_count(job, "objects", sums.objects);
    rc_job_count(job, "damaged", sums.damaged);
    rc_job_count(job, "rows", sums.rows);
    rc_job_count(job, "bytes", sums.bytes);
    rc_job_count(job, "stored_bytes", sums.stored_bytes);
    show_tables(job, verification);
    say_problems(job, verification);
    if (sums.damaged > 0)
        return rc_fail(err, RC_CORRUPT,
                       "of the %" PRId64 " object%s in '%s', %" PRId64
                       " %s not as the manifest says",
                       sums.objects, plural(sums.objects), verification->shown, sums.damaged,
                       sums.damaged == 1 ? "is" : "are");
    if (!verification->manifest->complete)
        return fail_incomplete(verification, err);
    say_verified(job, verification, &sums);
    return RC_OK;
}

/* ---- the action ---- */

static size_t readers(void)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);

    if (processors < LEAST_READERS)
        return LEAST_READERS;
    return processors > MOST_READERS ? MOST_READERS : (size_t)processors;
}

static enum rc_code verify_folder(struct rc_job *job, const struct place *place,
                                  const struct egress_manifest *manifest, struct rc_error *err)
{
    const struct egress_verify_params *params = job->params;
    RC_CLEANUP(end) struct egress_verification verification;
    enum rc_code code;

    if (begin(manifest, place, params->deep, &verification, err) || list(job, &verification, err))
        return err->code;
    qsort(verification.order, verification.count, sizeof(struct egress_checked *), by_size);
    code =
        rc_parallel(job, readers(), verification.count, egress_verify_object, &verification, err);
    if (code) {
        /* What has been found by then is worth knowing. */
        say_problems(job, &verification);
        return rc_context(err, "verify '%s'", show(place));
    }
    return report(job, &verification, err);
}

/* The tag of the manifest; empty if there is none. */
static enum rc_code find_tag(struct rc_job *job, const struct place *place, struct rc_stat *out,
                             struct rc_error *err)
{
    RC_STR_AUTO uri = rc_strf("%s" EGRESS_MANIFEST, place->uri);
    enum rc_code code = rc_storage_stat(job, uri, out, err);

    if (code == RC_NOT_FOUND) {
        *out = (struct rc_stat){ .size_bytes = 0 };
        return RC_OK;
    }
    return code ? rc_context(err, "look at the manifest '%s" EGRESS_MANIFEST "'", show(place))
                : RC_OK;
}

/*
 * A dump that began meanwhile makes everything look damaged. It has removed the manifest before it
 * replaced an object.
 */
static enum rc_code judge_damage(struct rc_job *job, const struct place *place,
                                 const struct rc_stat *before, struct rc_error *err)
{
    struct rc_error other = RC_ERROR_INIT;
    struct rc_stat now;

    if (find_tag(job, place, &now, &other) == RC_OK && strcmp(now.etag, before->etag) != 0)
        return rc_fail(err, RC_CONFLICT,
                       "the manifest of '%s' was replaced or removed while objects were read: "
                       "another run dumps into the folder",
                       show(place));
    return err->code;
}

enum rc_code egress_verify(struct rc_job *job, const void *config, struct rc_error *err)
{
    RC_CLEANUP(egress_manifest_clear) struct egress_manifest manifest = { .tables = NULL };
    RC_CLEANUP(clear_place) struct place place = { .uri = NULL };
    struct rc_stat before;
    enum rc_code code;

    if (find_folder(job, config, &place, err) || find_tag(job, &place, &before, err))
        return err->code;
    code = egress_manifest_load(job, place.uri, &manifest, err);
    if (code == RC_NOT_FOUND)
        return rc_fail(err, RC_NOT_FOUND,
                       "'%s' has no manifest (%s): no dump was written there, or one is being "
                       "written, or it broke off",
                       show(&place), err->cause);
    if (code)
        return code;
    code = verify_folder(job, &place, &manifest, err);
    if (code == RC_CORRUPT || code == RC_CONFLICT)
        return judge_damage(job, &place, &before, err);
    return code;
}
