/*
 * The tables of the ledger, in the SQL that SQLite and PostgreSQL both know.
 */
#include <db/internal.h>
#include <db/ledger_internal.h>

/*
 * Released, this text never changes; a change is a further migration.
 *
 * A run's row has its latest attempt in itself; 'attempts' has only those before it that ended
 * without ending the run. So most runs are one row, written three times.
 *
 * Runs are listed by (due, nominal, id), none of which ever changes. What is open is little
 * however long the history is, hence the partial indexes.
 */
const char core_ledger_schema[] =
    "CREATE TABLE executors ("
    "id TEXT NOT NULL PRIMARY KEY, "
    "kind TEXT NOT NULL, " /* daemon or foreground */
    "host TEXT NOT NULL, pid BIGINT NOT NULL, start_ticks BIGINT NOT NULL, " /* its process */
    "spool TEXT, "
    "joined_unix_ms BIGINT NOT NULL, "
    "expires_unix_ms BIGINT NOT NULL);" /* of the database's clock */

    "CREATE TABLE jobs ("
    "name TEXT NOT NULL PRIMARY KEY, "
    "fingerprint TEXT NOT NULL, "
    "settled_unix_ms BIGINT NOT NULL, "
    "paused_unix_ms BIGINT NOT NULL DEFAULT 0, paused_by TEXT, "
    "last_success_unix_ms BIGINT NOT NULL DEFAULT 0, "
    "last_failure_unix_ms BIGINT NOT NULL DEFAULT 0);"

    "CREATE TABLE runs ("
    "id TEXT NOT NULL PRIMARY KEY, "
    "job TEXT NOT NULL, plugin TEXT, action TEXT, " /* job: empty if a plugin has begun it */
    "trigger TEXT NOT NULL, "           /* schedule, startup, manual, foreground or plugin */
    "slot_unix_ms BIGINT, "             /* NULL: of no schedule */
    "nominal_unix_ms BIGINT NOT NULL, " /* the slot, else when it was claimed */
    "due_unix_ms BIGINT NOT NULL, "     /* when it was claimed */
    "status TEXT NOT NULL, reason TEXT, message TEXT, "
    "attempt BIGINT NOT NULL, attempts BIGINT NOT NULL, "
    "not_before_unix_ms BIGINT NOT NULL, "
    "started_unix_ms BIGINT NOT NULL, finished_unix_ms BIGINT NOT NULL, "
    "exit_status BIGINT NOT NULL, "
    "counters TEXT, parameters TEXT, " /* JSON objects */
    "cancel TEXT, "                    /* why it is to be stopped */
    "force BIGINT NOT NULL, "
    "executor TEXT NOT NULL, " /* whose it is */
    "host TEXT, spool TEXT, "  /* where the latest attempt began */
    "UNIQUE (job, slot_unix_ms));"
    "CREATE INDEX runs_by_age ON runs (due_unix_ms, nominal_unix_ms, id);"
    "CREATE INDEX runs_of_job ON runs (job, due_unix_ms, nominal_unix_ms, id);"
    "CREATE INDEX runs_open ON runs (due_unix_ms, nominal_unix_ms, id) WHERE " CORE_LEDGER_OPEN ";"
    "CREATE INDEX runs_open_of_job ON runs (job) WHERE " CORE_LEDGER_OPEN ";"
    "CREATE INDEX runs_open_of_executor ON runs (executor) WHERE " CORE_LEDGER_OPEN ";"

    "CREATE TABLE attempts ("
    "run TEXT NOT NULL, number BIGINT NOT NULL, "
    "status TEXT NOT NULL, reason TEXT, message TEXT, "
    "started_unix_ms BIGINT NOT NULL, finished_unix_ms BIGINT NOT NULL, "
    "exit_status BIGINT NOT NULL, "
    "PRIMARY KEY (run, number));"

    "CREATE TABLE notices ("
    "id BIGINT NOT NULL PRIMARY KEY, "
    "executor TEXT NOT NULL, "
    "job TEXT NOT NULL, run TEXT, event TEXT NOT NULL, item BIGINT NOT NULL, "
    "body TEXT NOT NULL, "
    "attempts BIGINT NOT NULL, not_before_unix_ms BIGINT NOT NULL, "
    "UNIQUE (run, event, item));"

    /* Numbers that never come back, also when the rows that had them are gone. */
    "CREATE TABLE numbers (name TEXT NOT NULL PRIMARY KEY, latest BIGINT NOT NULL);"
    "INSERT INTO numbers (name, latest) VALUES ('notices', 0);";

/*
 * Failures are sought for in histories that have few. A run that succeeds, as most do, pays nothing
 * for that.
 */
const char core_ledger_schema_unsuccessful[] =
    "CREATE INDEX runs_unsuccessful ON runs (status, due_unix_ms, nominal_unix_ms, id) "
    "WHERE " CORE_LEDGER_UNSUCCESSFUL ";";
