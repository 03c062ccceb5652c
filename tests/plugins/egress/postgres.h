/*
 * What the tests on a PostgreSQL server share: an administrator's connection, which prepares and
 * disturbs, and a plugin's configuration for that server.
 */
#ifndef TESTS_EGRESS_POSTGRES_H
#define TESTS_EGRESS_POSTGRES_H

#include <config.h>
#include <database.h>

struct rc_fake_host;

/* The URL of the server, and of it as another role. */
const char *admin_url(void);
char *url_as(const char *user, const char *password);

/* Runs SQL as the administrator, who is connected on demand; what fails there fails the test. */
void admin(const char *format, ...) RC_PRINTF(1, 2);
/* The first value of the result; lives until the next call. */
const char *admin_value(const char *format, ...) RC_PRINTF(1, 2);
/* Waits until the query gives 't'. */
void admin_expect(const char *format, ...) RC_PRINTF(1, 2);
void admin_close(void);

/* The defaults of the option table and the server's URL. 'extra' are further settings, ending with
 * NULL, or NULL. Lives as long as the host. */
const struct egress_config *config_of(struct rc_fake_host *host, const char *const *extra);

#define expect_ok(call, err)                                                                       \
    do {                                                                                           \
        if ((call) != RC_OK) {                                                                     \
            print_error("%s: %s\n", (err).context, (err).cause);                                   \
            fail();                                                                                \
        }                                                                                          \
    } while (0)

#define expect_text(text, part)                                                                    \
    do {                                                                                           \
        if (!strstr((text), (part))) {                                                             \
            print_error("no '%s' in: %s\n", (part), (text));                                       \
            fail();                                                                                \
        }                                                                                          \
    } while (0)

int64_t mono_ms(void);

#endif
