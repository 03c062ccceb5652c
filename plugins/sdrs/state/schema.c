/*
 * The tables. A step that was released never changes; a change is a further one.
 *
 * Numbers of a series are taken in transactions, of which there is one at a time on every server,
 * so they rise in the order in which their rows are seen.
 */
#include "internal.h"

#define RULE_COLUMNS                                                                               \
    "  version BIGINT NOT NULL,"                                                                   \
    "  type TEXT NOT NULL,"                                                                        \
    "  project TEXT NOT NULL,"                                                                     \
    "  storage BYTEA NOT NULL,"                                                                    \
    "  dataset BYTEA,"                                                                             \
    "  period BIGINT NOT NULL,"                                                                    \
    "  unit TEXT NOT NULL,"                                                                        \
    "  is_active INTEGER NOT NULL,"                                                                \
    "  is_configured INTEGER NOT NULL,"                                                            \
    "  user_name TEXT,"                                                                            \
    "  created_unix_ms BIGINT NOT NULL,"                                                           \
    "  changed_unix_ms BIGINT NOT NULL,"

const struct rc_migration sdrs_migrations[] = {
    { 1, "CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);"
         "CREATE TABLE series (name TEXT PRIMARY KEY, value BIGINT NOT NULL);"

         "CREATE TABLE rules ("
         "  id BIGINT PRIMARY KEY," RULE_COLUMNS "  UNIQUE (type, project, storage)"
         ");"
         /* The names of a bucket stand together, as bytes do. */
         "CREATE INDEX rules_storage ON rules (storage);"
         /* Each version of each rule, also the present one. */
         "CREATE TABLE rule_versions ("
         "  id BIGINT NOT NULL," RULE_COLUMNS "  PRIMARY KEY (id, version)"
         ");"

         "CREATE TABLE executions ("
         "  id TEXT PRIMARY KEY,"
         "  batch TEXT,"
         "  type TEXT NOT NULL,"
         "  target BYTEA,"
         "  project TEXT,"
         "  rule BIGINT NOT NULL,"
         "  user_name TEXT,"
         "  run TEXT,"
         "  status TEXT NOT NULL,"
         "  message BYTEA,"
         "  created_unix_ms BIGINT NOT NULL,"
         "  changed_unix_ms BIGINT NOT NULL"
         ");"
         "CREATE INDEX executions_status ON executions (status, created_unix_ms);"

         "CREATE TABLE jobs ("
         "  id BIGINT PRIMARY KEY,"
         "  execution TEXT,"
         "  batch TEXT,"
         "  type TEXT NOT NULL,"
         "  rule BIGINT NOT NULL,"
         "  rule_version BIGINT NOT NULL,"
         "  project TEXT,"
         "  bucket BYTEA,"
         "  shadow BYTEA,"
         "  prefixes BYTEA,"
         "  excludes BYTEA,"
         "  modified_before_unix_ms BIGINT NOT NULL,"
         "  mover TEXT NOT NULL,"
         "  status TEXT NOT NULL,"
         "  transfers BYTEA,"
         "  objects BIGINT NOT NULL,"
         "  bytes BIGINT NOT NULL,"
         "  failed BIGINT NOT NULL,"
         "  message BYTEA,"
         "  created_unix_ms BIGINT NOT NULL,"
         "  changed_unix_ms BIGINT NOT NULL"
         ");"
         "CREATE INDEX jobs_execution ON jobs (execution);"
         "CREATE INDEX jobs_batch ON jobs (batch);"
         "CREATE INDEX jobs_rule ON jobs (rule, id);"
         "CREATE INDEX jobs_bucket ON jobs (bucket, id);"
         "CREATE INDEX jobs_status ON jobs (status, changed_unix_ms);"

         "CREATE TABLE markers ("
         "  id BIGINT PRIMARY KEY,"
         "  project TEXT NOT NULL,"
         "  target BYTEA NOT NULL,"
         "  bucket BYTEA NOT NULL,"
         "  prefix BYTEA NOT NULL,"
         "  status TEXT NOT NULL,"
         "  retries BIGINT NOT NULL,"
         "  job BIGINT NOT NULL,"
         "  execution TEXT,"
         "  batch TEXT,"
         "  user_name TEXT,"
         "  message BYTEA,"
         "  created_unix_ms BIGINT NOT NULL,"
         "  changed_unix_ms BIGINT NOT NULL"
         ");"
         "CREATE UNIQUE INDEX markers_target ON markers (project, target)"
         "  WHERE status IN ('pending', 'scheduled', 'retry');"
         "CREATE INDEX markers_job ON markers (job);"
         "CREATE INDEX markers_execution ON markers (execution);"
         "CREATE INDEX markers_status ON markers (status, changed_unix_ms);"

         "CREATE TABLE pool ("
         "  id BIGINT PRIMARY KEY,"
         "  name TEXT NOT NULL,"
         "  project TEXT NOT NULL,"
         "  schedule TEXT NOT NULL,"
         "  type TEXT NOT NULL,"
         "  source_bucket TEXT NOT NULL,"
         "  source_project TEXT NOT NULL,"
         "  target_bucket TEXT,"
         "  target_project TEXT,"
         "  status TEXT,"
         "  created_unix_ms BIGINT NOT NULL,"
         "  changed_unix_ms BIGINT NOT NULL,"
         "  UNIQUE (project, name)"
         ");"
         "CREATE INDEX pool_source ON pool (source_bucket, source_project);"

         "CREATE TABLE outbox ("
         "  id BIGINT PRIMARY KEY,"
         "  uuid TEXT NOT NULL,"
         "  json TEXT NOT NULL,"
         "  attempts BIGINT NOT NULL,"
         "  due_unix_ms BIGINT NOT NULL,"
         "  message BYTEA,"
         "  created_unix_ms BIGINT NOT NULL"
         ");"
         /* Of events that are made once: the keys of those that were, and when last asked for. */
         "CREATE TABLE outbox_once (key BYTEA PRIMARY KEY, asked_unix_ms BIGINT NOT NULL);"
         "CREATE INDEX outbox_once_asked ON outbox_once (asked_unix_ms)" },
};
const size_t sdrs_migration_count = RC_ARRAY_LEN(sdrs_migrations);
