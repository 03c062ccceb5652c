/*
 * The administrator of the tests, by libpq alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "postgres.h"

#include <run-core/fake_host.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SQL_LIMIT = 1 << 20, SETTINGS = 40, LONGEST_MS = 20000 };

static PGconn *connection;
static PGresult *latest;

int64_t mono_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

const char *admin_url(void)
{
    const char *url = getenv("RUN_CORE_POSTGRES");

    assert_non_null(url);
    return url;
}

char *url_as(const char *user, const char *password)
{
    const char *at = strchr(admin_url(), '@');

    return rc_strf("postgresql://%s:%s%s", user, password, at);
}

RC_PRINTF(1, 0)
static const PGresult *run(const char *format, va_list arguments)
{
    RC_BUF_AUTO(sql, SQL_LIMIT);

    rc_buf_addv(&sql, format, arguments);
    if (!connection)
        connection = PQconnectdb(admin_url());
    PQclear(latest);
    latest = PQexec(connection, sql.data);
    if (PQresultStatus(latest) != PGRES_COMMAND_OK && PQresultStatus(latest) != PGRES_TUPLES_OK) {
        print_error("%s: %s", sql.data, PQerrorMessage(connection));
        fail();
    }
    return latest;
}

void admin(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)run(format, arguments);
    va_end(arguments);
}

const char *admin_value(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    const PGresult *result = run(format, arguments);
    va_end(arguments);
    return PQntuples(result) ? PQgetvalue(result, 0, 0) : "";
}

void admin_expect(const char *format, ...)
{
    int64_t start_ms = mono_ms();

    for (;;) {
        va_list arguments;

        va_start(arguments, format);
        const PGresult *result = run(format, arguments);
        va_end(arguments);
        if (PQntuples(result) == 1 && strcmp(PQgetvalue(result, 0, 0), "t") == 0)
            return;
        if (mono_ms() - start_ms > LONGEST_MS)
            fail_msg("never became true: %s", format);
        (void)poll(NULL, 0, 10);
    }
}

void admin_close(void)
{
    PQclear(latest);
    PQfinish(connection);
    latest = NULL;
    connection = NULL;
}

const struct egress_config *config_of(struct rc_fake_host *host, const char *const *extra)
{
    /* Its text is bound, and so copied, before this returns. */
    RC_STR_AUTO database = rc_strf("database=%s", admin_url());
    const char *settings[SETTINGS] = { database };
    /* Of the size of the pointers that the host frees with itself: kept in a list here. */
    static struct egress_config configs[8];
    static size_t used;
    struct egress_config *config = &configs[used++ % RC_ARRAY_LEN(configs)];
    struct rc_error err = RC_ERROR_INIT;
    size_t count = 1;

    memset(config, 0, sizeof(*config));
    for (; extra && *extra; extra++) {
        assert_true(count < SETTINGS - 1);
        if (rc_str_starts(*extra, "database="))
            settings[0] = *extra;
        else
            settings[count++] = *extra;
    }
    expect_ok(rc_fake_host_bind(host, egress_options, config, settings, &err), err);
    return config;
}
