/*
 * Finds libduckdb.so, checks its version and loads it, once a process. What is done with
 * it is the session's.
 */
#include <sql/duckdb_api.h>

#include <os/library.h>

#include <run-core/buf.h>
#include <run-core/str.h>

#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The oldest version that has all functions of duckdb_api.h and the SQL that is written here. */
#define OLDEST_MAJOR 1
#define OLDEST_MINOR 4
#define OLDEST_TEXT "1.4.0"

#if defined(__aarch64__)
#define PACKAGE "@duckdb/node-bindings-linux-arm64"
#else
#define PACKAGE "@duckdb/node-bindings-linux-x64"
#endif
#define REMEDY                                                                                     \
    "install the npm package " PACKAGE " and set RUN_CORE_DUCKDB to its libduckdb.so, or run "     \
    "packaging/quickstart"

#define SYMBOL(result, name, arguments) { "duckdb_" #name, offsetof(struct core_duckdb_api, name) },

static const struct core_library_symbol symbols[] = { CORE_DUCKDB_FUNCTIONS(SYMBOL) };

/* The library stands for the whole process: two copies of it would not share memory limits. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct core_duckdb_api api;
static bool loaded;

/* Asked before the rest is looked up, so that an old library is called old and not broken. */
static enum rc_code check_version(const char *path, struct rc_error *err)
{
    const struct core_library_symbol *version = &symbols[0];
    struct core_duckdb_api probe;
    int major = 0;
    int minor = 0;

    if (core_library_load(path, version, 1, &probe, err)) {
        if (err->code == RC_UNSUPPORTED)
            return rc_fail(err, RC_UNSUPPORTED,
                           "'%s' is no DuckDB library of version " OLDEST_TEXT " or newer; " REMEDY,
                           path);
        if (err->code == RC_NOT_FOUND)
            return err->code;
        /* Damaged, for another machine, or in need of a library that is missing. */
        struct rc_error copy = *err;
        return rc_fail(err, copy.code, "%s; " REMEDY, copy.cause);
    }

    const char *text = probe.library_version();
    if (sscanf(text, "v%d.%d", &major, &minor) == 2 &&
        (major < OLDEST_MAJOR || (major == OLDEST_MAJOR && minor < OLDEST_MINOR)))
        return rc_fail(err, RC_UNSUPPORTED,
                       "'%s' is DuckDB %s, run-core needs " OLDEST_TEXT " or newer; " REMEDY, path,
                       text);
    return RC_OK;
}

static enum rc_code load(const char *path, struct rc_error *err)
{
    if (check_version(path, err))
        return err->code;
    if (core_library_load(path, symbols, RC_ARRAY_LEN(symbols), &api, err)) {
        struct rc_error copy = *err;
        return rc_fail(err, copy.code,
                       "%s; run-core needs DuckDB " OLDEST_TEXT " or newer; " REMEDY, copy.cause);
    }
    return RC_OK;
}

/* <prefix>/lib/run-core/libduckdb.so, the prefix being the parent of the program's directory. */
static void add_installed_path(struct rc_buf *out)
{
    char program[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", program, sizeof(program) - 1);

    if (len <= 0)
        return;
    program[len] = '\0';
    for (int up = 0; up < 2; up++) {
        char *slash = strrchr(program, '/');
        if (slash)
            *slash = '\0';
    }
    rc_buf_addf(out, "%s/lib/run-core/libduckdb.so", program);
}

/* A file that somebody named is the one to use, or the mistake to report. */
static enum rc_code load_named(const char *path, const char *origin, struct rc_error *err)
{
    if (load(path, err) == RC_NOT_FOUND)
        return rc_fail(err, RC_NOT_FOUND, "there is no DuckDB library at '%s', which %s names; %s",
                       path, origin, REMEDY);
    return err->code;
}

static enum rc_code search(const char *configured, struct rc_error *err)
{
    const char *environment = getenv("RUN_CORE_DUCKDB");
    RC_BUF_AUTO(installed, PATH_MAX + 64);

    err->code = RC_OK;
    if (environment && *environment)
        return load_named(environment, "RUN_CORE_DUCKDB", err);
    if (configured && *configured)
        return load_named(configured, "the engine's setting 'library'", err);

    add_installed_path(&installed);
    if (installed.len > 0 && load(installed.data, err) != RC_NOT_FOUND)
        return err->code;
    err->code = RC_OK;
    if (load("libduckdb.so", err) == RC_NOT_FOUND)
        return rc_fail(err, RC_NOT_FOUND,
                       "libduckdb.so, the embedded SQL engine, is neither '%s' nor on the loader's "
                       "path, and RUN_CORE_DUCKDB is not set; " REMEDY,
                       installed.data);
    return err->code;
}

enum rc_code core_duckdb_load(const char *configured, const struct core_duckdb_api **out,
                              struct rc_error *err)
{
    enum rc_code code = RC_OK;

    pthread_mutex_lock(&mutex);
    if (!loaded) {
        code = search(configured, err);
        loaded = code == RC_OK;
    }
    pthread_mutex_unlock(&mutex);
    *out = &api;
    return code;
}
