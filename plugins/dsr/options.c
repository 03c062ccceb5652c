/*
 * The option tables, and the rules across options. The names in camel case are those of the seed's
 * JSON configuration, which is read unchanged; what is new is in snake case.
 */
#include "config.h"
#include "places.h"

#include <run-core/str.h>
#include <run-core/uri.h>

#include <sched.h>
#include <stdlib.h>
#include <string.h>

static const char *const verify_names[] = { "auto", "values", "engine", NULL };

static const struct rc_option table_options[] = {
    { RC_STR("piTable", struct dsr_table, name), .flags = RC_OPT_REQUIRED,
      .help = "Name of the table, in messages and in the record." },
    { RC_LIST("userIdColumn", struct dsr_table, id_columns), .flags = RC_OPT_REQUIRED,
      .help = "Column that holds the user's id; one within a struct as struct.column. A row of "
              "which any of several columns holds the id is the user's." },
    { RC_STR("userIdSeparator", struct dsr_table, id_separator),
      .help = "With it, the id is the values of all the columns of userIdColumn, in their order, "
              "with this text between them." },
    { RC_STR("sourceS3Folder", struct dsr_table, folder), .flags = RC_OPT_REQUIRED,
      .help = "Folder of the table, with shard=N/day=D/ below it: a key in sourceS3Bucket, a URI, "
              "or a local path." },
    { RC_STR("sourceS3Bucket", struct dsr_table, bucket),
      .help = "Bucket of the table: a name, as mapped under 'storage', or a URI." },
    { RC_STR("athenaDb", struct dsr_table, athena_db),
      .help = "Database of the table in Athena. Not used: every engine reads the files as they "
              "lie, by tables of its own." },
    { 0 },
};

const struct rc_option dsr_options[] = {
    { RC_STR("environment", struct dsr_config, environment), .env = "AIRLYTICS_ENVIRONMENT",
      .help = "Environment, such as PROD. A label of log and record." },
    { RC_STR("product", struct dsr_config, product), .env = "AIRLYTICS_PRODUCT",
      .help = "Product. A label of log and record." },
    { RC_STR("deployment", struct dsr_config, deployment), .env = "AIRLYTICS_DEPLOYMENT",
      .help = "Deployment. A label of log and record." },

    { RC_STR("markersBaseFolder", struct dsr_config, markers_folder), .flags = RC_OPT_REQUIRED,
      .help = "Folder of the markers, with shard=N/day=D/ below it: a local path or a URI." },
    { RC_STR("markersArchiveFolder", struct dsr_config, archive_folder), .flags = RC_OPT_REQUIRED,
      .help = "Where a marker goes once its user is erased, and the record of it." },
    { RC_STR("archivedPartAfter", struct dsr_config, archived_after),
      .help = "A marker keeps, below the archive, the part of its path behind this text; without "
              "it, that behind markersBaseFolder." },
    { RC_STR("targetS3Bucket", struct dsr_config, target_bucket),
      .help = "Bucket of tempFolder: a name, as mapped under 'storage', or a URI. The table's own "
              "when absent." },
    { RC_STR("tempFolder", struct dsr_config, temp_folder), .def = "dsr-temp",
      .help = "Folder of the originals that backupOriginal keeps: a key in the bucket, a URI, or a "
              "local path. This job's alone, and outside every table." },
    { RC_OBJECTS("cleanupTables", struct dsr_config, tables, struct dsr_table, table_options),
      .flags = RC_OPT_REQUIRED, .help = "The tables that users are erased from." },

    { RC_BOOL("backupOriginal", struct dsr_config, backup_original), .def = "false",
      .help = "Keeps a copy of each file in tempFolder until its whole shard is verified." },
    { RC_BOOL("delete_old_versions", struct dsr_config, delete_old_versions), .def = "false",
      .help = "In a versioned bucket, removes the older versions that still hold a user. Without "
              "it the run says that they remain." },
    { RC_BOOL("trust_statistics", struct dsr_config, trust_statistics), .def = "true",
      .help = "Passes over row groups whose statistics or bloom filters say that no user is in "
              "them. What is found after the erasure never relies on them." },
    { RC_ENUM("verify", struct dsr_config, verify, verify_names), .def = "auto",
      .help = "How a new file is compared with the old one before it takes its place: every value "
              "by the plugin's own reader, or by the SQL engine's as well; auto: by both where "
              "the engine reads files of this machine." },
    { RC_STR("engine", struct dsr_config, engine), .flags = RC_OPT_ENGINE,
      .help = "SQL engine, as named under 'sql' or a kind, such as athena, that gives the second "
              "opinion; the only or the embedded one when absent." },
    { RC_BYTES("memory_limit", struct dsr_config, memory_bytes), .def = "1GiB", .min = 67108864,
      .max = 1099511627776, .help = "Memory of the run; beyond it the engine uses the disk." },
    { RC_BYTES("scratch_limit", struct dsr_config, scratch_bytes), .def = "10GiB", .min = 1048576,
      .max = 1125899906842624,
      .help = "Disk space for copies of files that are being rewritten, all together." },
    { RC_INT("width", struct dsr_config, width), .def = "0", .min = 0, .max = 256,
      .help = "Files that are worked on at once; 0: as many as there are processors." },
    { RC_INT("attempts", struct dsr_config, attempts), .def = "5", .min = 1, .max = 100,
      .help = "How often a file is begun anew because somebody else replaced it meanwhile." },
    { RC_MS("lock_wait", struct dsr_config, lock_wait_ms), .def = "0", .min = 0, .max = 604800000,
      .help = "How long to wait, after all other shards, for those that another run is at." },

    { RC_STR("report_salt", struct dsr_config, report_salt), .flags = RC_OPT_SECRET,
      .env = "DSR_REPORT_SALT",
      .help = "Key by which user ids are hashed in the record. Without it one is made up, and kept "
              "in the state database." },

    { RC_STR("athenaRegion", struct dsr_config, athena_region),
      .help = "Region of Athena, where the engine's settings name none." },
    { RC_STR("athenaResultsOutputBucket", struct dsr_config, athena_results_bucket),
      .help = "Bucket of Athena's results, where the engine's settings name no place for them." },
    { RC_STR("athenaCatalog", struct dsr_config, athena_catalog),
      .help = "Catalog of Athena, where the engine's settings name none." },
    { 0 },
};

