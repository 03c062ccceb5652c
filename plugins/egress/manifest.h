/*
 * The manifest of a run's folder, written when all else is there: what was dumped, from which
 * view of which database, into which objects.
 */
#ifndef EGRESS_MANIFEST_H
#define EGRESS_MANIFEST_H

#include <run-core/plugin.h>

enum { EGRESS_MANIFEST_LIMIT = 64 << 20 }; /* bytes */

struct egress_manifest_object {
    char *key;                         /* inside the folder */
    int64_t rows, bytes, stored_bytes; /* bytes: of the text */
    char *sha256;                      /* hex, of what is stored */
};

struct egress_manifest_column {
    char *name, *type;
};

struct egress_manifest_table {
    char *name, *schema, *relation, *query; /* schema and relation NULL of a query */
    char *error;                            /* NULL: it is complete */
    struct egress_manifest_column *columns;
    size_t column_count;
    struct egress_manifest_object *objects;
    size_t object_count;
};

struct egress_manifest {
    int version; /* of the format: 1 */
    bool complete;
    char *run_id, *job; /* job NULL: a run without one */
    int64_t nominal_unix_ms, started_unix_ms, finished_unix_ms;
    char *server_version, *database, *system_identifier, *snapshot, *lsn, *xmin, *xmax;
    int64_t snapshot_unix_ms;
    char *format, *compression;
    char *delimiter, *null_string, *encoding; /* of csv */
    bool header;
    struct egress_manifest_table *tables;
    size_t table_count;
};

void egress_manifest_clear(struct egress_manifest *manifest);

/* How many tables failed; 'first' (may be NULL) of them, or NULL. */
size_t egress_manifest_failed(const struct egress_manifest *manifest,
                              const struct egress_manifest_table **first);

/* As JSON, a line for each object; the sums of each table are added. RC_TOO_LARGE. */
RC_MUST_CHECK enum rc_code egress_manifest_print(const struct egress_manifest *manifest,
                                                 struct rc_buf *out, struct rc_error *err);
/*
 * RC_CORRUPT: no manifest, or of a later version. Members that are not known are passed over.
 * What is accepted can be relied on: each key is that of one object, below the folder; numbers
 * are not negative, and neither are their sums.
 */
RC_MUST_CHECK enum rc_code egress_manifest_parse(const char *text, size_t len,
                                                 struct egress_manifest *out, struct rc_error *err);

/* RC_NOT_FOUND: the folder (a URI that ends with '/') has none. */
RC_MUST_CHECK enum rc_code egress_manifest_load(struct rc_job *job, const char *folder,
                                                struct egress_manifest *out, struct rc_error *err);
RC_MUST_CHECK enum rc_code egress_manifest_save(struct rc_job *job, const char *folder,
                                                const struct egress_manifest *manifest,
                                                struct rc_error *err);

#endif
