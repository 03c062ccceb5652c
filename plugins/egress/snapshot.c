/*
 * The keeper: a transaction that is held open and exports what it sees. Who reads by it is no
 * business of this file.
 */
#include "snapshot.h"

#include <run-core/log.h>

#include <stdlib.h>
#include <string.h>

enum { NEW_NAMES = 100000, SQL_LIMIT = 2048 };

/*
 * Asked outside of the transaction, which an error would end: the function may be forbidden, or
 * unknown to what only speaks like PostgreSQL.
 */
static enum rc_code read_identifier(struct egress_snapshot *snapshot, struct rc_error *err)
{
    PGresult *result;
    enum rc_code code = egress_database_query(
        snapshot->keeper, "read the system's identifier",
        "SELECT system_identifier FROM pg_catalog.pg_control_system()", NULL, 0, &result, err);

    if (code == RC_OK) {
        if (PQntuples(result) == 1 && !PQgetisnull(result, 0, 0))
            snapshot->system_identifier = rc_strdup(PQgetvalue(result, 0, 0));
        PQclear(result);
        return RC_OK;
    }
    if (code == RC_CANCELLED || !egress_database_alive(snapshot->keeper))
        return code;
    rc_debug(snapshot->keeper->job, "no identifier of the system: %s", err->cause);
    return RC_OK;
}

/* What it was called before version 10, and of a standby what it has replayed. */
static const char *position_function(const struct egress_database *database)
{
    if (database->in_recovery)
        return database->version >= NEW_NAMES ? "pg_last_wal_replay_lsn"
                                              : "pg_last_xlog_replay_location";
    return database->version >= NEW_NAMES ? "pg_current_wal_lsn" : "pg_current_xlog_location";
}

static char *copy_value(const PGresult *result, int column)
{
    return PQgetisnull(result, 0, column) ? NULL : rc_strdup(PQgetvalue(result, 0, column));
}

/*
 * The first statement of the transaction takes its view: all of it is of one time. An operator
 * whose types are not just those of one of the system's is written with its schema, here and
 * elsewhere: another one on the search path would be called in its place, with this role's
 * privileges.
 */
static enum rc_code export_view(struct egress_snapshot *snapshot, struct rc_error *err)
{
    RC_BUF_AUTO(sql, SQL_LIMIT);
    PGresult *result;
    bool is_read;

    rc_buf_addf(&sql,
                "SELECT pg_catalog.pg_export_snapshot(), pg_catalog.%s(), "
                "pg_catalog.txid_snapshot_xmin(s.s), pg_catalog.txid_snapshot_xmax(s.s), "
                "(extract(epoch FROM pg_catalog.clock_timestamp()) OPERATOR(pg_catalog.*) 1000)"
                "::pg_catalog.int8, "
                "pg_catalog.current_setting('server_version'), pg_catalog.current_database() "
                "FROM (SELECT pg_catalog.txid_current_snapshot() AS s) AS s",
                position_function(snapshot->keeper));
    if (egress_database_query(snapshot->keeper, "export the snapshot", sql.data, NULL, 0, &result,
                              err))
        return err->code;
    snapshot->id = copy_value(result, 0);
    snapshot->lsn = copy_value(result, 1);
    snapshot->xmin = copy_value(result, 2);
    snapshot->xmax = copy_value(result, 3);
    is_read = rc_parse_int(PQgetvalue(result, 0, 4), &snapshot->taken_unix_ms);
    snapshot->server_version = copy_value(result, 5);
    snapshot->database = copy_value(result, 6);
    PQclear(result);
    return is_read ? RC_OK
                   : rc_fail(err, RC_FAILED, "%s: no time was read", snapshot->keeper->place);
}

enum rc_code egress_snapshot_take(struct rc_job *job, const struct egress_config *config,
                                  struct egress_snapshot *out, struct rc_error *err)
{
    *out = (struct egress_snapshot){ .keeper = NULL };
    if (egress_database_open(job, config, &out->keeper, err))
        return err->code;
    if (out->keeper->in_recovery && out->keeper->version < NEW_NAMES)
        (void)rc_fail(err, RC_UNSUPPORTED,
                      "%s is a standby, which exports snapshots from version 10 on; dump from the "
                      "primary server",
                      out->keeper->place);
    else if (read_identifier(out, err) == RC_OK &&
             egress_database_begin(out->keeper, /* snapshot = */ NULL, err) == RC_OK &&
             export_view(out, err) == RC_OK)
        return RC_OK;
    return err->code;
}

void egress_snapshot_clear(struct egress_snapshot *snapshot)
{
    egress_database_close(&snapshot->keeper);
    free(snapshot->id);
    free(snapshot->lsn);
    free(snapshot->xmin);
    free(snapshot->xmax);
    free(snapshot->server_version);
    free(snapshot->system_identifier);
    free(snapshot->database);
    *snapshot = (struct egress_snapshot){ .keeper = NULL };
}

enum rc_code egress_snapshot_join(const struct egress_snapshot *snapshot,
                                  struct egress_database *database, struct rc_error *err)
{
    return egress_database_begin(database, snapshot->id, err);
}