const struct rc_option dsr_cleanup_params[] = {
    { RC_LIST("shards", struct dsr_params, shards),
      .help = "Only these shards, such as 7 or 0-99; all that have markers when absent." },
    { 0 },
};

const struct rc_option dsr_report_params[] = {
    { RC_STR("user", struct dsr_report_params, user), .flags = RC_OPT_SECRET,
      .help = "Only the record of this user id." },
    { RC_DAY("since", struct dsr_report_params, since),
      .help = "Only what was erased on this day or later." },
    { 0 },
};

/* ---- shards ---- */

/* "7" or "0-99". */
static bool parse_range(const char *text, int64_t *first, int64_t *last)
{
    size_t len = strcspn(text, "-");
    RC_STR_AUTO from = rc_strndup(text, len);

    if (strspn(text, "0123456789-") != strlen(text) || !rc_parse_int(from, first))
        return false;
    *last = *first;
    return (text[len] == '\0' || rc_parse_int(text + len + 1, last)) && *first <= *last &&
           *last <= INT32_MAX;
}

enum rc_code dsr_shards_check(const struct rc_strs *shards, struct rc_error *err)
{
    int64_t first, last;

    for (size_t i = 0; i < shards->len; i++)
        if (!parse_range(shards->items[i], &first, &last))
            return rc_fail(err, RC_INVALID,
                           "'shards' has '%s', which is no shard; write numbers such as 7, or a "
                           "range such as 0-99",
                           shards->items[i]);
    return RC_OK;
}

bool dsr_shards_have(const struct rc_strs *shards, int32_t shard)
{
    int64_t first, last;

    for (size_t i = 0; i < shards->len; i++)
        if (parse_range(shards->items[i], &first, &last) && first <= shard && shard <= last)
            return true;
    return shards->len == 0;
}

/* ---- rules ---- */

size_t dsr_width(const struct dsr_config *config)
{
    cpu_set_t processors;

    if (config->width > 0)
        return (size_t)config->width;
    if (sched_getaffinity(0, sizeof(processors), &processors) == 0)
        return (size_t)CPU_COUNT(&processors);
    return 1;
}

/* Deep enough that no path climbs out of it by mistake into one that is configured. */
#define ANY_DIRECTORY "/-/-/-/-/-/-/-/-"

