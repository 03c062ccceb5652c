/*
 * The statements of Trino that change its catalogue, as its Hive connector takes them. Pure.
 */
#ifndef CORE_SQL_TRINO_TEXT_H
#define CORE_SQL_TRINO_TEXT_H

#include <sql/presto.h>

/* The members of a dialect: see presto.h. */
void core_trino_add_ddl_name(const struct core_presto *session, struct rc_buf *out,
                             const char *database, const char *table);
void core_trino_add_create(const struct core_presto_external *table, struct rc_buf *out);
/* In a schema with a place of its own, where a table's is known by its name. */
void core_trino_add_make(const struct core_presto_made *made, struct rc_buf *out);
/* In one without: a table whose files are wanted at a place is over that. */
void core_trino_add_make_over(const struct core_presto_made *made, struct rc_buf *out);
void core_trino_add_find_partitions(const struct core_presto *session, const char *database,
                                    const char *table, struct rc_buf *out);

/* 'location' NULL: where the metastore says. */
void core_trino_add_create_schema(const struct core_presto *session, struct rc_buf *out,
                                  const char *schema, const char *location);
/* "catalog"."schema" */
void core_trino_add_schema(const struct core_presto *session, struct rc_buf *out,
                           const char *schema);

/* The catalogue's name where the settings give none, too. */
const char *core_trino_catalog(const struct core_engine_settings *settings);
/* What Hive's connector calls a compression of rc_sql_output: "ZSTD". */
const char *core_trino_codec(const char *compression);

/* trino_stop.c. Of a dialect, too: ends the statements of a session that is over. */
RC_MUST_CHECK enum rc_code core_trino_stop_session(struct core_presto *session, const char *over,
                                                   struct rc_error *err);

extern const struct core_presto_dialect core_trino_dialect;

#endif
