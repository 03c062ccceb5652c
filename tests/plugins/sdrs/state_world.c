/*
 * Opens states. What the host's state database is to a plugin is made of its own functions, which
 * the fake host then has as its base.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "state_world.h"

#include <db/db.h>
#include <db/session.h>

#include <os/file.h>

#include <run-core/str.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CONFIGS = 32 };

/* Of the present test. */
static char folder[64], url[256];
static struct core_db *database;
static struct state_world *opened;
static struct sdrs_config configs[CONFIGS];
static size_t config_count;

/* ---- the host's state database --------------------------------------------------------------- */

static enum rc_code open_tables(struct rc_job *job, const struct rc_migration *migrations,
                                size_t count, struct rc_db **out, struct rc_error *err)
{
    (void)job;
    return core_db_open_plugin(database, "sdrs", migrations, count, NULL, out, err);
}

static const struct rc_db_api database_api = {
    .open = open_tables,
    .close = core_db_close_plugin,
    .exec = core_db_exec,
    .query = core_db_query,
    .begin = core_db_begin,
    .commit = core_db_commit,
    .rollback = core_db_rollback,
};

static const struct rc_host base_host = { .db = &database_api };
static struct rc_job base = { .host = &base_host };

static void open_database(void)
{
    struct rc_error err = RC_ERROR_INIT;

    expect_ok(core_db_open(url, &database, &err));
}

/* ---- life ------------------------------------------------------------------------------------ */

static struct state_world *open_world(struct rc_job *on)
{
    struct state_world *world = rc_calloc(1, sizeof(*world));
    struct rc_error err = RC_ERROR_INIT;

    world->host = rc_fake_host_new(on);
    world->job = rc_fake_host_job(world->host);
    expect_ok(sdrs_state_open(world->job, &world->state, &err));
    return world;
}

static void close_world(struct state_world *world)
{
    sdrs_state_close(&world->state);
    rc_fake_host_free(world->host);
    free(world);
}

static void drop_schema(void)
{
    struct rc_error err = RC_ERROR_INIT;

    expect_ok(core_session_exec(core_db_session(database),
                                "DROP SCHEMA IF EXISTS run_core_sdrs CASCADE", NULL, 0, NULL,
                                &err));
}

int state_in_memory(void **state)
{
    *state = open_world(NULL);
    return 0;
}

int state_on_sqlite(void **state)
{
    (void)snprintf(folder, sizeof(folder), "/tmp/sdrs-test.XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    (void)snprintf(url, sizeof(url), "%s/state", folder);
    open_database();
    *state = opened = open_world(&base);
    return 0;
}

int state_on_postgres(void **state)
{
    const char *server = getenv("RUN_CORE_POSTGRES");

    if (!server) {
        fprintf(stderr, "run this test by tests/support/with-postgres\n");
        return -1;
    }
    (void)snprintf(url, sizeof(url), "%s", server);
    open_database();
    drop_schema();
    *state = opened = open_world(&base);
    return 0;
}

int state_tear_down(void **state)
{
    struct rc_error err = RC_ERROR_INIT;

    close_world(*state);
    core_db_close(database);
    database = NULL;
    config_count = 0;
    if (folder[0] && core_tree_remove(folder, &err))
        return -1;
    folder[0] = '\0';
    return 0;
}

void state_begin_anew(struct state_world *world)
{
    struct rc_error err = RC_ERROR_INIT;

    sdrs_state_close(&world->state);
    if (folder[0]) {
        core_db_close(database);
        expect_ok(core_tree_remove(folder, &err));
        assert_int_equal(mkdir(folder, 0700), 0);
        open_database();
    } else {
        drop_schema();
    }
}

void state_next_run(struct state_world *world, int64_t now_unix_ms)
{
    struct rc_error err = RC_ERROR_INIT;

    sdrs_state_close(&world->state);
    rc_fake_host_revive(world->host);
    world->job->now_unix_ms = now_unix_ms;
    expect_ok(sdrs_state_open(world->job, &world->state, &err));
}

void state_wait(struct state_world *world, int64_t ms)
{
    world->job->now_unix_ms += ms;
}

/* ---- looking into the tables ----------------------------------------------------------------- */

int64_t state_number(struct state_world *world, const char *query)
{
    struct rc_error err = RC_ERROR_INIT;
    const struct rc_value *row;
    RC_ROWS_AUTO(rows);

    expect_ok(rc_db_query(world->job, world->state.db, query, NULL, 0, &rows, &err));
    expect_ok(rc_rows_next(rows, &row, &err));
    assert_non_null(row);
    return row[0].integer;
}

void state_change(struct state_world *world, const char *statement)
{
    struct rc_error err = RC_ERROR_INIT;

    expect_ok(rc_db_exec(world->job, world->state.db, statement, NULL, 0, NULL, &err));
}

struct sdrs_config *state_config(struct state_world *world, const char *const *settings)
{
    struct rc_error err = RC_ERROR_INIT;
    struct sdrs_config *config = &configs[config_count++];

    assert_true(config_count <= CONFIGS);
    *config = (struct sdrs_config){ 0 };
    expect_ok(rc_fake_host_bind(world->host, sdrs_options, config, settings, &err));
    return config;
}

/* ---- races ----------------------------------------------------------------------------------- */

/* All wait for the same moment. */
static int run_child(int go, state_work *work, int index)
{
    struct state_world *world;
    char byte;
    int status;

    open_database();
    world = open_world(&base);
    if (read(go, &byte, 1) != 0)
        return 2;
    status = work(world, index) ? 1 : 0;
    close_world(world);
    core_db_close(database);
    return status;
}

/* The parent closes what it has open: a process with threads of its own is not one to fork. */
int state_race(int processes, state_work *work)
{
    struct rc_error err = RC_ERROR_INIT;
    pid_t children[64];
    int go[2], won = 0;

    assert_true(processes <= (int)RC_ARRAY_LEN(children));
    sdrs_state_close(&opened->state);
    core_db_close(database);
    database = NULL;
    assert_int_equal(pipe(go), 0);
    for (int i = 0; i < processes; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0) {
            (void)close(go[1]);
            _exit(run_child(go[0], work, i));
        }
    }
    (void)close(go[0]);
    (void)close(go[1]);
    for (int i = 0; i < processes; i++) {
        int status;

        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) <= 1);
        won += WEXITSTATUS(status);
    }
    open_database();
    expect_ok(sdrs_state_open(opened->job, &opened->state, &err));
    return won;
}
