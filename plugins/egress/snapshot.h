/*
 * One view of the database for all connections of a run: a keeper holds a transaction open and
 * exports its snapshot, which the others take over. Repeatable read, read only.
 */
#ifndef EGRESS_SNAPSHOT_H
#define EGRESS_SNAPSHOT_H

#include "database.h"

struct egress_snapshot {
    struct egress_database *keeper;
    char *id;              /* as exported */
    char *lsn;             /* of the write-ahead log, read in the keeper's transaction */
    char *xmin, *xmax;     /* of the snapshot */
    int64_t taken_unix_ms; /* by the server's clock */
    char *server_version, *system_identifier; /* the latter NULL if it may not be read */
    char *database;
};

/* The caller clears it also where it failed; 'keeper' is NULL if the database was not reached. */
RC_MUST_CHECK enum rc_code egress_snapshot_take(struct rc_job *job,
                                                const struct egress_config *config,
                                                struct egress_snapshot *out, struct rc_error *err);
void egress_snapshot_clear(struct egress_snapshot *snapshot);

/* Begins a transaction that sees what the snapshot saw. RC_UNAVAILABLE: the keeper is gone. */
RC_MUST_CHECK enum rc_code egress_snapshot_join(const struct egress_snapshot *snapshot,
                                                struct egress_database *database,
                                                struct rc_error *err);

#endif
