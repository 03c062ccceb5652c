/*
 * Makes and clears the places of states.
 */
#include "places.h"

#include <db/postgres.h>

#include <os/file.h>
#include <run-core/str.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

char place_url[256];
char place_folder[64];
bool place_is_postgres;

/* Other tests' states lie in the same database. */
static int empty_server(void)
{
    static const char drop[] =
        "DO $$ DECLARE name TEXT; BEGIN FOR name IN SELECT nspname FROM pg_namespace "
        "WHERE nspname LIKE 'run\\_core%' LOOP EXECUTE format('DROP SCHEMA %I CASCADE', name); "
        "END LOOP; END $$";
    struct rc_error err = RC_ERROR_INIT;
    struct core_postgres *db;
    enum rc_code code;

    if (core_postgres_open(place_url, "public", 0, false, NULL, &db, &err)) {
        fprintf(stderr, "%s\n", err.cause);
        return -1;
    }
    code = core_session_exec(&db->session, drop, NULL, 0, NULL, &err);
    if (code)
        fprintf(stderr, "%s\n", err.cause);
    core_session_close(&db->session);
    return code ? -1 : 0;
}

int place_make(bool postgres)
{
    const char *server = getenv("RUN_CORE_POSTGRES");

    place_is_postgres = postgres;
    (void)snprintf(place_folder, sizeof(place_folder), "/tmp/db-test.XXXXXX");
    if (!mkdtemp(place_folder))
        return -1;
    if (!postgres) {
        (void)snprintf(place_url, sizeof(place_url), "%s/state", place_folder);
        return 0;
    }
    if (!server) {
        fprintf(stderr, "run this test by tests/support/with-postgres\n");
        return -1;
    }
    (void)snprintf(place_url, sizeof(place_url), "%s", server);
    return empty_server();
}

int place_clear(void)
{
    struct rc_error err = RC_ERROR_INIT;

    return core_tree_remove(place_folder, &err) == RC_OK ? 0 : -1;
}

int place_open(bool postgres, struct core_db **db)
{
    struct rc_error err = RC_ERROR_INIT;

    if (place_make(postgres))
        return -1;
    if (core_db_open(place_url, db, &err) == RC_OK)
        return 0;
    print_error("%s\n", err.cause);
    return -1;
}

void place_tamper(const char *statement)
{
    struct rc_error err = RC_ERROR_INIT;
    struct core_db *db;

    expect_ok(core_db_open(place_url, &db, &err));
    expect_ok(core_session_exec(core_db_session(db), statement, NULL, 0, NULL, &err));
    core_db_close(db);
}

void place_control(const char *verb)
{
    const char *control = getenv("RUN_CORE_POSTGRES_CONTROL");
    const char *folder = getenv("RUN_CORE_POSTGRES_FOLDER");
    int status;
    pid_t pid;

    assert_non_null(control);
    assert_non_null(folder);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (!freopen("/dev/null", "w", stdout))
            _exit(1);
        execl(control, control, verb, folder, (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}
