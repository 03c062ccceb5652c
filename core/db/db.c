/*
 * The state database: which server its URL names, and the core's own schema on it.
 * Plugins' schemas are in plugin.c, locks in lock.c.
 */
#include <db/internal.h>

#include <os/clock.h>
#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    LEASE_MS = 30000,
    RENEW_MS = 10000,
    MEND_MS = 5000, /* for a connection that is made anew; well below a lease */
    MEND_PAUSE_MS = 10,
};

static const struct core_db_server *const servers[] = { &core_db_on_sqlite, &core_db_on_postgres };

static enum rc_code find_server(const char *url, const struct core_db_server **out,
                                struct rc_error *err)
{
    for (size_t i = 0; i < RC_ARRAY_LEN(servers); i++) {
        *out = servers[i];
        if (servers[i]->knows(url))
            return RC_OK;
    }
    return rc_fail(err, RC_UNSUPPORTED,
                   "the state cannot lie in '%.*s...'; write sqlite:///path/state.db, a folder, or "
                   "postgresql://user@host/database",
                   (int)(strstr(url, "://") + 3 - url), url);
}

enum rc_code core_db_check(const char *url, struct rc_error *err)
{
    const struct core_db_server *server;

    return find_server(url, &server, err) ? err->code : server->check(url, err);
}

/* Released migrations never change; a change is a further one. */
static enum rc_code migrate(struct core_session *session, const struct core_db_server *server,
                            struct rc_error *err)
{
    const struct rc_migration migrations[] = {
        *server->first,
        { 2, core_ledger_schema },
        { 3, core_ledger_schema_unsuccessful },
    };

    return core_session_migrate(session, "run-core", migrations, RC_ARRAY_LEN(migrations), err);
}

/* Everything but the session. */
static struct core_db *make(const struct core_db_server *server, const char *url)
{
    struct core_db *db = rc_calloc(1, sizeof(*db));

    db->server = server;
    db->url = rc_strdup(url);
    db->lease_ms = LEASE_MS;
    db->renew_ms = RENEW_MS;
    core_process_self(&db->self);
    RC_ASSERT(pthread_mutex_init(&db->mutex, NULL) == 0);
    core_db_init_condition(&db->wake);
    core_pool_init(&db->pool);
    return db;
}

static enum rc_code open_at(const char *url, bool durable, struct core_db **out,
                            struct rc_error *err)
{
    const struct core_db_server *server;
    struct core_session *session;

    *out = NULL;
    if (find_server(url, &server, err) || server->open(url, durable, &session, err))
        return err->code;
    if (migrate(session, server, err)) {
        core_session_close(session);
        return err->code;
    }
    *out = make(server, url);
    (*out)->core = session;
    return RC_OK;
}

enum rc_code core_db_open(const char *url, struct core_db **out, struct rc_error *err)
{
    return open_at(url, /* durable = */ false, out, err);
}

enum rc_code core_db_open_durable(const char *url, struct core_db **out, struct rc_error *err)
{
    return open_at(url, /* durable = */ true, out, err);
}

enum rc_code core_db_copy_plugin(const char *url, const char *plugin, const char *directory,
                                 struct core_db **out, struct rc_error *err)
{
    RC_STR_AUTO copy = NULL;
    const struct core_db_server *server;

    *out = NULL;
    if (find_server(url, &server, err) || server->copy_plugin(url, plugin, directory, &copy, err))
        return err->code;
    *out = make(server, copy);
    (*out)->rehearsal = true;
    return RC_OK;
}

struct core_session *core_db_session(struct core_db *db)
{
    RC_ASSERT(!db->renewing);
    return db->core;
}

enum rc_code core_db_mend(struct core_db *db, struct rc_error *err)
{
    int64_t deadline_ms = core_clock_mono_ms() + MEND_MS;
    bool ready;

    for (;;) {
        if (core_session_recover(db->core, &ready, err))
            return err->code;
        if (ready)
            return RC_OK;
        if (core_clock_mono_ms() >= deadline_ms)
            return rc_fail(err, RC_UNAVAILABLE, "the state database does not answer");
        core_clock_sleep_ms(MEND_PAUSE_MS);
    }
}

static void clear(struct core_db *db)
{
    (void)pthread_cond_destroy(&db->wake);
    (void)pthread_mutex_destroy(&db->mutex);
    free(db->url);
    free(db);
}

void core_db_close(struct core_db *db)
{
    if (!db)
        return;
    core_lease_stop(db);
    core_pool_clear(&db->pool);
    core_session_close(db->core);
    clear(db);
}

void core_db_forget(struct core_db *db)
{
    if (!db)
        return;
    RC_ASSERT(!db->renewing);
    core_pool_clear(&db->pool);
    core_session_forget(db->core);
    clear(db);
}
