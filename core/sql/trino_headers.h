/*
 * The headers of requests to a Trino server. It keeps no session: whoever asks says with every
 * statement who he is, and what earlier statements have set, which the server told with their
 * answers. Pure.
 */
#ifndef CORE_SQL_TRINO_HEADERS_H
#define CORE_SQL_TRINO_HEADERS_H

#include <config/config.h>

#include <run-core/buf.h>

/* What holds where the settings say nothing. */
#define CORE_TRINO_USER "run-core"
#define CORE_TRINO_CATALOG "hive"
#define CORE_TRINO_SCHEMA "default"

struct core_trino_pair {
    char *name, *value; /* the value is percent-encoded */
};

struct core_trino_pairs {
    struct core_trino_pair *items;
    size_t len;
};

struct core_trino_headers {
    struct rc_buf fixed;           /* what the settings say: "name\0value\0" one after the other */
    struct rc_buf proof;           /* the same, of each request: the credentials */
    char *user, *original_user;    /* the second once a statement has taken another user's rights */
    char *catalog, *schema, *path; /* in which plain names are looked up */
    char *transaction;
    struct core_trino_pairs session, roles, prepared;
};

/*
 * 'trace' names the session in the server's own log. The settings may go away. What a password is
 * sent as is a secret from then on, too.
 */
void core_trino_headers_init(struct core_trino_headers *headers,
                             const struct core_engine_settings *settings, const char *trace);
void core_trino_headers_clear(struct core_trino_headers *headers);

/* A session property, of this and all later statements. */
void core_trino_headers_set(struct core_trino_headers *headers, const char *property,
                            const char *value);
void core_trino_headers_unset(struct core_trino_headers *headers, const char *property);
/* Heeds a header of an answer, if it is one that matters later; its name is in lower case. */
void core_trino_headers_note(struct core_trino_headers *headers, const char *name,
                             const char *value);

/* Adds those of a statement, and those of requests about one that runs: "name\0value\0". */
void core_trino_headers_add(const struct core_trino_headers *headers, struct rc_buf *out);
void core_trino_headers_add_short(const struct core_trino_headers *headers, struct rc_buf *out);

/* NULL, or why the settings cannot be said in headers. */
const char *core_trino_headers_fault(const struct core_engine_settings *settings);

#endif