/*
 * What no store takes for the name of a bucket is found by 'check', and not by the run that needs
 * it first. Colons are in the names of tenants and of access points. Behind a slash a folder
 * begins, whose name may be any.
 */
static enum rc_code check_bucket(const char *option, const char *bucket, struct rc_error *err)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:";
    const char *name = bucket;

    if (!bucket || rc_str_starts(bucket, "file://"))
        return RC_OK;
    if (rc_uri_has_scheme(bucket))
        name = strstr(bucket, "://") + 3;
    if (strspn(name, allowed) == strcspn(name, "/"))
        return RC_OK;
    return rc_fail(err, RC_INVALID,
                   "'%s' is '%s', which is no name of a bucket: write one of letters, digits, "
                   "dots, hyphens and underscores, or a URI such as s3://NAME",
                   option, bucket);
}

/* A column within a struct is named with those around it, and none of them has an empty name. */
static enum rc_code check_columns(const struct dsr_table *table, struct rc_error *err)
{
    for (size_t i = 0; i < table->id_columns.len; i++) {
        const char *column = table->id_columns.items[i];

        if (column[0] == '\0' || column[0] == '.' || rc_str_ends(column, ".") ||
            strstr(column, ".."))
            return rc_fail(err, RC_INVALID,
                           "'userIdColumn' of the table '%s' is '%s', in which a name is missing; "
                           "write a column such as id, or one within a struct such as account.id",
                           table->name, column);
    }
    return RC_OK;
}

static enum rc_code check_table(const struct rc_objects *tables, size_t i, struct rc_error *err)
{
    const struct dsr_table *table = RC_OBJECT_AT(struct dsr_table, *tables, i);

    for (size_t j = 0; j < i; j++)
        if (rc_str_eq(table->name, RC_OBJECT_AT(struct dsr_table, *tables, j)->name))
            return rc_fail(err, RC_INVALID,
                           "'cleanupTables' has the table '%s' twice; the record tells them "
                           "apart by their names",
                           table->name);
    if (check_columns(table, err))
        return err->code;
    return check_bucket("sourceS3Bucket", table->bucket, err);
}

enum rc_code dsr_check_config(const void *config, struct rc_error *err)
{
    const struct dsr_config *given = config;
    struct dsr_places places;

    for (size_t i = 0; i < given->tables.len; i++)
        if (check_table(&given->tables, i, err))
            return err->code;
    if (check_bucket("targetS3Bucket", given->target_bucket, err) ||
        dsr_places_make(given, ANY_DIRECTORY, &places, err))
        return err->code;
    dsr_places_clear(&places);
    return RC_OK;
}

/* Its word is needed of the data; markers and the rest are read here. */
static enum rc_code check_reach(const struct dsr_config *config, const struct dsr_places *places,
                                const struct rc_sql_engine *engine, struct rc_error *err)
{
    for (size_t i = 0; i < places->table_count; i++)
        if (!engine->reaches(engine, places->tables[i]))
            return rc_fail(err, RC_INVALID,
                           "the SQL engine '%s' (%s) does not reach '%s', where the table '%s' "
                           "lies; name an engine in 'engine' that does, such as duckdb",
                           engine->name, engine->kind, places->tables[i],
                           RC_OBJECT_AT(struct dsr_table, config->tables, i)->name);
    return RC_OK;
}

enum rc_code dsr_check_engine(const void *config, const struct rc_sql_engine *engine,
                              struct rc_error *err)
{
    const struct dsr_config *given = config;
    struct dsr_places places;
    enum rc_code code;

    if (engine->features & RC_SQL_FILES)
        return RC_OK;
    if (given->verify == DSR_VERIFY_ENGINE)
        return rc_fail(err, RC_INVALID,
                       "'verify' is 'engine', and the SQL engine '%s' (%s) reads no files of this "
                       "machine, where new files are verified; leave 'verify' out, or name another "
                       "engine in 'engine'",
                       engine->name, engine->kind);
    if (!(engine->features & RC_SQL_SEARCH))
        return rc_fail(err, RC_INVALID,
                       "the SQL engine '%s' (%s) does not tell in which files it found something; "
                       "name another one in 'engine'",
                       engine->name, engine->kind);
    if (dsr_places_make(given, ANY_DIRECTORY, &places, err))
        return err->code;
    code = check_reach(given, &places, engine, err);
    dsr_places_clear(&places);
    return code;
}
