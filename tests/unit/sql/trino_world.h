/*
 * A session on a Trino that follows a script, and what it answers there: pages of query q1 with the
 * columns a and b.
 */
#ifndef TESTS_TRINO_WORLD_H
#define TESTS_TRINO_WORLD_H

#include <scripted_server.h>

#include <sql/trino_client.h>

#define STATS "\"stats\":{\"state\":\"RUNNING\",\"totalSplits\":4,\"completedSplits\":1}"
#define NEXT(n) "\"nextUri\":\"{url}/v1/statement/executing/q1/y/" #n "\","
#define HEAD "{\"id\":\"q1\",\"infoUri\":\"{url}/ui/query.html?q1\","
#define COLUMNS                                                                                    \
    "\"columns\":[{\"name\":\"a\",\"type\":\"bigint\"},{\"name\":\"b\",\"type\":\"varchar(3)\"}],"
#define QUEUED HEAD NEXT(1) STATS "}"
#define PAGE(n, rows) HEAD COLUMNS NEXT(n) "\"data\":" rows "," STATS "}"
#define LAST(rows) HEAD COLUMNS "\"data\":" rows "," STATS "}"
#define FAILED(name, type, message)                                                                \
    HEAD STATS ",\"error\":{\"message\":\"" message "\",\"errorCode\":1,\"errorName\":\"" name     \
               "\",\"errorType\":\"" type "\"}}"
#define OK(text)                                                                                   \
    {                                                                                              \
        .status = 200, .body = text                                                                \
    }

struct world {
    struct scripted_server server;
    struct core_engine_settings settings;
    struct core_trino_limits limits;
    struct core_cancel run;
    struct core_presto session;
    struct core_trino_client *client;
    struct rc_error err;
    char said[4096];
    int64_t scanned_bytes;
    double progress;
};

/* The session of a server with that script; settings and limits may be set before. */
void begin(struct world *w, const struct script_line *lines, size_t count);
void end(struct world *w);

/* The result as text: values parted by '|', rows ended by ';'. */
enum rc_code ask(struct world *w, const char *text, struct rc_buf *out);
void asks_and_gets(struct world *w, const char *expected);
/* 'words' are among those of the error's cause. */
void asks_and_fails(struct world *w, enum rc_code code, const char *words);
/* Requests. */
size_t heard(struct world *w);

#endif
