/*
 * The raw events: which partitions of a day are there, and the day as a table. They lie at a
 * location, or are a table that the engine's catalogue has.
 */
#include "run.h"

#include <stdlib.h>
#include <string.h>

enum { STATEMENT_LIMIT = 1 << 20 };

/* The partitions seen, by the text of their folders' names; listings are sorted, so equal ones are
 * neighbours. */
struct partition {
    char name[64];
};

/* "partition=7/part-0.parquet": true, with "7", for an object that holds data. */
static bool partition_of(const struct rc_object *object, struct partition *out)
{
    static const char key[] = "partition=";
    const char *start = object->name + sizeof(key) - 1;
    const char *file = strrchr(object->name, '/');

    if (object->is_prefix || !rc_str_starts(object->name, key) || !file ||
        object->stat.size_bytes == 0)
        return false;
    /* Names that begin so are of markers and of unfinished writes, by the custom of all engines. */
    if (file[1] == '_' || file[1] == '.')
        return false;
    size_t len = strcspn(start, "/");
    if (len >= sizeof(out->name))
        return false;
    memcpy(out->name, start, len);
    out->name[len] = '\0';
    return true;
}

static enum rc_code list_partitions(struct agg_run *run, int32_t day, int64_t *found,
                                    struct rc_error *err)
{
    RC_STR_AUTO location = agg_day_folder(run->paths.source, day);
    struct partition last = { "" }, partition;
    const struct rc_object *object = NULL;
    struct rc_listing *listing;
    int64_t expected = run->config->expected_partitions;
    enum rc_code code = rc_storage_list(run->job, location, NULL, &listing, err);

    *found = 0;
    if (code)
        return rc_context(err, "list the events in '%s'", location);
    while (*found < expected &&
           (code = rc_storage_list_next(run->job, listing, &object, err)) == RC_OK && object) {
        if (!partition_of(object, &partition) || strcmp(partition.name, last.name) == 0)
            continue;
        last = partition;
        ++*found;
    }
    rc_storage_list_close(run->job, listing);
    return code ? rc_context(err, "list the events in '%s'", location) : RC_OK;
}

static enum rc_code ask_for_partitions(struct agg_run *run, int32_t day, int64_t *found,
                                       struct rc_error *err)
{
    RC_BUF_AUTO(statement, STATEMENT_LIMIT);
    RC_ROWS_AUTO(rows);
    const struct rc_value *row = NULL;

    *found = 0;
    if (agg_source_attach(run, day, err))
        return err->code;
    struct agg_sql sql = agg_run_sql(run);
    agg_sql_partitions(&sql, &statement);
    if (rc_buf_check(&statement, err) ||
        rc_sql_query(run->job, run->sql, statement.data, NULL, 0, &rows, err) ||
        rc_rows_next(rows, &row, err))
        return rc_context(err, "count the partitions of the events");
    if (!row)
        return RC_OK;
    *found = row[0].integer;
    /* To its end: what is left before is a statement given up, to a server. */
    return rc_rows_next(rows, &row, err);
}

enum rc_code agg_source_complete(struct agg_run *run, int32_t day, int64_t *found, bool *complete,
                                 struct rc_error *err)
{
    enum rc_code code = run->paths.source ? list_partitions(run, day, found, err)
                                          : ask_for_partitions(run, day, found, err);

    *complete = *found >= run->config->expected_partitions;
    return code;
}

static enum rc_code attach_day(struct agg_run *run, int32_t day, struct rc_error *err)
{
    static const struct rc_sql_column columns[] = {
        { "userid", "varchar" },
        { "shard", "integer" },
        { "event", "varchar" },
        { "name", "varchar" },
    };
    static const struct rc_sql_column partitions[] = { { "day", "varchar" },
                                                       { "partition", "integer" } };
    RC_STR_AUTO location = agg_day_folder(run->paths.source, day);
    const char *const locations[] = { location };
    const struct rc_sql_table table = {
        .name = AGG_EVENTS,
        .locations = locations,
        .location_count = 1,
        .columns = columns,
        .column_count = RC_ARRAY_LEN(columns),
        .partitions = partitions,
        .partition_count = RC_ARRAY_LEN(partitions),
    };

    if (rc_sql_attach(run->job, run->sql, &table, err))
        return rc_context(err, "read the events in '%s'", location);
    return RC_OK;
}

enum rc_code agg_source_attach(struct agg_run *run, int32_t day, struct rc_error *err)
{
    const struct agg_config *config = run->config;

    if (run->paths.source)
        return attach_day(run, day, err);
    rc_format_day(day, run->events_day);
    if (rc_sql_refer(run->job, run->sql, AGG_EVENTS, config->source_db, config->source_table, err))
        return rc_context(err, "read the events in the table '%s'", config->source_table);
    return RC_OK;
}

char *agg_source_name(const struct agg_run *run, int32_t day)
{
    const struct agg_config *config = run->config;

    if (run->paths.source)
        return agg_day_folder(run->paths.source, day);
    return config->source_db ? rc_strf("%s.%s", config->source_db, config->source_table)
                             : rc_strdup(config->source_table);
}
